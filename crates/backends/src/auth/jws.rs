//! JSON Web Tokens as text: taken apart, with their limits, before anything is believed (RFC 7515, RFC 7519).

use crate::pem;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value};
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::keypair::PublicKey;
use strongroom_crypto::x509::ReadCertificate;

/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// A token that was taken apart and not yet checked.
pub(crate) struct Token<'t> {
    pub algorithm: JwsAlgorithm,
    /// Which of the issuer's keys signed it.
    pub key_id: Option<String>,
    claims: Map<String, Value>,
    signed: &'t str,
    signature: Vec<u8>,
}

/// What is needed of a header. `crit` names extensions that must be understood; none is.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'t> Token<'t> {
    /// Takes a compact token apart. Only algorithms with public keys are tokens here. Errors are for the client.
    pub(crate) fn parse(text: &'t str) -> Result<Self, String> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(format!("the token is longer than {TOKEN_BYTES_MAX} bytes"));
        }
        let three = "compact JWS format must have three parts";
        let (signed, signature) = text.rsplit_once('.').ok_or(three)?;
        let (header, payload) = signed.split_once('.').ok_or(three)?;
        if payload.contains('.') {
            return Err(three.to_owned());
        }
        let header: Header = decoded(header).ok_or("the token's header is malformed")?;
        if header.crit.is_some() {
            return Err("the token's header asks for extensions (crit) that are not supported".to_owned());
        }
        let algorithm = JwsAlgorithm::parse(&header.alg)
            .ok_or("the token is signed with an algorithm that is not accepted")?;
        Ok(Self {
            algorithm,
            key_id: header.kid,
            claims: decoded(payload).ok_or("the token's claims are no JSON object")?,
            signed,
            signature: BASE64.decode(signature).map_err(|_| "the token's signature is malformed")?,
        })
    }

    /// The claims, if one of these keys made the signature.
    pub(crate) fn verified<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Option<&Map<String, Value>> {
        let is_signed =
            keys.into_iter().any(|key| self.algorithm.verify(key, self.signed.as_bytes(), &self.signature));
        is_signed.then_some(&self.claims)
    }

    /// The claims of a token that somebody else is going to check.
    pub(crate) fn unverified(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// A numeric date (RFC 7519, section 2); it may have a fraction.
pub(crate) fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, String> {
    let number = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|seconds| seconds.abs() < 1e15).map(|seconds| seconds as i64)),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| format!("the claim {name} is no time"))
}

/// A public key in PEM, or that of a certificate.
pub(crate) fn public_key(text: &str) -> Option<PublicKey> {
    let (label, der) = pem::decode_all(text)?.into_iter().next()?;
    match label.as_str() {
        "PUBLIC KEY" => PublicKey::from_spki(&der).ok(),
        "CERTIFICATE" => ReadCertificate::from_der(&der).ok()?.public_key().ok(),
        _ => None,
    }
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}
