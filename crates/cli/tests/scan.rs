//! `scan`, `guard` and the scanners' personas on the real program: the wiring. What is found how is tested in `detect` and `scan`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A token of GitHub's form with a right checksum, that GitHub never issued: put together here so that no scanner stops at this file.
fn token(seed: &str) -> String {
    let body: String = seed.chars().cycle().take(30).collect();
    let mut crc = 0xffff_ffff_u32;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let mut rest = u64::from(!crc);
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut tail = [b'0'; 6];
    for place in tail.iter_mut().rev() {
        *place = digits[usize::try_from(rest % 62).unwrap()];
        rest /= 62;
    }
    format!("{}_{body}{}", ["g", "h", "p"].concat(), String::from_utf8(tail.to_vec()).unwrap())
}

struct Repository {
    folder: TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.git(&["init", "-q", "-b", "main"]);
        repository.write("readme.txt", b"nothing\n");
        repository.commit("first");
        repository
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    fn git(&self, words: &[&str]) -> Output {
        let output = in_folder(Command::new("git").args(words), self.path()).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", stderr(&output));
        output
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--no-verify", "-m", message]);
    }

    fn run(&self, words: &[&str]) -> Output {
        self.run_with(words, b"")
    }

    fn run_with(&self, words: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        in_folder(command.args(words), self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that fails early does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }
}

fn in_folder<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", folder.parent().unwrap().display());
    command.current_dir(folder).env_clear().env("PATH", path).env("HOME", folder);
    for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"] {
        command.env(name, "Tester");
    }
    for name in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
        command.env(name, "tester@example.com");
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Base64 of RFC 4648, for one text.
fn base64(text: &str) -> String {
    data_encoding::BASE64.encode(text.as_bytes())
}

/// A tar with one file (POSIX.1-1988).
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = [header, content.to_vec()].concat();
    tar.resize(tar.len().div_ceil(512) * 512 + 1024, 0);
    tar
}

