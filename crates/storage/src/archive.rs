//! The file of a backup: every entry of a snapshot, with a checksum that shows any change.
//!
//! All integers are big-endian.
//! ```text
//! header   "STRGSNAP", version u32 = 1, store id 16 bytes, commit index u64, created i64 (nanoseconds since 1970)
//! entry    1, key length u32, key, value length u32, value      in strictly ascending order of keys
//! trailer  0, number of entries u64, SHA-256 of everything before it; then the file ends
//! ```
//! The checksum finds accidents. Against forgery the values protect themselves: they are authenticated ciphertext.

use crate::{CommitIndex, Entry, KEY_BYTES_MAX, Snapshot, Storage, StorageError, StoreId, VALUE_BYTES_MAX};
use sha2::{Digest, Sha256};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use strongroom_secret::Timestamp;
use thiserror::Error;

/// The version of the format that is written.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"STRGSNAP";
const ENTRY: u8 = 1;
const END: u8 = 0;
const BUFFER_BYTES: usize = 256 * 1024;

/// Where a backup comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub store_id: StoreId,
    pub index: CommitIndex,
    pub created: Timestamp,
}

/// A whole backup that was written, or read and found sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub header: Header,
    pub entries: u64,
    pub sha256: [u8; 32],
}

/// Why a backup was not written, or is not usable.
#[derive(Debug, Error)]
pub enum ArchiveError {
    #[error("this is not a Strongroom snapshot file")]
    Foreign,
    #[error(
        "the snapshot file has format version {found}, newer than version {supported} which this program knows: use a \
         newer release"
    )]
    Newer { found: u32, supported: u32 },
    #[error("the snapshot file is cut off after {entries} entries; nothing was restored")]
    Truncated { entries: u64 },
    #[error("the snapshot file is damaged after {entries} entries ({reason}); nothing was restored")]
    Damaged { entries: u64, reason: &'static str },
    #[error("snapshot file: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Writes everything in the snapshot. The output is flushed but not synced.
pub fn write(
    snapshot: &dyn Snapshot,
    store_id: StoreId,
    created: Timestamp,
    output: &mut dyn Write,
) -> Result<Summary, ArchiveError> {
    let header = Header { store_id, index: snapshot.index(), created };
    let mut output = Output { inner: BufWriter::with_capacity(BUFFER_BYTES, output), digest: Sha256::new() };
    output.put(&header.encode())?;
    let mut entries = 0;
    let mut result = Ok(());
    let mut visit = |key: &[u8], value: &[u8]| {
        result = output.entry(key, value);
        entries += 1;
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    snapshot.scan(b"", None, &mut visit)?;
    result?;
    output.put(&[END])?;
    output.put(&u64::to_be_bytes(entries))?;
    let sha256: [u8; 32] = output.digest.finalize().into();
    output.inner.write_all(&sha256)?;
    output.inner.flush()?;
    Ok(Summary { header, entries, sha256 })
}

/// Reads the header alone: what follows may be damaged.
pub fn inspect(input: &mut dyn Read) -> Result<Header, ArchiveError> {
    Input::open(input).map(|input| input.header)
}

/// Reads the whole file and checks all of it.
pub fn verify(input: &mut dyn Read) -> Result<Summary, ArchiveError> {
    let mut input = Input::open(input)?;
    while input.entry()?.is_some() {}
    input.summary()
}

/// Replaces the contents of `storage` by the backup, atomically, after the whole file was found sound. Gives what was
/// restored and the commit that did it, which is above the backup's and the store's.
pub fn restore(
    input: &mut (impl Read + Seek),
    storage: &dyn Storage,
) -> Result<(Summary, CommitIndex), ArchiveError> {
    let start = input.stream_position()?;
    let verified = verify(input)?;
    input.seek(SeekFrom::Start(start))?;
    let mut entries = Loading { input: Input::open(input)?, expected: verified, failure: None };
    match storage.replace(verified.header.index, &mut entries) {
        Ok(index) => Ok((verified, index)),
        Err(error) => Err(entries.failure.unwrap_or(ArchiveError::Storage(error))),
    }
}

/// The entries of a file that was verified; it is checked again, for it may have changed since.
struct Loading<'a> {
    input: Input<'a>,
    expected: Summary,
    failure: Option<ArchiveError>,
}

impl Iterator for Loading<'_> {
    type Item = Result<Entry, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let failure = match self.input.entry() {
            Ok(Some(entry)) => return Some(Ok(entry)),
            Ok(None) => match self.input.summary() {
                Ok(summary) if summary == self.expected => return None,
                Ok(_) => self.input.damaged("it changed while it was read"),
                Err(error) => error,
            },
            Err(error) => error,
        };
        let text = failure.to_string();
        self.failure = Some(failure);
        Some(Err(StorageError::Failed(text)))
    }
}

