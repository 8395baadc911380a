use super::Layer;
use super::encodings::Kinds;
use std::ops::Range;

/// A piece of a text that was decoded.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// Where it is in the outermost text.
    pub original: Range<usize>,
    /// Where it was in the text of the pass before.
    pub encoded: Range<usize>,
    /// Where it is now.
    pub decoded: Range<usize>,
    /// Its own encoding, and those of the pieces that it was decoded from.
    pub kinds: Kinds,
}

impl Segment {
    /// `layers` are those of the passes before.
    pub(super) fn new(encoded: Range<usize>, decoded: Range<usize>, own: Kinds, layers: &[Layer]) -> Self {
        let Some((last, outer)) = layers.split_last() else {
            return Self { original: encoded.clone(), encoded, decoded, kinds: own };
        };
        let touched = last.touched(&encoded);
        let kinds = touched.iter().fold(own, |kinds, segment| kinds | segment.kinds);
        Self { original: original(touched, &encoded, outer), encoded, decoded, kinds }
    }
}

/// Where a range of a decoded text comes from: `segments` are those of its layer that it touches, `outer` the layers before, the
/// outermost first.
///
/// What lies within one segment comes from all of it. What goes over its ends keeps what is outside.
pub(super) fn original(segments: &[Segment], range: &Range<usize>, outer: &[Layer]) -> Range<usize> {
    let mut mapped: Option<Range<usize>> = None;
    for segment in segments {
        if segment.decoded.start <= range.start && range.end <= segment.decoded.end {
            return segment.original.clone();
        }
        // The part before the segment, and the one after it, are as long in the encoded text.
        let before = segment.decoded.start.saturating_sub(range.start);
        let after = range.end.saturating_sub(segment.decoded.end);
        let start = segment.encoded.start.saturating_sub(before);
        let end = segment.encoded.end.saturating_add(after);
        mapped = Some(match mapped {
            None => start..end,
            Some(other) => other.start.min(start)..other.end.max(end),
        });
    }
    let Some(mapped) = mapped else { return range.clone() };
    match outer.split_last() {
        Some((layer, outer)) => original(layer.touched(&mapped), &mapped, outer),
        None => mapped,
    }
}
