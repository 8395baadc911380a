//! The version 2 store against a model of a few lines: the same operations, in a seeded order, must come to the same.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use strongroom_testkit::SeededEntropy;
use strongroom_testkit::server::TestServer;

const SEEDS: u64 = 20;
const STEPS: usize = 150;
const PATHS: [&str; 3] = ["a", "a/b", "c"];

#[derive(Clone, Default)]
struct Version {
    value: u64,
    is_deleted: bool,
    is_destroyed: bool,
}

#[derive(Clone, Default)]
struct Secret {
    current: u64,
    versions: BTreeMap<u64, Version>,
}

impl Secret {
    fn write(&mut self, value: u64, kept: u64) {
        self.current += 1;
        self.versions.insert(self.current, Version { value, ..Version::default() });
        while self.versions.len() as u64 > kept {
            self.versions.pop_first();
        }
    }

    fn change(&mut self, number: u64, change: impl Fn(&mut Version)) {
        if let Some(version) = self.versions.get_mut(&number).filter(|version| !version.is_destroyed) {
            change(version);
        }
    }
}

/// Values of different lengths: several of the short ones fit into one row, of the long ones none does.
fn data(value: u64) -> serde_json::Value {
    let length = [0, 20, 60, 130, 400, 3000][(value % 6) as usize];
    json!({ "v": value, "text": "x".repeat(length) })
}

#[track_caller]
fn compare(server: &TestServer, path: &str, secret: Option<&Secret>) {
    let root = server.root();
    let newest = secret.map_or(0, |secret| secret.current);
    for number in 0..=newest + 1 {
        let asked = if number == 0 { newest } else { number };
        let read = root.read_with(&format!("kv/data/{path}"), json!({ "version": number }));
        match secret.and_then(|secret| secret.versions.get(&asked)) {
            None => assert_eq!(read.refusal(), (404, String::new()), "{path} {number}"),
            Some(version) => {
                let is_live = !version.is_deleted && !version.is_destroyed;
                assert_eq!(read.status, if is_live { 200 } else { 404 }, "{path} {number}");
                let expected = if is_live { data(version.value) } else { json!(null) };
                assert_eq!(read.body["data"]["data"], expected, "{path} {number}");
                assert_eq!(read.body["data"]["metadata"]["version"], asked);
                assert_eq!(read.body["data"]["metadata"]["destroyed"], version.is_destroyed);
            }
        }
    }
    let about = root.read(&format!("kv/metadata/{path}"));
    assert_eq!(about.status, if secret.is_some() { 200 } else { 404 });
    if let Some(secret) = secret {
        let versions = about.data()["versions"].as_object().into_iter().flatten();
        let kept: BTreeSet<u64> = versions.filter_map(|(number, _)| number.parse().ok()).collect();
        assert_eq!(kept, secret.versions.keys().copied().collect());
    }
}

#[test]
fn any_order_of_operations_comes_to_what_the_model_says() {
    for seed in 0..SEEDS {
        run(&SeededEntropy::new(seed));
    }
}

fn run(random: &SeededEntropy) {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    assert_eq!(root.write("sys/mounts/kv", json!({"type": "kv-v2"})).status, 204);
    let mut kept = 10;
    let mut model: BTreeMap<&str, Secret> = BTreeMap::new();
    for step in 0..STEPS as u64 {
        let path = PATHS[random.below(3) as usize];
        let newest = model.get(path).map_or(0, |secret| secret.current);
        let number = 1 + random.below(newest + 2);
        let versions = json!({ "versions": [number] });
        let act =
            |verb: &str| assert_eq!(root.write(&format!("kv/{verb}/{path}"), versions.clone()).status, 204);
        match random.below(12) {
            0..=4 => {
                // Often several of one length after one another.
                let value = if random.below(4) == 0 { step } else { step - step % 6 };
                let cas = json!({"options": {"cas": newest}, "data": data(value)});
                assert_eq!(root.write(&format!("kv/data/{path}"), cas).data()["version"], newest + 1);
                model.entry(path).or_default().write(value, kept);
            }
            5 => {
                assert_eq!(root.delete(&format!("kv/data/{path}")).status, 204);
                if let Some(secret) = model.get_mut(path) {
                    secret.change(newest, |version| version.is_deleted = true);
                }
            }
            6 => {
                act("delete");
                if let Some(secret) = model.get_mut(path) {
                    secret.change(number, |version| version.is_deleted = true);
                }
            }
            7 | 8 => {
                act("undelete");
                if let Some(secret) = model.get_mut(path) {
                    secret.change(number, |version| version.is_deleted = false);
                }
            }
            9 => {
                act("destroy");
                if let Some(secret) = model.get_mut(path) {
                    secret.change(number, |version| version.is_destroyed = true);
                }
            }
            10 if random.below(3) == 0 => {
                assert_eq!(root.delete(&format!("kv/metadata/{path}")).status, 204);
                model.remove(path);
            }
            _ => {
                kept = [1, 2, 3, 4, 10][random.below(5) as usize];
                assert_eq!(root.write("kv/config", json!({ "max_versions": kept })).status, 204);
            }
        }
        PATHS.iter().for_each(|path| compare(&server, path, model.get(path)));
    }
}
