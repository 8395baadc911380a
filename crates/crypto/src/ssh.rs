//! OpenSSH keys and certificates (its PROTOCOL.key and PROTOCOL.certkeys; RFC 4253, RFC 5656, RFC 8332, RFC 8709). The forms are
//! those of the `ssh-key` crate, the keys and signatures those of [`crate::keypair`].

mod private;

pub use private::{SshPrivateText, private_key, private_text};

use crate::hash::HashAlgorithm;
use crate::keypair::{EcdsaForm, KeyError, KeyKind, PrivateKey, RsaPadding};
use rsa::pkcs8::DecodePublicKey;
use signature::Signer;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, Mpint, PublicKey, Signature};
use strongroom_secret::{Entropy, Timestamp};
use thiserror::Error;

/// More than any key: RSA of 16384 bits takes 2.8 kB.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// As many as `ssh-keygen` takes.
const NONCE_BYTES: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SshError {
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("this is no OpenSSH public key: it must look like `ssh-ed25519 AAAA…`")]
    PublicKey,
    #[error("this is no private key in OpenSSH's form or PEM; `ssh-keygen -p -m PKCS8` writes PEM")]
    PrivateKey,
    #[error(
        "the private key is encrypted: remove its passphrase (`ssh-keygen -p`) before it is brought here"
    )]
    Encrypted,
    #[error("keys of this kind cannot be used with SSH")]
    Kind,
    #[error("the certificate cannot be made: {0}")]
    Certificate(String),
}

/// A public key as OpenSSH writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshPublicKey(PublicKey);

/// What a public key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshKeyKind {
    /// With the length of the modulus in bits.
    Rsa(u32),
    /// With the length of the curve in bits.
    Ecdsa(u32),
    Ed25519,
    /// Kept by a security key.
    SkEcdsa,
    SkEd25519,
    Dsa,
    Other,
}

/// Who a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshCertificateKind {
    User,
    Host,
}

/// How an RSA authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaSignature {
    Sha256,
    Sha512,
}

/// What a certificate says.
#[derive(Debug)]
pub struct SshCertificate<'c> {
    pub key: &'c SshPublicKey,
    pub kind: SshCertificateKind,
    pub serial: u64,
    pub key_id: &'c str,
    /// Whom it speaks for. Empty: for everybody.
    pub principals: &'c [String],
    pub valid_after: Timestamp,
    pub valid_before: Timestamp,
    pub critical_options: &'c [(String, String)],
    pub extensions: &'c [(String, String)],
}

impl SshPublicKey {
    /// From a line of `authorized_keys` without options, or from its base64 alone.
    pub fn parse(text: &str) -> Result<Self, SshError> {
        let text = text.trim();
        if text.len() > LINE_BYTES_MAX {
            return Err(SshError::PublicKey);
        }
        if let Ok(key) = PublicKey::from_openssh(text) {
            return Ok(Self(key));
        }
        let bytes = crate::token::decode_base64(text).ok_or(SshError::PublicKey)?;
        PublicKey::from_bytes(bytes.expose()).map(Self).map_err(|_| SshError::PublicKey)
    }

    /// The public half of a key.
    pub fn of(key: &PrivateKey) -> Result<Self, SshError> {
        Ok(Self(key_data(key)?.into()))
    }

    pub fn kind(&self) -> SshKeyKind {
        match self.0.key_data() {
            KeyData::Rsa(key) => {
                let modulus = key.n.as_positive_bytes().unwrap_or_default();
                let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
                SshKeyKind::Rsa(u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX).saturating_sub(leading))
            }
            KeyData::Ecdsa(key) => SshKeyKind::Ecdsa(match key.curve() {
                EcdsaCurve::NistP256 => 256,
                EcdsaCurve::NistP384 => 384,
                EcdsaCurve::NistP521 => 521,
            }),
            KeyData::Ed25519(_) => SshKeyKind::Ed25519,
            KeyData::SkEcdsaSha2NistP256(_) => SshKeyKind::SkEcdsa,
            KeyData::SkEd25519(_) => SshKeyKind::SkEd25519,
            KeyData::Dsa(_) => SshKeyKind::Dsa,
            _ => SshKeyKind::Other,
        }
    }

    /// `ssh-rsa`, `ecdsa-sha2-nistp256` and so on.
    pub fn algorithm(&self) -> String {
        self.0.algorithm().as_str().to_owned()
    }

    /// SHA-256 of the key, as fingerprints have it.
    pub fn sha256(&self) -> Vec<u8> {
        self.0.fingerprint(HashAlg::Sha256).as_bytes().to_vec()
    }

    /// Whether they are the same key, whatever their comments.
    pub fn is_key_of(&self, other: &Self) -> bool {
        self.0.key_data() == other.0.key_data()
    }

    /// `ssh-ed25519 AAAA…`, without a comment.
    pub fn to_line(&self) -> Result<String, SshError> {
        PublicKey::from(self.0.key_data().clone()).to_openssh().map_err(|_| SshError::PublicKey)
    }
}

/// The key that signs, in the shape that the library wants.
struct Authority<'k> {
    key: &'k PrivateKey,
    public: KeyData,
    rsa: RsaSignature,
}

