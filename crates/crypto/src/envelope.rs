//! Data wrapped under a key that is kept elsewhere: the seal by a static key, and stored data keys.
//!
//! The blob says which key opens it: version (1 byte), key id (8), random nonce (12), ciphertext, tag (16).

use crate::aead::{AeadKey, AuthenticationFailed, NONCE_BYTES, TAG_BYTES};
use crate::key::{KEY_BYTES, Key};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use std::fmt;
use strongroom_secret::{Entropy, SecretBytes};
use thiserror::Error;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES;
const KEY_ID_LABEL: &str = "strongroom static key: id";
const WRAPPING_LABEL: &str = "strongroom static key: wrapping";

/// Names a static key without telling anything about it: 8 bytes derived from it by HKDF, printed as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID_BYTES]);

/// A key-encryption key that comes from configuration.
pub struct StaticKey {
    id: KeyId,
    aead: AeadKey,
}

/// Why bytes are not a static key. They are not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a static key is {KEY_BYTES} bytes: raw, as 64 hex digits, or in base64")]
pub struct StaticKeyError;

/// Why a blob does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    #[error("authentication failed")]
    AuthenticationFailed,
    #[error("key {key_id}, which this was wrapped with, is not configured")]
    UnknownKey { key_id: KeyId },
    #[error(
        "wrapped data has format version {version}, which is not known: it was written by a newer program"
    )]
    Version { version: u8 },
    #[error("wrapped data is malformed")]
    Malformed,
}

impl StaticKey {
    pub fn new(key: &Key) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        id.iter_mut().zip(key.derive(KEY_ID_LABEL).expose()).for_each(|(out, byte)| *out = *byte);
        Self { id: KeyId(id), aead: AeadKey::new(&key.derive(WRAPPING_LABEL)) }
    }

    /// From 32 raw bytes, 64 hex digits, or base64 in either alphabet with or without padding. White space around a
    /// text is dropped.
    pub fn parse(input: &[u8]) -> Result<Self, StaticKeyError> {
        if let Ok(key) = Key::try_from(input) {
            return Ok(Self::new(&key));
        }
        let text = input.trim_ascii();
        let decoded = match text.len() {
            64 => hex::decode(text).ok(),
            43 => STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok(),
            44 => STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok(),
            _ => None,
        };
        let decoded = Zeroizing::new(decoded.ok_or(StaticKeyError)?);
        Key::try_from(decoded.as_slice()).map(|key| Self::new(&key)).map_err(|_| StaticKeyError)
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Encrypts data, bound to a context that must be the same to open it.
    pub fn wrap(&self, entropy: &dyn Entropy, context: &[u8], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + NONCE_BYTES + data.len() + TAG_BYTES);
        out.push(VERSION);
        out.extend_from_slice(&self.id.0);
        let additional_data = [out.as_slice(), context].concat();
        self.aead.seal_random_onto(&mut out, entropy, &additional_data, data);
        out
    }

    /// Decrypts what [`StaticKey::wrap`] made with this key.
    pub fn unwrap(&self, context: &[u8], wrapped: &[u8]) -> Result<SecretBytes, EnvelopeError> {
        unwrap_with(std::slice::from_ref(self), context, wrapped)
    }
}

/// Decrypts with whichever of the keys the blob names: the current one and those before it.
pub fn unwrap_with(keys: &[StaticKey], context: &[u8], wrapped: &[u8]) -> Result<SecretBytes, EnvelopeError> {
    let key_id = key_id_of(wrapped)?;
    let key = keys.iter().find(|key| key.id == key_id).ok_or(EnvelopeError::UnknownKey { key_id })?;
    let (header, sealed) = wrapped.split_at_checked(HEADER_BYTES).ok_or(EnvelopeError::Malformed)?;
    Ok(key.aead.open_random(&[header, context].concat(), sealed)?)
}

/// The key that a blob was wrapped with.
pub fn key_id_of(wrapped: &[u8]) -> Result<KeyId, EnvelopeError> {
    match wrapped.split_first() {
        None => Err(EnvelopeError::Malformed),
        Some((&VERSION, rest)) => rest.first_chunk().map(|id| KeyId(*id)).ok_or(EnvelopeError::Malformed),
        Some((&version, _)) => Err(EnvelopeError::Version { version }),
    }
}

impl From<AuthenticationFailed> for EnvelopeError {
    fn from(_: AuthenticationFailed) -> Self {
        Self::AuthenticationFailed
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;
    use proptest::prelude::*;

    fn key(byte: u8) -> StaticKey {
        StaticKey::new(&Key::from_bytes(&[byte; 32]))
    }

    #[test]
    fn wrapped_data_names_its_key() {
        let wrapped = key(1).wrap(&SeededEntropy::new(1), b"root key", b"data");
        assert_eq!(wrapped.len(), 1 + 8 + 12 + 4 + 16);
        assert_eq!(unwrap_with(&[key(2), key(1)], b"root key", &wrapped).unwrap().expose(), b"data");
        assert_eq!(key(1).unwrap(b"other", &wrapped), Err(EnvelopeError::AuthenticationFailed));
        let error = key(2).unwrap(b"root key", &wrapped).unwrap_err();
        assert_eq!(error, EnvelopeError::UnknownKey { key_id: key(1).id() });
        assert!(error.to_string().contains(&key(1).id().to_string()));
        assert_eq!(key(1).unwrap(b"", &[]), Err(EnvelopeError::Malformed));
        assert_eq!(key(1).unwrap(b"", &[2, 0]), Err(EnvelopeError::Version { version: 2 }));
    }

    /// The derivations and the cipher, recomputed with the Python package cryptography.
    #[test]
    fn format_is_fixed() {
        struct Zeros;
        impl Entropy for Zeros {
            fn fill(&self, out: &mut [u8]) {
                out.fill(0);
            }
        }
        assert_eq!(
            hex::encode(key(1).wrap(&Zeros, b"context", b"data")),
            "01aaa91ab43dd66a7e00000000000000000000000085cfc1a61d1ac141af79be831d8216c4c709b87c"
        );
    }

    #[test]
    fn static_keys_come_in_three_forms() {
        let raw: Vec<u8> = (200..232).collect();
        let id = StaticKey::parse(&raw).unwrap().id();
        for text in [
            hex::encode(&raw),
            hex::encode_upper(&raw) + "\n",
            STANDARD.encode(&raw),
            STANDARD_NO_PAD.encode(&raw),
            URL_SAFE.encode(&raw) + "\r\n",
            URL_SAFE_NO_PAD.encode(&raw),
        ] {
            assert_eq!(StaticKey::parse(text.as_bytes()).unwrap().id(), id, "{text}");
        }
        for input in [&b""[..], b"short", &[b'g'; 64], &[0; 33]] {
            assert_eq!(StaticKey::parse(input).unwrap_err(), StaticKeyError);
        }
    }

    proptest! {
        #[test]
        fn outside_bytes_do_not_panic(bytes: Vec<u8>) {
            prop_assert!(key(1).unwrap(b"", &bytes).is_err());
        }
    }
}
