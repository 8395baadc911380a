//! The key-value store, as its clients see it.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_kernel::Operation;
use strongroom_testkit::server::{Session, TestServer};

fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    for version in [1, 2] {
        let mounted = server.root().write(
            &format!("sys/mounts/kv{version}"),
            json!({"type": "kv", "options": {"version": version}}),
        );
        assert_eq!(mounted.status, 204, "{mounted:?}");
    }
    server
}

#[track_caller]
fn put(session: &Session<'_>, path: &str, data: Value) -> u64 {
    let written = session.write(&format!("kv2/data/{path}"), json!({ "data": data }));
    written.data()["version"].as_u64().expect("a version")
}

#[test]
fn v1_keeps_one_value_per_path() {
    let server = server();
    let root = server.root();
    assert_eq!(root.read("kv1/hvac").refusal(), (404, String::new()));
    assert_eq!(root.write("kv1/hvac", json!({"pssst": "hi"})).status, 204);
    let read = root.read("kv1/hvac");
    assert_eq!(read.data(), &json!({"pssst": "hi"}));
    assert_eq!(read.body["lease_duration"], 2_764_800);
    root.write("kv1/hvac", json!({"n": 1, "ttl": "1h"}));
    assert_eq!(root.read("kv1/hvac").data(), &json!({"n": 1, "ttl": "1h"}));
    assert_eq!(root.read("kv1/hvac").body["lease_duration"], 3600);
    assert_eq!(root.delete("kv1/hvac").status, 204);
    assert_eq!(root.delete("kv1/hvac").status, 204);
    assert_eq!(root.read("kv1/hvac").status, 404);
}

#[test]
fn v1_lists_names_and_folders() {
    let server = server();
    let root = server.root();
    assert_eq!(root.list("kv1/test-list").refusal(), (404, String::new()));
    root.write("kv1/test-list/bar/foo", json!({"value": "bar"}));
    root.write("kv1/test-list/foo", json!({"value": "bar"}));
    assert_eq!(root.list("kv1/test-list").data(), &json!({"keys": ["bar/", "foo"]}));
    assert_eq!(root.list("kv1").data(), &json!({"keys": ["test-list/"]}));
    assert_eq!(root.scan("kv1").data(), &json!({"keys": ["test-list/bar/foo", "test-list/foo"]}));
    assert_eq!(root.scan("kv1/test-list").data(), &json!({"keys": ["bar/foo", "foo"]}));
}

#[test]
fn v1_says_what_is_wrong() {
    let server = server();
    let root = server.root();
    assert_eq!(root.write("kv1/x", json!({})).refusal(), (400, "missing data fields".into()));
    let folder = root.write("kv1/x/", json!({"k": "v"})).refusal();
    assert_eq!(folder, (400, "cannot write to a path ending in '/'".into()));
}

#[test]
fn v2_writes_versions_and_reads_them_back() {
    let server = server();
    let root = server.root();
    assert_eq!(root.read("kv2/data/app").refusal(), (404, String::new()));
    let first = root.write("kv2/data/app", json!({"options": {}, "data": {"k": 1}}));
    let answer = first.data().as_object().expect("an object");
    let names: Vec<_> = answer.keys().map(String::as_str).collect();
    assert_eq!(names, ["created_time", "custom_metadata", "deletion_time", "destroyed", "version"]);
    assert_eq!((&answer["version"], &answer["deletion_time"]), (&json!(1), &json!("")));
    assert_eq!(put(&root, "app", json!({"k": 2})), 2);
    assert_eq!(root.read("kv2/data/app").data()["data"], json!({"k": 2}));
    let old = root.read_with("kv2/data/app", json!({"version": "1"}));
    assert_eq!((&old.data()["data"], &old.data()["metadata"]["version"]), (&json!({"k": 1}), &json!(1)));
    assert_eq!(root.read_with("kv2/data/app", json!({"version": "0"})).data()["data"], json!({"k": 2}));
    assert_eq!(root.read_with("kv2/data/app", json!({"version": "3"})).refusal(), (404, String::new()));
    assert_eq!(root.read_with("kv2/data/app", json!({"version": "-1"})).status, 400);
}

