use std::io::{self, Read};
use std::ops::Range;

/// How much of a stream is looked at at once. A file up to this size is looked at whole.
pub(crate) const PIECE_BYTES: usize = 4 << 20;
/// How much text a match can rely on before and after its start, where a stream was cut.
pub(crate) const CONTEXT_BYTES: usize = 64 << 10;

/// Zeroed by the system, page by page, as it is used: a short text costs one page.
pub(super) fn piece_buffer() -> Vec<u8> {
    vec![0; PIECE_BYTES]
}

/// A part of a stream with the text around it.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a [u8],
    /// What begins in this range belongs to this piece; what begins elsewhere is another piece's.
    pub(crate) own: Range<usize>,
    /// The number of the first line, from 1.
    pub(crate) first_line: u64,
    /// How many bytes of the first line stand before `text`: not 0 only in lines longer than the context.
    pub(crate) first_line_cut: u64,
}

/// Cuts a stream into pieces that overlap, in a buffer of a fixed size.
///
/// A match belongs to the piece that its first byte is in the own range of. Own ranges follow each other without gaps,
/// so that nothing is found twice, and end [`CONTEXT_BYTES`] before the text does, so that a match is seen whole.
#[derive(Debug)]
pub(crate) struct Pieces<R> {
    source: R,
    buffer: Vec<u8>,
    filled: usize,
    own_start: usize,
    first_line: u64,
    first_line_cut: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    More,
    /// Everything is in the buffer.
    Read,
    /// The stream broke; what came before is still looked at.
    Broken(io::Error),
    Ended,
}

impl<R: Read> Pieces<R> {
    /// The buffer is used as it is, and comes back from [`Pieces::into_buffer`].
    pub(crate) fn new(source: R, buffer: Vec<u8>) -> Self {
        Self::begun(source, buffer, 0, false)
    }

    /// The first bytes are in the buffer already; `ended` if these are all.
    pub(crate) fn begun(source: R, mut buffer: Vec<u8>, filled: usize, ended: bool) -> Self {
        if buffer.len() < PIECE_BYTES {
            buffer = piece_buffer();
        }
        let state = if ended { State::Read } else { State::More };
        Self { source, buffer, filled, own_start: 0, first_line: 1, first_line_cut: 0, state }
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// The next piece; `None` at the end. An error is given after the pieces that came before it.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let full = match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return Ok(None),
            State::Broken(error) => return Err(error),
            State::Read => Ok(false),
            State::More => {
                self.carry_over();
                self.fill()
            }
        };
        let own_start = self.own_start;
        let own_end = match full {
            Ok(true) => {
                self.state = State::More;
                self.own_start = self.filled - CONTEXT_BYTES;
                self.own_start
            }
            Ok(false) => self.filled,
            Err(error) => {
                self.state = State::Broken(error);
                self.filled
            }
        };
        if own_end == own_start && !matches!(self.state, State::More) {
            return self.next_state();
        }
        Ok(Some(Piece {
            text: self.buffer.get(..self.filled).unwrap_or_default(),
            own: own_start..own_end,
            first_line: self.first_line,
            first_line_cut: self.first_line_cut,
        }))
    }

    fn next_state(&mut self) -> io::Result<Option<Piece<'_>>> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Broken(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// Moves what the next piece needs of this one to the front: from a line's beginning if there is one near.
    fn carry_over(&mut self) {
        if self.own_start == 0 {
            return;
        }
        let near = self.own_start.saturating_sub(2 * CONTEXT_BYTES);
        let latest = self.own_start.saturating_sub(CONTEXT_BYTES);
        let window = self.buffer.get(near..latest).unwrap_or_default();
        let start = memchr::memrchr(b'\n', window).map_or(latest, |at| near + at + 1);
        let before = self.buffer.get(..start).unwrap_or_default();
        let lines = memchr::memchr_iter(b'\n', before).count() as u64;
        self.first_line_cut = match memchr::memrchr(b'\n', before) {
            Some(at) => (start - at - 1) as u64,
            None => self.first_line_cut + start as u64,
        };
        self.first_line += lines;
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        self.own_start -= start;
    }

    /// Reads until the buffer is full (true) or the stream ends (false).
    fn fill(&mut self) -> io::Result<bool> {
        while let Some(room) = self.buffer.get_mut(self.filled..).filter(|room| !room.is_empty()) {
            match self.source.read(room) {
                Ok(0) => return Ok(false),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word of the text, found piece by piece: its line and its column.
    fn words(text: &[u8]) -> Vec<(u64, u64)> {
        let mut pieces = Pieces::new(text, Vec::new());
        let mut found = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            for at in memchr::memmem::find_iter(piece.text, b"needle") {
                if piece.own.contains(&at) {
                    assert!(piece.text.len() - at >= 6);
                    let before = &piece.text[..at];
                    let line = piece.first_line + memchr::memchr_iter(b'\n', before).count() as u64;
                    let column = match memchr::memrchr(b'\n', before) {
                        Some(newline) => (at - newline - 1) as u64,
                        None => piece.first_line_cut + at as u64,
                    };
                    found.push((line, column));
                }
            }
        }
        found
    }

    fn check(text: &[u8]) {
        let expected: Vec<_> = memchr::memmem::find_iter(text, b"needle")
            .map(|at| {
                let before = &text[..at];
                let line = 1 + memchr::memchr_iter(b'\n', before).count() as u64;
                let column = at - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
                (line, column as u64)
            })
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(words(text), expected);
    }

    #[test]
    fn nothing_is_lost_or_found_twice_at_the_edges() {
        for shift in 0..16 {
            let mut text = vec![b'.'; PIECE_BYTES * 2 + 100];
            for edge in [PIECE_BYTES, PIECE_BYTES - CONTEXT_BYTES, 2 * PIECE_BYTES - 3 * CONTEXT_BYTES] {
                text[edge - 8 + shift..edge - 2 + shift].copy_from_slice(b"needle");
            }
            check(&text);
            for at in (0..text.len()).step_by(97) {
                if text[at] == b'.' {
                    text[at] = b'\n';
                }
            }
            check(&text);
        }
    }

    #[test]
    fn small_and_exact_sizes() {
        check(b"needle");
        check(b"\n\nneedle\nneedle");
        let mut exact = vec![b'\n'; PIECE_BYTES];
        exact[PIECE_BYTES - 6..].copy_from_slice(b"needle");
        check(&exact);
        assert!(Pieces::new(&b""[..], Vec::new()).next().unwrap().is_none());
    }

    #[test]
    fn what_came_before_an_error_is_looked_at() {
        struct Breaking(bool);
        impl Read for Breaking {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("broken"));
                }
                out[..3].copy_from_slice(b"abc");
                Ok(3)
            }
        }
        let mut pieces = Pieces::new(Breaking(false), Vec::new());
        assert_eq!(pieces.next().unwrap().unwrap().text, b"abc");
        assert_eq!(pieces.next().unwrap_err().to_string(), "broken");
        assert!(pieces.next().unwrap().is_none());
    }
}
