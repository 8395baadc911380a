//! Honey: planted, used, told.

use super::world::{World, text, wait_until};
use serde_json::Value;
use std::fs;
use std::sync::{Arc, Mutex};
use strongroom_crypto::hash::HashAlgorithm;
use strongroom_crypto::mac::hmac;
use strongroom_testkit::outbound::WebServer;

#[test]
fn honey_is_planted_in_a_file_and_its_use_is_told() {
    let world = World::with_server();
    fs::write(world.project().join(".env"), "DEBUG=1").unwrap();
    let made =
        world.json(&["honey", "create", "ci", "--token", "--plant", ".env", "--note", "beside the real one"]);
    let fake = made["value"].as_str().unwrap();
    let planted = fs::read_to_string(world.project().join(".env")).unwrap();
    assert_eq!(planted, format!("DEBUG=1\nVAULT_TOKEN={fake}\n"));
    let tried = world.command(&["kv", "get", "secret/app/db"], fake).output().unwrap();
    let other = world.command(&["kv", "get", "secret/app/db"], "hvs.not-a-real-token").output().unwrap();
    assert_eq!((tried.status.code(), text(&tried.stderr)), (other.status.code(), text(&other.stderr)));
    world.done(&["honey", "create", "old-db", "--secret", "secret/old/db", "--incident"]);
    world.done(&["kv", "get", "secret/old/db"]);
    let used = |name: &str| world.json(&["honey", "show", name])["uses"].as_u64() > Some(0);
    wait_until("both are noticed", || used("ci") && used("old-db"));
    let incident = world.json(&["honey", "show", "old-db"])["incident"].as_str().unwrap().to_owned();
    assert!(
        world.done(&["incident", "show", &incident]).contains("the honey old-db was used from 127.0.0.1")
    );
    let audit = fs::read_to_string(world.path("audit.log")).unwrap();
    assert!(
        audit.contains("\"operation\":\"alarm\"") && audit.contains("sys/honey/ci") && !audit.contains(fake)
    );
    world.done(&["honey", "remove", "ci"]);
    assert_eq!(world.run(&["honey", "show", "ci"]).status.code(), Some(3));
    let unknown = world.run(&["honey", "create", "x", "--token", "--plant", "settings.json"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown.stderr));
}

#[test]
fn the_alarm_reaches_a_webhook_signed_and_comes_again_until_it_is_heard() {
    let world = World::with_server();
    let heard: Arc<Mutex<Vec<(Vec<String>, Vec<u8>)>>> = Arc::default();
    let ears = heard.clone();
    // It fails at first: whoever raised the alarm is told of nothing, and the server tries again.
    let hook = WebServer::start(move |received| {
        let mut heard = ears.lock().unwrap();
        heard.push((received.headers, received.body));
        Some((if heard.len() == 1 { 500 } else { 204 }, String::new()))
    });
    let url = format!("{}/alarm", hook.address);
    let made = world.json(&["honey", "create", "db", "--secret", "secret/old/db", "--webhook", &url]);
    let key = made["webhook_key"].as_str().unwrap();
    world.done(&["kv", "get", "secret/old/db"]);
    wait_until("it is heard", || heard.lock().unwrap().len() > 1);
    let heard = heard.lock().unwrap();
    let header = |number: usize, name: &str| {
        let lines = heard[number].0.iter();
        let found =
            lines.filter_map(|line| line.split_once(':')).find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.unwrap().1.trim().to_owned()
    };
    assert_eq!(header(0, "webhook-id"), header(1, "webhook-id"));
    for number in [0, 1] {
        let body = String::from_utf8(heard[number].1.clone()).unwrap();
        let signed =
            format!("{}.{}.{body}", header(number, "webhook-id"), header(number, "webhook-timestamp"));
        let key = data_encoding::BASE64.decode(key.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        let signature = hmac(HashAlgorithm::Sha2_256, &key, signed.as_bytes());
        assert_eq!(
            header(number, "webhook-signature"),
            format!("v1,{}", data_encoding::BASE64.encode(&signature))
        );
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["type"], &body["honey"]), (&"honey.used".into(), &"db".into()));
        assert_eq!(body["use"]["from"], "127.0.0.1");
    }
    drop(heard);
    wait_until("it is noted", || world.json(&["honey", "show", "db"])["told"].is_string());
}

#[test]
fn a_scan_that_may_know_passes_over_what_is_planted() {
    let world = World::with_server();
    let token = world.json(&["honey", "create", "ci", "--token", "--plant", ".env"]);
    world.done(&["kv", "put", "secret/old/db", "password=fake-Kd8sPqLm2RtVx7Nw4Jc1Hb6G"]);
    world.done(&["honey", "create", "old-db", "--secret", "secret/old/db"]);
    world.done(&["kv", "put", "secret/app/db", "password=fake-Ua5Qe0Wi8Ok7Lp2Mv4Zx9Cs"]);
    world.commit("old.ini", "password = fake-Kd8sPqLm2RtVx7Nw4Jc1Hb6G\n");
    world.commit("real.ini", "password = fake-Ua5Qe0Wi8Ok7Lp2Mv4Zx9Cs\n");
    let found = |words: &[&str], token: Option<&str>| {
        let words = [words, &["--format", "json"]].concat();
        let output =
            token.map_or_else(|| world.run(&words), |token| world.command(&words, token).output().unwrap());
        assert_eq!(output.status.code(), Some(7), "{words:?}: {}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut paths: Vec<String> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["path"].as_str().unwrap().to_owned())
            .collect();
        paths.dedup();
        (paths, text(&output.stderr), text(&output.stdout))
    };
    // The fake token is in .env and in the history.
    assert!(token["value"].as_str().unwrap().starts_with("hvs."));
    for kind in [["scan", "git"].as_slice(), &["scan", "dir", "."]] {
        let (paths, said, _) = found(&[kind, &["--known"]].concat(), None);
        assert_eq!(
            paths.iter().map(|path| path.trim_start_matches("./")).collect::<Vec<_>>(),
            ["real.ini"],
            "{said}"
        );
        assert!(said.contains("planted as honey and left out"), "{said}");
    }
    // Who may not know sees leaks like any other.
    world.write_policy(
        "ci",
        "path \"sys/fingerprints\" { capabilities = [\"update\", \"sudo\"] }\n\
        path \"sys/fingerprints/resolve\" { capabilities = [\"update\"] }\n\
        path \"secret/metadata/*\" { capabilities = [\"read\"] }\n",
    );
    let ci = world.token_of("ci", "ci");
    let (mut paths, said, report) = found(&["scan", "git", "--known"], Some(&ci));
    paths.sort();
    assert!(paths.contains(&".env".to_owned()) && paths.contains(&"old.ini".to_owned()), "{paths:?}");
    assert!(!said.contains("honey") && !report.contains("honey"), "{said}{report}");
}
