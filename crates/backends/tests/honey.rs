//! Honey on whole servers: who uses a planted fake raises an alarm and sees nothing of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use strongroom_kernel::{OutboundError, OutboundResponse, Surroundings};
use strongroom_secret::SecretBytes;
use strongroom_storage::memory::MemoryStorage;
use strongroom_testkit::server::{Session, TestServer};

const HOOK: &str = "https://alarm.example/hook";

/// What a webhook got: its id, its signature and its body.
type Told = Arc<parking_lot::Mutex<Vec<(String, String, Value)>>>;

/// A server whose webhooks are heard while `is_up`.
fn listened_to() -> (TestServer, Told, Arc<AtomicBool>) {
    let told = Told::default();
    let is_up = Arc::new(AtomicBool::new(true));
    let (ears, up) = (told.clone(), is_up.clone());
    let surroundings = Surroundings {
        outbound: Arc::new(move |request| {
            if !up.load(Ordering::Relaxed) {
                return Err(OutboundError("nobody is there".to_owned()));
            }
            let header = |name: &str| {
                let found = request.headers.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.expose().to_owned()).unwrap_or_default()
            };
            let body = serde_json::from_slice(request.body).unwrap();
            ears.lock().push((header("webhook-id"), header("webhook-signature"), body));
            Ok(OutboundResponse { status: 200, body: SecretBytes::new(Vec::new()) })
        }),
        ..Surroundings::default()
    };
    let server =
        TestServer::start_in(surroundings, Arc::new(MemoryStorage::new()), strongroom_backends::all());
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    assert_eq!(server.root().write("sys/mounts/secret", mount).status, 204);
    (server, told, is_up)
}

fn plant(server: &TestServer, name: &str, body: Value) -> Value {
    server.root().write(&format!("sys/honey/{name}"), body).data().clone()
}

fn uses(server: &TestServer, name: &str) -> u64 {
    server.root().read(&format!("sys/honey/{name}")).data()["uses"].as_u64().unwrap()
}

#[test]
fn a_read_of_a_honey_secret_raises_the_alarm_and_looks_like_any_other() {
    let (server, told, _) = listened_to();
    let root = server.root();
    for name in ["old-db", "db"] {
        root.write(&format!("secret/data/app/{name}"), json!({ "data": { "password": "not-a-real-one" } }))
            .data();
    }
    let body = json!({ "kind": "kv", "path": "secret/app/old-db", "webhook": HOOK, "opens_incident": true });
    let made = plant(&server, "old-db", body);
    assert!(made["webhook_key"].as_str().unwrap().starts_with("whsec_"));
    let rules = r#"path "secret/*" { capabilities = ["read", "list"] }"#;
    root.write("sys/policies/acl/app", json!({ "policy": rules }));
    let token = root.write("auth/token/create", json!({ "policies": ["app"] })).token();
    let thief = server.session(Some(&token)).from_address("192.0.2.7");
    // What tells nothing of the value raises no alarm.
    thief.read("secret/metadata/app/old-db").data();
    thief.list("secret/metadata/app").data();
    assert_eq!(uses(&server, "old-db"), 0);
    let (honey, other) = (thief.read("secret/data/app/old-db"), thief.read("secret/data/app/db"));
    assert_eq!((honey.status, honey.data()["data"].clone()), (other.status, other.data()["data"].clone()));
    assert_eq!(
        honey.body.as_object().unwrap().keys().collect::<Vec<_>>(),
        other.body.as_object().unwrap().keys().collect::<Vec<_>>()
    );
    let seen = root.read("sys/honey/old-db");
    let used = &seen.data()["last_uses"][0];
    assert_eq!(
        (&used["from"], &used["who"], &used["how"]),
        (&"192.0.2.7".into(), &"token".into(), &"read".into())
    );
    let told = told.lock();
    assert_eq!(told.len(), 1);
    let (_, signature, message) = &told[0];
    assert!(signature.starts_with("v1,"), "{signature}");
    assert_eq!((&message["type"], &message["use"]["from"]), (&"honey.used".into(), &"192.0.2.7".into()));
    let incident = root.read(&format!("sys/incidents/{}", message["incident"].as_str().unwrap()));
    assert_eq!(incident.data()["facts"]["accesses"][0]["from"], "192.0.2.7");
}

