//! Finds what may be encoded. The same as one search for
//! `%XX(.*%XX)?`, then `(U+XXXX\s)+` or `(\\?\uXXXX)+`, then `[0-9A-Fa-f]{32,}`, then `[\w/+-]{16,}={0,2}`,
//! leftmost first; but made for texts in which next to nothing is.

use super::encodings::{Encoding, is_printable, nibble, sextet};
use crate::Mode;
use std::ops::Range;

const BASE64_MIN: usize = 16;
const HEX_MIN: usize = 32;
/// Bytes that are looked at together.
const BLOCK: usize = 32;

#[derive(Debug)]
pub(super) struct Encoded {
    pub encoding: Encoding,
    pub range: Range<usize>,
}

/// What may be encoded, without what touches something of higher precedence.
pub(super) fn encoded(text: &[u8], mode: Mode) -> Vec<Encoded> {
    let all = Scanner::new(text, mode).all();
    let touch = |one: &Encoded, other: &Encoded| {
        other.range.start <= one.range.end && other.range.end >= one.range.start
    };
    let mut kept = vec![true; all.len()];
    for (at, pair) in all.windows(2).enumerate() {
        let [one, other] = pair else { continue };
        if touch(one, other) && one.encoding != other.encoding {
            let later = if one.encoding > other.encoding { at } else { at + 1 };
            if let Some(kept) = kept.get_mut(later) {
                *kept = false;
            }
        }
    }
    let mut kept = kept.into_iter();
    let mut all = all;
    all.retain(|_| kept.next().unwrap_or(true));
    all
}

struct Scanner<'t> {
    text: &'t [u8],
    /// Where the next `%` or `\`, `U+`, `&#` is, at the place that was last asked about or after; `None`: nowhere.
    signs: [Option<usize>; 3],
}

impl<'t> Scanner<'t> {
    fn new(text: &'t [u8], mode: Mode) -> Self {
        let entity = if mode == Mode::Native { Some(0) } else { None };
        let mut scanner = Self { text, signs: [Some(0), Some(0), entity] };
        for sign in 0..3 {
            scanner.advance(sign, 0);
        }
        scanner
    }

    fn all(mut self) -> Vec<Encoded> {
        let mut found = Vec::new();
        let (mut escape, mut run) = (self.next_escape(0), self.next_run(0));
        loop {
            let is_run_first = match (&escape, &run) {
                (Some(escape), Some(run)) => run.start < escape.range.start,
                (escape, run) => escape.is_none() && run.is_some(),
            };
            let next = if is_run_first { run.clone().map(|run| self.take_run(run)) } else { escape.take() };
            let Some(next) = next else { return found };
            let end = next.range.end;
            if next.encoding != Encoding::Base64 || begins_printable(self.text, next.range.start) {
                found.push(next);
            }
            if !is_run_first || escape.as_ref().is_some_and(|escape| escape.range.start < end) {
                escape = self.next_escape(end);
            }
            if run.as_ref().is_some_and(|run| run.start < end) {
                run = self.next_run(end);
            }
        }
    }

    /// A run as hexadecimal if that is what its beginning is, else as base64.
    fn take_run(&self, run: Range<usize>) -> Encoded {
        let body = self.text.get(run.clone()).unwrap_or_default();
        let digits = body.iter().take_while(|byte| nibble(**byte).is_some()).count();
        if digits >= HEX_MIN {
            return Encoded { encoding: Encoding::Hex, range: run.start..run.start + digits };
        }
        let after = self.text.get(run.end..).unwrap_or_default();
        let padding = after.iter().take(2).take_while(|byte| **byte == b'=').count();
        Encoded { encoding: Encoding::Base64, range: run.start..run.end + padding }
    }

    /// The next run of at least [`BASE64_MIN`] characters of base64 from `at` on.
    fn next_run(&self, at: usize) -> Option<Range<usize>> {
        let mut rest = self.text.get(at..).unwrap_or_default();
        let (mut base, mut length) = (at, 0);
        while !rest.is_empty() {
            let masks = match rest.first_chunk::<BLOCK>() {
                Some(block) => masks(block),
                // What is behind the text is no base64.
                None => {
                    let mut block = [0; BLOCK];
                    block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                    masks(&block)
                }
            };
            for mask in masks {
                // Bytes of the run before that go on here, and those of a run that goes on behind.
                let more = mask.trailing_ones() as usize / 8;
                length += more;
                if more < 8 {
                    if length >= BASE64_MIN {
                        return Some(base + more - length..base + more);
                    }
                    length = mask.leading_ones() as usize / 8;
                }
                base += 8;
            }
            rest = rest.get(BLOCK..).unwrap_or_default();
        }
        (length >= BASE64_MIN).then_some(base - length..base)
    }

