#![allow(clippy::disallowed_methods)]

use super::*;
use crate::commit;
use crate::conformance::{self, blind, contents, put};
use tempfile::TempDir;

/// Repeats one byte.
struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

fn open(folder: &Path) -> Result<EmbeddedStorage, OpenError> {
    open_with(folder, |_| {})
}

fn open_with(folder: &Path, change: impl FnOnce(&mut EmbeddedOptions)) -> Result<EmbeddedStorage, OpenError> {
    let mut options = EmbeddedOptions::default();
    change(&mut options);
    EmbeddedStorage::open(folder, &Fixed(7), &options)
}

/// A store in a folder that goes away with it.
struct Temporary {
    store: EmbeddedStorage,
    _folder: TempDir,
}

impl Storage for Temporary {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StorageError> {
        self.store.snapshot()
    }

    fn submit(&self, transaction: Transaction, done: Completion) {
        self.store.submit(transaction, done);
    }

    fn replace(&self, above: CommitIndex, entries: &mut Entries<'_>) -> Result<CommitIndex, StorageError> {
        self.store.replace(above, entries)
    }
}

#[test]
fn conforms() {
    conformance::check(|| {
        let folder = TempDir::new().unwrap();
        Temporary { store: open(folder.path()).unwrap(), _folder: folder }
    });
}

#[test]
fn sqlite_is_new_enough() {
    assert!(
        rusqlite::version_number() >= 3_051_003,
        "earlier ones can lose commits when the log starts again"
    );
}

#[test]
fn reopening_finds_everything() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(store.store_id(), StoreId([7; 16]));
    let index = commit(&store, blind(vec![put("a", "1")])).unwrap();
    drop(store);
    let store = open(folder.path()).unwrap();
    assert_eq!((store.index(), store.store_id()), (index, StoreId([7; 16])));
    assert_eq!(store.snapshot().unwrap().read(b"a").unwrap().unwrap(), b"1");
    assert!(commit(&store, blind(vec![put("a", "2")])).unwrap() > index);
    assert!(store.check().unwrap().is_empty());
}

fn write(store: &EmbeddedStorage, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> CommitIndex {
    commit(store, blind(vec![put(key, value)])).unwrap()
}

fn database(folder: &Path) -> PathBuf {
    folder.join("strongroom.db")
}

fn failure(opened: Result<EmbeddedStorage, OpenError>) -> OpenError {
    opened.err().expect("it must not open")
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("new/data");
    let store = open(&folder).unwrap();
    write(&store, "a", "1");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut names = vec![];
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["guard", "lock", "strongroom.db", "strongroom.db-shm", "strongroom.db-wal"]);
}

#[test]
fn a_second_open_names_the_first() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    let text = failure(open(folder.path())).to_string();
    assert!(
        text.contains(&format!("is in use by another process (pid {}): stop", std::process::id())),
        "{text}"
    );
    drop(store);
    open(folder.path()).unwrap();
}

#[test]
fn newer_foreign_and_damaged_files_are_refused() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()).unwrap());
    let path = database(folder.path());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    let error = failure(open(folder.path()));
    assert!(matches!(error, OpenError::Newer { found: 2, supported: 1, .. }), "{error}");
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection.pragma_update(None, "application_id", 5).unwrap();
    drop(connection);
    assert!(failure(open(folder.path())).to_string().contains("another program"));
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let text = failure(open(folder.path())).to_string();
    assert!(text.contains("restore a snapshot"), "{text}");
}

#[test]
fn damage_inside_is_found() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for number in 0..100_u8 {
        write(&store, [number], vec![number; 3000]);
    }
    drop(store);
    let path = database(folder.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10 * 8192..40 * 8192].fill(0xEE);
    std::fs::write(&path, &bytes).unwrap();
    let store = open(folder.path()).unwrap();
    assert!(!store.check().unwrap().is_empty());
    let snapshot = store.snapshot().unwrap();
    let failed = (0..100_u8).filter(|number| snapshot.read(&[*number]).is_err()).count();
    assert!(failed > 0, "a damaged page is an error");
    drop(snapshot);
    drop(store);
    bytes.truncate(15 * 8192);
    std::fs::write(&path, &bytes).unwrap();
    if let Ok(store) = open(folder.path()) {
        assert!(!store.check().unwrap().is_empty());
    }
}

