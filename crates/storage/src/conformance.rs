//! What every backend must do. A backend's tests call [`check`] with a maker of empty stores.
//!
//! Failures are panics: this is test code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::{
    CommitError, CommitIndex, KEY_BYTES_MAX, Read, Snapshot, Storage, StorageError, Transaction,
    VALUE_BYTES_MAX, Write, commit, prefix_end,
};
use std::ops::ControlFlow;

/// Runs every case on a store of its own. `make` gives an empty store.
pub fn check<S: Storage>(make: impl Fn() -> S) {
    for (name, case) in CASES {
        let store = make();
        println!("conformance: {name}");
        case(&store);
    }
}

type Case = fn(&dyn Storage);

/// All cases by name. Each takes an empty store.
pub const CASES: &[(&str, Case)] = &[
    ("an empty store", empty),
    ("order of keys", order),
    ("a scan ends where told", scan_ends),
    ("prefixes", prefixes),
    ("reads inside a scan", reads_inside_a_scan),
    ("a commit is seen by the next snapshot", read_your_commit),
    ("a snapshot does not change", isolation),
    ("empty keys and values", empty_keys_and_values),
    ("deletes", deletes),
    ("the later write of a key wins", later_write_wins),
    ("all or nothing", atomicity),
    ("conflicts on keys", key_conflicts),
    ("a missing key is a read too", missing_key_conflicts),
    ("conflicts on ranges", range_conflicts),
    ("blind writes have no conflict", blind_writes),
    ("reads alone are validated", validated_reads),
    ("limits", limits),
    ("large values", large_values),
    ("indexes grow", indexes_grow),
    ("increments of many threads add up", increments),
    ("transfers keep the sum", transfers),
    ("replacement", replacement),
    ("a failed replacement changes nothing", failed_replacement),
];

pub fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
    Write { key: key.as_ref().to_vec(), value: Some(value.as_ref().to_vec()) }
}

pub fn delete(key: impl AsRef<[u8]>) -> Write {
    Write { key: key.as_ref().to_vec(), value: None }
}

/// A transaction without reads.
pub fn blind(writes: Vec<Write>) -> Transaction {
    Transaction { base: CommitIndex(0), reads: vec![], writes }
}

/// Everything in a snapshot.
pub fn contents(snapshot: &dyn Snapshot) -> Vec<(Vec<u8>, Vec<u8>)> {
    scanned(snapshot, b"", None)
}

fn scanned(snapshot: &dyn Snapshot, start: &[u8], end: Option<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = vec![];
    let mut visit = |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    snapshot.scan(start, end, &mut visit).unwrap();
    entries
}

fn keys(snapshot: &dyn Snapshot, start: &[u8], end: Option<&[u8]>) -> Vec<Vec<u8>> {
    scanned(snapshot, start, end).into_iter().map(|(key, _)| key).collect()
}

fn write(store: &dyn Storage, writes: Vec<Write>) -> CommitIndex {
    commit(store, blind(writes)).unwrap()
}

fn read(store: &dyn Storage, key: &[u8]) -> Option<Vec<u8>> {
    store.snapshot().unwrap().read(key).unwrap()
}

fn empty(store: &dyn Storage) {
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.read(b"a").unwrap(), None);
    assert!(contents(&*snapshot).is_empty());
}

fn order(store: &dyn Storage) {
    let mut expected: Vec<Vec<u8>> = vec![
        b"".into(),
        b"\0".into(),
        b"a".into(),
        b"a\0".into(),
        b"a/b".into(),
        b"b".into(),
        vec![0x7F],
        vec![0x80],
        vec![0xFF; 3],
    ];
    write(store, expected.iter().rev().map(|key| put(key, b"v")).collect());
    expected.sort();
    assert_eq!(keys(&*store.snapshot().unwrap(), b"", None), expected);
}

fn scan_ends(store: &dyn Storage) {
    write(store, vec![put("a", "1"), put("b", "2"), put("c", "3")]);
    let snapshot = store.snapshot().unwrap();
    assert_eq!(keys(&*snapshot, b"a", Some(b"c")), [b"a", b"b"]);
    assert_eq!(keys(&*snapshot, b"b", None), [b"b", b"c"]);
    assert!(keys(&*snapshot, b"b", Some(b"b")).is_empty());
    assert!(keys(&*snapshot, b"c", Some(b"a")).is_empty());
    let mut visited = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        visited += 1;
        ControlFlow::Break(())
    };
    snapshot.scan(b"", None, &mut visit).unwrap();
    assert_eq!(visited, 1);
}

