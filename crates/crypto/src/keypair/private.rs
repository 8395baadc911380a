//! Private keys: made, read, written, signing and decrypting.

use super::{Curve, EcdsaForm, KeyError, KeyKind, OaepHash, PublicKey, RsaPadding, Salt, rsa_digest};
use crate::hash::HashAlgorithm;
use crate::key::Key;
use crate::sign::SigningKey;
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, PqdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaPssSaltLength,
    RsaSignatureEncoding,
};
use pkcs8::PrivateKeyInfo;
use std::fmt;
use strongroom_secret::{Entropy, SecretBytes};
use zeroize::Zeroize;

/// What stands before an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const ED25519_PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A private key, parsed. Wiped by the library when dropped.
pub struct PrivateKey {
    kind: KeyKind,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair, Curve),
    Ed25519(SigningKey),
    MlDsa(PqdsaKeyPair),
}

impl PrivateKey {
    /// A new key. RSA takes long: tenths of a second at 2048 bits, seconds at 4096.
    pub fn generate(kind: KeyKind, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generation;
        let pair = match (kind, kind.ecdsa(), kind.ml_dsa()) {
            (KeyKind::Rsa(bits), ..) => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    8192 => KeySize::Rsa8192,
                    _ => return Err(KeyError::RsaBits),
                };
                Pair::Rsa(RsaKeyPair::generate(size).map_err(failed)?)
            }
            (_, Some(curve), _) => Pair::Ecdsa(EcdsaKeyPair::generate(curve.signing).map_err(failed)?, curve),
            (_, _, Some(set)) => Pair::MlDsa(PqdsaKeyPair::generate(set).map_err(failed)?),
            _ => Pair::Ed25519(SigningKey::generate(entropy)),
        };
        Ok(Self { kind, pair })
    }

    /// The Ed25519 key of a seed (RFC 8032 calls it the private key).
    pub fn ed25519(seed: Key) -> Self {
        Self { kind: KeyKind::Ed25519, pair: Pair::Ed25519(SigningKey::from_seed(seed)) }
    }

    /// The key of a curve, from its number and its point (SEC 1, uncompressed).
    pub fn ecdsa(kind: KeyKind, number: &[u8], point: &[u8]) -> Result<Self, KeyError> {
        let curve = kind.ecdsa().ok_or(KeyError::Malformed)?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.signing, number, point)
            .map_err(|_| KeyError::Malformed)?;
        Ok(Self { kind, pair: Pair::Ecdsa(pair, curve) })
    }

    /// From PKCS #8, or from PKCS #1 or SEC 1, as older programs write RSA and elliptic-curve keys.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
            let bits = u32::try_from(pair.public_modulus_len() * 8).unwrap_or(u32::MAX);
            return Ok(Self { kind: KeyKind::Rsa(bits), pair: Pair::Rsa(pair) });
        }
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521] {
            let Some(curve) = kind.ecdsa() else { continue };
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve.signing, der) {
                return Ok(Self { kind, pair: Pair::Ecdsa(pair, curve) });
            }
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let seed = pair.seed().map_err(|_| KeyError::Malformed)?;
            let seed =
                aws_lc_rs::encoding::AsBigEndian::as_be_bytes(&seed).map_err(|_| KeyError::Malformed)?;
            return Ok(Self::ed25519(Key::try_from(seed.as_ref()).map_err(|_| KeyError::Malformed)?));
        }
        for kind in [KeyKind::MlDsa44, KeyKind::MlDsa65, KeyKind::MlDsa87] {
            let Some(set) = kind.ml_dsa() else { continue };
            if let Ok(pair) = PqdsaKeyPair::from_pkcs8(set, der) {
                return Ok(Self { kind, pair: Pair::MlDsa(pair) });
            }
        }
        Err(KeyError::Malformed)
    }

    /// From PKCS #8 of a kind that is known, which saves trying the others.
    pub fn from_pkcs8(kind: KeyKind, der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::Malformed;
        let pair = match (kind, kind.ecdsa(), kind.ml_dsa()) {
            (KeyKind::Rsa(_), ..) => Pair::Rsa(RsaKeyPair::from_pkcs8(der).map_err(malformed)?),
            (_, Some(curve), _) => {
                Pair::Ecdsa(EcdsaKeyPair::from_pkcs8(curve.signing, der).map_err(malformed)?, curve)
            }
            (_, _, Some(set)) => Pair::MlDsa(PqdsaKeyPair::from_pkcs8(set, der).map_err(malformed)?),
            _ => return Self::from_der(der),
        };
        Ok(Self { kind, pair })
    }

    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// PKCS #8.
    pub fn to_pkcs8(&self) -> Result<SecretBytes, KeyError> {
        let malformed = |_| KeyError::Malformed;
        Ok(match &self.pair {
            Pair::Rsa(pair) => {
                AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map_err(malformed)?.as_ref().to_vec().into()
            }
            Pair::Ecdsa(pair, _) => pair.to_pkcs8v1().map_err(malformed)?.as_ref().to_vec().into(),
            Pair::MlDsa(pair) => pair.to_pkcs8v1().map_err(malformed)?.as_ref().to_vec().into(),
            Pair::Ed25519(key) => [&ED25519_PKCS8_PREFIX[..], key.seed().expose()].concat().into(),
        })
    }

    /// The form that older programs read: PKCS #1 for RSA, SEC 1 (RFC 5915) for the curves; None for other keys.
    pub fn to_traditional_der(&self) -> Result<Option<SecretBytes>, KeyError> {
        match &self.pair {
            Pair::Rsa(_) => {
                let pkcs8 = self.to_pkcs8()?;
                let info = PrivateKeyInfo::try_from(pkcs8.expose()).map_err(|_| KeyError::Malformed)?;
                Ok(Some(info.private_key.to_vec().into()))
            }
            Pair::Ecdsa(pair, _) => {
                let der = AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(&pair.private_key())
                    .map_err(|_| KeyError::Malformed)?;
                Ok(Some(der.as_ref().to_vec().into()))
            }
            Pair::Ed25519(_) | Pair::MlDsa(_) => Ok(None),
        }
    }

    /// The 32 bytes of an Ed25519 key.
    pub fn seed(&self) -> Option<&Key> {
        match &self.pair {
            Pair::Ed25519(key) => Some(key.seed()),
            _ => None,
        }
    }

    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let malformed = |_| KeyError::Malformed;
        let spki = match &self.pair {
            Pair::Rsa(pair) => {
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(malformed)?.as_ref().to_vec()
            }
            Pair::Ecdsa(pair, _) => {
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(malformed)?.as_ref().to_vec()
            }
            Pair::MlDsa(pair) => {
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(malformed)?.as_ref().to_vec()
            }
            Pair::Ed25519(key) => return Ok(PublicKey::ed25519(*key.verifying_key().as_bytes())),
        };
        Ok(PublicKey::of_kind(self.kind, spki))
    }

    /// The signature of a message. `hash` and `padding` count where the kind has a choice of them.
    pub fn sign(
        &self,
        hash: HashAlgorithm,
        padding: RsaPadding,
        form: EcdsaForm,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        match &self.pair {
            Pair::Rsa(_) | Pair::Ecdsa(..) => self.sign_digest(hash, padding, form, &hash.digest(message)),
            Pair::Ed25519(key) => Ok(key.sign(message).to_vec()),
            Pair::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(message, &mut signature).map_err(|_| KeyError::Signing)?;
                signature.truncate(length);
                Ok(signature)
            }
        }
    }

    /// The signature of a message that only its digest is known of.
    pub fn sign_digest(
        &self,
        hash: HashAlgorithm,
        padding: RsaPadding,
        form: EcdsaForm,
        digest: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let digest = rsa_digest(hash, digest)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                let encoding = rsa_encoding(hash, padding)?;
                pair.sign_digest(encoding, &digest, &mut signature).map_err(|_| KeyError::Signing)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair, curve) => {
                let signature = pair.sign_digest(&curve.fit(digest)?).map_err(|_| KeyError::Signing)?;
                Ok(match form {
                    EcdsaForm::Fixed => signature.as_ref().to_vec(),
                    EcdsaForm::Asn1 => ecdsa_der(signature.as_ref()),
                })
            }
            Pair::Ed25519(_) | Pair::MlDsa(_) => Err(KeyError::SignsMessages),
        }
    }

    /// Decrypts RSA-OAEP.
    pub fn decrypt_oaep(&self, hash: OaepHash, ciphertext: &[u8]) -> Result<SecretBytes, KeyError> {
        if !self.kind.is_rsa() {
            return Err(KeyError::NoEncryption);
        }
        let key = PrivateDecryptingKey::from_pkcs8(self.to_pkcs8()?.expose())
            .map_err(|_| KeyError::Malformed)
            .and_then(|key| OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::Malformed))?;
        let mut plain = vec![0; key.min_output_size()];
        let length = key
            .decrypt(hash.algorithm(), ciphertext, &mut plain, None)
            .map(|plain| plain.len())
            .map_err(|_| KeyError::Decryption);
        match length {
            Ok(length) => {
                // What lies behind the message is wiped with it.
                let message = plain.get(..length).unwrap_or_default().to_vec();
                plain.zeroize();
                Ok(message.into())
            }
            Err(error) => {
                plain.zeroize();
                Err(error)
            }
        }
    }
}

