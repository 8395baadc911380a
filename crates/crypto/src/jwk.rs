//! Public keys as JSON Web Keys (RFC 7517, RFC 7518, RFC 8037): read, written, and named by their thumbprints (RFC 7638).

use crate::hash::sha256;
use crate::keypair::{KeyKind, PublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use thiserror::Error;

/// The longest number that is looked at, in characters: RSA's of 8192 bits, with room.
const NUMBER_CHARACTERS_MAX: usize = 2048;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the JSON Web Key is malformed, or of a kind that is not supported")]
pub struct JwkError;

impl PublicKey {
    /// From the members of a JSON Web Key. Members that the kind of key does not ask for are not looked at.
    pub fn from_jwk<'j>(member: impl Fn(&str) -> Option<&'j str>) -> Result<Self, JwkError> {
        let number = |name: &str| {
            let text = member(name).filter(|text| text.len() <= NUMBER_CHARACTERS_MAX).ok_or(JwkError)?;
            // Some issuers write what RFC 7515 leaves out.
            BASE64.decode(text.trim_end_matches('=')).map_err(|_| JwkError)
        };
        let key = match (member("kty").ok_or(JwkError)?, member("crv")) {
            ("RSA", _) => {
                let (modulus, exponent) = (number("n")?, number("e")?);
                Self::rsa(without_zeros(&modulus), without_zeros(&exponent))
            }
            ("EC", Some(curve)) => {
                let kind = [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521]
                    .into_iter()
                    .find(|kind| curve_of(*kind) == Some(curve))
                    .ok_or(JwkError)?;
                Self::ecdsa(kind, &number("x")?, &number("y")?)
            }
            ("OKP", Some("Ed25519")) => {
                Ok(Self::ed25519(number("x")?.as_slice().try_into().map_err(|_| JwkError)?))
            }
            _ => return Err(JwkError),
        };
        key.map_err(|_| JwkError)
    }

    /// The members of its JSON Web Key that its kind asks for: `kty`, and `n` and `e`, or `crv`, `x` and `y`.
    pub fn jwk(&self) -> Result<Vec<(&'static str, String)>, JwkError> {
        let text = |bytes: &[u8]| BASE64.encode(bytes);
        if self.kind().is_rsa() {
            let key = rsa::RsaPublicKey::from_public_key_der(self.spki()).map_err(|_| JwkError)?;
            let (modulus, exponent) = (key.n().to_bytes_be(), key.e().to_bytes_be());
            return Ok(vec![("kty", "RSA".to_owned()), ("n", text(&modulus)), ("e", text(&exponent))]);
        }
        let curve = ("crv", curve_of(self.kind()).ok_or(JwkError)?.to_owned());
        if let Some(bytes) = self.ed25519_bytes() {
            return Ok(vec![("kty", "OKP".to_owned()), curve, ("x", text(bytes))]);
        }
        let (x, y) = self.point().ok_or(JwkError)?;
        Ok(vec![("kty", "EC".to_owned()), curve, ("x", text(x)), ("y", text(y))])
    }

    /// Its SHA-256 thumbprint, in base64 for URLs.
    pub fn thumbprint(&self) -> Result<String, JwkError> {
        let mut members = self.jwk()?;
        members.sort_unstable();
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        Ok(BASE64.encode(sha256(format!("{{{}}}", members.join(",")).as_bytes())))
    }
}

fn curve_of(kind: KeyKind) -> Option<&'static str> {
    match kind {
        KeyKind::EcdsaP256 => Some("P-256"),
        KeyKind::EcdsaP384 => Some("P-384"),
        KeyKind::EcdsaP521 => Some("P-521"),
        KeyKind::Ed25519 => Some("Ed25519"),
        _ => None,
    }
}

/// A number as RFC 7518 wants it, whoever wrote it otherwise.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::JoseKey;
    use crate::jws::JwsAlgorithm;
    use crate::test_entropy::SeededEntropy;

    /// The example of RFC 7638, section 3.1.
    const MODULUS: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst\
                 n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n9\
                 1CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    fn read(members: &[(&str, &str)]) -> Result<PublicKey, JwkError> {
        PublicKey::from_jwk(|wanted| {
            members.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
        })
    }

    #[test]
    fn keys_are_read_and_named() {
        let key = read(&[("kty", "RSA"), ("n", MODULUS), ("e", "AQAB")]).unwrap();
        assert_eq!(key.thumbprint().unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        // With padding, and with a zero before the exponent.
        assert_eq!(read(&[("kty", "RSA"), ("n", &format!("{MODULUS}==")), ("e", "AAEAAQ")]), Ok(key));
    }

    #[test]
    fn every_key_survives_being_published() {
        for algorithm in JwsAlgorithm::SIGNING {
            let key = JoseKey::generate(algorithm, &SeededEntropy::new(1)).unwrap().public().unwrap();
            let jwk = key.jwk().unwrap();
            let members: Vec<_> = jwk.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(read(&members), Ok(key));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let coordinate = BASE64.encode([1; 32]);
        let long = "A".repeat(NUMBER_CHARACTERS_MAX + 1);
        for members in [
            &[("kty", "oct"), ("k", "AQAB")][..],
            &[("kty", "RSA"), ("n", "AQAB"), ("e", "AQAB")],
            &[("kty", "RSA"), ("n", &long), ("e", "AQAB")],
            &[("kty", "RSA"), ("n", MODULUS)],
            &[("kty", "RSA"), ("n", MODULUS), ("e", "")],
            &[("kty", "EC"), ("crv", "P-256"), ("x", &coordinate), ("y", &coordinate)],
            &[("kty", "EC"), ("crv", "secp256k1"), ("x", &coordinate), ("y", &coordinate)],
            &[("kty", "EC"), ("crv", "P-256"), ("x", &coordinate)],
            &[("kty", "OKP"), ("crv", "Ed25519"), ("x", "AQAB")],
            &[("kty", "OKP"), ("crv", "X25519"), ("x", &coordinate)],
            &[("crv", "P-256")],
        ] {
            assert_eq!(read(members), Err(JwkError), "{members:?}");
        }
    }
}
