//! Rows that were read from the database, ciphertext as they are there.

use super::recent::ENTRY_BYTES;
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use std::hash::BuildHasher;
use std::sync::Arc;

const SHARDS: usize = 16;
/// A longer row would push out many others.
const ROW_BYTES_MAX: usize = 64 << 10;

/// A hash of a key, for one lookup in several tables. The hasher is a fast one, not one for keys that an enemy chooses:
/// those that come here hold ids, keyed hashes and encrypted names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash(pub(super) u64);

/// Makes [`KeyHash`]es that can be compared with each other.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyHasher(DefaultHashBuilder);

impl KeyHasher {
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.0.hash_one(key))
    }
}

/// Rows as they all were at one commit, the ones used lately, within a bound.
pub(super) struct Rows {
    shards: Vec<Mutex<Shard>>,
}

/// What was used lately, and what was used before that. When the first is full it becomes the second, and what was the
/// second is forgotten.
#[derive(Default)]
struct Shard {
    lately: Generation,
    before: HashTable<Kept>,
    /// Of one generation.
    bytes_max: usize,
}

#[derive(Default)]
struct Generation {
    rows: HashTable<Kept>,
    bytes: usize,
}

struct Kept {
    hash: KeyHash,
    key: Box<[u8]>,
    row: Row,
}

/// None: there is no such row.
type Row = Option<Arc<[u8]>>;

impl Rows {
    pub(super) fn new(bytes_max: usize) -> Self {
        let shard = || Mutex::new(Shard { bytes_max: bytes_max / SHARDS / 2, ..Shard::default() });
        Self { shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    /// By bits of the hash that the tables do not use.
    fn shard(&self, hash: KeyHash) -> Option<&Mutex<Shard>> {
        self.shards.get((hash.0 >> 48) as usize % SHARDS)
    }

    /// None: it is not known. Some of None: there is no such row.
    pub(super) fn find(&self, hash: KeyHash, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let row = self.shard(hash)?.lock().find(hash, key)?;
        Some(row.map(|bytes| bytes.to_vec()))
    }

    pub(super) fn keep(&self, hash: KeyHash, key: &[u8], value: Option<&[u8]>) {
        if value.map_or(0, <[u8]>::len) > ROW_BYTES_MAX {
            return;
        }
        let row = value.map(Arc::from);
        if let Some(shard) = self.shard(hash) {
            shard.lock().keep(Kept { hash, key: key.into(), row });
        }
    }
}

impl Shard {
    fn find(&mut self, hash: KeyHash, key: &[u8]) -> Option<Row> {
        if let Some(kept) = self.lately.rows.find(hash.0, |kept| *kept.key == *key) {
            return Some(kept.row.clone());
        }
        let (kept, _) = self.before.find_entry(hash.0, |kept| *kept.key == *key).ok()?.remove();
        let row = kept.row.clone();
        self.keep(kept);
        Some(row)
    }

    fn keep(&mut self, kept: Kept) {
        let bytes = kept.key.len() + kept.row.as_ref().map_or(0, |row| row.len()) + ENTRY_BYTES;
        if self.lately.bytes + bytes > self.bytes_max {
            self.before = std::mem::take(&mut self.lately).rows;
        }
        if bytes > self.bytes_max {
            return;
        }
        match self.lately.rows.entry(kept.hash.0, |other| *other.key == *kept.key, |other| other.hash.0) {
            Entry::Occupied(mut there) => *there.get_mut() = kept,
            Entry::Vacant(place) => {
                place.insert(kept);
                self.lately.bytes += bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows with their hasher.
    struct Hashed(KeyHasher, Rows);

    impl Hashed {
        fn new(bytes_max: usize) -> Self {
            Self(KeyHasher::default(), Rows::new(bytes_max))
        }

        fn find(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
            self.1.find(self.0.hash(key), key)
        }

        fn keep(&self, key: &[u8], value: Option<&[u8]>) {
            self.1.keep(self.0.hash(key), key, value);
        }
    }

    #[test]
    fn rows_are_found_as_they_were_kept() {
        let rows = Hashed::new(1 << 20);
        rows.keep(b"a", Some(b"1"));
        rows.keep(b"gone", None);
        rows.keep(b"long", Some(&vec![0; ROW_BYTES_MAX + 1]));
        assert_eq!(rows.find(b"a"), Some(Some(b"1".to_vec())));
        assert_eq!(rows.find(b"gone"), Some(None));
        assert_eq!((rows.find(b"long"), rows.find(b"b")), (None, None));
    }

    #[test]
    fn the_bound_holds_and_what_is_used_stays() {
        const BYTES_MAX: usize = 1 << 20;
        let rows = Hashed::new(BYTES_MAX);
        rows.keep(b"used", Some(&[1; 100]));
        for number in 0..50_000_u32 {
            rows.keep(&number.to_be_bytes(), Some(&[2; 100]));
            assert!(rows.find(b"used").is_some(), "{number}");
        }
        let held: usize = rows
            .1
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock();
                shard.before.len() + shard.lately.rows.len()
            })
            .sum();
        assert!(held * (ENTRY_BYTES + 104) <= BYTES_MAX, "{held} rows are held");
        assert!(held > 1000);
        assert_eq!(rows.find(&0_u32.to_be_bytes()), None);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let rows = Hashed::new(0);
        rows.keep(b"a", Some(b"1"));
        assert_eq!(rows.find(b"a"), None);
    }
}
