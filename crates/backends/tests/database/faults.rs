//! Databases that are slow, lose connections at the wrong moment, or say no where it hurts.

use super::{
    MARIADB_ROLE, POSTGRES_ROLE, accounts, connection, credentials, existing_account, maintain, server,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use strongroom_testkit::peers::{Kind, Peer};
use strongroom_testkit::server::TestServer;

/// A way to PostgreSQL that, once it is told to, is cut when the answer to a COMMIT comes by.
struct Way {
    port: u16,
    cuts: Arc<AtomicBool>,
}

impl Way {
    fn to(peer: &Peer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (port, target) = (listener.local_addr().unwrap().port(), peer.port);
        let cuts = Arc::new(AtomicBool::new(false));
        let armed = cuts.clone();
        std::thread::spawn(move || {
            for here in listener.incoming() {
                let here = here.unwrap();
                let there = TcpStream::connect(("127.0.0.1", target)).unwrap();
                let (back, forth) = (here.try_clone().unwrap(), there.try_clone().unwrap());
                let armed = armed.clone();
                std::thread::spawn(move || carry(here, forth, &AtomicBool::new(false)));
                std::thread::spawn(move || carry(there, back, &armed));
            }
        });
        Self { port, cuts }
    }

    fn cut_at_next_commit(&self) {
        self.cuts.store(true, Ordering::SeqCst);
    }
}

fn carry(mut source: TcpStream, mut sink: TcpStream, cuts: &AtomicBool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = source.read(&mut bytes) {
        let is_commit = bytes[..count].windows(7).any(|part| part == b"COMMIT\0");
        if is_commit && cuts.swap(false, Ordering::SeqCst) || sink.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // Whichever of them is gone already.
    drop(source.shutdown(Shutdown::Both));
    drop(sink.shutdown(Shutdown::Both));
}

fn through(server: &TestServer, peer: &Peer, way: &Way) {
    let mut config = connection(peer);
    let url = config["connection_url"].as_str().unwrap().to_owned();
    config["connection_url"] = url.replace(&format!(":{}/", peer.port), &format!(":{}/", way.port)).into();
    assert_eq!(server.root().write("database/config/db", config).status, 204);
}

fn unfinished(server: &TestServer) -> Value {
    server.root().read("sys/outbox").data()["keys"].clone()
}

#[test]
fn a_connection_that_is_lost_after_the_commit_leaves_no_account_and_keeps_none() {
    let Some(peer) = Peer::start(Kind::Postgres) else { return };
    let server = server(&peer);
    let way = Way::to(&peer);
    through(&server, &peer, &way);
    let root = server.root();
    way.cut_at_next_commit();
    let refused = root.read("database/creds/app");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.refusal().1.contains("did not say whether it was done"), "{refused:?}");
    assert_eq!(accounts(&peer), 1, "it was done");
    maintain(&server);
    assert_eq!((accounts(&peer), unfinished(&server)), (0, json!([])));
    // The same when one is taken away.
    let lease = root.read("database/creds/app").body["lease_id"].clone();
    way.cut_at_next_commit();
    let refused = root.write("sys/leases/revoke", json!({"lease_id": lease, "sync": true}));
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(accounts(&peer), 0, "it was done");
    maintain(&server);
    assert_eq!(root.list("sys/leases/lookup/database/creds/app").status, 404);
    // And when a password changes: whoever asks is told the one that logs in, before and after.
    existing_account(&peer, "app");
    let role = json!({"db_name": "db", "username": "app", "rotation_period": "1h"});
    assert_eq!(root.write("database/static-roles/app", role).status, 204);
    let first = credentials(&root.read("database/static-creds/app")).1;
    way.cut_at_next_commit();
    assert_eq!(root.write("database/rotate-role/app", json!({})).status, 503);
    let second = credentials(&root.read("database/static-creds/app")).1;
    assert!(second != first && peer.lets_in("app", &second) && !peer.lets_in("app", &first));
    server.clock.advance(Duration::from_secs(61));
    maintain(&server);
    let shown = root.read("database/static-roles/app");
    assert_eq!(shown.data()["is_rotating"], false, "{shown:?}");
    assert!(peer.lets_in("app", &credentials(&root.read("database/static-creds/app")).1));
}

#[test]
fn a_database_that_hangs_is_not_waited_for_and_what_it_did_late_is_undone() {
    let Some(peer) = Peer::start(Kind::Postgres) else { return };
    let server = server(&peer).restarted(|settings| settings.outward_threads = 4);
    let root = server.root();
    credentials(&root.read("database/creds/app"));
    peer.pause();
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| server.root().read("database/creds/app"));
        eventually("it is under way", || unfinished(&server) != json!([]));
        server.clock.advance(Duration::from_secs(31));
        server.kernel.maintain();
        let answer = hanging.join().unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.refusal().1.contains("the time for it is over"), "{answer:?}");
        // Others are answered meanwhile.
        assert_eq!(root.read("database/roles/app").status, 200);
        peer.resume();
    });
    eventually("what it did late is undone", || {
        server.kernel.maintain();
        unfinished(&server) == json!([]) && accounts(&peer) == 1
    });
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    panic!("not so: {what}");
}

#[test]
fn an_account_that_exists_already_is_neither_taken_over_nor_dropped() {
    for kind in [Kind::Postgres, Kind::Mariadb, Kind::Redis] {
        let Some(peer) = Peer::start(kind) else { continue };
        let server = server(&peer);
        let root = server.root();
        existing_account(&peer, "fixed");
        let named = json!({"username_template": "fixed"});
        assert_eq!(root.write("database/config/db", named).status, 204);
        let (status, text) = root.read("database/creds/app").refusal();
        assert_eq!(status, 400, "{kind:?}: {text}");
        assert!(text.contains("already"), "{kind:?}: {text}");
        server.clock.advance(Duration::from_secs(60));
        maintain(&server);
        assert_eq!(unfinished(&server), json!([]));
        assert!(peer.lets_in("fixed", "not-a-first-password"), "{kind:?}");
    }
}

