use super::text;
use crate::provider::{Address, ErrorKind, Freshness, Kind, Outcome, Setting, Settings};
use crate::testing::{NOW_SECONDS, Reply, TestServer, surroundings_at};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// An app whose one config var is `A`, and the status that it answers with.
fn app() -> (TestServer, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let answered = Arc::clone(&status);
    let server =
        TestServer::start(move |_| Reply::Json(answered.load(Ordering::SeqCst), json!({"A": "not-real-a"})));
    (server, status)
}

/// One fetch by a process of its own, so many minutes later.
fn fetch_at(minutes: i64, server: &TestServer, home: &Path, offline: &str) -> Outcome {
    let url = server.url();
    let settings = [("app", "shop"), ("endpoint", url.as_str()), ("cache", "10m"), ("stale", "1h")];
    let mut settings: Settings =
        settings.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
    settings.insert("retries".to_owned(), Setting::Number(0));
    let variables = [("HEROKU_API_KEY", "not-real"), ("STRONGROOM_OFFLINE", offline)];
    let around = surroundings_at(NOW_SECONDS + minutes * 60, home, &variables);
    let provider = Kind::named("heroku").unwrap().open(&settings, &around).unwrap();
    provider.fetch(&[Address::of_key("shop", "A")]).remove(0)
}

fn fetch(server: &TestServer, home: &Path, offline: &str) -> Outcome {
    fetch_at(0, server, home, offline)
}

#[test]
fn a_value_is_used_again_and_lies_encrypted_on_disk() {
    let home = tempfile::tempdir().unwrap();
    let (server, _) = app();
    assert_eq!(fetch(&server, home.path(), "").unwrap().unwrap().freshness, Freshness::Fresh);
    let again = fetch(&server, home.path(), "").unwrap().unwrap();
    assert_eq!(again.freshness, Freshness::Cached { age: Duration::ZERO });
    assert_eq!(again.value.expose(), b"not-real-a");
    assert_eq!(server.received().len(), 1);
    let folder = home.path().join(".local/state/strongroom/cache");
    for file in std::fs::read_dir(folder).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        let path = file.unwrap().path();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!content.contains("not-real") && !content.contains("shop"), "{}", path.display());
    }
}

#[test]
fn offline_has_what_was_seen_and_says_what_was_not() {
    let home = tempfile::tempdir().unwrap();
    let (server, _) = app();
    let error = fetch(&server, home.path(), "1").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(fetch(&server, home.path(), "").unwrap().is_some());
    assert_eq!(fetch(&server, home.path(), "1").unwrap().unwrap().value.expose(), b"not-real-a");
    assert_eq!(server.received().len(), 1);
}

#[test]
fn a_service_that_is_away_leaves_its_values_for_a_time_and_one_that_refuses_takes_them_back() {
    let home = tempfile::tempdir().unwrap();
    let (server, status) = app();
    let age = |minutes: u64| Duration::from_secs(minutes * 60);
    assert!(fetch(&server, home.path(), "").unwrap().is_some());
    status.store(503, Ordering::SeqCst);
    let at = |minutes| fetch_at(minutes, &server, home.path(), "");
    assert_eq!(at(9).unwrap().unwrap().freshness, Freshness::Cached { age: age(9) });
    assert_eq!(at(11).unwrap().unwrap().freshness, Freshness::Stale { age: age(11) });
    assert_eq!(at(71).unwrap_err().kind, ErrorKind::Unreachable);
    // A clock that was set back makes ages worthless.
    assert_eq!(at(-1).unwrap_err().kind, ErrorKind::Unreachable);
    status.store(403, Ordering::SeqCst);
    assert_eq!(at(12).unwrap_err().kind, ErrorKind::Denied);
    status.store(503, Ordering::SeqCst);
    assert_eq!(at(13).unwrap_err().kind, ErrorKind::Unreachable);
}
