//! Somebody sets the clock.

use super::world::Scene;
use serde_json::json;
use std::time::Duration;
use strongroom_secret::Timestamp;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

fn set_wall(scene: &Scene, change: impl Fn(Timestamp) -> Timestamp) {
    scene.server.clock.set_wall(change(scene.server.kernel.now()));
}

#[test]
fn a_clock_that_jumps_a_year_ahead_neither_rotates_nor_ends_a_grace() {
    let scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "token", "grace": "1h", "every": "30d"}));
    scene.rotate();
    scene.work();
    let second = scene.password();
    set_wall(&scene, |now| now.plus(YEAR));
    // Before anybody noticed, and after.
    assert_eq!(scene.validate("first-value")["state"], "grace");
    scene.work();
    assert_eq!(scene.validate("first-value")["state"], "grace");
    assert_eq!(scene.validate("first-value")["valid_until"], "2027-01-01T01:00:00Z");
    assert_eq!(scene.password(), second);
    scene.pass(HOUR - Duration::from_secs(1));
    assert_eq!(scene.validate("first-value")["state"], "grace");
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.validate("first-value")["valid"], false);
    scene.pass(30 * 24 * HOUR - 2 * HOUR);
    assert_eq!(scene.password(), second);
    scene.pass(HOUR);
    assert_ne!(scene.password(), second, "after the thirty days");
    assert_eq!(scene.history().len(), 2);
}

#[test]
fn a_clock_that_is_set_back_prolongs_no_grace_and_repeats_no_rotation() {
    let mut scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "token", "grace": "1h", "cron": "0 3 * * *"}));
    scene.pass(3 * HOUR);
    assert_eq!(scene.history().len(), 1);
    set_wall(&scene, |now| now.minus(2 * HOUR));
    scene.work();
    assert_eq!(scene.validate("first-value")["state"], "grace");
    scene.pass(HOUR);
    assert_eq!(scene.validate("first-value")["valid"], false, "an hour is an hour");
    scene.pass(HOUR);
    // It is three o'clock once more.
    assert_eq!(scene.history().len(), 1);
    assert_eq!(scene.status()["next"], "2026-01-02T03:00:00Z");
    // A restart does not forget what the clock did.
    scene.restart();
    scene.pass(23 * HOUR);
    assert_eq!(scene.history().len(), 1);
    scene.pass(HOUR);
    assert_eq!(scene.history().len(), 2);
}

#[test]
fn a_jump_ahead_and_back_again_leaves_the_schedule_as_it_was() {
    let scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "token", "grace": "1h", "cron": "0 3 * * *"}));
    set_wall(&scene, |now| now.plus(YEAR));
    scene.work();
    let rotated = scene.history().len();
    set_wall(&scene, |now| now.minus(YEAR));
    scene.work();
    assert_eq!(scene.history().len(), rotated);
    scene.pass(2 * 24 * HOUR);
    assert!(scene.history().len() > rotated, "{}", scene.status());
}

#[test]
fn a_time_is_acted_upon_once() {
    let scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "token", "at": "2026-01-01T05:00:00Z"}));
    scene.pass(5 * HOUR - Duration::from_secs(1));
    assert_eq!(scene.history().len(), 0);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.history().len(), 1);
    set_wall(&scene, |now| now.minus(HOUR));
    scene.pass(2 * HOUR);
    assert_eq!(scene.history().len(), 1);
    assert_eq!(scene.status()["next"], json!(null));
}

#[test]
fn a_server_that_was_down_rotates_once_for_all_that_it_missed() {
    let mut scene = Scene::new();
    scene.plan(json!({"field": "password", "generate": "token", "every": "1h"}));
    scene.server.clock.advance(100 * HOUR);
    scene.restart();
    scene.work();
    scene.work();
    assert_eq!(scene.history().len(), 1);
}
