//! The project's verbs on the real program: what reaches the child, what is said, and the exit codes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

const MANIFEST: &str = r#"version = 1
project = "shop"
[env]
default = { order = ["process", "dotenv"] }
prod = { order = ["process"], protected = true }
[secret]
DATABASE_URL = { type = "url", schemes = ["postgres"], compose = "postgres://app:${DB_PASSWORD|url}@db/shop" }
DB_PASSWORD = { internal = true, min = 8, generate = { kind = "password", length = 20 } }
PORT = { type = "port", sensitive = false, default = 8080 }
STRIPE_KEY = { type = "token", match = "^sk_(live|test)_", doc = "Payments", example = "sk_test_000" }
CERT = { as = "file", optional = true }
[scope]
worker = ["PORT"]
[generate]
env-example = ".env.example"
"#;

const DOTENV: &str = "# our values\nDB_PASSWORD=not/a real one\nSTRIPE_KEY=sk_test_not_a_real_key\n";

struct Project {
    folder: TempDir,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Self { folder };
        project.write("strongroom.toml", MANIFEST);
        project.write(".env", DOTENV);
        project
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(words).current_dir(self.path()).env_clear();
        command
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path())
            .env("VAULT_TOKEN", "s.not-a-real-token");
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn run_with(&self, words: &[&str], input: &str) -> Output {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn stdout(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_program_gets_what_is_declared_and_not_our_credentials() {
    let project = Project::new();
    let script = "echo \"$DATABASE_URL $PORT [$DB_PASSWORD$VAULT_TOKEN$UNDECLARED]\"; exit 7";
    let output = project.run(&["run", "--", "sh", "-c", script]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "postgres://app:not%2Fa%20real%20one@db/shop 8080 []\n"
    );
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    let alone = project.stdout(&["run", "--clean", "--scope", "worker", "--", "/usr/bin/env"]);
    assert_eq!(alone, "PORT=8080\n");
}

#[test]
fn a_secret_as_a_file_goes_with_the_program() {
    let project = Project::new();
    project.write(".env", &format!("{DOTENV}CERT='not a real certificate'\n"));
    let script = "printf '%s|' \"$CERT\"; cat \"$CERT\"";
    let memory = project.stdout(&["run", "--", "sh", "-c", script]);
    assert!(memory.starts_with("/proc/") && memory.ends_with("|not a real certificate"), "{memory}");
    let temporary = project.stdout(&["run", "--files", "temporary", "--", "sh", "-c", script]);
    let (path, content) = temporary.split_once('|').unwrap();
    assert_eq!((content, Path::new(path).exists()), ("not a real certificate", false));
}

#[test]
fn output_is_redacted_and_the_exit_code_passes_through() {
    let project = Project::new();
    let script = "echo key $STRIPE_KEY; echo $STRIPE_KEY | base64 -w0 >&2; exit 9";
    let output = project.run(&["run", "--redact", "--", "sh", "-c", script]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "key ***\n");
    assert!(!stderr(&output).contains("c2tfdGVzdF9ub3RfYV9yZWFsX2tle"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(9));
    let script = "echo key $STRIPE_KEY password=hunter2";
    let both = project.run(&["run", "--redact=patterns", "--", "sh", "-c", script]);
    assert_eq!(String::from_utf8_lossy(&both.stdout), "key *** password=***\n");
    let killed = project.run(&["run", "--redact", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.status.code(), Some(143));
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_nothing_is_started() {
    let project = Project::new();
    project.write(".env", "DB_PASSWORD=short\nSTRIPE_KEY=pk_hunter2\nPORT=http\nSTRIPE_KAY=x\n");
    let marker = project.path().join("started");
    let run = project.run(&["run", "--", "touch", marker.to_str().unwrap()]);
    let said = stderr(&run);
    assert_eq!(run.status.code(), Some(3), "{said}");
    for part in ["DB_PASSWORD (", "STRIPE_KEY (", "PORT (", "strongroom.toml:8:1", ".env:2"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("hunter2") && !said.contains("short"), "{said}");
    assert!(!marker.exists());
    let check = project.run(&["check"]);
    assert_eq!(check.status.code(), Some(3));
    assert!(stderr(&check).contains("did you mean \"STRIPE_KEY\"?"), "{}", stderr(&check));
    project.write("strongroom.toml", "version = 1\n[secrets]\n");
    assert_eq!(project.run(&["check"]).status.code(), Some(2));
}

#[test]
fn json_has_no_values_unless_revealed() {
    let project = Project::new();
    for words in [
        &["list", "--json"][..],
        &["check", "--json"],
        &["explain", "STRIPE_KEY", "--json"],
        &["get", "STRIPE_KEY", "--json"],
    ] {
        let text = project.stdout(words);
        assert!(text.contains("\"version\": 1") && !text.contains("not_a_real_key"), "{words:?}: {text}");
    }
    assert!(project.stdout(&["list", "--json", "--reveal"]).contains("sk_test_not_a_real_key"));
    assert_eq!(project.stdout(&["get", "STRIPE_KEY"]), "sk_test_not_a_real_key");
}

#[test]
fn values_are_set_and_taken_away_one_line_at_a_time() {
    let project = Project::new();
    let set = project.run_with(&["set", "STRIPE_KEY"], "sk_live_not_real\n");
    assert!(set.status.success(), "{}", stderr(&set));
    assert_eq!(project.read(".env"), DOTENV.replace("sk_test_not_a_real_key", "sk_live_not_real"));
    let refused = project.run_with(&["set", "STRIPE_KEY"], "pk_hunter2");
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("STRIPE_KEY does not match") && !stderr(&refused).contains("hunter2"));
    assert!(stderr(&project.run(&["set", "PORT", "81"])).contains("warning: a value on the command line"));
    assert!(project.run(&["set", "--generate", "DB_PASSWORD"]).status.success());
    assert_eq!(project.stdout(&["get", "DB_PASSWORD"]).len(), 20);
    assert!(project.run(&["unset", "PORT"]).status.success());
    assert!(!project.read(".env").contains("PORT") && project.read(".env").starts_with("# our values\n"));
    assert_eq!(project.run(&["set", "STRIPE_KAY", "x"]).status.code(), Some(3));
    assert_eq!(project.run_with(&["-E", "prod", "set", "STRIPE_KEY"], "sk_live_x").status.code(), Some(2));
}

#[test]
fn the_lock_notices_what_changes() {
    let project = Project::new();
    assert_eq!(project.run(&["run", "--locked", "--", "true"]).status.code(), Some(6));
    let lock = project.run(&["lock"]);
    assert!(lock.status.success(), "{}", stderr(&lock));
    let text = project.read("strongroom.lock");
    assert!(text.contains("[env.default.secret.STRIPE_KEY]") && !text.contains("sk_test"), "{text}");
    assert!(project.run(&["run", "--locked", "--", "true"]).status.success());
    assert!(project.run(&["check"]).status.success(), "{}", stderr(&project.run(&["check"])));
    project.write(".env", &project.read(".env").replace("sk_test_not", "sk_test_now"));
    let changed = project.run(&["run", "--locked", "--", "true"]);
    assert_eq!(changed.status.code(), Some(6));
    assert!(
        stderr(&changed).contains("STRIPE_KEY has another value than the lock says"),
        "{}",
        stderr(&changed)
    );
    assert_eq!(project.run(&["lock", "--check"]).status.code(), Some(6));
}

#[test]
fn exports_templates_and_generated_files() {
    let project = Project::new();
    assert!(
        project
            .stdout(&["export", "kubernetes"])
            .contains("STRIPE_KEY: \"c2tfdGVzdF9ub3RfYV9yZWFsX2tleQ==\"")
    );
    let github_env = project.path().join("github_env");
    let mut command = project.command(&["export", "github"]);
    let masks = command.env("GITHUB_ENV", &github_env).output().unwrap();
    assert!(String::from_utf8_lossy(&masks.stdout).contains("::add-mask::sk_test_not_a_real_key\n"));
    assert!(project.read("github_env").contains("STRIPE_KEY<<END_"));
    project.write("app.conf.in", "key = \"{{STRIPE_KEY|json}}\"\n");
    assert_eq!(project.stdout(&["template", "app.conf.in"]), "key = \"sk_test_not_a_real_key\"\n");
    project.write("bad.in", "{{NOPE}}");
    assert_eq!(project.run(&["template", "bad.in"]).status.code(), Some(3));
    assert_eq!(project.run(&["check", "--frozen"]).status.code(), Some(1));
    assert!(project.run(&["generate"]).status.success());
    assert!(project.read(".env.example").contains("# Payments\n# token\nSTRIPE_KEY=sk_test_000\n"));
    assert!(project.run(&["check", "--frozen"]).status.success());
}

#[test]
fn a_manifest_that_runs_programs_is_asked_about_first() {
    let project = Project::new();
    let manifest = MANIFEST.replace("\"dotenv\"]", "\"tool\"]");
    let marker = project.path().join("ran");
    let provider = format!(
        "[provider]\ntool = {{ type = \"command\", run = [\"touch\", {:?}, \"{{name}}\"] }}\n",
        marker.to_str().unwrap()
    );
    project.write("strongroom.toml", &(manifest + &provider));
    let run = project.run(&["run", "--", "true"]);
    assert_eq!(run.status.code(), Some(4), "{}", stderr(&run));
    assert!(stderr(&run).contains("tool: runs touch"), "{}", stderr(&run));
    assert!(!marker.exists());
    assert!(project.run(&["trust"]).status.success());
    project.run(&["run", "--", "true"]);
    assert!(marker.exists());
}

#[test]
fn an_empty_value_of_a_file_in_use_does_not_stop_a_new_project() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project { folder };
    project.write(".env", "API_TOKEN=not-a-real-token-0000\nSENTRY_DSN=\n");
    project.write(".env.example", "API_TOKEN=\nSENTRY_DSN=\n");
    assert!(project.run(&["init"]).status.success());
    let manifest = project.read("strongroom.toml");
    assert!(manifest.contains("SENTRY_DSN = { type = \"url\", optional = true }"), "{manifest}");
    assert!(!manifest.contains("API_TOKEN = { type = \"token\", optional"), "{manifest}");
    assert_eq!(project.stdout(&["run", "--", "sh", "-c", "echo [$SENTRY_DSN]"]), "[]\n");
    project.write(".env", "API_TOKEN=\n");
    let run = project.run(&["run", "--", "true"]);
    assert_eq!(run.status.code(), Some(3));
    assert!(
        stderr(&run).contains("is empty") && stderr(&run).contains("optional = true"),
        "{}",
        stderr(&run)
    );
}

/// Answers every request with the config vars of an app, and counts the requests.
fn config_vars() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            counted.fetch_add(1, Ordering::SeqCst);
            let body = r#"{"API_KEY": "not-a-real-key"}"#;
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length";
            write!(stream, "{head}: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    (url, count)
}

#[test]
fn offline_takes_what_the_cache_has_and_reaches_no_host() {
    let project = Project::new();
    let (url, count) = config_vars();
    let manifest = |cache: &str| {
        format!(
            "version = 1\nproject = \"shop\"\n[env]\ndefault = {{ order = [\"app\"] }}\n[secret]\nAPI_KEY = {{}}\n\
             [provider]\napp = {{ type = \"heroku\", app = \"shop\", endpoint = {url:?}, retries = 0{cache} }}\n"
        )
    };
    let run = |flags: &[&str]| {
        let words = [&["run", "--yes"], flags, &["--", "printenv", "API_KEY"]].concat();
        project.command(&words).env("HEROKU_API_KEY", "not-a-real-token").output().unwrap()
    };
    project.write("strongroom.toml", &manifest(""));
    let refused = run(&["--offline"]);
    assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("asked for API_KEY") && stderr(&refused).contains("`cache ="));
    project.write("strongroom.toml", &manifest(", cache = \"1h\""));
    let empty = run(&["--offline"]);
    assert_eq!(empty.status.code(), Some(5), "{}", stderr(&empty));
    assert!(stderr(&empty).contains("asked for API_KEY") && stderr(&empty).contains("fills the cache"));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let online = run(&[]);
    assert_eq!(online.stdout, b"not-a-real-key\n", "{}", stderr(&online));
    assert_eq!(stderr(&online), "");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let offline = run(&["--offline"]);
    assert_eq!(offline.stdout, b"not-a-real-key\n", "{}", stderr(&offline));
    assert_eq!(stderr(&offline).matches("values from the cache, up to").count(), 1, "{}", stderr(&offline));
    assert!(!stderr(&offline).contains("not-a-real-key"));
    let written = project.run_with(&["set", "--yes", "--offline", "API_KEY"], "not-a-new-key");
    assert_eq!(written.status.code(), Some(5), "{}", stderr(&written));
    assert_eq!(run(&["--offline"]).stdout, b"not-a-real-key\n");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_manifest_is_made_from_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project { folder };
    project.write(".env", "# Where the data is\nDATABASE_URL=postgres://u:not-real@h/d\nPORT=8080\n");
    project.write("app.py", "import os\nos.getenv('SENTRY_DSN')\n");
    let init = project.run(&["init"]);
    assert!(init.status.success(), "{}", stderr(&init));
    let manifest = project.read("strongroom.toml");
    assert!(manifest.contains(
        "DATABASE_URL = { type = \"url\", schemes = [\"postgres\"], doc = \"Where the data is\" }"
    ));
    assert!(manifest.contains("SENTRY_DSN = { type = \"url\", optional = true }"));
    assert!(!manifest.contains("not-real"));
    assert!(project.run(&["check"]).status.success());
    assert_eq!(project.run(&["init"]).status.code(), Some(2));
}

#[test]
fn a_program_is_started_again_when_values_change() {
    let project = Project::new();
    let script = "echo $STRIPE_KEY >> seen; while :; do sleep 0.05; done";
    let mut child =
        project.command(&["run", "--watch", "--grace", "1s", "--", "sh", "-c", script]).spawn().unwrap();
    let seen = |expected: &str| {
        // As long as it takes, within reason.
        let found = (0..400).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            fs::read_to_string(project.path().join("seen")).is_ok_and(|text| text == expected)
        });
        assert!(found, "{expected:?} was not seen");
    };
    seen("sk_test_not_a_real_key\n");
    project.write(".env", &DOTENV.replace("sk_test_not_a_real_key", "sk_test_a_new_one"));
    seen("sk_test_not_a_real_key\nsk_test_a_new_one\n");
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_shell_gets_the_values_of_a_trusted_project_alone() {
    let project = Project::new();
    let untrusted = project.run(&["hook-env", "bash"]);
    assert!(
        stderr(&untrusted).contains("is not trusted")
            && !String::from_utf8_lossy(&untrusted.stdout).contains("sk_test")
    );
    assert!(project.run(&["trust"]).status.success());
    let program = env!("CARGO_BIN_EXE_strongroom");
    let script = format!(
        "eval \"$({program} hook-env bash)\"; echo \"$PORT\"; eval \"$({program} hook-env bash)\"; cd /; \
         eval \"$({program} hook-env bash)\"; echo \"[$PORT$STRONGROOM_HOOK]\""
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(project.path()).env_clear();
    let output = bash.env("PATH", "/usr/bin:/bin").env("HOME", project.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "8080\n[]\n", "{}", stderr(&output));
    assert!(!stderr(&output).contains("sk_test"));
}
