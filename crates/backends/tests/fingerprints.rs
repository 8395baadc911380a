//! The index of fingerprints on whole servers: made with every write, exported, and resolved back to secrets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use strongroom_testkit::server::{Session, TestServer};

const FIRST: &str = "fake-first-9Qm2LrXz7Tn4VbPk8Wd3";
const SECOND: &str = "fake-second-Kd8sPqLm2RtVx7Nw4Jc1";

fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    assert_eq!(root.write("sys/mounts/kv", json!({"type": "kv", "options": {"version": "2"}})).status, 204);
    assert_eq!(root.write("sys/mounts/one", json!({"type": "kv"})).status, 204);
    server
}

/// The tags of an export, all pages of it.
fn exported(session: &Session<'_>, limit: u64) -> BTreeSet<String> {
    let mut tags = BTreeSet::new();
    let mut cursor = Value::Null;
    loop {
        let answer = session.write("sys/fingerprints", json!({"limit": limit, "cursor": cursor}));
        let data = answer.data();
        let packed = STANDARD.decode(data["fingerprints"].as_str().unwrap()).unwrap();
        assert_eq!(packed.len() as u64, 32 * data["count"].as_u64().unwrap());
        tags.extend(packed.chunks(32).map(|packed| hex::encode(&packed[16..])));
        cursor = data["cursor"].clone();
        if data["more"] == false {
            return tags;
        }
    }
}

fn look_up(session: &Session<'_>, value: &str) -> Value {
    session.write("sys/fingerprints/lookup", json!({ "value": value })).data().clone()
}

/// Where a value is, from its fingerprint alone: secret, key and state of each version, the newest first.
fn resolved(session: &Session<'_>, tag: &str) -> Vec<String> {
    let answer = session.write("sys/fingerprints/resolve", json!({"tags": [tag]}));
    let about = &answer.data()["fingerprints"][tag];
    let places = about["places"].as_array().unwrap();
    let version = |version: &Value| format!("{}={}", version["version"], version["state"].as_str().unwrap());
    let shown = places.iter().map(|place| {
        let versions: Vec<String> = place["versions"].as_array().unwrap().iter().map(version).collect();
        let (secret, key) = (place["secret"].as_str().unwrap(), place["key"].as_str().unwrap());
        format!("{secret}#{key} {}", versions.join(" "))
    });
    shown.collect()
}

#[track_caller]
fn check(server: &TestServer, value: &str, expected: &[&str]) {
    let root = server.root();
    let found = look_up(&root, value);
    let tag = found["tag"].as_str().unwrap();
    assert_eq!(found["known"], !expected.is_empty());
    assert_eq!(resolved(&root, tag), expected, "{value}");
    assert_eq!(exported(&root, 1), exported(&root, 0), "pages");
    assert_eq!(exported(&root, 0).contains(tag), !expected.is_empty(), "{value}");
}

fn write(server: &TestServer, path: &str, data: Value) {
    assert_eq!(server.root().write(&format!("kv/data/{path}"), json!({ "data": data })).status, 200);
    server.clock.advance(Duration::from_secs(1));
}

#[test]
fn a_written_value_is_found_in_every_state_of_its_version() {
    let server = server();
    let root = server.root();
    write(&server, "app/db", json!({"user": "app", "password": FIRST}));
    check(&server, FIRST, &["kv/app/db#password 1=current"]);
    write(&server, "app/db", json!({"user": "app", "password": SECOND}));
    check(&server, FIRST, &["kv/app/db#password 1=superseded"]);
    check(&server, SECOND, &["kv/app/db#password 2=current"]);
    root.delete("kv/data/app/db");
    check(&server, SECOND, &["kv/app/db#password 2=deleted"]);
    root.write("kv/undelete/app/db", json!({"versions": [2]}));
    check(&server, SECOND, &["kv/app/db#password 2=current"]);
    root.write("kv/destroy/app/db", json!({"versions": [1]}));
    check(&server, FIRST, &["kv/app/db#password 1=destroyed"]);
    // An old leak is told by name when the secret is long gone.
    root.delete("kv/metadata/app/db");
    check(&server, SECOND, &["kv/app/db#password 2=removed"]);
    // What is made anew under the same name is another secret.
    write(&server, "app/db", json!({"password": "fake-third-Hb6Gf3Yz9Ua5Qe0Wi8Ok7"}));
    check(&server, FIRST, &["kv/app/db#password 1=removed"]);
    assert_eq!(look_up(&root, SECOND)["live"], false);
}