const HEADER_BYTES: usize = 8 + 4 + 16 + 8 + 8;

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_be_bytes());
        bytes.extend(self.store_id.0);
        bytes.extend(self.index.0.to_be_bytes());
        bytes.extend(self.created.nanoseconds().to_be_bytes());
        bytes
    }
}

struct Output<'a> {
    inner: BufWriter<&'a mut dyn Write>,
    digest: Sha256,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.inner.write_all(bytes)
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let length =
            |bytes: &[u8]| u32::try_from(bytes.len()).map(u32::to_be_bytes).map_err(io::Error::other);
        self.put(&[ENTRY])?;
        self.put(&length(key)?)?;
        self.put(key)?;
        self.put(&length(value)?)?;
        self.put(value)
    }
}

struct Input<'a> {
    inner: BufReader<&'a mut dyn Read>,
    digest: Sha256,
    header: Header,
    entries: u64,
    last_key: Option<Vec<u8>>,
    /// Known when the trailer was read and found right.
    sha256: Option<[u8; 32]>,
}

impl<'a> Input<'a> {
    fn open(input: &'a mut dyn Read) -> Result<Self, ArchiveError> {
        let header = Header { store_id: StoreId([0; 16]), index: CommitIndex(0), created: Timestamp::EPOCH };
        let inner = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut input =
            Self { inner, digest: Sha256::new(), header, entries: 0, last_key: None, sha256: None };
        match input.array() {
            Ok(MAGIC) => {}
            Ok(_) | Err(ArchiveError::Truncated { .. }) => return Err(ArchiveError::Foreign),
            Err(error) => return Err(error),
        }
        let found = u32::from_be_bytes(input.array()?);
        if found > FORMAT_VERSION {
            return Err(ArchiveError::Newer { found, supported: FORMAT_VERSION });
        }
        if found != FORMAT_VERSION {
            return Err(input.damaged("its format version does not exist"));
        }
        input.header = Header {
            store_id: StoreId(input.array()?),
            index: CommitIndex(u64::from_be_bytes(input.array()?)),
            created: Timestamp::from_nanoseconds(i64::from_be_bytes(input.array()?)),
        };
        Ok(input)
    }

