use super::*;
use crate::surroundings::{Surroundings, Variables};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::{Clock, Entropy};

struct Noon;
impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct Zeros;
impl Entropy for Zeros {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0);
    }
}

/// Resolves a manifest with variables of the process: `NAME=value (source)` lines, then what is wrong.
fn check(manifest: &str, variables: &[(&str, &str)], selection: Selection<'_>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.toml");
    fs::write(&path, manifest).unwrap();
    let manifest = Manifest::load(&path).unwrap();
    let environment = manifest.environment(None).unwrap();
    let pairs = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let surroundings = Arc::new(Surroundings {
        variables: Variables::from_pairs(pairs),
        home: None,
        folder: folder.path().to_owned(),
        clock: Arc::new(Noon),
        entropy: Arc::new(Zeros),
    });
    let opened = Opened::new(&manifest, environment, &surroundings).unwrap();
    let request = Request { selection, depth: Depth::Every, pins: None, now: Noon.now() };
    let resolution = resolve(&manifest, environment, &opened, &request);
    let mut shown = String::new();
    for (name, resolved) in &resolution.secrets {
        let value = String::from_utf8_lossy(resolved.value.expose());
        shown += &format!("{name}={value} ({})\n", resolved.origin());
    }
    for problem in &resolution.problems {
        shown += &problem.render();
    }
    shown.replace(&format!("{}/", folder.path().display()), "")
}

const MANIFEST: &str = r#"version = 1
[env.default]
order = ["process"]
[secret]
PORT = { type = "port", sensitive = false, default = 8080 }
PASSWORD = { internal = true, min = 3 }
USER = { optional = true }
URL = { type = "url", compose = "postgres://${USER}:${PASSWORD|url}@db/shop" }
KEY = { type = "token", example = "key_000" }
[scope]
worker = ["URL"]
"#;

#[test]
fn values_are_found_composed_and_checked() {
    let variables = [("PASSWORD", "a/b c"), ("USER", "app"), ("KEY", "k1"), ("OTHER", "x")];
    insta::assert_snapshot!(check(MANIFEST, &variables, Selection::All), @r"
    KEY=k1 (environment variable KEY)
    PASSWORD=a/b c (environment variable PASSWORD)
    PORT=8080 (the default in the manifest)
    URL=postgres://app:a%2Fb%20c@db/shop (composed of USER, PASSWORD)
    USER=app (environment variable USER)
    ");
    let overridden = [("URL", "postgres://elsewhere/db"), ("PASSWORD", "abc"), ("KEY", "k")];
    assert!(
        check(MANIFEST, &overridden, Selection::All).contains("URL=postgres://elsewhere/db (environment")
    );
}

#[test]
fn all_that_is_wrong_is_said_without_values() {
    let variables = [("PORT", "hunter2"), ("PASSWORD", "p"), ("KEY", "")];
    insta::assert_snapshot!(check(MANIFEST, &variables, Selection::All));
}

#[test]
fn a_scope_brings_its_parts() {
    let variables = [("PASSWORD", "abc"), ("USER", "app"), ("PORT", "x")];
    insta::assert_snapshot!(check(MANIFEST, &variables, Selection::Scope("worker")), @r"
    PASSWORD=abc (environment variable PASSWORD)
    URL=postgres://app:abc@db/shop (composed of USER, PASSWORD)
    USER=app (environment variable USER)
    ");
}

#[test]
fn groups_hold() {
    let manifest = "version = 1\n[env.default]\norder = [\"process\"]\n[secret]\nA = { optional = true }\nB = { optional = true }\n\
                    [group.pay]\nexactly-one = [\"A\", \"B\"]\n[group.pair]\ntogether = [\"A\", \"B\"]\n";
    assert!(
        check(manifest, &[], Selection::All)
            .contains("group pay: exactly one of A, B must have a value, and 0 have")
    );
    assert!(check(manifest, &[("A", "1")], Selection::All).contains("group pair: all or none of A, B"));
    assert!(!check(manifest, &[("A", "1")], Selection::All).contains("group pay"));
}
