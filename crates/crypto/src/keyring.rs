//! The barrier's keys: one AES-256-GCM key per term, and a base key, stable over all terms, for derived keys.

use crate::aead::{AeadKey, AuthenticationFailed, NONCE_BYTES, TAG_BYTES};
use crate::key::{KEY_BYTES, Key, hkdf_sha256};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use strongroom_secret::{Entropy, SecretBytes, Timestamp};
use thiserror::Error;
use zeroize::Zeroize;

/// Encryptions under one term after which a new term is due. NIST SP 800-38D, section 8.3, allows 2^32 with random
/// 96-bit nonces; a quarter of that leaves room for counts lost in a crash.
pub const ENCRYPTIONS_PER_TERM_MAX: u64 = 1 << 30;

const CIPHERTEXT_VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const KEYRING_VERSION: u8 = 1;
const SEALED_VERSION: u8 = 1;
const SEALED_ADDITIONAL_DATA: &[u8] = b"strongroom keyring v1";
const DERIVE_SALT: &[u8] = b"strongroom keyring derive v1";
/// In one serialised keyring.
const TERMS_MAX: usize = 100_000;
const TERM_RECORD_BYTES: usize = 4 + 8 + 8 + KEY_BYTES;

/// Why something does not decrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecryptError {
    #[error("authentication failed")]
    AuthenticationFailed,
    #[error("authentication failed: the keyring has no key of term {term}")]
    UnknownTerm { term: u32 },
}

/// Why bytes are not a keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyringError {
    #[error("authentication failed")]
    AuthenticationFailed,
    #[error("keyring format version {version} is not known: it was written by a newer program")]
    Version { version: u8 },
    #[error("keyring is malformed")]
    Malformed,
    #[error("the keyring has no key of term {term}")]
    UnknownTerm { term: u32 },
    #[error("term {term} is the active one and stays")]
    ActiveTerm { term: u32 },
    #[error("the keyring has no room for another term")]
    Full,
}

/// The keys of all terms. It does not change but for its counts: a rotation makes a new one, which shares the old
/// terms with it.
pub struct Keyring {
    base: Key,
    /// Ascending by term, never empty.
    terms: Vec<Arc<Term>>,
    active: Arc<Term>,
}

struct Term {
    number: u32,
    created: Timestamp,
    encryptions: AtomicU64,
    key: Key,
    aead: AeadKey,
}

/// What may be told about a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermSummary {
    pub term: u32,
    pub created: Timestamp,
    /// Counted here since the last crash or restart, on top of what was stored.
    pub encryptions: u64,
}

impl Keyring {
    /// A new base key and term 1.
    pub fn generate(entropy: &dyn Entropy, now: Timestamp) -> Self {
        let first = Arc::new(Term::new(1, now, 0, Key::generate(entropy)));
        Self { base: Key::generate(entropy), terms: vec![first.clone()], active: first }
    }

    /// A keyring with one more term, which is active.
    pub fn rotate(&self, entropy: &dyn Entropy, now: Timestamp) -> Result<Self, KeyringError> {
        let announced = self.announce(entropy, now)?;
        announced.activate(announced.newest_term())
    }

    /// A keyring with one more term, which is not active yet: the first of two steps where several nodes must hold a
    /// key before one of them uses it.
    pub fn announce(&self, entropy: &dyn Entropy, now: Timestamp) -> Result<Self, KeyringError> {
        let number = self.newest_term().checked_add(1).ok_or(KeyringError::Full)?;
        if self.terms.len() >= TERMS_MAX {
            return Err(KeyringError::Full);
        }
        let mut terms = self.terms.clone();
        terms.push(Arc::new(Term::new(number, now, 0, Key::generate(entropy))));
        Ok(Self { base: self.base.duplicate(), terms, active: self.active.clone() })
    }

    /// The same keys, encrypting with those of `term` from now on.
    pub fn activate(&self, term: u32) -> Result<Self, KeyringError> {
        let active = self.term(term).ok_or(KeyringError::UnknownTerm { term })?.clone();
        Ok(Self { base: self.base.duplicate(), terms: self.terms.clone(), active })
    }

