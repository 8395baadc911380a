//! Finds all keywords of all rules in one pass, at about a gigabyte a second.
//!
//! Of each keyword three bytes in a row are chosen, those that are rarest in program text. A table with a byte for each of 65,536
//! hashes says whether three bytes of the text may be such a piece; eight places are looked up without a branch between them. Only
//! where the table says so the keywords themselves are compared. Letters are compared without regard to ASCII case.

use crate::efficiency;
use std::collections::HashMap;
use std::ops::Range;

/// Bytes of a keyword that the table is about.
const PIECE: usize = 3;
const TABLE: usize = 1 << 16;
/// Each byte with the bit that tells small letters from capital ones.
const SMALL: u64 = 0x2020_2020_2020_2020;

/// The number of a keyword, by the order in which it was first given.
pub(crate) type KeywordId = u32;

/// Where a keyword counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Anywhere,
    /// Only where no letter, digit or underscore is before it.
    AtWordStart,
}

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
    /// Those that have their piece begin before them.
    early: Vec<KeywordId>,
}

/// A keyword that has its piece here.
#[derive(Debug)]
struct Candidate {
    /// What follows from the piece on, with [`SMALL`] set; only the bytes under the mask.
    word: u64,
    mask: u64,
    keyword: KeywordId,
    /// Where in the keyword the piece is; -1: a byte before it.
    offset: i16,
    /// The next candidate with the same hash, from 1; 0: none.
    next: u16,
}

impl Prefilter {
    /// Keywords in small letters. Empty ones, and what goes beyond 65,000 pieces, have no id.
    pub(crate) fn new<'k>(
        keywords: impl Iterator<Item = (&'k str, Standing)>,
    ) -> (Self, HashMap<&'k str, KeywordId>) {
        let mut ids = HashMap::new();
        let mut filter = Self {
            table: Box::new([0; TABLE]),
            heads: Box::new([0; TABLE]),
            candidates: Vec::new(),
            keywords: Vec::new(),
            single: Vec::new(),
            early: Vec::new(),
        };
        for (keyword, standing) in keywords {
            if keyword.is_empty() || ids.contains_key(keyword) || filter.candidates.len() > 65_000 {
                continue;
            }
            let Ok(id) = KeywordId::try_from(filter.keywords.len()) else { continue };
            ids.insert(keyword, id);
            filter.add(keyword.as_bytes(), id, standing);
        }
        (filter, ids)
    }

    fn add(&mut self, keyword: &[u8], id: KeywordId, standing: Standing) {
        self.keywords.push(keyword.into());
        match keyword {
            [only] => self.single.push((*only, id)),
            // The byte before can be any but a letter or a digit; what is no UTF-8 or beyond ASCII is none.
            [one, two] if standing == Standing::AtWordStart => {
                self.early.push(id);
                for before in 0..=u8::MAX {
                    // Folding brings other bytes to the places of letters: only what is a word as it stands is left out.
                    let folded = before | 0x20;
                    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                    if before == folded && !(is_word(folded) && is_word(folded & !0x20)) {
                        self.put(&[before, *one, *two], id, -1);
                    }
                }
            }
            // The third byte can be any: one candidate for each value that folding leaves.
            [one, two] => {
                for third in (0..=u8::MAX).filter(|third| third & 0x20 != 0) {
                    self.put(&[*one, *two, third], id, 0);
                }
            }
            _ => {
                let cost = |at: &usize| match keyword.get(*at..at + PIECE) {
                    Some([one, two, three]) => commonness(*one, *two, *three),
                    _ => i32::MAX,
                };
                let last = keyword.len().min(1000).saturating_sub(PIECE);
                let at = (0..=last).min_by_key(cost).unwrap_or(0);
                self.put(keyword.get(at..).unwrap_or_default(), id, i16::try_from(at).unwrap_or(0));
            }
        }
    }

    fn put(&mut self, tail: &[u8], keyword: KeywordId, offset: i16) {
        let Ok(index) = u16::try_from(self.candidates.len() + 1) else { return };
        let word = word(tail) | SMALL;
        let mask = u64::MAX >> (64 - 8 * tail.len().clamp(1, 8));
        let hash = hash(word);
        if let (Some(head), Some(entry)) = (self.heads.get_mut(hash), self.table.get_mut(hash)) {
            self.candidates.push(Candidate { word: word & mask, mask, keyword, offset, next: *head });
            *head = index;
            *entry = 1;
        }
    }

    pub(crate) fn keyword_count(&self) -> usize {
        self.keywords.len()
    }

