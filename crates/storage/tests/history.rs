//! Threads commit, replace everything and read at the same time; afterwards every snapshot is held against the history: at its index it had
//! exactly what had been committed up to there, nothing newer and nothing older.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use strongroom_secret::Entropy;
use strongroom_storage::embedded::{Durability, EmbeddedOptions, EmbeddedStorage};
use strongroom_storage::{CommitIndex, Snapshot, Storage, Transaction, Write, commit};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

const WRITERS: u64 = 4;
const READERS: u64 = 3;
const KEYS: u64 = 40;
const COMMITS: u64 = 1500;
const REPLACEMENTS: u64 = 30;

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0);
    }
}

/// A small generator (Marsaglia, "Xorshift RNGs", 2003): tests are the same every time, but for the threads.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("key {:02}", number % KEYS).into_bytes()
}

/// What was done at one index.
enum Deed {
    Commit(Vec<Write>),
    Replace(Map),
}

type Deeds = Mutex<Vec<(CommitIndex, Deed)>>;

/// What one snapshot showed.
struct Seen {
    index: CommitIndex,
    reads: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    scan: (Vec<u8>, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>),
}

fn look(snapshot: &dyn Snapshot, random: &mut Random) -> Seen {
    let reads = (0..4)
        .map(|_| {
            let key = key(random.below(KEYS));
            let value = snapshot.read(&key).unwrap();
            (key, value)
        })
        .collect();
    let (start, end) = (key(random.below(KEYS)), key(random.below(KEYS)));
    let mut found = vec![];
    snapshot
        .scan(&start, Some(&end), &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    Seen { index: snapshot.index(), reads, scan: (start, end, found) }
}

/// Commits until it has done its share; what it committed, by index.
fn write(store: &EmbeddedStorage, writer: u64, done: &Deeds) {
    let mut random = Random(writer + 1);
    for number in 0..COMMITS {
        let writes: Vec<Write> = (0..1 + random.below(3))
            .map(|_| {
                let value = format!("{writer}/{number}").repeat(1 + random.below(20) as usize);
                let value = (random.below(4) > 0).then(|| value.into_bytes());
                Write { key: key(random.below(KEYS)), value }
            })
            .collect();
        let transaction = Transaction { writes: writes.clone(), ..Transaction::default() };
        let index = commit(store, transaction).unwrap();
        done.lock().unwrap().push((index, Deed::Commit(writes)));
    }
}

/// Replaces everything, as the restoring of a backup does, now and then.
fn replace(store: &EmbeddedStorage, done: &Deeds) {
    let mut random = Random(500);
    for number in 0..REPLACEMENTS {
        // Until others have done about their share up to here.
        let due = || done.lock().unwrap().len() as u64 >= number * WRITERS * COMMITS / REPLACEMENTS;
        while !due() {
            std::thread::yield_now();
        }
        let map: Map =
            (0..random.below(KEYS)).map(|it| (key(it), format!("all {number}").into_bytes())).collect();
        let index = store.replace(CommitIndex(0), &mut map.clone().into_iter().map(Ok)).unwrap();
        done.lock().unwrap().push((index, Deed::Replace(map)));
    }
}

/// Takes snapshots, holds some of them over commits, and looks at each several times.
fn read(store: &EmbeddedStorage, reader: u64, is_over: &AtomicBool, seen: &Mutex<Vec<Seen>>) {
    let mut random = Random(1000 + reader);
    let mut held: Vec<Box<dyn Snapshot + '_>> = vec![];
    let mut newest = CommitIndex(0);
    while !is_over.load(Ordering::Relaxed) {
        let snapshot = store.snapshot().unwrap();
        assert!(snapshot.index() >= newest, "snapshots do not go back");
        newest = snapshot.index();
        let mut looks = vec![look(&*snapshot, &mut random), look(&*snapshot, &mut random)];
        looks.extend(held.iter().map(|snapshot| look(&**snapshot, &mut random)));
        seen.lock().unwrap().extend(looks);
        match random.below(8) {
            0 if held.len() < 4 => held.push(snapshot),
            1 if !held.is_empty() => drop(held.swap_remove(0)),
            _ => {}
        }
    }
}

fn apply(map: &mut Map, deed: Deed) {
    match deed {
        Deed::Replace(all) => *map = all,
        Deed::Commit(writes) => {
            for Write { key, value } in writes {
                match value {
                    Some(value) => map.insert(key, value),
                    None => map.remove(&key),
                };
            }
        }
    }
}

fn check(options: EmbeddedOptions) {
    let folder = tempfile::TempDir::new().unwrap();
    let store = EmbeddedStorage::open(folder.path(), &Zeros, &options).unwrap();
    let (done, seen, is_over) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| replace(&store, &done));
        for reader in 0..READERS {
            let (store, is_over, seen) = (&store, &is_over, &seen);
            scope.spawn(move || read(store, reader, is_over, seen));
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, done) = (&store, &done);
                scope.spawn(move || write(store, writer, done))
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
    });
    let mut history = done.into_inner().unwrap();
    history.sort_by_key(|(index, _)| *index);
    let mut seen = seen.into_inner().unwrap();
    seen.sort_by_key(|seen| seen.index);
    assert!(seen.len() > 100, "{} looks", seen.len());
    let mut map = Map::new();
    let mut history = history.into_iter().peekable();
    for Seen { index, reads, scan: (start, end, found) } in seen {
        while let Some((_, deed)) = history.next_if(|(commit, _)| *commit <= index) {
            apply(&mut map, deed);
        }
        for (key, value) in reads {
            assert_eq!(value.as_ref(), map.get(&key), "{key:?} at {index:?}");
        }
        let expected: Vec<_> = map
            .iter()
            .filter(|(key, _)| start <= **key && **key < end)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(found, expected, "at {index:?}");
    }
}

fn options(recent_bytes: usize, row_cache_bytes: usize) -> EmbeddedOptions {
    EmbeddedOptions {
        durability: Durability::Process,
        recent_bytes,
        row_cache_bytes,
        ..EmbeddedOptions::default()
    }
}

#[test]
fn snapshots_are_exact_in_one_long_era() {
    check(options(64 << 20, 1 << 20));
}

#[test]
fn snapshots_are_exact_over_many_eras() {
    check(options(10_000, 4_000));
}

#[test]
fn snapshots_are_exact_without_memory() {
    check(options(0, 0));
}
