//! Texts within texts: base64, hexadecimal, percent and Unicode escapes, nested.
//!
//! One pass replaces everything in a text that can be decoded, and remembers what came from where: so a finding in what was decoded
//! can be shown in the text that it was decoded from. The passes are those of gitleaks, and in [`Mode::Compatible`] what is taken as
//! encoded is too. Only printable ASCII comes out.

mod encodings;
mod scan;
mod segment;
#[cfg(test)]
mod tests;

pub(crate) use encodings::Kinds;
pub(crate) use segment::Segment;

use crate::Mode;
use std::ops::Range;

/// What one pass decodes at most, in one text.
const DECODED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A text in which what was encoded is decoded.
#[derive(Debug)]
pub(crate) struct Layer {
    pub text: Vec<u8>,
    /// What was decoded, in the order of the text.
    pub segments: Vec<Segment>,
    pub depth: usize,
}

/// One pass over a text: the fragment's, or that of the last of the layers before. `None`: nothing is encoded in it. Only what
/// touches one of the `changed` ranges is looked at, if there are any.
pub(crate) fn decode(
    text: &[u8],
    layers: &[Layer],
    mode: Mode,
    changed: Option<&[Range<usize>]>,
) -> Option<Layer> {
    let mut out = Vec::new();
    let mut segments = Vec::new();
    let mut copied = 0;
    let depth = layers.len() + 1;
    for found in encoded(text, mode, changed) {
        if changed.is_some_and(|changed| !touches(changed, &found.range)) {
            continue;
        }
        let Some(encoded) = text.get(found.range.clone()) else { continue };
        let Some(decoded) = encodings::decode(found.encoding, encoded, mode) else { continue };
        if out.len() + decoded.len() > DECODED_BYTES_MAX {
            break;
        }
        if segments.is_empty() {
            out.reserve(text.len());
        }
        out.extend_from_slice(text.get(copied..found.range.start).unwrap_or_default());
        let start = out.len();
        out.extend_from_slice(&decoded);
        copied = found.range.end;
        segments.push(Segment::new(found.range, start..out.len(), found.encoding.kinds(), layers));
    }
    if segments.is_empty() {
        return None;
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(Layer { text: out, segments, depth })
}

/// What may be encoded: in the whole text, or in the lines that changed: nothing encoded goes beyond a line, but
/// for code points that stand one below the other.
fn encoded(text: &[u8], mode: Mode, changed: Option<&[Range<usize>]>) -> Vec<scan::Encoded> {
    let Some(changed) = changed else { return scan::encoded(text, mode) };
    let mut found = Vec::new();
    for lines in lines_around(text, changed) {
        let of_lines = scan::encoded(text.get(lines.clone()).unwrap_or_default(), mode);
        found.extend(of_lines.into_iter().map(|one| scan::Encoded {
            range: one.range.start + lines.start..one.range.end + lines.start,
            ..one
        }));
    }
    found
}

/// The whole lines that meet the ranges, without overlaps. Of a line that is very long only what is near.
fn lines_around(text: &[u8], ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    const NEAR_BYTES: usize = 64 * 1024;
    let mut lines: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        let known = lines.last().map_or(0, |last| last.end);
        if range.end < known {
            continue;
        }
        let least = range.start.saturating_sub(NEAR_BYTES).max(known).min(text.len());
        let before = text.get(least..range.start.max(least)).unwrap_or_default();
        let start = memchr::memrchr(b'\n', before).map_or(least, |at| least + at + 1);
        let most = range.end.saturating_add(NEAR_BYTES).min(text.len());
        let after = text.get(range.end..most).unwrap_or_default();
        let end = memchr::memchr(b'\n', after).map_or(most, |at| range.end + at + 1);
        match lines.last_mut() {
            // What follows closely is one piece with what came before.
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => lines.push(start..end),
        }
    }
    lines
}

/// Whether a range meets one of the sorted ranges, or borders on it.
pub(crate) fn touches(ranges: &[Range<usize>], range: &Range<usize>) -> bool {
    let at = ranges.partition_point(|other| other.end < range.start);
    ranges.get(at).is_some_and(|other| other.start <= range.end)
}

impl Layer {
    /// The segments that a match in the decoded text touches.
    pub(crate) fn touched(&self, range: &Range<usize>) -> &[Segment] {
        let first = self.segments.partition_point(|segment| segment.decoded.end < range.start);
        let rest = self.segments.get(first..).unwrap_or_default();
        let count = rest.partition_point(|segment| segment.decoded.start <= range.end);
        rest.get(..count).unwrap_or_default()
    }

    /// The line of the decoded text that the segments stand in. Like gitleaks', it begins with the newline before.
    pub(crate) fn line_of(&self, segments: &[Segment]) -> Range<usize> {
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
            return 0..self.text.len();
        };
        let before = self.text.get(..=first.decoded.start).unwrap_or(&self.text);
        let start = memchr::memrchr(b'\n', before).unwrap_or(0);
        let end = last.decoded.end;
        let after = self.text.get(end..).unwrap_or_default();
        start..memchr::memchr(b'\n', after).map_or(self.text.len(), |at| end + at)
    }

    /// Where in the outermost text a range of this one comes from.
    pub(crate) fn original(&self, range: &Range<usize>, outer: &[Layer]) -> Range<usize> {
        segment::original(self.touched(range), range, outer)
    }
}
