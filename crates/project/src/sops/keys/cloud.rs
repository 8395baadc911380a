//! AWS KMS. Google Cloud KMS and Azure Key Vault follow with their clients.

use crate::Surroundings;
use crate::cloud::aws::{Aws, AwsOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use strongroom_formats::sops::{AwsKmsKey, Recipient};
use strongroom_secret::SecretBytes;

/// Clients of the clouds, made when they are needed and kept: credentials are found once.
pub(super) struct CloudKeys {
    surroundings: Arc<Surroundings>,
    /// By profile and role.
    aws: Mutex<HashMap<(String, String), Arc<Aws>>>,
}

impl CloudKeys {
    pub(super) fn new(surroundings: Arc<Surroundings>) -> Self {
        Self { surroundings, aws: Mutex::default() }
    }

    pub(super) fn unwrap(&self, recipient: &Recipient, wrapped: &str) -> Result<SecretBytes, String> {
        match recipient {
            Recipient::AwsKms(key) => {
                let blob = BASE64.decode(wrapped).map_err(|_| "what is wrapped is not base64".to_owned())?;
                self.aws(key).kms_decrypt(&key.arn, &blob, &key.context).map_err(|error| error.to_string())
            }
            other => Err(unsupported(other)),
        }
    }

    pub(super) fn wrap(&self, recipient: &Recipient, part: &SecretBytes) -> Result<String, String> {
        match recipient {
            Recipient::AwsKms(key) => {
                let blob = self
                    .aws(key)
                    .kms_encrypt(&key.arn, part, &key.context)
                    .map_err(|error| error.to_string())?;
                Ok(BASE64.encode(blob))
            }
            other => Err(unsupported(other)),
        }
    }

    fn aws(&self, key: &AwsKmsKey) -> Arc<Aws> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut clients = self.aws.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry((key.profile.clone(), key.role.clone())).or_insert_with(|| {
            let options =
                AwsOptions { profile: given(&key.profile), role: given(&key.role), ..AwsOptions::default() };
            Arc::new(Aws::new(Arc::clone(&self.surroundings), options))
        });
        Arc::clone(client)
    }
}

fn unsupported(recipient: &Recipient) -> String {
    format!("keys of the kind {} cannot be used by this program", recipient.kind().name())
}