    /// The keyring without a term under which nothing is stored any more.
    pub fn retire(&self, term: u32) -> Result<Self, KeyringError> {
        if term == self.active.number {
            return Err(KeyringError::ActiveTerm { term });
        }
        self.term(term).ok_or(KeyringError::UnknownTerm { term })?;
        let terms = self.terms.iter().filter(|held| held.number != term).cloned().collect();
        Ok(Self { base: self.base.duplicate(), terms, active: self.active.clone() })
    }

    pub fn active_term(&self) -> u32 {
        self.active.number
    }

    /// All terms, ascending.
    pub fn terms(&self) -> impl Iterator<Item = TermSummary> {
        self.terms.iter().map(|term| term.summary())
    }

    /// The active term.
    pub fn active_summary(&self) -> TermSummary {
        self.active.summary()
    }

    /// Whether the active term has encrypted `limit` times; see [`ENCRYPTIONS_PER_TERM_MAX`].
    pub fn needs_rotation(&self, limit: u64) -> bool {
        self.active.encryptions.load(Ordering::Relaxed) >= limit
    }

    /// Encrypts under the active term: version (1 byte), term (u32 BE), random nonce (12), ciphertext, tag (16).
    pub fn encrypt(&self, entropy: &dyn Entropy, additional_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
        self.active.encryptions.fetch_add(1, Ordering::Relaxed);
        let mut out = Vec::with_capacity(HEADER_BYTES + NONCE_BYTES + plaintext.len() + TAG_BYTES);
        out.push(CIPHERTEXT_VERSION);
        out.extend_from_slice(&self.active.number.to_be_bytes());
        self.active.aead.seal_random_onto(&mut out, entropy, additional_data, plaintext);
        out
    }

    /// Decrypts what [`Keyring::encrypt`] made under any term still held.
    pub fn decrypt(&self, additional_data: &[u8], bytes: &[u8]) -> Result<SecretBytes, DecryptError> {
        let (number, sealed) = split_header(bytes).ok_or(DecryptError::AuthenticationFailed)?;
        let term = self.term(number).ok_or(DecryptError::UnknownTerm { term: number })?;
        Ok(term.aead.open_random(additional_data, sealed)?)
    }

    /// A key for one purpose that outlives rotations: HKDF-SHA256 of the base key with `label` as info.
    pub fn derive(&self, label: &str) -> Key {
        hkdf_sha256(DERIVE_SALT, self.base.expose(), label.as_bytes())
    }

    /// The keyring in the clear: version (1 byte), base key (32), active term (u32 BE), number of terms (u32 BE), and
    /// for each its number (u32 BE), creation in nanoseconds (i64 BE), encryptions (u64 BE) and key (32).
    pub fn to_bytes(&self) -> SecretBytes {
        let mut out = Vec::with_capacity(1 + KEY_BYTES + 8 + self.terms.len() * TERM_RECORD_BYTES);
        out.push(KEYRING_VERSION);
        out.extend_from_slice(self.base.expose());
        out.extend_from_slice(&self.active.number.to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.terms.len()).unwrap_or(u32::MAX).to_be_bytes());
        for term in &self.terms {
            out.extend_from_slice(&term.number.to_be_bytes());
            out.extend_from_slice(&term.created.nanoseconds().to_be_bytes());
            out.extend_from_slice(&term.encryptions.load(Ordering::Relaxed).to_be_bytes());
            out.extend_from_slice(term.key.expose());
        }
        SecretBytes::new(out)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyringError> {
        let mut reader = Reader(bytes);
        let [version] = reader.take()?;
        if version != KEYRING_VERSION {
            return Err(KeyringError::Version { version });
        }
        let base = reader.key()?;
        let active_number = u32::from_be_bytes(reader.take()?);
        let count = u32::from_be_bytes(reader.take()?);
        let mut terms: Vec<Arc<Term>> = Vec::new();
        for _ in 0..count {
            let term = reader.term()?;
            if terms.last().is_some_and(|previous| previous.number >= term.number) {
                return Err(KeyringError::Malformed);
            }
            terms.push(Arc::new(term));
        }
        let active =
            terms.iter().find(|term| term.number == active_number).ok_or(KeyringError::Malformed)?.clone();
        if !reader.0.is_empty() || terms.len() > TERMS_MAX {
            return Err(KeyringError::Malformed);
        }
        Ok(Self { base, terms, active })
    }

