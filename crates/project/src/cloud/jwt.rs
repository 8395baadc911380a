//! JSON Web Tokens signed with a private key that a cloud knows the public half of (RFC 7519, RS256).

use crate::provider::ProviderError;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use strongroom_crypto::jose::JoseKey;
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_secret::{SecretBytes, SecretString};

/// The DER in the first PEM block of this label (RFC 7468).
pub(crate) fn pem_block(text: &str, label: &str) -> Option<SecretBytes> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body = SecretString::new(body.chars().filter(|character| !character.is_whitespace()).collect());
    STANDARD.decode(body.expose()).ok().map(SecretBytes::new)
}

/// The key in a PEM text; `whose` is for errors.
pub(crate) fn rsa_key(pem: &str, whose: &str) -> Result<JoseKey, ProviderError> {
    let unusable = |hint: &str| {
        ProviderError::authentication(format!("the private key of {whose} cannot be used")).hint(hint)
    };
    if pem.contains("-----BEGIN RSA PRIVATE KEY-----") {
        return Err(unusable(
            "it is in the older form of PKCS #1: openssl pkcs8 -topk8 -nocrypt turns it into PKCS #8",
        ));
    }
    if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err(unusable(
            "it is protected by a password: keep it without one, in a place that needs none",
        ));
    }
    let der = pem_block(pem, "PRIVATE KEY").ok_or_else(|| unusable("it is not a PEM block PRIVATE KEY"))?;
    JoseKey::from_bytes(JwsAlgorithm::Rs256, der.expose())
        .map_err(|_| unusable("it is not an RSA key of 2048 bits or more"))
}

/// `header.claims.signature`. `alg` belongs into the header.
pub(crate) fn signed(key: &JoseKey, header: &Value, claims: &Value) -> Result<SecretString, ProviderError> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = key
        .sign(message.as_bytes())
        .map_err(|error| ProviderError::authentication(format!("a token cannot be signed: {error}")))?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
}
