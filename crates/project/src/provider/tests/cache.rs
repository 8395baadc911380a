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

/// The files of the cache: the key, and the sealed one.
fn cache_files(home: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let folder = home.join(".local/state/strongroom/cache");
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    let sealed = files.into_iter().find(|path| path.extension().is_some()).unwrap();
    (folder.join("key"), sealed)
}

/// A cache that was filled, and then meddled with: offline it has nothing, online the service is asked as ever.
fn meddled(what: &str, meddle: impl Fn(&Path, &Path)) {
    let home = tempfile::tempdir().unwrap();
    let (server, _) = app();
    assert!(fetch(&server, home.path(), "").unwrap().is_some());
    let (key, sealed) = cache_files(home.path());
    meddle(&key, &sealed);
    let error = fetch(&server, home.path(), "1").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{what}");
    assert_eq!(server.received().len(), 1, "{what}");
    let found = fetch(&server, home.path(), "").unwrap().unwrap();
    assert_eq!((found.value.expose(), found.freshness), (&b"not-real-a"[..], Freshness::Fresh), "{what}");
    assert_eq!(server.received().len(), 2, "{what}");
}

#[test]
fn a_cache_that_is_not_as_we_left_it_is_not_used() {
    use std::fs::{read, write};
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    meddled("a bit of the values", |_, sealed| {
        let mut bytes = read(sealed).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        write(sealed, bytes).unwrap();
    });
    meddled("half of the values", |_, sealed| {
        let bytes = read(sealed).unwrap();
        write(sealed, &bytes[..bytes.len() / 2]).unwrap();
    });
    meddled("nothing left", |_, sealed| write(sealed, b"").unwrap());
    meddled("another key", |key, _| write(key, [7; 32]).unwrap());
    meddled("a key that others can read", |key, _| mode(key, 0o644));
    meddled("a key that others can write", |key, _| mode(key, 0o620));
    meddled("values that others can write", |_, sealed| mode(sealed, 0o622));
    meddled("a folder that others can write", |key, _| mode(key.parent().unwrap(), 0o777));
    let other = tempfile::NamedTempFile::new().unwrap();
    if std::os::unix::fs::chown(other.path(), Some(12_345), None).is_ok() {
        let give_away = |path: &Path| std::os::unix::fs::chown(path, Some(12_345), None).unwrap();
        meddled("another user's key", |key, _| give_away(key));
        meddled("another user's values", |_, sealed| give_away(sealed));
        meddled("another user's folder", |key, _| give_away(key.parent().unwrap()));
    }
    meddled("a key behind a link", |key, _| {
        let elsewhere = key.with_file_name("elsewhere");
        std::fs::rename(key, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, key).unwrap();
    });
}

/// The values of one provider are not those of another, though the key is the same.
#[test]
fn the_cache_of_one_provider_does_not_open_as_that_of_another() {
    let home = tempfile::tempdir().unwrap();
    let ((one, _), (other, status)) = (app(), app());
    assert!(fetch(&one, home.path(), "").unwrap().is_some());
    let (_, of_one) = cache_files(home.path());
    let kept = std::fs::read(&of_one).unwrap();
    std::fs::remove_file(&of_one).unwrap();
    assert!(fetch(&other, home.path(), "").unwrap().is_some());
    let (_, of_other) = cache_files(home.path());
    assert_ne!(of_one, of_other);
    std::fs::write(&of_other, kept).unwrap();
    status.store(503, Ordering::SeqCst);
    assert_eq!(fetch(&other, home.path(), "").unwrap_err().kind, ErrorKind::Unreachable);
}

#[test]
fn a_value_that_has_run_out_is_not_served_however_new_it_is() {
    let home = tempfile::tempdir().unwrap();
    let (server, status) = app();
    assert!(fetch(&server, home.path(), "").unwrap().is_some());
    status.store(503, Ordering::SeqCst);
    let error = fetch_at(71, &server, home.path(), "1").unwrap_err();
    assert!(error.message.contains("no value that is new enough"), "{error}");
    assert_eq!(fetch_at(-1, &server, home.path(), "1").unwrap_err().kind, ErrorKind::Unreachable);
}
