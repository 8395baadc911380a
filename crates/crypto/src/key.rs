use crate::arena::Slot;
use aws_lc_rs::hkdf;
use std::fmt;
use strongroom_secret::{Entropy, SecretBytes};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// The length of every symmetric key here, in bytes.
pub const KEY_BYTES: usize = 32;

/// 32 bytes of key: in locked memory that is left out of core dumps (see [`crate::memory_protection`]), wiped when
/// dropped, printed as `[redacted]`, compared in constant time, copied only on purpose.
pub struct Key(Slot);

/// Bytes that should be a key have another length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a key has {KEY_BYTES} bytes, not {length}")]
pub struct KeyLengthError {
    length: usize,
}

impl Key {
    /// A new random key.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::filled_by(|bytes| entropy.fill(bytes))
    }

    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self::filled_by(|key| key.copy_from_slice(bytes))
    }

    /// The bytes themselves. Every call is a place where the key can get out: keep them few.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.bytes()
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::from_bytes(self.expose())
    }

    /// A key for one purpose: HKDF-SHA256 (RFC 5869) without salt, with `label` as info. Different labels give
    /// independent keys, and no derived key tells anything about this one.
    #[must_use]
    pub fn derive(&self, label: &str) -> Self {
        hkdf_sha256(b"", self.expose(), label.as_bytes())
    }

    fn filled_by(fill: impl FnOnce(&mut [u8; KEY_BYTES])) -> Self {
        let mut slot = Slot::zeroed();
        fill(slot.bytes_mut());
        Self(slot)
    }
}

/// HKDF-SHA256 (RFC 5869), extract and expand to 32 bytes.
pub fn hkdf_sha256(salt: &[u8], input_key: &[u8], info: &[u8]) -> Key {
    let info = [info];
    let output = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(input_key);
    let filled = output.expand(&info, hkdf::HKDF_SHA256).map(|okm| {
        let mut result = Ok(());
        let key = Key::filled_by(|bytes| result = okm.fill(bytes));
        result.map(|()| key)
    });
    #[expect(
        clippy::expect_used,
        reason = "HKDF-SHA256 gives up to 255 blocks of 32 bytes; this asks for one"
    )]
    filled.and_then(|key| key).expect("one block of HKDF output")
}

/// HKDF-SHA256 (RFC 5869) without salt, to as many bytes as asked for: at most 8160.
pub fn hkdf_sha256_bytes(input_key: &[u8], info: &[u8], length: usize) -> SecretBytes {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut bytes = vec![0; length];
    let info = [info];
    let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, b"")
        .extract(input_key)
        .expand(&info, Length(length))
        .and_then(|okm| okm.fill(&mut bytes));
    #[expect(
        clippy::expect_used,
        reason = "refused only beyond 255 blocks of 32 bytes; callers ask for two"
    )]
    filled.expect("a few blocks of HKDF output");
    bytes.into()
}

impl TryFrom<&[u8]> for Key {
    type Error = KeyLengthError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyLengthError> {
        match bytes.try_into() {
            Ok(array) => Ok(Self::from_bytes(array)),
            Err(_) => Err(KeyLengthError { length: bytes.len() }),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, appendix A.1 and A.3: the first 32 bytes of the output do not depend on its length.
    #[test]
    fn hkdf_vectors_of_rfc_5869() {
        let salt = hex::decode("000102030405060708090a0b0c").unwrap();
        let info = hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap();
        let output = hkdf_sha256(&salt, &[0x0b; 22], &info);
        assert_eq!(
            hex::encode(output.expose()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        );
        let long = hkdf_sha256_bytes(&[0x0b; 22], b"", 42);
        assert_eq!(
            hex::encode(long.expose()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
        let output = hkdf_sha256(b"", &[0x0b; 22], b"");
        assert_eq!(
            hex::encode(output.expose()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
        );
    }

    #[test]
    fn keys_are_redacted_and_lengths_checked() {
        let key = Key::from_bytes(&[7; 32]);
        assert_eq!(format!("{key:?}"), "[redacted]");
        assert_eq!(Key::try_from(&[1_u8; 31][..]), Err(KeyLengthError { length: 31 }));
        assert_eq!(key, key.duplicate());
        assert_ne!(key.derive("a"), key.derive("b"));
    }
}