#[test]
fn planted_secrets_are_found_wherever_they_are() {
    let repository = Repository::new();
    let (merged, squashed, archived, encoded, wide) =
        (token("Merged7x"), token("Squash4q"), token("Archiv9z"), token("Encode2k"), token("Wide16uT"));
    // A merge commit that brings a line of its own.
    repository.git(&["checkout", "-q", "-b", "side"]);
    repository.write("side.txt", b"side\n");
    repository.commit("side");
    repository.git(&["checkout", "-q", "main"]);
    repository.write("main.txt", b"main\n");
    repository.commit("main");
    repository.git(&["merge", "-q", "--no-commit", "--no-ff", "side"]);
    repository.write("merged.txt", format!("token = \"{merged}\"\n").as_bytes());
    repository.commit("merge");
    // A branch that was squashed after its secret had been taken out again, and deleted.
    repository.git(&["checkout", "-q", "-b", "feature"]);
    repository.write("feature.txt", format!("token = \"{squashed}\"\n").as_bytes());
    repository.commit("with");
    repository.write("feature.txt", b"token = os.environ\n");
    repository.commit("without");
    repository.git(&["checkout", "-q", "main"]);
    repository.git(&["merge", "-q", "--squash", "feature"]);
    repository.commit("squashed");
    repository.git(&["branch", "-q", "-D", "feature"]);
    let wide_bytes: Vec<u8> =
        format!("\u{feff}token = \"{wide}\"\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    repository.write("wide.txt", &wide_bytes);
    repository.write("backup.tar", &tar("etc/app.conf", format!("token = \"{archived}\"\n").as_bytes()));
    let json = format!(
        "{{\"data\": \"{}\"}}\n",
        base64(&format!("{{\"user\": \"app\", \"token\": \"{encoded}\"}}"))
    );
    repository.write("secret.json", json.as_bytes());
    repository.commit("files");
    let git = repository.run(&["scan", "git", "--format", "json", "--reveal"]);
    assert_eq!(git.status.code(), Some(7), "{}", stderr(&git));
    for (name, value) in [
        ("merged", &merged),
        ("squashed", &squashed),
        ("encoded", &encoded),
        ("wide", &wide),
        ("archived", &archived),
    ] {
        assert!(
            stdout(&git).contains(value.as_str()),
            "{name} is not found in the history: {}",
            stdout(&git)
        );
    }
    let dir = repository.run(&["scan", "dir", "--format", "json", "--reveal"]);
    for (name, value) in
        [("merged", &merged), ("archived", &archived), ("encoded", &encoded), ("wide", &wide)]
    {
        assert!(stdout(&dir).contains(value.as_str()), "{name} is not found in the files: {}", stdout(&dir));
    }
    // What is hidden unless asked for.
    let hidden = repository.run(&["scan", "git"]);
    assert!(
        !stdout(&hidden).contains(&merged) && stdout(&hidden).contains("merged.txt"),
        "{}",
        stdout(&hidden)
    );
    for _ in 0..2 {
        let again = repository.run(&["scan", "history", "--incremental", "--format", "json", "--reveal"]);
        assert!(stdout(&again).contains(&squashed), "{}{}", stdout(&again), stderr(&again));
    }
}

#[test]
fn a_stream_and_the_forms_of_reports() {
    let repository = Repository::new();
    let line = format!("token = \"{}\"\n", token("Stream5s"));
    let clean = repository.run_with(&["scan", "stdin"], b"abc\n");
    assert!(clean.status.success() && stdout(&clean).contains("nothing found"), "{}", stderr(&clean));
    for (format, part) in [
        ("human", "github"),
        ("json", "\"findings\""),
        ("jsonl", "{\"rule\""),
        ("csv", "RuleID,"),
        ("sarif", "\"runs\""),
        ("junit", "<testsuites"),
        ("html", "<!doctype html"),
        ("github", "::"),
        ("gitleaks", "\"RuleID\""),
    ] {
        let output =
            repository.run_with(&["scan", "stdin", "--format", format, "--exit-code", "3"], line.as_bytes());
        assert_eq!(output.status.code(), Some(3), "{format}: {}", stderr(&output));
        assert!(
            stdout(&output).to_lowercase().contains(&part.to_lowercase()),
            "{format}: {}",
            stdout(&output)
        );
        assert!(!stdout(&output).contains(&token("Stream5s")), "{format} shows the value");
    }
    let tolerated = repository.run_with(&["scan", "stdin", "--max-findings", "9"], line.as_bytes());
    assert!(tolerated.status.success(), "{}", stderr(&tolerated));
}

#[test]
fn a_path_of_the_api_is_told_where_it_went() {
    let repository = Repository::new();
    let output = repository.run(&["scan", "secret/app"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("strongroom list --recursive secret/app"), "{}", stderr(&output));
    let folder = repository.run(&["scan", "."]);
    assert!(stderr(&folder).contains("strongroom scan dir ."), "{}", stderr(&folder));
    let missing = repository.run(&["scan", "dir", "nowhere"]);
    assert_eq!(missing.status.code(), Some(3), "{}", stderr(&missing));
}

#[test]
fn a_guard_stops_a_commit_and_says_what_to_do() {
    let repository = Repository::new();
    let hook = repository.path().join(".git/hooks/pre-commit");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\ntouch ran-before\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        let install = repository.run(&["guard", "install"]);
        assert!(install.status.success(), "{}", stderr(&install));
    }
    let value = token("Commit3c");
    repository.write("app.py", format!("TOKEN = \"{value}\"\n").as_bytes());
    repository.git(&["add", "app.py"]);
    let commit =
        in_folder(Command::new("git").args(["commit", "-m", "x"]), repository.path()).output().unwrap();
    assert_eq!(commit.status.code(), Some(1), "{}", stderr(&commit));
    let said = stderr(&commit);
    for part in ["a secret is in what is about to be committed", "app.py:1", "remove", "rotate", "allow"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(&value), "the value is shown: {said}");
    assert!(repository.path().join("ran-before").exists(), "the hook from before did not run");
    // One index for `git commit FILE`, which is told to hooks.
    let partial = in_folder(Command::new("git").args(["commit", "-m", "x", "app.py"]), repository.path())
        .output()
        .unwrap();
    assert_eq!(partial.status.code(), Some(1), "{}", stderr(&partial));
    repository.write("app.py", format!("TOKEN = \"{value}\"  # strongroom:allow\n").as_bytes());
    repository.git(&["add", "app.py"]);
    repository.git(&["commit", "-q", "-m", "allowed"]);
    repository.write("b.txt", b"b\n");
    repository.git(&["add", "b.txt"]);
    let message = format!("token {value}");
    let commit =
        in_folder(Command::new("git").args(["commit", "-m", &message]), repository.path()).output().unwrap();
    assert_eq!(commit.status.code(), Some(1), "{}", stderr(&commit));
    assert!(stderr(&commit).contains("the commit's message"), "{}", stderr(&commit));
    assert!(repository.run(&["guard", "uninstall"]).status.success());
    assert_eq!(fs::read_to_string(&hook).unwrap(), "#!/bin/sh\ntouch ran-before\n");
    assert!(!repository.path().join(".git/hooks/pre-push").exists());
}

#[test]
fn a_push_is_stopped_on_both_sides() {
    let repository = Repository::new();
    let server = tempfile::tempdir().unwrap();
    let bare = server.path().join("server.git");
    repository.git(&["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    repository.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
    repository.git(&["push", "-q", "origin", "main"]);
    repository.write("app.py", format!("TOKEN = \"{}\"\n", token("Pushed8p")).as_bytes());
    repository.commit("leak");
    let push = || {
        in_folder(Command::new("git").args(["push", "origin", "main"]), repository.path()).output().unwrap()
    };
    assert!(repository.run(&["guard", "install"]).status.success());
    let here = push();
    assert!(
        !here.status.success() && stderr(&here).contains("what is about to be pushed"),
        "{}",
        stderr(&here)
    );
    assert!(repository.run(&["guard", "uninstall"]).status.success());
    let hook = bare.join("hooks/pre-receive");
    fs::write(&hook, format!("#!/bin/sh\nexec {} guard receive\n", env!("CARGO_BIN_EXE_strongroom")))
        .unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let there = push();
    assert!(!there.status.success() && stderr(&there).contains("this push is refused"), "{}", stderr(&there));
    repository.git(&["reset", "-q", "--hard", "HEAD~1"]);
    repository.write("fine.py", b"TOKEN = None\n");
    repository.commit("fine");
    let fine = push();
    assert!(fine.status.success(), "{}", stderr(&fine));
}

#[test]
fn where_husky_is_in_charge_its_files_get_a_line() {
    let repository = Repository::new();
    fs::create_dir_all(repository.path().join(".husky/_")).unwrap();
    repository.git(&["config", "core.hooksPath", ".husky/_"]);
    repository.write(".husky/pre-commit", b"npm test\n");
    assert!(repository.run(&["guard", "install"]).status.success());
    let hook = || fs::read_to_string(repository.path().join(".husky/pre-commit")).unwrap();
    assert!(hook().starts_with("npm test\nstrongroom guard run pre-commit"), "{}", hook());
    assert!(!repository.path().join(".husky/_/pre-commit").exists(), "husky writes that folder anew");
    assert!(repository.run(&["guard", "uninstall"]).status.success());
    assert_eq!(hook(), "npm test\n");
}

/// Answers requests one after another, and keeps their first lines.
fn server(answers: &'static [&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let serve = |answer: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let length = answer.split_once("\r\n\r\n").unwrap().1.len();
            let answer =
                answer.replacen("\r\n", &format!("\r\nConnection: close\r\nContent-Length: {length}\r\n"), 1);
            stream.write_all(answer.as_bytes()).unwrap();
            head.join("\n")
        };
        answers.iter().map(serve).collect()
    });
    (port, serving)
}

