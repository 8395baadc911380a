//! A version 1 mount of the key-value store becomes version 2 by `tune`, with everything in it.
#![allow(clippy::unwrap_used, reason = "what fails here shall fail the test")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use strongroom_kernel::Tidied;
use strongroom_testkit::server::TestServer;

const UPGRADE: &str = r#"{"options": {"version": "2"}}"#;

fn tune(server: &TestServer, body: &str) -> strongroom_testkit::server::Answer {
    server.root().write("sys/mounts/kv/tune", serde_json::from_str(body).unwrap())
}

/// A version 1 mount with values at several depths, one of them large.
fn filled(count: usize) -> (TestServer, BTreeMap<String, Value>) {
    let server = TestServer::start(strongroom_backends::all());
    assert_eq!(server.root().write("sys/mounts/kv", json!({"type": "kv"})).status, 204);
    let mut values = BTreeMap::new();
    for number in 0..count {
        let path = match number % 3 {
            0 => format!("top-{number}"),
            1 => format!("a/b/c-{number}"),
            _ => format!("team {number}/né/x"),
        };
        let value = json!({"n": number, "text": "t".repeat(if number == 7 { 300_000 } else { 10 })});
        assert_eq!(server.root().write(&format!("kv/{path}"), value.clone()).status, 204);
        values.insert(path, value);
    }
    (server, values)
}

#[test]
fn every_value_becomes_a_first_version_across_a_crash() {
    let (server, values) = filled(400);
    let listed = server.root().list("kv/a/b").data().clone();
    let tuned = tune(&server, UPGRADE);
    assert!(
        tuned.body["warnings"][0].as_str().unwrap().starts_with("Upgrading from non-versioned"),
        "{tuned:?}"
    );
    for path in ["kv/data/top-0", "kv/metadata/a"] {
        let (status, text) = server.root().read(path).refusal();
        assert!(status == 400 && text.contains("will resume service shortly"), "{status} {text}");
    }
    assert_eq!(server.session(None).read("kv/data/top-0").status, 403);
    // A piece at a time, and the server goes down between them.
    assert_eq!(server.kernel.clean_up().unwrap(), Tidied::More);
    let server = server.restarted(|_| ());
    assert_eq!(server.root().read("kv/data/top-0").status, 400);
    let mut pieces = 1;
    while server.root().read("kv/data/top-0").status == 400 {
        server.kernel.clean_up().unwrap();
        pieces += 1;
        assert!(pieces < 20);
    }
    assert!(pieces >= 4, "{pieces}");
    for (path, value) in &values {
        let read = server.root().read(&format!("kv/data/{path}"));
        assert_eq!(&read.data()["data"], value, "{path}");
        assert_eq!(read.data()["metadata"]["version"], 1);
    }
    assert_eq!(server.root().list("kv/metadata/a/b").data(), &listed);
    let again = server.root().write("kv/data/top-0", json!({"data": {"n": 1}}));
    assert_eq!(again.data()["version"], 2);
    assert_eq!(server.root().read("sys/mounts/kv").data()["options"]["version"], "2");
}

#[test]
fn an_empty_mount_changes_at_once_and_nothing_goes_back() {
    let (server, _) = filled(0);
    assert_eq!(tune(&server, UPGRADE).status, 204);
    assert_eq!(server.root().write("kv/data/a", json!({"data": {"k": "v"}})).data()["version"], 1);
    let (status, text) = tune(&server, r#"{"options": {"version": "1"}}"#).refusal();
    assert!(status == 400 && text.contains("cannot downgrade mount from version \"2\""), "{text}");
    assert_eq!(tune(&server, UPGRADE).status, 204);
    assert_eq!(tune(&server, r#"{"options": {"version": "3"}}"#).status, 400);
    assert_eq!(server.root().read("kv/data/a").data()["data"], json!({"k": "v"}));
}

#[test]
fn a_mount_is_disabled_in_the_middle_of_an_upgrade() {
    let (server, _) = filled(200);
    tune(&server, UPGRADE);
    assert_eq!(server.kernel.clean_up().unwrap(), Tidied::More);
    assert_eq!(server.root().delete("sys/mounts/kv").status, 204);
    while server.kernel.clean_up().unwrap() == Tidied::More {}
    assert_eq!(server.root().write("sys/mounts/kv", json!({"type": "kv"})).status, 204);
    assert_eq!(server.root().list("kv").status, 404);
}
