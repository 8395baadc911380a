//! Keys of a vault, as SOPS files use them: RSA-OAEP-256.

use super::{API_VERSION, Azure};
use crate::provider::ProviderError;
use crate::web::{Repeat, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use strongroom_secret::SecretBytes;

/// What a key has encrypted, and by which of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    pub ciphertext: Vec<u8>,
    /// The version, as decryption wants it.
    pub version: String,
}

impl Azure {
    /// Encrypts a data key. `vault` is `https://NAME.vault.azure.net`; an empty `version` is the newest.
    pub fn key_encrypt(
        &self,
        vault: &str,
        name: &str,
        version: &str,
        plaintext: &SecretBytes,
    ) -> Result<Encrypted, ProviderError> {
        let answer = self.key(vault, name, version, "encrypt", plaintext.expose())?;
        // `kid` ends in the version that has done it.
        let kid = answer.get("kid").and_then(Value::as_str).unwrap_or_default();
        let used = kid.rsplit('/').next().filter(|used| !used.is_empty() && *used != name);
        Ok(Encrypted { ciphertext: value(&answer)?, version: used.unwrap_or(version).to_owned() })
    }

    pub fn key_decrypt(
        &self,
        vault: &str,
        name: &str,
        version: &str,
        ciphertext: &[u8],
    ) -> Result<SecretBytes, ProviderError> {
        let answer = self.key(vault, name, version, "decrypt", ciphertext)?;
        value(&answer).map(SecretBytes::new)
    }

    fn key(
        &self,
        vault: &str,
        name: &str,
        version: &str,
        verb: &str,
        input: &[u8],
    ) -> Result<Value, ProviderError> {
        let vault = vault.trim_end_matches('/');
        let version = if version.is_empty() { String::new() } else { format!("/{version}") };
        let url = format!("{vault}/keys/{name}{version}/{verb}?api-version={API_VERSION}");
        let body = json!({ "alg": "RSA-OAEP-256", "value": BASE64.encode(input) });
        let answer = self.call(|| Request::json("POST", &url, &body, Repeat::Safe));
        let answer = answer.map_err(|failed| failed.error.looked(format!("key {name} of {vault}")))?;
        answer.ok_or_else(|| ProviderError::malformed("Azure Key Vault answered with nothing").looked(url))
    }
}

fn value(answer: &Value) -> Result<Vec<u8>, ProviderError> {
    let text = answer.get("value").and_then(Value::as_str);
    text.and_then(|text| BASE64.decode(text.trim_end_matches('=')).ok())
        .ok_or_else(|| ProviderError::malformed("Azure Key Vault answered without a value"))
}