#[test]
fn v2_keeps_what_was_written_to_the_letter() {
    let server = server();
    let root = server.root();
    let data =
        json!({"z": 1.5e300, "a": [null, true, {"deep": "\u{1F600}"}], "big": 9_007_199_254_740_993_u64});
    put(&root, "exact", data.clone());
    assert_eq!(root.read("kv2/data/exact").data()["data"], data);
    put(&root, "empty", json!({}));
    assert_eq!(root.read("kv2/data/empty").data()["data"], json!({}));
}

#[test]
fn v2_check_and_set() {
    let server = server();
    let root = server.root();
    let write = |cas: Value| root.write("kv2/data/app", json!({"options": {"cas": cas}, "data": {"k": 1}}));
    let mismatch = (400, "check-and-set parameter did not match the current version".to_owned());
    assert_eq!(write(json!(1)).refusal(), mismatch);
    assert_eq!(write(json!(0)).data()["version"], 1);
    assert_eq!(write(json!(0)).refusal(), mismatch);
    assert_eq!(write(json!(-1)).refusal(), mismatch);
    assert_eq!(write(json!("1")).data()["version"], 2);
    assert_eq!(write(json!("two")).refusal(), (400, "error parsing check-and-set parameter".into()));
    root.write("kv2/config", json!({"cas_required": true}));
    let without = root.write("kv2/data/app", json!({"data": {"k": 1}})).refusal();
    assert_eq!(without, (400, "check-and-set parameter required for this call".into()));
    root.write("kv2/config", json!({"cas_required": false}));
    root.write("kv2/metadata/app", json!({"cas_required": true}));
    assert_eq!(root.write("kv2/data/app", json!({"data": {"k": 1}})).status, 400);
    assert_eq!(write(json!(2)).data()["version"], 3);
}

#[test]
fn v2_says_what_is_wrong_with_a_write() {
    let server = server();
    let root = server.root();
    let refused = |path: &str, body: Value| root.write(path, body).refusal();
    assert_eq!(refused("kv2/data/app", json!({})), (400, "no data provided".into()));
    assert_eq!(refused("kv2/data/app", json!({"k": "v"})), (400, "no data provided".into()));
    assert_eq!(refused("kv2/data/app", json!({"data": null})), (400, "no data provided".into()));
    assert_eq!(refused("kv2/data/app", json!({"data": "text"})).0, 400);
    assert_eq!(refused("kv2/data/app", json!({"data": {}, "options": 7})).0, 400);
    let folder = refused("kv2/data/app/", json!({"data": {"k": "v"}}));
    assert_eq!(folder, (400, "cannot write to a path ending in '/'".into()));
    assert_eq!(root.read("kv2/metadata/app").status, 404);
}

#[test]
fn v2_deletes_softly_and_undeletes() {
    let server = server();
    let root = server.root();
    assert_eq!(root.delete("kv2/data/nothing").status, 204);
    assert_eq!(root.read("kv2/metadata/nothing").status, 404);
    put(&root, "app", json!({"k": 1}));
    put(&root, "app", json!({"k": 2}));
    assert_eq!(root.delete("kv2/data/app").status, 204);
    let gone = root.read("kv2/data/app");
    assert_eq!((gone.status, &gone.body["data"]["data"]), (404, &Value::Null));
    assert_ne!(gone.body["data"]["metadata"]["deletion_time"], "");
    assert_eq!(gone.body["data"]["metadata"]["version"], 2);
    assert_eq!(root.read_with("kv2/data/app", json!({"version": 1})).status, 200);
    assert_eq!(root.write("kv2/undelete/app", json!({"versions": [2]})).status, 204);
    assert_eq!(root.read("kv2/data/app").data()["data"], json!({"k": 2}));
    assert_eq!(root.write("kv2/delete/app", json!({"versions": [1, 7]})).status, 204);
    assert_eq!(root.read_with("kv2/data/app", json!({"version": 1})).status, 404);
    assert_eq!(root.write("kv2/delete/nothing", json!({"versions": [7]})).status, 204);
    assert_eq!(root.write("kv2/delete/app", json!({})).refusal(), (400, "no version number provided".into()));
    assert_eq!(root.write("kv2/undelete/app", json!({"versions": ["x"]})).status, 400);
}

