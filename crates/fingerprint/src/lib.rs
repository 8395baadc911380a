//! Fingerprints of values: by them a scan knows a value that it does not have.
//!
//! For each form of a value: its length, which classes of characters it has, what its first run of letters and digits is
//! followed by, 32 bits of a keyed hash, and an HMAC-SHA256 under a **scan key** that serves for nothing else. Who searches
//! compares head and length first, then the 32 bits, then the HMAC.
//!
//! Whoever steals fingerprints with their key can try values against them. So a value of which less than [`BITS_MIN`] bits
//! cannot be guessed gets none, and [`fingerprints`] says so.

mod forms;
mod guess;
mod packed;

pub use forms::{
    BITS_MIN, Form, LeftOut, VALUE_BYTES_MAX, decoded_value, fingerprints, fingerprints_of_any,
    password_of_address,
};
pub use guess::shannon;
pub use packed::{PACKED_BYTES, PackedError};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use strongroom_secret::{Entropy, SecretBytes};

/// The bytes of a tag that is whole.
pub const TAG_BYTES: usize = 16;

/// A keyed hash of one form of a value.
pub type Tag = [u8; TAG_BYTES];

/// The fingerprint of one form of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub form: Form,
    /// In bytes; never zero.
    pub length: u32,
    pub classes: u8,
    pub head: Head,
    pub filter: u32,
    pub tag: Tag,
}

/// How many letters and digits a value begins with, and what follows them; nothing if it has no other character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    pub run: u32,
    pub next: Option<u8>,
}

impl Head {
    pub fn of(value: &[u8]) -> Self {
        let run = value.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        Self { run: u32::try_from(run).unwrap_or(u32::MAX), next: value.get(run).copied() }
    }
}

/// Lower case, upper case, digits, spaces, other ASCII, the rest.
pub fn classes(value: &[u8]) -> u8 {
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

/// The key that fingerprints are made under.
pub struct ScanKey {
    bytes: SecretBytes,
    filter: [u64; 2],
    /// What every tag begins with is hashed once.
    value: Hmac<Sha256>,
}

impl ScanKey {
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = vec![0; 32];
        entropy.fill(&mut bytes);
        Self::new(SecretBytes::new(bytes))
    }

    /// A key of bytes that are random and serve for nothing else.
    pub fn new(bytes: SecretBytes) -> Self {
        let derived = finished(begun(&bytes, b"filter"), b"");
        let (left, right) = derived.split_at(8);
        let filter = [word(left), word(right.get(..8).unwrap_or_default())];
        Self { value: begun(&bytes, b"value"), filter, bytes }
    }

    pub fn bytes(&self) -> &SecretBytes {
        &self.bytes
    }

    pub fn tag(&self, value: &[u8]) -> Tag {
        shortened(finished(self.value.clone(), value))
    }

    /// A keyed hash for another purpose than values: an id of something.
    pub fn id(&self, purpose: &[u8], named: &[u8]) -> Tag {
        shortened(finished(begun(&self.bytes, purpose), named))
    }

    /// Thirty-two bits say at most thirty-two bits of a value: this need be fast, not strong.
    pub fn filter(&self, value: &[u8]) -> u32 {
        let [first, second] = self.filter;
        let length = value.len() as u64;
        let mut state = first ^ length;
        for chunk in value.chunks(8) {
            state = fold(state ^ word(chunk), second);
        }
        let last = fold(state ^ second, first | 1);
        (last ^ (last >> 32)) as u32
    }

    fn fingerprint(&self, form: Form, value: &[u8]) -> Fingerprint {
        Fingerprint {
            form,
            length: u32::try_from(value.len()).unwrap_or(u32::MAX),
            classes: classes(value),
            head: Head::of(value),
            filter: self.filter(value),
            tag: self.tag(value),
        }
    }
}

impl std::fmt::Debug for ScanKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[scan key, redacted]")
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

fn begun(key: &SecretBytes, purpose: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length of key");
    mac.update(b"strongroom known 1\0");
    mac.update(purpose);
    mac.update(&[0]);
    mac
}

fn finished(mut mac: Hmac<Sha256>, value: &[u8]) -> [u8; 32] {
    mac.update(value);
    mac.finalize().into_bytes().into()
}

fn shortened(whole: [u8; 32]) -> Tag {
    let mut tag = [0; TAG_BYTES];
    tag.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    tag
}

#[cfg(test)]
mod tests;
