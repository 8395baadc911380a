//! Accounts in real databases: PostgreSQL, MariaDB and Redis, where the machine has them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "database/faults.rs"]
mod faults;
#[path = "database/tls.rs"]
mod tls;

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use strongroom_kernel::{KernelSettings, Seal, Sharing};
use strongroom_storage::Storage;
use strongroom_storage::memory::{Fault, MemoryStorage};
use strongroom_testkit::peers::{Kind, PASSWORD, Peer};
use strongroom_testkit::server::{Answer, TestServer, new_kernel};

const POSTGRES_ROLE: &str = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; \
                             GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\"";
const MARIADB_ROLE: &str =
    "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON mysql.* TO '{{name}}'@'%'";

fn server(peer: &Peer) -> TestServer {
    server_on(peer, Arc::new(MemoryStorage::new()))
}

fn server_on(peer: &Peer, storage: Arc<MemoryStorage>) -> TestServer {
    let sharing = Sharing { shares: 1, threshold: 1 };
    let server = TestServer::start_on(storage, strongroom_backends::all(), sharing);
    server.clock.set_wall(strongroom_secret::Timestamp::parse_rfc3339("2099-01-01T00:00:00Z").unwrap());
    let root = server.root();
    assert_eq!(root.write("sys/mounts/database", json!({"type": "database"})).status, 204);
    let configured = root.write("database/config/db", connection(peer));
    assert_eq!(configured.status, 204, "{configured:?}");
    let statements = match peer.kind {
        Kind::Postgres => json!(POSTGRES_ROLE),
        Kind::Mariadb => json!(MARIADB_ROLE),
        Kind::Redis => json!(["[\"~*\", \"+@read\", \"+acl|whoami\"]"]),
    };
    let role =
        json!({"db_name": "db", "creation_statements": statements, "default_ttl": "10m", "max_ttl": "1h"});
    let written = root.write("database/roles/app", role);
    assert_eq!(written.status, 204, "{written:?}");
    server
}

fn connection(peer: &Peer) -> Value {
    let port = peer.port;
    let (plugin, url) = match peer.kind {
        Kind::Postgres => (
            "postgresql-database-plugin",
            format!(
                "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable"
            ),
        ),
        Kind::Mariadb => {
            ("mysql-database-plugin", format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{port})/"))
        }
        Kind::Redis => ("redis-database-plugin", format!("redis://127.0.0.1:{port}/")),
    };
    json!({
        "plugin_name": plugin,
        "connection_url": url,
        "username": peer.administrator(),
        "password": PASSWORD,
        "allowed_roles": "*",
    })
}

fn credentials(answer: &Answer) -> (String, String) {
    let data = answer.data();
    (data["username"].as_str().unwrap().to_owned(), data["password"].as_str().unwrap().to_owned())
}

fn maintain(server: &TestServer) {
    for _ in 0..4 {
        server.kernel.maintain();
    }
}

/// Accounts that were made here.
fn accounts(peer: &Peer) -> usize {
    match peer.kind {
        Kind::Postgres => peer.ask("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'").parse().unwrap(),
        Kind::Mariadb => peer.ask("SELECT count(*) FROM mysql.user WHERE user LIKE 'v-%'").parse().unwrap(),
        Kind::Redis => peer.ask("ACL USERS").lines().filter(|line| line.contains("V_")).count(),
    }
}

fn accounts_live_and_end(kind: Kind) {
    let Some(peer) = Peer::start(kind) else { return };
    let server = server(&peer);
    let root = server.root();
    let made = root.read("database/creds/app");
    let (username, password) = credentials(&made);
    let lease = made.body["lease_id"].as_str().unwrap().to_owned();
    assert!(lease.starts_with("database/creds/app/"), "{lease}");
    assert_eq!(made.body["lease_duration"], 600);
    assert!(peer.lets_in(&username, &password), "{username}");
    assert!(!peer.lets_in(&username, "not-this-one"));
    let renewed = root.write("sys/leases/renew", json!({"lease_id": lease, "increment": 1200}));
    assert_eq!(renewed.body["lease_duration"], 1200, "{renewed:?}");
    assert_eq!(
        root.write("sys/leases/revoke", json!({"lease_id": lease, "sync": true})).refusal(),
        (204, String::new())
    );
    assert!(!peer.lets_in(&username, &password));
    let (username, password) = credentials(&root.read("database/creds/app"));
    assert!(peer.lets_in(&username, &password));
    server.clock.advance(Duration::from_secs(601));
    maintain(&server);
    assert!(!peer.lets_in(&username, &password));
    assert_eq!(accounts(&peer), 0);
    assert_eq!(root.read("sys/outbox").data()["keys"], json!([]));
}