#[test]
fn a_database_that_went_back_in_time_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    write(&store, "a", "1");
    drop(store);
    let old = std::fs::read(database(folder.path())).unwrap();
    let store = open(folder.path()).unwrap();
    let newest = write(&store, "a", "2");
    drop(store);
    std::fs::write(database(folder.path()), old).unwrap();
    let error = failure(open(folder.path()));
    assert!(matches!(error, OpenError::RolledBack { found: 1, expected: 2 }), "{error}");
    let store = open_with(folder.path(), |options| options.rollback = Rollback::Accept).unwrap();
    assert!(store.index() > newest, "no index is used twice");
    assert_eq!(store.snapshot().unwrap().read(b"a").unwrap().unwrap(), b"1");
    drop(store);
    let store = open(folder.path()).unwrap();
    let index = store.index();
    drop(store);
    let minimum = |minimum: u64| open_with(folder.path(), |it| it.minimum_index = Some(CommitIndex(minimum)));
    minimum(index.0).unwrap();
    assert!(matches!(failure(minimum(index.0 + 1)), OpenError::RolledBack { .. }));
}

#[test]
fn mixed_up_and_missing_databases_are_refused() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()).unwrap());
    let other = TempDir::new().unwrap();
    drop(EmbeddedStorage::open(other.path(), &Fixed(8), &EmbeddedOptions::default()).unwrap());
    std::fs::copy(database(other.path()), database(folder.path())).unwrap();
    assert!(matches!(failure(open(folder.path())), OpenError::MixedUp { .. }));
    std::fs::remove_file(database(folder.path())).unwrap();
    assert!(matches!(failure(open(folder.path())), OpenError::Missing { .. }));
    open_with(folder.path(), |options| options.rollback = Rollback::Accept).unwrap();
}

/// A log that was cut after an unclean end: the commits in it are gone, and the guard knows.
#[test]
fn a_cut_log_is_noticed() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for number in 0..20_u8 {
        write(&store, [number], [number]);
    }
    std::thread::sleep(std::time::Duration::from_millis(900));
    let copy = TempDir::new().unwrap();
    let log = folder.path().join("strongroom.db-wal");
    let length = std::fs::metadata(&log).unwrap().len();
    for name in ["strongroom.db", "strongroom.db-wal", "guard"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let file = std::fs::OpenOptions::new().write(true).open(copy.path().join("strongroom.db-wal")).unwrap();
    file.set_len(length - 100).unwrap();
    let error = failure(open(copy.path()));
    assert!(matches!(error, OpenError::RolledBack { found: 19, expected: 20 }), "{error}");
}

#[test]
fn a_full_disk_loses_nothing_and_passes() {
    let folder = TempDir::new().unwrap();
    let store = open_with(folder.path(), |options| options.pages_max = Some(60)).unwrap();
    let mut written = vec![];
    let error = loop {
        let key = [u8::try_from(written.len()).unwrap()];
        match commit(&store, blind(vec![put(key, vec![key[0]; 3000])])) {
            Ok(_) => written.push(key),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CommitError::Full), "{error}");
    assert!(written.len() > 20 && !store.is_closed());
    let all_there = |count: usize| {
        let found = contents(&*store.snapshot().unwrap());
        assert_eq!(found.len(), count);
        assert!(found.iter().all(|(key, value)| *value == vec![key[0]; 3000]));
    };
    all_there(written.len());
    let entries = (0..200_u8).map(|number| Ok((vec![number], vec![number; 3000])));
    assert!(matches!(store.replace(CommitIndex(0), &mut { entries }), Err(StorageError::Full)));
    all_there(written.len());
    let remove = written.iter().take(10).map(conformance::delete).collect();
    commit(&store, blind(remove)).unwrap();
    write(&store, [0], vec![0; 3000]);
    all_there(written.len() - 9);
    assert!(store.check().unwrap().is_empty());
}

#[test]
fn many_writers_share_syncs() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    let before = store.stats();
    std::thread::scope(|scope| {
        for writer in 0..64_u8 {
            let store = &store;
            scope.spawn(move || {
                (0..40_u8).for_each(|number| {
                    write(store, [writer, number], "v");
                })
            });
        }
    });
    let stats = store.stats();
    assert_eq!(stats.transactions - before.transactions, 64 * 40);
    assert!(stats.commits * 10 <= stats.transactions, "{stats:?}");
    assert_eq!(stats.conflicts, 0);
}

