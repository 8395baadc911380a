//! The overlap, as a service sees it that checks the keys it is presented.

use super::world::{SECRET, Scene};
use serde_json::json;
use std::time::Duration;

fn scene() -> Scene {
    let scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "token", "grace": "1h", "every": "2h"}));
    scene
}

#[test]
fn old_and_new_are_valid_during_the_overlap_and_only_new_after_it_to_the_second() {
    let scene = scene();
    assert_eq!(scene.validate("first-value"), json!({"valid": true, "version": 1, "state": "current"}));
    scene.pass(Duration::from_secs(7199));
    assert_eq!(scene.password(), "first-value");
    scene.pass(Duration::from_secs(1));
    let second = scene.password();
    assert_ne!(second, "first-value");
    let end = Duration::from_secs(3600);
    for after in [0, 1, 1800, 3598, 3599] {
        let grace = scene.validate("first-value");
        assert_eq!(
            (&grace["valid"], &grace["state"], &grace["version"]),
            (&json!(true), &json!("grace"), &json!(1))
        );
        assert_eq!(grace["valid_until"], "2026-01-01T03:00:00Z");
        assert_eq!(
            scene.validate(&second),
            json!({"valid": true, "version": 2, "state": "current"}),
            "{after}"
        );
        scene.server.clock.advance(Duration::from_secs(if after == 1 { 1799 } else { 1 }).min(end));
        if after == 1800 {
            scene.server.clock.advance(Duration::from_secs(1797));
        }
    }
    // 3600 seconds have passed, and no thread has looked at anything since.
    assert_eq!(scene.validate("first-value"), json!({"valid": false}));
    assert_eq!(scene.validate(&second)["valid"], true);
    scene.work();
    assert_eq!(scene.validate("first-value"), json!({"valid": false}));
}

#[test]
fn a_version_that_is_destroyed_is_not_valid_in_its_grace() {
    let scene = scene();
    scene.rotate();
    scene.work();
    assert_eq!(scene.validate("first-value")["valid"], true);
    scene.server.root().write("secret/destroy/app/db", json!({"versions": [1]}));
    assert_eq!(scene.validate("first-value")["valid"], false);
}

#[test]
fn several_versions_are_in_their_grace_at_once_though_fewer_are_kept() {
    let scene = scene();
    scene.plan(json!({"grace": "24h"}));
    scene.server.root().write("secret/metadata/app/db", json!({"max_versions": 2}));
    let mut values = vec![scene.password()];
    for _ in 0..5 {
        scene.rotate();
        scene.work();
        values.push(scene.password());
    }
    for (number, value) in values.iter().enumerate() {
        assert_eq!(scene.validate(value)["version"], number + 1);
    }
    // Each in its turn, however many there are.
    for _ in 0..40 {
        scene.rotate();
        scene.work();
    }
    let (status, text) = scene.rotate().refusal();
    assert_eq!(status, 412, "{text}");
    assert!(text.contains("in its grace until"), "{text}");
    assert_eq!(scene.validate("first-value")["valid"], true);
}

#[test]
fn who_guesses_is_stopped_and_who_is_right_is_not_counted() {
    let scene = scene();
    scene.plan(json!({"validate_failures_per_minute": 3}));
    let path = format!("sys/rotation/validate/{SECRET}");
    let present = |address: &'static str, value: &str| {
        scene.server.root().from_address(address).write(&path, json!({ "value": value })).status
    };
    for _ in 0..20 {
        assert_eq!(present("192.0.2.1", "first-value"), 200);
    }
    for _ in 0..3 {
        assert_eq!(present("192.0.2.1", "guess"), 200);
    }
    // Neither is looked at: who guesses would see which one was right.
    assert_eq!(present("192.0.2.1", "guess"), 429);
    assert_eq!(present("192.0.2.1", "first-value"), 429);
    assert_eq!(present("192.0.2.2", "first-value"), 200);
    scene.server.clock.advance(Duration::from_secs(60));
    assert_eq!(present("192.0.2.1", "first-value"), 200);
}

#[test]
fn labels_name_the_versions_of_a_rotation() {
    let scene = scene();
    scene.plan(json!({"verify": "command name=check"}));
    scene.world.choose(|_| super::world::Fate::Lost);
    scene.rotate();
    scene.work();
    let root = scene.server.root();
    let metadata = || root.read("secret/metadata/app/db").data()["labels"].clone();
    assert_eq!(metadata(), json!({"current": 1, "pending": 2, "previous": []}));
    let pending = root.read_with("secret/data/app/db", json!({"label": "pending"})).data().clone();
    assert_eq!(pending["metadata"]["version"], 2);
    assert_eq!(scene.password(), "first-value");
    assert_eq!(root.read_with("secret/data/app/db", json!({"version": 2})).status, 404);
    scene
        .world
        .passwords
        .lock()
        .unwrap()
        .insert("app".into(), pending["data"]["password"].as_str().unwrap().into());
    scene.world.choose(|_| super::world::Fate::Done);
    scene.settle();
    assert_eq!(metadata(), json!({"current": 2, "pending": null, "previous": [1]}));
    assert_eq!(scene.secret(), pending["data"]);
    let previous = root.read_with("secret/data/app/db", json!({"label": "previous"})).data().clone();
    assert_eq!(previous["data"]["password"], "first-value");
    // A secret without a plan has none.
    root.write("secret/data/other", json!({"data": {"a": "b"}}));
    assert!(root.read("secret/metadata/other").data().get("labels").is_none());
}
