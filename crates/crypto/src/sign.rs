//! Ed25519 signatures (RFC 8032).

use crate::key::Key;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use std::fmt;
use strongroom_secret::Entropy;
use thiserror::Error;

/// The length of a public key, in bytes.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// The length of a signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A signature does not match, or a public key is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("the signature does not match")]
    Mismatch,
    #[error("the public key is malformed")]
    PublicKey,
}

/// A key that signs. Its seed stays readable, for storage.
pub struct SigningKey {
    seed: Key,
    pair: Ed25519KeyPair,
}

/// A public key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey([u8; PUBLIC_KEY_BYTES]);

impl SigningKey {
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::from_seed(Key::generate(entropy))
    }

    /// From the 32 bytes that RFC 8032 calls the private key.
    pub fn from_seed(seed: Key) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose());
        #[expect(
            clippy::expect_used,
            reason = "refused only for a wrong length, and the length is in the type"
        )]
        Self { pair: pair.expect("a 32-byte seed"), seed }
    }

    pub fn seed(&self) -> &Key {
        &self.seed
    }

    pub fn verifying_key(&self) -> VerifyingKey {
        let mut bytes = [0; PUBLIC_KEY_BYTES];
        bytes.iter_mut().zip(self.pair.public_key().as_ref()).for_each(|(out, byte)| *out = *byte);
        VerifyingKey(bytes)
    }

    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes.iter_mut().zip(self.pair.sign(message).as_ref()).for_each(|(out, byte)| *out = *byte);
        bytes
    }
}

impl VerifyingKey {
    pub fn from_bytes(bytes: [u8; PUBLIC_KEY_BYTES]) -> Result<Self, SignatureError> {
        ParsedPublicKey::new(&ED25519, bytes).map_err(|_| SignatureError::PublicKey)?;
        Ok(Self(bytes))
    }

    pub fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }

    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let key = ParsedPublicKey::new(&ED25519, self.0).map_err(|_| SignatureError::PublicKey)?;
        key.verify_sig(message, signature).map_err(|_| SignatureError::Mismatch)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, tests 1 to 3.
    #[test]
    fn vectors_of_rfc_8032() {
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
                 d25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                 387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659\
                 4a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = SigningKey::from_seed(Key::try_from(&*hex::decode(seed).unwrap()).unwrap());
            let message = hex::decode(message).unwrap();
            assert_eq!(hex::encode(key.verifying_key().as_bytes()), public);
            assert_eq!(hex::encode(key.sign(&message)), signature);
            let signature = key.sign(&message);
            assert_eq!(key.verifying_key().verify(&message, &signature), Ok(()));
            assert_eq!(key.verifying_key().verify(b"other", &signature), Err(SignatureError::Mismatch));
            assert_eq!(key.verifying_key().verify(&message, &signature[..63]), Err(SignatureError::Mismatch));
        }
    }
}
