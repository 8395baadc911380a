//! Audit devices of a whole server: posted to a server that hangs, and a store that is older than what audit signed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use serde_json::{Value, json};
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strongroom_kernel::{KernelSettings, Seal};
use strongroom_storage::memory::MemoryStorage;
use strongroom_storage::{Storage, archive};
use strongroom_testkit::outbound::WebServer;
use strongroom_testkit::server::{Session, TestServer, new_kernel};

/// A collector of audit lines, and the switch that makes it hang.
fn collector() -> (WebServer, Arc<Mutex<Vec<Value>>>, Arc<AtomicBool>) {
    let (lines, hangs) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let (into, hung) = (lines.clone(), hangs.clone());
    let server = WebServer::start(move |received| {
        if hung.load(Relaxed) {
            return None;
        }
        assert_eq!(received.method, "POST");
        assert!(received.headers.contains(&"Content-Type: application/x-ndjson".to_owned()), "{received:?}");
        let is_known = received.headers.contains(&"X-Key: not-a-real-key".to_owned());
        let text = String::from_utf8(received.body).unwrap();
        into.lock().unwrap().extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        Some((if is_known { 204 } else { 401 }, String::new()))
    });
    (server, lines, hangs)
}

#[test]
fn records_are_posted_and_a_server_that_hangs_is_not_waited_for() {
    let (collector, lines, hangs) = collector();
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let options = |key: &str| {
        let headers = json!({ "X-Key": [key] }).to_string();
        json!({ "uri": collector.address, "headers": headers, "timeout": "1s" })
    };
    let (status, text) =
        root.write("sys/audit/h", json!({"type": "http", "options": options("wrong")})).refusal();
    assert!(status == 400 && text.contains("status 401"), "{status} {text}");
    let enabled = root.write("sys/audit/h", json!({"type": "http", "options": options("not-a-real-key")}));
    assert_eq!(enabled.status, 204, "{enabled:?}");
    assert_eq!(root.write("cubbyhole/a", json!({"k": "v"})).status, 204);
    let written = |path: &str| lines.lock().unwrap().iter().filter(|l| l["request"]["path"] == path).count();
    assert_eq!(written("cubbyhole/a"), 2);
    let shown = root.read("sys/audit").data()["h/"].clone();
    assert_eq!(shown["options"]["headers"], r#"{"X-Key":"(hidden)"}"#);
    assert_eq!(shown["health"]["healthy"], true);
    assert!(shown["health"]["last_line"]["sequence"].as_u64() >= Some(3), "{shown}");

    hangs.store(true, Relaxed);
    std::thread::scope(|scope| {
        let request = scope.spawn(|| root.write("cubbyhole/b", json!({"k": "v"})));
        // The broker's patience ends by the server's clock.
        while !request.is_finished() {
            server.clock.advance(Duration::from_millis(500));
            std::thread::sleep(Duration::from_millis(5));
        }
        let refused = request.join().unwrap();
        assert_eq!(refused.status, 500, "{refused:?}");
        assert!(
            refused.refusal().1.contains("could not be audited: h/: no answer for 2000 ms"),
            "{refused:?}"
        );
    });
    hangs.store(false, Relaxed);
    while root.write("cubbyhole/c", json!({"k": "v"})).status != 204 {
        server.clock.advance(Duration::from_millis(500));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(written("cubbyhole/c") >= 2);
}

#[test]
fn options_of_http_devices_are_checked() {
    let server = TestServer::start(Vec::new());
    for (options, reason) in [
        (json!({}), "uri is required"),
        (json!({"uri": "ftp://a"}), "must begin with https://"),
        (json!({"uri": "https://a", "headers": "{\"a\": 1}"}), "failed to parse headers"),
        (json!({"uri": "https://a", "timeout": "2h"}), "at most one minute"),
        (json!({"uri": "https://a", "tls_ca_cert": "ca.pem"}), "must be an absolute path"),
    ] {
        let refusal =
            server.root().write("sys/audit/h", json!({"type": "http", "options": options})).refusal();
        assert!(refusal.0 == 400 && refusal.1.contains(reason), "{refusal:?}");
    }
}

#[test]
fn a_store_that_is_older_than_what_audit_signed_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let device = json!({"type": "file", "options": {"file_path": log}});
    assert_eq!(root.write("sys/audit/file", device).status, 204);
    let mut old = Vec::new();
    server.kernel.write_snapshot(&mut old).unwrap();
    for number in 0..20 {
        assert_eq!(root.write(&format!("cubbyhole/{number}"), json!({"k": "v"})).status, 204);
    }
    server.kernel.seal();
    let rolled_back: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    archive::restore(&mut Cursor::new(&old), &*rolled_back).unwrap();
    let opened = |settings: KernelSettings| {
        let kernel = new_kernel(&rolled_back, &server.clock, Vec::new(), Seal::Shamir, None, settings);
        let key = server.unseal_keys[0].duplicate();
        kernel.unseal_with_share(key).map(|_| server.beside(kernel))
    };
    let error = opened(KernelSettings::default()).err().expect("it is refused");
    let text = error.messages.join(" ");
    assert!(text.contains("has signed commit") && text.contains("accept_rollback = true"), "{text}");
    let accepted = opened(KernelSettings { accept_rollback: true, ..KernelSettings::default() });
    let accepted = accepted.expect("it was accepted");
    assert_eq!(accepted.root().read("cubbyhole/19").status, 404);
    accepted.kernel.seal();
    // What was accepted once is signed from then on.
    opened(KernelSettings::default()).expect("the new state is signed");

    // Somebody else's checkpoints do not keep the server from opening.
    let forged = std::fs::read_to_string(&log).unwrap().replace("\"store_index\":", "\"store_index\":9");
    std::fs::write(&log, forged).unwrap();
    opened(KernelSettings::default()).expect("forged checkpoints do not count");
}

/// Every record of a search, all pieces of it, and whether the chain was whole.
fn searched(session: &Session<'_>, mut body: Value) -> (Vec<Value>, bool) {
    let (mut found, mut is_intact) = (Vec::new(), true);
    loop {
        let answer = session.write("sys/audit-search", body.clone());
        let data = answer.data();
        assert_eq!(data["device"], "file");
        found.extend(data["matches"].as_array().unwrap().clone());
        is_intact &= data["chain"]["intact"] == true;
        body["cursor"] = data["cursor"].clone();
        if data["more"] == false {
            return (found, is_intact);
        }
    }
}

#[test]
fn the_server_says_who_did_what_by_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    assert_eq!(root.write("sys/audit-search", json!({})).refusal().0, 400);
    let options = json!({ "file_path": path });
    assert_eq!(root.write("sys/audit/file", json!({ "type": "file", "options": options })).status, 204);
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    assert_eq!(root.write("sys/mounts/secret", mount).status, 204);
    root.write("secret/data/db", json!({ "data": { "password": "fake-Zq7xw91Lk3Vt8Rb2" } })).data();
    let rules = r#"path "secret/*" { capabilities = ["read"] }"#;
    root.write("sys/policies/acl/app", json!({ "policy": rules }));
    let token =
        root.write("auth/token/create", json!({ "policies": ["app"], "display_name": "app" })).token();
    let app = server.session(Some(&token)).from_address("192.0.2.7");
    for _ in 0..5 {
        app.read("secret/data/db").data();
        server.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(app.write("sys/audit-search", json!({})).status, 403);
    let of_db = json!({ "path": "secret/data/db", "kind": "response" });
    let (all, is_intact) = searched(&root, of_db.clone());
    assert!(is_intact);
    let who: Vec<&str> = all.iter().filter_map(|record| record["display_name"].as_str()).collect();
    assert_eq!(who, ["root", "token-app", "token-app", "token-app", "token-app", "token-app"]);
    assert_eq!((&all[1]["remote_address"], &all[1]["operation"]), (&json!("192.0.2.7"), &json!("read")));
    // In pieces of one record the same is found.
    let mut one = of_db.clone();
    one["limit"] = json!(1);
    assert_eq!(searched(&root, one), (all.clone(), true));
    let narrowed = |name: &str, value: Value| {
        let mut body = of_db.clone();
        body[name] = value;
        searched(&root, body).0.len()
    };
    assert_eq!(narrowed("display_name", json!("root")), 1);
    assert_eq!(narrowed("since", all[3]["time"].clone()), 3);
    assert_eq!(narrowed("until", all[3]["time"].clone()), 3);
    assert_eq!(narrowed("failed", json!(true)), 0);
    let said = root.write("sys/audit-search", json!({})).body.to_string();
    assert!(!said.contains("fake-Zq7xw91Lk3Vt8Rb2") && !said.contains("hmac-sha256:fake"), "{said}");
    for wrong in [
        json!({ "kind": "both" }),
        json!({ "since": "yesterday" }),
        json!({ "cursor": "x" }),
        json!({ "cursor": "A".repeat(5000) }),
        json!({ "device": "other" }),
    ] {
        assert_eq!(root.write("sys/audit-search", wrong.clone()).status, 400, "{wrong}");
    }
    // A line that was taken out is noticed, whatever is searched for.
    let cursor = root.write("sys/audit-search", json!({ "limit": 1 })).data()["cursor"].clone();
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text.lines().enumerate().filter(|(at, _)| *at != 4).map(|(_, line)| line).collect();
    std::fs::write(&path, kept.join("\n") + "\n").unwrap();
    let answer = root.write("sys/audit-search", of_db.clone());
    assert!(answer.data()["chain"]["broken"].as_str().unwrap().contains("audit.log:5"), "{answer:?}");
    // Another file stands there by now.
    std::fs::rename(&path, folder.path().join("audit.log.1")).unwrap();
    std::fs::write(&path, "").unwrap();
    let answer = root.write("sys/audit-search", json!({ "cursor": cursor }));
    assert_eq!(answer.data()["begin_again"], true, "{answer:?}");
    let team = server.root().in_namespace("team");
    root.write("sys/namespaces/team", json!({})).data();
    assert_eq!(team.write("sys/audit-search", json!({})).status, 400);
}
