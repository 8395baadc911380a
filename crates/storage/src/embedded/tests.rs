#![allow(clippy::disallowed_methods)]

use super::*;
use crate::commit;
use crate::conformance::{self, blind, put};
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