    /// All keywords that stand wholly in the range of the text, with the places where they begin. Places go up, but for a
    /// keyword's length.
    pub(crate) fn hits(&self, text: &[u8], range: Range<usize>, hit: &mut impl FnMut(KeywordId, usize)) {
        // A keyword at the very beginning of a word: the byte before it is looked at too.
        let first = range.start.saturating_sub(1);
        let Some(window) = text.get(first..range.end) else { return };
        let mut hit = |keyword: KeywordId, at: usize| {
            if first + at >= range.start {
                hit(keyword, first + at);
            }
        };
        if range.start == 0 {
            for id in &self.early {
                self.compare(window, 0, *id, &mut hit);
            }
        }
        let mut at = 0;
        while let Some(chunk) = window.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            if self.has_any(chunk) {
                self.eight(window, at, chunk, &mut hit);
            }
            at += 8;
        }
        // What is left is looked at with nothing behind it.
        let rest = window.get(at..).unwrap_or_default();
        for offset in 0..rest.len().saturating_sub(1) {
            let word = word(rest.get(offset..).unwrap_or_default()) | SMALL;
            if self.table.get(hash(word)) == Some(&1) {
                self.verify(window, at + offset, word, &mut hit);
            }
        }
        for (byte, id) in &self.single {
            let other = byte.to_ascii_uppercase();
            memchr::memchr2_iter(*byte, other, window).for_each(|place| hit(*id, place));
        }
    }

    /// Whether a piece may begin at one of the first eight places.
    #[inline]
    fn has_any(&self, chunk: &[u8; 16]) -> bool {
        let [low, high] = words(chunk);
        #[expect(clippy::indexing_slicing, reason = "a hash has sixteen bits, the table as many entries")]
        let look = |word: u64| self.table[hash(word)];
        let first = look(low) | look(low >> 8) | look(low >> 16) | look(low >> 24);
        let second = look(low >> 32) | look(low >> 40) | look(high >> 24) | look(high >> 32);
        first | second != 0
    }

    /// The keywords that have their pieces at one of eight places.
    #[inline(never)]
    fn eight(&self, window: &[u8], at: usize, chunk: &[u8; 16], hit: &mut impl FnMut(KeywordId, usize)) {
        let chunk = u128::from_le_bytes(*chunk);
        #[expect(clippy::cast_possible_truncation, reason = "eight bytes are wanted")]
        let word = |place: u32| (chunk >> (8 * place)) as u64 | SMALL;
        let mut mask = 0_u32;
        for place in 0..8 {
            mask |= self.table.get(hash(word(place))).map_or(0, |there| u32::from(*there) << place);
        }
        while mask != 0 {
            let place = mask.trailing_zeros();
            mask &= mask - 1;
            self.verify(window, at + place as usize, word(place), hit);
        }
    }

    /// Compares the keywords that may have their piece at `place`, where `word` is.
    #[inline]
    fn verify(&self, window: &[u8], place: usize, word: u64, hit: &mut impl FnMut(KeywordId, usize)) {
        let mut next = self.heads.get(hash(word)).copied().unwrap_or(0);
        while next != 0 {
            let Some(candidate) = self.candidates.get(usize::from(next) - 1) else { return };
            next = candidate.next;
            if word & candidate.mask != candidate.word {
                continue;
            }
            let start = if candidate.offset < 0 {
                let is_word =
                    window.get(place).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
                Some(place + 1).filter(|_| !is_word)
            } else {
                place.checked_sub(usize::from(candidate.offset.unsigned_abs()))
            };
            if let Some(start) = start {
                self.compare(window, start, candidate.keyword, hit);
            }
        }
    }

    fn compare(&self, window: &[u8], start: usize, id: KeywordId, hit: &mut impl FnMut(KeywordId, usize)) {
        let Some(keyword) = self.keywords.get(id as usize) else { return };
        let there = window.get(start..start + keyword.len());
        if there.is_some_and(|there| there.eq_ignore_ascii_case(keyword)) {
            hit(id, start);
        }
    }
}

/// The first eight bytes, or what there is of them.
fn word(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The first eight bytes, and eight from the fourth on.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "eight bytes are wanted")]
fn words(chunk: &[u8; 16]) -> [u64; 2] {
    let chunk = u128::from_le_bytes(*chunk);
    [chunk as u64 | SMALL, (chunk >> 24) as u64 | SMALL]
}

/// Of the three low bytes: what is above them goes beyond the top.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "three bytes are wanted")]
fn hash(word: u64) -> usize {
    ((word as u32).wrapping_mul(0x9e37_79b1 << 8) >> 16) as usize
}

/// About how often three bytes stand together in program text, on a scale of logarithms.
fn commonness(one: u8, two: u8, three: u8) -> i32 {
    let alone = i32::from(frequency(one)) + i32::from(frequency(two)) + i32::from(frequency(three));
    alone * 2 - i32::from(efficiency::trigram_bits(one, two, three)) / 4
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
        let keywords = keywords.iter().map(|keyword| (*keyword, Standing::Anywhere));
        let (filter, _) = Prefilter::new(keywords);
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

    #[test]
    fn a_keyword_can_be_wanted_at_the_beginning_of_words_alone() {
        let (filter, _) = Prefilter::new([("ey", Standing::AtWordStart)].into_iter());
        let text = b"ey key (EY _ey \xffey @ey `ey 9ey\x05ey\x1feyey";
        let mut hits = Vec::new();
        filter.hits(text, 0..text.len(), &mut |_, at| hits.push(at));
        assert_eq!(hits, [0, 8, 16, 20, 24, 31, 34]);
        hits.clear();
        filter.hits(text, 8..18, &mut |_, at| hits.push(at));
        assert_eq!(hits, [8, 16]);
        hits.clear();
        filter.hits(text, 5..9, &mut |_, at| hits.push(at));
        assert_eq!(hits, [] as [usize; 0]);
    }
}
