//! The way of one rotation, and what happens where a step fails.

use super::world::{Fate, SECRET, Scene};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_new_value_is_applied_proven_promoted_and_told() {
    let scene = Scene::new();
    let notify = json!([
        "file path=app/db",
        format!("database mount=accounts connection={} channel=rotated", scene.world.name),
    ]);
    scene.database_plan(json!({"notify": notify, "grace": "10m"}));
    let begun = scene.rotate();
    assert_eq!(begun.data()["step"], "generate");
    assert_eq!(scene.password(), "first-value");
    scene.work();
    let password = scene.password();
    assert_ne!(password, "first-value");
    assert!(scene.world.works("app", &password));
    assert_eq!(scene.secret()["port"], 5432);
    assert_eq!(*scene.world.log.lock().unwrap(), ["apply", "verify", "notify"]);
    let told = scene.world.told.lock().unwrap().clone();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|(_, text)| !text.contains(&password) && text.contains("\"new_version\":2")));
    let status = scene.status();
    assert_eq!(status["state"], "grace");
    assert_eq!(status["versions"]["current"], 2);
    assert_eq!(status["versions"]["previous"][0]["version"], 1);
    let past = &scene.history()[0];
    assert_eq!(
        (&past["outcome"], &past["reason"], &past["by"]),
        (&json!("promoted"), &json!("demand"), &json!("root"))
    );
    let steps: Vec<_> =
        past["events"].as_array().unwrap().iter().map(|e| e["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["generate", "stage", "apply", "verify", "promote", "notify"]);
    scene.pass(Duration::from_secs(600));
    assert_eq!(scene.status()["state"], "idle");
    assert!(scene.history()[0]["retired"].is_string());
}

#[test]
fn a_new_value_that_does_not_log_in_is_rolled_back() {
    let scene = Scene::new();
    scene.database_plan(json!({}));
    scene.rotate();
    let mut count = 0;
    scene.world.choose(move |step| {
        count += usize::from(step == "verify");
        if step == "verify" && count == 1 { Fate::Refused } else { Fate::Done }
    });
    scene.work();
    assert_eq!(scene.password(), "first-value");
    assert!(scene.world.works("app", "first-value"), "the old password was applied again");
    assert_eq!(*scene.world.log.lock().unwrap(), ["apply", "verify", "apply", "verify"]);
    let status = scene.status();
    assert_eq!((&status["state"], &status["failures"]), (&json!("failing"), &json!(1)));
    assert_eq!(scene.history()[0]["outcome"], "rolled-back");
    assert_eq!(scene.history()[0]["error"], "the peer says no");
    let metrics = scene.server.root().read_bytes("sys/metrics?format=prometheus");
    let _ = metrics;
}

#[test]
fn a_peer_that_does_not_answer_is_asked_again_later_and_later() {
    let scene = Scene::new();
    scene.database_plan(json!({"attempts": 4}));
    scene.rotate();
    let mut count = 0;
    scene.world.choose(move |step| {
        count += usize::from(step == "apply");
        if step == "apply" && count < 4 { Fate::Unheard } else { Fate::Done }
    });
    scene.work();
    assert_eq!(scene.world.count("apply"), 1);
    assert!(scene.somebody_gets_in());
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.world.count("apply"), 2);
    scene.pass(Duration::from_secs(3));
    assert_eq!(scene.world.count("apply"), 2, "the second wait is longer");
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.world.count("apply"), 3);
    scene.pass(Duration::from_secs(8));
    assert_eq!(scene.status()["versions"]["current"], 2);
}

#[test]
fn a_plan_that_fails_again_and_again_pauses_until_somebody_acts() {
    let scene = Scene::new();
    scene.database_plan(json!({"every": "1h", "pause_after": 2}));
    scene.world.choose(|step| if step == "verify" { Fate::Refused } else { Fate::Done });
    // Neither the new nor the old value logs in: it stops at once.
    scene.pass(Duration::from_secs(3600));
    assert_eq!(scene.status()["state"], "paused");
    let reason = scene.status()["paused"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("could not be brought back"), "{reason}");
    assert_eq!(scene.server.kernel.maintain(), Duration::from_secs(1));
    scene.world.choose(|_| Fate::Done);
    scene.pass(Duration::from_secs(36_000));
    assert_eq!(scene.status()["state"], "paused");
    let resumed = scene.rotate();
    assert_eq!(resumed.data()["resumed"], true);
    scene.work();
    assert!(scene.world.works("app", "first-value"));
    // Failures of the apply alone: rolled back twice, then paused.
    scene.world.choose(|_| Fate::Done);
    scene.rotate();
    scene.work();
    let mut restoring = false;
    scene.world.choose(move |step| {
        restoring = step == "apply" && !restoring;
        if restoring { Fate::Refused } else { Fate::Done }
    });
    scene.pass(Duration::from_secs(3600));
    assert_eq!(scene.status()["failures"], 1);
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.status()["state"], "paused");
    assert!(scene.world.works("app", &scene.password()));
}