#[test]
fn an_administrator_who_may_not_grant_makes_no_account() {
    for kind in [Kind::Postgres, Kind::Mariadb] {
        let Some(peer) = Peer::start(kind) else { continue };
        let server = server(&peer);
        let root = server.root();
        existing_account(&peer, "keeper");
        let create = match kind {
            Kind::Postgres => {
                peer.ask("ALTER ROLE keeper CREATEROLE");
                peer.ask("CREATE TABLE secrets (id int)");
                POSTGRES_ROLE
            }
            _ => {
                peer.ask("GRANT CREATE USER ON *.* TO 'keeper'@'%'");
                peer.ask("GRANT SELECT ON mysql.user TO 'keeper'@'%'");
                MARIADB_ROLE
            }
        };
        let change = json!({"username": "keeper", "password": "not-a-first-password"});
        assert_eq!(root.write("database/config/db", change).status, 204);
        assert_eq!(root.write("database/roles/app", json!({"creation_statements": create})).status, 204);
        let refused = root.read("database/creds/app");
        assert_eq!(refused.status, 400, "{kind:?}: {refused:?}");
        let text = refused.refusal().1;
        assert!(text.contains("refuses it") && text.contains("denied"), "{kind:?}: {text}");
        maintain(&server);
        assert_eq!((accounts(&peer), unfinished(&server)), (0, json!([])), "{kind:?}");
    }
}

#[test]
fn a_password_that_does_not_log_in_is_taken_back_and_seen() {
    let Some(peer) = Peer::start(Kind::Postgres) else { return };
    let server = server(&peer);
    let root = server.root();
    existing_account(&peer, "app");
    let role = json!({"db_name": "db", "username": "app", "rotation_period": "1h"});
    assert_eq!(root.write("database/static-roles/app", role).status, 204);
    let before = credentials(&root.read("database/static-creds/app")).1;
    // Another password is set than the one that was stored.
    let broken = json!({"rotation_statements": "ALTER ROLE \"{{name}}\" PASSWORD '{{password}}x'"});
    assert_eq!(root.write("database/static-roles/app", broken).status, 204);
    server.clock.advance(Duration::from_secs(3601));
    maintain(&server);
    let shown = root.read("database/static-roles/app");
    assert_eq!((&shown.data()["failed_attempts"], &shown.data()["is_rotating"]), (&json!(1), &json!(true)));
    let said = shown.data()["last_error"].as_str().unwrap();
    assert!(said.contains("does not log in") && !said.contains(&before), "{said}");
    assert_eq!(root.read("sys/health").data()["chores_failing"], 1);
    let refused = root.write("database/rotate-role/app", json!({}));
    assert_eq!(refused.status, 503, "whoever asks, and audit with them, is told: {refused:?}");
    let mended = json!({"rotation_statements": "ALTER ROLE \"{{name}}\" PASSWORD '{{password}}'"});
    assert_eq!(root.write("database/static-roles/app", mended).status, 204);
    assert_eq!(root.write("database/rotate-role/app", json!({})).status, 204);
    assert!(peer.lets_in("app", &credentials(&root.read("database/static-creds/app")).1));
    assert_eq!(root.read("sys/health").data()["chores_failing"], Value::Null);
}

#[test]
fn operators_who_rotate_at_once_leave_one_password_that_works() {
    let Some(peer) = Peer::start(Kind::Postgres) else { return };
    let server = server(&peer).restarted(|settings| settings.outward_threads = 8);
    let root = server.root();
    for name in ["app", "app_a", "app_b"] {
        existing_account(&peer, name);
    }
    for (role, accounts) in
        [("one", json!({"username": "app"})), ("two", json!({"usernames": ["app_a", "app_b"]}))]
    {
        let mut body = json!({"db_name": "db", "rotation_period": "1h"});
        body.as_object_mut().unwrap().extend(accounts.as_object().unwrap().clone());
        let path = format!("database/static-roles/{role}");
        assert_eq!(root.write(&path, body).status, 204);
        credentials(&root.read(&format!("database/static-creds/{role}")));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let answer = server.root().write(&format!("database/rotate-role/{role}"), json!({}));
                        assert_eq!(answer.status, 204, "{answer:?}");
                    }
                });
            }
        });
        assert_eq!(root.read(&path).data()["is_rotating"], false);
        let (name, password) = credentials(&root.read(&format!("database/static-creds/{role}")));
        assert!(peer.lets_in(&name, &password), "{role}");
    }
}

#[test]
fn a_clock_that_jumps_ends_no_account_early_and_keeps_none_for_ever() {
    let Some(peer) = Peer::start(Kind::Postgres) else { return };
    let server = server(&peer);
    let root = server.root();
    let begun = server.kernel.now();
    credentials(&root.read("database/creds/app"));
    // Back by a day, and on again: the lease ends at its time by the clock.
    server.clock.set_wall(begun.minus(Duration::from_secs(24 * 3600)));
    maintain(&server);
    assert_eq!(accounts(&peer), 1);
    let (name, password) = credentials(&root.read("database/creds/app"));
    assert!(peer.lets_in(&name, &password));
    server.clock.set_wall(begun.plus(Duration::from_secs(599)));
    maintain(&server);
    assert_eq!(accounts(&peer), 1, "the one that was made a day ago");
    server.clock.set_wall(begun.plus(Duration::from_secs(601)));
    maintain(&server);
    assert_eq!((accounts(&peer), unfinished(&server)), (0, json!([])));
}
