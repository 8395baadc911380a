//! Finds known values in all their forms, and what may become one at the end of a text.
//!
//! Of each form a few pieces of eight bytes (four, for short forms) in a row are put into a table of bits. A text is looked at
//! every eighth byte alone (every fourth, for short forms): wherever a form stands, one of its pieces begins at such a place. Only
//! where the table says that it may be a piece, the forms themselves are compared. All occurrences are found, those within and
//! across others too: what belongs to any value is taken out.

use super::encodings::{PIECE_BYTES_MAX, patterns};
use super::span::{Label, Span};
use super::values::Values;
use strongroom_secret::SecretBytes;
use zeroize::Zeroize;

/// Shorter forms are not looked for.
const FORM_BYTES_MIN: usize = 4;
/// Words of 64 bits.
const LARGE_WORDS: usize = 1 << 16;
const SMALL_WORDS: usize = 1 << 11;
const MIDDLE_WORDS: usize = 1 << 13;
/// Until so many pieces a table is sparse enough.
const SMALL_PIECES_MAX: usize = 2 * SMALL_WORDS;
const MIDDLE_PIECES_MAX: usize = 2 * MIDDLE_WORDS;
/// With so many other values a form may share a piece of it.
const CROWD_MAX: u32 = 512;
/// More occurrences than that are joined before more are looked for.
const SPANS_MAX: usize = 1 << 14;

/// The forms of values, made ready to be looked for. Shared by all threads.
pub(super) struct Known {
    /// One after the other, sorted.
    bytes: SecretBytes,
    forms: Vec<Form>,
    groups: Vec<Group>,
    beginnings: Beginnings,
    bytes_max: usize,
}

#[derive(Clone, Copy)]
struct Form {
    start: usize,
    length: usize,
    secret: u32,
}

impl Known {
    pub(super) fn new(values: &Values) -> Self {
        let mut forms: Vec<(SecretBytes, u32)> = Vec::new();
        for (secret, (_, value)) in values.list.iter().enumerate() {
            let secret = u32::try_from(secret).unwrap_or(u32::MAX);
            forms.extend(patterns(value.expose()).into_iter().map(|form| (form, secret)));
        }
        forms.retain(|(form, _)| form.expose().len() >= FORM_BYTES_MIN);
        forms.sort_by(|one, other| (one.0.expose(), one.1).cmp(&(other.0.expose(), other.1)));
        forms.dedup_by(|one, other| one.0.expose() == other.0.expose());
        // Exactly as much as is needed: growing would leave copies behind.
        let mut bytes = Vec::with_capacity(forms.iter().map(|(form, _)| form.expose().len()).sum());
        let mut places = Vec::with_capacity(forms.len());
        for (form, secret) in &forms {
            places.push(Form { start: bytes.len(), length: form.expose().len(), secret: *secret });
            bytes.extend_from_slice(form.expose());
        }
        let bytes_max = places.iter().map(|form| form.length).max().unwrap_or_default();
        let mut known = Self {
            bytes: SecretBytes::new(bytes),
            forms: places,
            groups: Vec::new(),
            beginnings: Beginnings::new(),
            bytes_max,
        };
        let mut members = leading(&known);
        for kind in Kind::ALL {
            known.groups.extend(Group::new(kind, &known, &mut members));
        }
        for (form, _) in &forms {
            known.beginnings.add(form.expose());
        }
        known
    }

    fn form(&self, index: usize) -> Option<(&[u8], u32)> {
        let form = self.forms.get(index)?;
        Some((self.bytes.expose().get(form.start..form.start + form.length)?, form.secret))
    }

    fn bytes_of(&self, index: usize) -> &[u8] {
        self.form(index).map(|(bytes, _)| bytes).unwrap_or_default()
    }

    /// All occurrences of all forms, in no order; those that overlap may be joined.
    pub(super) fn search(&self, text: &[u8], spans: &mut Vec<Span>) {
        for group in &self.groups {
            group.search(self, text, spans);
        }
    }

    /// Compares a form with the text at `start`, and the forms that begin with it.
    fn compare(&self, text: &[u8], start: usize, index: usize, spans: &mut Vec<Span>) {
        let Some(rest) = text.get(start..) else { return };
        let Some((form, secret)) = self.form(index).filter(|(form, _)| rest.starts_with(form)) else {
            return;
        };
        let (mut length, mut label) = (form.len(), Label::Secret(secret));
        // They follow it in order.
        let longer = (index + 1..self.forms.len()).map_while(|next| self.form(next));
        for (longer, secret) in longer.take_while(|(longer, _)| longer.starts_with(form)) {
            if rest.starts_with(longer) {
                (length, label) = (longer.len(), Label::Secret(secret));
            }
        }
        spans.push(Span::new(start, start + length, label));
        if spans.len() > SPANS_MAX {
            super::span::join(spans);
        }
    }