impl From<&Authority<'_>> for KeyData {
    fn from(authority: &Authority<'_>) -> Self {
        authority.public.clone()
    }
}

impl Signer<Signature> for Authority<'_> {
    fn try_sign(&self, message: &[u8]) -> Result<Signature, signature::Error> {
        let failed = |_| signature::Error::new();
        let (algorithm, hash) = match (self.key.kind(), self.rsa) {
            (KeyKind::Rsa(_), RsaSignature::Sha256) => {
                (Algorithm::Rsa { hash: Some(HashAlg::Sha256) }, HashAlgorithm::Sha2_256)
            }
            (KeyKind::Rsa(_), RsaSignature::Sha512) => {
                (Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, HashAlgorithm::Sha2_512)
            }
            // RFC 5656, section 6.2.1: the hash goes with the curve.
            (KeyKind::EcdsaP384, _) => (self.public.algorithm(), HashAlgorithm::Sha2_384),
            (KeyKind::EcdsaP521, _) => (self.public.algorithm(), HashAlgorithm::Sha2_512),
            _ => (self.public.algorithm(), HashAlgorithm::Sha2_256),
        };
        let signed = self
            .key
            .sign(hash, RsaPadding::Pkcs1, EcdsaForm::Fixed, message)
            .map_err(|_| signature::Error::new())?;
        let signed = match algorithm {
            Algorithm::Ecdsa { .. } => two_numbers(&signed).ok_or_else(signature::Error::new)?,
            _ => signed,
        };
        Signature::new(algorithm, signed).map_err(failed)
    }
}

/// Both numbers of an ECDSA signature, each as RFC 4251 writes numbers.
fn two_numbers(fixed: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let mut out = Vec::with_capacity(fixed.len() + 10);
    for number in [r, s] {
        let number = Mpint::from_positive_bytes(number).ok()?;
        out.extend(u32::try_from(number.as_bytes().len()).ok()?.to_be_bytes());
        out.extend_from_slice(number.as_bytes());
    }
    Some(out)
}

/// The public half of a key.
fn key_data(key: &PrivateKey) -> Result<KeyData, SshError> {
    let public = key.public()?;
    Ok(match public.kind() {
        KeyKind::Rsa(_) => {
            let key =
                rsa::RsaPublicKey::from_public_key_der(public.spki()).map_err(|_| SshError::PublicKey)?;
            KeyData::Rsa(RsaPublicKey::try_from(key).map_err(|_| SshError::PublicKey)?)
        }
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => {
            let point = point(public.spki()).ok_or(SshError::PublicKey)?;
            KeyData::Ecdsa(EcdsaPublicKey::from_sec1_bytes(&point).map_err(|_| SshError::PublicKey)?)
        }
        KeyKind::Ed25519 => {
            let bytes = public.ed25519_bytes().ok_or(SshError::PublicKey)?;
            KeyData::Ed25519(Ed25519PublicKey::try_from(bytes).map_err(|_| SshError::PublicKey)?)
        }
        _ => return Err(SshError::Kind),
    })
}

/// The uncompressed point in a SubjectPublicKeyInfo.
fn point(spki: &[u8]) -> Option<Vec<u8>> {
    let info = rsa::pkcs8::spki::SubjectPublicKeyInfoRef::try_from(spki).ok()?;
    info.subject_public_key.as_bytes().map(<[u8]>::to_vec)
}

/// Signs a certificate and writes it as OpenSSH reads it: one line, without a comment.
pub fn certificate(
    wanted: &SshCertificate<'_>,
    authority: &PrivateKey,
    rsa: RsaSignature,
    entropy: &dyn Entropy,
) -> Result<String, SshError> {
    let failed = |error: ssh_key::Error| SshError::Certificate(error.to_string());
    let mut nonce = vec![0; NONCE_BYTES];
    entropy.fill(&mut nonce);
    let seconds = |at: Timestamp| u64::try_from(at.seconds()).unwrap_or(0);
    let (after, before) = (seconds(wanted.valid_after), seconds(wanted.valid_before));
    let key = wanted.key.0.key_data().clone();
    let mut builder = Builder::new(nonce, key, after, before).map_err(failed)?;
    builder.serial(wanted.serial).map_err(failed)?;
    builder
        .cert_type(match wanted.kind {
            SshCertificateKind::User => CertType::User,
            SshCertificateKind::Host => CertType::Host,
        })
        .map_err(failed)?;
    builder.key_id(wanted.key_id).map_err(failed)?;
    if wanted.principals.is_empty() {
        builder.all_principals_valid().map_err(failed)?;
    }
    for principal in wanted.principals {
        builder.valid_principal(principal).map_err(failed)?;
    }
    for (name, value) in wanted.critical_options {
        builder.critical_option(name, value).map_err(failed)?;
    }
    for (name, value) in wanted.extensions {
        builder.extension(name, value).map_err(failed)?;
    }
    let signer = Authority { key: authority, public: key_data(authority)?, rsa };
    let made = builder.sign(&signer).map_err(failed)?;
    made.to_openssh().map_err(failed)
}

#[cfg(test)]
mod tests;