#[test]
fn a_service_is_asked_whether_a_token_lives_when_that_is_wanted() {
    let repository = Repository::new();
    let value = token("Validat4");
    repository.write("app.py", format!("TOKEN = \"{value}\"\n").as_bytes());
    let (port, serving) = server(&[
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"login\": \"somebody\"}",
        "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n\r\n{\"message\": \"Bad credentials\"}",
    ]);
    let host = format!("api.github.com=http://127.0.0.1:{port}");
    let validated = || {
        let scan =
            repository.run(&["scan", "dir", "--format", "json", "--validate", "--validate-host", &host]);
        let shown = stdout(&scan);
        assert!(!shown.contains(&value), "the value is shown");
        shown
    };
    let (alive, dead) = (validated(), validated());
    let asked = serving.join().unwrap();
    assert!(asked.iter().all(|head| head.starts_with("GET /user ")), "{asked:?}");
    assert!(asked[0].contains(&value), "the service is told the token, and nobody else");
    assert!(alive.contains("\"active: somebody\""), "{alive}");
    assert!(dead.contains("\"inactive\""), "{dead}");
}

#[test]
fn a_baseline_is_made_walked_through_and_holds() {
    let repository = Repository::new();
    repository.write("app.py", format!("TOKEN = \"{}\"\n", token("Baselin6")).as_bytes());
    repository.commit("leak");
    let create = repository.run(&["scan", "baseline", "create"]);
    assert!(create.status.success(), "{}", stderr(&create));
    let text = fs::read_to_string(repository.path().join(".strongroom-baseline")).unwrap();
    assert!(!text.contains(&token("Baselin6")) && text.contains("app.py"), "{text}");
    for words in [["scan", "dir"], ["scan", "git"]] {
        let output = repository.run(&words);
        assert!(output.status.success(), "{words:?}: {}{}", stdout(&output), stderr(&output));
    }
    let audit = repository.run_with(&["scan", "baseline", "audit"], b"y\n");
    assert!(
        audit.status.success() && stderr(&audit).contains("1 secrets"),
        "{}{}",
        stdout(&audit),
        stderr(&audit)
    );
    assert!(!stdout(&audit).contains(&token("Baselin6")), "{}", stdout(&audit));
    let again = fs::read_to_string(repository.path().join(".strongroom-baseline")).unwrap();
    assert!(again.contains(" true "), "{again}");
    assert!(repository.run(&["scan", "baseline", "update"]).status.success());
}

