//! Records that were decrypted and parsed lately.
//!
//! An entry counts for the very bytes that it was made from: a request finds the row in its own snapshot, and only if these
//! are the same bytes is the record taken from here. So nothing has to be told of changes, and no snapshot sees another's.
//! Records that hold secrets do not belong here.

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use std::any::Any;
use std::hash::BuildHasher;
use std::sync::Arc;

const SHARDS: usize = 16;
/// Records kept. Beyond this number a quarter is dropped.
const RECORDS_MAX: usize = 16_384;
/// A longer row is parsed each time.
const SEALED_BYTES_MAX: usize = 8 << 10;

/// By storage key, whose bytes nobody outside can choose: a fast hasher does. Goes with the keys of the server.
pub(crate) struct Decoded {
    hasher: DefaultHashBuilder,
    shards: Vec<Mutex<HashTable<Kept>>>,
}

struct Kept {
    hash: u64,
    key: Box<[u8]>,
    sealed: Box<[u8]>,
    record: Arc<dyn Any + Send + Sync>,
}

impl Default for Decoded {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { hasher: DefaultHashBuilder::default(), shards }
    }
}

impl Decoded {
    /// By bits of the hash that the tables do not use.
    fn shard(&self, hash: u64) -> Option<&Mutex<HashTable<Kept>>> {
        self.shards.get((hash >> 48) as usize % SHARDS)
    }

    /// The record of a row that holds exactly `sealed`.
    pub(crate) fn find<T: Send + Sync + 'static>(&self, key: &[u8], sealed: &[u8]) -> Option<Arc<T>> {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard(hash)?.lock();
        let kept = shard.find(hash, |kept| *kept.key == *key).filter(|kept| *kept.sealed == *sealed)?;
        kept.record.clone().downcast().ok()
    }

    pub(crate) fn keep<T: Send + Sync + 'static>(&self, key: &[u8], sealed: Vec<u8>, record: &Arc<T>) {
        let hash = self.hasher.hash_one(key);
        let Some(shard) = self.shard(hash).filter(|_| sealed.len() <= SEALED_BYTES_MAX) else { return };
        let mut shard = shard.lock();
        if shard.len() >= RECORDS_MAX / SHARDS {
            let mut position = 0;
            shard.retain(|_| {
                position += 1;
                position % 4 != 0
            });
        }
        let kept = Kept { hash, key: key.into(), sealed: sealed.into_boxed_slice(), record: record.clone() };
        match shard.entry(hash, |other| *other.key == *key, |other| other.hash) {
            Entry::Occupied(mut there) => *there.get_mut() = kept,
            Entry::Vacant(place) => drop(place.insert(kept)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_for_its_own_bytes_alone() {
        let decoded = Decoded::default();
        decoded.keep(b"key", b"sealed once".to_vec(), &Arc::new("first".to_owned()));
        let find = |key: &[u8], sealed: &[u8]| decoded.find::<String>(key, sealed);
        assert_eq!(find(b"key", b"sealed once").as_deref().map(String::as_str), Some("first"));
        assert_eq!(find(b"key", b"sealed anew"), None);
        assert_eq!(find(b"other", b"sealed once"), None);
        assert!(decoded.find::<u64>(b"key", b"sealed once").is_none(), "of another type");
        decoded.keep(b"key", b"sealed anew".to_vec(), &Arc::new("second".to_owned()));
        assert_eq!(find(b"key", b"sealed once"), None);
        assert_eq!(find(b"key", b"sealed anew").as_deref().map(String::as_str), Some("second"));
    }

    #[test]
    fn their_number_is_bounded() {
        let decoded = Decoded::default();
        for number in 0..3 * RECORDS_MAX {
            decoded.keep(&number.to_be_bytes(), vec![1], &Arc::new(number));
        }
        let held: usize = decoded.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!((RECORDS_MAX / 2..=RECORDS_MAX).contains(&held), "{held}");
    }
}