fn existing_account(peer: &Peer, name: &str) {
    match peer.kind {
        Kind::Postgres => peer.ask(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD 'not-a-first-password'")),
        Kind::Mariadb => peer.ask(&format!("CREATE USER '{name}'@'%' IDENTIFIED BY 'not-a-first-password'")),
        Kind::Redis => peer.ask(&format!("ACL SETUSER {name} on >not-a-first-password ~* +@all")),
    };
}

fn passwords_change(kind: Kind) {
    let Some(mut peer) = Peer::start(kind) else { return };
    let server = server(&peer);
    let root = server.root();
    let role = json!({"db_name": "db", "username": "app", "rotation_period": "1h"});
    let refused = root.write("database/static-roles/app", role.clone());
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.refusal().1.contains("there is no account \"app\""), "{refused:?}");
    existing_account(&peer, "app");
    assert_eq!(root.write("database/static-roles/app", role).status, 204);
    // Asked for before maintenance has come by, it is set at once.
    let first = credentials(&root.read("database/static-creds/app"));
    assert!(peer.lets_in("app", &first.1) && !peer.lets_in("app", "not-a-first-password"));
    assert_eq!(credentials(&root.read("database/static-creds/app")), first);
    assert_eq!(root.write("database/rotate-role/app", json!({})).status, 204);
    let second = credentials(&root.read("database/static-creds/app"));
    assert!(second.1 != first.1 && peer.lets_in("app", &second.1) && !peer.lets_in("app", &first.1));
    server.clock.advance(Duration::from_secs(3601));
    maintain(&server);
    let third = credentials(&root.read("database/static-creds/app"));
    assert!(third.1 != second.1 && peer.lets_in("app", &third.1));
    // While the database is down, the old password stays, and what is wrong is seen.
    peer.stop();
    server.clock.advance(Duration::from_secs(3601));
    maintain(&server);
    let shown = root.read("database/static-roles/app");
    assert_eq!((&shown.data()["failed_attempts"], &shown.data()["is_rotating"]), (&json!(1), &json!(true)));
    assert!(shown.data()["last_error"].as_str().unwrap().contains("cannot be reached"), "{shown:?}");
    assert_eq!(credentials(&root.read("database/static-creds/app")), third);
    peer.run();
    if kind != Kind::Redis {
        server.clock.advance(Duration::from_secs(61));
        maintain(&server);
        let fourth = credentials(&root.read("database/static-creds/app"));
        assert!(fourth.1 != third.1 && peer.lets_in("app", &fourth.1));
    }
}

fn two_accounts_take_turns(kind: Kind) {
    let Some(peer) = Peer::start(kind) else { return };
    let server = server(&peer);
    let root = server.root();
    for name in ["app_a", "app_b"] {
        existing_account(&peer, name);
    }
    let role = json!({"db_name": "db", "usernames": ["app_a", "app_b"], "rotation_period": "1h"});
    assert_eq!(root.write("database/static-roles/app", role).status, 204);
    let mut before = credentials(&root.read("database/static-creds/app"));
    for _ in 0..4 {
        assert_eq!(root.write("database/rotate-role/app", json!({})).status, 204);
        let after = credentials(&root.read("database/static-creds/app"));
        assert_ne!(after.0, before.0);
        assert!(peer.lets_in(&before.0, &before.1), "the one before still counts");
        assert!(peer.lets_in(&after.0, &after.1));
        before = after;
    }
}

