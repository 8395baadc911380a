//! Both stores against a plain map: the same operations give the same outcomes and the same contents.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use strongroom_secret::Entropy;
use strongroom_storage::embedded::{Durability, EmbeddedOptions, EmbeddedStorage};
use strongroom_storage::{
    CommitError, CommitIndex, MemoryStorage, Read, Snapshot, Storage, Transaction, Write, commit,
};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
enum Operation {
    /// Keeps a snapshot until the store is opened again.
    Hold,
    /// Commits on the `base`-th held snapshot, or on a fresh one.
    Commit {
        base: usize,
        reads: Vec<Read>,
        writes: Vec<Write>,
    },
    Replace {
        above: u64,
        entries: Map,
    },
    /// Compares the `view`-th held snapshot, or a fresh one.
    Compare {
        view: usize,
        start: Vec<u8>,
        end: Option<Vec<u8>>,
    },
}

#[derive(Default)]
struct Model {
    map: Map,
    changes: Vec<(CommitIndex, Vec<u8>)>,
    /// Reads on an older base conflict.
    floor: CommitIndex,
}

impl Model {
    fn conflicts(&self, base: CommitIndex, reads: &[Read]) -> bool {
        let hit = |key: &[u8]| {
            reads.iter().any(|read| match read {
                Read::Key(read) => read == key,
                Read::Range { start, end } => {
                    start.as_slice() <= key && end.as_deref().is_none_or(|end| key < end)
                }
            })
        };
        !reads.is_empty()
            && (base < self.floor || self.changes.iter().any(|(index, key)| *index > base && hit(key)))
    }
}

/// One life of an opened store.
fn run(store: &dyn Storage, model: &mut Model, operations: &[Operation]) {
    let mut held: Vec<(Box<dyn Snapshot + '_>, Map)> = vec![];
    model.floor = store.snapshot().unwrap().index();
    for operation in operations {
        match operation {
            Operation::Hold => held.push((store.snapshot().unwrap(), model.map.clone())),
            Operation::Commit { base, reads, writes } => {
                let base =
                    held.get(*base).map_or_else(|| store.snapshot().unwrap().index(), |(it, _)| it.index());
                let transaction = Transaction { base, reads: reads.clone(), writes: writes.clone() };
                let outcome = commit(store, transaction);
                if model.conflicts(base, reads) {
                    assert!(matches!(outcome, Err(CommitError::Conflict)), "{outcome:?}");
                    continue;
                }
                let index = outcome.unwrap();
                for write in writes {
                    model.changes.push((index, write.key.clone()));
                    match &write.value {
                        Some(value) => drop(model.map.insert(write.key.clone(), value.clone())),
                        None => drop(model.map.remove(&write.key)),
                    }
                }
            }
            Operation::Replace { above, entries } => {
                let mut source = entries.clone().into_iter().map(Ok);
                let index = store.replace(CommitIndex(*above), &mut source).unwrap();
                (model.floor, model.map) = (index, entries.clone());
            }
            Operation::Compare { view, start, end } => match held.get(*view) {
                Some((snapshot, map)) => compare(&**snapshot, map, start, end.as_deref()),
                None => compare(&*store.snapshot().unwrap(), &model.map, start, end.as_deref()),
            },
        }
    }
    for (snapshot, map) in &held {
        compare(&**snapshot, map, b"", None);
    }
    compare(&*store.snapshot().unwrap(), &model.map, b"", None);
}

fn compare(snapshot: &dyn Snapshot, map: &Map, start: &[u8], end: Option<&[u8]>) {
    let mut found = vec![];
    let mut visit = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    snapshot.scan(start, end, &mut visit).unwrap();
    let inside = |key: &[u8]| start <= key && end.is_none_or(|end| key < end);
    let expected: Vec<_> =
        map.iter().filter(|(key, _)| inside(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(found, expected);
    for key in all_keys() {
        assert_eq!(snapshot.read(&key).unwrap().as_ref(), map.get(&key), "{key:?}");
    }
}

const LETTERS: [u8; 4] = [0, 1, b'a', 0xFF];

/// Every key that [`key`] makes.
fn all_keys() -> impl Iterator<Item = Vec<u8>> {
    let twos = LETTERS.iter().flat_map(|first| LETTERS.map(|second| vec![*first, second]));
    std::iter::once(vec![]).chain(LETTERS.map(|letter| vec![letter])).chain(twos)
}

/// Few and short, so that operations meet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(LETTERS.to_vec()), 0..3)
}

fn read() -> impl Strategy<Value = Read> {
    prop_oneof![
        key().prop_map(Read::Key),
        (key(), prop::option::of(key())).prop_map(|(start, end)| Read::Range { start, end }),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    let value = prop::collection::vec(any::<u8>(), 0..20);
    (key(), prop::option::weighted(0.7, value)).prop_map(|(key, value)| Write { key, value })
}

fn operation() -> impl Strategy<Value = Operation> {
    let entries = prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 0..5), 0..5);
    prop_oneof![
        2 => Just(Operation::Hold),
        8 => (0..6_usize, prop::collection::vec(read(), 0..3), prop::collection::vec(write(), 0..4))
            .prop_map(|(base, reads, writes)| Operation::Commit { base, reads, writes }),
        1 => (0..100_u64, entries).prop_map(|(above, entries)| Operation::Replace { above, entries }),
        4 => (0..6_usize, key(), prop::option::of(key()))
            .prop_map(|(view, start, end)| Operation::Compare { view, start, end }),
    ]
}

fn lives() -> impl Strategy<Value = Vec<Vec<Operation>>> {
    prop::collection::vec(prop::collection::vec(operation(), 0..30), 1..4)
}

/// From no memory at all, over so little that every few commits need more, to plenty.
fn bound() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0, 500, 1000, 6000, 1 << 20])
}

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn memory_is_as_the_model(lives in lives()) {
        let mut model = Model::default();
        let mut store = MemoryStorage::new();
        for operations in lives {
            run(&store, &mut model, &operations);
            store = store.recover(None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn embedded_is_as_the_model(lives in lives(), recent_bytes in bound(), row_cache_bytes in bound()) {
        let folder = tempfile::TempDir::new().unwrap();
        let options = EmbeddedOptions {
            durability: Durability::Process,
            recent_bytes,
            row_cache_bytes,
            ..EmbeddedOptions::default()
        };
        let mut model = Model::default();
        for operations in lives {
            let store = EmbeddedStorage::open(folder.path(), &Zeros, &options).unwrap();
            run(&store, &mut model, &operations);
        }
    }
}
