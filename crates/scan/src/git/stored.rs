use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file that is read here and there: small ones lie in memory, of large ones a piece at a time does.
#[derive(Debug)]
pub(crate) enum Stored {
    Memory(Vec<u8>),
    File { file: File, length: u64 },
}

/// A piece of a large file, kept by whoever reads on from it.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    bytes: Vec<u8>,
    start: u64,
    /// Which file it is of.
    source: Option<u32>,
}

/// So much is read at once when less is asked for.
const PIECE_BYTES: usize = 64 << 10;
/// And so much by who does not read on from what was read last.
const JUMP_BYTES: usize = 8 << 10;

impl Stored {
    /// Reads the file if it is smaller than what is left of `memory`, and takes that from it.
    pub(crate) fn open(path: &Path, memory: &mut u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if length > *memory {
            return Ok(Self::File { file, length });
        }
        *memory -= length;
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Self::Memory(bytes))
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// The bytes from `offset` on, `length` of them or as many as there are. `source` numbers the file for `piece`.
    pub(crate) fn at<'a>(
        &'a self,
        offset: u64,
        length: usize,
        source: u32,
        piece: &'a mut Piece,
    ) -> io::Result<&'a [u8]> {
        let available = self.length().saturating_sub(offset);
        let length = usize::try_from(available).unwrap_or(usize::MAX).min(length);
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(bytes.get(start..).and_then(|rest| rest.get(..length)).unwrap_or_default())
            }
            Self::File { file, .. } => {
                piece.fill(file, offset, length, available, source)?;
                let start = usize::try_from(offset.saturating_sub(piece.start)).unwrap_or(usize::MAX);
                Ok(piece.bytes.get(start..).and_then(|rest| rest.get(..length)).unwrap_or_default())
            }
        }
    }

    /// Exactly the bytes that `target` has room for.
    pub(crate) fn exactly(&self, offset: u64, target: &mut [u8]) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.read_exact_at(target, offset),
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let found = bytes.get(start..).and_then(|rest| rest.get(..target.len()));
                target.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

impl Piece {
    fn fill(
        &mut self,
        file: &File,
        offset: u64,
        length: usize,
        available: u64,
        source: u32,
    ) -> io::Result<()> {
        let end = self.start + self.bytes.len() as u64;
        if self.source == Some(source) && self.start <= offset && offset + length as u64 <= end {
            return Ok(());
        }
        // Who reads on from where they were will want more; who jumps about will not.
        let goes_on =
            self.source == Some(source) && self.start <= offset && offset <= end + PIECE_BYTES as u64;
        let least = if goes_on { PIECE_BYTES } else { JUMP_BYTES };
        let wanted = length.max(least).min(usize::try_from(available).unwrap_or(usize::MAX));
        self.source = None;
        self.bytes.resize(wanted, 0);
        file.read_exact_at(&mut self.bytes, offset)?;
        (self.start, self.source) = (offset, Some(source));
        if self.bytes.capacity() > 8 * PIECE_BYTES && wanted <= PIECE_BYTES {
            self.bytes.shrink_to_fit();
        }
        Ok(())
    }
}
