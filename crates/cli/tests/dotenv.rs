//! `dotenv` and the persona of that name on the real program: the wiring. What is read how is tested in `formats`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const TEXT: &str = "A=1 # one\nexport B='x y'\nC=${A}-${HOME}\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), TEXT).unwrap();
    folder
}

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command
        .args(words)
        .current_dir(folder)
        .env("HOME", "/home/of/test")
        .env("VAULT_TOKEN", "s.not-a-real-token");
    command
}

fn run(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    told(command(folder, words).stdin(Stdio::null()).output().unwrap())
}

fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn persona(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    run(folder, &[&["--persona=dotenv"], words].concat())
}

#[test]
fn values_reach_the_child_and_our_token_does_not() {
    let folder = folder();
    let script = r#"echo "$A $B $C [$VAULT_TOKEN]"; exit 4"#;
    let (code, output, _) = run(folder.path(), &["dotenv", "run", "--", "sh", "-c", script]);
    assert_eq!((code, output.as_str()), (Some(4), "1 x y 1-/home/of/test []\n"));
    let (_, output, _) = persona(folder.path(), &["run", "sh", "-c", script]);
    assert_eq!(output, "1 x y 1-/home/of/test [s.not-a-real-token]\n", "python-dotenv takes nothing away");
}

#[test]
fn set_takes_the_value_from_standard_input_and_keeps_the_mode() {
    let folder = folder();
    let path = folder.path().join(".env");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mut child = command(folder.path(), &["dotenv", "set", "A"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"not a real # secret\n").unwrap();
    assert!(child.wait().unwrap().success());
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, TEXT.replace("A=1 #", "A='not a real # secret' #"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let (_, output, _) = run(folder.path(), &["dotenv", "get", "A"]);
    assert_eq!(output, "not a real # secret");
}

#[test]
fn links_are_not_followed_unasked() {
    let folder = folder();
    symlink(".env", folder.path().join("link")).unwrap();
    let (code, _, errors) = run(folder.path(), &["dotenv", "set", "--file=link", "A", "2"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("link is a link to .env"), "{errors}");
    assert_eq!(std::fs::read_to_string(folder.path().join(".env")).unwrap(), TEXT);
}

#[test]
fn lint_names_lines_and_no_values() {
    let folder = folder();
    std::fs::write(folder.path().join(".env"), "OK=1\nP=not-a#real-secret\n").unwrap();
    let (code, output, _) = run(folder.path(), &["dotenv", "lint", "--portable"]);
    assert_eq!(code, Some(3));
    assert!(
        output.starts_with(".env:2: P is read differently\n    python, compose: 17 characters\n"),
        "{output}"
    );
    assert!(
        output.contains("fix: write the value in single quotes") && !output.contains("not-a"),
        "{output}"
    );
    assert_eq!(run(folder.path(), &["dotenv", "lint"]), (Some(0), String::new(), String::new()));
}

#[test]
fn the_persona_speaks_as_python_dotenv_does() {
    let folder = folder();
    let told = |code: i32, output: &str, errors: &str| (Some(code), output.to_owned(), errors.to_owned());
    let path = folder.path();
    assert_eq!(persona(path, &["--version"]), told(0, "dotenv, version 1.2.2\n", ""));
    assert_eq!(
        persona(path, &["list", "--format=export"]).1,
        "export A=1\nexport B='x y'\nexport C=1-/home/of/test\n"
    );
    assert_eq!(persona(path, &["set", "A", "it's"]), told(0, "A=it's\n", ""));
    assert_eq!(persona(path, &["get", "A"]), told(0, "it's\n", ""));
    assert_eq!(persona(path, &["get", "NO"]), told(1, "", ""));
    assert_eq!(persona(path, &["unset", "A"]), told(0, "Successfully removed A\n", ""));
    assert_eq!(
        persona(path, &["-f", "no", "list"]),
        told(2, "", "Error opening env file: [Errno 2] No such file or directory: 'no'\n")
    );
    assert_eq!(
        persona(path, &["get"]),
        told(
            2,
            "",
            "Usage: dotenv get [OPTIONS] KEY\nTry 'dotenv get --help' for help.\n\nError: Missing argument 'KEY'.\n"
        )
    );
}
