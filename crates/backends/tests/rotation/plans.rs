//! Plans, and who may do what with them.

use super::world::{SECRET, Scene};
use serde_json::{Value, json};
use std::time::Duration;

#[track_caller]
fn refused(scene: &Scene, plan: Value, expected: &str) {
    let (status, text) = scene.server.root().write(&format!("sys/rotation/plans/{SECRET}"), plan).refusal();
    assert_eq!(status, 400, "{text}");
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_plan_that_cannot_work_is_refused_with_the_reason() {
    let scene = Scene::new();
    refused(&scene, json!({"every": "1h"}), "missing generate");
    refused(&scene, json!({"generate": "uuid", "evry": "1h"}), "unknown field \"evry\"");
    refused(&scene, json!({"generate": "uuid", "cron": "* * *"}), "cron must have five fields");
    refused(&scene, json!({"generate": "uuid", "cron": "0 0 30 2 *"}), "never comes");
    refused(&scene, json!({"generate": "uuid", "at": "2020-01-01T00:00:00Z"}), "at is in the past");
    refused(&scene, json!({"generate": "uuid", "every": "1s"}), "every must be between");
    refused(&scene, json!({"generate": "password policy=none"}), "there is no password policy \"none\"");
    let apply = "database mount=accounts connection=nowhere";
    refused(&scene, json!({"generate": "uuid", "field": "p", "apply": apply}), "no connection \"nowhere\"");
    let apply = format!("database mount=accounts connection={}", scene.world.name);
    refused(&scene, json!({"generate": "uuid", "apply": apply}), "say which, as field");
    refused(
        &scene,
        json!({"generate": "uuid", "apply": "database mount=secret connection=x"}),
        "no mount with",
    );
    let root = scene.server.root();
    let at = |path: &str| {
        root.write(&format!("sys/rotation/plans/{path}"), json!({"generate": "uuid"})).refusal().1
    };
    assert!(at("nowhere/x").contains("no mount serves"));
    assert!(at("secret").contains("is a mount"));
    assert!(at("accounts/x").contains("keeps no versions"));
    let missing = root.read(&format!("sys/rotation/status/{SECRET}")).refusal();
    assert_eq!(missing, (404, format!("there is no plan for \"{SECRET}\"")));
}

#[test]
fn what_is_not_given_stays_and_plans_are_listed_and_removed() {
    let scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "token prefix=p_", "every": "1h", "grace": "5m"}));
    let changed = scene.plan(json!({"every": "", "cron": "@daily"}));
    let data = changed.data();
    assert_eq!(
        (&data["every"], &data["cron"], &data["grace"]),
        (&json!(null), &json!("@daily"), &json!("5m"))
    );
    assert_eq!(data["generate"]["prefix"], "p_");
    let root = scene.server.root();
    assert_eq!(root.list("sys/rotation/plans").data()["keys"], json!(["secret/"]));
    assert_eq!(root.list("sys/rotation/plans/secret").data()["keys"], json!(["app/"]));
    assert_eq!(root.list("sys/rotation/plans/secret/app").data()["keys"], json!(["db"]));
    let calendar = root.read("sys/rotation/calendar").data().clone();
    assert_eq!(calendar["entries"][0]["time"], "2026-01-02T00:00:00Z");
    assert_eq!(calendar["entries"][0]["path"], SECRET);
    assert_eq!(root.delete(&format!("sys/rotation/plans/{SECRET}")).status, 204);
    assert_eq!(root.list("sys/rotation/plans").status, 404);
    scene.pass(Duration::from_secs(48 * 3600));
    assert_eq!(scene.password(), "first-value");
}

