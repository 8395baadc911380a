//! git's index, the list of what is staged (gitformat-index(5), versions 2 to 4).

use gix_hash::{Kind as HashKind, ObjectId};

/// A staged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    pub path: String,
    pub blob: ObjectId,
    /// The size, and the time of the last change in seconds and nanoseconds, of the file when it was staged.
    pub size: u32,
    pub modified: (u32, u32),
    pub kind: StagedKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StagedKind {
    File,
    Link,
    Submodule,
    /// A folder of a sparse index, of which no file is here.
    Folder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    #[error("it is no index of git")]
    NoIndex,
    #[error("its version is {0}, and 2 to 4 are known")]
    Version(u32),
    #[error("it ends in the middle of an entry")]
    Truncated,
    #[error("it is split (`git update-index --no-split-index` joins it)")]
    Split,
}

const PATH_BYTES_MAX: usize = 1 << 16;

/// The files of an index, without those whose conflict is not resolved.
pub fn parse(bytes: &[u8], hash: HashKind) -> Result<Vec<StagedFile>, IndexError> {
    let (header, mut rest) = bytes.split_at_checked(12).ok_or(IndexError::NoIndex)?;
    let [b'D', b'I', b'R', b'C', v1, v2, v3, v4, c1, c2, c3, c4] = *header else {
        return Err(IndexError::NoIndex);
    };
    let version = u32::from_be_bytes([v1, v2, v3, v4]);
    if !(2..=4).contains(&version) {
        return Err(IndexError::Version(version));
    }
    let mut files = Vec::new();
    let mut path = Vec::new();
    for _ in 0..u32::from_be_bytes([c1, c2, c3, c4]) {
        let (entry, after) = entry(rest, version, hash, &mut path).ok_or(IndexError::Truncated)?;
        rest = after;
        files.extend(entry);
    }
    let extensions = rest.get(..rest.len().saturating_sub(hash.len_in_bytes())).unwrap_or_default();
    if is_split(extensions) {
        return Err(IndexError::Split);
    }
    Ok(files)
}

fn entry<'a>(
    bytes: &'a [u8],
    version: u32,
    hash: HashKind,
    path: &mut Vec<u8>,
) -> Option<(Option<StagedFile>, &'a [u8])> {
    const STAT_BYTES: usize = 40;
    let number = |at: usize| bytes.get(at..at + 4)?.first_chunk().map(|four| u32::from_be_bytes(*four));
    let (modified, mode, size) = ((number(8)?, number(12)?), number(24)?, number(36)?);
    let after_id = STAT_BYTES + hash.len_in_bytes();
    let blob = ObjectId::try_from(bytes.get(STAT_BYTES..after_id)?).ok()?;
    let flags = u16::from_be_bytes(*bytes.get(after_id..)?.first_chunk()?);
    let extended = version >= 3 && flags & 0x4000 != 0;
    let more = if extended { u16::from_be_bytes(*bytes.get(after_id + 2..)?.first_chunk()?) } else { 0 };
    let name_at = after_id + if extended { 4 } else { 2 };
    let mut rest = bytes.get(name_at..)?;
    if version == 4 {
        let (cut, after) = cut(rest)?;
        path.truncate(path.len().checked_sub(cut)?);
        rest = after;
    } else {
        path.clear();
    }
    let end = memchr::memchr(0, rest)?;
    path.extend_from_slice(rest.get(..end)?);
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let read = bytes.len() - rest.len() + end;
    // Versions 2 and 3 fill up with one to eight zeros to a multiple of eight bytes.
    let next = if version == 4 { read + 1 } else { (read + 8) & !7 };
    let next = bytes.get(next..)?;
    let kind = match mode >> 12 {
        0o10 => StagedKind::File,
        0o12 => StagedKind::Link,
        0o16 => StagedKind::Submodule,
        _ => StagedKind::Folder,
    };
    let stage = flags >> 12 & 3;
    let is_only_intended = more & 0x2000 != 0;
    let wanted = stage == 0 && !is_only_intended;
    let file = StagedFile { path: String::from_utf8_lossy(path).into_owned(), blob, size, modified, kind };
    Some((wanted.then_some(file), next))
}

/// How many bytes of the path before are dropped: the encoding of distances in packs.
fn cut(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut value = usize::from(first & 0x7f);
    let mut more = first & 0x80 != 0;
    while more {
        let (&byte, after) = rest.split_first()?;
        value = value.checked_add(1)?.checked_mul(128)? | usize::from(byte & 0x7f);
        (rest, more) = (after, byte & 0x80 != 0);
    }
    Some((value, rest))
}

fn is_split(mut extensions: &[u8]) -> bool {
    while let Some((head, rest)) = extensions.split_at_checked(8) {
        let [a, b, c, d, l1, l2, l3, l4] = *head else { return false };
        if [a, b, c, d] == *b"link" {
            return true;
        }
        let length = usize::try_from(u32::from_be_bytes([l1, l2, l3, l4])).unwrap_or(usize::MAX);
        extensions = rest.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_indexes_are_refused() {
        assert_eq!(parse(b"", HashKind::Sha1), Err(IndexError::NoIndex));
        assert_eq!(parse(b"DIRC\0\0\0\x05\0\0\0\0", HashKind::Sha1), Err(IndexError::Version(5)));
        assert_eq!(parse(b"DIRC\0\0\0\x02\xff\xff\xff\xff", HashKind::Sha1), Err(IndexError::Truncated));
        assert_eq!(parse(b"DIRC\0\0\0\x02\0\0\0\0", HashKind::Sha1), Ok(vec![]));
    }
}