fn the_administrator_s_password_changes(kind: Kind) {
    let Some(peer) = Peer::start(kind) else { return };
    let server = server(&peer);
    let root = server.root();
    if kind != Kind::Redis {
        // An administrator of the server's own: the test's goes on.
        existing_account(&peer, "keeper");
        match kind {
            Kind::Postgres => peer.ask("ALTER ROLE keeper CREATEROLE"),
            _ => peer.ask("GRANT ALL ON *.* TO 'keeper'@'%' WITH GRANT OPTION"),
        };
        let change = json!({"username": "keeper", "password": "not-a-first-password"});
        assert_eq!(root.write("database/config/db", change).status, 204);
    }
    assert_eq!(root.write("database/rotate-root/db", json!({})).refusal(), (204, String::new()));
    let name = if kind == Kind::Redis { "default" } else { "keeper" };
    let old = if kind == Kind::Redis { PASSWORD } else { "not-a-first-password" };
    assert!(!peer.lets_in(name, old));
    let shown = root.read("database/config/db");
    assert!(shown.data()["last_rotation"].is_string() && !shown.body.to_string().contains(PASSWORD));
    assert_eq!(root.write("database/reset/db", json!({})).status, 204);
    let (username, password) = credentials(&root.read("database/creds/app"));
    assert!(peer.lets_in(&username, &password));
}

#[test]
fn postgresql_accounts_live_and_end() {
    accounts_live_and_end(Kind::Postgres);
}

#[test]
fn mariadb_accounts_live_and_end() {
    accounts_live_and_end(Kind::Mariadb);
}

#[test]
fn redis_accounts_live_and_end() {
    accounts_live_and_end(Kind::Redis);
}

#[test]
fn passwords_of_postgresql_change() {
    passwords_change(Kind::Postgres);
}

#[test]
fn passwords_of_mariadb_change() {
    passwords_change(Kind::Mariadb);
}

#[test]
fn passwords_of_redis_change() {
    passwords_change(Kind::Redis);
}

#[test]
fn two_accounts_of_postgresql_take_turns() {
    two_accounts_take_turns(Kind::Postgres);
}

#[test]
fn two_accounts_of_mariadb_take_turns() {
    two_accounts_take_turns(Kind::Mariadb);
}

#[test]
fn the_password_of_who_makes_accounts_changes() {
    for kind in [Kind::Postgres, Kind::Mariadb, Kind::Redis] {
        the_administrator_s_password_changes(kind);
    }
}

#[test]
fn what_a_database_refuses_is_said_and_leaves_nothing() {
    for kind in [Kind::Postgres, Kind::Mariadb] {
        let Some(peer) = Peer::start(kind) else { continue };
        let server = server(&peer);
        let root = server.root();
        let create = if kind == Kind::Postgres { POSTGRES_ROLE } else { MARIADB_ROLE };
        let broken =
            json!({"db_name": "db", "creation_statements": [create, "GRANT NOTHING TO '{{password}}'"]});
        assert_eq!(root.write("database/roles/broken", broken).status, 204);
        let refused = root.read("database/creds/broken");
        let (status, text) = refused.refusal();
        assert_eq!(status, 400, "{refused:?}");
        assert!(text.contains("the database \"db\" refuses it") && !text.contains("A1a-"), "{text}");
        maintain(&server);
        assert_eq!(accounts(&peer), 0, "{kind:?}");
        assert_eq!(root.read("sys/outbox").data()["keys"], json!([]));
        let wrong = json!({"password": "not-this-one"});
        let refused = root.write("database/config/db", wrong);
        assert!(refused.refusal().1.contains("refuses the login"), "{refused:?}");
        assert_eq!(root.read("database/creds/app").status, 200, "what was not proven is not kept");
    }
}

/// PostgreSQL with tables to be granted.
fn with_tables() -> Option<Peer> {
    let peer = Peer::start(Kind::Postgres)?;
    for number in 0..4 {
        peer.ask(&format!("CREATE TABLE t{number} (id bigserial PRIMARY KEY)"));
    }
    Some(peer)
}

