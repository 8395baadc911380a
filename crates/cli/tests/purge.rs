//! `purge` and the persona `bfg` on the real program: the wiring. What a rewriting does is tested in `scan`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "purge/interrupted.rs"]
mod interrupted;

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const VALUE: &str = "fake-value-7Hq2xLw9";

struct Repository {
    folder: TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit("first", "app.env", &format!("PASSWORD={VALUE}\n"));
        repository.commit("second", "app.env", "PASSWORD=\n");
        repository
    }

    fn git(&self, words: &[&str]) -> String {
        let output = surroundings(Command::new("git").args(words), self.folder.path()).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn commit(&self, message: &str, path: &str, text: &str) {
        fs::write(self.folder.path().join(path), text).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        surroundings(command.args(words), self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

fn surroundings<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    command
        .current_dir(folder)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")])
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.com")])
        .envs([("GIT_COMMITTER_NAME", "C"), ("GIT_COMMITTER_EMAIL", "c@example.com")])
        .env("HOME", folder)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_value_on_standard_input_is_purged_proven_and_brought_back() {
    let repository = Repository::new();
    let head = repository.git(&["rev-parse", "HEAD"]);
    let dry = repository.run(&["purge", "--values", "-", "--dry-run", "--json"], &format!("{VALUE}\n"));
    let answer: Value = serde_json::from_str(&stdout(&dry)).unwrap();
    assert_eq!((&answer["commits_rewritten"], &answer["samples"][0]["path"]), (&2.into(), &"app.env".into()));
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), head);
    let output = repository.run(&["purge", "--values", "-"], &format!("{VALUE}\n"));
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        text.contains("2 of 2 commits rewritten") && text.contains("Proven: none of the 6 objects"),
        "{text}"
    );
    assert!(
        text.contains("git push --force origin refs/heads/main") && text.contains("--remove-backups"),
        "{text}"
    );
    assert!(!text.contains(VALUE));
    assert_eq!(repository.git(&["show", "HEAD~1:app.env"]), "PASSWORD=***REMOVED***\n");
    assert_eq!(repository.run(&["purge", "--undo"], "").status.code(), Some(0));
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), head);
    let removed = repository.run(&["purge", "--remove-backups"], "");
    assert!(removed.status.success());
    assert_eq!(repository.run(&["purge", "--undo"], "").status.code(), Some(3));
}

