use crate::Mode;
use std::ops::BitOr;

/// How something is encoded. In the order of precedence: where two touch, the later one waits for the next pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    Percent,
    Unicode,
    Hex,
    Base64,
}

/// Several encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Encoding {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Percent, "percent"),
        (Self::Unicode, "unicode"),
        (Self::Hex, "hex"),
        (Self::Base64, "base64"),
    ];

    pub(super) fn kinds(self) -> Kinds {
        Kinds(1 << self as u8)
    }
}

impl Kinds {
    pub(crate) const NONE: Self = Self(0);

    /// The names, in the order of precedence.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Encoding::ALL
            .into_iter()
            .filter(move |(encoding, _)| self.0 & encoding.kinds().0 != 0)
            .map(|(_, name)| name)
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What was encoded; `None` if it was not, or is not printable ASCII.
pub(super) fn decode(encoding: Encoding, encoded: &[u8], mode: Mode) -> Option<Vec<u8>> {
    let decoded = match encoding {
        Encoding::Percent => percent(encoded),
        Encoding::Unicode => unicode(encoded),
        Encoding::Hex => hex(encoded),
        Encoding::Base64 => base64(encoded, mode),
    };
    decoded.filter(|decoded| !decoded.is_empty())
}

pub(super) fn is_printable(byte: u8) -> bool {
    byte > 0x08 && byte < 0x7f
}

pub(super) fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn percent(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        if let (b'%', [high, low, tail @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
        {
            let byte = high << 4 | low;
            if !is_printable(byte) {
                return None;
            }
            decoded.push(byte);
            rest = tail;
            continue;
        }
        decoded.push(*first);
        rest = after;
    }
    Some(decoded)
}

fn hex(encoded: &[u8]) -> Option<Vec<u8>> {
    if !encoded.len().is_multiple_of(2) || !encoded.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let mut decoded = Vec::with_capacity(encoded.len() / 2);
    for pair in encoded.chunks_exact(2) {
        let [high, low] = pair else { return None };
        let byte = nibble(*high)? << 4 | nibble(*low)?;
        if !is_printable(byte) {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
}

/// `U+0041 U+0042`, `\u0041\u0042`, `\\u0041`, and (ours alone) `&#x41;`, `&#65;`: everything that is no code is dropped, as it is
/// only what stands between codes.
fn unicode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = String::new();
    let mut at = 0;
    while at < encoded.len() {
        let rest = encoded.get(at..)?;
        let (code, length) = match rest {
            [b'U', b'+', code @ ..] | [b'\\', b'u' | b'U', code @ ..] => (number(code.get(..4)?, 16), 6),
            [b'&', b'#', code @ ..] => {
                let end = memchr::memchr(b';', code)?;
                let code = code.get(..end)?;
                let number = match code {
                    [b'x' | b'X', digits @ ..] => number(digits, 16),
                    digits => number(digits, 10),
                };
                (number, end + 3)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        // Halves of a pair become what Go makes of them.
        decoded.push(char::from_u32(code?).unwrap_or(char::REPLACEMENT_CHARACTER));
        at += length;
    }
    Some(decoded.into_bytes())
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

fn base64(encoded: &[u8], mode: Mode) -> Option<Vec<u8>> {
    if !encoded.iter().any(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'/' | b'-' | b'_')) {
        return None;
    }
    let padding = encoded.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = encoded.get(..encoded.len() - padding)?;
    let has = |one: u8, other: u8| memchr::memchr2(one, other, body).is_some();
    let (is_standard, is_url) = (!has(b'-', b'_'), !has(b'+', b'/'));
    let is_whole = encoded.len().is_multiple_of(4);
    let fits = match mode {
        Mode::Compatible => (is_standard && is_whole) || (is_url && padding == 0),
        Mode::Native => (is_standard || is_url) && (padding == 0 || is_whole),
    };
    if !fits || body.len() % 4 == 1 {
        return None;
    }
    let mut decoded = Vec::with_capacity(body.len() / 4 * 3 + 2);
    for group in body.chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            bits = bits << 6 | u32::from(sextet(*byte)?);
        }
        bits <<= 6 * (4 - group.len());
        let [_, bytes @ ..] = bits.to_be_bytes();
        for byte in bytes.iter().take(group.len() * 3 / 4) {
            if !is_printable(*byte) {
                return None;
            }
            decoded.push(*byte);
        }
    }
    Some(decoded)
}

pub(super) fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}