#[test]
fn versions_pushed_out_and_expired_secrets() {
    let server = server();
    server.root().write("kv/metadata/app", json!({"max_versions": 1}));
    write(&server, "app", json!({"token": FIRST}));
    write(&server, "app", json!({"token": SECOND, "old": "x"}));
    check(&server, FIRST, &["kv/app#token 1=dropped"]);
    let soon = server.kernel.now().plus(Duration::from_secs(5)).rfc3339();
    server.root().patch("kv/metadata/app", json!({"expires_at": soon}));
    server.clock.advance(Duration::from_secs(10));
    check(&server, SECOND, &["kv/app#token 2=expired"]);
}

#[test]
fn a_value_that_stays_is_of_every_version_and_of_every_secret_that_has_it() {
    let server = server();
    write(&server, "a", json!({"x": FIRST, "y": {"z": [1, SECOND]}}));
    write(&server, "a", json!({"x": FIRST}));
    write(&server, "b", json!({"url": format!("postgres://u:{}@h/d", "Zq8vL2xR5tN9wK1mP7bV"), "x": FIRST}));
    check(&server, FIRST, &["kv/a#x 2=current 1=superseded", "kv/b#x 1=current"]);
    check(&server, SECOND, &["kv/a#y.z.1 1=superseded"]);
    check(&server, "Zq8vL2xR5tN9wK1mP7bV", &["kv/b#url 1=current"]);
    // What patches add, and what stands in JSON within a text.
    let key_file = json!({"client": "app", "private": "fake-in-json-Ua5Qe0Wi8Ok7Lp2Mv4"}).to_string();
    server.root().patch("kv/data/a", json!({"data": {"key": key_file}}));
    check(&server, "fake-in-json-Ua5Qe0Wi8Ok7Lp2Mv4", &["kv/a#key.private 3=current"]);
}

#[test]
fn mounts_without_versions() {
    let server = server();
    let root = server.root();
    root.write("one/app", json!({"token": FIRST}));
    check(&server, FIRST, &["one/app#token 0=current"]);
    server.clock.advance(Duration::from_secs(1));
    root.write("one/app", json!({"token": SECOND}));
    check(&server, FIRST, &["one/app#token 0=superseded"]);
    check(&server, SECOND, &["one/app#token 0=current"]);
    root.delete("one/app");
    check(&server, SECOND, &["one/app#token 0=removed"]);
    // A cubbyhole is its token's alone.
    root.write("cubbyhole/x", json!({"token": "fake-cubby-Hb6Gf3Yz9Ua5Qe0Wi8Ok7"}));
    check(&server, "fake-cubby-Hb6Gf3Yz9Ua5Qe0Wi8Ok7", &[]);
}

#[test]
fn values_that_can_be_guessed_are_compared_and_not_exported() {
    let server = server();
    write(&server, "app", json!({"password": "hunter2"}));
    write(&server, "app", json!({"password": "hunter3"}));
    assert_eq!(exported(&server.root(), 0).len(), 0);
    for (value, state) in [("hunter2", "superseded"), ("hunter3", "current")] {
        let found = look_up(&server.root(), value);
        assert_eq!((&found["known"], &found["is_guessable"]), (&json!(true), &json!(true)));
        assert_eq!(found["places"][0]["secret"], "kv/app");
        assert_eq!(found["places"][0]["state"], state);
    }
    assert_eq!(look_up(&server.root(), "hunter4")["known"], false);
}

