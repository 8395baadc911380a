//! A repository with a bare one as its origin; and a server beside it, where a test wants one.

use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_strongroom");
/// Visibly fake, and hard to guess.
pub(crate) const VALUE: &str = "fake-Zq7xw91Lk3Vt8Rb2Wd5";

/// Everything that a test has is in one folder: `project` is the repository, `origin.git` where it is pushed to.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) server: Option<Server>,
}

/// A server over the folder, killed when dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    child: Option<Child>,
    pub(crate) token: String,
    unseal_key: String,
}

impl World {
    /// Without a server.
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), server: None };
        fs::create_dir(world.project()).unwrap();
        world.git(&["init", "-q", "--bare", "../origin.git"]);
        world.git(&["init", "-q", "-b", "main"]);
        world.git(&["remote", "add", "origin", "../origin.git"]);
        world.commit("readme.txt", "An application.\n");
        world
    }

    /// Without a server, and the value committed and pushed.
    pub(crate) fn leaked() -> Self {
        let world = Self::new();
        world.commit("config.ini", &format!("password = {VALUE}\n"));
        world.git(&["push", "-q", "origin", "main"]);
        world.commit("readme.txt", "still nothing\n");
        world
    }

    /// With a server that keeps an audit file and has a mount for secrets.
    pub(crate) fn with_server() -> Self {
        let mut world = Self::new();
        let port = free_port();
        let config = format!(
            "[storage.file]\npath = \"{}/data\"\n\
             [listener.tcp]\naddress = \"127.0.0.1:{port}\"\ntls_disable = true\n",
            world.folder.path().display()
        );
        fs::write(world.path("server.toml"), config).unwrap();
        world.server = Some(Server { port, child: None, token: String::new(), unseal_key: String::new() });
        world.run_server();
        let made = world.json(&["operator", "init", "--key-shares", "1", "--key-threshold", "1"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let server = world.server.as_mut().unwrap();
        server.token = text(&made["root_token"]);
        server.unseal_key = text(&made["unseal_keys_b64"][0]);
        world.unseal();
        let file = format!("file_path={}", world.path("audit.log").display());
        world.done(&["audit", "enable", "file", &file]);
        world.done(&["secrets", "enable", "--path", "secret", "--version", "2", "kv"]);
        world
    }

    /// Starts it over its folder, and waits until it answers.
    fn run_server(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let config = format!("--config={}", self.path("server.toml").display());
        let mut command = Command::new(PROGRAM);
        command.args(["server", &config]).stdout(Stdio::null()).stderr(log);
        self.server.as_mut().unwrap().child = Some(command.spawn().unwrap());
        let began = Instant::now();
        while self.run(&["status"]).stdout.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not answer");
        }
    }

    fn unseal(&self) {
        self.done(&["operator", "unseal", &self.server().unseal_key]);
    }

    /// Kills it, as a machine that loses power does.
    pub(crate) fn kill_server(&mut self) {
        self.server.as_mut().unwrap().kill();
    }

    /// Starts it again after that.
    pub(crate) fn restart_server(&mut self) {
        self.run_server();
        self.unseal();
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// A program in the project, with nothing of the environment of the tests.
    pub(crate) fn program(&self, program: &str, words: &[&str]) -> Command {
        let binaries = Path::new(PROGRAM).parent().unwrap().display();
        let mut command = Command::new(program);
        command.args(words).current_dir(self.project()).env_clear().stdin(Stdio::null());
        command
            .env("PATH", format!("{binaries}:/usr/local/bin:/usr/bin:/bin"))
            .env("HOME", self.folder.path());
        for (name, value) in [("NAME", "Tester"), ("EMAIL", "tester@example.com")] {
            command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("USER", "ann");
        if let Some(server) = &self.server {
            command.env("STRONGROOM_ADDR", server.address()).env("STRONGROOM_MAX_RETRIES", "0");
            command.env("STRONGROOM_TOKEN", &server.token);
        }
        command
    }

    pub(crate) fn git(&self, words: &[&str]) {
        let output = self.program("git", words).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", text(&output.stderr));
    }

    pub(crate) fn commit(&self, name: &str, content: &str) {
        fs::write(self.project().join(name), content).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", name]);
    }

    /// What nothing leads to any more goes, also out of where it was pushed to.
    pub(crate) fn drop_unreachable(&self) {
        for folder in [".", "../origin.git"] {
            self.git(&["-C", folder, "reflog", "expire", "--expire=now", "--all"]);
            self.git(&["-C", folder, "gc", "-q", "--prune=now"]);
        }
    }

    /// Our program as somebody else.
    pub(crate) fn command(&self, words: &[&str], token: &str) -> Command {
        let mut command = self.program(PROGRAM, words);
        command.env("STRONGROOM_TOKEN", token);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.program(PROGRAM, words).output().unwrap()
    }

    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> Output {
        let mut command = self.program(PROGRAM, words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that fails early does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    pub(crate) fn done(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// What it prints as JSON; no word of it, nor of what it tells, is the value that got out.
    #[track_caller]
    pub(crate) fn json_with(&self, words: &[&str], input: &str) -> Value {
        let output = self.run_with(&[words, &["--format", "json"]].concat(), input);
        let (told, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{words:?}: {said}");
        assert!(!told.contains(VALUE) && !said.contains(VALUE), "{told}{said}");
        serde_json::from_str(&told).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        self.json_with(words, "")
    }

    /// The exit code of what has to fail, and what it says.
    #[track_caller]
    pub(crate) fn failed(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = self.run(words);
        assert!(!output.status.success(), "{words:?}: {}", text(&output.stdout));
        (output.status.code(), text(&output.stderr))
    }

    pub(crate) fn token_of(&self, name: &str, policy: &str) -> String {
        let made = self.json(&["token", "create", "--policy", policy, "--display-name", name]);
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn write_policy(&self, name: &str, rules: &str) {
        let file = self.path("policy.hcl");
        fs::write(&file, rules).unwrap();
        self.done(&["policy", "write", name, file.to_str().unwrap()]);
    }

    /// The states of an incident's steps, in their order.
    pub(crate) fn states(&self, id: &str) -> Vec<String> {
        let shown = self.json(&["incident", "show", id]);
        let steps = shown["steps"].as_array().unwrap();
        steps.iter().map(|step| step["state"].as_str().unwrap().to_owned()).collect()
    }
}

impl Server {
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something is so that another process brings about.
#[track_caller]
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
    }
}
