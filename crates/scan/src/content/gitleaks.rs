//! Files cut as gitleaks cuts them, so that what spans two fragments is missed as there, and columns are the same.

use super::inspector::Inspector;
use crate::located::SkipReason;
use memchr::memchr_iter;
use std::io::{self, Read};
use strongroom_detect::Fragment;

const FRAGMENT_BYTES: usize = 100_000;
const PEEK_BYTES: usize = 25_000;
const BUFFERED_BYTES: usize = 4096;

/// First bytes of what its library of file types calls an application: the rest of such a file is not looked at.
const APPLICATIONS: &[&[u8]] = &[
    b"%PDF",
    b"MZ",
    b"\x7fELF",
    b"SQLi",
    b"wOFF",
    b"wOF2",
    b"\x00\x01\x00\x00\x00",
    b"OTTO\x00",
    b"\x00asm",
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"{\\rtf",
    b"%!",
    b"!<arch>",
    b"Cr24",
    b"\x1a\x45\xdf\xa3\x00app",
    b"dex\n",
    b"dey\n",
];

pub(super) fn inspect(inspector: &mut Inspector<'_>, source: &mut dyn Read, path: &str) {
    let mut fragments = Fragments::new(source);
    let mut newlines = 0;
    inspector.statistics.texts += 1;
    while !inspector.is_over() {
        match fragments.next() {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return inspector.skip_rest(path, &error),
        }
        let text = fragments.text.as_slice();
        if newlines == 0 && APPLICATIONS.iter().any(|signature| text.starts_with(signature)) {
            return inspector.skip(path, SkipReason::Binary, "an application's file");
        }
        let fragment = Fragment { first_line: newlines + 1, ..Fragment::whole(text, path) };
        inspector.look_at_fragment(&fragment);
        newlines += memchr_iter(b'\n', text).count() as u64;
    }
}

/// A buffered reader that is read in two ways: a large read goes past an empty buffer, and looking for an empty line
/// fills the buffer, so that the read after it gets what is left there.
struct Fragments<'a> {
    source: &'a mut dyn Read,
    buffered: Vec<u8>,
    given: usize,
    text: Vec<u8>,
}

impl<'a> Fragments<'a> {
    fn new(source: &'a mut dyn Read) -> Self {
        Self { source, buffered: Vec::new(), given: 0, text: Vec::new() }
    }

    /// Reads the next fragment into `text`; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.text.clear();
        let rest = self.buffered.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            read_up_to(self.source, &mut self.text, FRAGMENT_BYTES)?;
        } else {
            self.text.extend_from_slice(rest);
            self.given = self.buffered.len();
        }
        if self.text.is_empty() {
            return Ok(false);
        }
        if !ends_in_empty_line(&self.text) {
            self.peek()?;
        }
        Ok(true)
    }

    /// Reads on to an empty line, or as far as is allowed.
    fn peek(&mut self) -> io::Result<()> {
        let limit = self.text.len() + PEEK_BYTES;
        let mut newlines = 0;
        loop {
            match self.text.last() {
                Some(b'\n') => newlines += 1,
                Some(b' ' | b'\t' | b'\r') => {}
                _ => newlines = 0,
            }
            if newlines >= 2 || self.text.len() >= limit {
                return Ok(());
            }
            match self.byte()? {
                Some(byte) => self.text.push(byte),
                None => return Ok(()),
            }
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        if self.given == self.buffered.len() {
            self.buffered.clear();
            self.given = 0;
            read_up_to(self.source, &mut self.buffered, BUFFERED_BYTES)?;
        }
        let byte = self.buffered.get(self.given).copied();
        self.given += usize::from(byte.is_some());
        Ok(byte)
    }
}

fn read_up_to(source: &mut dyn Read, into: &mut Vec<u8>, count: usize) -> io::Result<()> {
    source.take(count as u64).read_to_end(into).map(drop)
}

/// Two newlines among the white space at the end.
fn ends_in_empty_line(text: &[u8]) -> bool {
    text.iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
        .filter(|byte| **byte == b'\n')
        .nth(1)
        .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &[u8]) -> Vec<usize> {
        let mut source = text;
        let mut fragments = Fragments::new(&mut source);
        let mut lengths = Vec::new();
        while fragments.next().unwrap() {
            lengths.push(fragments.text.len());
        }
        assert_eq!(lengths.iter().sum::<usize>(), text.len());
        lengths
    }

    #[test]
    fn fragments_end_where_gitleaks_ends_them() {
        assert_eq!(lengths(b"one\n"), [4]);
        assert_eq!(lengths(&[b'x'; 130_000]), [125_000, 5_000], "no empty line: as far as is peeked");
        let mut text = vec![b'x'; 100_010];
        text.extend_from_slice(b"\n \r\n");
        text.extend_from_slice(&[b'y'; 6000]);
        // The buffer holds 4096 bytes from 100,000 on, of which 14 were taken; what is left comes next, and is peeked
        // on to the end.
        assert_eq!(lengths(&text), [100_014, 6000]);
    }
}
