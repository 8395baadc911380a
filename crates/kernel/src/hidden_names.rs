//! Names that were hidden lately. Hiding is deterministic and costs an HMAC and a cipher; the names of a mount's or a
//! role's path, or of a secret that is in use, are hidden with every request.

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use std::hash::BuildHasher;
use zeroize::Zeroizing;

const SHARDS: usize = 16;
/// Names kept. Beyond this number a quarter is dropped.
const NAMES_MAX: usize = 8192;
/// With what stands before it; a longer one is hidden each time.
const NAME_BYTES_MAX: usize = 512;

/// By name and what stands before it. Goes with the keys of the server.
pub(crate) struct HiddenNames {
    /// Seeded for each process. Whoever knows no seed finds no names that fall together.
    hasher: DefaultHashBuilder,
    shards: Vec<Mutex<HashTable<Kept>>>,
}

struct Kept {
    hash: u64,
    before: Box<[u8]>,
    name: Zeroizing<Box<str>>,
    hidden: Box<[u8]>,
}

impl Default for HiddenNames {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { hasher: DefaultHashBuilder::default(), shards }
    }
}

impl HiddenNames {
    /// Appends what `hide` made, or now makes, of `name` after what is in `bytes`, with its length in front: `length` says
    /// it.
    pub(crate) fn push(
        &self,
        bytes: &mut Vec<u8>,
        name: &str,
        length: impl Fn(usize) -> u8,
        hide: impl FnOnce(&[u8], &[u8]) -> Vec<u8>,
    ) {
        let append = |bytes: &mut Vec<u8>, hidden: &[u8]| {
            bytes.push(length(hidden.len()));
            bytes.extend_from_slice(hidden);
        };
        let hash = self.hasher.hash_one((bytes.as_slice(), name));
        // By bits of the hash that the tables do not use.
        let shard = self.shards.get((hash >> 48) as usize % SHARDS);
        let Some(shard) = shard.filter(|_| bytes.len() + name.len() <= NAME_BYTES_MAX) else {
            let hidden = hide(bytes, name.as_bytes());
            return append(bytes, &hidden);
        };
        let is_it = |kept: &Kept| **kept.name == *name && *kept.before == **bytes;
        if let Some(kept) = shard.lock().find(hash, is_it) {
            let hidden: &[u8] = &kept.hidden;
            // The table is borrowed no longer than the copy takes.
            return append(bytes, hidden);
        }
        let hidden = hide(bytes, name.as_bytes());
        let kept = Kept {
            hash,
            before: bytes.as_slice().into(),
            name: Zeroizing::new(name.into()),
            hidden: hidden.as_slice().into(),
        };
        keep(&mut shard.lock(), kept);
        append(bytes, &hidden);
    }
}

fn keep(shard: &mut HashTable<Kept>, kept: Kept) {
    if shard.len() >= NAMES_MAX / SHARDS {
        let mut position = 0;
        shard.retain(|_| {
            position += 1;
            position % 4 != 0
        });
    }
    // Two requests may have hidden it at once: one of the two entries is of no use, and goes in time.
    shard.insert_unique(kept.hash, kept, |other| other.hash);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_name_is_hidden_once_for_each_place() {
        let (names, hidings) = (HiddenNames::default(), Cell::new(0));
        let push = |before: &[u8], name: &str| {
            let mut bytes = before.to_vec();
            let hide = |before: &[u8], name: &[u8]| {
                hidings.set(hidings.get() + 1);
                [before, b"<", name].concat()
            };
            names.push(&mut bytes, name, |length| length as u8, hide);
            bytes
        };
        assert_eq!(push(b"a", "x"), b"a\x03a<x");
        assert_eq!(push(b"a", "x"), b"a\x03a<x");
        assert_eq!(hidings.get(), 1);
        assert_eq!(push(b"ax", ""), b"ax\x03ax<", "the place ends where the name begins");
        assert_eq!(push(b"", "ax"), b"\x03<ax");
        assert_eq!(hidings.get(), 3);
        let long = "n".repeat(NAME_BYTES_MAX);
        push(b"a", &long);
        push(b"a", &long);
        assert_eq!(hidings.get(), 5, "long ones are not kept");
    }

    #[test]
    fn their_number_is_bounded() {
        let names = HiddenNames::default();
        for number in 0..3 * NAMES_MAX {
            names.push(&mut Vec::new(), &number.to_string(), |_| 1, |_, name| name.to_vec());
        }
        let held: usize = names.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!((NAMES_MAX / 2..=NAMES_MAX).contains(&held), "{held}");
    }
}