#[test]
fn accounts_with_grants_end_where_who_makes_them_is_no_superuser() {
    let Some(peer) = with_tables() else { return };
    let server = server(&peer);
    let root = server.root();
    peer.ask(&format!("CREATE ROLE keeper LOGIN CREATEROLE PASSWORD '{PASSWORD}'"));
    peer.ask("GRANT SELECT ON ALL TABLES IN SCHEMA public TO keeper WITH GRANT OPTION");
    peer.ask("GRANT USAGE ON SCHEMA public TO keeper WITH GRANT OPTION");
    let change = json!({"username": "keeper", "password": PASSWORD});
    assert_eq!(root.write("database/config/db", change).status, 204);
    let more = format!("{POSTGRES_ROLE}; GRANT USAGE ON SCHEMA public TO \"{{{{name}}}}\"");
    assert_eq!(root.write("database/roles/app", json!({"creation_statements": more})).status, 204);
    let made = root.read("database/creds/app");
    let (username, password) = credentials(&made);
    assert_eq!(peer.client(&username, &password, "SELECT count(*) FROM t0").stdout, b"0\n");
    let body = json!({"lease_id": made.body["lease_id"], "sync": true});
    assert_eq!(root.write("sys/leases/revoke", body).refusal(), (204, String::new()));
    assert_eq!(accounts(&peer), 0);
}

#[test]
fn an_account_that_owns_something_stays_and_logs_in_no_longer() {
    let Some(peer) = with_tables() else { return };
    let server = server(&peer);
    let root = server.root();
    let more = format!("{POSTGRES_ROLE}; GRANT CREATE ON SCHEMA public TO \"{{{{name}}}}\"");
    assert_eq!(root.write("database/roles/app", json!({"creation_statements": more})).status, 204);
    let made = root.read("database/creds/app");
    let (username, password) = credentials(&made);
    assert!(peer.client(&username, &password, "CREATE TABLE own (id int)").status.success());
    let body = json!({"lease_id": made.body["lease_id"], "sync": true});
    let refused = root.write("sys/leases/revoke", body);
    assert!(refused.refusal().1.contains("cannot be dropped because"), "{refused:?}");
    assert!(!peer.lets_in(&username, &password));
    assert_eq!((accounts(&peer), peer.ask("SELECT count(*) FROM own").as_str()), (1, "0"));
    // Once it belongs to somebody else, the lease ends.
    peer.ask(&format!("REASSIGN OWNED BY \"{username}\" TO postgres"));
    server.clock.advance(Duration::from_secs(60));
    maintain(&server);
    assert_eq!(accounts(&peer), 0);
}

/// Grants on one table at once make each other fail in PostgreSQL ("tuple concurrently updated").
#[test]
fn accounts_with_grants_on_the_same_tables_are_made_and_end_at_once() {
    let Some(peer) = with_tables() else { return };
    let server = server(&peer).restarted(|settings| settings.outward_threads = 16);
    let root = server.root();
    assert_eq!(root.write("database/config/db", json!({"max_open_connections": 16})).status, 204);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..4 {
                    credentials(&server.root().read("database/creds/app"));
                }
            });
        }
    });
    assert_eq!(accounts(&peer), 64);
    assert_eq!(root.write("sys/leases/revoke-prefix/database/creds", json!({})).status, 204);
    // The clock stands: none of them may need a second attempt.
    for _ in 0..3000 {
        if root.list("sys/leases/lookup/database/creds/app").status == 404 {
            break;
        }
        server.kernel.maintain();
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(accounts(&peer), 0);
}

#[test]
fn a_database_that_is_restarted_or_down_is_said_and_leaves_nothing() {
    let Some(mut peer) = Peer::start(Kind::Postgres) else { return };
    let server = server(&peer);
    let root = server.root();
    let lease = root.read("database/creds/app").body["lease_id"].as_str().unwrap().to_owned();
    peer.stop();
    let refused = root.read("database/creds/app");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.refusal().1.contains("cannot be reached"), "{refused:?}");
    let refused = root.write("sys/leases/revoke", json!({"lease_id": lease, "sync": true}));
    assert_eq!(refused.status, 503, "{refused:?}");
    peer.run();
    let (username, password) = credentials(&root.read("database/creds/app"));
    assert!(peer.lets_in(&username, &password));
    server.clock.advance(Duration::from_secs(200));
    maintain(&server);
    assert_eq!(accounts(&peer), 1, "the lease that had ended was taken back");
}

