//! Finds all keywords of all rules in one pass, at about a gigabyte a second.
//!
//! Of each keyword three bytes in a row are chosen, those that are rarest in program text. A table with a byte for each of 65,536
//! hashes says whether three bytes of the text may be such a piece; eight places are looked up without a branch between them. Only
//! where the table says so the keywords themselves are compared. Letters are compared without regard to ASCII case.

use std::collections::HashMap;
use std::ops::Range;

/// Bytes of a keyword that the table is about.
const PIECE: usize = 3;
const TABLE: usize = 1 << 16;
/// What `fold` makes of three bytes that are not there.
const PADDING: [u8; 8] = [0; 8];

/// The number of a keyword, by the order in which it was first given.
pub(crate) type KeywordId = u32;

#[derive(Debug)]
pub(crate) struct Prefilter {
    /// 1 where a piece may begin.
    table: Box<[u8; TABLE]>,
    /// The first candidate of each hash, from 1; 0: none.
    heads: Box<[u16; TABLE]>,
    candidates: Vec<Candidate>,
    keywords: Vec<Box<[u8]>>,
    /// Keywords of one byte.
    single: Vec<(u8, KeywordId)>,
}

/// A keyword that has its piece here.
#[derive(Debug)]
struct Candidate {
    keyword: KeywordId,
    /// Where in the keyword the piece is.
    offset: u8,
    /// The next candidate with the same hash, from 1; 0: none.
    next: u16,
}

impl Prefilter {
    /// Keywords in small letters. Empty ones and what goes beyond 65,000 is left out: see [`Self::new`]'s second answer.
    pub(crate) fn new<'k>(keywords: impl Iterator<Item = &'k str>) -> (Self, HashMap<&'k str, KeywordId>) {
        let mut ids = HashMap::new();
        let mut filter = Self {
            table: Box::new([0; TABLE]),
            heads: Box::new([0; TABLE]),
            candidates: Vec::new(),
            keywords: Vec::new(),
            single: Vec::new(),
        };
        for keyword in keywords {
            if keyword.is_empty() || ids.contains_key(keyword) || filter.candidates.len() > 65_000 {
                continue;
            }
            let Ok(id) = KeywordId::try_from(filter.keywords.len()) else { continue };
            ids.insert(keyword, id);
            filter.add(keyword.as_bytes(), id);
        }
        (filter, ids)
    }

    fn add(&mut self, keyword: &[u8], id: KeywordId) {
        self.keywords.push(keyword.into());
        match keyword {
            [only] => self.single.push((*only, id)),
            // The third byte can be any: one candidate for each value that folding leaves.
            [one, two] => {
                for third in 0x20..=0x3f {
                    for high in [0x00, 0x40, 0x80, 0xc0] {
                        self.put(hash(u32::from_le_bytes([*one, *two, third | high, 0])), id, 0);
                    }
                }
            }
            _ => {
                let cost = |at: &usize| {
                    keyword.iter().skip(*at).take(PIECE).map(|byte| u32::from(frequency(*byte))).sum::<u32>()
                };
                let last = keyword.len().min(usize::from(u8::MAX)).saturating_sub(PIECE);
                let at = (0..=last).min_by_key(cost).unwrap_or(0);
                let piece = keyword.get(at..at + PIECE).unwrap_or_default();
                let mut bytes = [0; 4];
                bytes.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
                self.put(hash(u32::from_le_bytes(bytes)), id, u8::try_from(at).unwrap_or(0));
            }
        }
    }

    fn put(&mut self, hash: usize, keyword: KeywordId, offset: u8) {
        let Ok(index) = u16::try_from(self.candidates.len() + 1) else { return };
        if let (Some(head), Some(entry)) = (self.heads.get_mut(hash), self.table.get_mut(hash)) {
            self.candidates.push(Candidate { keyword, offset, next: *head });
            *head = index;
            *entry = 1;
        }
    }

    pub(crate) fn keyword_count(&self) -> usize {
        self.keywords.len()
    }

    pub(crate) fn keyword(&self, id: KeywordId) -> &[u8] {
        self.keywords.get(id as usize).map_or(&[], |keyword| keyword)
    }

    /// All keywords that stand wholly in the range of the text, with the places where they begin. Places go up, but for a
    /// keyword's length.
    pub(crate) fn hits(&self, text: &[u8], range: Range<usize>, hit: &mut impl FnMut(KeywordId, usize)) {
        let window = text.get(range.clone()).unwrap_or_default();
        let mut at = 0;
        while let Some(chunk) = window.get(at..at + 16).and_then(|chunk| <&[u8; 16]>::try_from(chunk).ok()) {
            let mut mask = self.eight(chunk);
            while mask != 0 {
                let place = at + mask.trailing_zeros() as usize;
                mask &= mask - 1;
                self.verify(window, place, range.start, hit);
            }
            at += 8;
        }
        // What is left is looked at with nothing behind it.
        let mut end = [0; 32];
        let rest = window.get(at..).unwrap_or_default();
        end.iter_mut().zip(rest.iter().chain(&PADDING)).for_each(|(to, from)| *to = *from);
        for offset in 0..rest.len().saturating_sub(1) {
            let piece = end
                .get(offset..offset + 4)
                .and_then(|piece| <[u8; 4]>::try_from(piece).ok())
                .unwrap_or_default();
            if self.table.get(hash(u32::from_le_bytes(piece))) == Some(&1) {
                self.verify(window, at + offset, range.start, hit);
            }
        }
        for (byte, id) in &self.single {
            let other = byte.to_ascii_uppercase();
            memchr::memchr2_iter(*byte, other, window).for_each(|place| hit(*id, range.start + place));
        }
    }

    /// A bit for each of the first eight places where a piece may begin.
    #[inline]
    fn eight(&self, chunk: &[u8; 16]) -> u32 {
        let [a, b, c, d, e, f, g, h, i, j, k, ..] = *chunk;
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let high = u64::from_le_bytes([d, e, f, g, h, i, j, k]);
        let look = |word: u64, shift: u32, bit: u32| {
            #[expect(clippy::cast_possible_truncation, reason = "three bytes are wanted")]
            #[expect(clippy::indexing_slicing, reason = "a hash has sixteen bits, the table as many entries")]
            {
                u32::from(self.table[hash((word >> shift) as u32)]) << bit
            }
        };
        look(low, 0, 0)
            | look(low, 8, 1)
            | look(low, 16, 2)
            | look(low, 24, 3)
            | look(low, 32, 4)
            | look(low, 40, 5)
            | look(high, 24, 6)
            | look(high, 32, 7)
    }

    /// Compares the keywords that may have their piece at `place`.
    #[inline(never)]
    fn verify(&self, window: &[u8], place: usize, base: usize, hit: &mut impl FnMut(KeywordId, usize)) {
        let piece = window.get(place..).unwrap_or_default();
        let mut bytes = [0; 4];
        bytes.iter_mut().zip(piece.iter().take(PIECE)).for_each(|(to, from)| *to = *from);
        let mut next = self.heads.get(hash(u32::from_le_bytes(bytes))).copied().unwrap_or(0);
        while next != 0 {
            let Some(candidate) = self.candidates.get(usize::from(next) - 1) else { return };
            next = candidate.next;
            let Some(start) = place.checked_sub(usize::from(candidate.offset)) else { continue };
            let keyword = self.keyword(candidate.keyword);
            let there = window.get(start..start + keyword.len());
            if there.is_some_and(|there| there.eq_ignore_ascii_case(keyword)) {
                hit(candidate.keyword, base + start);
            }
        }
    }
}

