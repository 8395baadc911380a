//! Public keys: read, verifying and encrypting.

use super::{EcdsaForm, KeyError, KeyKind, OaepHash, RsaPadding, Salt, rsa_digest};
use crate::hash::HashAlgorithm;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_FIXED, ED25519, ML_DSA_44, ML_DSA_65, ML_DSA_87,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPssSaltLength, VerificationAlgorithm,
};

/// What stands before an Ed25519 public key in SubjectPublicKeyInfo (RFC 8410, section 4).
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before an uncompressed point in SubjectPublicKeyInfo (RFC 5480, section 2).
const P256_SPKI_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const P384_SPKI_PREFIX: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04,
];
const P521_SPKI_PREFIX: &[u8] = &[
    0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00, 0x04,
];
/// Every length of salt that signers choose, the likely ones first.
const SALTS: [Salt; 8] = [
    Salt::Auto,
    Salt::Digest,
    Salt::Bytes(20),
    Salt::Bytes(32),
    Salt::Bytes(0),
    Salt::Bytes(28),
    Salt::Bytes(48),
    Salt::Bytes(64),
];

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Vec<u8>,
}

impl PublicKey {
    pub(super) fn of_kind(kind: KeyKind, spki: Vec<u8>) -> Self {
        Self { kind, spki }
    }

    pub fn ed25519(bytes: [u8; 32]) -> Self {
        Self::of_kind(KeyKind::Ed25519, [&ED25519_SPKI_PREFIX[..], &bytes].concat())
    }

