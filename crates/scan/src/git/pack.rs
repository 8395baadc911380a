//! Packs. gix-pack reads their first bytes and the headers of their entries; the bytes between are ours, because
//! `gix_pack::data::File` wants the whole pack as one slice: a mapping of gigabytes that counts as memory of the scan, and
//! a signal instead of an error if the disk fails. It also wants room for a size that an entry only claims; `Inflater`
//! compares that with what the pack can hold before anything is reserved.

use super::error::ObjectError;
use super::pack_index::PackIndex;
use super::stored::{Piece, Stored};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::Kind;
use gix_pack::data;
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
        let (_, declared) = data::header::decode(&start)
            .map_err(|_| PackError::Damaged("it does not begin as a pack of version 2 or 3 does"))?;
        Ok((Self { path: path.to_owned(), index, bytes, hash, number }, declared))
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
    let entry = data::Entry::from_bytes(bytes, offset, hash).ok()?;
    let form = match entry.header {
        data::entry::Header::OfsDelta { base_distance } => {
            Form::DeltaAt(entry.checked_base_pack_offset(base_distance)?)
        }
        data::entry::Header::RefDelta { base_id } => Form::DeltaOf(base_id),
        whole => Form::Whole(whole.as_kind()?),
    };
    Some(Header { form, size: entry.decompressed_size, data: entry.data_offset })
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
