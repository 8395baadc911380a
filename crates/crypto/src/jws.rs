//! Signatures of JSON Web Tokens (RFC 7515, RFC 7518, RFC 8037), ours and those that others made. Only algorithms with a public
//! key are known here: there is no way to `none`, and none from a public key to an HMAC.

use crate::hash::HashAlgorithm;
use crate::keypair::{EcdsaForm, KeyKind, PublicKey, RsaPadding, Salt};

/// The `alg` of a token's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwsAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl JwsAlgorithm {
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// Those that [`crate::jose::JoseKey`] signs by.
    pub const SIGNING: [Self; 7] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Es256, Self::Es384, Self::Es512, Self::EdDsa];

    /// By its name in headers and settings.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether a key of this kind signs so: each curve belongs to one algorithm.
    pub fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                kind.is_rsa()
            }
            Self::Es256 => kind == KeyKind::EcdsaP256,
            Self::Es384 => kind == KeyKind::EcdsaP384,
            Self::Es512 => kind == KeyKind::EcdsaP521,
            Self::EdDsa => kind == KeyKind::Ed25519,
        }
    }

    /// Whether `key` made this signature of a token's header and payload.
    pub fn verify(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        let hash = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::EdDsa => HashAlgorithm::Sha2_256,
            Self::Rs384 | Self::Ps384 | Self::Es384 => HashAlgorithm::Sha2_384,
            Self::Rs512 | Self::Ps512 | Self::Es512 => HashAlgorithm::Sha2_512,
        };
        let padding = match self {
            Self::Ps256 | Self::Ps384 | Self::Ps512 => RsaPadding::Pss(Salt::Digest),
            _ => RsaPadding::Pkcs1,
        };
        self.fits(key.kind())
            && key.verify(hash, padding, EcdsaForm::Fixed, message, signature).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keypair::PrivateKey;
    use crate::test_entropy::SeededEntropy;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    /// RFC 7515, appendix A.3 (ES256) and RFC 8037, appendix A.4 (EdDSA).
    #[test]
    fn examples_of_the_rfcs_verify() {
        let decode = |text: &str| BASE64.decode(text).unwrap();
        let x = decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        let y = decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let key = PublicKey::ecdsa(KeyKind::EcdsaP256, &x, &y).unwrap();
        let message = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature =
            decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
        assert!(JwsAlgorithm::Es256.verify(&key, message, &signature));
        assert!(!JwsAlgorithm::Es384.verify(&key, message, &signature));
        assert!(!JwsAlgorithm::Es256.verify(&key, &message[1..], &signature));
        assert!(PublicKey::ecdsa(KeyKind::EcdsaP256, &y, &x).is_err(), "no point of the curve");

        let x = decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let key = PublicKey::ed25519(x.as_slice().try_into().unwrap());
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
        assert!(JwsAlgorithm::EdDsa.verify(&key, message, &signature));
        assert!(!JwsAlgorithm::Rs256.verify(&key, message, &signature));
    }

    #[test]
    fn every_algorithm_verifies_what_its_key_signed() {
        let entropy = SeededEntropy::new(1);
        for algorithm in JwsAlgorithm::ALL {
            assert_eq!(JwsAlgorithm::parse(algorithm.as_str()), Some(algorithm));
            let kind = [
                KeyKind::Rsa(2048),
                KeyKind::EcdsaP256,
                KeyKind::EcdsaP384,
                KeyKind::EcdsaP521,
                KeyKind::Ed25519,
            ]
            .into_iter()
            .find(|kind| algorithm.fits(*kind))
            .unwrap();
            let (hash, padding) = match algorithm.as_str() {
                "PS256" => (HashAlgorithm::Sha2_256, RsaPadding::Pss(Salt::Digest)),
                "PS384" => (HashAlgorithm::Sha2_384, RsaPadding::Pss(Salt::Digest)),
                "PS512" => (HashAlgorithm::Sha2_512, RsaPadding::Pss(Salt::Digest)),
                "RS384" | "ES384" => (HashAlgorithm::Sha2_384, RsaPadding::Pkcs1),
                "RS512" | "ES512" => (HashAlgorithm::Sha2_512, RsaPadding::Pkcs1),
                _ => (HashAlgorithm::Sha2_256, RsaPadding::Pkcs1),
            };
            let key = PrivateKey::generate(kind, &entropy).unwrap();
            let signature = key.sign(hash, padding, EcdsaForm::Fixed, b"header.payload").unwrap();
            let public = key.public().unwrap();
            for other in JwsAlgorithm::ALL {
                assert_eq!(other.verify(&public, b"header.payload", &signature), other == algorithm);
            }
        }
        assert_eq!(JwsAlgorithm::parse("none"), None);
        assert_eq!(JwsAlgorithm::parse("HS256"), None);
    }

    #[test]
    fn rsa_keys_come_from_their_numbers() {
        let key = PrivateKey::generate(KeyKind::Rsa(2048), &SeededEntropy::new(2)).unwrap().public().unwrap();
        // The modulus stands at the end of SubjectPublicKeyInfo, before the exponent 65537.
        let spki = key.spki();
        let end = spki.len() - 5;
        let again = PublicKey::rsa(&spki[end - 256..end], &[1, 0, 1]).unwrap();
        assert_eq!(again, key);
        assert!(PublicKey::rsa(&[7; 64], &[1, 0, 1]).is_err(), "512 bits");
    }
}