fn prefixes(store: &dyn Storage) {
    write(store, ["a", "a/", "a/1", "a/\u{7f}", "a0", "b"].map(|key| put(key, "v")).into());
    write(store, vec![put([0xFF, 0xFF], "v"), put([0xFF, 0xFE], "v")]);
    let snapshot = store.snapshot().unwrap();
    let below = |prefix: &[u8]| keys(&*snapshot, prefix, prefix_end(prefix).as_deref());
    assert_eq!(below(b"a/"), [b"a/".to_vec(), b"a/1".to_vec(), b"a/\x7f".to_vec()]);
    assert_eq!(below(&[0xFF]), [[0xFF, 0xFE], [0xFF, 0xFF]]);
    assert_eq!(below(&[0xFF, 0xFF]), [[0xFF, 0xFF]]);
}

fn reads_inside_a_scan(store: &dyn Storage) {
    write(store, vec![put("a", "1"), put("b", "2")]);
    let snapshot = store.snapshot().unwrap();
    let mut seen = vec![];
    let mut visit = |key: &[u8], value: &[u8]| {
        assert_eq!(snapshot.read(key).unwrap().unwrap(), value);
        seen.push(keys(&*snapshot, key, None).len());
        ControlFlow::Continue(())
    };
    snapshot.scan(b"", None, &mut visit).unwrap();
    assert_eq!(seen, [2, 1]);
}

fn read_your_commit(store: &dyn Storage) {
    for number in 0..200_u32 {
        let index = write(store, vec![put("a", number.to_be_bytes())]);
        let snapshot = store.snapshot().unwrap();
        assert!(snapshot.index() >= index);
        assert_eq!(snapshot.read(b"a").unwrap().unwrap(), number.to_be_bytes());
    }
}

fn isolation(store: &dyn Storage) {
    write(store, vec![put("a", "1"), put("b", "1")]);
    let before = store.snapshot().unwrap();
    let index = before.index();
    write(store, vec![put("a", "2"), delete("b"), put("c", "2")]);
    assert_eq!(contents(&*before), [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"1".to_vec())]);
    assert_eq!(before.index(), index);
    let after = store.snapshot().unwrap();
    assert_eq!(contents(&*after), [(b"a".to_vec(), b"2".to_vec()), (b"c".to_vec(), b"2".to_vec())]);
}

fn empty_keys_and_values(store: &dyn Storage) {
    write(store, vec![put("", "of the empty key"), put("empty", "")]);
    assert_eq!(read(store, b"").unwrap(), b"of the empty key");
    assert_eq!(read(store, b"empty").unwrap(), b"");
    write(store, vec![put("", ""), delete("empty")]);
    assert_eq!(contents(&*store.snapshot().unwrap()), [(vec![], vec![])]);
    let base = store.snapshot().unwrap().index();
    write(store, vec![delete("")]);
    let stale = Transaction { base, reads: vec![Read::Key(vec![])], writes: vec![] };
    assert!(matches!(commit(store, stale), Err(CommitError::Conflict)));
}

fn deletes(store: &dyn Storage) {
    write(store, vec![put("a", "1"), put("b", "2")]);
    write(store, vec![delete("a"), delete("never there")]);
    assert_eq!(read(store, b"a"), None);
    assert_eq!(keys(&*store.snapshot().unwrap(), b"", None), [b"b"]);
    write(store, vec![put("a", "again")]);
    assert_eq!(read(store, b"a").unwrap(), b"again");
}

fn later_write_wins(store: &dyn Storage) {
    write(store, vec![put("a", "1"), put("a", "2"), delete("b"), put("b", "3"), put("c", "4"), delete("c")]);
    assert_eq!(
        contents(&*store.snapshot().unwrap()),
        [(b"a".to_vec(), b"2".to_vec()), (b"b".to_vec(), b"3".to_vec())]
    );
}

