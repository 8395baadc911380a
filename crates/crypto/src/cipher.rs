//! Authenticated ciphers that are chosen by name: AES-GCM (NIST SP 800-38D), ChaCha20-Poly1305 (RFC 8439) and its form
//! with long nonces (draft-irtf-cfrg-xchacha). What they make is nonce, ciphertext, tag, in this order.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use chacha20::{R20, hchacha};
use std::fmt;
use strongroom_secret::SecretBytes;
use thiserror::Error;
use zeroize::Zeroize;

/// The length of every tag, in bytes.
pub const TAG_BYTES: usize = 16;
/// The longest nonce of these ciphers, in bytes.
pub const NONCE_BYTES_MAX: usize = 24;

const SHORT_NONCE_BYTES: usize = 12;
const LONG_NONCE_BYTES: usize = 24;

/// An authenticated cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
    XChaCha20Poly1305,
}

/// Which step of it failed is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CipherError {
    #[error("the key has another length than the cipher's")]
    KeyLength,
    #[error("the nonce has another length than the cipher's")]
    NonceLength,
    #[error("the message is too long")]
    TooLong,
    #[error("message authentication failed")]
    Authentication,
}

impl Cipher {
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::XChaCha20Poly1305 => 32,
        }
    }

    pub const fn nonce_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm | Self::ChaCha20Poly1305 => SHORT_NONCE_BYTES,
            Self::XChaCha20Poly1305 => LONG_NONCE_BYTES,
        }
    }

    /// How much longer a ciphertext is than its plaintext.
    pub const fn overhead_bytes(self) -> usize {
        self.nonce_bytes() + TAG_BYTES
    }
}

/// A key with its schedule set up once. Wiped when dropped.
pub struct CipherKey {
    cipher: Cipher,
    inner: Inner,
}

enum Inner {
    /// With 12-byte nonces.
    Short(LessSafeKey),
    /// XChaCha20 makes a key of its own from the first 16 bytes of each nonce.
    Long(SecretBytes),
}

impl CipherKey {
    pub fn new(cipher: Cipher, key: &[u8]) -> Result<Self, CipherError> {
        if key.len() != cipher.key_bytes() {
            return Err(CipherError::KeyLength);
        }
        let short = |algorithm| {
            UnboundKey::new(algorithm, key)
                .map(|key| Inner::Short(LessSafeKey::new(key)))
                .map_err(|_| CipherError::KeyLength)
        };
        let inner = match cipher {
            Cipher::Aes128Gcm => short(&AES_128_GCM)?,
            Cipher::Aes256Gcm => short(&AES_256_GCM)?,
            Cipher::ChaCha20Poly1305 => short(&CHACHA20_POLY1305)?,
            Cipher::XChaCha20Poly1305 => Inner::Long(key.to_vec().into()),
        };
        Ok(Self { cipher, inner })
    }

    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Appends nonce, ciphertext and tag to `out`. A nonce is used once with a key, or always with the same plaintext:
    /// whoever calls this keeps that promise.
    pub fn seal_onto(
        &self,
        out: &mut Vec<u8>,
        nonce: &[u8],
        additional_data: &[u8],
        plaintext: &[u8],
    ) -> Result<(), CipherError> {
        if nonce.len() != self.cipher.nonce_bytes() {
            return Err(CipherError::NonceLength);
        }
        out.reserve(nonce.len() + plaintext.len() + TAG_BYTES);
        out.extend_from_slice(nonce);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let body = out.get_mut(start..).unwrap_or_default();
        let sealed = self.with_short_nonce(nonce, |key, nonce| {
            key.seal_in_place_separate_tag(nonce, Aad::from(additional_data), body)
                .map_err(|_| CipherError::TooLong)
        });
        match sealed {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                Ok(())
            }
            Err(error) => {
                out.get_mut(start..).unwrap_or_default().zeroize();
                out.truncate(start.saturating_sub(nonce.len()));
                Err(error)
            }
        }
    }

    /// Decrypts nonce, ciphertext and tag.
    pub fn open(&self, additional_data: &[u8], sealed: &[u8]) -> Result<SecretBytes, CipherError> {
        let Some((nonce, body)) = sealed.split_at_checked(self.cipher.nonce_bytes()) else {
            return Err(CipherError::Authentication);
        };
        let mut bytes = body.to_vec();
        let opened = self.with_short_nonce(nonce, |key, nonce| {
            key.open_in_place(nonce, Aad::from(additional_data), &mut bytes)
                .map(|plain| plain.len())
                .map_err(|_| CipherError::Authentication)
        });
        match opened {
            Ok(length) => {
                bytes.truncate(length);
                Ok(bytes.into())
            }
            Err(error) => {
                bytes.zeroize();
                Err(error)
            }
        }
    }

    fn with_short_nonce<T>(
        &self,
        nonce: &[u8],
        work: impl FnOnce(&LessSafeKey, Nonce) -> Result<T, CipherError>,
    ) -> Result<T, CipherError> {
        match &self.inner {
            Inner::Short(key) => {
                let nonce = nonce.try_into().map_err(|_| CipherError::NonceLength)?;
                work(key, Nonce::assume_unique_for_key(nonce))
            }
            Inner::Long(key) => {
                let (input, rest) = nonce.split_first_chunk::<16>().ok_or(CipherError::NonceLength)?;
                let rest: &[u8; 8] = rest.try_into().map_err(|_| CipherError::NonceLength)?;
                let key: &[u8; 32] = key.expose().try_into().map_err(|_| CipherError::KeyLength)?;
                let mut derived = hchacha::<R20>(key.into(), input.into());
                let subkey =
                    UnboundKey::new(&CHACHA20_POLY1305, &derived).map_err(|_| CipherError::KeyLength);
                derived.as_mut_slice().zeroize();
                let mut short = [0; SHORT_NONCE_BYTES];
                short.iter_mut().skip(4).zip(rest).for_each(|(out, byte)| *out = *byte);
                work(&LessSafeKey::new(subkey?), Nonce::assume_unique_for_key(short))
            }
        }
    }
}