/// The log starts again though readers come and go and one old snapshot is held for a while.
#[test]
fn the_log_stays_bounded() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    write(&store, "old", "1");
    let mut old = Some(store.snapshot().unwrap());
    for round in 0..600_u32 {
        let key = |number: u32| (10 * round + number).wrapping_mul(0x9E37_79B9).to_be_bytes();
        commit(&store, blind((0..10).map(|number| put(key(number), vec![0; 2000])).collect())).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert!(snapshot.read(&key(0)).unwrap().is_some());
        if round == 200
            && let Some(old) = old.take()
        {
            assert_eq!(contents(&*old).len(), 1);
        }
    }
    let stats = store.stats();
    assert!(stats.checkpoints > 2 && stats.log_bytes < 64 << 20, "{stats:?}");
    drop(old);
    drop(store);
    let log = std::fs::metadata(folder.path().join("strongroom.db-wal"));
    assert_eq!(log.map_or(0, |metadata| metadata.len()), 0, "a clean end leaves one file to copy");
}

/// Views that were kept open for the next snapshot once held up every checkpoint under load.
#[test]
fn no_view_is_kept_open_while_the_log_starts_again() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    drop(store.snapshot().unwrap());
    assert_eq!(store.shared.readers.views_kept_open(), 1);
    let snapshot = store.snapshot().unwrap();
    store.shared.readers.drained(|| {
        drop(snapshot);
        drop(store.snapshot().unwrap());
        assert_eq!(store.shared.readers.views_kept_open(), 0);
    });
    drop(store.snapshot().unwrap());
    assert_eq!(store.shared.readers.views_kept_open(), 1);
}

const CRASH_FOLDER: &str = "STRONGROOM_TEST_CRASH_FOLDER";

/// Not a test by itself: the process that is killed. Prints each acknowledged number.
#[test]
#[ignore = "run by acknowledged_commits_outlive_a_kill"]
fn crashing_child() {
    use std::io::Write;
    let Some(folder) = std::env::var_os(CRASH_FOLDER) else { return };
    let store = open(Path::new(&folder)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let store = &store;
            scope.spawn(move || {
                for number in store.index().0 as u32.. {
                    let value = vec![number as u8; number as usize % 5000];
                    let key = format!("{thread}-{number}");
                    commit(store, blind(vec![put(&key, &value), put(format!("twin {key}"), &value)]))
                        .unwrap();
                    let mut output = std::io::stdout().lock();
                    writeln!(output, "done {key}").unwrap();
                    output.flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn acknowledged_commits_outlive_a_kill() {
    use std::io::{BufRead, BufReader};
    let folder = TempDir::new().unwrap();
    let mut acknowledged = vec![];
    for round in 0..5_usize {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::tests::crashing_child", "--ignored", "--nocapture"])
            .env(CRASH_FOLDER, folder.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let done = |line: String| line.rsplit_once("done ").map(|(_, key)| key.to_owned());
        let before = acknowledged.len();
        acknowledged.extend(lines.by_ref().filter_map(done).take(300 + 400 * round));
        child.kill().unwrap();
        acknowledged.extend(lines.filter_map(done).filter(|key| key.contains('-')));
        child.wait().unwrap();
        assert!(acknowledged.len() >= before + 300);

        let store = open(folder.path()).unwrap();
        let snapshot = store.snapshot().unwrap();
        for key in &acknowledged {
            let value = snapshot.read(key.as_bytes()).unwrap().unwrap_or_else(|| panic!("{key} was lost"));
            assert_eq!(snapshot.read(format!("twin {key}").as_bytes()).unwrap(), Some(value), "{key}");
        }
        let entries = contents(&*snapshot);
        assert_eq!(entries.iter().filter(|(key, _)| key.starts_with(b"twin ")).count() * 2, entries.len());
        assert!(store.check().unwrap().is_empty());
    }
}

#[test]
fn what_waits_is_committed_when_the_store_is_dropped() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    for number in 0..100_u8 {
        let sender = sender.clone();
        store.submit(blind(vec![put([number], "v")]), Box::new(move |outcome| sender.send(outcome).unwrap()));
    }
    drop((store, sender));
    assert_eq!(receiver.iter().filter(Result::is_ok).count(), 100);
    assert_eq!(contents(&*open(folder.path()).unwrap().snapshot().unwrap()).len(), 100);
}

#[test]
fn a_panicking_completion_does_not_end_the_commits() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    store.submit(blind(vec![put("a", "1")]), Box::new(|_| panic!("on purpose")));
    write(&store, "b", "2");
    assert_eq!(contents(&*store.snapshot().unwrap()).len(), 2);
}