    /// Where, at the end of a text, something begins that may become a form when the text goes on; and whose.
    pub(super) fn beginning(&self, text: &[u8]) -> Option<(usize, u32)> {
        let first = (text.len() + 1).saturating_sub(self.bytes_max);
        (first..text.len()).find_map(|start| {
            let rest = text.get(start..).unwrap_or_default();
            if !self.beginnings.may_be(rest) {
                return None;
            }
            let next = self.forms.partition_point(|form| {
                let bytes = self.bytes.expose().get(form.start..form.start + form.length);
                bytes.unwrap_or_default() <= rest
            });
            let (form, secret) = self.form(next)?;
            form.starts_with(rest).then_some((start, secret))
        })
    }
}

/// Forms of about the same length: how long their pieces are, and how often a text is looked at for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// From fifteen bytes: pieces of eight, every eighth byte.
    Long,
    /// Those of them that have much in common with many others: pieces of eight, every fourth byte, so that the few bytes that tell
    /// them apart are enough.
    Crowded,
    /// From seven bytes: pieces of four, every fourth byte.
    Short,
    /// Pieces of four, at every byte.
    Tiny,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Long, Self::Crowded, Self::Short, Self::Tiny];

    fn bytes_min(self) -> usize {
        match self {
            Self::Long | Self::Crowded => 15,
            Self::Short => 7,
            Self::Tiny => FORM_BYTES_MIN,
        }
    }

    fn piece(self) -> usize {
        match self {
            Self::Long | Self::Crowded => 8,
            Self::Short | Self::Tiny => 4,
        }
    }

    fn step(self) -> usize {
        match self {
            Self::Long => 8,
            Self::Crowded | Self::Short => 4,
            Self::Tiny => 1,
        }
    }

    fn places<const WORDS: usize>(
        self,
        table: &[u64; WORDS],
        text: &[u8],
        found: &mut impl FnMut(usize, u64),
    ) {
        match self {
            Self::Long => places::<WORDS, 8, 8>(table, text, found),
            Self::Crowded => places::<WORDS, 8, 4>(table, text, found),
            Self::Short => places::<WORDS, 4, 4>(table, text, found),
            Self::Tiny => places::<WORDS, 4, 1>(table, text, found),
        }
    }
}

struct Group {
    kind: Kind,
    table: Table,
    /// The first piece of each hash, from 1; 0: none.
    heads: Vec<u32>,
    pieces: Vec<Piece>,
}

struct Piece {
    word: u64,
    form: u32,
    /// Where in the form it is.
    offset: u32,
    /// The next piece with the same hash, from 1; 0: none.
    next: u32,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.pieces.iter_mut().for_each(|piece| piece.word.zeroize());
    }
}

enum Table {
    Small(Box<[u64; SMALL_WORDS]>),
    Middle(Box<[u64; MIDDLE_WORDS]>),
    Large(Box<[u64; LARGE_WORDS]>),
}

impl Group {
    /// Takes those of the forms that it is for.
    fn new(kind: Kind, known: &Known, forms: &mut Vec<usize>) -> Option<Self> {
        let mine = |form: &mut usize| known.bytes_of(*form).len() >= kind.bytes_min();
        let candidates: Vec<usize> = forms.extract_if(.., mine).collect();
        let crowds = Crowds::new(kind, known, &candidates);
        let mut members: Vec<(usize, usize)> = Vec::with_capacity(candidates.len());
        for form in candidates {
            let (base, crowd) = crowds.least(known.bytes_of(form));
            if kind == Kind::Long && crowd > CROWD_MAX {
                forms.push(form);
            } else {
                members.push((form, base));
            }
        }
        if members.is_empty() {
            return None;
        }
        let count = members.len() * kind.step();
        let table = if count <= SMALL_PIECES_MAX {
            Table::Small(Box::new([0; SMALL_WORDS]))
        } else if count <= MIDDLE_PIECES_MAX {
            Table::Middle(vec![0; MIDDLE_WORDS].try_into().ok()?)
        } else {
            Table::Large(vec![0; LARGE_WORDS].try_into().ok()?)
        };
        let heads = vec![0; count.next_power_of_two().max(2)];
        let mut group = Self { kind, table, heads, pieces: Vec::with_capacity(count) };
        for (form, base) in members {
            let bytes = known.bytes_of(form);
            for offset in base..base + kind.step() {
                group.put(word(bytes.get(offset..).unwrap_or_default(), kind.piece()), form, offset);
            }
        }
        Some(group)
    }

