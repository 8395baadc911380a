//! The default store: SQLite in one data folder, with group commit.
//!
//! One connection writes. A thread gathers the transactions that wait into one SQLite transaction, so that they share
//! one disk sync; another thread moves the write-ahead log into the database, off the path of commits, and keeps the
//! rollback guard. Readers are pooled connections, one for each open snapshot; they stay on the commit that they saw first,
//! and what was committed since is read from memory (`recent.rs`).

mod committer;
mod database;
mod folder;
mod keeper;
mod readers;
mod recent;
mod rows;

use crate::conflict::ConflictWindow;
use crate::{
    CommitError, CommitIndex, Completion, Entries, Snapshot, Storage, StorageError, StoreId, Transaction,
};
use committer::{Queue, Writer};
use database::Database;
use folder::{DataFolder, Guard};
use keeper::Keeper;
use parking_lot::Mutex;
use readers::Readers;
use recent::{Bounds, Timeline};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use strongroom_secret::Entropy;
use thiserror::Error;

/// The version of the data folder that this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// A store in a data folder. Dropping it finishes the waiting transactions and leaves the folder ready to be copied.
pub struct EmbeddedStorage {
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Pages kept in memory by the writing connection, in bytes.
    pub writer_cache_bytes: u32,
    /// Pages kept in memory by each pooled reader, in bytes. As many readers stay open as snapshots were held at once,
    /// up to 32.
    pub reader_cache_bytes: u32,
    /// Changes that are kept in memory, so that readers need not begin anew after each commit, in bytes.
    pub recent_bytes: usize,
    /// Rows that were read and are kept in memory, in bytes.
    pub row_cache_bytes: usize,
    pub durability: Durability,
    /// The newest commit known from elsewhere (an audit log). An older database is refused.
    pub minimum_index: Option<CommitIndex>,
    pub rollback: Rollback,
    /// A cap on the size of the database, in pages. Beyond it commits fail with [`CommitError::Full`].
    pub pages_max: Option<u32>,
}

/// When a commit is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// After the disk sync: it outlives a power cut.
    Disk,
    /// Before the disk sync: it outlives the end of the process, not a power cut.
    Process,
}

/// What to do about a database that is older than what is known, or another store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    Refuse,
    /// Open it as it is; its index goes on above the newest one known.
    Accept,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            writer_cache_bytes: 16 << 20,
            reader_cache_bytes: 4 << 20,
            recent_bytes: 8 << 20,
            row_cache_bytes: 8 << 20,
            durability: Durability::Disk,
            minimum_index: None,
            rollback: Rollback::Refuse,
            pages_max: None,
        }
    }
}

/// Why a data folder was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("data folder {folder:?} is in use by another process{}: stop that one, or choose another folder", holder(*pid))]
    InUse { folder: PathBuf, pid: Option<u32> },
    #[error(
        "{path:?} has format version {found}, newer than version {supported} which this program knows: start a newer \
         release, or restore a snapshot that this one made"
    )]
    Newer { path: PathBuf, found: u32, supported: u32 },
    #[error(
        "{path:?} is damaged or not a Strongroom database ({reason}): restore a snapshot into an empty data folder"
    )]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "the database is older than it was: it is at commit {found}, but commit {expected} is known to have happened. It \
         was probably replaced by an old copy. Put the newer database back, or accept the loss explicitly"
    )]
    RolledBack { found: u64, expected: u64 },
    #[error(
        "the database belongs to store {found}, but the data folder to store {expected}: files of two stores were mixed \
         up. Put the right database back, or accept this one explicitly"
    )]
    MixedUp { found: StoreId, expected: StoreId },
    #[error(
        "the database of store {expected} is missing from {folder:?}: put it back, restore a snapshot, or accept the loss"
    )]
    Missing { folder: PathBuf, expected: StoreId },
    #[error("cannot use {path:?}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("cannot open {path:?}: {reason}")]
    Failed { path: PathBuf, reason: String },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// Counts since the store was opened, and sizes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Durable commits; each one took one disk sync.
    pub commits: u64,
    /// Transactions in those commits.
    pub transactions: u64,
    pub conflicts: u64,
    pub checkpoints: u64,
    pub log_bytes: u64,
    pub database_bytes: u64,
}

/// What all threads share.
struct Shared {
    folder: DataFolder,
    store_id: StoreId,
    /// The newest completed commit, and those before it that are in memory.
    timeline: Timeline,
    closed: AtomicBool,
    queue: Queue,
    /// Held for the time of one commit, of a replacement, or of a checkpoint that must not be overtaken.
    writer: Mutex<Writer>,
    readers: Readers,
    keeper: Keeper,
    counters: Counters,
    durability: Durability,
}

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    transactions: AtomicU64,
    conflicts: AtomicU64,
    checkpoints: AtomicU64,
}

