//! Rows that were read from the database, ciphertext as they are there.

use super::recent::ENTRY_BYTES;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

const SHARDS: usize = 16;
/// A longer row would push out many others.
const ROW_BYTES_MAX: usize = 64 << 10;

/// Rows as they all were at one commit, the ones used lately, within a bound.
pub(super) struct Rows {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

/// What was used lately, and what was used before that. When the first is full it becomes the second, and what was the
/// second is forgotten.
#[derive(Default)]
struct Shard {
    lately: Generation,
    before: HashMap<Box<[u8]>, Row>,
    /// Of one generation.
    bytes_max: usize,
}

#[derive(Default)]
struct Generation {
    rows: HashMap<Box<[u8]>, Row>,
    bytes: usize,
}

/// None: there is no such row.
type Row = Option<Arc<[u8]>>;

impl Rows {
    pub(super) fn new(bytes_max: usize) -> Self {
        let shard = || Mutex::new(Shard { bytes_max: bytes_max / SHARDS / 2, ..Shard::default() });
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    fn shard(&self, key: &[u8]) -> Option<&Mutex<Shard>> {
        self.shards.get(self.hasher.hash_one(key) as usize % SHARDS)
    }

    /// None: it is not known. Some of None: there is no such row.
    pub(super) fn find(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let row = self.shard(key)?.lock().find(key)?;
        Some(row.map(|bytes| bytes.to_vec()))
    }

    pub(super) fn keep(&self, key: &[u8], value: Option<&[u8]>) {
        if value.map_or(0, <[u8]>::len) > ROW_BYTES_MAX {
            return;
        }
        let row = value.map(Arc::from);
        if let Some(shard) = self.shard(key) {
            shard.lock().keep(key.into(), row);
        }
    }
}

impl Shard {
    fn find(&mut self, key: &[u8]) -> Option<Row> {
        if let Some(row) = self.lately.rows.get(key) {
            return Some(row.clone());
        }
        let (key, row) = self.before.remove_entry(key)?;
        self.keep(key, row.clone());
        Some(row)
    }

    fn keep(&mut self, key: Box<[u8]>, row: Row) {
        let bytes = key.len() + row.as_ref().map_or(0, |row| row.len()) + ENTRY_BYTES;
        if self.lately.bytes + bytes > self.bytes_max {
            self.before = std::mem::take(&mut self.lately).rows;
        }
        if bytes <= self.bytes_max && self.lately.rows.insert(key, row).is_none() {
            self.lately.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_as_they_were_kept() {
        let rows = Rows::new(1 << 20);
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
        let rows = Rows::new(BYTES_MAX);
        rows.keep(b"used", Some(&[1; 100]));
        for number in 0..50_000_u32 {
            rows.keep(&number.to_be_bytes(), Some(&[2; 100]));
            assert!(rows.find(b"used").is_some(), "{number}");
        }
        let held: usize = rows
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
        let rows = Rows::new(0);
        rows.keep(b"a", Some(b"1"));
        assert_eq!(rows.find(b"a"), None);
    }
}