#[test]
fn a_fake_token_is_refused_as_any_other_and_raises_the_alarm_wherever_it_is_tried() {
    let (server, told, _) = listened_to();
    let made = plant(&server, "ci-token", json!({ "kind": "token", "webhook": HOOK }));
    let fake = made["value"].as_str().unwrap();
    let real = server.root().write("auth/token/create", json!({})).token();
    assert_eq!((fake.len(), &fake[..4]), (real.len(), "hvs."));
    let thief = server.session(Some(fake)).from_address("192.0.2.8");
    let other = server.session(Some("hvs.not-a-real-token"));
    for path in ["secret/data/app/db", "no/such/mount", "sys/internal/ui/mounts/secret/app/db"] {
        assert_eq!(thief.read(path).refusal(), other.read(path).refusal(), "{path}");
    }
    // The requests of this test have one id: the second and third count as the first, unless it was stored before.
    assert_eq!(uses(&server, "ci-token"), 3);
    assert_eq!(told.lock().len(), 3);
    // Somebody who has a token asks what another is good for.
    let root = server.root();
    root.write("auth/token/lookup", json!({ "token": fake }));
    root.write("sys/capabilities", json!({ "token": fake, "paths": ["secret/x"] }));
    assert_eq!(uses(&server, "ci-token"), 5);
    assert!(!server.root().read("sys/honey/ci-token").body.to_string().contains(fake));
}

#[test]
fn a_fake_secret_id_user_and_value_are_noticed() {
    let (server, _, _) = listened_to();
    let root = server.root();
    for kind in ["approle", "userpass"] {
        assert_eq!(root.write(&format!("sys/auth/{kind}"), json!({ "type": kind })).status, 204);
    }
    root.write("auth/approle/role/app", json!({}));
    let role_id = root.read("auth/approle/role/app/role-id").data()["role_id"].clone();
    let fake = plant(&server, "secret-id", json!({ "kind": "secret-id" }))["value"].clone();
    plant(&server, "admin", json!({ "kind": "user", "mount": "auth/userpass", "user": "Admin" }));
    plant(&server, "password", json!({ "kind": "value", "value": "not-a-real-password" }));
    let nobody = server.session(None);
    let login = |secret_id: Value| {
        nobody.write("auth/approle/login", json!({ "role_id": role_id, "secret_id": secret_id })).refusal()
    };
    assert_eq!(login(fake), login("00000000-0000-4000-8000-00000000dead".into()));
    assert_eq!(uses(&server, "secret-id"), 1);
    let login = |user: &str| {
        nobody.write(&format!("auth/userpass/login/{user}"), json!({ "password": "x" })).refusal()
    };
    assert_eq!(login("admin"), login("nobody"));
    assert_eq!(uses(&server, "admin"), 1);
    root.write("secret/data/app/key", json!({ "data": { "token": "another-value" } })).data();
    let body = json!({ "value": "not-a-real-password", "field": "token" });
    assert_eq!(root.write("sys/rotation/validate/secret/app/key", body).data()["valid"], false);
    assert_eq!(uses(&server, "password"), 1);
}

#[test]
fn the_value_of_a_honey_secret_is_noticed_where_it_is_presented() {
    let (server, told, _) = listened_to();
    let root = server.root();
    let write = |path: &str, data: Value| {
        root.write(&format!("secret/data/{path}"), json!({ "data": data })).data();
    };
    let (first, second) = ("fake-first-9Qm2LrXz7Tn4VbPk8Wd3", "fake-second-Kd8sPqLm2RtVx7Nw4Jc1");
    write("app/old-db", json!({ "user": "application", "password": first }));
    write("app/db", json!({ "password": "fake-other-Ua5Qe0Wi8Ok7Lp2Mv4Zx" }));
    plant(&server, "old-db", json!({ "kind": "kv", "path": "secret/app/old-db", "webhook": HOOK }));
    let validate = |path: &str, value: &str| {
        let body = json!({ "value": value, "field": "password" });
        root.write(&format!("sys/rotation/validate/secret/app/{path}"), body).data()["valid"].clone()
    };
    // What could be met by chance is no honey, and neither is another secret's value.
    assert_eq!(validate("db", "application"), false);
    assert_eq!(validate("db", "fake-other-Ua5Qe0Wi8Ok7Lp2Mv4Zx"), true);
    assert_eq!(uses(&server, "old-db"), 0);
    // Of the secret itself, and anywhere else; also when it is written anew.
    assert_eq!((validate("old-db", first), uses(&server, "old-db")), (true.into(), 1));
    assert_eq!((validate("db", first), uses(&server, "old-db")), (false.into(), 2));
    write("app/old-db", json!({ "user": "application", "password": second }));
    assert_eq!((validate("db", second), uses(&server, "old-db")), (false.into(), 3));
    assert_eq!((validate("db", first), uses(&server, "old-db")), (false.into(), 4));
    let told = told.lock();
    assert_eq!((told.len(), &told[0].2["use"]["how"]), (4, &"validate".into()));
    drop(told);
    root.delete("sys/honey/old-db");
    assert_eq!(validate("db", second), false);
}

/// What `sys/fingerprints/resolve` says of a value to somebody.
fn resolved(session: &Session<'_>, server: &TestServer, value: &str) -> Value {
    let tag = server.root().write("sys/fingerprints/lookup", json!({ "value": value })).data()["tag"].clone();
    let answer = session.write("sys/fingerprints/resolve", json!({ "tags": [tag] }));
    answer.data()["fingerprints"][tag.as_str().unwrap()].clone()
}

