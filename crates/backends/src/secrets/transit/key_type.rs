//! The types of keys, by Vault's names, and what each can do.

use serde::{Deserialize, Serialize};
use strongroom_crypto::cipher::Cipher;
use strongroom_crypto::keypair::KeyKind;

/// What a key is, and for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeyType {
    #[serde(rename = "aes128-gcm96")]
    Aes128Gcm,
    #[serde(rename = "aes256-gcm96")]
    Aes256Gcm,
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    #[serde(rename = "xchacha20-poly1305")]
    XChaCha20Poly1305,
    #[serde(rename = "ed25519")]
    Ed25519,
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    #[serde(rename = "ecdsa-p521")]
    EcdsaP521,
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    #[serde(rename = "hmac")]
    Hmac,
    #[serde(rename = "aes128-cmac")]
    Aes128Cmac,
    #[serde(rename = "aes256-cmac")]
    Aes256Cmac,
    #[serde(rename = "ml-dsa-44")]
    MlDsa44,
    #[serde(rename = "ml-dsa-65")]
    MlDsa65,
    #[serde(rename = "ml-dsa-87")]
    MlDsa87,
}

impl KeyType {
    pub(super) const ALL: [Self; 17] = [
        Self::Aes128Gcm,
        Self::Aes256Gcm,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Hmac,
        Self::Aes128Cmac,
        Self::Aes256Cmac,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// By its name. Vault's `ml-dsa` names its strength apart, in `parameter_set`.
    pub(super) fn parse(name: &str, parameter_set: &str) -> Option<Self> {
        let name = match (name, parameter_set) {
            ("ml-dsa", "44") => "ml-dsa-44",
            ("ml-dsa", "65" | "") => "ml-dsa-65",
            ("ml-dsa", "87") => "ml-dsa-87",
            (name, _) => name,
        };
        Self::ALL.into_iter().find(|key_type| key_type.stored_name() == name)
    }

    fn stored_name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes128-gcm96",
            Self::Aes256Gcm => "aes256-gcm96",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::Hmac => "hmac",
            Self::Aes128Cmac => "aes128-cmac",
            Self::Aes256Cmac => "aes256-cmac",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
        }
    }

    /// As answers name it.
    pub(super) fn name(self) -> &'static str {
        if self.parameter_set().is_some() { "ml-dsa" } else { self.stored_name() }
    }

    pub(super) fn parameter_set(self) -> Option<&'static str> {
        match self {
            Self::MlDsa44 => Some("44"),
            Self::MlDsa65 => Some("65"),
            Self::MlDsa87 => Some("87"),
            _ => None,
        }
    }

    /// As answers name the key of one version.
    pub(super) fn version_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "P-256",
            Self::EcdsaP384 => "P-384",
            Self::EcdsaP521 => "P-521",
            other => other.stored_name(),
        }
    }

    /// The authenticated cipher, for symmetric keys that encrypt.
    pub(super) fn cipher(self) -> Option<Cipher> {
        match self {
            Self::Aes128Gcm => Some(Cipher::Aes128Gcm),
            Self::Aes256Gcm => Some(Cipher::Aes256Gcm),
            Self::ChaCha20Poly1305 => Some(Cipher::ChaCha20Poly1305),
            Self::XChaCha20Poly1305 => Some(Cipher::XChaCha20Poly1305),
            _ => None,
        }
    }

    /// The kind of key pair, for asymmetric keys.
    pub(super) fn pair(self) -> Option<KeyKind> {
        match self {
            Self::Ed25519 => Some(KeyKind::Ed25519),
            Self::EcdsaP256 => Some(KeyKind::EcdsaP256),
            Self::EcdsaP384 => Some(KeyKind::EcdsaP384),
            Self::EcdsaP521 => Some(KeyKind::EcdsaP521),
            Self::Rsa2048 => Some(KeyKind::Rsa(2048)),
            Self::Rsa3072 => Some(KeyKind::Rsa(3072)),
            Self::Rsa4096 => Some(KeyKind::Rsa(4096)),
            Self::MlDsa44 => Some(KeyKind::MlDsa44),
            Self::MlDsa65 => Some(KeyKind::MlDsa65),
            Self::MlDsa87 => Some(KeyKind::MlDsa87),
            _ => None,
        }
    }

    /// How long the key of a symmetric type is, in bytes; for `hmac`, unless said otherwise.
    pub(super) fn symmetric_bytes(self) -> Option<usize> {
        match self {
            Self::Hmac => Some(32),
            Self::Aes128Cmac => Some(16),
            Self::Aes256Cmac => Some(32),
            other => other.cipher().map(Cipher::key_bytes),
        }
    }

    pub(super) fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    pub(super) fn encrypts(self) -> bool {
        self.cipher().is_some() || self.is_rsa()
    }

    pub(super) fn signs(self) -> bool {
        self.pair().is_some()
    }

    pub(super) fn derives(self) -> bool {
        self.cipher().is_some() || self == Self::Ed25519
    }

    pub(super) fn makes_cmacs(self) -> bool {
        matches!(self, Self::Aes128Cmac | Self::Aes256Cmac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_the_names_of_the_api() {
        for key_type in KeyType::ALL {
            assert_eq!(serde_json::to_string(&key_type).unwrap(), format!("\"{}\"", key_type.stored_name()));
            let set = key_type.parameter_set().unwrap_or_default();
            assert_eq!(KeyType::parse(key_type.name(), set), Some(key_type));
        }
        assert_eq!(KeyType::parse("aes512", ""), None);
    }
}