fn token_with(server: &TestServer, policy: &str) -> String {
    server.root().write("sys/policies/acl/p", json!({ "policy": policy }));
    server.root().write("auth/token/create", json!({"policies": ["p"], "display_name": "ci"})).token()
}

#[test]
fn what_callers_may_know() {
    let server = server();
    write(&server, "open/app", json!({"password": FIRST}));
    write(&server, "shut/app", json!({"password": FIRST}));
    let tag = look_up(&server.root(), FIRST)["tag"].as_str().unwrap().to_owned();
    let token = token_with(
        &server,
        r#"path "sys/fingerprints/*" { capabilities = ["update"] }
           path "sys/fingerprints" { capabilities = ["read", "update"] }
           path "kv/metadata/open/*" { capabilities = ["read"] }
           path "kv/data/open/*" { capabilities = ["read"] }"#,
    );
    let ci = server.session(Some(&token));
    // The export is for sudo alone.
    assert_eq!(ci.read("sys/fingerprints").status, 403);
    let answer = ci.write("sys/fingerprints/resolve", json!({"tags": [tag]}));
    let about = &answer.data()["fingerprints"][&tag];
    assert_eq!(resolved(&ci, &tag), ["kv/open/app#password 1=current"]);
    assert_eq!((&about["withheld"], &about["live"]), (&json!(1), &json!(true)));
    assert!(about["places"][0].get("readers").is_none());
    assert_eq!(look_up(&ci, FIRST)["withheld"], 1);
    // Root is told who could have read it.
    let answer = server.root().write("sys/fingerprints/resolve", json!({"tags": [tag]}));
    let readers = &answer.data()["fingerprints"][&tag]["places"][0]["readers"];
    assert_eq!(readers["policies"], json!(["p"]));
    let names: Vec<&str> = readers["holders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["display_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["root", "token-ci"]);
    assert_eq!((&readers["count"], &readers["tokens"]), (&json!(2), &json!(2)));
    let shut = &answer.data()["fingerprints"][&tag]["places"][1]["readers"];
    assert_eq!((&shut["count"], &shut["policies"]), (&json!(1), &json!([])));
    let nobody = token_with(&server, r#"path "kv/*" { capabilities = ["read"] }"#);
    let nobody = server.session(Some(&nobody));
    assert_eq!(nobody.write("sys/fingerprints/resolve", json!({"tags": [tag]})).status, 403);
    assert_eq!(nobody.write("sys/fingerprints/lookup", json!({"value": FIRST})).status, 403);
}

#[test]
fn what_is_new_since_a_cursor() {
    let server = server();
    let root = server.root();
    write(&server, "a", json!({"x": FIRST}));
    server.clock.advance(Duration::from_secs(600));
    let first = root.read("sys/fingerprints").data().clone();
    assert_eq!(
        (&first["count"], &first["more"], &first["is_whole"]),
        (&json!(1), &json!(false), &json!(true))
    );
    let since = |cursor: &Value| root.write("sys/fingerprints", json!({"cursor": cursor})).data().clone();
    let none = since(&first["cursor"]);
    assert_eq!((&none["count"], &none["scan_key"]), (&json!(0), &first["scan_key"]));
    write(&server, "b", json!({"x": SECOND}));
    assert_eq!(since(&none["cursor"])["count"], 1);
    // With less of the tags it is smaller, and finds the same with a little luck.
    let cut = root.write("sys/fingerprints", json!({"tag_bytes": 2})).data().clone();
    assert_eq!(STANDARD.decode(cut["fingerprints"].as_str().unwrap()).unwrap().len(), 2 * 18);
    // Another mount that is gone: what somebody has is too much.
    write(&server, "c", json!({"x": FIRST}));
    root.delete("sys/mounts/one");
    assert_eq!(since(&none["cursor"])["begin_again"], true);
    for wrong in
        [json!({"cursor": "x"}), json!({"cursor": "AgAA"}), json!({"tag_bytes": 1}), json!({"tag_bytes": 17})]
    {
        assert_eq!(root.write("sys/fingerprints", wrong).status, 400);
    }
    for wrong in [json!([]), json!(["zz"]), json!(["00"])] {
        assert_eq!(root.write("sys/fingerprints/resolve", json!({ "tags": wrong })).status, 400);
    }
}

#[test]
fn moved_mounts_and_namespaces() {
    let server = server();
    let root = server.root();
    write(&server, "a", json!({"x": FIRST}));
    root.write("sys/remount", json!({"from": "kv", "to": "moved"}));
    check(&server, FIRST, &["moved/a#x 1=current"]);
    assert_eq!(root.write("sys/namespaces/team", json!({})).status, 200);
    let team = server.root().in_namespace("team");
    team.write("sys/mounts/kv", json!({"type": "kv", "options": {"version": "2"}}));
    team.write("kv/data/b", json!({"data": {"x": FIRST}}));
    // The same value has another tag there, under another key.
    let (here, there) = (look_up(&root, FIRST), look_up(&team, FIRST));
    assert_ne!(here["tag"], there["tag"]);
    assert_ne!(
        root.read("sys/fingerprints").data()["scan_key"],
        team.read("sys/fingerprints").data()["scan_key"]
    );
    assert_eq!(resolved(&team, there["tag"].as_str().unwrap()), ["kv/b#x 1=current"]);
    assert_eq!(resolved(&root, there["tag"].as_str().unwrap()), Vec::<String>::new());
    check(&server, FIRST, &["moved/a#x 1=current"]);
}

/// The server does what it does by itself until there is no more.
fn settle(server: &TestServer) {
    for _ in 0..100 {
        if server.kernel.clean_up().unwrap() == strongroom_kernel::Tidied::All {
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn a_mount_that_keeps_none_and_one_that_keeps_them_again() {
    let server = server();
    let root = server.root();
    for number in 0..150 {
        write(
            &server,
            &format!("s/{number}"),
            json!({"x": format!("fake-{number:03}-9Qm2LrXz7Tn4VbPk8Wd3")}),
        );
    }
    root.write("one/app", json!({"token": FIRST}));
    assert_eq!(exported(&root, 0).len(), 151);
    let cursor = root.read("sys/fingerprints").data()["cursor"].clone();
    for mount in ["kv", "one"] {
        assert_eq!(
            root.write(&format!("sys/mounts/{mount}/tune"), json!({"fingerprints": false})).status,
            204
        );
    }
    assert_eq!(root.read("sys/mounts/kv/tune").data()["fingerprints"], false);
    settle(&server);
    write(&server, "t", json!({"x": SECOND}));
    assert_eq!(exported(&root, 0).len(), 0);
    assert_eq!(look_up(&root, SECOND)["known"], false);
    for mount in ["kv", "one"] {
        root.write(&format!("sys/mounts/{mount}/tune"), json!({"fingerprints": true}));
    }
    assert_eq!(root.read("sys/fingerprints").data()["is_whole"], false);
    settle(&server);
    assert_eq!(exported(&root, 7).len(), 152);
    check(&server, SECOND, &["kv/t#x 1=current"]);
    check(&server, FIRST, &["one/app#token 0=current"]);
    let data = root.write("sys/fingerprints", json!({ "cursor": cursor })).data().clone();
    assert_eq!(data["begin_again"], true);
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn what_is_gone_is_named_for_a_time() {
    let server = server();
    let root = server.root();
    let tune = json!({ "fingerprints_kept_for": "30d" });
    for mount in ["kv", "one"] {
        assert_eq!(root.write(&format!("sys/mounts/{mount}/tune"), tune.clone()).status, 204);
    }
    assert_eq!(root.read("sys/mounts/kv/tune").data()["fingerprints_kept_for"], 30 * 24 * 3600);
    write(&server, "live", json!({ "password": SECOND }));
    write(&server, "app", json!({ "password": FIRST }));
    write(&server, "app", json!({ "password": "fake-third-Hb6Gf3Yz9Ua5Qe0Wi8Ok7" }));
    root.write("one/app", json!({ "token": "fake-one-Ua5Qe0Wi8Ok7Lp2Mv4Zx" }));
    settle(&server);
    server.clock.advance(DAY * 400);
    settle(&server);
    // A value that is there is named however old it is; a deleted one can be brought back.
    check(&server, FIRST, &["kv/app#password 1=superseded"]);
    root.write("kv/delete/app", json!({ "versions": [1] }));
    server.clock.advance(DAY * 40);
    settle(&server);
    server.clock.advance(DAY * 40);
    settle(&server);
    check(&server, FIRST, &["kv/app#password 1=deleted"]);
    // The time begins when it is gone, and is begun once.
    root.write("kv/destroy/app", json!({ "versions": [1] }));
    root.delete("one/app");
    for _ in 0..29 {
        server.clock.advance(DAY);
        settle(&server);
    }
    check(&server, FIRST, &["kv/app#password 1=destroyed"]);
    check(&server, "fake-one-Ua5Qe0Wi8Ok7Lp2Mv4Zx", &["one/app#token 0=removed"]);
    let server = server.restarted(|_| ());
    server.clock.advance(DAY * 3);
    settle(&server);
    check(&server, FIRST, &[]);
    check(&server, "fake-one-Ua5Qe0Wi8Ok7Lp2Mv4Zx", &[]);
    check(&server, SECOND, &["kv/live#password 1=current"]);
    check(&server, "fake-third-Hb6Gf3Yz9Ua5Qe0Wi8Ok7", &["kv/app#password 2=current"]);
}

#[test]
fn of_many_versions_the_newest_are_named() {
    let server = server();
    let tune = json!({ "fingerprints_versions": 15 });
    assert_eq!(server.root().write("sys/mounts/kv/tune", tune).status, 204);
    let value = |number: u64| format!("fake-{number:03}-9Qm2LrXz7Tn4VbPk8Wd3");
    for number in 1..=20 {
        write(&server, "app", json!({ "password": value(number) }));
    }
    server.clock.advance(DAY * 2);
    settle(&server);
    // Ten are kept by the secret itself, and five more are named.
    check(&server, &value(4), &[]);
    check(&server, &value(5), &["kv/app#password 5=dropped"]);
    check(&server, &value(11), &["kv/app#password 11=superseded"]);
    assert_eq!(exported(&server.root(), 0).len(), 16);
    let root = server.root();
    for wrong in [json!({ "fingerprints_versions": "x" }), json!({ "fingerprints_kept_for": "soon" })] {
        assert_eq!(root.write("sys/mounts/kv/tune", wrong).status, 400);
    }
}

#[test]
fn a_mount_that_becomes_version_2() {
    let server = server();
    let root = server.root();
    root.write("one/app", json!({"token": FIRST}));
    root.write("sys/mounts/one/tune", json!({"options": {"version": "2"}}));
    settle(&server);
    check(&server, FIRST, &["one/app#token 1=current 0=dropped"]);
}

#[test]
fn guessing_has_an_end() {
    let server = server();
    write(&server, "app", json!({"password": FIRST}));
    let root = server.root();
    for number in 0..60 {
        assert_eq!(look_up(&root, &format!("guess-{number}"))["known"], false);
    }
    assert_eq!(root.write("sys/fingerprints/lookup", json!({"value": FIRST})).status, 429);
    server.clock.advance(Duration::from_secs(61));
    assert_eq!(look_up(&root, FIRST)["known"], true);
}
