//! `scan --known` and `guard install --known` on the real program against a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::indexing_slicing, clippy::disallowed_methods, reason = "real programs run in real time")]

use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const VALUE: &str = "fake-Zq8vL2xR5tN9wK1mP7bV3cX6";

/// A server over a folder, killed when dropped; and a repository beside it.
struct Place {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    token: String,
}

impl Place {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = folder.path().display();
        let config = format!(
            "[storage.file]\npath = \"{shown}/data\"\n[listener.tcp]\naddress = \"127.0.0.1:{port}\"\ntls_disable = true\n"
        );
        fs::write(folder.path().join("server.toml"), config).unwrap();
        fs::create_dir(folder.path().join("repository")).unwrap();
        let mut place = Self { folder, port, child: None, token: String::new() };
        let config = format!("--config={}", place.path("server.toml").display());
        let mut server = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        server.args(["server", &config]).stdout(Stdio::null()).stderr(Stdio::null());
        place.child = Some(server.spawn().unwrap());
        let began = Instant::now();
        while place.run(&["status"], "").stdout.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        let made = place.done(&[
            "operator",
            "init",
            "--key-shares",
            "1",
            "--key-threshold",
            "1",
            "--format",
            "json",
        ]);
        let made: Value = serde_json::from_str(&made).unwrap();
        place.token = made["root_token"].as_str().unwrap().to_owned();
        place.done(&["operator", "unseal", made["unseal_keys_b64"][0].as_str().unwrap()]);
        place.done(&["secrets", "enable", "--path", "secret", "--version", "2", "kv"]);
        place.done(&["kv", "put", "secret/app/db", "user=app", &format!("password={VALUE}")]);
        place.git(&["init", "-q", "-b", "main"]);
        place
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_strongroom"));
        let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
        command.args(words).current_dir(self.path("repository")).env("PATH", path);
        command
            .env("STRONGROOM_ADDR", format!("http://127.0.0.1:{}", self.port))
            .env("STRONGROOM_MAX_RETRIES", "0");
        command
            .env("STRONGROOM_TOKEN", &self.token)
            .env("HOME", self.folder.path())
            .env_remove("XDG_CACHE_HOME");
        for (name, value) in [("NAME", "a"), ("EMAIL", "a@example.com")] {
            command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        command
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_strongroom"), words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        let output = self.run(words, "");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn git(&self, words: &[&str]) -> Output {
        self.command("git", words).output().unwrap()
    }