impl fmt::Debug for CipherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} [redacted]", self.cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUNSCREEN: &[u8] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";

    #[track_caller]
    fn check(cipher: Cipher, key: &str, nonce: &str, aad: &str, plain: &[u8], expected: &str) {
        let key = CipherKey::new(cipher, &hex::decode(key).unwrap()).unwrap();
        let aad = hex::decode(aad).unwrap();
        let mut sealed = Vec::new();
        key.seal_onto(&mut sealed, &hex::decode(nonce).unwrap(), &aad, plain).unwrap();
        assert_eq!(hex::encode(&sealed), format!("{nonce}{expected}"));
        assert_eq!(key.open(&aad, &sealed).unwrap().expose(), plain);
        for position in [0, sealed.len() / 2, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(key.open(&aad, &changed), Err(CipherError::Authentication));
            assert_eq!(key.open(&aad, &sealed[..position]), Err(CipherError::Authentication));
        }
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn vector_of_the_xchacha_draft() {
        check(
            Cipher::XChaCha20Poly1305,
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            "404142434445464748494a4b4c4d4e4f5051525354555657",
            "50515253c0c1c2c3c4c5c6c7",
            SUNSCREEN,
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49",
        );
    }

    /// RFC 8439, section 2.8.2.
    #[test]
    fn vector_of_rfc_8439() {
        check(
            Cipher::ChaCha20Poly1305,
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            "070000004041424344454647",
            "50515253c0c1c2c3c4c5c6c7",
            SUNSCREEN,
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
        );
    }

    /// Test case 2 of the GCM submission.
    #[test]
    fn vector_of_the_gcm_submission() {
        check(
            Cipher::Aes128Gcm,
            "00000000000000000000000000000000",
            "000000000000000000000000",
            "",
            &[0; 16],
            "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
        );
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(CipherKey::new(Cipher::Aes256Gcm, &[0; 16]).unwrap_err(), CipherError::KeyLength);
        let key = CipherKey::new(Cipher::Aes256Gcm, &[0; 32]).unwrap();
        assert_eq!(key.seal_onto(&mut Vec::new(), &[0; 24], b"", b""), Err(CipherError::NonceLength));
        assert_eq!(format!("{key:?}"), "Aes256Gcm [redacted]");
    }
}