/// `SEQUENCE { INTEGER r, INTEGER s }` (RFC 3279, section 2.2.3) of both numbers at full length.
fn ecdsa_der(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let body = [der_integer(r), der_integer(s)].concat();
    let mut der = vec![0x30];
    // P-521 alone needs the long form: at most 139 bytes.
    if body.len() > 127 {
        der.push(0x81);
    }
    der.push(u8::try_from(body.len()).unwrap_or(u8::MAX));
    der.extend(body);
    der
}

/// An unsigned number of at most 66 bytes, big endian, as DER writes it.
fn der_integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len().saturating_sub(1));
    let digits = number.get(zeros..).unwrap_or_default();
    let pad = usize::from(digits.first().is_some_and(|byte| *byte >= 0x80));
    let mut der = vec![0x02, u8::try_from(digits.len() + pad).unwrap_or(u8::MAX)];
    der.extend(std::iter::repeat_n(0, pad));
    der.extend_from_slice(digits);
    der
}

fn rsa_encoding(hash: HashAlgorithm, padding: RsaPadding) -> Result<&'static dyn RsaEncoding, KeyError> {
    const fn salted<const BYTES: u16>(encoding: RsaSignatureEncoding) -> RsaSignatureEncoding {
        encoding.with_pss_salt_length(RsaPssSaltLength::Custom(BYTES))
    }
    const fn longest(encoding: RsaSignatureEncoding) -> RsaSignatureEncoding {
        encoding.with_pss_salt_length(RsaPssSaltLength::Max)
    }
    // The library takes references to constants: a constant for each length of salt.
    macro_rules! pss {
        ($encoding:ident, $salt:expr) => {
            match $salt {
                Salt::Auto => &const { longest($encoding) },
                Salt::Digest => &$encoding,
                Salt::Bytes(0) => &const { salted::<0>($encoding) },
                Salt::Bytes(20) => &const { salted::<20>($encoding) },
                Salt::Bytes(28) => &const { salted::<28>($encoding) },
                Salt::Bytes(32) => &const { salted::<32>($encoding) },
                Salt::Bytes(48) => &const { salted::<48>($encoding) },
                Salt::Bytes(64) => &const { salted::<64>($encoding) },
                Salt::Bytes(_) => return Err(KeyError::SaltLength),
            }
        };
    }
    Ok(match (hash, padding) {
        (HashAlgorithm::Sha2_256, RsaPadding::Pkcs1) => &RSA_PKCS1_SHA256,
        (HashAlgorithm::Sha2_384, RsaPadding::Pkcs1) => &RSA_PKCS1_SHA384,
        (HashAlgorithm::Sha2_512, RsaPadding::Pkcs1) => &RSA_PKCS1_SHA512,
        (HashAlgorithm::Sha2_256, RsaPadding::Pss(salt)) => pss!(RSA_PSS_SHA256, salt),
        (HashAlgorithm::Sha2_384, RsaPadding::Pss(salt)) => pss!(RSA_PSS_SHA384, salt),
        (HashAlgorithm::Sha2_512, RsaPadding::Pss(salt)) => pss!(RSA_PSS_SHA512, salt),
        _ => return Err(KeyError::RsaHash),
    })
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} [redacted]", self.kind)
    }
}