#[test]
fn what_is_weak_or_missing_is_refused() {
    let repository = Repository::new();
    let output = repository.run(&["purge", "--values", "-"], "short\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("line 1 of standard input has fewer than 8 characters"),
        "{}",
        stderr(&output)
    );
    assert!(!stderr(&output).contains("short\n"));
    assert_eq!(repository.run(&["purge"], "").status.code(), Some(2));
    let output = repository.run(&["purge", "--replace-text", "-"], "regex:hunter2(\n");
    assert!(
        stderr(&output).contains("line 1") && !stderr(&output).contains("hunter2"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_is_left_is_named_with_a_code_of_its_own() {
    let repository = Repository::new();
    let encoded = "x: ZmFrZS12YWx1ZS03SHEyeEx3OQ==\n";
    repository.commit("third", "encoded", encoded);
    fs::write(repository.folder.path().join(".git/values"), format!("{VALUE}\n")).unwrap();
    let output = repository.run(&["purge", "--replace-text", ".git/values"], "");
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("NOT CLEAN") && text.contains("as base64") && text.contains("file values"),
        "{text}"
    );
    fs::remove_file(repository.folder.path().join(".git/values")).unwrap();
    let output = repository.run(&["purge", "--values", "-"], &format!("{VALUE}\n"));
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(repository.git(&["show", "HEAD:encoded"]), "x: ***REMOVED***\n");
}

#[test]
fn the_bfgs_command_line() {
    let repository = Repository::new();
    repository.commit("third", "kept.env", &format!("KEPT={VALUE}\n"));
    fs::write(repository.folder.path().join(".git/info/values"), format!("{VALUE}==>gone\n")).unwrap();
    let output = repository.run(&["--persona=bfg", "-rt", ".git/info/values", "."], "");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        text.contains("Protected: files of HEAD stay as they are") && text.contains("git gc --prune=now"),
        "{text}"
    );
    assert!(text.contains("1 protected files hold something"), "{text}");
    assert_eq!(repository.git(&["show", "HEAD:kept.env"]), format!("KEPT={VALUE}\n"));
    assert_eq!(repository.git(&["show", "HEAD~2:app.env"]), "PASSWORD=gone\n");
    let words = ["--persona=bfg", "--strip-blobs-bigger-than", "10", "--no-blob-protection"];
    assert_eq!(repository.run(&words, "").status.code(), Some(0));
    assert!(repository.git(&["ls-tree", "--name-only", "HEAD"]).contains("kept.env.REMOVED.git-id"));
}

/// Each flag of docs/purge.md, on a small repository.
#[test]
fn what_the_documentation_shows() {
    let dry = |words: &[&str], input: &str| -> Value {
        let repository = Repository::new();
        let folder = repository.folder.path();
        fs::create_dir_all(folder.join("deep/secrets")).unwrap();
        fs::write(folder.join("deep/key.pem"), "a key\n").unwrap();
        fs::write(folder.join("id_rsa"), "another\n").unwrap();
        fs::write(folder.join("deep/secrets/x"), "x\n").unwrap();
        fs::write(folder.join("large"), "0123456789".repeat(200)).unwrap();
        fs::write(folder.join("binary"), format!("\0{VALUE}\0")).unwrap();
        fs::write(folder.join(".gitignore"), "/.env\n/ids\n/replacements\n").unwrap();
        fs::write(folder.join(".env"), format!("PASSWORD={VALUE}\n")).unwrap();
        let entries = "literal:fake-value-7Hq2==>changed\nregex:(PASS)WORD==>\\1\nglob:fake-*xLw9==>\nnowhere-to-be-found\n";
        fs::write(folder.join("replacements"), entries).unwrap();
        let manifest = "version = 1\nproject = \"shop\"\n[env]\ndefault = { order = [\"dotenv\"] }\n[secret]\nPASSWORD = { min = 8 }\n";
        repository.commit("all", "strongroom.toml", manifest);
        let id = repository.git(&["rev-parse", "HEAD:id_rsa"]);
        fs::write(folder.join("ids"), format!("{} id_rsa\n", id.trim())).unwrap();
        let output = repository.run(&[&["purge", "--dry-run", "--json", "--force"], words].concat(), input);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        let answer: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(answer["dry_run"], true);
        // The same without --dry-run is done and proven.
        let output = repository.run(&[&["purge", "--json", "--force"], words].concat(), input);
        assert!(!output.stdout.is_empty(), "{words:?}: {}", stderr(&output));
        let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(done["commits_rewritten"], answer["commits_rewritten"], "{words:?}");
        assert_eq!(done["paths"], answer["paths"], "{words:?}");
        repository.git(&["fsck", "--full", "--strict"]);
        assert_eq!(repository.git(&["status", "--porcelain"]), "", "{words:?}");
        answer
    };
    let paths =
        |answer: &Value| -> Vec<String> { answer["paths"].as_object().unwrap().keys().cloned().collect() };
    let value = format!("{VALUE}\n");
    assert_eq!(paths(&dry(&["--values", "-"], &value)), ["app.env", "binary"]);
    assert_eq!(paths(&dry(&["--secret", "PASSWORD"], "")), ["app.env", "binary"]);
    assert_eq!(paths(&dry(&["--values", "-", "--include", "*.env"], &value)), ["app.env"]);
    assert_eq!(paths(&dry(&["--values", "-", "--exclude", "*.env"], &value)), ["binary"]);
    let skipped = dry(&["--values", "-", "--skip-binary"], &value);
    assert_eq!((paths(&skipped), &skipped["binaries_left"]), (vec!["app.env".to_owned()], &1.into()));
    let replaced = dry(&["--replace-text", "replacements"], "");
    let counts: Vec<u64> =
        replaced["replaced"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).collect();
    assert_eq!((counts[0], counts[3]), (2, 0), "{replaced}");
    assert!(counts[1] > 0, "{replaced}");
    assert_eq!(
        paths(&dry(&["--delete-files", "*.pem", "--delete-files", "id_{rsa,dsa}"], "")),
        ["deep/key.pem", "id_rsa"]
    );
    assert_eq!(paths(&dry(&["--delete-folders", "secrets"], "")), ["deep/secrets"]);
    assert_eq!(paths(&dry(&["--path", "deep/key.pem"], "")), ["deep/key.pem"]);
    assert_eq!(paths(&dry(&["--path-glob", "deep/*"], "")), ["deep/key.pem", "deep/secrets"]);
    assert_eq!(paths(&dry(&["--strip-blobs-bigger-than", "1K"], "")), ["large"]);
    assert_eq!(paths(&dry(&["--strip-blobs-with-ids", "ids"], "")), ["id_rsa"]);
}

#[test]
fn lost_signatures_are_said() {
    let repository = Repository::new();
    let signed = "git cat-file commit HEAD | sed '/^committer /a\\\ngpgsig -----BEGIN PGP SIGNATURE-----\\\n \\\n fake\\\n -----END PGP SIGNATURE-----' \
                  | git hash-object -t commit -w --stdin";
    let made =
        surroundings(Command::new("sh").args(["-c", signed]), repository.folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    repository.git(&["reset", "-q", "--hard", stdout(&made).trim()]);
    assert!(repository.git(&["cat-file", "commit", "HEAD"]).contains("gpgsig"));
    let output = repository.run(&["purge", "--values", "-"], &format!("{VALUE}\n"));
    assert!(stdout(&output).contains("1 commits lose their signature"), "{}", stdout(&output));
    assert!(!repository.git(&["cat-file", "commit", "HEAD"]).contains("gpgsig"));
}

#[test]
fn a_partial_clone_is_refused() {
    let repository = Repository::new();
    repository.git(&["config", "extensions.partialClone", "origin"]);
    let output = repository.run(&["purge", "--values", "-"], &format!("{VALUE}\n"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("partial clone") && stderr(&output).contains("git clone --mirror"),
        "{}",
        stderr(&output)
    );
}
