//! The whole story of docs/incident.md: a database password is committed and pushed; the hook would have stopped it; a scan names
//! it by the server's fingerprints; an incident rotates it while a service goes on working, purges it, proves that it is gone, and
//! reports who had read it.
//!
//! With `STRONGROOM_TEST_TELLS` set, it prints what the programs say, as docs/incident.md shows it.

use super::world::{VALUE, World, text, wait_until};
use serde_json::Value;
use std::fs;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use strongroom_testkit::peers::{Kind, PASSWORD, Peer};

/// The accounts of an application in PostgreSQL, of which one is in use, and the plan by which they take turns.
fn prepare(world: &World, postgres: &Peer) {
    for (account, password) in [("app_a", VALUE), ("app_b", PASSWORD)] {
        postgres.ask(&format!("CREATE ROLE {account} LOGIN PASSWORD '{password}'"));
    }
    let url = format!(
        "connection_url=postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
        postgres.port
    );
    let user = format!("username={}", postgres.administrator());
    let password = format!("password={PASSWORD}");
    let plugin = "plugin_name=postgresql-database-plugin";
    world.done(&["secrets", "enable", "database"]);
    world.done(&["write", "database/config/pg", plugin, &url, &user, &password, "allowed_roles=*"]);
    world.done(&["kv", "put", "secret/app/db", "username=app_a", &format!("password={VALUE}")]);
    world.done(&[
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
    world.write_policy("app", "path \"secret/data/app/*\" { capabilities = [\"read\"] }\n");
}

/// A service that asks the database something all the time, with what the server says its credentials are. What it was told stays
/// good for a moment; if not, it asks the server again, once.
#[derive(Default)]
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

/// Prints a command and what it said, for the documentation.
fn tell(line: &str, output: &Output) {
    if std::env::var_os("STRONGROOM_TEST_TELLS").is_some() {
        println!("    $ {line}\n{}{}", text(&output.stdout), text(&output.stderr));
    }
}

/// Runs our program by a line as a person would write it.
fn told(world: &World, line: &str) -> Output {
    let output = world.run(&line.split(' ').collect::<Vec<_>>());
    tell(&format!("strongroom {line}"), &output);
    output
}

#[test]
fn from_the_leak_to_the_proof() {
    let Some(postgres) = Peer::start(Kind::Postgres) else { return };
    let world = World::with_server();
    prepare(&world, &postgres);
    let (app, intern) = (world.token_of("app", "app"), world.token_of("intern", "app"));
    assert!(world.command(&["kv", "get", "secret/app/db"], &intern).output().unwrap().status.success());
    the_hook_would_have_stopped_it(&world);
    world.git(&["commit", "-q", "--no-verify", "-m", "settings"]);
    world.git(&["push", "-q", "--no-verify", "origin", "main"]);
    let service = Service::default();
    let id = std::thread::scope(|scope| {
        scope.spawn(|| service.work(&world, &postgres, &app));
        // The service ends, also where this does not come to its end.
        let _over = Over(&service.is_over);
        let id = named_and_opened(&world);
        rotated_and_purged(&world, &id);
        id
    });
    let (queries, failures) =
        (service.queries.load(Ordering::Relaxed), service.failures.load(Ordering::Relaxed));
    println!("{queries} queries while the password changed, {failures} failed");
    assert!(queries > 5 && failures == 0, "{failures} of {queries} queries failed");
    wait_until("the password that got out works no more", || !postgres.lets_in("app_a", VALUE));
    proven_and_reported(&world, &id);
}

/// The hook knows the store's values: it names the one that is about to be committed.
fn the_hook_would_have_stopped_it(world: &World) {
    world.done(&["guard", "install", "--known"]);
    let line = format!("url = postgresql://app_a:{VALUE}@db.internal:5432/app\n");
    fs::write(world.project().join("config.ini"), line).unwrap();
    world.git(&["add", "-A"]);
    let stopped = world.program("git", &["commit", "-m", "settings"]).output().unwrap();
    tell("git commit -m settings", &stopped);
    let said = text(&stopped.stdout) + &text(&stopped.stderr);
    assert!(!stopped.status.success());
    assert!(said.contains("secret/app/db password version 1 (live") && !said.contains(VALUE), "{said}");
}

/// A scan of the history names it: by that an incident is opened, with the version, since when it is out, where it was pushed to,
/// and who read it.
fn named_and_opened(world: &World) -> String {
    let address = world.server().address();
    let seen = told(world, &format!("scan git --known {address}"));
    let said = text(&seen.stdout);
    assert_eq!(seen.status.code(), Some(7), "{said}{}", text(&seen.stderr));
    assert!(said.contains("secret/app/db password version 1 (live"), "{said}");
    told(world, &format!("scan git --known {address} --format json --output ../leak.json"));
    let report: Value = serde_json::from_slice(&fs::read(world.path("leak.json")).unwrap()).unwrap();
    let rules: Vec<_> = report["findings"].as_array().unwrap().iter().map(|found| &found["rule"]).collect();
    assert_eq!(rules, ["database-url-password", "known-secret"]);
    // Both are of one line: the one that names the secret is meant.
    let opened = told(world, "incident open --report ../leak.json");
    assert!(opened.status.success(), "{}", text(&opened.stderr));
    let list = world.json(&["incident", "list"]);
    let id = list[0]["id"].as_str().unwrap().to_owned();
    let opened = world.json(&["incident", "show", &id]);
    let facts = &opened["facts"];
    let secret = &facts["secrets"][0];
    assert_eq!((&secret["name"], &secret["field"]), (&"secret/app/db".into(), &"password".into()));
    assert_eq!((&secret["version"], &secret["state"]), (&1.into(), &"live".into()));
    assert_eq!((&secret["has_plan"], facts["secrets"].as_array().unwrap().len()), (&true.into(), 1));
    assert_eq!(facts["findings"].as_array().unwrap().len(), 1, "{facts}");
    assert_eq!(facts["findings"][0]["path"], "config.ini");
    assert_eq!(facts["findings"][0]["remotes"][0], "origin/main");
    let names = |list: &str, name: &str| -> Vec<String> {
        let list = facts[list].as_array().unwrap();
        list.iter().filter_map(|one| one[name].as_str()).map(str::to_owned).collect()
    };
    assert!(names("accesses", "who").contains(&"token-intern".to_owned()), "{facts}");
    assert!(names("readers", "name").contains(&"app".to_owned()), "{facts}");
    assert_eq!(opened["steps"][0]["kind"], "rotate");
    id
}

/// The value is changed while the service works, and goes out of the history; where it was pushed to, it is still.
fn rotated_and_purged(world: &World, id: &str) {
    let output = told(world, &format!("incident run {id} --yes"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("rescan is not done") && said.contains("origin.git"), "{said}");
    assert_eq!(world.states(id), ["done", "done", "done", "failed", "open", "open"]);
    assert_eq!(world.json(&["kv", "get", "secret/app/db"])["data"]["metadata"]["version"], 2);
    let config = fs::read_to_string(world.project().join("config.ini")).unwrap();
    assert!(!config.contains(VALUE) && config.contains("@db.internal"), "{config}");
}

fn proven_and_reported(world: &World, id: &str) {
    world.git(&["push", "-q", "--no-verify", "--force", "--all", "origin"]);
    world.drop_unreachable();
    let output = told(world, &format!("incident run {id} --yes --report-folder .."));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let after = world.json(&["incident", "show", id]);
    assert_eq!(after["state"], "settled", "{after}");
    let page = fs::read_to_string(world.path(&format!("{id}.html"))).unwrap();
    assert!(page.contains("token-intern") && page.contains("found it nowhere"), "{page}");
    assert!(!page.contains(VALUE) && !after.to_string().contains(VALUE));
    told(world, &format!("incident close {id} --note rotated-and-purged"));
    // Nothing of the store is left for a scan to name.
    let clean = told(world, &format!("scan git --known {}", world.server().address()));
    assert!(clean.status.success(), "{}", text(&clean.stdout));
    if std::env::var_os("STRONGROOM_TEST_TELLS").is_some() {
        println!("{}", fs::read_to_string(world.path(&format!("{id}.md"))).unwrap());
    }
    let log = fs::read_to_string(world.path("log")).unwrap();
    let audit = fs::read_to_string(world.path("audit.log")).unwrap();
    assert!(!log.contains(VALUE) && !audit.contains(VALUE));
}
