//! Records that were decrypted and parsed lately.
//!
//! An entry counts for the very bytes that it was made from: a request finds the row in its own snapshot, and only if these
//! are the same bytes is the record taken from here. So nothing has to be told of changes, and no snapshot sees another's.
//! Records that hold secrets do not belong here.

use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

const SHARDS: usize = 16;
/// Records kept. Beyond this number a quarter is dropped.
const RECORDS_MAX: usize = 16_384;
/// A longer row is parsed each time.
const SEALED_BYTES_MAX: usize = 8 << 10;

/// By storage key. Goes with the keys of the server.
pub(crate) struct Decoded {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Box<[u8]>, Entry>>>,
}

struct Entry {
    sealed: Box<[u8]>,
    record: Arc<dyn Any + Send + Sync>,
}

impl Default for Decoded {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Decoded {
    fn shard(&self, key: &[u8]) -> Option<&Mutex<HashMap<Box<[u8]>, Entry>>> {
        self.shards.get(self.hasher.hash_one(key) as usize % SHARDS)
    }

    /// The record of a row that holds exactly `sealed`.
    pub(crate) fn find<T: Send + Sync + 'static>(&self, key: &[u8], sealed: &[u8]) -> Option<Arc<T>> {
        let shard = self.shard(key)?.lock();
        let entry = shard.get(key).filter(|entry| *entry.sealed == *sealed)?;
        entry.record.clone().downcast().ok()
    }

    pub(crate) fn keep<T: Send + Sync + 'static>(&self, key: &[u8], sealed: Vec<u8>, record: &Arc<T>) {
        let Some(shard) = self.shard(key).filter(|_| sealed.len() <= SEALED_BYTES_MAX) else { return };
        let mut shard = shard.lock();
        if shard.len() >= RECORDS_MAX / SHARDS && !shard.contains_key(key) {
            let mut position = 0;
            shard.retain(|_, _| {
                position += 1;
                position % 4 != 0
            });
        }
        shard.insert(key.into(), Entry { sealed: sealed.into_boxed_slice(), record: record.clone() });
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
