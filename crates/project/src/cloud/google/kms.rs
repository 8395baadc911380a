//! Cloud KMS, as SOPS files use it.

use super::{Google, Service, check_crc32c, crc32c};
use crate::provider::ProviderError;
use crate::web::{Repeat, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use strongroom_secret::SecretBytes;

impl Google {
    /// Encrypts up to 64 KiB under `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub fn kms_encrypt(&self, key: &str, plaintext: &SecretBytes) -> Result<Vec<u8>, ProviderError> {
        let body = json!({
            "plaintext": BASE64.encode(plaintext.expose()),
            "plaintextCrc32c": crc32c(plaintext.expose()).to_string(),
        });
        let answer = self.kms(key, "encrypt", &body)?;
        if answer.get("verifiedPlaintextCrc32c").and_then(Value::as_bool) == Some(false) {
            let message = "Google did not get the plaintext as it was sent";
            return Err(ProviderError::new(crate::provider::ErrorKind::Integrity, message));
        }
        bytes(&answer, "ciphertext", "ciphertextCrc32c")
    }

    pub fn kms_decrypt(&self, key: &str, ciphertext: &[u8]) -> Result<SecretBytes, ProviderError> {
        let body = json!({
            "ciphertext": BASE64.encode(ciphertext),
            "ciphertextCrc32c": crc32c(ciphertext).to_string(),
        });
        let answer = self.kms(key, "decrypt", &body)?;
        // An empty plaintext is left out.
        if answer.get("plaintext").is_none() {
            return Ok(SecretBytes::default());
        }
        bytes(&answer, "plaintext", "plaintextCrc32c").map(SecretBytes::new)
    }

    fn kms(&self, key: &str, verb: &str, body: &Value) -> Result<Value, ProviderError> {
        let well_formed =
            key.starts_with("projects/") && !key.contains(['?', '#', ' ']) && !key.contains("..");
        if !well_formed {
            let message = format!("{key:?} is no key of Cloud KMS");
            return Err(
                ProviderError::settings(message).hint("write projects/P/locations/L/keyRings/R/cryptoKeys/K")
            );
        }
        let url = format!("{}/v1/{key}:{verb}", self.endpoint(Service::Kms, "")?);
        let answer = self.call(Service::Kms, || Request::json("POST", &url, body, Repeat::Safe));
        answer.map_err(|failed| failed.error.looked(format!("key {key}")))
    }
}

fn bytes(answer: &Value, name: &str, checksum: &str) -> Result<Vec<u8>, ProviderError> {
    let text = answer.get(name).and_then(Value::as_str);
    let bytes = text
        .and_then(|text| BASE64.decode(text).ok())
        .ok_or_else(|| ProviderError::malformed(format!("Cloud KMS answered without {name}")))?;
    check_crc32c(answer.get(checksum), &bytes, name)?;
    Ok(bytes)
}
