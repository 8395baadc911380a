//! Private keys in the forms that `ssh-keygen` and OpenSSL write.

use super::{SshError, key_data};
use crate::key::Key;
use crate::keypair::{KeyKind, PrivateKey};
use rsa::BigUint;
use rsa::pkcs8::EncodePrivateKey;
use ssh_key::LineEnding;
use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, Ed25519PrivateKey, KeypairData, RsaKeypair};
use ssh_key::public::KeyData;
use strongroom_secret::SecretString;
use zeroize::Zeroizing;

/// As Vault's clients expect a new private key: OpenSSH's form for Ed25519, older PEM for the others.
pub struct SshPrivateText {
    pub text: SecretString,
    /// `rsa`, `ec` or `ed25519`.
    pub kind: &'static str,
}

/// Reads a private key: OpenSSH's own form, or the DER of a PEM block (PKCS #1, PKCS #8, SEC 1) that the caller has opened.
pub fn private_key(text: &str, der: Option<&[u8]>) -> Result<PrivateKey, SshError> {
    if let Some(der) = der {
        return PrivateKey::from_der(der).map_err(SshError::from);
    }
    let key = ssh_key::PrivateKey::from_openssh(text.trim()).map_err(|_| SshError::PrivateKey)?;
    match key.key_data() {
        KeypairData::Ed25519(pair) => {
            let seed = Key::try_from(&pair.private.as_ref()[..]).map_err(|_| SshError::PrivateKey)?;
            let read = PrivateKey::ed25519(seed);
            match key_data(&read)? {
                KeyData::Ed25519(public) if public == pair.public => Ok(read),
                _ => Err(SshError::PrivateKey),
            }
        }
        KeypairData::Ecdsa(pair) => {
            let kind = match pair {
                EcdsaKeypair::NistP256 { .. } => KeyKind::EcdsaP256,
                EcdsaKeypair::NistP384 { .. } => KeyKind::EcdsaP384,
                EcdsaKeypair::NistP521 { .. } => KeyKind::EcdsaP521,
            };
            Ok(PrivateKey::ecdsa(kind, pair.private_key_bytes(), pair.public_key_bytes())?)
        }
        KeypairData::Rsa(pair) => rsa_key(pair),
        KeypairData::Encrypted(_) => Err(SshError::Encrypted),
        _ => Err(SshError::Kind),
    }
}

/// OpenSSH leaves out two of the numbers that PKCS #8 wants; the library computes them.
fn rsa_key(pair: &RsaKeypair) -> Result<PrivateKey, SshError> {
    let number = |number: &ssh_key::Mpint| {
        number.as_positive_bytes().map(BigUint::from_bytes_be).ok_or(SshError::PrivateKey)
    };
    let key = rsa::RsaPrivateKey::from_components(
        number(&pair.public.n)?,
        number(&pair.public.e)?,
        number(&pair.private.d)?,
        vec![number(&pair.private.p)?, number(&pair.private.q)?],
    )
    .map_err(|_| SshError::PrivateKey)?;
    let der = key.to_pkcs8_der().map_err(|_| SshError::PrivateKey)?;
    Ok(PrivateKey::from_der(der.as_bytes())?)
}

/// Writes a private key; `pem` makes PEM of a label and DER.
pub fn private_text(
    key: &PrivateKey,
    pem: impl FnOnce(&'static str, &[u8]) -> SecretString,
) -> Result<SshPrivateText, SshError> {
    let older = || key.to_traditional_der()?.ok_or(SshError::Kind);
    Ok(match key.kind() {
        KeyKind::Rsa(_) => SshPrivateText { text: pem("RSA PRIVATE KEY", older()?.expose()), kind: "rsa" },
        KeyKind::Ed25519 => SshPrivateText { text: openssh_ed25519(key)?, kind: "ed25519" },
        _ => SshPrivateText { text: pem("EC PRIVATE KEY", older()?.expose()), kind: "ec" },
    })
}

fn openssh_ed25519(key: &PrivateKey) -> Result<SecretString, SshError> {
    let (KeyData::Ed25519(public), Some(seed)) = (key_data(key)?, key.seed()) else {
        return Err(SshError::Kind);
    };
    let pair = Ed25519Keypair { public, private: Ed25519PrivateKey::from_bytes(seed.expose()) };
    let key = ssh_key::PrivateKey::from(pair);
    let text: Zeroizing<String> = key.to_openssh(LineEnding::LF).map_err(|_| SshError::PrivateKey)?;
    Ok(SecretString::from(text.as_str()))
}