    /// What a scan says, in JSON.
    #[track_caller]
    fn findings(&self, words: &[&str], input: &str) -> Vec<Value> {
        let output = self.run(words, input);
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| unreachable!("{words:?}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        report["findings"].as_array().unwrap().clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop();
    }
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_value_of_the_store_is_named_where_it_was_found() {
    let mut place = Place::start();
    let stdin = ["scan", "stdin", "--format", "json", "--known"];
    let found = place.findings(&stdin, &format!("x: {}\n", hex(&format!("p={VALUE};"))));
    let [finding] = &found[..] else { unreachable!("{found:?}") };
    assert_eq!(finding["rule"], "known-secret");
    let about = &finding["known"]["places"][0];
    assert_eq!(about["secret"], "secret/app/db");
    assert_eq!((&about["key"], &about["state"]), (&"password".into(), &"current".into()));
    assert_eq!((&about["live"], &about["readers"]["count"]), (&true.into(), &1.into()));
    assert_eq!(finding["notes"][0], "secret/app/db password version 1 (live; 1 may read it)");
    // The index is kept, for its owner alone, and holds no value and no name.
    let caches: Vec<_> =
        fs::read_dir(place.path(".cache/strongroom")).unwrap().map(|it| it.unwrap()).collect();
    assert_eq!((caches.len(), caches[0].metadata().unwrap().permissions().mode() & 0o777), (1, 0o600));
    let kept = fs::read_to_string(caches[0].path()).unwrap();
    assert!(!kept.contains(VALUE) && !kept.contains("app/db") && !kept.contains("password"));
    // In histories, by another command line, and in what CI reads.
    fs::write(place.path("repository/config"), format!("pw={VALUE}\n")).unwrap();
    place.git(&["add", "."]);
    place.git(&["commit", "-qm", "one"]);
    fs::write(place.path("repository/config"), "pw=\n").unwrap();
    place.git(&["commit", "-qam", "two"]);
    let address = format!("http://127.0.0.1:{}", place.port);
    let found = place.findings(&["scan", "git", "--format", "json", "--known", &address], "");
    assert_eq!(found[0]["known"]["places"][0]["secret"], "secret/app/db");
    let sarif = said(&place.run(&["scan", "git", "--format", "sarif", "--known"], ""));
    assert!(sarif.contains("\"known\"") && sarif.contains("secret/app/db"), "{sarif}");
    // What has changed since is known at once.
    place.done(&["kv", "put", "secret/app/db", "password=fake-other-Hb6Gf3Yz9Ua5Qe0Wi8"]);
    let human = said(&place.run(&["scan", "stdin", "--known"], VALUE));
    assert!(human.contains("secret/app/db password version 1 (superseded; 1 may read it)"), "{human}");
    assert_eq!(place.findings(&stdin, "x fake-other-Hb6Gf3Yz9Ua5Qe0Wi8 y").len(), 1);
    // For CI without the server: a file that says little. The server confirms what was found with it.
    place.done(&["scan", "fingerprints", "fetch", "--output", "../cut.json"]);
    let cut = ["scan", "stdin", "--format", "json", "--known", "../cut.json"];
    assert_eq!(place.findings(&cut, VALUE)[0]["known"]["places"][0]["secret"], "secret/app/db");
    // A server that is away: what is kept will do.
    place.stop();
    let found = place.findings(&cut, VALUE);
    assert_eq!((found.len(), found[0]["known"].get("places")), (1, None));
    let away = place.run(&stdin, VALUE);
    assert_eq!(away.status.code(), Some(7));
    assert!(said(&away).contains("what is kept of it is used"), "{}", said(&away));
    fs::remove_dir_all(place.path(".cache")).unwrap();
    let nothing = place.run(&stdin, VALUE);
    assert!(
        nothing.status.code() != Some(0) && said(&nothing).contains("fetching the fingerprints"),
        "{}",
        said(&nothing)
    );
}

#[test]
fn a_hook_stops_a_value_of_the_store() {
    let place = Place::start();
    let hex_value = hex(VALUE);
    fs::write(place.path("repository/notes"), format!("{hex_value}\n")).unwrap();
    place.git(&["add", "."]);
    place.done(&["guard", "install", "--known"]);
    let commit = place.git(&["commit", "-qm", "one"]);
    assert!(!commit.status.success());
    assert!(said(&commit).contains("secret/app/db password version 1 (live"), "{}", said(&commit));
    assert!(!said(&commit).contains(&hex_value));
    place.done(&["guard", "uninstall"]);
    assert!(!place.git(&["config", "--get", "strongroom.known"]).status.success());
    assert!(place.git(&["commit", "-qm", "one"]).status.success());
}

#[test]
fn without_the_right_there_is_no_index() {
    let mut place = Place::start();
    let stdin = ["scan", "stdin", "--known"];
    assert_eq!(place.run(&stdin, VALUE).status.code(), Some(7));
    fs::write(place.path("little.hcl"), "path \"secret/*\" { capabilities = [\"read\"] }").unwrap();
    place.done(&["policy", "write", "little", "../little.hcl"]);
    let made = place.done(&["token", "create", "--policy", "little", "--format", "json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    place.token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    let refused = place.run(&stdin, VALUE);
    assert!(said(&refused).contains("permission denied"), "{}", said(&refused));
    // What was kept is gone: whoever may not have the index should not go on having it.
    assert_eq!(fs::read_dir(place.path(".cache/strongroom")).unwrap().count(), 0);
}
