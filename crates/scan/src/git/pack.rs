use super::error::ObjectError;
use super::pack_index::PackIndex;
use super::stored::{Piece, Stored};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::Kind;
use std::io;
use std::path::{Path, PathBuf};

/// How an entry of a pack holds its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Whole(Kind),
    /// A delta to the entry at this offset of the same pack.
    DeltaAt(u64),
    /// A delta to an object, which is in the same pack unless the pack is thin.
    DeltaOf(ObjectId),
}

/// The first bytes of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) form: Form,
    /// The size of what is compressed: the object, or the delta.
    pub(crate) size: u64,
    /// Where the compressed bytes begin.
    pub(crate) data: u64,
}

/// A pack and its index.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) path: PathBuf,
    pub(crate) index: PackIndex,
    pub(crate) bytes: Stored,
    pub(crate) hash: HashKind,
    /// Its number among the packs; pieces are kept by it.
    pub(crate) number: u32,
}

/// A header is no longer than this: ten bytes of size, and an id or ten bytes of offset.
const HEADER_BYTES_MAX: usize = 48;

impl Pack {
    /// Opens a pack, and says how many objects it declares.
    pub(crate) fn open(
        path: &Path,
        index: PackIndex,
        hash: HashKind,
        number: u32,
        memory: &mut u64,
    ) -> Result<(Self, u32), PackError> {
        let bytes = Stored::open(path, memory)?;
        let mut start = [0; 12];
        bytes.exactly(0, &mut start).map_err(|_| PackError::Damaged("it ends in its first bytes"))?;
        let [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, rest @ ..] = start else {
            return Err(PackError::Damaged("it does not begin as a pack of version 2 or 3 does"));
        };
        Ok((Self { path: path.to_owned(), index, bytes, hash, number }, u32::from_be_bytes(rest)))
    }

    /// Where the entries end and the checksum begins.
    pub(crate) fn end(&self) -> u64 {
        self.bytes.length().saturating_sub(self.hash.len_in_bytes() as u64)
    }

    /// The checksum at its end, by which a pack is known again.
    pub(crate) fn checksum(&self) -> io::Result<ObjectId> {
        let mut bytes = [0; 32];
        let target = bytes.get_mut(..self.hash.len_in_bytes()).unwrap_or_default();
        self.bytes.exactly(self.end(), target)?;
        ObjectId::try_from(&*target).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    pub(crate) fn header(&self, offset: u64, piece: &mut Piece) -> Result<Header, ObjectError> {
        if offset < 12 || offset >= self.end() {
            return Err(ObjectError::Corrupt("the index leads out of the pack"));
        }
        let bytes = self.bytes.at(offset, HEADER_BYTES_MAX, self.number, piece).map_err(unreadable)?;
        header(bytes, offset, self.hash).ok_or(ObjectError::Corrupt("the pack has no entry there"))
    }

    /// The compressed bytes from an entry's `data` up to `end`, the next entry.
    pub(crate) fn compressed<'a>(
        &'a self,
        data: u64,
        end: u64,
        piece: &'a mut Piece,
    ) -> Result<&'a [u8], ObjectError> {
        let length = usize::try_from(end.min(self.end()).saturating_sub(data)).unwrap_or(usize::MAX);
        self.bytes.at(data, length, self.number, piece).map_err(unreadable)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(&'static str),
}

pub(crate) fn unreadable(error: io::Error) -> ObjectError {
    ObjectError::Unreadable(error.kind())
}

/// Reads the header of an entry. `None` if there is none.
pub(crate) fn header(bytes: &[u8], offset: u64, hash: HashKind) -> Option<Header> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut size = u64::from(first & 0x0f);
    let (mut more, mut shift) = (first & 0x80 != 0, 4);
    while more {
        let (&byte, after) = rest.split_first()?;
        if shift > 57 {
            return None;
        }
        size |= u64::from(byte & 0x7f) << shift;
        (rest, more, shift) = (after, byte & 0x80 != 0, shift + 7);
    }
    let form = match (first >> 4) & 7 {
        1 => Form::Whole(Kind::Commit),
        2 => Form::Whole(Kind::Tree),
        3 => Form::Whole(Kind::Blob),
        4 => Form::Whole(Kind::Tag),
        6 => {
            let (distance, after) = distance(rest)?;
            rest = after;
            Form::DeltaAt(offset.checked_sub(distance).filter(|base| *base >= 12 && *base < offset)?)
        }
        7 => {
            let (id, after) = rest.split_at_checked(hash.len_in_bytes())?;
            rest = after;
            Form::DeltaOf(ObjectId::try_from(id).ok()?)
        }
        _ => return None,
    };
    let read = bytes.len().checked_sub(rest.len())?;
    Some(Header { form, size, data: offset + read as u64 })
}

/// How far back a base lies: seven bits a byte, the highest first, each continuation adding one.
fn distance(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut value = u64::from(first & 0x7f);
    let mut more = first & 0x80 != 0;
    while more {
        let (&byte, after) = rest.split_first()?;
        value = value.checked_add(1)?.checked_mul(128)? | u64::from(byte & 0x7f);
        (rest, more) = (after, byte & 0x80 != 0);
    }
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let read = |bytes: &[u8], offset| header(bytes, offset, HashKind::Sha1);
        let blob = read(&[0xb5, 0x02], 12).unwrap();
        assert_eq!((blob.form, blob.size, blob.data), (Form::Whole(Kind::Blob), 5 | 2 << 4, 14));
        let delta = read(&[0x63, 0x80, 0x00], 500).unwrap();
        assert_eq!((delta.form, delta.size, delta.data), (Form::DeltaAt(500 - 128), 3, 503));
        assert!(read(&[0x63, 0x80, 0x00], 130).is_none(), "before the first entry");
        assert!(read(&[0x63, 0x00], 500).is_none(), "a delta to itself");
        assert!(read(&[0x51], 12).is_none(), "reserved");
        assert!(read(&[0xff; 30], 12).is_none(), "an endless size");
        assert!(read(&[0x73, 1, 2], 12).is_none(), "half an id");
    }
}
