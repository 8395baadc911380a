//! `run` on the real program: what reaches the child, and what comes back from it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

const MOUNT: &str = r#"{"request_id":"r","data":{"path":"secret/","options":{"version":"2"}}}"#;
const SECRET: &str =
    r#"{"request_id":"r","data":{"data":{"DB_USER":"alice","db-port":5432},"metadata":{"version":1}}}"#;
const NOTHING: &str = r#"{"errors":[]}"#;
const DENIED: &str = r#"{"errors":["permission denied"],"hint":"needs read on secret/data/closed"}"#;

/// A server with a KV v2 mount and one secret, for as long as the test runs. Returns its address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || answer(&stream));
        }
    });
    address
}

fn answer(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        lines.for_each(drop);
        let (status, body) = match path.as_str() {
            path if path.starts_with("/v1/sys/internal/ui/mounts/") => (200, MOUNT),
            "/v1/secret/data/app" => (200, SECRET),
            "/v1/secret/data/closed" => (403, DENIED),
            _ => (404, NOTHING),
        };
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
    }
}

fn run(address: &str, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .arg("run")
        .args(words)
        .env("VAULT_ADDR", address)
        .env("VAULT_TOKEN", "s.not-a-real-token")
        .env("STRONGROOM_TOKEN", "s.not-a-real-token")
        .env("KEPT", "yes")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn fields_reach_the_child_and_our_token_does_not() {
    let script = r#"echo "$DB_USER $DB_PORT $KEPT [$VAULT_TOKEN$STRONGROOM_TOKEN]""#;
    for path in ["secret/app", "secret/data/app"] {
        let output = run(&serve(), &["--from", path, "--upper", "--", "sh", "-c", script]);
        assert_eq!(stdout(&output), "alice 5432 yes []\n", "{}", stderr(&output));
    }
    let alone = run(&serve(), &["--from=secret/app", "--only=DB_USER", "--no-inherit", "--", "/usr/bin/env"]);
    assert_eq!(stdout(&alone), "DB_USER=alice\n");
}

#[test]
fn the_childs_end_is_ours() {
    let address = serve();
    let with =
        |script| run(&address, &["--from=secret/app", "--only=DB_USER", "--", "sh", "-c", script]).status;
    assert_eq!(with("exit 42").code(), Some(42));
    assert_eq!(with("kill -TERM $$").signal(), Some(15));
    // The child dies of a closed pipe, as it would without us.
    assert_eq!(with("trap '' INT; kill -PIPE $$; exit 0").signal(), Some(13));
}

#[test]
fn without_all_secrets_nothing_is_started() {
    let address = serve();
    let marker = tempfile::tempdir().unwrap();
    let touched = marker.path().join("started");
    let with =
        |path: &str| run(&address, &["--from", path, "--upper", "--", "touch", touched.to_str().unwrap()]);
    let missing = with("secret/nothing");
    assert_eq!(missing.status.code(), Some(3), "{}", stderr(&missing));
    assert!(stderr(&missing).contains("there is no secret at secret/nothing"));
    let denied = with("secret/closed");
    assert_eq!(denied.status.code(), Some(4));
    assert!(stderr(&denied).contains("hint: needs read on secret/data/closed"));
    let unusable = run(&address, &["--from=secret/app", "--", "touch", touched.to_str().unwrap()]);
    assert_eq!(unusable.status.code(), Some(3));
    assert!(stderr(&unusable).contains("\"db-port\" cannot be a variable"));
    let unreachable =
        run("http://127.0.0.1:1", &["--from=secret/app", "--", "touch", touched.to_str().unwrap()]);
    assert_eq!(unreachable.status.code(), Some(5));
    assert!(!touched.exists());
}

#[test]
fn a_program_that_cannot_run_says_so() {
    let address = serve();
    let with =
        |program: &str| run(&address, &["--from=secret/app", "--only=DB_USER", "--", program]).status.code();
    assert_eq!(with("/nonexistent/program"), Some(127));
    let plain_file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(with(plain_file.path().to_str().unwrap()), Some(126));
}