    /// The next escape from `at` on.
    fn next_escape(&mut self, at: usize) -> Option<Encoded> {
        let mut from = at;
        loop {
            for sign in 0..3 {
                self.advance(sign, from);
            }
            let place = self.signs.iter().flatten().copied().min()?;
            let rest = self.text.get(place..)?;
            let found = match rest {
                [b'%', ..] => percent(rest).map(|length| (Encoding::Percent, length)),
                [b'U', ..] => code_points(rest).map(|length| (Encoding::Unicode, length)),
                [b'&', ..] => entities(rest).map(|length| (Encoding::Unicode, length)),
                _ => escapes(rest).map(|length| (Encoding::Unicode, length)),
            };
            if let Some((encoding, length)) = found {
                return Some(Encoded { encoding, range: place..place + length });
            }
            from = place + 1;
        }
    }

    /// Moves a sign's place to `from` or after.
    fn advance(&mut self, sign: usize, from: usize) {
        let Some(place) = self.signs.get_mut(sign) else { return };
        if place.is_none_or(|place| place >= from && from > 0) {
            return;
        }
        let rest = self.text.get(from..).unwrap_or_default();
        let next = match sign {
            0 => memchr::memchr2(b'%', b'\\', rest),
            1 => memchr::memmem::find(rest, b"U+"),
            _ => memchr::memmem::find(rest, b"&#"),
        };
        *place = next.map(|next| from + next);
    }
}

/// Whether the first four characters of base64 are three printable ones: of names in programs, hardly any are.
fn begins_printable(text: &[u8], start: usize) -> bool {
    let group = text.get(start..start + 4).unwrap_or_default();
    let bits = group.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(sextet(*byte).unwrap_or(0)));
    let [_, bytes @ ..] = bits.to_be_bytes();
    bytes.into_iter().all(is_printable)
}

/// All bits of a byte where there is a letter, a digit or one of `_/+-`. Written so that the compiler does many bytes at once.
#[inline]
fn masks(block: &[u8; BLOCK]) -> [u64; BLOCK / 8] {
    let bytes = block.map(|byte| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_digit_or_slash = byte.wrapping_sub(b'/') < 11;
        let is_sign = (byte == b'+') | (byte == b'-') | (byte == b'_');
        if is_letter | is_digit_or_slash | is_sign { u8::MAX } else { 0 }
    });
    let (words, _) = bytes.as_chunks::<8>();
    let mut masks = [0; BLOCK / 8];
    masks.iter_mut().zip(words).for_each(|(mask, word)| *mask = u64::from_le_bytes(*word));
    masks
}

fn are_digits(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| bytes.iter().all(|byte| nibble(*byte).is_some()))
}

/// `%XX`, and on to the last `%XX` of the line.
fn percent(rest: &[u8]) -> Option<usize> {
    if !are_digits(rest.get(1..3)) {
        return None;
    }
    let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len()))?;
    let last = memchr::memrchr_iter(b'%', line).find(|at| *at >= 3 && are_digits(line.get(at + 1..at + 3)));
    Some(last.unwrap_or(0) + 3)
}

/// `U+XXXX` and a space (or the end), once or more.
fn code_points(rest: &[u8]) -> Option<usize> {
    let mut length = 0;
    while rest.get(length..).is_some_and(|rest| rest.starts_with(b"U+"))
        && are_digits(rest.get(length + 2..length + 6))
    {
        match rest.get(length + 6) {
            None => return Some(length + 6),
            Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c) => length += 7,
            Some(_) => break,
        }
    }
    (length > 0).then_some(length)
}

/// `\uXXXX` or `\\uXXXX`, once or more.
fn escapes(rest: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let here = rest.get(length..).unwrap_or_default();
        let slashes = here.iter().take(2).take_while(|byte| **byte == b'\\').count();
        let is_escape = slashes > 0
            && matches!(here.get(slashes), Some(b'u' | b'U'))
            && are_digits(here.get(slashes + 1..slashes + 5));
        if !is_escape {
            return (length > 0).then_some(length);
        }
        length += slashes + 5;
    }
}

/// `&#x41;` or `&#65;`, three times or more: fewer are punctuation.
fn entities(rest: &[u8]) -> Option<usize> {
    let (mut length, mut count) = (0, 0);
    loop {
        let here = rest.get(length..).unwrap_or_default();
        let code = here.strip_prefix(b"&#").unwrap_or_default();
        let end = memchr::memchr(b';', code.get(..code.len().min(8)).unwrap_or_default());
        let is_code = end.and_then(|end| code.get(..end)).is_some_and(|code| match code {
            [b'x' | b'X', digits @ ..] => !digits.is_empty() && are_digits(Some(digits)),
            digits => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        });
        match end {
            Some(end) if is_code => {
                length += end + 3;
                count += 1;
            }
            _ => return (count >= 3).then_some(length),
        }
    }
}