/// Of the three low bytes. Bit 5 is set in all of them, so that letters of both cases are the same.
#[inline]
fn hash(piece: u32) -> usize {
    (((piece | 0x0020_2020) & 0x00ff_ffff).wrapping_mul(0x9e37_79b1) >> 16) as usize
}

/// About how often a byte stands in program text, in units without meaning.
fn frequency(byte: u8) -> u8 {
    match byte.to_ascii_lowercase() {
        b'e' | b't' | b' ' => 12,
        b'a' | b'i' | b'n' | b'o' | b'r' | b's' => 11,
        b'l' | b'c' | b'd' => 9,
        b'u' | b'p' | b'm' | b'f' | b'_' => 8,
        b'g' | b'h' | b'b' | b'.' => 7,
        b'y' | b'v' | b'w' | b'0' | b'-' | b'/' | b'(' | b')' => 6,
        b'k' | b'x' | b'1' | b'2' | b':' | b'=' => 5,
        b'3'..=b'9' => 3,
        b'j' | b'q' | b'z' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keywords: &[&str], text: &[u8], range: Range<usize>) -> Vec<(u32, usize)> {
        let (filter, _) = Prefilter::new(keywords.iter().copied());
        let mut hits = Vec::new();
        filter.hits(text, range, &mut |keyword, at| hits.push((keyword, at)));
        hits.sort_unstable();
        hits
    }

    /// The same, looked for without any cleverness.
    fn expected(keywords: &[&str], text: &[u8], range: Range<usize>) -> Vec<(u32, usize)> {
        let mut hits = Vec::new();
        for (id, keyword) in keywords.iter().enumerate() {
            for at in range.clone() {
                if at + keyword.len() <= range.end
                    && text[at..at + keyword.len()].eq_ignore_ascii_case(keyword.as_bytes())
                {
                    hits.push((id as u32, at));
                }
            }
        }
        hits.sort_unstable();
        hits
    }

    #[test]
    fn all_keywords_are_found_wherever_they_stand() {
        let keywords = [
            "key",
            "api",
            "s.",
            "ey",
            "q~",
            "x",
            "secret",
            "xoxb-",
            "-----begin",
            "key_with_a_long_tail",
            "hf_",
        ];
        let mut text = Vec::new();
        let mut seed = 7_u32;
        for _ in 0..3000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let keyword = keywords[(seed >> 16) as usize % keywords.len()];
            let upper = keyword.to_uppercase();
            text.extend_from_slice(if seed & 1 == 0 { keyword.as_bytes() } else { upper.as_bytes() });
            text.extend_from_slice(&b"abc\xff\x80\n ="[..(seed >> 8) as usize % 8]);
        }
        for range in [0..text.len(), 1..text.len() - 1, 5..6, 7..9, 11..40, 100..101, 50..50] {
            assert_eq!(found(&keywords, &text, range.clone()), expected(&keywords, &text, range));
        }
        for length in 0..40 {
            assert_eq!(found(&keywords, &text[..length], 0..length), expected(&keywords, &text, 0..length));
        }
    }

    #[test]
    fn letters_beside_the_alphabet_do_not_fold() {
        let text = b"a`b a@B \x7fx\x7f _X_";
        assert_eq!(found(&["a@b", "_x_"], text, 0..text.len()), [(0, 4), (1, 12)]);
    }
}
