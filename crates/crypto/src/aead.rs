//! AES-256-GCM (NIST SP 800-38D) with the key schedule kept.

use crate::key::Key;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::fmt;
use strongroom_secret::{Entropy, SecretBytes};
use thiserror::Error;
use zeroize::Zeroize;

/// The length of a nonce, in bytes.
pub const NONCE_BYTES: usize = 12;
/// The length of the tag at the end of a ciphertext, in bytes.
pub const TAG_BYTES: usize = 16;

/// What does not open: the key, the additional data or the bytes are not those of the sealing. Which of them it was
/// is not known, and not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("authentication failed")]
pub struct AuthenticationFailed;

/// An AES-256-GCM key with its schedule set up once. Wiped by the library when dropped.
pub struct AeadKey(LessSafeKey);

impl AeadKey {
    pub fn new(key: &Key) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key.expose());
        #[expect(
            clippy::expect_used,
            reason = "refused only for a wrong key length, and the length is in the type"
        )]
        Self(LessSafeKey::new(unbound.expect("a 32-byte key")))
    }

    /// Encrypts: ciphertext as long as the plaintext, then the 16-byte tag. A nonce is never used twice with one key;
    /// whoever calls this keeps that promise, so prefer [`AeadKey::seal_random`].
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], additional_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plaintext.len() + TAG_BYTES);
        self.seal_onto(&mut out, nonce, additional_data, plaintext);
        out
    }

    /// Encrypts under a fresh random nonce: nonce, ciphertext, tag.
    pub fn seal_random(&self, entropy: &dyn Entropy, additional_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(NONCE_BYTES + plaintext.len() + TAG_BYTES);
        self.seal_random_onto(&mut out, entropy, additional_data, plaintext);
        out
    }

    /// As [`AeadKey::seal_random`], after what `out` already holds.
    pub(crate) fn seal_random_onto(
        &self,
        out: &mut Vec<u8>,
        entropy: &dyn Entropy,
        additional_data: &[u8],
        plaintext: &[u8],
    ) {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        out.extend_from_slice(&nonce);
        self.seal_onto(out, nonce, additional_data, plaintext);
    }

    fn seal_onto(
        &self,
        out: &mut Vec<u8>,
        nonce: [u8; NONCE_BYTES],
        additional_data: &[u8],
        plaintext: &[u8],
    ) {
        let start = out.len();
        out.reserve(plaintext.len() + TAG_BYTES);
        out.extend_from_slice(plaintext);
        let body = out.get_mut(start..).unwrap_or_default();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::from(additional_data), body);
        #[expect(
            clippy::expect_used,
            reason = "refused only above 64 GiB; plaintext must never pass unencrypted"
        )]
        let tag = sealed.expect("AES-GCM takes up to 2^36 - 32 bytes");
        out.extend_from_slice(tag.as_ref());
    }

    /// Decrypts what [`AeadKey::seal`] made.
    pub fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        additional_data: &[u8],
        sealed: &[u8],
    ) -> Result<SecretBytes, AuthenticationFailed> {
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened =
            self.0.open_in_place(nonce, Aad::from(additional_data), &mut bytes).map(|plain| plain.len());
        match opened {
            Ok(length) => {
                bytes.truncate(length);
                Ok(SecretBytes::new(bytes))
            }
            Err(_) => {
                bytes.zeroize();
                Err(AuthenticationFailed)
            }
        }
    }

    /// Decrypts what [`AeadKey::seal_random`] made.
    pub fn open_random(
        &self,
        additional_data: &[u8],
        sealed: &[u8],
    ) -> Result<SecretBytes, AuthenticationFailed> {
        let (nonce, rest) = sealed.split_first_chunk().ok_or(AuthenticationFailed)?;
        self.open(*nonce, additional_data, rest)
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;

    fn key(text: &str) -> AeadKey {
        AeadKey::new(&Key::try_from(&*hex::decode(text).unwrap()).unwrap())
    }

    /// Test cases 13 to 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", as NIST's CAVP has them.
    #[test]
    fn vectors_of_the_gcm_submission() {
        let zero = "0000000000000000000000000000000000000000000000000000000000000000";
        let long_key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
        let cipher = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                      8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
        let aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
        let cases = [
            (zero, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
            (
                zero,
                "000000000000000000000000",
                "",
                "00000000000000000000000000000000",
                "cea7403d4d606b6e074ec5d3baf39d18",
                "d0d1c8a799996bf0265b98b5d48ab919",
            ),
            (long_key, "cafebabefacedbaddecaf888", "", plain, cipher, "b094dac5d93471bdec1a502270e3cc6c"),
            (
                long_key,
                "cafebabefacedbaddecaf888",
                aad,
                &plain[..120],
                &cipher[..120],
                "76fc6ece0f4e1768cddf8853bb2d551b",
            ),
        ];
        for (key_text, nonce, aad, plain, cipher, tag) in cases {
            let nonce: [u8; 12] = hex::decode(nonce).unwrap().try_into().unwrap();
            let (aad, plain) = (hex::decode(aad).unwrap(), hex::decode(plain).unwrap());
            let sealed = key(key_text).seal(nonce, &aad, &plain);
            assert_eq!(hex::encode(&sealed), format!("{cipher}{tag}"));
            assert_eq!(key(key_text).open(nonce, &aad, &sealed).unwrap().expose(), plain);
        }
    }

    #[test]
    fn any_change_fails_to_open() {
        let key = AeadKey::new(&Key::from_bytes(&[1; 32]));
        let sealed = key.seal_random(&SeededEntropy::new(1), b"where", b"what");
        assert_eq!(key.open_random(b"where", &sealed).unwrap().expose(), b"what");
        assert_eq!(key.open_random(b"elsewhere", &sealed), Err(AuthenticationFailed));
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(key.open_random(b"where", &changed), Err(AuthenticationFailed));
            assert_eq!(key.open_random(b"where", &sealed[..position]), Err(AuthenticationFailed));
        }
    }
}