    fn put(&mut self, word: u64, form: usize, offset: usize) {
        let hash = hash(word);
        match &mut self.table {
            Table::Small(table) => add(table, hash),
            Table::Middle(table) => add(table, hash),
            Table::Large(table) => add(table, hash),
        }
        let (Ok(form), Ok(offset), Ok(number)) =
            (u32::try_from(form), u32::try_from(offset), u32::try_from(self.pieces.len() + 1))
        else {
            return;
        };
        let head = self.head(hash);
        if let Some(head) = self.heads.get_mut(head) {
            self.pieces.push(Piece { word, form, offset, next: *head });
            *head = number;
        }
    }

    #[inline]
    fn head(&self, hash: u64) -> usize {
        (hash >> (64 - self.heads.len().ilog2())) as usize
    }

    fn search(&self, known: &Known, text: &[u8], spans: &mut Vec<Span>) {
        let mut found = |place: usize, word: u64| self.compare(known, text, place, word, spans);
        match &self.table {
            Table::Small(table) => self.kind.places(table, text, &mut found),
            Table::Middle(table) => self.kind.places(table, text, &mut found),
            Table::Large(table) => self.kind.places(table, text, &mut found),
        }
    }

    /// Compares the forms that have a piece like this one.
    #[inline]
    fn compare(&self, known: &Known, text: &[u8], place: usize, word: u64, spans: &mut Vec<Span>) {
        let mut next = self.heads.get(self.head(hash(word))).copied().unwrap_or_default();
        while next != 0 {
            let Some(piece) = self.pieces.get(next as usize - 1) else { return };
            next = piece.next;
            if piece.word == word
                && let Some(start) = place.checked_sub(piece.offset as usize)
            {
                known.compare(text, start, piece.form as usize, spans);
            }
        }
    }
}

/// The forms that do not begin with another form: that one leads to them.
fn leading(known: &Known) -> Vec<usize> {
    let mut leading = Vec::new();
    let mut last: Option<&[u8]> = None;
    for index in 0..known.forms.len() {
        let bytes = known.bytes_of(index);
        if last.is_some_and(|last| bytes.starts_with(last)) {
            continue;
        }
        last = Some(bytes);
        leading.push(index);
    }
    leading
}

/// How many values have a piece, by hashes: what all of them begin with (`sk_live_`) tells nothing.
struct Crowds {
    kind: Kind,
    /// The last value that was counted, and how many were.
    counts: Vec<(u32, u16)>,
}

impl Crowds {
    fn new(kind: Kind, known: &Known, members: &[usize]) -> Self {
        let mut crowds = Self {
            kind,
            counts: vec![(u32::MAX, 0); (members.len() * 64).next_power_of_two().clamp(1 << 8, 1 << 18)],
        };
        // The forms of a value one after the other, so that it is counted once.
        let mut members: Vec<(u32, &[u8])> = members
            .iter()
            .filter_map(|form| known.form(*form))
            .map(|(bytes, secret)| (secret, bytes))
            .collect();
        members.sort_unstable_by_key(|(secret, _)| *secret);
        for (secret, bytes) in members {
            for piece in bytes.windows(kind.piece()) {
                let place = crowds.place(piece);
                if let Some((last, count)) = crowds.counts.get_mut(place)
                    && *last != secret
                {
                    (*last, *count) = (secret, count.saturating_add(1));
                }
            }
        }
        crowds
    }

    fn place(&self, piece: &[u8]) -> usize {
        (hash(word(piece, self.kind.piece())) >> (64 - self.counts.len().ilog2())) as usize
    }

    /// Where the pieces of a form begin that it shares with the fewest other values, and with about how many. Of several such places
    /// the one with the least hash: forms of one value have much in common, and choose the same place in it.
    fn least(&self, bytes: &[u8]) -> (usize, u32) {
        let counts: Vec<u32> = bytes
            .windows(self.kind.piece())
            .map(|piece| self.counts.get(self.place(piece)).map_or(0, |(_, count)| u32::from(*count)))
            .collect();
        let most = counts.windows(self.kind.step()).map(|counts| counts.iter().copied().max().unwrap_or(0));
        let hash_at =
            |at: usize| hash(word(bytes.get(at..).unwrap_or_default(), self.kind.piece())).swap_bytes();
        // A few more or less make no difference.
        let least = most.enumerate().min_by_key(|(base, most)| (most / 8, hash_at(*base)));
        least.unwrap_or((0, 0))
    }
}

