//! Fingerprints of values that a store holds: found exactly, in any encoding, without holding one of them.
//!
//! For each value: its length, which classes of characters it has, what its first run of letters and digits is followed
//! by, 32 bits of a keyed hash, and an HMAC-SHA256 under a **scan key** that serves for nothing else. The scanner takes
//! runs of letters and digits, compares head and length, then the 32 bits, then the HMAC.
//!
//! Whoever steals an index with its key can try values against it. So a value of which less than
//! [`BITS_MIN`] bits cannot be guessed is not taken into it, and [`Builder::add`] says so.

mod file;
pub(crate) mod findings;
mod guess;
mod layers;
mod search;

pub use file::{BYTES_MAX, FileError};
pub use findings::RULE_ID;
pub use search::{Hit, Matcher};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use strongroom_secret::{Entropy, SecretBytes};

/// A value must be this hard to guess, in bits, beyond what its entry tells.
pub const BITS_MIN: f64 = 64.0;
/// What an entry tells of a value: where its first other character stands, and which.
const TOLD_BITS: f64 = 10.0;
/// Longer values are not taken: nobody commits them unchanged.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// A shorter value is met by chance, and is not searched for.
pub const SEARCHED_BYTES_MIN: usize = 6;
/// A value has at most so many forms, its lines among them.
const FORMS_MAX: usize = 256;
const TAG_BYTES: usize = 16;

/// The values of a store, as something that can be looked for and not read.
pub struct Index {
    key: ScanKey,
    secrets: Vec<KnownSecret>,
    entries: Vec<Entry>,
}

/// What a hit names. Never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSecret {
    /// The same for the same name and version under one scan key, and says neither.
    pub id: String,
    pub name: String,
    /// The provider's name of the version, or nothing where it has none.
    pub version: Option<String>,
    /// Where the value is kept, for people.
    pub origin: String,
}

/// Which form of a value an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    Whole,
    /// The bytes that the value is the base64 or hex of.
    Decoded,
    /// One line of a value of several.
    Line,
}

impl Form {
    pub fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Decoded => "decoded",
            Self::Line => "line",
        }
    }

    fn by_word(word: &str) -> Option<Self> {
        [Self::Whole, Self::Decoded, Self::Line].into_iter().find(|form| form.word() == word)
    }
}

/// The fingerprint of one form of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    secret: u32,
    form: Form,
    length: u32,
    classes: u8,
    head: Head,
    filter: u32,
    tag: [u8; TAG_BYTES],
}

/// How many letters and digits a value begins with, and what follows them; nothing if it has no other character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Head {
    run: u32,
    next: Option<u8>,
}

impl Head {
    fn of(value: &[u8]) -> Self {
        let run = value.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        Self { run: u32::try_from(run).unwrap_or(u32::MAX), next: value.get(run).copied() }
    }
}

/// Why a value is not in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    #[error("it can be guessed: about {bits} bits, and less than {min} would let a stolen index be searched", min = BITS_MIN)]
    Guessable { bits: u32 },
    #[error("it is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong,
}

/// The key that fingerprints are made under.
pub struct ScanKey {
    bytes: SecretBytes,
    filter: [u64; 2],
}

impl ScanKey {
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = vec![0; 32];
        entropy.fill(&mut bytes);
        Self::new(bytes)
    }

    fn new(bytes: Vec<u8>) -> Self {
        let bytes = SecretBytes::new(bytes);
        let derived = mac(&bytes, b"filter", &[]);
        let (left, right) = derived.split_at(8);
        Self { bytes, filter: [word(left), word(right.get(..8).unwrap_or_default())] }
    }

    fn tag(&self, value: &[u8]) -> [u8; TAG_BYTES] {
        let whole = mac(&self.bytes, b"value", value);
        let mut tag = [0; TAG_BYTES];
        tag.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        tag
    }

    /// Thirty-two bits say at most thirty-two bits of a value: this need be fast, not strong.
    fn filter(&self, value: &[u8]) -> u32 {
        let [first, second] = self.filter;
        let length = value.len() as u64;
        let mut state = first ^ length;
        for chunk in value.chunks(8) {
            state = fold(state ^ word(chunk), second);
        }
        let last = fold(state ^ second, first | 1);
        (last ^ (last >> 32)) as u32
    }
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left ^ 0x9e37_79b9_7f4a_7c15) * u128::from(right | 1);
    (product >> 64) as u64 ^ product as u64
}