#[test]
fn one_of_two_operators_wins() {
    let scene = Scene::new();
    scene.database_plan(json!({}));
    assert_eq!(scene.rotate().status, 200);
    let (status, text) = scene.rotate().refusal();
    assert_eq!(status, 412);
    assert!(text.contains("is under way, begun by root at") && text.contains("one at a time"), "{text}");
    scene.work();
    // Eight at the same moment.
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| scene.rotate().status)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 412).count(), 7, "{answers:?}");
    // A second node over the same store.
    let other = scene.server.restarted(|_| ());
    let answer = other.root().write(&format!("sys/rotation/rotate/{SECRET}"), json!({}));
    assert_eq!(answer.status, 412);
}

#[test]
fn a_rotation_under_way_can_be_given_up_and_a_promoted_one_be_taken_back() {
    let scene = Scene::new();
    scene.database_plan(json!({}));
    scene.rotate();
    scene.world.choose(|step| if step == "verify" { Fate::Lost } else { Fate::Done });
    scene.work();
    assert_eq!(scene.status()["rotation"]["step"], "verify");
    scene.world.choose(|_| Fate::Done);
    let path = format!("sys/rotation/rollback/{SECRET}");
    assert_eq!(scene.server.root().write(&path, json!({"note": "not today"})).data()["step"], "restore");
    scene.work();
    assert!(scene.world.works("app", "first-value"));
    assert_eq!(scene.status()["failures"], 0, "who gives up does not fail");
    assert_eq!(scene.history()[0]["error"], "given up by root: not today");
    // And after the promotion.
    scene.rotate();
    scene.work();
    let second = scene.password();
    assert_eq!(scene.server.root().write(&path, json!({})).status, 200);
    scene.work();
    assert_eq!(scene.password(), "first-value");
    assert!(scene.world.works("app", "first-value"));
    assert_eq!(scene.validate(&second)["state"], "grace");
    assert_eq!(scene.history()[0]["note"], "back to version 1");
    scene.pass(Duration::from_secs(3600));
    let (_, text) = scene.server.root().write(&path, json!({})).refusal();
    assert_eq!(text, "there is nothing to go back to: no version is in its grace");
}

#[test]
fn two_accounts_take_turns_and_the_other_one_ends_with_its_grace() {
    let scene = Scene::new();
    let apply = json!({
        "type": "database", "mount": "accounts", "connection": scene.world.name, "accounts": ["app", "app_b"],
    });
    scene.database_plan(json!({"apply": apply, "grace": "10m"}));
    scene.rotate();
    scene.work();
    let second = scene.secret();
    assert_eq!(second["username"], "app_b");
    assert!(scene.world.works("app_b", second["password"].as_str().unwrap()));
    assert!(scene.world.works("app", "first-value"), "the old account works on");
    let (status, text) = scene.rotate().refusal();
    assert_eq!(status, 412);
    assert!(text.contains("in its grace until 2026-01-01T00:10:00Z"), "{text}");
    scene.pass(Duration::from_secs(600));
    assert!(!scene.world.works("app", "first-value"), "retired");
    assert!(scene.world.works("app_b", second["password"].as_str().unwrap()));
    scene.rotate();
    scene.work();
    assert_eq!(scene.secret()["username"], "app");
    assert!(scene.somebody_gets_in());
}

#[test]
fn a_value_written_by_hand_meanwhile_is_replaced_by_the_one_that_was_proven() {
    let scene = Scene::new();
    scene.database_plan(json!({}));
    scene.rotate();
    scene.world.choose(|step| if step == "verify" { Fate::Lost } else { Fate::Done });
    scene.work();
    let data = json!({"username": "app", "password": "by-hand", "port": 6432});
    scene.server.root().write("secret/data/app/db", json!({ "data": data }));
    scene.world.choose(|_| Fate::Done);
    scene.settle();
    assert_eq!(scene.secret()["port"], 6432, "the rest of what was written stays");
    assert!(scene.world.works("app", &scene.password()));
    assert_eq!(scene.status()["versions"]["current"], 3);
    assert_eq!(scene.validate("by-hand")["state"], "grace");
}