    /// The next entry; None at the end, after the trailer was checked.
    fn entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        if self.sha256.is_some() {
            return Ok(None);
        }
        match self.array()? {
            [ENTRY] => {}
            [END] => return self.trailer().map(|()| None),
            _ => return Err(self.damaged("neither an entry nor the end")),
        }
        let key = self.bytes(KEY_BYTES_MAX)?;
        let value = self.bytes(VALUE_BYTES_MAX)?;
        if self.last_key.as_ref().is_some_and(|last| *last >= key) {
            return Err(self.damaged("its keys are out of order"));
        }
        self.last_key = Some(key.clone());
        self.entries += 1;
        Ok(Some((key, value)))
    }

    fn trailer(&mut self) -> Result<(), ArchiveError> {
        if u64::from_be_bytes(self.array()?) != self.entries {
            return Err(self.damaged("its number of entries is wrong"));
        }
        let expected: [u8; 32] = self.digest.clone().finalize().into();
        if self.array()? != expected {
            return Err(self.damaged("its checksum is wrong"));
        }
        if self.inner.read(&mut [0])? != 0 {
            return Err(self.damaged("something follows its end"));
        }
        self.sha256 = Some(expected);
        Ok(())
    }

    fn summary(&self) -> Result<Summary, ArchiveError> {
        let sha256 = self.sha256.ok_or_else(|| self.damaged("its end was not reached"))?;
        Ok(Summary { header: self.header, entries: self.entries, sha256 })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|error| self.cut_off(error))?;
        self.digest.update(bytes);
        Ok(bytes)
    }

    /// Bytes after their length. Memory is taken for what is there, not for what the length says.
    fn bytes(&mut self, bytes_max: usize) -> Result<Vec<u8>, ArchiveError> {
        let length = u32::from_be_bytes(self.array()?);
        if usize::try_from(length).map_or(true, |length| length > bytes_max) {
            return Err(self.damaged("a key or value is longer than the limit"));
        }
        let mut bytes = Vec::new();
        let read = self.inner.by_ref().take(u64::from(length)).read_to_end(&mut bytes)?;
        if read as u64 != u64::from(length) {
            return Err(ArchiveError::Truncated { entries: self.entries });
        }
        self.digest.update(&bytes);
        Ok(bytes)
    }

    fn cut_off(&self, error: io::Error) -> ArchiveError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Truncated { entries: self.entries },
            _ => ArchiveError::File(error),
        }
    }

    fn damaged(&self, reason: &'static str) -> ArchiveError {
        ArchiveError::Damaged { entries: self.entries, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{blind, contents, put};
    use crate::{MemoryStorage, commit};
    use std::io::Cursor;

    fn stored(entries: u8) -> MemoryStorage {
        let store = MemoryStorage::new();
        let writes = (0..entries).map(|number| put([b'k', number], vec![number; usize::from(number)]));
        commit(&store, blind(writes.collect())).unwrap();
        store
    }

    fn archived(store: &MemoryStorage) -> (Summary, Vec<u8>) {
        let mut bytes = vec![];
        let snapshot = store.snapshot().unwrap();
        let summary = write(&*snapshot, StoreId([3; 16]), Timestamp::from_seconds(9), &mut bytes).unwrap();
        (summary, bytes)
    }

    #[test]
    fn what_was_written_is_restored() {
        for entries in [0, 1, 100] {
            let store = stored(entries);
            let (summary, bytes) = archived(&store);
            assert_eq!(summary.entries, u64::from(entries));
            assert_eq!(inspect(&mut &bytes[..]).unwrap(), summary.header);
            assert_eq!(verify(&mut &bytes[..]).unwrap(), summary);
            let other = stored(200);
            let (restored, index) = restore(&mut Cursor::new(&bytes), &other).unwrap();
            assert_eq!(restored, summary);
            assert!(index > summary.header.index);
            assert_eq!(contents(&*other.snapshot().unwrap()), contents(&*store.snapshot().unwrap()));
        }
    }

    /// Every file cut anywhere, and every file with one byte changed anywhere, is refused and changes nothing.
    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let (_, bytes) = archived(&stored(5));
        let untouched = stored(2);
        let before = contents(&*untouched.snapshot().unwrap());
        let refused = |bytes: &[u8]| restore(&mut Cursor::new(bytes), &untouched).is_err();
        for length in 0..bytes.len() {
            assert!(refused(&bytes[..length]), "cut at {length}");
        }
        for position in 0..bytes.len() {
            for change in [1, 0x80, 0xFF] {
                let mut changed = bytes.clone();
                changed[position] ^= change;
                assert!(refused(&changed), "changed at {position}");
            }
        }
        assert!(refused(&[&bytes[..], b"\0"].concat()), "something appended");
        assert_eq!(contents(&*untouched.snapshot().unwrap()), before);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let (_, bytes) = archived(&stored(3));
        let text = |bytes: &[u8]| verify(&mut &bytes[..]).unwrap_err().to_string();
        assert_eq!(text(b""), "this is not a Strongroom snapshot file");
        assert_eq!(text(b"SQLite format 3\0"), "this is not a Strongroom snapshot file");
        let mut newer = bytes.clone();
        newer[11] = 2;
        assert!(text(&newer).contains("format version 2, newer than version 1"));
        let cut = text(&bytes[..bytes.len() - 1]);
        assert_eq!(cut, "the snapshot file is cut off after 3 entries; nothing was restored");
        let huge = [&bytes[..HEADER_BYTES], &[ENTRY, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
        assert!(text(&huge).contains("longer than the limit"));
    }
}