/// At most eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn mac(key: &SecretBytes, purpose: &[u8], value: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length of key");
    mac.update(b"strongroom known 1\0");
    mac.update(purpose);
    mac.update(&[0]);
    mac.update(value);
    mac.finalize().into_bytes().into()
}

/// Lower case, upper case, digits, spaces, other ASCII, the rest.
fn classes(value: &[u8]) -> u8 {
    value.iter().fold(0, |mask, byte| {
        mask | match byte {
            b'a'..=b'z' => 1,
            b'A'..=b'Z' => 2,
            b'0'..=b'9' => 4,
            b' ' | b'\t'..=b'\r' => 8,
            0x80.. => 32,
            _ => 16,
        }
    })
}

/// Makes an index of values.
pub struct Builder {
    index: Index,
    weak: Weak,
}

/// What becomes of values that can be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weak {
    LeftOut,
    /// For an index that is never written: nobody can steal it.
    Taken,
}

impl Builder {
    pub fn new(key: ScanKey) -> Self {
        Self { index: Index { key, secrets: Vec::new(), entries: Vec::new() }, weak: Weak::LeftOut }
    }

    /// For one search by this process: takes values in that can be guessed, as long as they have [`SEARCHED_BYTES_MIN`]
    /// bytes. Its index must not be written down.
    pub fn for_search(entropy: &dyn Entropy) -> Self {
        Self { weak: Weak::Taken, ..Self::new(ScanKey::generate(entropy)) }
    }

    /// Takes a value in, in all its forms.
    pub fn add(
        &mut self,
        name: &str,
        version: Option<&str>,
        origin: &str,
        value: &SecretBytes,
    ) -> Result<(), LeftOut> {
        let value = value.expose();
        let trimmed = value.trim_ascii();
        if trimmed.len() > VALUE_BYTES_MAX {
            return Err(LeftOut::TooLong);
        }
        let bits = unguessable_bits(trimmed);
        let mut forms = vec![(Form::Whole, trimmed.to_vec())];
        forms.extend(lines(trimmed).map(|line| (Form::Line, line.to_vec())));
        forms.extend(layers::decoded_value(trimmed).map(|decoded| (Form::Decoded, decoded)));
        // What is left of a value that is no secret as a whole (a long text) may still hold a line that is.
        let is_taken = |form: &[u8]| match self.weak {
            Weak::LeftOut => unguessable_bits(form) >= BITS_MIN,
            Weak::Taken => form == trimmed && form.len() >= SEARCHED_BYTES_MIN,
        };
        forms.retain(|(_, form)| is_taken(form) || unguessable_bits(form) >= BITS_MIN);
        if !is_taken(trimmed) || forms.is_empty() {
            return Err(LeftOut::Guessable { bits: bits.max(0.0) as u32 });
        }
        let index = &mut self.index;
        let secret = u32::try_from(index.secrets.len()).unwrap_or(u32::MAX);
        for (form, mut bytes) in forms.into_iter().take(FORMS_MAX) {
            index.entries.push(entry(&index.key, secret, form, &bytes));
            zeroize::Zeroize::zeroize(&mut bytes);
        }
        let named = [name.as_bytes(), b"\0", version.unwrap_or_default().as_bytes()].concat();
        let id = mac(&index.key.bytes, b"id", &named);
        index.secrets.push(KnownSecret {
            id: data_encoding::HEXLOWER.encode(id.get(..8).unwrap_or_default()),
            name: name.to_owned(),
            version: version.map(str::to_owned),
            origin: origin.to_owned(),
        });
        Ok(())
    }

    pub fn build(self) -> Index {
        self.index
    }
}

fn entry(key: &ScanKey, secret: u32, form: Form, value: &[u8]) -> Entry {
    Entry {
        secret,
        form,
        length: u32::try_from(value.len()).unwrap_or(u32::MAX),
        classes: classes(value),
        head: Head::of(value),
        filter: key.filter(value),
        tag: key.tag(value),
    }
}

/// What an attacker who holds the index would still have to guess.
fn unguessable_bits(value: &[u8]) -> f64 {
    guess::bits(value) - if Head::of(value).next.is_some() { TOLD_BITS } else { 0.0 }
}

/// The lines of a value of several, without those that say what they are (`-----BEGIN …`).
fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let several = value.contains(&b'\n');
    value
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(move |line| several && !line.starts_with(b"-----"))
}

impl Index {
    /// How many values can be found.
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}

#[cfg(test)]
mod tests;