#[test]
fn v2_destroys_for_good() {
    let server = server();
    let root = server.root();
    for n in 1..=3 {
        put(&root, "app", json!({ "k": n }));
    }
    assert_eq!(root.write("kv2/destroy/app", json!({"versions": [1, 3, 9]})).status, 204);
    root.write("kv2/undelete/app", json!({"versions": [1, 3]}));
    for (version, status) in [(1, 404), (2, 200), (3, 404)] {
        let read = root.read_with("kv2/data/app", json!({ "version": version }));
        assert_eq!(read.status, status, "{version}");
        assert_eq!(read.body["data"]["metadata"]["destroyed"], json!(status == 404));
    }
    let about = root.read("kv2/metadata/app");
    let versions = &about.data()["versions"];
    assert_eq!((&versions["1"]["destroyed"], &versions["3"]["deletion_time"]), (&json!(true), &json!("")));
    assert_eq!(put(&root, "app", json!({"k": 4})), 4);
    assert_eq!(root.read("kv2/data/app").data()["data"], json!({"k": 4}));
    assert_eq!(root.read_with("kv2/data/app", json!({"version": 3})).status, 404);
}

#[test]
fn v2_keeps_ten_versions_or_as_many_as_it_is_told() {
    let server = server();
    let root = server.root();
    for n in 1..=12 {
        put(&root, "ten", json!({ "n": n }));
    }
    let about = root.read("kv2/metadata/ten");
    assert_eq!(about.data()["oldest_version"], 3);
    assert_eq!(about.data()["versions"].as_object().expect("versions").len(), 10);
    assert_eq!(root.read_with("kv2/data/ten", json!({"version": 2})).status, 404);
    assert_eq!(root.read_with("kv2/data/ten", json!({"version": 3})).data()["data"], json!({"n": 3}));
    // Fewer, by the secret's own setting.
    root.write("kv2/metadata/ten", json!({"max_versions": 1}));
    put(&root, "ten", json!({"n": 13}));
    put(&root, "ten", json!({"n": 14}));
    assert_eq!(root.read("kv2/metadata/ten").data()["oldest_version"], 14);
    assert_eq!(root.read("kv2/data/ten").data()["data"], json!({"n": 14}));
    assert_eq!(root.read_with("kv2/data/ten", json!({"version": 12})).status, 404);
    // By the mount's.
    root.write("kv2/config", json!({"max_versions": 2}));
    for n in 1..=3 {
        put(&root, "two", json!({ "n": n }));
    }
    assert_eq!(root.read("kv2/metadata/two").data()["versions"].as_object().expect("versions").len(), 2);
    assert_eq!(root.write("kv2/config", json!({"max_versions": 100_000})).status, 400);
}

#[test]
fn v2_config_is_read_back() {
    let server = server();
    let root = server.root();
    let defaults = json!({"cas_required": false, "delete_version_after": "0s", "max_versions": 0, "metadata_cas_required": false});
    assert_eq!(root.read("kv2/config").data(), &defaults);
    root.write(
        "kv2/config",
        json!({"max_versions": 17, "cas_required": true, "delete_version_after": "30m0s"}),
    );
    let config = root.read("kv2/config");
    assert_eq!(config.data()["max_versions"], 17);
    assert_eq!(config.data()["cas_required"], true);
    assert_eq!(config.data()["delete_version_after"], "30m0s");
    assert_eq!(root.write("kv2/config", json!({"max_versions": -1})).status, 400);
    assert_eq!(root.write("kv2/config", json!({"delete_version_after": "soon"})).status, 400);
}

#[test]
fn v2_versions_go_by_themselves() {
    let server = server();
    let root = server.root();
    root.write("kv2/config", json!({"delete_version_after": "1h"}));
    put(&root, "app", json!({"k": 1}));
    root.write("kv2/metadata/brief", json!({"delete_version_after": "10s"}));
    put(&root, "brief", json!({"k": 1}));
    assert_ne!(root.read("kv2/data/app").data()["metadata"]["deletion_time"], "");
    server.clock.advance(Duration::from_secs(11));
    assert_eq!(root.read("kv2/data/app").status, 200);
    assert_eq!(root.read("kv2/data/brief").status, 404);
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(root.read("kv2/data/app").status, 404);
    root.write("kv2/config", json!({"delete_version_after": "-1s"}));
    assert_eq!(root.read("kv2/config").data()["delete_version_after"], "-1s");
    put(&root, "brief", json!({"k": 2}));
    assert_eq!(root.read("kv2/data/brief").data()["metadata"]["deletion_time"], "");
}

