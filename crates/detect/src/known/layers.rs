//! Encodings taken off a text, with the way back: which bytes of the outer text a byte of the inner one comes from.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use std::ops::Range;

/// A text within a text.
pub(super) struct Layer {
    pub(super) encoding: &'static str,
    pub(super) text: Vec<u8>,
    origin: Origin,
}

enum Origin {
    /// All of it stands in one place.
    Run(Range<usize>),
    /// Byte `inner` comes from byte `outer`, and so on until the next of these.
    Steps(Vec<(usize, usize)>),
}

impl Layer {
    /// The bytes of the outer text that a range of this one comes from.
    pub(super) fn outer(&self, range: &Range<usize>) -> Range<usize> {
        match &self.origin {
            Origin::Run(run) => run.clone(),
            Origin::Steps(steps) => {
                let place = |inner: usize| {
                    let at = steps.partition_point(|(start, _)| *start <= inner).saturating_sub(1);
                    steps.get(at).map_or(inner, |(start, outer)| outer + (inner - start))
                };
                place(range.start)..place(range.end.saturating_sub(1)) + 1
            }
        }
    }
}

/// Shorter runs hold no value that is hard to guess.
const RUN_CHARACTERS_MIN: usize = 16;

/// Runs of base64 and hex, decoded. Of base64 all four places at which groups may begin: what comes before may be of the same
/// letters.
pub(super) fn runs(text: &[u8], bytes_min: usize, found: &mut dyn FnMut(Layer)) {
    let shortest = (bytes_min * 4 / 3).max(RUN_CHARACTERS_MIN);
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_base64(**byte)).count();
        if length < shortest {
            at += length + 1;
            continue;
        }
        let wrapped = wrapped_length(rest, length);
        let run = at..at + wrapped;
        let letters: Vec<u8> =
            rest.iter().take(wrapped).copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        decode_run(&letters, &run, found);
        at = run.end + 1;
    }
}

/// Base64 of files is broken into lines of 64 or 76.
fn wrapped_length(text: &[u8], first: usize) -> usize {
    let mut length = first;
    if first < 60 {
        return length;
    }
    while let Some(rest) = text.get(length..) {
        let indent = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let line = rest.iter().skip(indent).take_while(|byte| is_base64(**byte)).count();
        if indent == 0 || indent > 32 || line == 0 || line > first {
            break;
        }
        length += indent + line;
        if line < first {
            break;
        }
    }
    length
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn decode_run(letters: &[u8], run: &Range<usize>, found: &mut dyn FnMut(Layer)) {
    let layer = |encoding, text| Layer { encoding, text, origin: Origin::Run(run.clone()) };
    let is_hex = letters.iter().all(u8::is_ascii_hexdigit);
    if is_hex {
        let even = letters.len() & !1;
        if let Ok(text) = HEXLOWER_PERMISSIVE.decode(letters.get(..even).unwrap_or_default()) {
            found(layer("hex", text));
        }
    }
    let url = letters.iter().any(|byte| matches!(byte, b'-' | b'_'));
    if url && letters.iter().any(|byte| matches!(byte, b'+' | b'/')) {
        return;
    }
    for start in 0..4 {
        let Some(aligned) = letters.get(start..) else { break };
        let text = decode_base64(aligned, url);
        found(layer("base64", text));
    }
}

/// Whole groups, and what a last half group still says.
fn decode_base64(letters: &[u8], url: bool) -> Vec<u8> {
    let encoding = if url { &BASE64URL_NOPAD } else { &BASE64_NOPAD };
    let mut whole = letters.to_vec();
    let half = whole.len() % 4;
    if half == 1 {
        whole.pop();
    } else if half > 1 {
        // The bits of the last letter that say nothing may be anything where the text is cut.
        whole.resize(whole.len() + 4 - half, b'A');
    }
    let mut text = encoding.decode(&whole).unwrap_or_default();
    if half > 1 {
        text.truncate(text.len().saturating_sub(4 - half));
    }
    text
}

/// The text without escapes of JSON, of URLs and of XML, where it has any.
pub(super) fn unescaped(text: &[u8], found: &mut dyn FnMut(Layer)) {
    type Reader = fn(&[u8]) -> Option<(usize, u32)>;
    let kinds: [(&'static str, u8, Reader); 3] =
        [("escapes", b'\\', backslash), ("percent", b'%', percent), ("entities", b'&', entity)];
    for (encoding, mark, read) in kinds {
        if let Some(layer) = without(text, encoding, mark, read) {
            found(layer);
        }
    }
}

fn without(
    text: &[u8],
    encoding: &'static str,
    mark: u8,
    read: fn(&[u8]) -> Option<(usize, u32)>,
) -> Option<Layer> {
    let mut inner = Vec::new();
    let mut steps = vec![(0, 0)];
    let mut copied = 0;
    for at in memchr::memchr_iter(mark, text) {
        // An escape that begins within another is none.
        let Some((length, character)) = text.get(at..).filter(|_| at >= copied).and_then(read) else {
            continue;
        };
        inner.extend_from_slice(text.get(copied..at)?);
        steps.push((inner.len(), at));
        match (encoding, char::from_u32(character)) {
            ("percent", _) => inner.push(character as u8),
            (_, Some(character)) => inner.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            (_, None) => {}
        }
        copied = at + length;
        steps.push((inner.len(), copied));
    }
    if copied == 0 {
        return None;
    }
    inner.extend_from_slice(text.get(copied..)?);
    Some(Layer { encoding, text: inner, origin: Origin::Steps(steps) })
}

/// How long the escape is, and what it stands for.
fn backslash(text: &[u8]) -> Option<(usize, u32)> {
    let number = |from: usize, to: usize| hex_number(text.get(from..to)?);
    match text.get(1)? {
        b'n' => Some((2, 10)),
        b't' => Some((2, 9)),
        b'r' => Some((2, 13)),
        b'x' => Some((4, number(2, 4)?)),
        b'u' if text.get(2) == Some(&b'{') => {
            let end = text.iter().take(10).position(|byte| *byte == b'}')?;
            Some((end + 1, number(3, end)?))
        }
        b'u' => Some((6, number(2, 6)?)),
        other if other.is_ascii_punctuation() => Some((2, u32::from(*other))),
        _ => None,
    }
}

fn percent(text: &[u8]) -> Option<(usize, u32)> {
    Some((3, hex_number(text.get(1..3)?)?))
}

fn entity(text: &[u8]) -> Option<(usize, u32)> {
    let end = text.iter().take(12).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(text.get(1..end)?).ok()?;
    let character = match name {
        "amp" => 38,
        "lt" => 60,
        "gt" => 62,
        "quot" => 34,
        "apos" => 39,
        _ => {
            let number = name.strip_prefix('#')?;
            match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            }
        }
    };
    Some((end + 1, character))
}

fn hex_number(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    u32::from_str_radix(text, 16).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))
}
