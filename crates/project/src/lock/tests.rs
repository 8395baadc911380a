use super::*;
use crate::provider::Found;
use crate::resolve::Source;

fn resolution(values: &[(&str, &str, Option<&str>)]) -> Resolution {
    let mut resolution = Resolution::default();
    for (name, value, version) in values {
        let mut found = Found::new(SecretBytes::default(), "test");
        found.version = version.map(str::to_owned);
        let source = Source::Provider(Candidate { provider: "vault".to_owned(), found });
        let value = SecretBytes::new(value.as_bytes().to_vec());
        resolution.secrets.insert((*name).to_owned(), Resolved { value, source, overridden: Vec::new() });
    }
    resolution
}

fn manifest() -> Manifest {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.toml");
    let text = "version = 1\n[secret]\nA = { rotate = { every = \"30d\" } }\nB = {}\n";
    std::fs::write(&path, text).unwrap();
    Manifest::load(&path).unwrap()
}

fn key() -> Key {
    Key::new(SecretBytes::new(b"not a real key".to_vec()))
}

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

#[test]
fn what_changes_is_noticed_and_no_value_is_kept() {
    let manifest = manifest();
    let environment = manifest.environment(None).unwrap();
    let mut lock = Lock { version: 1, env: BTreeMap::new() };
    let first = resolution(&[("A", "hunter2", Some("1")), ("B", "hunter3", None)]);
    assert_eq!(lock.update("default", &first, Some(&key()), START), ["A", "B"]);
    assert!(!lock.to_text().contains("hunter"));
    assert_eq!(toml::from_str::<Lock>(&lock.to_text()).unwrap().env, lock.env);
    let drift = |values: &[(&str, &str, Option<&str>)], key: Option<&Key>| -> Vec<String> {
        let problems = lock.drift(&manifest, environment, &resolution(values), key);
        problems.into_iter().map(|problem| problem.message).collect()
    };
    assert!(drift(&[("A", "hunter2", Some("1")), ("B", "hunter3", None)], Some(&key())).is_empty());
    let changed = drift(&[("A", "hunter2", Some("2")), ("B", "other", None)], Some(&key()));
    assert!(changed[0].starts_with("A has another version") && changed[1].starts_with("B has another value"));
    let other_key = Key::new(SecretBytes::new(b"another key".to_vec()));
    assert!(drift(&[("A", "hunter2", Some("1")), ("B", "other", None)], Some(&other_key)).is_empty());
    assert!(drift(&[("A", "x", Some("1"))], None)[0].starts_with("B is in the lock"));
}

#[test]
fn a_rotation_falls_due_and_a_version_goes_back() {
    let manifest = manifest();
    let environment = manifest.environment(None).unwrap();
    let mut lock = Lock { version: 1, env: BTreeMap::new() };
    lock.update("default", &resolution(&[("A", "x", Some("1"))]), Some(&key()), START);
    let later = START.plus(std::time::Duration::from_secs(31 * 86_400));
    assert!(lock.rotation_due(&manifest, environment, START).is_empty());
    assert!(lock.rotation_due(&manifest, environment, later)[0].message.contains("the same for 31 days"));
    assert_eq!(lock.update("default", &resolution(&[("A", "y", Some("2"))]), Some(&key()), later), ["A"]);
    assert!(lock.rotation_due(&manifest, environment, later).is_empty());
    assert_eq!(lock.pin("default", "A", "vault").as_deref(), Some("2"));
    assert_eq!(lock.roll_back("default", "A").as_deref(), Some("1"));
    assert_eq!(lock.pin("default", "A", "vault").as_deref(), Some("1"));
    assert_eq!(lock.roll_back("default", "A").as_deref(), Some("2"));
    assert_eq!(lock.pin("default", "A", "other"), None);
}

#[test]
fn fingerprints_depend_on_everything() {
    let value = SecretBytes::new(b"v".to_vec());
    let fingerprint = key().fingerprint("prod", "A", &value);
    assert_eq!(fingerprint.len(), 32);
    assert_ne!(fingerprint, key().fingerprint("dev", "A", &value));
    assert_ne!(fingerprint, key().fingerprint("prod", "B", &value));
    assert_ne!(key().fingerprint("a", "bc", &value), key().fingerprint("ab", "c", &value));
}