#[test]
fn v2_patches_by_merging() {
    let server = server();
    let root = server.root();
    let patch = |body: Value| root.patch("kv2/data/app", body);
    assert_eq!(patch(json!({"data": {"a": 1}})).refusal(), (404, String::new()));
    put(&root, "app", json!({"a": {"b": 1, "c": 2}, "d": 3}));
    let patched = patch(json!({"data": {"a": {"b": null, "e": [1]}, "f": "x"}}));
    assert_eq!(patched.data()["version"], 2);
    let expected = json!({"a": {"c": 2, "e": [1]}, "d": 3, "f": "x"});
    assert_eq!(root.read("kv2/data/app").data()["data"], expected);
    assert_eq!(patch(json!({"options": {"cas": 1}, "data": {"a": 1}})).status, 400);
    assert_eq!(patch(json!({"options": {"cas": 2}, "data": {"a": 1}})).data()["version"], 3);
    root.delete("kv2/data/app");
    assert_eq!(patch(json!({"data": {"a": 1}})).status, 404);
}

#[test]
fn v2_metadata_settings() {
    let server = server();
    let root = server.root();
    assert_eq!(root.delete("kv2/metadata/app").status, 204);
    let settings = json!({
        "max_versions": 5, "cas_required": true, "delete_version_after": "30m", "custom_metadata": {"color": "blue", "n": 1}
    });
    assert_eq!(root.write("kv2/metadata/app", settings).status, 204);
    let about = root.read("kv2/metadata/app");
    let about = about.data();
    assert_eq!(about["max_versions"], 5);
    assert_eq!(about["delete_version_after"], "30m0s");
    assert_eq!(about["custom_metadata"], json!({"color": "blue", "n": "1"}));
    assert_eq!((&about["current_version"], &about["versions"]), (&json!(0), &json!({})));
    assert!(about.get("expires_at").is_none());
    assert_eq!(root.read("kv2/data/app").refusal(), (404, String::new()));
    root.write("kv2/data/app", json!({"options": {"cas": 0}, "data": {"k": 1}}));
    assert_eq!(root.read("kv2/data/app").data()["metadata"]["custom_metadata"]["color"], "blue");
    root.patch("kv2/metadata/app", json!({"custom_metadata": {"color": null, "shape": "round"}}));
    assert_eq!(root.read("kv2/metadata/app").data()["custom_metadata"], json!({"n": "1", "shape": "round"}));
    root.write("kv2/metadata/app", json!({"custom_metadata": {}}));
    assert_eq!(root.read("kv2/metadata/app").data()["custom_metadata"], Value::Null);
    assert_eq!(root.patch("kv2/metadata/nothing", json!({"max_versions": 1})).status, 404);
    let long = "x".repeat(513);
    assert_eq!(root.write("kv2/metadata/app", json!({"custom_metadata": {"k": long}})).status, 400);
    assert_eq!(root.write("kv2/metadata/app", json!({"custom_metadata": {"k": {}}})).status, 400);
    assert_eq!(root.write("kv2/metadata/app", json!({"metadata_cas": 99})).status, 400);
}

#[test]
fn v2_removes_a_secret_whole() {
    let server = server();
    let root = server.root();
    for n in 1..=3 {
        put(&root, "app", json!({ "k": n }));
    }
    put(&root, "app/below", json!({"k": 9}));
    put(&root, "app/below", json!({"k": 10}));
    assert_eq!(root.delete("kv2/metadata/app").status, 204);
    assert_eq!(root.read("kv2/metadata/app").refusal(), (404, String::new()));
    assert_eq!(root.read("kv2/data/app").refusal(), (404, String::new()));
    assert_eq!(root.read_with("kv2/data/app/below", json!({"version": 1})).data()["data"], json!({"k": 9}));
    assert_eq!(put(&root, "app", json!({"k": 1})), 1);
    assert_eq!(root.read_with("kv2/data/app", json!({"version": 2})).status, 404);
}

