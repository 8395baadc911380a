//! A piece of an audit file: searched, and its chain checked, in bounded memory and time. Who asks goes on where it ended.

use super::chain::ChainPoint;
use super::lines::LINE_BYTES_MAX;
use super::search::{Match, Query, Search};
use super::verify::{Report, Verifier, VerifyOptions};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use strongroom_crypto::hash::sha256;

/// Of a piece; the line that begins in it is read to its end.
const PIECE_BYTES: usize = 16 << 20;

/// How far somebody has come in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    inode: u64,
    offset: u64,
    /// The line before: its number in the chain, and its hash.
    sequence: u64,
    hash: String,
}

/// What a piece held.
pub struct Piece {
    pub matches: Vec<Match>,
    pub report: Report,
    pub next: Position,
    /// The piece ended before the file.
    pub has_more: bool,
}

/// Searches a file from a position on; None where it is another file by now: rotated or replaced.
pub fn search_piece(
    path: &Path,
    query: Query,
    from: Option<Position>,
    options: VerifyOptions<'_>,
) -> io::Result<Option<Piece>> {
    // A link may point to where the device would not write.
    let found = path.symlink_metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut file = File::open(path)?;
    let (inode, length) = {
        let opened = file.metadata()?;
        (opened.ino(), opened.len())
    };
    let from = match from {
        Some(from) if from.inode != inode || from.offset > length => return Ok(None),
        Some(from) => from,
        None => Position { inode, offset: 0, sequence: 0, hash: String::new() },
    };
    file.seek(SeekFrom::Start(from.offset))?;
    let mut bytes = whole_lines(&mut file)?;
    let name = path.display().to_string();
    let limit = query.limit;
    let matches: Vec<Match> =
        Search::new(query, [(name.clone(), bytes.as_slice())]).collect::<io::Result<_>>()?;
    // Whoever asked for so many goes on behind the last of them.
    if let Some(last) = matches.last().filter(|_| limit.is_some_and(|limit| matches.len() >= limit)) {
        let lines = usize::try_from(last.line).unwrap_or(usize::MAX);
        if let Some(end) = memchr::memchr_iter(b'\n', &bytes).nth(lines.saturating_sub(1)) {
            bytes.truncate(end + 1);
        }
    }
    let mut verifier = Verifier::after(before(&from), options);
    verifier.read(&name, bytes.as_slice())?;
    let report = verifier.finish();
    let offset = from.offset + bytes.len() as u64;
    let next = match last_line(&bytes) {
        Some(line) => Position {
            inode,
            offset,
            sequence: report.last_sequence.unwrap_or(from.sequence),
            hash: hex::encode(sha256(line)),
        },
        None => from,
    };
    let has_more = !bytes.is_empty() && offset < length;
    Ok(Some(Piece { matches, report, next, has_more }))
}

/// Up to the bound, and to the end of the last line that began before it. A line that is being written is left for later.
fn whole_lines(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let read = file.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
        if let Some(end) = memchr::memrchr(b'\n', &bytes) {
            bytes.truncate(end + 1);
            return Ok(bytes);
        }
        if read < PIECE_BYTES {
            return Ok(Vec::new());
        }
        if bytes.len() > LINE_BYTES_MAX {
            return Err(io::Error::other(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
        }
    }
}

fn last_line(bytes: &[u8]) -> Option<&[u8]> {
    let text = bytes.strip_suffix(b"\n")?;
    let start = memchr::memrchr(b'\n', text).map_or(0, |end| end + 1);
    text.get(start..)
}

fn before(from: &Position) -> Option<ChainPoint> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&from.hash, &mut hash).ok()?;
    Some(ChainPoint { sequence: from.sequence, hash })
}
