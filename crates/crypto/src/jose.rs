//! Keys that sign JSON Web Tokens: the algorithms of RFC 7518.
//!
//! RSA and elliptic-curve keys are made by aws-lc-rs with the operating system's randomness, whatever generator a
//! caller has: it takes none.

use crate::jws::JwsAlgorithm;
use crate::key::Key;
use crate::keypair::PublicKey;
use crate::sign::SigningKey;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RsaEncoding,
};
use strongroom_secret::{Entropy, SecretBytes};
use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JoseError {
    #[error("a key cannot be made")]
    Generation,
    #[error("the stored key is malformed")]
    StoredKey,
    #[error("the message cannot be signed")]
    Signing,
    #[error("tokens are not signed by this algorithm here")]
    Algorithm,
}

fn rsa(algorithm: JwsAlgorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        JwsAlgorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        JwsAlgorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        JwsAlgorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        _ => None,
    }
}

fn ecdsa(algorithm: JwsAlgorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        JwsAlgorithm::Es256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        JwsAlgorithm::Es384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        JwsAlgorithm::Es512 => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => None,
    }
}

/// Only the algorithms of [`JwsAlgorithm::SIGNING`].
fn check(algorithm: JwsAlgorithm) -> Result<(), JoseError> {
    if JwsAlgorithm::SIGNING.contains(&algorithm) { Ok(()) } else { Err(JoseError::Algorithm) }
}

/// A private key.
pub struct JoseKey {
    algorithm: JwsAlgorithm,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(SigningKey),
}

impl JoseKey {
    /// A new key; RSA keys have 2048 bits.
    pub fn generate(algorithm: JwsAlgorithm, entropy: &dyn Entropy) -> Result<Self, JoseError> {
        check(algorithm)?;
        let pair = match (rsa(algorithm), ecdsa(algorithm)) {
            (Some(_), _) => {
                Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| JoseError::Generation)?)
            }
            (None, Some(curve)) => {
                Pair::Ecdsa(EcdsaKeyPair::generate(curve).map_err(|_| JoseError::Generation)?)
            }
            (None, None) => Pair::Ed25519(SigningKey::generate(entropy)),
        };
        Ok(Self { algorithm, pair })
    }

    /// From what [`Self::to_bytes`] gave.
    pub fn from_bytes(algorithm: JwsAlgorithm, bytes: &[u8]) -> Result<Self, JoseError> {
        check(algorithm)?;
        let pair = match (rsa(algorithm), ecdsa(algorithm)) {
            (Some(_), _) => Pair::Rsa(RsaKeyPair::from_pkcs8(bytes).map_err(|_| JoseError::StoredKey)?),
            (None, Some(curve)) => {
                Pair::Ecdsa(EcdsaKeyPair::from_pkcs8(curve, bytes).map_err(|_| JoseError::StoredKey)?)
            }
            (None, None) => {
                let seed = bytes.try_into().map_err(|_| JoseError::StoredKey)?;
                Pair::Ed25519(SigningKey::from_seed(Key::from_bytes(seed)))
            }
        };
        Ok(Self { algorithm, pair })
    }

    /// PKCS #8, or for Ed25519 the 32 bytes of the seed.
    pub fn to_bytes(&self) -> Result<SecretBytes, JoseError> {
        let bytes = match &self.pair {
            Pair::Rsa(pair) => AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(pair)
                .map_err(|_| JoseError::StoredKey)?
                .as_ref()
                .to_vec(),
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map_err(|_| JoseError::StoredKey)?.as_ref().to_vec(),
            Pair::Ed25519(key) => key.seed().expose().to_vec(),
        };
        Ok(SecretBytes::new(bytes))
    }

    pub fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// The signature of a message, as tokens carry it (RFC 7518, section 3).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        let random = SystemRandom::new();
        match (&self.pair, rsa(self.algorithm)) {
            (Pair::Rsa(pair), Some(padding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map_err(|_| JoseError::Signing)?;
                Ok(signature)
            }
            (Pair::Ecdsa(pair), _) => {
                pair.sign(&random, message).map(|s| s.as_ref().to_vec()).map_err(|_| JoseError::Signing)
            }
            (Pair::Ed25519(key), _) => Ok(key.sign(message).to_vec()),
            (Pair::Rsa(_), None) => Err(JoseError::Signing),
        }
    }

    /// The public half, to be published.
    pub fn public(&self) -> Result<PublicKey, JoseError> {
        let der = |spki: Result<PublicKeyX509Der<'_>, Unspecified>| {
            let spki = spki.map_err(|_| JoseError::StoredKey)?;
            PublicKey::from_spki(spki.as_ref()).map_err(|_| JoseError::StoredKey)
        };
        match &self.pair {
            Pair::Rsa(pair) => der(pair.public_key().as_der()),
            Pair::Ecdsa(pair) => der(pair.public_key().as_der()),
            Pair::Ed25519(key) => Ok(PublicKey::ed25519(*key.verifying_key().as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;

    #[test]
    fn every_algorithm_signs_and_survives_storage() {
        let entropy = SeededEntropy::new(1);
        for algorithm in JwsAlgorithm::SIGNING {
            let key = JoseKey::generate(algorithm, &entropy).unwrap();
            let again = JoseKey::from_bytes(algorithm, key.to_bytes().unwrap().expose()).unwrap();
            let public = key.public().unwrap();
            assert_eq!(public, again.public().unwrap());
            let signature = again.sign(b"header.payload").unwrap();
            for other in JwsAlgorithm::ALL {
                assert_eq!(other.verify(&public, b"header.payload", &signature), other == algorithm);
            }
            assert!(!algorithm.verify(&public, b"header.other", &signature));
        }
        assert_eq!(JoseKey::generate(JwsAlgorithm::Ps256, &entropy).err(), Some(JoseError::Algorithm));
    }
}