impl EmbeddedStorage {
    /// Opens the store in `folder`, or creates it there. `entropy` gives a new store its id. The time it takes does not
    /// grow with the number of entries.
    pub fn open(folder: &Path, entropy: &dyn Entropy, options: &EmbeddedOptions) -> Result<Self, OpenError> {
        let folder = DataFolder::lock(folder)?;
        let guard = folder.read_guard()?;
        if let (Some(guard), false, Rollback::Refuse) = (&guard, folder.has_database(), options.rollback) {
            return Err(OpenError::Missing { folder: folder.path().to_owned(), expected: guard.store_id });
        }
        folder.create_database_file()?;
        let mut database = Database::open(&folder.database_path(), entropy, options)?;
        check_age(guard.as_ref(), &mut database, options)?;
        let current = Guard { store_id: database.store_id, index: database.index };
        let written = if guard == Some(current) { Ok(()) } else { folder.write_guard(&current) };
        match written {
            // A full disk must not keep a store from being opened and made smaller; the old guard still holds.
            Err(error) if guard.is_some() && error.kind() == ErrorKind::StorageFull => {}
            Err(source) => return Err(OpenError::Folder { path: folder.guard_path(), source }),
            Ok(()) => {}
        }
        Self::start(folder, database, options)
    }

    fn start(folder: DataFolder, database: Database, options: &EmbeddedOptions) -> Result<Self, OpenError> {
        let Database { connection, page_bytes, store_id, index } = database;
        let path = folder.database_path();
        let failed = |reason: String| OpenError::Failed { path: path.clone(), reason };
        let keeper_connection = database::connect(&path, options.writer_cache_bytes / 4, options.durability)
            .map_err(|error| failed(error.to_string()))?;
        let writer = Writer::new(connection, ConflictWindow::new(index), index)
            .map_err(|error| failed(error.to_string()))?;
        let shared = Arc::new(Shared {
            readers: Readers::new(path.clone(), options.reader_cache_bytes),
            folder,
            store_id,
            timeline: Timeline::new(
                Bounds { changes: options.recent_bytes, rows: options.row_cache_bytes },
                index,
            ),
            closed: AtomicBool::new(false),
            queue: Queue::default(),
            writer: Mutex::new(writer),
            keeper: Keeper::new(page_bytes),
            counters: Counters::default(),
            durability: options.durability,
        });
        let mut storage = Self { shared: Arc::clone(&shared), committer: None, keeper: None };
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let spawned = thread("storage-keeper").spawn(move || keeper::run(&shared, &keeper_connection));
        storage.keeper = Some(spawned.map_err(|error| failed(error.to_string()))?);
        let shared = Arc::clone(&storage.shared);
        let spawned = thread("storage-commit").spawn(move || committer::run(&shared));
        storage.committer = Some(spawned.map_err(|error| failed(error.to_string()))?);
        Ok(storage)
    }

    pub fn store_id(&self) -> StoreId {
        self.shared.store_id
    }

    /// The newest completed commit.
    pub fn index(&self) -> CommitIndex {
        self.shared.index()
    }

    /// Whether the store closed itself after a failure.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    pub fn stats(&self) -> Stats {
        let Counters { commits, transactions, conflicts, checkpoints } = &self.shared.counters;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: load(commits),
            transactions: load(transactions),
            conflicts: load(conflicts),
            checkpoints: load(checkpoints),
            log_bytes: self.shared.folder.log_bytes(),
            database_bytes: self.shared.folder.database_bytes(),
        }
    }

    /// Reads the whole database and lists what is damaged in its structure, at most 100 findings; empty means sound.
    /// Pages carry no checksum: a changed bit inside a value shows when the value is decrypted.
    pub fn check(&self) -> Result<Vec<String>, StorageError> {
        self.shared.readers.check()
    }
}

/// Compares the database with what is known about it, and lifts its index above that if a loss was accepted.
fn check_age(
    guard: Option<&Guard>,
    database: &mut Database,
    options: &EmbeddedOptions,
) -> Result<(), OpenError> {
    let mut expected = options.minimum_index.unwrap_or_default();
    if let Some(guard) = guard {
        if guard.store_id != database.store_id {
            if options.rollback == Rollback::Refuse {
                return Err(OpenError::MixedUp { found: database.store_id, expected: guard.store_id });
            }
        } else {
            expected = expected.max(guard.index);
        }
    }
    if database.index >= expected {
        return Ok(());
    }
    match options.rollback {
        Rollback::Refuse => Err(OpenError::RolledBack { found: database.index.0, expected: expected.0 }),
        Rollback::Accept => database.lift_index(CommitIndex(expected.0 + 1)),
    }
}

impl Drop for EmbeddedStorage {
    fn drop(&mut self) {
        self.shared.queue.stop();
        if let Some(thread) = self.committer.take() {
            drop(thread.join());
        }
        self.shared.keeper.stop();
        if let Some(thread) = self.keeper.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn index(&self) -> CommitIndex {
        self.timeline.index()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// After a failure whose effect on the disk is not known. A failed sync must never be tried again: the kernel may
    /// have dropped the pages and would report success (Rebello et al., "Can Applications Recover from fsync
    /// Failures?", 2020).
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

impl Storage for EmbeddedStorage {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StorageError> {
        if self.is_closed() {
            return Err(StorageError::Closed);
        }
        Ok(Box::new(self.shared.readers.snapshot(&self.shared.timeline)?))
    }

    fn submit(&self, transaction: Transaction, done: Completion) {
        if self.is_closed() {
            return done(Err(CommitError::Closed));
        }
        if !transaction.is_within_limits() {
            return done(Err(CommitError::TooLarge));
        }
        if let Err((done, error)) = self.shared.queue.push(transaction, done) {
            done(Err(error));
        }
    }

    fn replace(&self, above: CommitIndex, entries: &mut Entries<'_>) -> Result<CommitIndex, StorageError> {
        self.shared.writer.lock().replace(&self.shared, above, entries)
    }
}

#[cfg(test)]
mod tests;