#[test]
fn a_secret_that_was_deleted_is_not_brought_back() {
    let scene = Scene::new();
    scene.database_plan(json!({"every": "1h", "pause_after": 1}));
    scene.pass(Duration::from_secs(3600));
    assert_eq!(scene.status()["versions"]["current"], 2);
    scene.server.root().delete("secret/metadata/app/db");
    scene.pass(Duration::from_secs(3600));
    let reason = scene.status()["paused"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("the secret was deleted"), "{reason}");
    assert_eq!(scene.server.root().read("secret/data/app/db").status, 404);
    let health = scene.server.root().read("sys/health");
    assert_eq!(health.data()["rotations_paused"], 1);
    // With its mount goes the plan.
    scene.server.root().delete("sys/mounts/secret");
    for _ in 0..10 {
        scene.work();
    }
    assert!(scene.server.root().list("sys/rotation/plans").status == 404);
    assert!(scene.server.root().read("sys/health").data().get("rotations_paused").is_none());
}

#[test]
fn commands_get_one_line_and_their_mistakes_are_told_without_values() {
    let scene = Scene::new();
    let plan = json!({
        "field": "password", "generate": "command name=make", "apply": "command name=set",
        "verify": "command name=check", "grace": "1m",
    });
    scene.plan(plan);
    scene.rotate();
    scene.work();
    assert!(scene.world.works("app", &scene.password()));
    scene.pass(Duration::from_secs(60));
    let messages = scene.world.messages.lock().unwrap().clone();
    let steps: Vec<_> = messages.iter().map(|message| message["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["generate", "apply", "verify", "retire"]);
    let ids: Vec<_> = messages.iter().map(|message| message["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(messages[1]["secret"], json!({"namespace": "", "path": SECRET, "field": "password"}));
    assert_eq!(messages[1]["current"]["password"], "first-value");
    assert_eq!(messages[3]["retired"]["password"], "first-value");
    // Rubbish, a refusal that quotes the value, a program that died.
    let wrong = |step: &str, answer: Result<String, String>| {
        scene.world.answers.lock().unwrap().insert(step.to_owned(), answer);
        scene.rotate();
        scene.settle();
        scene.world.answers.lock().unwrap().clear();
        scene.history()[0]["error"].as_str().unwrap().to_owned()
    };
    let said = wrong("generate", Ok("<html>".to_owned()));
    assert!(said.starts_with("the command make answered with something that is no answer"), "{said}");
    let value = scene.password();
    let said = wrong("generate", Ok(json!({"ok": false, "error": format!("not {value}!\n")}).to_string()));
    assert_eq!(said, "the command make says: not [redacted]! ");
    let said = wrong("generate", Err("it was killed".to_owned()));
    assert_eq!(said, "the command make: it was killed");
    let said = wrong("generate", Ok(json!({"ok": true, "value": value}).to_string()));
    assert_eq!(said, "the generator gave the present value");
    assert!(scene.world.works("app", &scene.password()));
}

#[test]
fn webhooks_are_signed_and_the_same_delivery_keeps_its_id() {
    let scene = Scene::new();
    let answer = scene.plan(json!({
        "field": "password", "generate": "uuid", "apply": "webhook url=https://hooks.example/apply",
        "notify": "webhook url=https://hooks.example/told",
    }));
    let key = answer.data()["webhook_key"].as_str().unwrap().strip_prefix("whsec_").unwrap().to_owned();
    let plan = format!("sys/rotation/plans/{SECRET}");
    assert!(scene.server.root().read(&plan).data().get("webhook_key").is_none(), "it is told once");
    scene.rotate();
    let mut count = 0;
    scene.world.choose(move |_| {
        count += 1;
        if count == 1 { Fate::Lost } else { Fate::Done }
    });
    scene.settle();
    let messages = scene.world.messages.lock().unwrap().clone();
    assert_eq!(messages.len(), 3);
    let id = |number: usize| messages[number]["headers"]["webhook-id"].as_str().unwrap();
    assert_eq!(id(0), id(1));
    assert!(id(0).ends_with(".apply") && id(2).ends_with(".notify.0"));
    let key = strongroom_crypto::token::decode_base64(&key).unwrap();
    for message in &messages {
        let header = |name: &str| message["headers"][name].as_str().unwrap();
        let signed = format!(
            "{}.{}.{}",
            header("webhook-id"),
            header("webhook-timestamp"),
            message["text"].as_str().unwrap()
        );
        let algorithm = strongroom_crypto::hash::HashAlgorithm::Sha2_256;
        let tag = strongroom_crypto::mac::hmac(algorithm, key.expose(), signed.as_bytes());
        let expected = format!("v1,{}", strongroom_crypto::token::encode_base64(&tag));
        assert_eq!(header("webhook-signature"), expected);
    }
    assert_eq!(messages[1]["body"]["pending"]["password"], scene.password());
    assert_eq!(messages[2]["body"].get("pending"), None);
    // A notice that never arrives does not undo the rotation.
    scene.world.choose(|step| if step == "webhook notify" { Fate::Lost } else { Fate::Done });
    scene.rotate();
    scene.settle();
    let past = &scene.history()[0];
    assert_eq!(past["outcome"], "promoted");
    assert!(past["error"].as_str().unwrap().starts_with("not everybody was told"));
}
