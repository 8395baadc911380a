//! Keys that sign JSON Web Tokens: the algorithms of RFC 7518, keys as RFC 7517 publishes them.
//!
//! RSA and elliptic-curve keys are made by aws-lc-rs with the operating system's randomness, whatever generator a
//! caller has: it takes none.

use crate::hash::sha256;
use crate::key::Key;
use crate::sign::{SigningKey, VerifyingKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rsa::BigUint;
use rsa::pkcs1::EncodeRsaPublicKey;
use strongroom_secret::{Entropy, SecretBytes};
use thiserror::Error;

/// As many as the signatures of this module allow.
const RSA_BITS_MAX: usize = 8192;

/// How a token is signed: the `alg` of its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoseAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JoseError {
    #[error("a key cannot be made")]
    Generation,
    #[error("the stored key is malformed")]
    StoredKey,
    #[error("the message cannot be signed")]
    Signing,
    #[error("the signature does not match")]
    Mismatch,
    #[error("the JSON Web Key is malformed, or is no key of the algorithm")]
    Jwk,
}

impl JoseAlgorithm {
    pub const ALL: [Self; 7] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Es256, Self::Es384, Self::Es512, Self::EdDsa];

    /// By its name in headers and requests.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    fn rsa(self) -> Option<&'static dyn RsaEncoding> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_SHA512),
            _ => None,
        }
    }

    fn ecdsa(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            Self::Es256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::Es384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::Es512 => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
            _ => None,
        }
    }

    fn curve(self) -> &'static str {
        match self {
            Self::Es256 => "P-256",
            Self::Es384 => "P-384",
            Self::Es512 => "P-521",
            Self::EdDsa => "Ed25519",
            Self::Rs256 | Self::Rs384 | Self::Rs512 => "",
        }
    }

    fn verification(self) -> Option<&'static dyn VerificationAlgorithm> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Es256 => Some(&ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Some(&ECDSA_P384_SHA384_FIXED),
            Self::Es512 => Some(&ECDSA_P521_SHA512_FIXED),
            Self::EdDsa => None,
        }
    }
}

/// A private key.
pub struct JoseKey {
    algorithm: JoseAlgorithm,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(SigningKey),
}

impl JoseKey {
    /// A new key; RSA keys have 2048 bits.
    pub fn generate(algorithm: JoseAlgorithm, entropy: &dyn Entropy) -> Result<Self, JoseError> {
        let pair = match (algorithm.rsa(), algorithm.ecdsa()) {
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
    pub fn from_bytes(algorithm: JoseAlgorithm, bytes: &[u8]) -> Result<Self, JoseError> {
        let pair = match (algorithm.rsa(), algorithm.ecdsa()) {
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

    pub fn algorithm(&self) -> JoseAlgorithm {
        self.algorithm
    }

    /// The signature of a message, as tokens carry it (RFC 7518, section 3).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        let random = SystemRandom::new();
        match (&self.pair, self.algorithm.rsa()) {
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

    /// The public half, to be stored and published.
    pub fn public(&self) -> JosePublicKey {
        let bytes = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(key) => key.verifying_key().as_bytes().to_vec(),
        };
        JosePublicKey { algorithm: self.algorithm, bytes }
    }
}

/// A public key: PKCS #1 for RSA, the uncompressed point of a curve, or the 32 bytes of Ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JosePublicKey {
    pub algorithm: JoseAlgorithm,
    pub bytes: Vec<u8>,
}

impl JosePublicKey {
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        match self.algorithm.verification() {
            Some(algorithm) => UnparsedPublicKey::new(algorithm, &self.bytes)
                .verify(message, signature)
                .map_err(|_| JoseError::Mismatch),
            None => {
                let bytes = self.bytes.as_slice().try_into().map_err(|_| JoseError::StoredKey)?;
                let key = VerifyingKey::from_bytes(bytes).map_err(|_| JoseError::StoredKey)?;
                key.verify(message, signature).map_err(|_| JoseError::Mismatch)
            }
        }
    }

    /// The members of its JSON Web Key that the algorithm asks for (RFC 7518, section 6): `kty`, and `n` and `e`, or
    /// `crv`, `x` and `y`.
    pub fn jwk(&self) -> Result<Vec<(&'static str, String)>, JoseError> {
        let text = |bytes: &[u8]| BASE64.encode(bytes);
        if self.algorithm.rsa().is_some() {
            let (modulus, exponent) = rsa_numbers(&self.bytes).ok_or(JoseError::StoredKey)?;
            return Ok(vec![("kty", "RSA".to_owned()), ("n", text(modulus)), ("e", text(exponent))]);
        }
        let curve = ("crv", self.algorithm.curve().to_owned());
        if self.algorithm.ecdsa().is_none() {
            return Ok(vec![("kty", "OKP".to_owned()), curve, ("x", text(&self.bytes))]);
        }
        let point = match self.bytes.split_first() {
            Some((4, point)) => point,
            _ => return Err(JoseError::StoredKey),
        };
        let (x, y) = point.split_at(point.len() / 2);
        Ok(vec![("kty", "EC".to_owned()), curve, ("x", text(x)), ("y", text(y))])
    }
}

impl JosePublicKey {
    /// From the members of a JSON Web Key, for signatures by this algorithm. Members that the algorithm does not ask for are not
    /// looked at.
    pub fn from_jwk<'j>(
        algorithm: JoseAlgorithm,
        member: impl Fn(&str) -> Option<&'j str>,
    ) -> Result<Self, JoseError> {
        let text = |name| member(name).ok_or(JoseError::Jwk);
        let bytes = |name| BASE64.decode(text(name)?).map_err(|_| JoseError::Jwk);
        let kind = text("kty")?;
        let public = if algorithm.rsa().is_some() && kind == "RSA" {
            let number = |name| bytes(name).map(|number| BigUint::from_bytes_be(&number));
            // Bounds the length, which RSA's own verification would do only after the arithmetic.
            let key = rsa::RsaPublicKey::new_with_max_size(number("n")?, number("e")?, RSA_BITS_MAX);
            let der = key.ok().and_then(|key| key.to_pkcs1_der().ok()).ok_or(JoseError::Jwk)?;
            der.as_bytes().to_vec()
        } else if algorithm.ecdsa().is_some() && kind == "EC" && text("crv")? == algorithm.curve() {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let length = match algorithm {
                JoseAlgorithm::Es256 => 32,
                JoseAlgorithm::Es384 => 48,
                _ => 66,
            };
            if x.len() != length || y.len() != length {
                return Err(JoseError::Jwk);
            }
            [&[4][..], &x, &y].concat()
        } else if algorithm == JoseAlgorithm::EdDsa && kind == "OKP" && text("crv")? == algorithm.curve() {
            bytes("x")?
        } else {
            return Err(JoseError::Jwk);
        };
        Ok(Self { algorithm, bytes: public })
    }

    /// The key's SHA-256 thumbprint (RFC 7638), in base64 for URLs.
    pub fn thumbprint(&self) -> Result<String, JoseError> {
        let mut members = self.jwk()?;
        members.sort_unstable();
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        Ok(BASE64.encode(sha256(format!("{{{}}}", members.join(",")).as_bytes())))
    }
}

/// The modulus and the exponent of an RSAPublicKey (RFC 8017, appendix A.1.1), without leading zeros.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (numbers, rest) = element(0x30, der)?;
    let (modulus, more) = element(0x02, numbers)?;
    let (exponent, end) = element(0x02, more)?;
    let bare = |number: &'_ [u8]| number.iter().take_while(|byte| **byte == 0).count();
    (rest.is_empty() && end.is_empty())
        .then(|| Some((modulus.get(bare(modulus)..)?, exponent.get(bare(exponent)..)?)))
        .flatten()
}