/// So many places are looked at without a branch between them: they take this many bytes, with the last piece.
const AT_ONCE: usize = 8;
const BLOCK: usize = AT_ONCE * 8 + 8;

/// Calls `found` for each place of the text, every `STEP` bytes, at which the table may know `PIECE` bytes.
#[inline]
fn places<const WORDS: usize, const PIECE: usize, const STEP: usize>(
    table: &[u64; WORDS],
    text: &[u8],
    found: &mut impl FnMut(usize, u64),
) {
    let mut at = 0;
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let mut any = 0;
        for number in 0..AT_ONCE {
            any |= bit(table, word(block.get(number * STEP..).unwrap_or_default(), PIECE));
        }
        if any & 1 != 0 {
            places_in::<WORDS, PIECE, STEP>(table, block, &mut |place, word| found(at + place, word));
        }
        at += AT_ONCE * STEP;
    }
    while let Some(rest) = text.get(at..).filter(|rest| rest.len() >= PIECE) {
        let word = word(rest, PIECE);
        if is_set(table, word) {
            found(at, word);
        }
        at += STEP;
    }
}

/// The places of one block at which the table may know something.
#[inline(never)]
fn places_in<const WORDS: usize, const PIECE: usize, const STEP: usize>(
    table: &[u64; WORDS],
    block: &[u8; BLOCK],
    found: &mut dyn FnMut(usize, u64),
) {
    for place in (0..AT_ONCE * STEP).step_by(STEP) {
        let word = word(block.get(place..).unwrap_or_default(), PIECE);
        if is_set(table, word) {
            found(place, word);
        }
    }
}

/// Whether two of the three bits of a word are set: in the lowest bit; above it there is anything. They lie in one word of the table,
/// so that a look costs one access.
#[inline]
fn bit<const WORDS: usize>(table: &[u64; WORDS], word: u64) -> u64 {
    let (place, [one, other, _]) = bits::<WORDS>(hash(word));
    #[expect(clippy::indexing_slicing, reason = "the place has as many bits as the table's length")]
    let word = table[place];
    (word >> one) & (word >> other)
}

/// Whether all three are. What is found then costs more.
#[inline]
fn is_set<const WORDS: usize>(table: &[u64; WORDS], word: u64) -> bool {
    let (place, bits) = bits::<WORDS>(hash(word));
    table.get(place).is_some_and(|word| bits.iter().all(|bit| word >> bit & 1 != 0))
}

#[inline]
fn bits<const WORDS: usize>(hash: u64) -> (usize, [u64; 3]) {
    let length = WORDS.ilog2();
    let bit = |number: u32| (hash >> (58 - length - 6 * number)) & 63;
    ((hash >> (64 - length)) as usize, [bit(0), bit(1), bit(2)])
}

fn add<const WORDS: usize>(table: &mut [u64; WORDS], hash: u64) {
    let (place, bits) = bits::<WORDS>(hash);
    if let Some(word) = table.get_mut(place) {
        bits.iter().for_each(|bit| *word |= 1 << bit);
    }
}

fn set(table: &mut [u8], hash: u64) {
    if let Some(byte) = table.get_mut((hash >> 3) as usize) {
        *byte |= 1 << (hash & 7);
    }
}