    /// [`Keyring::to_bytes`] encrypted under the root key: version (1 byte), nonce (12), ciphertext, tag (16).
    pub fn seal_with(&self, root_key: &Key, entropy: &dyn Entropy) -> Vec<u8> {
        let mut out = vec![SEALED_VERSION];
        let clear = self.to_bytes();
        AeadKey::new(root_key).seal_random_onto(&mut out, entropy, SEALED_ADDITIONAL_DATA, clear.expose());
        out
    }

    pub fn open_with(root_key: &Key, sealed: &[u8]) -> Result<Self, KeyringError> {
        let (version, sealed) = sealed.split_first().ok_or(KeyringError::Malformed)?;
        if *version != SEALED_VERSION {
            return Err(KeyringError::Version { version: *version });
        }
        let clear = AeadKey::new(root_key).open_random(SEALED_ADDITIONAL_DATA, sealed)?;
        Self::from_bytes(clear.expose())
    }

    fn newest_term(&self) -> u32 {
        self.terms.last().map_or(0, |term| term.number)
    }

    fn term(&self, number: u32) -> Option<&Arc<Term>> {
        if number == self.active.number {
            return Some(&self.active);
        }
        let position = self.terms.binary_search_by_key(&number, |term| term.number).ok()?;
        self.terms.get(position)
    }
}

/// The term under which `bytes` were encrypted; None if they are not of the format. For lazy re-encryption.
pub fn term_of(bytes: &[u8]) -> Option<u32> {
    split_header(bytes).map(|(term, _)| term)
}

fn split_header(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes.split_first_chunk::<HEADER_BYTES>() {
        Some(([CIPHERTEXT_VERSION, term @ ..], rest)) => Some((u32::from_be_bytes(*term), rest)),
        _ => None,
    }
}

impl Term {
    fn new(number: u32, created: Timestamp, encryptions: u64, key: Key) -> Self {
        let aead = AeadKey::new(&key);
        Self { number, created, encryptions: AtomicU64::new(encryptions), key, aead }
    }

    fn summary(&self) -> TermSummary {
        let encryptions = self.encryptions.load(Ordering::Relaxed);
        TermSummary { term: self.number, created: self.created, encryptions }
    }
}

/// Takes fields off the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], KeyringError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(KeyringError::Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    fn key(&mut self) -> Result<Key, KeyringError> {
        let mut bytes = self.take()?;
        let key = Key::from_bytes(&bytes);
        bytes.zeroize();
        Ok(key)
    }

    fn term(&mut self) -> Result<Term, KeyringError> {
        let number = u32::from_be_bytes(self.take()?);
        let created = Timestamp::from_nanoseconds(i64::from_be_bytes(self.take()?));
        let encryptions = u64::from_be_bytes(self.take()?);
        Ok(Term::new(number, created, encryptions, self.key()?))
    }
}

impl From<AuthenticationFailed> for DecryptError {
    fn from(_: AuthenticationFailed) -> Self {
        Self::AuthenticationFailed
    }
}

