//! Rotation on the real program: the commands, a plugin that hangs while the server is killed, and a program under
//! `run --watch` that gets the new value.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::indexing_slicing, clippy::disallowed_methods, reason = "real programs run in real time")]

use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A server over a folder, killed when dropped.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    key: String,
    token: String,
}

/// `apply` notes that it was asked, and waits while there is a file `hold`.
const PLUGIN: &str = r#"#!/bin/sh
read line
case "$line" in *'"step":"apply"'*)
    echo "$line" >> ../asked
    while [ -e ../hold ]; do sleep 0.02; done ;;
esac
echo '{"ok":true}'
"#;

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = folder.path().display();
        let config = format!(
            "plugin_directory = \"{shown}/plugins\"\nnotify_directory = \"{shown}\"\n\
             [storage.file]\npath = \"{shown}/data\"\n\
             [listener.tcp]\naddress = \"127.0.0.1:{port}\"\ntls_disable = true\n"
        );
        fs::write(folder.path().join("server.toml"), config).unwrap();
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        fs::write(plugins.join("set"), PLUGIN).unwrap();
        for place in [plugins.clone(), plugins.join("set")] {
            fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut server = Self { folder, port, child: None, key: String::new(), token: String::new() };
        server.run();
        let made = server.json(&["operator", "init", "--key-shares", "1", "--key-threshold", "1"]);
        server.key = made["unseal_keys_b64"][0].as_str().unwrap().to_owned();
        server.token = made["root_token"].as_str().unwrap().to_owned();
        server.unseal();
        server.done(&["secrets", "enable", "--path", "secret", "--version", "2", "kv"]);
        server.done(&["kv", "put", "secret/app/key", "token=first-value"]);
        server
    }

    fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let config = format!("--config={}", self.path("server.toml").display());
        let child = Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .args(["server", &config])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let began = Instant::now();
        while self.command(&["status"]).output().unwrap().stdout.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", self.log());
        }
    }

    fn unseal(&self) {
        self.done(&["operator", "unseal", &self.key]);
    }

    /// SIGKILL, and a new one over the same data.
    fn kill_and_start_again(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.run();
        self.unseal();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(words).env("STRONGROOM_ADDR", format!("http://127.0.0.1:{}", self.port));
        command.env("STRONGROOM_TOKEN", &self.token).env("HOME", self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stderr), self.log());
        text(&output.stdout)
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = words.iter().copied().chain(["--format", "json"]).collect();
        serde_json::from_str(&self.done(&words)).unwrap()
    }

    fn validate(&self, value: &str) -> Output {
        let mut child = self
            .command(&["validate", "secret/app/key", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn token_now(&self) -> String {
        self.done(&["kv", "get", "--field", "token", "secret/app/key"])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_secret_changes_by_its_plan_and_both_values_are_valid_for_a_while() {
    let server = Server::start();
    let plan =
        ["rotate", "plan", "secret/app/key#token", "--every", "30d", "--generate", "token prefix=app_"];
    assert!(server.done(&plan).contains("token alphabet=base62 bytes=32 prefix=app_"));
    assert!(server.done(&["rotate", "secret/app/key", "--dry-run"]).contains("promote"));
    let rotated = server.done(&["rotate", "secret/app/key", "--note", "first"]);
    assert_eq!(rotated, "Success! secret/app/key has version 2 now.\n");
    let second = server.token_now();
    assert!(second.starts_with("app_"));
    let valid = server.validate(&format!("{second}\n"));
    assert_eq!(
        (valid.status.code(), text(&valid.stdout)),
        (Some(0), "valid: version 2, the current one\n".into())
    );
    assert!(
        text(&server.validate("first-value").stdout).starts_with("valid: version 1, in its grace until ")
    );
    let invalid = server.validate("another");
    assert_eq!((invalid.status.code(), text(&invalid.stdout)), (Some(1), "not valid\n".into()));
    assert!(server.done(&["rotate", "secret/app/key", "--history"]).contains("first"));
    assert!(server.done(&["rotate", "calendar"]).contains("secret/app/key"));
    server.done(&["rotate", "secret/app/key", "--rollback"]);
    assert_eq!(server.token_now(), "first-value");
    let refused = server.command(&["rotate", "secret/other"]).output().unwrap();
    assert!(text(&refused.stderr).contains("there is no plan for \"secret/other\""));
}

#[test]
fn a_server_that_is_killed_while_a_plugin_hangs_goes_on_with_that_step() {
    let mut server = Server::start();
    server.done(&[
        "rotate",
        "plan",
        "secret/app/key#token",
        "--generate",
        "uuid",
        "--apply",
        "command name=set",
        "--verify",
        "command name=set",
        "--notify",
        "file path=told",
    ]);
    fs::write(server.path("hold"), "").unwrap();
    server.done(&["rotate", "secret/app/key", "--no-wait"]);
    until("the plugin is asked", || lines(&server.path("asked")).len() == 1);
    assert_eq!(server.token_now(), "first-value");
    server.kill_and_start_again();
    assert_eq!(server.token_now(), "first-value");
    fs::remove_file(server.path("hold")).unwrap();
    until("it is promoted", || server.token_now() != "first-value");
    let asked = lines(&server.path("asked"));
    assert!(
        asked.len() >= 2 && asked.iter().all(|line| *line == asked[0]),
        "the same is asked again: {asked:?}"
    );
    let pending = serde_json::from_str::<Value>(&asked[0]).unwrap()["pending"]["token"].clone();
    assert_eq!(pending, server.token_now());
    until("it is told", || server.path("told").exists());
    let history = server.json(&["rotate", "secret/app/key", "--history"]);
    until("it is over", || {
        server.json(&["rotate", "secret/app/key", "--history"])["rotations"].as_array().unwrap().len() == 1
    });
    drop(history);
}

#[test]
fn a_program_that_is_watched_gets_the_new_value() {
    let server = Server::start();
    server.done(&["rotate", "plan", "secret/app/key#token", "--generate", "token prefix=app_"]);
    let project = tempfile::tempdir().unwrap();
    let manifest = "version = 1\nproject = \"watched\"\n\n[env]\ndev = { order = [\"vault\"] }\n\n\
                    [provider]\nvault = { type = \"vault\", path = \"secret/app\" }\n\n\
                    [secret.API_TOKEN]\nref = { vault = \"secret/app/key#token\" }\n";
    fs::write(project.path().join("strongroom.toml"), manifest).unwrap();
    let log = project.path().join("log");
    let mut child = server
        .command(&["--yes", "--env", "dev", "run", "--watch", "--watch-every", "1s", "--", "sh", "-c"])
        .arg("echo \"$API_TOKEN\"; exec sleep 600")
        .current_dir(project.path())
        .stdout(fs::File::create(&log).unwrap())
        .stderr(fs::File::create(project.path().join("errors")).unwrap())
        .spawn()
        .unwrap();
    let errors = || fs::read_to_string(project.path().join("errors")).unwrap();
    until("it starts", || lines(&log) == ["first-value"] || child.try_wait().unwrap().is_some());
    assert_eq!(lines(&log), ["first-value"], "{}", errors());
    server.done(&["rotate", "secret/app/key"]);
    let second = server.token_now();
    until("it is started again", || lines(&log).len() == 2);
    assert_eq!(lines(&log)[1], second, "{}", errors());
    let pid = i32::try_from(child.id()).unwrap();
    Command::new("kill").arg(pid.to_string()).status().unwrap();
    child.wait().unwrap();
}