#[test]
fn known_values_are_found_by_name() {
    let repository = Repository::new();
    let manifest = "version = 1\nproject = \"shop\"\n[env]\ndefault = { order = [\"dotenv\"] }\n[secret]\nDB_PASSWORD = {}\nPIN = {}\n";
    repository.write("strongroom.toml", manifest.as_bytes());
    let value = "Zq8vL2xR5tN9wK1mP7bV3cX6notreal";
    let dotenv = repository.path().join(".env");
    fs::write(&dotenv, format!("DB_PASSWORD={value}\nPIN=1234\n")).unwrap();
    fs::set_permissions(&dotenv, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let export = repository.run(&["--yes", "scan", "fingerprints", "export", "--output", "index.json"]);
    assert!(export.status.success(), "{}", stderr(&export));
    assert!(stderr(&export).contains("PIN") && stderr(&export).contains("left out"), "{}", stderr(&export));
    let index = fs::read_to_string(repository.path().join("index.json")).unwrap();
    assert!(!index.contains(value));
    let mode = fs::metadata(repository.path().join("index.json")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    let encoded = base64(&format!("{{\"p\": \"{value}\"}}"));
    let input = format!("blob: {encoded}\n");
    let found = repository.run_with(&["scan", "stdin", "--known", "index.json"], input.as_bytes());
    assert_eq!(found.status.code(), Some(7), "{}", stderr(&found));
    assert!(stdout(&found).contains("DB_PASSWORD") && !stdout(&found).contains(value), "{}", stdout(&found));
    let server =
        repository.run_with(&["--offline", "scan", "stdin", "--known", "https://vault.example.com"], b"");
    assert!(stderr(&server).contains("--offline forbids asking it"), "{}", stderr(&server));
}

#[test]
fn the_rules_find_their_examples() {
    let repository = Repository::new();
    let list = repository.run(&["scan", "rules", "list"]);
    assert!(list.status.success() && stdout(&list).contains("github"), "{}", stderr(&list));
    let check = repository.run(&["scan", "rules", "check"]);
    assert!(check.status.success(), "{}{}", stdout(&check), stderr(&check));
    repository.write("bad.toml", b"[[rules]]\nid = \"x\"\nregex = '(?=a)b'\nkeywords = [\"a\"]\n");
    let bad = repository.run(&["scan", "rules", "check", "bad.toml"]);
    assert_eq!(bad.status.code(), Some(1), "{}{}", stdout(&bad), stderr(&bad));
    assert!(stderr(&bad).contains('x'), "{}", stderr(&bad));
}

#[test]
fn the_persona_gitleaks() {
    let repository = Repository::new();
    let value = token("Gitleak5");
    repository.write("app.py", format!("TOKEN = \"{value}\"\n").as_bytes());
    repository.commit("leak");
    let run = |words: &[&str]| repository.run(&[&["--persona=gitleaks"], words].concat());
    for words in [&["git"][..], &["dir", "."], &["detect"], &["detect", "--no-git"]] {
        let output = run(&[words, &["-v", "--redact", "-r", "-", "-f", "json", "--no-banner"]].concat());
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("WRN leaks found: 1"), "{words:?}: {}", stderr(&output));
        assert!(
            stdout(&output).contains("\"Secret\": \"REDACTED\"") && stdout(&output).contains("Finding:"),
            "{}",
            stdout(&output)
        );
        assert!(!stdout(&output).contains(&value));
    }
    assert_eq!(run(&["git", "--exit-code=9", "--no-banner"]).status.code(), Some(9));
    assert_eq!(run(&["git", "--nope"]).status.code(), Some(126));
    assert_eq!(run(&["frob"]).status.code(), Some(1));
    let banner = run(&["git", "-l", "fatal"]);
    assert!(stderr(&banner).contains("gitleaks"), "{}", stderr(&banner));
    let fingerprints = run(&["git", "-r", "-", "-f", "json", "--no-banner"]);
    let report: serde_json::Value = serde_json::from_slice(&fingerprints.stdout).unwrap();
    let fingerprint = report[0]["Fingerprint"].as_str().unwrap();
    repository.write(".gitleaksignore", format!("{fingerprint}\n").as_bytes());
    let ignored = run(&["git", "--no-banner"]);
    assert!(ignored.status.success() && stderr(&ignored).contains("no leaks found"), "{}", stderr(&ignored));
    let config = "[[rules]]\nid = \"mine\"\ndescription = \"d\"\nregex = '''needle-[0-9]+'''\nkeywords = [\"needle\"]\n";
    repository.write(".gitleaks.toml", config.as_bytes());
    let own = repository.run_with(&["--persona=gitleaks", "stdin", "--no-banner", "-v"], b"a needle-77 b\n");
    assert_eq!(own.status.code(), Some(1), "{}", stderr(&own));
    assert!(stdout(&own).contains("RuleID:      mine"), "{}", stdout(&own));
    repository.write("staged.txt", b"needle-5\n");
    repository.git(&["add", "staged.txt"]);
    let staged = run(&["git", "--pre-commit", "--redact", "--staged", "--verbose", "--no-banner"]);
    assert_eq!(staged.status.code(), Some(1), "{}", stderr(&staged));
}

#[test]
fn the_persona_git_secrets() {
    let repository = Repository::new();
    let run = |words: &[&str]| repository.run(&[&["--persona=git-secrets"], words].concat());
    assert!(run(&["--register-aws"]).status.success());
    assert_eq!(
        stdout(&run(&["--list"])).lines().filter(|line| line.starts_with("secrets.patterns")).count(),
        5
    );
    assert!(run(&["--add", "needle[0-9]+"]).status.success());
    assert_eq!(run(&["--add", "needle[0-9]+"]).status.code(), Some(1));
    assert!(run(&["--scan"]).status.success());
    repository.write("a.txt", b"x\na needle77 b\n");
    let file = run(&["--scan", "a.txt"]);
    assert_eq!(file.status.code(), Some(1));
    assert!(
        stderr(&file).starts_with("a.txt:2:a needle77 b\n\n[ERROR] Matched one or more"),
        "{}",
        stderr(&file)
    );
    let install = run(&["--install"]);
    assert!(
        stdout(&install).contains("Installed pre-commit hook to .git/hooks/pre-commit"),
        "{}",
        stdout(&install)
    );
    assert_eq!(run(&["--install"]).status.code(), Some(1));
    assert!(run(&["--install", "-f"]).status.success());
    repository.git(&["add", "a.txt"]);
    assert_eq!(run(&["--pre_commit_hook", "--"]).status.code(), Some(1));
    assert_eq!(run(&["--scan", "--cached"]).status.code(), Some(1));
    repository.commit("leak");
    fs::remove_file(repository.path().join("a.txt")).unwrap();
    repository.commit("gone");
    assert!(run(&["--scan"]).status.success());
    let history = run(&["--scan-history"]);
    assert_eq!(history.status.code(), Some(1));
    assert!(stderr(&history).contains(":a.txt:2:a needle77 b"), "{}", stderr(&history));
    repository.write(".gitallowed", b"# ours\nneedle77\n");
    assert!(run(&["--scan-history"]).status.success());
    let stream = repository.run_with(&["--persona=git-secrets", "--scan", "-"], b"needle5\n");
    assert_eq!(stream.status.code(), Some(1), "{}", stderr(&stream));
    assert_eq!(run(&["--scan", "-f"]).status.code(), Some(1));
    repository.git(&["checkout", "-q", "--orphan", "new"]);
    repository.write("b.txt", b"needle88\n");
    repository.git(&["add", "b.txt"]);
    repository.git(&["branch", "-q", "-D", "main"]);
    let unborn = run(&["--scan-history"]);
    assert!(stderr(&unborn).starts_with("b.txt:1:needle88\n"), "what is tracked: {}", stderr(&unborn));
}

#[test]
fn the_persona_detect_secrets() {
    let repository = Repository::new();
    repository.write("app.py", b"password = \"not-a-real-one-77\"\n");
    repository.commit("leak");
    let run = |words: &[&str]| repository.run(&[&["--persona=detect-secrets"], words].concat());
    let hook = |words: &[&str]| repository.run(&[&["--persona=detect-secrets-hook"], words].concat());
    assert_eq!(hook(&["app.py"]).status.code(), Some(1));
    let scan = run(&["scan"]);
    let document: serde_json::Value = serde_json::from_slice(&scan.stdout).unwrap();
    assert_eq!(document["results"]["app.py"][0]["type"], "Secret Keyword");
    assert_eq!(document["version"], "1.5.0");
    repository.write(".secrets.baseline", &scan.stdout);
    repository.git(&["add", ".secrets.baseline"]);
    let known = hook(&["--baseline", ".secrets.baseline", "app.py"]);
    assert_eq!(known.status.code(), Some(0), "{}{}", stdout(&known), stderr(&known));
    repository.write("app.py", b"\n\npassword = \"not-a-real-one-77\"\n");
    let moved = hook(&["--baseline", ".secrets.baseline", "app.py"]);
    assert_eq!(moved.status.code(), Some(3), "{}{}", stdout(&moved), stderr(&moved));
    let audit = repository.run_with(&["--persona=detect-secrets", "audit", ".secrets.baseline"], b"n\n");
    assert!(stdout(&audit).contains("Saving progress..."), "{}{}", stdout(&audit), stderr(&audit));
    let statistics = run(&["audit", "--stats", ".secrets.baseline"]);
    assert!(stdout(&statistics).contains("True Positives: 1"), "{}", stdout(&statistics));
    let report = run(&["audit", "--report", ".secrets.baseline"]);
    assert!(stdout(&report).contains("VERIFIED_TRUE"), "{}", stdout(&report));
    let verdicts = run(&["scan", "--string", "AKIAQYLPMN5HHHFPZAM2"]);
    assert!(
        stdout(&verdicts).contains("AWSKeyDetector          : True  (unverified)"),
        "{}",
        stdout(&verdicts)
    );
    assert_eq!(stdout(&run(&["scan", "--list-all-plugins"])).lines().count(), 27);
}
