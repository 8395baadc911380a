//! Key Management Service, as SOPS files use it: data keys under a key that never leaves AWS.

use super::{Aws, Service, region_of_arn};
use crate::provider::ProviderError;
use crate::web::Repeat;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use strongroom_secret::SecretBytes;

/// Names and values that are bound to a ciphertext. Not secret: they are logged by AWS.
pub type EncryptionContext = BTreeMap<String, String>;

/// A fresh key, in clear and encrypted.
#[derive(Debug)]
pub struct DataKey {
    pub plaintext: SecretBytes,
    pub ciphertext: Vec<u8>,
}

impl Aws {
    /// Encrypts up to 4096 bytes under a key (id, alias or ARN, whose region is the one asked).
    pub fn kms_encrypt(
        &self,
        key: &str,
        plaintext: &SecretBytes,
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, ProviderError> {
        let body = json!({
            "KeyId": key,
            "Plaintext": BASE64.encode(plaintext.expose()),
            "EncryptionContext": context,
        });
        let answer = self.call_in(region_of_arn(key), Service::Kms, "Encrypt", &body, Repeat::Safe)?;
        bytes(&answer, "CiphertextBlob")
    }

    /// Decrypts what `kms_encrypt` or `kms_data_key` gave, with the same context.
    pub fn kms_decrypt(
        &self,
        key: &str,
        ciphertext: &[u8],
        context: &EncryptionContext,
    ) -> Result<SecretBytes, ProviderError> {
        let body = json!({
            "KeyId": key,
            "CiphertextBlob": BASE64.encode(ciphertext),
            "EncryptionContext": context,
        });
        let answer = self.call_in(region_of_arn(key), Service::Kms, "Decrypt", &body, Repeat::Safe)?;
        bytes(&answer, "Plaintext").map(SecretBytes::new)
    }

    /// A new key of 32 bytes.
    pub fn kms_data_key(&self, key: &str, context: &EncryptionContext) -> Result<DataKey, ProviderError> {
        let body = json!({ "KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context });
        let answer =
            self.call_in(region_of_arn(key), Service::Kms, "GenerateDataKey", &body, Repeat::Safe)?;
        Ok(DataKey {
            plaintext: bytes(&answer, "Plaintext")?.into(),
            ciphertext: bytes(&answer, "CiphertextBlob")?,
        })
    }
}

fn bytes(answer: &Value, name: &str) -> Result<Vec<u8>, ProviderError> {
    let text = answer.get(name).and_then(Value::as_str);
    text.and_then(|text| BASE64.decode(text).ok())
        .ok_or_else(|| ProviderError::malformed(format!("AWS KMS answered without {name}")))
}