/// A plan is about a mount's number, not its path; and a mount stays in its namespace.
#[test]
fn a_plan_goes_along_when_its_mount_is_moved() {
    let scene = Scene::new();
    scene.database_plan(json!({"every": "1h", "grace": "5m"}));
    let root = scene.server.root();
    assert_eq!(root.write("sys/namespaces/team", json!({})).status, 200);
    assert_eq!(root.write("sys/remount", json!({"from": "secret", "to": "team/secret"})).status, 400);
    assert_eq!(root.write("sys/remount", json!({"from": "secret", "to": "moved/here"})).status, 200);
    let calendar = root.read("sys/rotation/calendar").data().clone();
    assert_eq!(calendar["entries"][0]["path"], "moved/here/app/db");
    assert_eq!(root.list("sys/rotation/plans/moved/here/app").data()["keys"], json!(["db"]));
    let status = || root.read("sys/rotation/status/moved/here/app/db").data().clone();
    scene.server.clock.advance(Duration::from_secs(3600));
    for _ in 0..400 {
        scene.work();
        if status()["state"] != "rotating" && status()["state"] != "idle" {
            break;
        }
        scene.server.clock.advance(Duration::from_secs(1));
        if root.read("moved/here/data/app/db").data()["data"]["password"] != "first-value" {
            break;
        }
    }
    let password = root.read("moved/here/data/app/db").data()["data"]["password"].clone();
    assert_ne!(password, "first-value", "{}", status());
    let validated = root.write("sys/rotation/validate/moved/here/app/db", json!({ "value": password }));
    assert_eq!(validated.data()["valid"], true, "{validated:?}");
    // A mount of the old name is another one: it has no plan.
    root.write("sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}}));
    assert_eq!(root.read("sys/rotation/status/secret/app/db").status, 404);
}

#[test]
fn who_writes_a_plan_needs_what_the_plan_does() {
    let scene = Scene::new();
    let root = scene.server.root();
    let policy =
        |name: &str, text: &str| root.write(&format!("sys/policies/acl/{name}"), json!({ "policy": text }));
    policy("plans", r#"path "sys/rotation/*" { capabilities = ["create", "update", "read"] }"#);
    policy("secret", r#"path "secret/data/app/*" { capabilities = ["update"] }"#);
    policy("accounts", r#"path "accounts/config/*" { capabilities = ["update"] }"#);
    let token = |policies: &[&str]| {
        let answer = root.write("auth/token/create", json!({ "policies": policies }));
        answer.token()
    };
    let write = |token: &str, plan: Value| {
        scene.server.session(Some(token)).write(&format!("sys/rotation/plans/{SECRET}"), plan).refusal()
    };
    let (status, text) = write(&token(&["plans"]), json!({"generate": "uuid", "field": "password"}));
    assert_eq!(status, 403);
    assert!(text.contains("update on secret/data/app/db is needed as well"), "{text}");
    let both = token(&["plans", "secret"]);
    assert_eq!(write(&both, json!({"generate": "uuid", "field": "password"})).0, 200);
    let apply = json!({"apply": format!("database mount=accounts connection={}", scene.world.name)});
    let (status, text) = write(&both, apply.clone());
    assert_eq!(status, 403);
    assert!(text.contains("update on accounts/config/"), "{text}");
    assert_eq!(write(&token(&["plans", "secret", "accounts"]), apply).0, 200);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let scene = Scene::new();
    scene.database_plan(json!({}));
    let path = format!("sys/rotation/rotate/{SECRET}");
    let said = scene.server.root().write(&path, json!({"dry_run": true})).data().clone();
    let steps: Vec<_> =
        said["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["generate", "stage", "apply", "verify", "promote", "retire"]);
    assert_eq!(said["problems"], json!([]));
    scene.work();
    assert_eq!(scene.password(), "first-value");
    assert!(scene.world.log.lock().unwrap().is_empty());
}

#[test]
fn a_number_of_reads_is_enough_for_a_rotation() {
    let scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "uuid", "after_reads": 5}));
    for _ in 0..4 {
        scene.secret();
    }
    scene.work();
    assert_eq!(scene.status()["reads"], 4);
    assert_eq!(scene.history().len(), 0);
    scene.secret();
    scene.work();
    assert_eq!(scene.history()[0]["reason"], "reads");
    assert_eq!(scene.status()["reads"], 0);
}

#[test]
fn a_leak_ends_what_got_out_at_once() {
    let scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "uuid", "grace": "1h"}));
    scene.rotate();
    scene.work();
    let second = scene.password();
    assert_eq!(scene.validate("first-value")["valid"], true);
    let leak = |body: Value| scene.server.root().write(&format!("sys/rotation/leak/{SECRET}"), body);
    assert_eq!(leak(json!({"version": 1})).data()["retired"], 1);
    assert_eq!(scene.validate("first-value")["valid"], false);
    assert_eq!(scene.password(), second, "the current version did not get out");
    assert_eq!(leak(json!({"version": 7})).status, 400);
    assert_eq!(leak(json!({"note": "found in a log"})).data()["reason"], "leak");
    scene.work();
    assert_ne!(scene.password(), second);
    assert_eq!(scene.validate(&second)["valid"], false);
    assert_eq!(scene.history()[0]["note"], "found in a log");
}

#[test]
fn key_pairs_and_whole_secrets_change_as_one() {
    let scene = Scene::new();
    scene.plan(json!({"field": "key", "generate": "ed25519 public_field=pub"}));
    scene.rotate();
    scene.work();
    let secret = scene.secret();
    assert!(secret["key"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(secret["pub"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert_eq!(secret["password"], "first-value");
    let path = "sys/rotation/plans/secret/fresh";
    let root = scene.server.root();
    root.write(path, json!({"generate": "password"}));
    root.write("sys/rotation/rotate/secret/fresh", json!({}));
    scene.work();
    let fresh = root.read("secret/data/fresh").data()["data"].clone();
    let value = fresh["value"].as_str().unwrap();
    assert_eq!((fresh.as_object().unwrap().len(), value.len()), (1, 32));
    let valid = root.write("sys/rotation/validate/secret/fresh", json!({ "value": value }));
    assert_eq!(valid.data()["valid"], true);
}

#[test]
fn namespaces_have_plans_of_their_own() {
    let scene = Scene::new();
    let root = scene.server.root();
    root.write("sys/namespaces/team", json!({}));
    let team = || scene.server.root().in_namespace("team");
    team().write("sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}}));
    team().write("secret/data/k", json!({"data": {"value": "one"}}));
    assert_eq!(
        team().write("sys/rotation/plans/secret/k", json!({"generate": "uuid", "every": "1h"})).status,
        200
    );
    assert_eq!(root.list("sys/rotation/plans").status, 404);
    scene.pass(Duration::from_secs(3600));
    assert_ne!(team().read("secret/data/k").data()["data"]["value"], "one");
}

#[test]
fn a_namespace_that_is_removed_leaves_no_paused_plan_behind() {
    let scene = Scene::new();
    scene.server.root().write("sys/namespaces/team", json!({}));
    let team = || scene.server.root().in_namespace("team");
    team().write("sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}}));
    team().write("secret/data/k", json!({"data": {"value": "one"}}));
    let plan = json!({"generate": "command name=make", "every": "1h", "pause_after": 1, "attempts": 1});
    assert_eq!(team().write("sys/rotation/plans/secret/k", plan).status, 200);
    scene.world.answers.lock().unwrap().insert("generate".to_owned(), Err("it died".to_owned()));
    scene.pass(Duration::from_secs(3600));
    let paused = || scene.server.root().read("sys/health").data().get("rotations_paused").cloned();
    assert_eq!(paused(), Some(json!(1)));
    scene.server.root().delete("sys/namespaces/team");
    for _ in 0..20 {
        scene.work();
    }
    assert_eq!(paused(), None);
}
