//! A pack's index, read by gix-pack, which has checked its length against its number of objects when it is opened:
//! positions below that number are read without a panic, and no others are asked for.

use gix_hash::{Kind as HashKind, ObjectId, Prefix};
use gix_pack::index::File;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The ids of a pack's objects in their order, and where each lies.
pub(crate) enum PackIndex {
    Memory(File<Vec<u8>>),
    /// One that is larger than what may be held.
    Mapped(File),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PackIndexError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(String),
}

impl PackIndex {
    /// Reads the index if it is smaller than what is left of `memory`, and takes that from it.
    pub(crate) fn open(path: &Path, hash: HashKind, memory: &mut u64) -> Result<Self, PackIndexError> {
        let length = fs::metadata(path)?.len();
        if length > *memory {
            return File::at(path, hash).map(Self::Mapped).map_err(damaged);
        }
        let index = Self::new(fs::read(path)?, hash)?;
        *memory -= length;
        Ok(index)
    }

    pub(crate) fn new(table: Vec<u8>, hash: HashKind) -> Result<Self, PackIndexError> {
        File::from_data(table, PathBuf::new(), hash).map(Self::Memory).map_err(damaged)
    }

    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Memory(file) => file.num_objects(),
            Self::Mapped(file) => file.num_objects(),
        }
    }

    pub(crate) fn id(&self, position: u32) -> Option<ObjectId> {
        (position < self.count()).then(|| match self {
            Self::Memory(file) => file.oid_at_index(position).to_owned(),
            Self::Mapped(file) => file.oid_at_index(position).to_owned(),
        })
    }

    pub(crate) fn offset(&self, position: u32) -> Option<u64> {
        (position < self.count()).then(|| match self {
            Self::Memory(file) => file.pack_offset_at_index(position),
            Self::Mapped(file) => file.pack_offset_at_index(position),
        })
    }

    /// The checksum of an entry as the pack stores it; old indexes have none.
    pub(crate) fn crc32(&self, position: u32) -> Option<u32> {
        if position >= self.count() {
            return None;
        }
        match self {
            Self::Memory(file) => file.crc32_at_index(position),
            Self::Mapped(file) => file.crc32_at_index(position),
        }
    }

    /// The position of an id.
    pub(crate) fn find(&self, id: &ObjectId) -> Option<u32> {
        match self {
            Self::Memory(file) => file.lookup(id),
            Self::Mapped(file) => file.lookup(id),
        }
    }

    /// The ids that begin with these hex digits; at most `most` of them.
    pub(crate) fn starting_with(&self, prefix: &str, most: usize) -> Vec<ObjectId> {
        let Ok(prefix) = Prefix::from_hex_nonempty(prefix) else { return Vec::new() };
        let mut positions = 0..0;
        // A prefix longer than an id is compared with bytes that are not there.
        let is_longer = |hash: HashKind| prefix.hex_len() > hash.len_in_hex();
        match self {
            Self::Memory(file) if !is_longer(file.object_hash()) => {
                file.lookup_prefix(prefix, Some(&mut positions));
            }
            Self::Mapped(file) if !is_longer(file.object_hash()) => {
                file.lookup_prefix(prefix, Some(&mut positions));
            }
            Self::Memory(_) | Self::Mapped(_) => {}
        }
        positions.take(most).filter_map(|position| self.id(position)).collect()
    }
}

fn damaged(error: impl std::fmt::Display) -> PackIndexError {
    PackIndexError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::rebuild::table;

    #[test]
    fn prefixes_and_what_is_out_of_range() {
        let id = |hex: &str| ObjectId::from_hex(format!("{hex:0<40}").as_bytes()).unwrap();
        let mut found = vec![(id("abcd"), 12), (id("abce"), 1 << 33), (id("ff"), 40)];
        let index = table(&mut found, HashKind::Sha1).unwrap();
        assert_eq!((index.find(&id("ff")), index.find(&id("fe"))), (Some(2), None));
        assert_eq!((index.offset(1), index.offset(3), index.id(3)), (Some(1 << 33), None, None));
        assert_eq!(index.starting_with("abc", 2), [id("abcd"), id("abce")]);
        assert_eq!(index.starting_with("abcd", 2), [id("abcd")]);
        assert!(index.starting_with(&"f".repeat(64), 2).is_empty(), "longer than an id");
        assert!(index.starting_with("nonsense", 2).is_empty());
    }
}
