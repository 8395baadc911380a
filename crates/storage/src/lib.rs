//! A transactional store of opaque bytes. It sees ciphertext alone and knows nothing of what it keeps.
//!
//! Concurrency is optimistic. A caller takes a [`Snapshot`], reads from it, remembers what it read, and submits a
//! [`Transaction`]; the store applies all its writes in one durable commit, or none, and answers
//! [`CommitError::Conflict`] when anything read has changed since the snapshot. Waiting transactions share one disk
//! sync (group commit); a completed commit is durable.

use std::ops::ControlFlow;
use thiserror::Error;

/// Counts commits. Grows by at least one with every commit; survives restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitIndex(pub u64);

/// Keys up to this length, in bytes.
pub const KEY_BYTES_MAX: usize = 16 * 1024;
/// Values up to this length, in bytes.
pub const VALUE_BYTES_MAX: usize = 32 << 20;

/// A store of ordered byte keys and byte values.
pub trait Storage: Send + Sync {
    /// A consistent view of the newest commit. It sees every commit that completed before the call.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StorageError>;

    /// Submits a transaction and returns at once; `done` is called exactly once, from any thread, perhaps before this
    /// returns. Reads of every later snapshot include a transaction whose `done` had `Ok`.
    fn submit(&self, transaction: Transaction, done: Completion);
}

pub type Completion = Box<dyn FnOnce(Result<CommitIndex, CommitError>) + Send>;

/// A consistent view. Cheap; held for the time of one request, or of one backup.
pub trait Snapshot: Send {
    /// At or below the newest commit that this view includes: what was read here is validated against commits after it.
    fn index(&self) -> CommitIndex;

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Visits the entries with `start <= key < end` (no upper bound if `end` is None) in ascending order of keys until
    /// `visit` breaks.
    fn scan(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StorageError>;
}

/// What a write transaction read and wants to change.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The index of the snapshot that the reads were made on.
    pub base: CommitIndex,
    /// The commit fails if any of these changed after `base`.
    pub reads: Vec<Read>,
    /// Applied together. A later write of the same key wins.
    pub writes: Vec<Write>,
}

/// Something that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    Key(Vec<u8>),
    /// All keys with `start <= key < end`; no upper bound if `end` is None.
    Range { start: Vec<u8>, end: Option<Vec<u8>> },
}

/// One change. `value` None removes the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// Why a read, or opening a store, failed.
#[derive(Debug, Error)]
pub enum StorageError {
    #[error("the store is closed after an earlier failure")]
    Closed,
    #[error("storage: {0}")]
    Failed(String),
}

/// Why a transaction was not applied.
#[derive(Debug, Error)]
pub enum CommitError {
    #[error("something this transaction read was changed by another")]
    Conflict,
    #[error("the disk is full: nothing was written; free some space and try again")]
    Full,
    #[error("a key or value exceeds the limit of the store")]
    TooLarge,
    #[error("the store is closed after an earlier failure; restart the server")]
    Closed,
    /// The transaction may or may not have been applied.
    #[error("storage: the outcome of a commit is unknown: {0}")]
    Unknown(String),
    #[error("storage: {0}")]
    Failed(String),
}

/// The end of the range of keys that start with `prefix`; None if there is no end.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Some(end)
}