/// The content of a DER element with this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, der) = der.split_first()?;
    let (first, der) = der.split_first()?;
    let (length, der) = match first {
        ..=0x7f => (usize::from(*first), der),
        0x81 | 0x82 => {
            let (length, der) = der.split_at_checked(usize::from(first & 3))?;
            (length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), der)
        }
        _ => return None,
    };
    (*found == tag).then(|| der.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;

    #[test]
    fn every_algorithm_signs_and_survives_storage() {
        let entropy = SeededEntropy::new(1);
        for algorithm in JoseAlgorithm::ALL {
            let key = JoseKey::generate(algorithm, &entropy).unwrap();
            let again = JoseKey::from_bytes(algorithm, key.to_bytes().unwrap().expose()).unwrap();
            assert_eq!(key.public(), again.public());
            let signature = again.sign(b"header.payload").unwrap();
            key.public().verify(b"header.payload", &signature).unwrap();
            assert_eq!(key.public().verify(b"header.other", &signature), Err(JoseError::Mismatch));
            let jwk = key.public().jwk().unwrap();
            assert_eq!(jwk.first().map(|(name, _)| *name), Some("kty"));
            assert_eq!(JoseAlgorithm::parse(algorithm.as_str()), Some(algorithm));
            if algorithm == JoseAlgorithm::Rs256 {
                let values: Vec<&str> = jwk.iter().map(|(_, value)| value.as_str()).collect();
                assert_eq!((values[1].len(), values[2]), (342, "AQAB"));
            }
        }
    }

    /// The example of RFC 7638, section 3.1; and every key survives being published.
    #[test]
    fn keys_are_read_and_named() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst\
                 n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n9\
                 1CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let member = |name: &str| {
            Some(match name {
                "kty" => "RSA",
                "n" => n,
                _ => "AQAB",
            })
        };
        let key = JosePublicKey::from_jwk(JoseAlgorithm::Rs256, member).unwrap();
        assert_eq!(key.thumbprint().unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(JosePublicKey::from_jwk(JoseAlgorithm::Es256, member), Err(JoseError::Jwk));
        for algorithm in JoseAlgorithm::ALL {
            let key = JoseKey::generate(algorithm, &SeededEntropy::new(1)).unwrap().public();
            let jwk = key.jwk().unwrap();
            let read = JosePublicKey::from_jwk(algorithm, |wanted| {
                jwk.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
            });
            assert_eq!(read, Ok(key));
        }
    }

    /// RFC 7515, appendix A.3: a token signed with ES256.
    #[test]
    fn the_example_of_rfc_7515_verifies() {
        let decode = |text: &str| BASE64.decode(text).unwrap();
        let x = decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        let y = decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let key = JosePublicKey { algorithm: JoseAlgorithm::Es256, bytes: [&[4][..], &x, &y].concat() };
        let message = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature =
            decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
        key.verify(message, &signature).unwrap();
        let members = key.jwk().unwrap();
        assert_eq!(members[2].1, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    }
}