    /// An RSA key from its numbers, big endian, as JSON Web Keys have them.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let key: PublicEncryptingKey =
            PublicKeyComponents { n: modulus, e: exponent }.try_into().map_err(|_| KeyError::Malformed)?;
        let spki: PublicKeyX509Der<'_> = key.as_der().map_err(|_| KeyError::Malformed)?;
        Self::from_spki(spki.as_ref())
    }

    /// A key of a curve from the coordinates of its point, at full length, as JSON Web Keys have them.
    pub fn ecdsa(kind: KeyKind, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let (prefix, bytes) = match kind {
            KeyKind::EcdsaP256 => (P256_SPKI_PREFIX, 32),
            KeyKind::EcdsaP384 => (P384_SPKI_PREFIX, 48),
            KeyKind::EcdsaP521 => (P521_SPKI_PREFIX, 66),
            _ => return Err(KeyError::Malformed),
        };
        if x.len() != bytes || y.len() != bytes {
            return Err(KeyError::Malformed);
        }
        Self::from_spki(&[prefix, x, y].concat())
    }

    /// From SubjectPublicKeyInfo. RSA keys of fewer than 2048 bits are refused.
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = PublicEncryptingKey::from_der(spki) {
            let bits = u32::try_from(key.key_size_bits()).unwrap_or(u32::MAX);
            if !(2048..=8192).contains(&bits) {
                return Err(KeyError::RsaBits);
            }
            return Ok(Self::of_kind(KeyKind::Rsa(bits), spki.to_vec()));
        }
        let kinds: [(KeyKind, &'static dyn VerificationAlgorithm); 7] = [
            (KeyKind::EcdsaP256, &ECDSA_P256_SHA256_ASN1),
            (KeyKind::EcdsaP384, &ECDSA_P384_SHA384_ASN1),
            (KeyKind::EcdsaP521, &ECDSA_P521_SHA512_ASN1),
            (KeyKind::Ed25519, &ED25519),
            (KeyKind::MlDsa44, &ML_DSA_44),
            (KeyKind::MlDsa65, &ML_DSA_65),
            (KeyKind::MlDsa87, &ML_DSA_87),
        ];
        // A bare point or a bare key is no SubjectPublicKeyInfo, though the library would take it.
        if spki.first() != Some(&0x30) {
            return Err(KeyError::Malformed);
        }
        kinds
            .into_iter()
            .find(|(_, algorithm)| ParsedPublicKey::new(*algorithm, spki).is_ok())
            .map(|(kind, _)| Self::of_kind(kind, spki.to_vec()))
            .ok_or(KeyError::Malformed)
    }

    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The 32 bytes of an Ed25519 key.
    pub fn ed25519_bytes(&self) -> Option<&[u8]> {
        self.spki.get(ED25519_SPKI_PREFIX.len()..).filter(|_| self.kind == KeyKind::Ed25519)
    }

    /// The coordinates of the point of a curve's key, at full length.
    pub fn point(&self) -> Option<(&[u8], &[u8])> {
        let prefix = match self.kind {
            KeyKind::EcdsaP256 => P256_SPKI_PREFIX,
            KeyKind::EcdsaP384 => P384_SPKI_PREFIX,
            KeyKind::EcdsaP521 => P521_SPKI_PREFIX,
            _ => return None,
        };
        let point = self.spki.strip_prefix(prefix)?;
        point.split_at_checked(point.len() / 2)
    }

    /// Whether this is the signature of a message.
    pub fn verify(
        &self,
        hash: HashAlgorithm,
        padding: RsaPadding,
        form: EcdsaForm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            KeyKind::Ed25519 => &ED25519,
            KeyKind::MlDsa44 => &ML_DSA_44,
            KeyKind::MlDsa65 => &ML_DSA_65,
            KeyKind::MlDsa87 => &ML_DSA_87,
            _ => return self.verify_digest(hash, padding, form, &hash.digest(message), signature),
        };
        let key = ParsedPublicKey::new(algorithm, &self.spki).map_err(|_| KeyError::Malformed)?;
        Ok(key.verify_sig(message, signature).is_ok())
    }

    /// Whether this is the signature of a message with this digest.
    pub fn verify_digest(
        &self,
        hash: HashAlgorithm,
        padding: RsaPadding,
        form: EcdsaForm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        if self.kind.is_rsa() {
            return self.verify_rsa(hash, padding, digest, signature);
        }
        let curve = self.kind.ecdsa().ok_or(KeyError::SignsMessages)?;
        let algorithm: &'static dyn VerificationAlgorithm = match (self.kind, form) {
            (KeyKind::EcdsaP256, EcdsaForm::Asn1) => &ECDSA_P256_SHA256_ASN1,
            (KeyKind::EcdsaP256, EcdsaForm::Fixed) => &ECDSA_P256_SHA256_FIXED,
            (KeyKind::EcdsaP384, EcdsaForm::Asn1) => &ECDSA_P384_SHA384_ASN1,
            (KeyKind::EcdsaP384, EcdsaForm::Fixed) => &ECDSA_P384_SHA384_FIXED,
            (_, EcdsaForm::Asn1) => &ECDSA_P521_SHA512_ASN1,
            (_, EcdsaForm::Fixed) => &ECDSA_P521_SHA512_FIXED,
        };
        let key = ParsedPublicKey::new(algorithm, &self.spki).map_err(|_| KeyError::Malformed)?;
        Ok(key.verify_digest_sig(&curve.fit(digest)?, signature).is_ok())
    }

    fn verify_rsa(
        &self,
        hash: HashAlgorithm,
        padding: RsaPadding,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        let digest = rsa_digest(hash, digest)?;
        let paddings = match padding {
            RsaPadding::Pss(Salt::Auto) => SALTS.map(RsaPadding::Pss).to_vec(),
            padding => vec![padding],
        };
        for padding in paddings {
            let parameters = rsa_parameters(hash, padding)?;
            let key = ParsedPublicKey::new(parameters, &self.spki).map_err(|_| KeyError::Malformed)?;
            if key.verify_digest_sig(&digest, signature).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Encrypts with RSA-OAEP.
    pub fn encrypt_oaep(&self, hash: OaepHash, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        if !self.kind.is_rsa() {
            return Err(KeyError::NoEncryption);
        }
        let key = PublicEncryptingKey::from_der(&self.spki)
            .map_err(|_| KeyError::Malformed)
            .and_then(|key| OaepPublicEncryptingKey::new(key).map_err(|_| KeyError::Malformed))?;
        let mut ciphertext = vec![0; key.ciphertext_size()];
        let length = key
            .encrypt(hash.algorithm(), message, &mut ciphertext, None)
            .map(|ciphertext| ciphertext.len())
            .map_err(|_| KeyError::TooLong)?;
        ciphertext.truncate(length);
        Ok(ciphertext)
    }
}

fn rsa_parameters(
    hash: HashAlgorithm,
    padding: RsaPadding,
) -> Result<&'static dyn VerificationAlgorithm, KeyError> {
    const fn salted<const BYTES: u16>(parameters: RsaParameters) -> RsaParameters {
        parameters.with_pss_salt_length(RsaPssSaltLength::Custom(BYTES))
    }
    const fn longest(parameters: RsaParameters) -> RsaParameters {
        parameters.with_pss_salt_length(RsaPssSaltLength::Max)
    }
    macro_rules! pss {
        ($parameters:ident, $salt:expr) => {
            match $salt {
                Salt::Auto => &const { longest($parameters) },
                Salt::Digest => &$parameters,
                Salt::Bytes(0) => &const { salted::<0>($parameters) },
                Salt::Bytes(20) => &const { salted::<20>($parameters) },
                Salt::Bytes(28) => &const { salted::<28>($parameters) },
                Salt::Bytes(32) => &const { salted::<32>($parameters) },
                Salt::Bytes(48) => &const { salted::<48>($parameters) },
                Salt::Bytes(64) => &const { salted::<64>($parameters) },
                Salt::Bytes(_) => return Err(KeyError::SaltLength),
            }
        };
    }
    Ok(match (hash, padding) {
        (HashAlgorithm::Sha2_256, RsaPadding::Pkcs1) => &RSA_PKCS1_2048_8192_SHA256,
        (HashAlgorithm::Sha2_384, RsaPadding::Pkcs1) => &RSA_PKCS1_2048_8192_SHA384,
        (HashAlgorithm::Sha2_512, RsaPadding::Pkcs1) => &RSA_PKCS1_2048_8192_SHA512,
        (HashAlgorithm::Sha2_256, RsaPadding::Pss(salt)) => pss!(RSA_PSS_2048_8192_SHA256, salt),
        (HashAlgorithm::Sha2_384, RsaPadding::Pss(salt)) => pss!(RSA_PSS_2048_8192_SHA384, salt),
        (HashAlgorithm::Sha2_512, RsaPadding::Pss(salt)) => pss!(RSA_PSS_2048_8192_SHA512, salt),
        _ => return Err(KeyError::RsaHash),
    })
}