impl From<AuthenticationFailed> for KeyringError {
    fn from(_: AuthenticationFailed) -> Self {
        Self::AuthenticationFailed
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("active_term", &self.active.number)
            .field("terms", &self.terms.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn keyring() -> Keyring {
        Keyring::generate(&SeededEntropy::new(1), NOW)
    }

    #[test]
    fn old_terms_still_decrypt_and_derived_keys_stay() {
        let entropy = SeededEntropy::new(2);
        let first = keyring();
        let old = first.encrypt(&entropy, b"key", b"value");
        let second = first.rotate(&entropy, NOW).unwrap();
        let new = second.encrypt(&entropy, b"key", b"value");
        assert_eq!((term_of(&old), term_of(&new)), (Some(1), Some(2)));
        assert_eq!(second.decrypt(b"key", &old).unwrap().expose(), b"value");
        assert_eq!(second.decrypt(b"other", &old), Err(DecryptError::AuthenticationFailed));
        let error = first.decrypt(b"key", &new).unwrap_err();
        assert_eq!(error.to_string(), "authentication failed: the keyring has no key of term 2");
        assert_eq!(first.derive("tokens"), second.derive("tokens"));
        assert_ne!(first.derive("tokens"), first.derive("names"));
        assert_eq!(
            second.retire(1).unwrap().decrypt(b"key", &old),
            Err(DecryptError::UnknownTerm { term: 1 })
        );
        assert_eq!(second.retire(2).unwrap_err(), KeyringError::ActiveTerm { term: 2 });
    }

    #[test]
    fn announced_terms_decrypt_but_do_not_encrypt() {
        let entropy = SeededEntropy::new(3);
        let announced = keyring().announce(&entropy, NOW).unwrap();
        assert_eq!(term_of(&announced.encrypt(&entropy, b"", b"")), Some(1));
        let active = announced.activate(2).unwrap();
        assert!(announced.decrypt(b"", &active.encrypt(&entropy, b"", b"")).is_ok());
        assert_eq!(announced.activate(3).unwrap_err(), KeyringError::UnknownTerm { term: 3 });
    }

    #[test]
    fn encryptions_are_counted_and_stored() {
        let entropy = SeededEntropy::new(4);
        let keyring = keyring();
        for _ in 0..3 {
            keyring.encrypt(&entropy, b"", b"");
        }
        assert!(keyring.needs_rotation(3) && !keyring.needs_rotation(4));
        let read = Keyring::from_bytes(keyring.to_bytes().expose()).unwrap();
        assert_eq!(read.active_summary(), TermSummary { term: 1, created: NOW, encryptions: 3 });
        assert!(!read.rotate(&entropy, NOW).unwrap().needs_rotation(1));
    }

    #[test]
    fn seals_and_opens_with_the_root_key_alone() {
        let entropy = SeededEntropy::new(5);
        let root_key = Key::generate(&entropy);
        let keyring = keyring().rotate(&entropy, NOW).unwrap();
        let sealed = keyring.seal_with(&root_key, &entropy);
        let opened = Keyring::open_with(&root_key, &sealed).unwrap();
        assert_eq!(opened.to_bytes(), keyring.to_bytes());
        let other = Keyring::open_with(&Key::generate(&entropy), &sealed);
        assert_eq!(other.unwrap_err(), KeyringError::AuthenticationFailed);
        assert_eq!(Keyring::open_with(&root_key, b"").unwrap_err(), KeyringError::Malformed);
        assert_eq!(Keyring::open_with(&root_key, &[9]).unwrap_err(), KeyringError::Version { version: 9 });
    }

    /// Put together byte by byte, encrypted and derived with the Python package cryptography.
    #[test]
    fn formats_are_fixed() {
        let stored = hex::decode(concat!(
            "01",
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "0000000700000001",
            "00000007",
            "17979cfe362a0000",
            "0000000000000005",
            "1111111111111111111111111111111111111111111111111111111111111111",
        ))
        .unwrap();
        let keyring = Keyring::from_bytes(&stored).unwrap();
        assert_eq!(keyring.to_bytes().expose(), stored);
        assert_eq!(keyring.active_summary(), TermSummary { term: 7, created: NOW, encryptions: 5 });
        let encrypted =
            hex::decode("0100000007000000000000000000000000b2ab7212844c78cdd175e8860a06e7885f07219a69")
                .unwrap();
        assert_eq!(keyring.decrypt(b"key", &encrypted).unwrap().expose(), b"value");
        assert_eq!(
            hex::encode(keyring.derive("tokens").expose()),
            "1e6930db0405b54e9bde62175d7cd4640c10aef9d57a3e50147a5233db64fbed"
        );
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", keyring()), "Keyring { active_term: 1, terms: 1, .. }");
    }

    proptest! {
        #[test]
        fn outside_bytes_do_not_panic(bytes: Vec<u8>) {
            prop_assert!(keyring().decrypt(b"", &bytes).is_err());
            prop_assert!(Keyring::from_bytes(&bytes).is_err());
        }

        #[test]
        fn truncated_keyrings_are_refused(length in 0_usize..93) {
            prop_assert_eq!(Keyring::from_bytes(&keyring().to_bytes().expose()[..length]).unwrap_err(),
                KeyringError::Malformed);
        }
    }
}