#[test]
fn who_may_know_all_is_told_which_findings_are_honey_and_nobody_else() {
    let (server, _, _) = listened_to();
    let root = server.root();
    let (fake, shared) = ("fake-only-9Qm2LrXz7Tn4VbPk8Wd3", "fake-shared-Kd8sPqLm2RtVx7Nw4Jc1");
    let write = |path: &str, data: Value| {
        root.write(&format!("secret/data/{path}"), json!({ "data": data })).data();
    };
    write("app/old-db", json!({ "password": fake, "other": shared }));
    write("app/db", json!({ "password": shared }));
    plant(&server, "old-db", json!({ "kind": "kv", "path": "secret/app/old-db" }));
    let token = plant(&server, "token", json!({ "kind": "token" }))["value"].as_str().unwrap().to_owned();
    let rules = r#"path "sys/fingerprints/*" { capabilities = ["update"] }
                   path "secret/*" { capabilities = ["read"] }"#;
    root.write("sys/policies/acl/ci", json!({ "policy": rules }));
    let text = root.write("auth/token/create", json!({ "policies": ["ci"] })).token();
    let ci = server.session(Some(&text));
    for (value, is_honey) in
        [(fake, true), (token.as_str(), true), (shared, false), ("fake-unknown-1", false)]
    {
        assert_eq!(resolved(&root, &server, value)["honey"], is_honey, "{value}");
        let seen = resolved(&ci, &server, value);
        assert!(!seen.to_string().contains("honey"), "{seen}");
    }
    // A fake looks like any other: but for the names, the same is said of it.
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (of_fake, of_other) = (resolved(&ci, &server, fake), resolved(&ci, &server, shared));
    assert_eq!(keys(&of_fake), keys(&of_other));
    assert_eq!(keys(&of_fake["places"][0]), keys(&of_other["places"][0]));
}

#[test]
fn a_notice_survives_a_restart_and_comes_when_somebody_listens() {
    let (server, told, is_up) = listened_to();
    let root = server.root();
    root.write("secret/data/app/old-db", json!({ "data": { "password": "not-a-real-one" } })).data();
    plant(&server, "old-db", json!({ "kind": "kv", "path": "secret/app/old-db", "webhook": HOOK }));
    is_up.store(false, Ordering::Relaxed);
    root.read("secret/data/app/old-db").data();
    assert!(told.lock().is_empty());
    server.kernel.seal();
    server.unseal();
    let waiting = server.root().read("sys/honey/old-db");
    assert!(waiting.data()["not_told"].as_str().unwrap().contains("nobody is there"), "{waiting:?}");
    is_up.store(true, Ordering::Relaxed);
    server.clock.advance(Duration::from_secs(60));
    server.kernel.maintain();
    assert_eq!(told.lock().len(), 1);
    let after = server.root().read("sys/honey/old-db");
    assert!(after.data()["told"].is_string() && after.data()["not_told"] == "", "{after:?}");
    server.clock.advance(Duration::from_secs(60));
    server.kernel.maintain();
    assert_eq!(told.lock().len(), 1);
}

#[test]
fn what_cannot_be_honey_is_refused_and_what_was_removed_is_quiet() {
    let (server, _, _) = listened_to();
    let root = server.root();
    let status = |body: Value| root.write("sys/honey/x", body).status;
    assert_eq!(status(json!({})), 400);
    assert_eq!(status(json!({ "kind": "bees" })), 400);
    assert_eq!(status(json!({ "kind": "kv", "path": "secret/" })), 400);
    assert_eq!(status(json!({ "kind": "value", "value": "short" })), 400);
    assert_eq!(status(json!({ "kind": "token", "webhook": "http://a.example/x" })), 400);
    assert_eq!(root.write("sys/honey/a b", json!({ "kind": "token" })).status, 400);
    let fake = plant(&server, "one", json!({ "kind": "token" }))["value"].clone();
    assert_eq!(root.write("sys/honey/two", json!({ "kind": "token", "value": fake })).status, 400);
    // Who may not change a secret does not make honey of it.
    let rules = r#"path "sys/honey/*" { capabilities = ["create", "update"] }"#;
    root.write("sys/policies/acl/bees", json!({ "policy": rules }));
    let token = root.write("auth/token/create", json!({ "policies": ["bees"] })).token();
    let keeper = server.session(Some(&token));
    assert_eq!(keeper.write("sys/honey/x", json!({ "kind": "kv", "path": "secret/app/db" })).status, 403);
    assert_eq!(root.delete("sys/honey/one").status, 204);
    server.session(fake.as_str()).read("secret/data/x");
    assert_eq!(root.read("sys/honey/one").status, 404);
}
