use super::stored::Stored;
use gix_hash::{Kind as HashKind, ObjectId};
use std::io;
use std::path::Path;

/// A pack's index, versions 1 and 2 (gitformat-pack(5)): the ids of its objects in their order, and where each lies.
#[derive(Debug)]
pub(crate) struct PackIndex {
    table: Stored,
    version: Version,
    fanout: Vec<u32>,
    hash: HashKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// Offset and id together.
    One,
    /// All ids, then checksums, then offsets, then those that need 64 bits.
    Two,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PackIndexError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(&'static str),
}

const FANOUT_BYTES: u64 = 256 * 4;

impl PackIndex {
    pub(crate) fn open(path: &Path, hash: HashKind, memory: &mut u64) -> Result<Self, PackIndexError> {
        Self::new(Stored::open(path, memory)?, hash)
    }

    pub(crate) fn new(table: Stored, hash: HashKind) -> Result<Self, PackIndexError> {
        let mut start = [0; 8];
        table.exactly(0, &mut start).map_err(|_| PackIndexError::Damaged("it ends in its first bytes"))?;
        let version = match start {
            [0xff, b't', b'O', b'c', 0, 0, 0, 2] => Version::Two,
            [0xff, b't', b'O', b'c', ..] => return Err(PackIndexError::Damaged("its version is not 1 or 2")),
            _ => Version::One,
        };
        let mut raw = vec![0; 256 * 4];
        let at = if version == Version::Two { 8 } else { 0 };
        table.exactly(at, &mut raw).map_err(|_| PackIndexError::Damaged("it ends in its first bytes"))?;
        let fanout: Vec<u32> = raw.as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
        if !fanout.is_sorted() {
            return Err(PackIndexError::Damaged("its first table does not grow"));
        }
        let index = Self { table, version, fanout, hash };
        let length = hash.len_in_bytes() as u64;
        let each = if version == Version::Two { length + 8 } else { length + 4 };
        let least = at + FANOUT_BYTES + u64::from(index.count()) * each + 2 * length;
        if index.table.length() < least {
            return Err(PackIndexError::Damaged("it is shorter than its number of objects needs"));
        }
        Ok(index)
    }

    pub(crate) fn count(&self) -> u32 {
        self.fanout.last().copied().unwrap_or(0)
    }

    pub(crate) fn id(&self, position: u32) -> io::Result<ObjectId> {
        let mut bytes = [0; 32];
        let target = bytes.get_mut(..self.hash.len_in_bytes()).unwrap_or_default();
        self.table.exactly(self.id_at(position), target)?;
        ObjectId::try_from(&*target).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    pub(crate) fn offset(&self, position: u32) -> io::Result<u64> {
        let mut bytes = [0; 4];
        let (length, count) = (self.hash.len_in_bytes() as u64, u64::from(self.count()));
        let at = match self.version {
            Version::One => FANOUT_BYTES + u64::from(position) * (length + 4),
            Version::Two => 8 + FANOUT_BYTES + count * (length + 4) + u64::from(position) * 4,
        };
        self.table.exactly(at, &mut bytes)?;
        let offset = u32::from_be_bytes(bytes);
        if self.version == Version::One || offset & 0x8000_0000 == 0 {
            return Ok(u64::from(offset));
        }
        let mut wide = [0; 8];
        let row = u64::from(offset & 0x7fff_ffff);
        self.table.exactly(8 + FANOUT_BYTES + count * (length + 8) + row * 8, &mut wide)?;
        Ok(u64::from_be_bytes(wide))
    }

    /// The position of an id.
    pub(crate) fn find(&self, id: &ObjectId) -> io::Result<Option<u32>> {
        let (mut low, mut high) = self.range(id.first_byte());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.id(middle)?.cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    /// The positions of all ids that begin with these hex digits; at most `most` of them.
    pub(crate) fn starting_with(&self, prefix: &str, most: usize) -> io::Result<Vec<ObjectId>> {
        let padded = format!("{prefix:0<width$}", width = self.hash.len_in_bytes() * 2);
        let Ok(least) = ObjectId::from_hex(padded.as_bytes()) else { return Ok(Vec::new()) };
        let (mut low, mut high) = self.range(least.first_byte());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.id(middle)? < least { low = middle + 1 } else { high = middle }
        }
        let mut found = Vec::new();
        while found.len() < most && low < self.count() {
            let id = self.id(low)?;
            if !id.to_string().starts_with(prefix) {
                break;
            }
            found.push(id);
            low += 1;
        }
        Ok(found)
    }

    fn range(&self, first: u8) -> (u32, u32) {
        let high = self.fanout.get(usize::from(first)).copied().unwrap_or(0);
        let before = usize::from(first).checked_sub(1).and_then(|before| self.fanout.get(before));
        (before.copied().unwrap_or(0), high)
    }

    fn id_at(&self, position: u32) -> u64 {
        let length = self.hash.len_in_bytes() as u64;
        match self.version {
            Version::One => FANOUT_BYTES + u64::from(position) * (length + 4) + 4,
            Version::Two => 8 + FANOUT_BYTES + u64::from(position) * length,
        }
    }
}