#[test]
fn v2_lists_scans_and_pages() {
    let server = server();
    let root = server.root();
    assert_eq!(root.list("kv2/metadata").refusal(), (404, String::new()));
    for path in ["a", "b/one", "b/two", "b/c/three", "z"] {
        put(&root, path, json!({"k": 1}));
        put(&root, path, json!({"k": 2}));
    }
    assert_eq!(root.list("kv2/metadata").data(), &json!({"keys": ["a", "b/", "z"]}));
    assert_eq!(root.list("kv2/metadata/b").data(), &json!({"keys": ["c/", "one", "two"]}));
    assert_eq!(root.list("kv2/metadata/a").refusal(), (404, String::new()));
    assert_eq!(root.scan("kv2/metadata").data()["keys"], json!(["a", "b/c/three", "b/one", "b/two", "z"]));
    assert_eq!(root.scan("kv2/metadata/b").data()["keys"], json!(["c/three", "one", "two"]));
    let page = |operation, body| root.send(operation, "kv2/metadata/", body).data()["keys"].clone();
    assert_eq!(page(Operation::List, json!({"limit": 2})), json!(["a", "b/"]));
    assert_eq!(page(Operation::List, json!({"after": "b/", "limit": "2"})), json!(["z"]));
    assert_eq!(page(Operation::Scan, json!({"after": "b/c/three", "limit": 2})), json!(["b/one", "b/two"]));
    assert_eq!(page(Operation::List, json!({"limit": -1})), json!(["a", "b/", "z"]));
}

#[test]
fn v2_subkeys_show_names_alone() {
    let server = server();
    let root = server.root();
    put(&root, "app", json!({"a": {"b": {"c": "not-shown"}, "d": {}}, "e": [1]}));
    let subkeys = |query: Value| root.read_with("kv2/subkeys/app", query).data()["subkeys"].clone();
    assert_eq!(subkeys(json!({})), json!({"a": {"b": {"c": null}, "d": {}}, "e": null}));
    assert_eq!(subkeys(json!({"depth": 1})), json!({"a": null, "e": null}));
    assert_eq!(subkeys(json!({"depth": "2"})), json!({"a": {"b": null, "d": null}, "e": null}));
    assert_eq!(root.read("kv2/subkeys/app").data()["metadata"]["version"], 1);
    assert_eq!(root.read("kv2/subkeys/nothing").refusal(), (404, String::new()));
    root.delete("kv2/data/app");
    assert_eq!(root.read("kv2/subkeys/app").status, 404);
}

#[test]
fn secrets_end_and_say_so_before() {
    let server = server();
    let root = server.root();
    let day = Duration::from_secs(86_400);
    let now = server.kernel.now();
    put(&root, "app/token", json!({"k": 1}));
    put(&root, "other", json!({"k": 1}));
    assert_eq!(root.read("kv2/expiring").refusal(), (404, String::new()));
    let end = now.plus(day * 10).rfc3339();
    let set = root.write("kv2/metadata/app/token", json!({"expires_at": end, "expire_notice": "3d"}));
    assert_eq!(set.status, 204, "{set:?}");
    root.write("kv2/metadata/other", json!({"expires_at": now.plus(day * 60).rfc3339()}));
    let about = root.read("kv2/metadata/app/token");
    assert_eq!(
        (&about.data()["expires_at"], &about.data()["expire_notice"]),
        (&json!(end), &json!("72h0m0s"))
    );
    assert_eq!(root.read("kv2/data/app/token").body.get("warnings"), None);
    let soon = root.read("kv2/expiring");
    assert_eq!(soon.data()["keys"], json!(["app/token"]));
    assert_eq!(soon.data()["key_info"]["app/token"], json!({"expires_at": end, "is_expired": false}));
    assert_eq!(root.read_with("kv2/expiring", json!({"within": "5d"})).status, 404);
    let all = root.read_with("kv2/expiring", json!({"within": "90d"}));
    assert_eq!(all.data()["keys"], json!(["app/token", "other"]));

    server.clock.advance(day * 8);
    let warned = root.read("kv2/data/app/token");
    assert_eq!(warned.data()["data"], json!({"k": 1}));
    assert_eq!(warned.body["warnings"][0], format!("this secret expires at {end}, in 48h"));

    server.clock.advance(day * 3);
    let ended = root.read("kv2/data/app/token");
    assert_eq!((ended.status, &ended.body["data"]["data"]), (404, &Value::Null));
    assert_eq!(ended.body["data"]["metadata"]["deletion_time"], json!(end));
    assert_eq!(root.read("kv2/expiring").data()["key_info"]["app/token"]["is_expired"], true);

    // A new version with a new end, at once.
    let next = server.kernel.now().plus(day * 90).rfc3339();
    root.write("kv2/data/app/token", json!({"data": {"k": 2}, "options": {"expires_at": next}}));
    assert_eq!(root.read("kv2/data/app/token").data()["data"], json!({"k": 2}));
    root.write("kv2/metadata/app/token", json!({"expires_at": ""}));
    assert!(root.read("kv2/metadata/app/token").data().get("expires_at").is_none());
    assert_eq!(root.write("kv2/metadata/app/token", json!({"expires_at": "tomorrow"})).status, 400);
    assert_eq!(root.delete("kv2/metadata/other").status, 204);
    assert_eq!(root.read_with("kv2/expiring", json!({"within": "900d"})).status, 404);
}