/// The first four or eight bytes, or what there is of them.
#[inline]
fn word(bytes: &[u8], piece: usize) -> u64 {
    if piece == 4 {
        return bytes.first_chunk().map_or(0, |four| u64::from(u32::from_le_bytes(*four)));
    }
    bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

#[inline]
fn hash(word: u64) -> u64 {
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// How forms begin: a bit for each hash of one, two, … up to eight bytes.
struct Beginnings(Box<[u8; 1 << 15]>);

impl Beginnings {
    /// Bytes of a beginning that it is judged by.
    const BYTES: usize = 8;

    fn new() -> Self {
        Self(Box::new([0; 1 << 15]))
    }

    fn add(&mut self, form: &[u8]) {
        for length in 1..=form.len().min(Self::BYTES) {
            set(self.0.as_mut_slice(), Self::place(form, length));
        }
    }

    /// Whether a form may begin with the whole of `text`, judged by its first bytes: four of them, and then eight.
    fn may_be(&self, text: &[u8]) -> bool {
        let is_set = |length: usize| {
            let place = Self::place(text, length);
            self.0.get((place >> 3) as usize).is_some_and(|byte| byte >> (place & 7) & 1 != 0)
        };
        is_set(text.len().min(FORM_BYTES_MIN)) && is_set(text.len().min(Self::BYTES))
    }

    fn place(bytes: &[u8], length: usize) -> u64 {
        let start = bytes.get(..length).unwrap_or_default();
        let word = start.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash(hash(word) >> 5 ^ length as u64) >> 46
    }
}

const _: () = assert!(PIECE_BYTES_MAX < u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::span::join;

    fn known(values: &[&str]) -> Known {
        let mut all = Values::all();
        for (number, value) in values.iter().enumerate() {
            all.add(&format!("V{number}"), &SecretBytes::new(value.as_bytes().to_vec())).unwrap();
        }
        Known::new(&all)
    }

    fn found(values: &[&str], text: &[u8]) -> Vec<(usize, usize, u32)> {
        spans_of(&known(values), text)
    }

    fn spans_of(known: &Known, text: &[u8]) -> Vec<(usize, usize, u32)> {
        let mut spans = Vec::new();
        known.search(text, &mut spans);
        join(&mut spans);
        let secret = |span: &Span| match span.label {
            Label::Secret(secret) => secret,
            _ => u32::MAX,
        };
        spans.iter().map(|span| (span.start, span.end, secret(span))).collect()
    }

    #[test]
    fn values_are_found_at_every_place_of_a_text() {
        let alphabet = "abcdefghijklmnopqrstuvwxyz";
        for value in [4, 6, 7, 10, 11, 14, 15, 16, 26].map(|length| &alphabet[..length]) {
            let known = known(&[value]);
            for before in 0..80 {
                for after in 0..80 {
                    let text = [&vec![b'.'; before], value.as_bytes(), &vec![b'-'; after]].concat();
                    assert_eq!(
                        spans_of(&known, &text),
                        [(before, before + value.len(), 0)],
                        "{value} {before} {after}"
                    );
                }
            }
        }
    }

    #[test]
    fn values_within_and_across_others() {
        assert_eq!(found(&["abcdefgh", "efghijkl"], b"-abcdefghijkl-"), [(1, 13, 0)]);
        assert_eq!(found(&["abcdefgh", "cdef"], b"-abcdefgh-cdef"), [(1, 9, 0), (10, 14, 1)]);
        assert_eq!(
            found(&["hunter2", "hunter2000"], b"hunter2000 hunter2 hunter20"),
            [(0, 10, 1), (11, 18, 0), (19, 26, 0)]
        );
        assert_eq!(found(&["aaaa", "aaab"], b"aaaaaab"), [(0, 7, 0)]);
        assert_eq!(found(&["abcdabcd"], b"abcdabcdabcd"), [(0, 12, 0)]);
    }

    #[test]
    fn many_values_with_one_beginning() {
        let values: Vec<String> = (0..3000).map(|number| format!("sk_test_{:016}", number * 7919)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let known = known(&values);
        // Of text, and not of numbers of characters: of those there are few.
        let mut crowds = std::collections::HashMap::new();
        for piece in known.groups.iter().flat_map(|group| &group.pieces) {
            if !piece.word.to_le_bytes().contains(&b'\\') {
                *crowds.entry(piece.word).or_insert(0) += 1;
            }
        }
        let largest = *crowds.values().max().unwrap();
        assert!(largest <= CROWD_MAX, "what tells them apart is looked for: {largest}");
        let mut spans = Vec::new();
        for value in &values {
            known.search(format!("x {value} y").as_bytes(), &mut spans);
        }
        assert_eq!(spans.len(), 3000);
    }

    #[test]
    fn a_beginning_is_told_from_other_ends() {
        let known = known(&["hunter2", "swordfish"]);
        let at = |text: &str| known.beginning(text.as_bytes()).map(|(start, _)| start);
        assert_eq!(at("Password: "), None);
        assert_eq!(at("a hunt"), Some(2));
        assert_eq!(at("a hunter2"), None);
        assert_eq!(at("hunter"), Some(0));
        assert_eq!(at("hunthunt"), Some(4));
        assert_eq!(at("x sword"), Some(2));
        assert_eq!(at(""), None);
        // The beginning of its base64.
        assert_eq!(at("Basic aHVudGVyMg"), Some(6));
    }
}