#[test]
fn a_crash_at_any_call_of_the_store_while_a_password_changes_leaves_one_that_works() {
    let Some(peer) = Peer::start(Kind::Postgres) else { return };
    existing_account(&peer, "app");
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for number in 0.. {
            let storage = Arc::new(MemoryStorage::new());
            let server = server_on(&peer, storage.clone());
            let role = json!({"db_name": "db", "username": "app", "rotation_period": "1h"});
            assert_eq!(server.root().write("database/static-roles/app", role).status, 204);
            credentials(&server.root().read("database/static-creds/app"));
            let mut calls = 0;
            storage.set_faults(Some(Box::new(move |_| {
                calls += 1;
                if calls == number + 1 { fault } else { Fault::Nothing }
            })));
            let is_done = server.root().write("database/rotate-role/app", json!({})).status == 204;
            let recovered: Arc<dyn Storage> = Arc::new(storage.recover(None));
            let kernel = new_kernel(
                &recovered,
                &server.clock,
                strongroom_backends::all(),
                Seal::Shamir,
                None,
                KernelSettings::default(),
            );
            let after = TestServer { storage: recovered, ..server.beside(kernel) };
            after.unseal();
            // At once, before anything was gone on with; and when it was.
            let told = credentials(&after.root().read("database/static-creds/app"));
            let shown = after.root().read("database/static-roles/app");
            assert!(peer.lets_in("app", &told.1), "{fault:?} {number}: at once: {shown:?}");
            after.clock.advance(Duration::from_secs(61));
            maintain(&after);
            let told = credentials(&after.root().read("database/static-creds/app"));
            assert!(peer.lets_in("app", &told.1), "{fault:?} {number}: later");
            let shown = after.root().read("database/static-roles/app");
            assert_eq!(shown.data()["is_rotating"], false, "{fault:?} {number}: {shown:?}");
            if is_done {
                break;
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_role_or_a_connection_is_said() {
    let Some(peer) = Peer::start(Kind::Postgres) else { return };
    let server = server(&peer);
    let root = server.root();
    let check = |path: &str, body: Value, said: &str| {
        let refused = root.write(path, body);
        assert!(refused.status == 400 && refused.refusal().1.contains(said), "{path}: {refused:?}");
    };
    check("database/config/x", json!({}), "missing plugin_name");
    check("database/config/x", json!({"plugin_name": "oracle"}), "there is no plugin \"oracle\"");
    check(
        "database/config/x",
        json!({"plugin_name": "postgresql-database-plugin"}),
        "missing connection_url",
    );
    check("database/config/db", json!({"username_template": "{{ shell }}"}), "there is no function shell");
    check("database/config/db", json!({"tls_ca": "no certificate"}), "tls_ca has no certificate");
    check("database/roles/x", json!({}), "missing db_name");
    check("database/roles/x", json!({"db_name": "db"}), "missing creation_statements");
    check(
        "database/roles/x",
        json!({"db_name": "db", "creation_statements": "x", "credential_type": "rsa_private_key"}),
        "credential_type",
    );
    let role = |more: Value| {
        let mut role = json!({"db_name": "db", "username": "app"});
        role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        role
    };
    check("database/static-roles/x", role(json!({})), "one of rotation_period and rotation_schedule");
    check("database/static-roles/x", role(json!({"rotation_period": 1})), "5 seconds or more");
    check("database/static-roles/x", role(json!({"rotation_schedule": "every day"})), "a cron line");
    check("database/static-roles/x", role(json!({"username": "a\"b", "rotation_period": 60})), "no quotes");
    assert_eq!(root.read("database/creds/nobody").refusal(), (400, "unknown role: nobody".into()));
    let narrow = json!({"allowed_roles": "web-*"});
    assert_eq!(root.write("database/config/db", narrow).status, 204);
    assert_eq!(root.read("database/creds/app").status, 403);
}
