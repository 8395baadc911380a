//! `purge` and the persona `bfg` on the real program: the wiring. What a rewriting does is tested in `scan`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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
