//! The whole story of docs/incident.md on the real program: a database password is committed and pushed; the hook would have
//! stopped it; a scan names it; an incident rotates it while a service goes on working, purges it, proves that it is gone, and
//! reports who had read it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use strongroom_testkit::peers::{Kind, PASSWORD, Peer};

/// The password that gets out: visibly fake, and hard to guess.
const LEAKED: &str = "fake-Zq7xw91Lk3Vt8Rb2Wd5";

/// A server over a folder, killed when dropped; and a repository beside it, with a bare one as its origin.
struct World {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    token: String,
}

impl World {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = folder.path().display();
        let config = format!(
            "[storage.file]\npath = \"{shown}/data\"\n\
             [listener.tcp]\naddress = \"127.0.0.1:{port}\"\ntls_disable = true\n"
        );
        fs::write(folder.path().join("server.toml"), config).unwrap();
        fs::create_dir(folder.path().join("project")).unwrap();
        let mut world = Self { folder, port, child: None, token: String::new() };
        let log = fs::File::create(world.path("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .args(["server", &format!("--config={}", world.path("server.toml").display())])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        world.child = Some(child.unwrap());
        let began = Instant::now();
        while world.run(&["status"]).stdout.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not answer");
        }
        let made = world.json(&["operator", "init", "--key-shares", "1", "--key-threshold", "1"]);
        world.token = made["root_token"].as_str().unwrap().to_owned();
        world.done(&["operator", "unseal", made["unseal_keys_b64"][0].as_str().unwrap()]);
        let file = format!("file_path={}", world.path("audit.log").display());
        world.done(&["audit", "enable", "file", &file]);
        world.done(&["secrets", "enable", "--path", "secret", "--version", "2", "kv"]);
        world.done(&["secrets", "enable", "database"]);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn project(&self) -> PathBuf {
        self.path("project")
    }

    fn command(&self, words: &[&str], token: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        in_folder(command.args(words), &self.project(), self.folder.path());
        command.env("STRONGROOM_ADDR", format!("http://127.0.0.1:{}", self.port));
        command.env("STRONGROOM_TOKEN", token).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words, &self.token).output().unwrap()
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[words, &["--format", "json"]].concat())).unwrap()
    }

    #[track_caller]
    fn git(&self, words: &[&str]) {
        let mut command = Command::new("git");
        let output = in_folder(command.args(words), &self.project(), self.folder.path()).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", text(&output.stderr));
    }

    /// The accounts of an application in PostgreSQL, of which one is in use, and the plan by which they take turns.
    fn prepare(&self, postgres: &Peer) {
        for (account, password) in [("app_a", LEAKED), ("app_b", PASSWORD)] {
            postgres.ask(&format!("CREATE ROLE {account} LOGIN PASSWORD '{password}'"));
        }
        let url = format!(
            "connection_url=postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
            postgres.port
        );
        let user = format!("username={}", postgres.administrator());
        let password = format!("password={PASSWORD}");
        let plugin = "plugin_name=postgresql-database-plugin";
        self.done(&["write", "database/config/pg", plugin, &url, &user, &password, "allowed_roles=*"]);
        self.done(&["kv", "put", "secret/app/db", "username=app_a", &format!("password={LEAKED}")]);
        self.done(&[
            "rotate",
            "plan",
            "secret/app/db#password",
            "--generate",
            "token bytes=24",
            "--apply",
            "database connection=pg accounts=app_a,app_b",
            "--leak-grace",
            "5s",
        ]);
        let policy = self.path("app.hcl");
        fs::write(&policy, "path \"secret/data/app/*\" { capabilities = [\"read\"] }\n").unwrap();
        self.done(&["policy", "write", "app", policy.to_str().unwrap()]);
    }

    fn token_of(&self, name: &str) -> String {
        let made = self.json(&["token", "create", "--policy", "app", "--display-name", name]);
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// The password is committed and pushed.
    fn leak(&self) {
        self.git(&["init", "-q", "--bare", "../origin.git"]);
        self.git(&["init", "-q", "-b", "main"]);
        self.git(&["remote", "add", "origin", "../origin.git"]);
        fs::write(self.project().join("readme.txt"), "An application.\n").unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "first"]);
        let line = format!("url = postgresql://app_a:{LEAKED}@db.internal:5432/app\n");
        fs::write(self.project().join("config.ini"), line).unwrap();
        self.git(&["add", "-A"]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn in_folder<'c>(command: &'c mut Command, folder: &Path, home: &Path) -> &'c mut Command {
    command.current_dir(folder).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", home);
    for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"] {
        command.env(name, "Tester");
    }
    for name in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
        command.env(name, "tester@example.com");
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("USER", "ann")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A service that asks the database something all the time, with what the server says its credentials are. What it was told stays
/// good for a moment; if not, it asks the server again, once.
struct Service {
    queries: AtomicU64,
    failures: AtomicU64,
    is_over: AtomicBool,
}

