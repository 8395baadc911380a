//! A transactional store of opaque bytes. It sees ciphertext alone and knows nothing of what it keeps.
//!
//! Concurrency is optimistic. A caller takes a [`Snapshot`], reads from it, remembers what it read, and submits a
//! [`Transaction`]; the store applies all its writes in one durable commit, or none, and answers
//! [`CommitError::Conflict`] when anything read has changed since the snapshot. Waiting transactions share one disk
//! sync (group commit); a completed commit is durable.

pub mod archive;
mod conflict;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
pub mod memory;

pub use embedded::EmbeddedStorage;
pub use memory::MemoryStorage;

use std::fmt;
use std::ops::ControlFlow;
use thiserror::Error;

/// Counts commits. Grows by at least one with every commit; survives restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitIndex(pub u64);

/// Names a store for its whole life, wherever its data folder is moved.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

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

    /// Replaces the whole contents, atomically and durably, by `entries`; if one of them is an error, nothing changes.
    /// The new index is above the store's and above `above`; every transaction based on an earlier snapshot conflicts.
    fn replace(&self, above: CommitIndex, entries: &mut Entries<'_>) -> Result<CommitIndex, StorageError>;
}

/// Called once with the outcome of a transaction. It runs on the store's thread: it must be short and must not block.
pub type Completion = Box<dyn FnOnce(Result<CommitIndex, CommitError>) + Send>;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries in ascending order of keys.
pub type Entries<'a> = dyn Iterator<Item = Result<Entry, StorageError>> + 'a;

/// Submits a transaction and waits for its outcome.
pub fn commit(
    storage: &(impl Storage + ?Sized),
    transaction: Transaction,
) -> Result<CommitIndex, CommitError> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    storage.submit(transaction, Box::new(move |outcome| drop(sender.send(outcome))));
    receiver.recv().unwrap_or_else(|_| Err(CommitError::Unknown("the store ended without an answer".into())))
}

/// A consistent view. Cheap; held for the time of one request, or of one backup.
pub trait Snapshot: Send {
    /// At or below the newest commit that this view includes: what was read here is validated against commits after it.
    fn index(&self) -> CommitIndex;

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Visits the entries with `start <= key < end` (no upper bound if `end` is None) in ascending order of keys until
    /// `visit` breaks.
    fn scan(&self, start: &[u8], end: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), StorageError>;
}

/// Called with a key and its value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

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
    Range {
        start: Vec<u8>,
        end: Option<Vec<u8>>,
    },
}

/// One change. `value` None removes the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl Transaction {
    /// Whether every key and value is within [`KEY_BYTES_MAX`] and [`VALUE_BYTES_MAX`].
    pub fn is_within_limits(&self) -> bool {
        self.writes.iter().all(|write| entry_fits(&write.key, write.value.as_deref().unwrap_or_default()))
    }

    /// What the writes hold, in bytes.
    fn write_bytes(&self) -> usize {
        self.writes.iter().map(|write| write.key.len() + write.value.as_ref().map_or(0, Vec::len)).sum()
    }
}

fn entry_fits(key: &[u8], value: &[u8]) -> bool {
    key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX
}

/// Why a read or a replacement failed.
#[derive(Debug, Error)]
pub enum StorageError {
    #[error("the store is closed after an earlier failure; restart the server")]
    Closed,
    #[error("the disk is full: nothing was changed; free some space and try again")]
    Full,
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

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(prefix_end(b"a/"), Some(b"a0".to_vec()));
        assert_eq!(prefix_end(&[1, 0xFF, 0xFF]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xFF]), None);
        assert_eq!(prefix_end(b""), None);
    }
}
