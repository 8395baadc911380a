//! Loose objects. gix-odb reads one whole or not at all; blobs larger than what may be held are looked at piece by piece
//! here, so the reading is ours, and the header of an object gix-object's.

use super::error::ObjectError;
use super::inflate::Inflater;
use super::pack::unreadable;
use crate::located::{SkipReason, Statistics};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::{Kind, decode::loose_header};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// An object in a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Loose {
    pub(crate) id: ObjectId,
    /// Which of the folders of objects it is in.
    pub(crate) folder: u16,
}

/// `blob 12345\0` is no longer than this.
const HEADER_BYTES_MAX: usize = 64;

/// All loose objects of a folder of objects.
pub(crate) fn list(
    folder: &Path,
    number: u16,
    hash: HashKind,
    found: &mut Vec<Loose>,
    statistics: &mut Statistics,
) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (high, low) in HEX.iter().flat_map(|high| HEX.iter().map(move |low| (*high, *low))) {
        let prefix = [high, low];
        let prefix = String::from_utf8_lossy(&prefix);
        let path = folder.join(prefix.as_ref());
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                let reason = reason_of(error.kind());
                statistics.skip(path.display().to_string(), reason, "a folder of loose objects");
                continue;
            }
        };
        for entry in entries.flatten() {
            let hex = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let id = ObjectId::from_hex(hex.as_bytes()).ok().filter(|id| id.kind() == hash);
            found.extend(id.map(|id| Loose { id, folder: number }));
        }
    }
}

pub(crate) fn reason_of(kind: io::ErrorKind) -> SkipReason {
    match kind {
        io::ErrorKind::PermissionDenied => SkipReason::PermissionDenied,
        io::ErrorKind::NotFound => SkipReason::Missing,
        _ => SkipReason::Unreadable,
    }
}

pub(crate) fn path_of(folder: &Path, id: &ObjectId) -> PathBuf {
    let hex = id.to_string();
    let (prefix, rest) = hex.split_at_checked(2).unwrap_or_default();
    folder.join(prefix).join(rest)
}

/// Reads an object of at most `bytes_max`, and says what it is. `content` holds it without its header.
pub(crate) fn read(
    path: &Path,
    bytes_max: u64,
    inflater: &mut Inflater,
    compressed: &mut Vec<u8>,
    content: &mut Vec<u8>,
) -> Result<Kind, ObjectError> {
    let mut opened = open(path, inflater, compressed)?;
    let (kind, size) = (opened.kind, opened.size);
    if size > bytes_max {
        return Err(ObjectError::TooLarge(size));
    }
    content.clear();
    opened.read_up_to(usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1), content)?;
    if content.len() as u64 != size {
        return Err(ObjectError::Corrupt("its size is not what it says"));
    }
    Ok(kind)
}

/// A loose object that is read piece by piece.
pub(crate) struct Opened<'a> {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    file: File,
    inflater: &'a mut Inflater,
    compressed: &'a mut Vec<u8>,
    /// How much of `compressed` was taken.
    taken: usize,
    /// What came out together with the header.
    first: Vec<u8>,
    ended: bool,
}

pub(crate) fn open<'a>(
    path: &Path,
    inflater: &'a mut Inflater,
    compressed: &'a mut Vec<u8>,
) -> Result<Opened<'a>, ObjectError> {
    let not_there = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ObjectError::Missing,
        _ => unreadable(error),
    };
    let file = File::open(path).map_err(not_there)?;
    compressed.clear();
    inflater.begin();
    let mut opened = Opened {
        kind: Kind::Blob,
        size: 0,
        file,
        inflater,
        compressed,
        taken: 0,
        first: Vec::new(),
        ended: false,
    };
    let mut start = Vec::new();
    opened.read_up_to(HEADER_BYTES_MAX, &mut start)?;
    let no_header = ObjectError::Corrupt("it does not begin with a kind and a size");
    let (kind, size, end) = loose_header(&start).map_err(|_| no_header)?;
    opened.first = start.split_off(end);
    (opened.kind, opened.size) = (kind, size);
    Ok(opened)
}

impl Opened<'_> {
    /// Adds at most `most` bytes to `target`, fewer only at the end.
    pub(crate) fn read_up_to(&mut self, most: usize, target: &mut Vec<u8>) -> Result<(), ObjectError> {
        const STEP: usize = 64 << 10;
        let first = self.first.len().min(most);
        target.extend(self.first.drain(..first));
        let goal = target.len() + (most - first);
        while target.len() < goal && !self.ended {
            if self.taken == self.compressed.len() {
                self.compressed.resize(STEP, 0);
                let read = self.file.read(self.compressed).map_err(unreadable)?;
                self.compressed.truncate(read);
                self.taken = 0;
                if read == 0 {
                    return Err(ObjectError::Corrupt("its file ends too early"));
                }
            }
            let filled = target.len();
            target.resize(goal.min(filled + STEP), 0);
            let input = self.compressed.get(self.taken..).unwrap_or_default();
            let step = self.inflater.more(input, target.get_mut(filled..).unwrap_or_default())?;
            target.truncate(filled + step.written);
            self.taken += step.consumed;
            self.ended = step.ended;
        }
        Ok(())
    }
}
