//! The server dies, at every call of its store and at every effect: at no moment does neither the old nor the new value
//! work, and what was begun comes to an end.

use super::world::{Fate, Scene};
use serde_json::json;
use std::time::Duration;
use strongroom_storage::memory::{Fault, FaultRates, seeded_faults};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accounts {
    One,
    TakingTurns,
}

fn scene(accounts: Accounts) -> Scene {
    let scene = Scene::new();
    let mut apply = json!({"type": "database", "mount": "accounts", "connection": scene.world.name});
    if accounts == Accounts::TakingTurns {
        apply["accounts"] = json!(["app", "app_b"]);
    }
    let notify = format!("database mount=accounts connection={} channel=c", scene.world.name);
    scene.database_plan(json!({"apply": apply, "notify": notify, "grace": "1m"}));
    assert_eq!(scene.rotate().status, 200);
    scene
}

/// Everything has to be in order some time after a crash.
#[track_caller]
fn check_end(scene: &mut Scene, accounts: Accounts, what: &str) {
    scene.restart();
    scene.world.choose(|_| Fate::Done);
    assert!(scene.somebody_gets_in(), "after {what}");
    if accounts == Accounts::TakingTurns {
        let secret = scene.secret();
        let text = |name: &str| secret[name].as_str().unwrap().to_owned();
        assert!(scene.world.works(&text("username"), &text("password")), "after {what}");
    }
    scene.settle();
    let history = scene.history();
    assert_eq!(history.len(), 1, "after {what}: {history:?}");
    assert_eq!(history[0]["outcome"], "promoted", "after {what}: {history:?}");
    let secret = scene.secret();
    let text = |name: &str| secret[name].as_str().unwrap().to_owned();
    assert!(scene.world.works(&text("username"), &text("password")), "after {what}");
    assert_ne!(text("password"), "first-value", "after {what}");
    assert_eq!(scene.status()["versions"]["current"], 2, "after {what}: one version more");
    scene.pass(Duration::from_secs(120));
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.status()["state"], "idle", "after {what}");
    if accounts == Accounts::TakingTurns {
        assert!(!scene.world.works("app", "first-value"), "after {what}: retired");
    }
}

fn at_every_call(accounts: Accounts, fault: Fault) {
    for crash_at in 0.. {
        let mut scene = scene(accounts);
        let mut count = 0;
        scene.storage.set_faults(Some(Box::new(move |_| {
            count += 1;
            if count > crash_at { fault } else { Fault::Nothing }
        })));
        for _ in 0..3 {
            scene.work();
            scene.server.clock.advance(Duration::from_secs(30));
        }
        let has_crashed = scene.storage.is_closed();
        check_end(&mut scene, accounts, &format!("{fault:?} at call {crash_at}, {accounts:?}"));
        if !has_crashed {
            assert!(crash_at > 20, "the faults were met");
            return;
        }
    }
}

#[test]
fn at_every_call_of_the_store() {
    for accounts in [Accounts::One, Accounts::TakingTurns] {
        at_every_call(accounts, Fault::CrashBefore);
        at_every_call(accounts, Fault::CrashAfter);
    }
}

#[test]
fn at_every_effect() {
    for accounts in [Accounts::One, Accounts::TakingTurns] {
        for fate in [Fate::DiesBefore, Fate::DiesAfter, Fate::Lost, Fate::Unheard] {
            for die_at in 0..4 {
                let mut scene = scene(accounts);
                let mut count = 0;
                scene.world.choose(move |_| {
                    count += 1;
                    if count == die_at + 1 { fate } else { Fate::Done }
                });
                scene.work();
                check_end(&mut scene, accounts, &format!("{fate:?} at effect {die_at}, {accounts:?}"));
            }
        }
    }
}

/// Commits whose outcome nobody knows, failed reads, a peer that loses every third request, and crashes, as a seed says.
/// Says how many rotations there were.
fn storm(seed: u64) -> usize {
    let mut scene = Scene::new();
    scene.database_plan(json!({"every": "1m", "grace": "10s", "pause_after": 1000, "attempts": 3}));
    let rates =
        FaultRates { read_error: 4_000, commit_error: 20_000, full: 5_000, unknown: 20_000, crash: 3_000 };
    for round in 0..30_u64 {
        let mut dice = seed.wrapping_mul(31).wrapping_add(round) | 1;
        scene.world.choose(move |_| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match dice >> 60 {
                0 => Fate::Lost,
                1 => Fate::Unheard,
                2 => Fate::DiesBefore,
                3 => Fate::DiesAfter,
                4 => Fate::Refused,
                _ => Fate::Done,
            }
        });
        scene.storage.set_faults(Some(seeded_faults(seed ^ (round << 32), rates)));
        for _ in 0..8 {
            scene.pass(Duration::from_secs(11));
        }
        scene.restart();
        assert!(scene.somebody_gets_in(), "seed {seed}, round {round}: {}", scene.status());
    }
    scene.world.choose(|_| Fate::Done);
    scene.rotate();
    scene.settle();
    assert!(scene.world.works("app", &scene.password()), "seed {seed}: {}", scene.status());
    scene.history().len()
}

#[test]
fn in_any_storm_somebody_gets_in() {
    let rotations: usize = (0..24).map(storm).sum();
    assert!(rotations > 240, "{rotations}");
}