fn atomicity(store: &dyn Storage) {
    let base = write(store, vec![put("a", "1")]);
    write(store, vec![put("a", "2")]);
    let stale =
        Transaction { base, reads: vec![Read::Key(b"a".into())], writes: vec![put("b", "x"), put("c", "x")] };
    assert!(matches!(commit(store, stale), Err(CommitError::Conflict)));
    let too_large = vec![put("b", "x"), put(vec![1; KEY_BYTES_MAX + 1], "x")];
    assert!(matches!(commit(store, blind(too_large)), Err(CommitError::TooLarge)));
    assert_eq!(contents(&*store.snapshot().unwrap()), [(b"a".to_vec(), b"2".to_vec())]);
}

fn outcome(store: &dyn Storage, base: CommitIndex, read: Read) -> Result<CommitIndex, CommitError> {
    commit(store, Transaction { base, reads: vec![read], writes: vec![put("~unrelated", "x")] })
}

fn key_conflicts(store: &dyn Storage) {
    let base = write(store, vec![put("a", "1"), put("b", "1")]);
    let key = |text: &str| Read::Key(text.into());
    assert!(outcome(store, base, key("a")).is_ok());
    let changed = write(store, vec![put("a", "1")]);
    assert!(
        matches!(outcome(store, base, key("a")), Err(CommitError::Conflict)),
        "the same value is a change too"
    );
    assert!(outcome(store, base, key("b")).is_ok());
    assert!(outcome(store, changed, key("a")).is_ok());
    write(store, vec![delete("b")]);
    assert!(matches!(outcome(store, changed, key("b")), Err(CommitError::Conflict)));
}

fn missing_key_conflicts(store: &dyn Storage) {
    let base = store.snapshot().unwrap().index();
    let create = |value: &str| Transaction {
        base,
        reads: vec![Read::Key(b"new".into())],
        writes: vec![put("new", value)],
    };
    commit(store, create("first")).unwrap();
    assert!(matches!(commit(store, create("second")), Err(CommitError::Conflict)));
    assert_eq!(read(store, b"new").unwrap(), b"first");
}

fn range_conflicts(store: &dyn Storage) {
    let base = write(store, vec![put("b", "1"), put("d", "1")]);
    let range = |start: &str, end: &str| Read::Range { start: start.into(), end: Some(end.into()) };
    let from = |start: &str| Read::Range { start: start.into(), end: None };
    write(store, vec![put("c", "phantom")]);
    let conflicts = |read: Read| matches!(outcome(store, base, read), Err(CommitError::Conflict));
    assert!(conflicts(range("b", "d")));
    assert!(conflicts(range("c", "c\0")));
    assert!(conflicts(from("c")));
    assert!(!conflicts(range("a", "c")));
    assert!(!conflicts(range("c\0", "z")));
}

fn blind_writes(store: &dyn Storage) {
    write(store, vec![put("a", "1")]);
    write(store, vec![put("a", "2")]);
    commit(store, blind(vec![put("a", "3")])).unwrap();
    assert_eq!(read(store, b"a").unwrap(), b"3");
}

fn validated_reads(store: &dyn Storage) {
    let base = write(store, vec![put("a", "1")]);
    let reading = || Transaction { base, reads: vec![Read::Key(b"a".into())], writes: vec![] };
    commit(store, reading()).unwrap();
    write(store, vec![put("a", "2")]);
    assert!(matches!(commit(store, reading()), Err(CommitError::Conflict)));
}

fn limits(store: &dyn Storage) {
    let longest = vec![b'k'; KEY_BYTES_MAX];
    write(store, vec![put(&longest, "v")]);
    assert_eq!(read(store, &longest).unwrap(), b"v");
    let too_long = blind(vec![put(vec![b'k'; KEY_BYTES_MAX + 1], "v")]);
    assert!(matches!(commit(store, too_long), Err(CommitError::TooLarge)));
    let too_large = blind(vec![put("k", vec![0; VALUE_BYTES_MAX + 1])]);
    assert!(matches!(commit(store, too_large), Err(CommitError::TooLarge)));
}

fn large_values(store: &dyn Storage) {
    let value = vec![0xA5; 3_000_000];
    write(store, vec![put("large", &value)]);
    assert!(read(store, b"large").unwrap() == value);
    write(store, vec![put("large", "small")]);
    assert_eq!(read(store, b"large").unwrap(), b"small");
}

