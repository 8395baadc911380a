//! Lines of a log of any origin, read with a bound.

use std::io::{self, BufRead, Read};

/// The longest line that is read. The body of a request has at most 1 MiB; each short text in it becomes 76 bytes.
pub(super) const LINE_BYTES_MAX: usize = 64 << 20;

/// One line at a time, into one buffer.
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Of the line last read; the first is 1.
    pub(super) number: u64,
}

/// A line, without its line feed.
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether its line feed was there.
    pub(super) is_complete: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), number: 0 }
    }

    /// The next line; an error if it is too long.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let count = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer)?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        match self.buffer.strip_suffix(b"\n") {
            Some(bytes) => Ok(Some(Line { bytes, is_complete: true })),
            None if count as u64 == limit => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is longer than {LINE_BYTES_MAX} bytes", self.number),
            )),
            None => Ok(Some(Line { bytes: &self.buffer, is_complete: false })),
        }
    }
}

/// The JSON of a line, after what stands before its first brace.
pub(super) fn json_of(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| *byte == b'{').unwrap_or(line.len());
    line.get(start..).unwrap_or_default()
}

/// The `type` of a line that we wrote, from its fixed place after the time.
pub(super) fn kind_of(line: &[u8]) -> Option<&str> {
    let rest = json_of(line).strip_prefix(b"{\"time\":\"")?;
    let quote = rest.iter().take(64).position(|byte| *byte == b'"')?;
    let rest = rest.get(quote..)?.strip_prefix(b"\",\"type\":\"")?;
    let quote = rest.iter().take(64).position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..quote)?).ok()
}