impl Service {
    fn work(&self, world: &World, postgres: &Peer, token: &str) {
        let read = || {
            let output =
                world.command(&["kv", "get", "--format", "json", "secret/app/db"], token).output().unwrap();
            let secret: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let text = |name: &str| secret["data"]["data"][name].as_str().unwrap_or_default().to_owned();
            (text("username"), text("password"))
        };
        let mut credentials = read();
        while !self.is_over.load(Ordering::Relaxed) {
            let ask = |(user, password): &(String, String)| {
                postgres.client(user, password, "SELECT 1").status.success()
            };
            if !ask(&credentials) {
                credentials = read();
                if !ask(&credentials) {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                }
            }
            if self.queries.fetch_add(1, Ordering::Relaxed) % 5 == 4 {
                credentials = read();
            }
        }
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn from_the_leak_to_the_proof() {
    let Some(postgres) = Peer::start(Kind::Postgres) else { return };
    let world = World::start();
    world.prepare(&postgres);
    let (app, intern) = (world.token_of("app"), world.token_of("intern"));
    assert!(world.command(&["kv", "get", "secret/app/db"], &intern).output().unwrap().status.success());
    world.leak();
    the_hook_would_have_stopped_it(&world);
    world.git(&["commit", "-q", "--no-verify", "-m", "settings"]);
    world.git(&["push", "-q", "origin", "main"]);
    let service = Arc::new(Service {
        queries: AtomicU64::new(0),
        failures: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let id = std::thread::scope(|scope| {
        scope.spawn(|| service.work(&world, &postgres, &app));
        // The service ends, also where this does not come to its end.
        let _over = Over(&service.is_over);
        let id = opened(&world);
        rotated_and_purged(&world, &id);
        id
    });
    let (queries, failures) =
        (service.queries.load(Ordering::Relaxed), service.failures.load(Ordering::Relaxed));
    println!("{queries} queries while the password changed, {failures} failed");
    assert!(queries > 5 && failures == 0, "{failures} of {queries} queries failed");
    let began = Instant::now();
    while postgres.lets_in("app_a", LEAKED) {
        assert!(began.elapsed() < Duration::from_secs(60), "the password that got out works still");
    }
    proven_and_reported(&world, &id);
}

fn the_hook_would_have_stopped_it(world: &World) {
    let staged = world.run(&["scan", "staged"]);
    assert_eq!(staged.status.code(), Some(7), "{}{}", text(&staged.stdout), text(&staged.stderr));
    assert!(text(&staged.stdout).contains("config.ini"), "{}", text(&staged.stdout));
}

/// What is known: the version, since when it is out, where it was pushed to, and who read it.
fn opened(world: &World) -> String {
    let opened = world.json(&["incident", "open", "secret/app/db#password"]);
    let facts = &opened["facts"];
    assert_eq!((&facts["secrets"][0]["version"], &facts["secrets"][0]["state"]), (&1.into(), &"live".into()));
    assert_eq!(facts["secrets"][0]["has_plan"], true);
    assert_eq!(facts["findings"][0]["path"], "config.ini");
    assert_eq!(facts["findings"][0]["remotes"][0], "origin/main");
    let who: Vec<&str> =
        facts["accesses"].as_array().unwrap().iter().filter_map(|access| access["who"].as_str()).collect();
    assert!(who.contains(&"token-intern"), "{who:?}");
    assert_eq!(opened["steps"][0]["kind"], "rotate");
    opened["id"].as_str().unwrap().to_owned()
}

/// The value is changed while the service works, and goes out of the history; where it was pushed to, it is still.
fn rotated_and_purged(world: &World, id: &str) {
    let output = world.run(&["incident", "run", id, "--yes"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("rescan is not done") && said.contains("origin.git"), "{said}");
    let shown = world.json(&["incident", "show", id]);
    let states: Vec<&str> =
        shown["steps"].as_array().unwrap().iter().filter_map(|s| s["state"].as_str()).collect();
    assert_eq!(states, ["done", "done", "done", "failed", "open", "open"], "{shown}");
    assert_eq!(world.json(&["kv", "get", "secret/app/db"])["data"]["metadata"]["version"], 2);
    let config = fs::read_to_string(world.project().join("config.ini")).unwrap();
    assert!(!config.contains(LEAKED) && config.contains("@db.internal"), "{config}");
}

fn drop_unreachable(world: &World, folder: &str) {
    for words in [["reflog", "expire", "--expire=now", "--all"].as_slice(), &["gc", "-q", "--prune=now"]] {
        world.git(&[["-C", folder].as_slice(), words].concat());
    }
}

fn proven_and_reported(world: &World, id: &str) {
    world.git(&["push", "-q", "--force", "--all", "origin"]);
    drop_unreachable(world, ".");
    drop_unreachable(world, "../origin.git");
    let after = world.json(&[
        "incident",
        "run",
        id,
        "--yes",
        "--report-folder",
        world.folder.path().to_str().unwrap(),
    ]);
    assert_eq!(after["state"], "settled", "{after}");
    let page = fs::read_to_string(world.path(&format!("{id}.html"))).unwrap();
    assert!(page.contains("token-intern") && page.contains("found it nowhere"), "{page}");
    assert!(!page.contains(LEAKED) && !after.to_string().contains(LEAKED));
    world.done(&["incident", "close", id, "--note", "rotated and purged"]);
    let log = fs::read_to_string(world.path("log")).unwrap();
    let audit = fs::read_to_string(world.path("audit.log")).unwrap();
    assert!(!log.contains(LEAKED) && !audit.contains(LEAKED));
}

#[test]
fn honey_is_planted_in_a_file_and_its_use_is_told() {
    let world = World::start();
    fs::write(world.project().join(".env"), "DEBUG=1").unwrap();
    let made =
        world.json(&["honey", "create", "ci", "--token", "--plant", ".env", "--note", "beside the real one"]);
    let fake = made["value"].as_str().unwrap();
    let planted = fs::read_to_string(world.project().join(".env")).unwrap();
    assert_eq!(planted, format!("DEBUG=1\nVAULT_TOKEN={fake}\n"));
    let tried = world.command(&["kv", "get", "secret/app/db"], fake).output().unwrap();
    let other = world.command(&["kv", "get", "secret/app/db"], "hvs.not-a-real-token").output().unwrap();
    assert_eq!((tried.status.code(), text(&tried.stderr)), (other.status.code(), text(&other.stderr)));
    world.done(&["honey", "create", "old-db", "--secret", "secret/old/db", "--incident"]);
    world.done(&["kv", "get", "secret/old/db"]);
    let began = Instant::now();
    let used = |name: &str| world.json(&["honey", "show", name])["uses"].as_u64() > Some(0);
    while !(used("ci") && used("old-db")) {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", world.done(&["honey", "list"]));
    }
    let incident = world.json(&["honey", "show", "old-db"])["incident"].as_str().unwrap().to_owned();
    assert!(
        world.done(&["incident", "show", &incident]).contains("the honey old-db was used from 127.0.0.1")
    );
    let audit = fs::read_to_string(world.path("audit.log")).unwrap();
    assert!(
        audit.contains("\"operation\":\"alarm\"") && audit.contains("sys/honey/ci") && !audit.contains(fake)
    );
    world.done(&["honey", "remove", "ci"]);
    assert_eq!(world.run(&["honey", "show", "ci"]).status.code(), Some(3));
    let unknown = world.run(&["honey", "create", "x", "--token", "--plant", "settings.json"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown.stderr));
}
