//! Key pairs of every kind that clients ask for by name: RSA, the NIST curves, Ed25519, ML-DSA. Private keys go in and
//! out as PKCS #8 (RFC 5208), public ones as SubjectPublicKeyInfo (RFC 5280).
//!
//! All but Ed25519 are made by aws-lc-rs with the operating system's randomness, whatever generator a caller has: it
//! takes none.

mod private;
mod public;

pub use private::PrivateKey;
pub use public::PublicKey;

use crate::hash::HashAlgorithm;
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaSigningAlgorithm, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaSigningAlgorithm,
};
use thiserror::Error;

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// With the length of the modulus in bits: 2048 to 8192.
    Rsa(u32),
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

/// How an RSA signature is padded (RFC 8017).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaPadding {
    Pkcs1,
    Pss(Salt),
}

/// The salt of an RSA-PSS signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Salt {
    /// As long as it can be; any length when a signature is checked.
    Auto,
    /// As long as the digest.
    Digest,
    /// This many bytes.
    Bytes(u16),
}

/// How an ECDSA signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EcdsaForm {
    /// DER, as X.509 and OpenSSL have it.
    Asn1,
    /// Both numbers at full length, as JSON Web Signatures have it (RFC 7518).
    Fixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    #[error("a key cannot be made")]
    Generation,
    #[error("RSA keys have 2048, 3072, 4096 or 8192 bits")]
    RsaBits,
    #[error("the key is malformed, or of a kind that is not supported")]
    Malformed,
    #[error("RSA keys sign digests of sha2-256, sha2-384 and sha2-512")]
    RsaHash,
    #[error("this length of salt is not supported: use auto, hash, or 0, 20, 28, 32, 48 or 64 bytes")]
    SaltLength,
    #[error("the digest has another length than its algorithm's")]
    DigestLength,
    #[error("keys of this kind sign messages, not digests")]
    SignsMessages,
    #[error("the message cannot be signed")]
    Signing,
    #[error("keys of this kind do not encrypt")]
    NoEncryption,
    #[error("the message is too long for the key")]
    TooLong,
    #[error("the ciphertext does not decrypt under this key")]
    Decryption,
}

impl KeyKind {
    /// Whether a message is hashed before it is signed, so that a digest can be given in its place.
    pub const fn signs_digests(self) -> bool {
        matches!(self, Self::Rsa(_) | Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521)
    }

    pub const fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa(_))
    }

    pub(crate) fn ecdsa(self) -> Option<Curve> {
        let (signing, digest) = match self {
            Self::EcdsaP256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, &digest::SHA256),
            Self::EcdsaP384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, &digest::SHA384),
            Self::EcdsaP521 => (&ECDSA_P521_SHA512_FIXED_SIGNING, &digest::SHA512),
            _ => return None,
        };
        Some(Curve { signing, digest })
    }

    pub(crate) fn ml_dsa(self) -> Option<&'static PqdsaSigningAlgorithm> {
        match self {
            Self::MlDsa44 => Some(&ML_DSA_44_SIGNING),
            Self::MlDsa65 => Some(&ML_DSA_65_SIGNING),
            Self::MlDsa87 => Some(&ML_DSA_87_SIGNING),
            _ => None,
        }
    }
}

/// What aws-lc-rs needs to know of a curve.
pub(crate) struct Curve {
    signing: &'static EcdsaSigningAlgorithm,
    digest: &'static digest::Algorithm,
}

impl Curve {
    /// A digest of any algorithm in the length that the library wants with this curve. ECDSA takes the leftmost bits of
    /// a digest that is longer than the curve's order, and a shorter one as the number it is (FIPS 186-5, 6.4.1): so
    /// cutting at the right and zeros at the left change no signature.
    fn fit(&self, given: &[u8]) -> Result<Digest, KeyError> {
        let length = self.digest.output_len();
        let mut fitted = vec![0; length.saturating_sub(given.len())];
        fitted.extend(given.iter().take(length));
        Digest::import_less_safe(&fitted, self.digest).map_err(|_| KeyError::DigestLength)
    }
}

/// The digest for an RSA padding, which names its algorithm.
fn rsa_digest(hash: HashAlgorithm, given: &[u8]) -> Result<Digest, KeyError> {
    let algorithm = match hash {
        HashAlgorithm::Sha2_256 => &digest::SHA256,
        HashAlgorithm::Sha2_384 => &digest::SHA384,
        HashAlgorithm::Sha2_512 => &digest::SHA512,
        _ => return Err(KeyError::RsaHash),
    };
    Digest::import_less_safe(given, algorithm).map_err(|_| KeyError::DigestLength)
}

/// The hash of RSA-OAEP (RFC 8017, section 7.1), for itself and for its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OaepHash {
    Sha1,
    Sha2_256,
    Sha2_384,
    Sha2_512,
}

impl OaepHash {
    fn algorithm(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
            Self::Sha2_256 => &OAEP_SHA256_MGF1SHA256,
            Self::Sha2_384 => &OAEP_SHA384_MGF1SHA384,
            Self::Sha2_512 => &OAEP_SHA512_MGF1SHA512,
        }
    }
}

#[cfg(test)]
mod tests;
