//! Signed requests (RFC 8555, section 6; RFC 7515, flattened JSON).

use super::problem::{Kind, Problem};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value};
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::keypair;

/// A request's header with a key and a URL is a tenth of this.
const HEADER_BYTES_MAX: usize = 16 * 1024;
const MEMBERS: [&str; 3] = ["protected", "payload", "signature"];
/// Of a JSON Web Key, the members that make it up.
const KEY_MEMBERS: [&str; 6] = ["kty", "crv", "x", "y", "n", "e"];

/// A signed text, taken apart. Nothing of it is proven yet.
pub(super) struct SignedText {
    pub header: Map<String, Value>,
    pub payload: Vec<u8>,
    /// What the signature is over.
    message: String,
    signature: Vec<u8>,
}

/// A key as it is stored and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub jwk: Map<String, Value>,
    pub thumbprint: String,
}

fn malformed(what: &str) -> Problem {
    Kind::Malformed.told(what)
}

fn object(bytes: &[u8], what: &str) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(malformed(&format!("{what} is no JSON object"))),
    }
}

impl SignedText {
    /// From the three members of a flattened JSON Web Signature. Anything beside them is refused: it is not signed.
    pub(super) fn parse(members: &Map<String, Value>) -> Result<Self, Problem> {
        if let Some(other) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(malformed(&format!("the request has a member {other:?}, which is not signed")));
        }
        let text = |name: &str| {
            let text = members.get(name).and_then(Value::as_str);
            text.ok_or_else(|| malformed(&format!("the request is no signed one: it has no {name}")))
        };
        let (protected, payload, signature) = (text("protected")?, text("payload")?, text("signature")?);
        if protected.len() > HEADER_BYTES_MAX || signature.len() > HEADER_BYTES_MAX {
            return Err(malformed("the protected header, or the signature, is too long"));
        }
        let decode = |text: &str, what: &str| {
            BASE64
                .decode(text)
                .map_err(|_| malformed(&format!("{what} is not base64 for URLs without padding")))
        };
        let header = object(&decode(protected, "protected")?, "the protected header")?;
        if header.contains_key("crit") {
            return Err(malformed("there is no critical header that this server knows"));
        }
        Ok(Self {
            header,
            payload: decode(payload, "payload")?,
            message: format!("{protected}.{payload}"),
            signature: decode(signature, "signature")?,
        })
    }

    /// From JSON in bytes: what is signed within a signed request.
    pub(super) fn parse_inner(value: &Value) -> Result<Self, Problem> {
        match value {
            Value::Object(members) => Self::parse(members),
            _ => Err(malformed("what is signed within the request is no JSON object")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// The header's own key.
    pub(super) fn own_key(&self) -> Result<Option<PublicKey>, Problem> {
        let Some(jwk) = self.header.get("jwk") else { return Ok(None) };
        let Value::Object(jwk) = jwk else { return Err(malformed("jwk is no JSON object")) };
        PublicKey::parse(self.algorithm()?, jwk).map(Some)
    }

    fn algorithm(&self) -> Result<JwsAlgorithm, Problem> {
        let name = self.text("alg").ok_or_else(|| malformed("the protected header has no alg"))?;
        JwsAlgorithm::parse(name).ok_or_else(|| {
            let known = JwsAlgorithm::ALL.map(JwsAlgorithm::as_str).join(", ");
            Kind::BadSignatureAlgorithm.told(format!("alg must be one of {known}"))
        })
    }

    /// Proves that the key signed this.
    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), Problem> {
        let algorithm = self.algorithm()?;
        match algorithm.verify(&key.for_algorithm(algorithm)?, self.message.as_bytes(), &self.signature) {
            true => Ok(()),
            false => Err(malformed("the signature does not fit the key and what is signed")),
        }
    }

    pub(super) fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

impl PublicKey {
    pub(super) fn parse(algorithm: JwsAlgorithm, jwk: &Map<String, Value>) -> Result<Self, Problem> {
        let jwk: Map<String, Value> = jwk
            .iter()
            .filter(|(name, _)| KEY_MEMBERS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut key = Self { jwk, thumbprint: String::new() };
        key.thumbprint = key
            .for_algorithm(algorithm)?
            .thumbprint()
            .map_err(|_| Kind::BadPublicKey.told("the key is malformed"))?;
        Ok(key)
    }

    /// A key whose use is known by its kind: RSA for RS256 and so on.
    pub(super) fn of_any_algorithm(jwk: &Map<String, Value>) -> Result<Self, Problem> {
        JwsAlgorithm::ALL.into_iter().find_map(|algorithm| Self::parse(algorithm, jwk).ok()).ok_or_else(
            || Kind::BadPublicKey.told("the key is malformed, or of a kind that is not supported"),
        )
    }

    fn for_algorithm(&self, algorithm: JwsAlgorithm) -> Result<keypair::PublicKey, Problem> {
        let key = keypair::PublicKey::from_jwk(|name| self.jwk.get(name).and_then(Value::as_str));
        key.ok().filter(|key| algorithm.fits(key.kind())).ok_or_else(|| {
            Kind::BadPublicKey.told("the key is malformed, or no key of the algorithm that the header names")
        })
    }
}

/// The object in a payload.
pub(super) fn payload(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    object(bytes, "the payload")
}

/// Reads a request as it comes from a client, and judges it by its own key.
pub(crate) fn hear(bytes: &[u8]) {
    let Ok(members) = object(bytes, "the request") else { return };
    let Ok(signed) = SignedText::parse(&members) else { return };
    drop(payload(&signed.payload));
    if let Ok(Some(key)) = signed.own_key() {
        drop(signed.verify(&key));
    }
}
