//! What stands where a value stood.

use super::span::Label;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use strongroom_secret::{Entropy, SecretBytes};

/// What is written instead of a value.
#[derive(Debug, Default)]
pub enum Style {
    /// `***`.
    #[default]
    Mask,
    /// `[NAME]`: the secret's name, the rule's, or what the text calls it.
    Name,
    /// `[redacted:1a2b3c4d]`, the same for the same value under the same key: lines still belong together.
    Hash(HashKey),
}

/// The key of hashes. Who has it can try values; who has not learns nothing of them.
#[derive(Debug)]
pub struct HashKey(SecretBytes);

#[derive(Debug, thiserror::Error)]
#[error("a key of fewer than {} bytes is no key", HashKey::BYTES_MIN)]
pub struct ShortKey;

impl HashKey {
    pub const BYTES_MIN: usize = 16;

    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = vec![0; 32];
        entropy.fill(&mut bytes);
        Self(SecretBytes::new(bytes))
    }

    /// Any bytes that are hard to guess.
    pub fn new(bytes: SecretBytes) -> Result<Self, ShortKey> {
        if bytes.expose().len() < Self::BYTES_MIN { Err(ShortKey) } else { Ok(Self(bytes)) }
    }

    fn hash(&self, value: &[u8]) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("a key");
        mac.update(b"strongroom redact\0");
        mac.update(value);
        let tag = mac.finalize().into_bytes();
        data_encoding::HEXLOWER.encode(tag.get(..4).unwrap_or_default())
    }
}

pub(super) const MASK: &str = "***";

impl Style {
    /// For a known value.
    pub(super) fn of_known(&self, name: &str, value: &SecretBytes) -> Box<[u8]> {
        self.of(name, value.expose().trim_ascii()).into_bytes().into()
    }

    /// For what the text itself shows to be a secret.
    pub(super) fn of(&self, name: &str, value: &[u8]) -> String {
        match self {
            Self::Mask => MASK.to_owned(),
            Self::Name => format!("[{}]", plain(name)),
            Self::Hash(key) => format!("[redacted:{}]", key.hash(value)),
        }
    }
}

/// A name with nothing in it that would mean something in JSON, a shell or a terminal.
fn plain(name: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/' | ':');
    name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect()
}

/// Whether a text is a replacement of any style: what was redacted once is left as it is.
pub(super) fn is_replacement(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(byte) || !byte.is_ascii();
    match text {
        [b'[', inner @ .., b']'] => inner.iter().all(is_plain),
        _ => !text.is_empty() && text.iter().all(|byte| *byte == b'*'),
    }
}

/// How often each label was replaced.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(std::collections::BTreeMap<Label, u64>);

impl Tally {
    pub(super) fn count(&mut self, label: Label) {
        *self.0.entry(label).or_default() += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Label, u64)> + '_ {
        self.0.iter().map(|(label, count)| (*label, *count))
    }
}
