//! `redact` on the real binary: streams as they come, files as a whole, and where values come from.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.arg("redact").args(words).current_dir(self.0.path()).env_clear().env("HOME", self.0.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        let mut child = self.start(words);
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const MANIFEST: &str = "version = 1\n[env]\ndefault = { order = [\"dotenv\"] }\n[secret]\nDB_PASSWORD = {}\nPIN = {}\n\
    REGION = { sensitive = false }\n";

#[test]
fn a_stream_is_redacted_as_it_comes() {
    let folder = Folder::new();
    folder.write("values", "not-a-real-secret\n");
    let mut child = folder.start(&["--values", "values"]);
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut say = |said: &str, expected: &str| {
        input.write_all(said.as_bytes()).unwrap();
        let mut shown = vec![0; expected.len()];
        output.read_exact(&mut shown).unwrap();
        assert_eq!(text(&shown), expected);
    };
    // Each answer comes before anything else is said.
    say("a line not-a-real-secret\n", "a line ***\n");
    say("Password: ", "Password: ");
    say("not-a-real", "***");
    say("-secret and no", " and no");
    say("t\n", "t\n");
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn values_come_from_the_project_and_are_named_if_they_are_left_in() {
    let folder = Folder::new();
    folder.write("strongroom.toml", MANIFEST);
    folder.write(".env", "DB_PASSWORD=\"p@ss w/rd-1\"\nPIN=1234\nREGION=eu-north-7\n");
    let output = folder.run(&["--style", "name"], "p%40ss%20w%2Frd-1 1234 eu-north-7\n");
    assert_eq!(text(&output.stdout), "[DB_PASSWORD] 1234 eu-north-7\n");
    assert_eq!(
        text(&output.stderr),
        "PIN is left in: it has fewer than 6 bytes, and would be found everywhere\n"
    );
    let output = folder.run(&["--force", "--no-project"], "1234");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("1234", ""));
    let output = folder.run(&["--force"], "1234");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("***", ""));
}

#[test]
fn a_list_comes_by_standard_input_and_the_text_from_a_file() {
    let folder = Folder::new();
    folder.write("log", "a not-a-real-secret b\n");
    let output = folder.run(&["--values", "-", "log"], "\nnot-a-real-secret\r\n");
    assert_eq!(text(&output.stdout), "a *** b\n");
    for (format, list) in [
        ("dotenv", "export KEY='not-a-real-secret'\n"),
        ("json", r#"{"a": {"KEY": "not-a-real-secret", "b": [1, null]}}"#),
    ] {
        let output =
            folder.run(&["--values", "-", "--values-format", format, "log", "--style", "name"], list);
        let name = if format == "json" { "a.KEY" } else { "KEY" };
        assert_eq!(text(&output.stdout), format!("a [{name}] b\n"));
    }
    let output = folder.run(&["--values", "-"], "not-a-real-secret");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot be both"), "{}", text(&output.stderr));
    let output =
        folder.run(&["--values", "-", "--values-format", "json", "log"], "{\"a\": not-a-real-secret");
    assert_eq!(output.status.code(), Some(3));
    assert!(!text(&output.stderr).contains("not-a-real"), "{}", text(&output.stderr));
}

#[test]
fn files_are_changed_as_a_whole_and_counted() {
    let folder = Folder::new();
    folder.write("values", "not-a-real-secret\nswordfish\n");
    let log = folder.write("log", "swordfish not-a-real-secret bm90LWEtcmVhbC1zZWNyZXQ=\n");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o640)).unwrap();
    let clean = folder.write("clean", "nothing\n");
    let before = fs::metadata(&clean).unwrap().modified().unwrap();
    let output = folder.run(&["--values", "values", "--in-place", "--json", "log", "clean"], "");
    assert_eq!(folder.read("log"), "*** *** ***\n");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(&clean).unwrap().modified().unwrap(), before);
    insta::assert_snapshot!(text(&output.stderr), @r#"{"files":[{"count":3,"file":"log","replaced":[{"count":2,"known":true,"name":"line-1"},{"count":1,"known":true,"name":"line-2"}]},{"count":0,"file":"clean","replaced":[]}],"known_values":2}"#);
    assert_eq!(text(&output.stdout), "");
    let output = folder.run(&["--values", "values", "--in-place", "missing"], "");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), ""));
    let output = folder.run(&["--values", "values", "--in-place"], "");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn names_and_rules_work_without_any_value_and_json_stays_json() {
    let folder = Folder::new();
    let lines = "user=ann password=hunter2\n{\"password\": 123456, \"n\": 1}\n";
    let output = folder.run(&["--summary"], lines);
    assert_eq!(text(&output.stdout), "user=ann password=***\n{\"password\": \"***\", \"n\": 1}\n");
    assert_eq!(text(&output.stderr), "standard input: 2 replaced (password 2)\n");
    let output = folder.run(&["--no-patterns"], lines);
    assert_eq!(output.status.code(), Some(2));
    folder
        .write("rules.toml", "[[rules]]\nid = \"ours\"\nregex = '''our-[0-9]{6}'''\nkeywords = [\"our-\"]\n");
    let output = folder.run(&["--rules", "rules.toml", "--style", "name"], "an our-123456 here\n");
    assert_eq!(text(&output.stdout), "an [ours] here\n", "{}", text(&output.stderr));
}

#[test]
fn hashes_are_the_same_under_the_same_key() {
    let folder = Folder::new();
    folder.write("values", "not-a-real-secret\n");
    folder.write("key", "not-a-real-key-of-32-characters.\n");
    folder.write("short", "short\n");
    let hash = |key: &[&str]| {
        let words = [&["--values", "values", "--style", "hash"], key].concat();
        text(&folder.run(&words, "not-a-real-secret").stdout).to_owned()
    };
    let keyed = hash(&["--hash-key", "key"]);
    assert!(keyed.starts_with("[redacted:") && keyed.len() == 19, "{keyed}");
    assert_eq!(keyed, hash(&["--hash-key", "key"]));
    assert_ne!(hash(&[]), hash(&[]));
    let output = folder.run(&["--style", "hash", "--hash-key", "short"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("fewer than 16 bytes"), "{}", text(&output.stderr));
}