fn indexes_grow(store: &dyn Storage) {
    let mut last = store.snapshot().unwrap().index();
    for _ in 0..20 {
        let index = write(store, vec![put("a", "1")]);
        assert!(index > last);
        last = index;
    }
}

const THREADS: u64 = 8;
const ROUNDS: u64 = 50;

/// Runs `attempt` until it has no conflict.
fn retry(store: &dyn Storage, attempt: impl Fn(&dyn Snapshot) -> Transaction) {
    loop {
        let snapshot = store.snapshot().unwrap();
        let transaction = attempt(&*snapshot);
        drop(snapshot);
        match commit(store, transaction) {
            Ok(_) => return,
            Err(CommitError::Conflict) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn number(snapshot: &dyn Snapshot, key: &[u8]) -> u64 {
    snapshot.read(key).unwrap().map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

fn increments(store: &dyn Storage) {
    let increment = |snapshot: &dyn Snapshot| Transaction {
        base: snapshot.index(),
        reads: vec![Read::Key(b"sum".into())],
        writes: vec![put("sum", (number(snapshot, b"sum") + 1).to_be_bytes())],
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..ROUNDS).for_each(|_| retry(store, increment)));
        }
    });
    assert_eq!(number(&*store.snapshot().unwrap(), b"sum"), THREADS * ROUNDS);
}

fn transfers(store: &dyn Storage) {
    let account = |number: u64| format!("account/{}", number % 5).into_bytes();
    write(store, (0..5).map(|it| put(account(it), 100_u64.to_be_bytes())).collect());
    let total = |snapshot: &dyn Snapshot| -> u64 { (0..5).map(|it| number(snapshot, &account(it))).sum() };
    let transfer = |from: u64, to: u64| {
        let (from, to) = (account(from), account(to));
        move |snapshot: &dyn Snapshot| {
            let amount = number(snapshot, &from).min(1);
            let reads = vec![Read::Key(from.clone()), Read::Key(to.clone())];
            let less = put(&from, (number(snapshot, &from) - amount).to_be_bytes());
            let more = put(&to, (number(snapshot, &to) + amount).to_be_bytes());
            Transaction { base: snapshot.index(), reads, writes: vec![less, more] }
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                (0..ROUNDS).for_each(|it| retry(store, transfer(thread + it, thread + it + 1 + it % 4)))
            });
        }
        scope.spawn(|| (0..200).for_each(|_| assert_eq!(total(&*store.snapshot().unwrap()), 500)));
    });
    assert_eq!(total(&*store.snapshot().unwrap()), 500);
}

fn replacement(store: &dyn Storage) {
    let base = write(store, vec![put("old", "1"), put("both", "1")]);
    let before = store.snapshot().unwrap();
    let entries = [("both", "2"), ("new", "2")].map(|(key, value)| Ok((key.into(), value.into())));
    let index = store.replace(CommitIndex(1000), &mut entries.into_iter()).unwrap();
    assert!(index > CommitIndex(1000));
    let after = store.snapshot().unwrap();
    assert_eq!(contents(&*after), [(b"both".to_vec(), b"2".to_vec()), (b"new".to_vec(), b"2".to_vec())]);
    assert!(after.index() >= index);
    assert_eq!(keys(&*before, b"", None), [b"both".to_vec(), b"old".to_vec()]);
    assert!(matches!(outcome(store, base, Read::Key(b"neither".into())), Err(CommitError::Conflict)));
    assert!(outcome(store, after.index(), Read::Key(b"new".into())).unwrap() > index);
    assert!(store.replace(CommitIndex(0), &mut std::iter::empty()).unwrap() > index);
    assert!(contents(&*store.snapshot().unwrap()).is_empty());
}

fn failed_replacement(store: &dyn Storage) {
    let base = write(store, vec![put("old", "1")]);
    let broken = [Ok((b"new".to_vec(), vec![])), Err(StorageError::Failed("broken off".into()))];
    assert!(store.replace(CommitIndex(0), &mut broken.into_iter()).is_err());
    let too_large = [Ok((vec![0; KEY_BYTES_MAX + 1], vec![]))];
    assert!(store.replace(CommitIndex(0), &mut too_large.into_iter()).is_err());
    assert_eq!(keys(&*store.snapshot().unwrap(), b"", None), [b"old"]);
    assert!(write(store, vec![put("old", "2")]) > base);
}