#[test]
fn policy_tells_creation_from_update() {
    let server = server();
    let root = server.root();
    let token_with = |name: &str, capability: &str| {
        let policy = format!("path \"kv2/data/*\" {{ capabilities = [\"{capability}\"] }}");
        root.write(&format!("sys/policies/acl/{name}"), json!({ "policy": policy }));
        root.write("auth/token/create", json!({ "policies": [name] })).token()
    };
    let (creator, updater) = (token_with("creator", "create"), token_with("updater", "update"));
    let write =
        |token: &str| server.session(Some(token)).write("kv2/data/app", json!({"data": {"k": 1}})).status;
    assert_eq!(write(&updater), 403);
    assert_eq!(write(&creator), 200);
    assert_eq!(write(&creator), 403);
    assert_eq!(write(&updater), 200);
    assert_eq!(server.session(Some(&updater)).read("kv2/data/app").status, 403);
}

#[test]
fn concurrent_writers_each_get_a_version_of_their_own() {
    let server = server();
    let versions: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let root = server.root();
                scope.spawn(move || {
                    (0..10).map(|n| put(&root, "app", json!({"writer": writer, "n": n}))).collect::<Vec<_>>()
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer ends")).collect()
    });
    let distinct: std::collections::BTreeSet<u64> = versions.into_iter().collect();
    assert_eq!(distinct, (1..=40).collect());
    assert_eq!(server.root().read("kv2/metadata/app").data()["oldest_version"], 31);
    for version in 31..=40 {
        let read = server.root().read_with("kv2/data/app", json!({ "version": version }));
        assert_eq!(read.status, 200, "{version}");
    }
}

#[test]
fn namespaces_and_mounts_keep_apart() {
    let server = server();
    let root = server.root();
    root.write("sys/mounts/other", json!({"type": "kv-v2"}));
    put(&root, "app", json!({"k": 1}));
    assert_eq!(root.read("other/data/app").refusal(), (404, String::new()));
    assert_eq!(root.list("other/metadata").status, 404);
}

#[test]
fn v2_leaves_nothing_behind() {
    let server = server();
    let root = server.root();
    let end = server.kernel.now().plus(Duration::from_secs(60)).rfc3339();
    for n in 1..=12 {
        put(&root, "app/deep", json!({ "k": n }));
    }
    root.write("kv2/destroy/app/deep", json!({"versions": [3, 12]}));
    root.write("kv2/delete/app/deep", json!({"versions": [5]}));
    root.write("kv2/metadata/app/deep", json!({"max_versions": 4, "expires_at": end}));
    put(&root, "app/deep", json!({"k": 13}));
    // A mount changes its version only while nothing is kept in it.
    let to_version_1 = || root.write("sys/mounts/kv2/tune", json!({"options": {"version": "1"}})).status;
    assert_eq!(to_version_1(), 400);
    assert_eq!(root.delete("kv2/metadata/app/deep").status, 204);
    assert_eq!(to_version_1(), 204);
}

#[test]
fn v2_stays_deleted_when_the_clock_is_set_back() {
    let server = server();
    let root = server.root();
    put(&root, "app", json!({"k": 1}));
    put(&root, "app", json!({"k": 2}));
    let before = strongroom_secret::Clock::now(&*server.clock);
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(root.delete("kv2/data/app").status, 204);
    assert_eq!(root.write("kv2/delete/app", json!({"versions": [1]})).status, 204);
    server.clock.set_wall(before);
    assert_eq!(root.read("kv2/data/app").status, 404);
    assert_eq!(root.read_with("kv2/data/app", json!({"version": 1})).status, 404);
    assert_eq!(root.write("kv2/undelete/app", json!({"versions": [1]})).status, 204);
    assert_eq!(root.read_with("kv2/data/app", json!({"version": 1})).status, 200);
}
