//! AWS KMS, Google Cloud KMS and Azure Key Vault.

use crate::Surroundings;
use crate::cloud::aws::{Aws, AwsOptions};
use crate::cloud::azure::{Azure, AzureOptions};
use crate::cloud::google::{Google, GoogleOptions};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use strongroom_formats::sops::{AwsKmsKey, AzureKey, Recipient, Wrapped};
use strongroom_secret::SecretBytes;

/// Clients of the clouds, made when they are needed and kept: credentials are found once.
pub(super) struct CloudKeys {
    surroundings: Arc<Surroundings>,
    /// By profile and role.
    aws: Mutex<HashMap<(String, String), Arc<Aws>>>,
    google: OnceLock<Google>,
    azure: OnceLock<Azure>,
}

impl CloudKeys {
    pub(super) fn new(surroundings: Arc<Surroundings>) -> Self {
        Self { surroundings, aws: Mutex::default(), google: OnceLock::new(), azure: OnceLock::new() }
    }

    pub(super) fn unwrap(&self, recipient: &Recipient, wrapped: &str) -> Result<SecretBytes, String> {
        let broken = "what is wrapped is not base64".to_owned();
        let part = match recipient {
            Recipient::AwsKms(key) => {
                let blob = BASE64.decode(wrapped).map_err(|_| broken)?;
                self.aws(key).kms_decrypt(&key.arn, &blob, &key.context)
            }
            Recipient::GcpKms(resource) => {
                let blob = BASE64.decode(wrapped).map_err(|_| broken)?;
                self.google().kms_decrypt(resource, &blob)
            }
            Recipient::AzureKeyVault(key) => {
                let blob = BASE64_URL.decode(wrapped.trim_end_matches('=')).map_err(|_| broken)?;
                self.azure().key_decrypt(&key.vault_url, &key.name, &key.version, &blob)
            }
            other => return Err(unsupported(other)),
        };
        part.map_err(|error| error.to_string())
    }

    pub(super) fn wrap(&self, recipient: &Recipient, part: &SecretBytes) -> Result<Wrapped, String> {
        let wrapped = match recipient {
            Recipient::AwsKms(key) => self
                .aws(key)
                .kms_encrypt(&key.arn, part, &key.context)
                .map(|blob| Wrapped::from(BASE64.encode(blob))),
            Recipient::GcpKms(resource) => {
                self.google().kms_encrypt(resource, part).map(|blob| Wrapped::from(BASE64.encode(blob)))
            }
            Recipient::AzureKeyVault(key) => {
                self.azure().key_encrypt(&key.vault_url, &key.name, &key.version, part).map(|encrypted| {
                    // The file names the version that was used: the newest is another one some day.
                    let used = AzureKey { version: encrypted.version, ..key.clone() };
                    Wrapped {
                        text: BASE64_URL.encode(encrypted.ciphertext),
                        recipient: Some(Recipient::AzureKeyVault(used)),
                    }
                })
            }
            other => return Err(unsupported(other)),
        };
        wrapped.map_err(|error| error.to_string())
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

    fn google(&self) -> &Google {
        self.google.get_or_init(|| {
            let variables = &self.surroundings.variables;
            // The variables of sops itself. An address without a scheme is a host.
            let with_scheme = |address: &str| match address.contains("://") {
                true => address.to_owned(),
                false => format!("https://{address}"),
            };
            let of_universe = |domain: &str| format!("https://cloudkms.{domain}");
            let endpoint = variables.text("SOPS_GCP_KMS_ENDPOINT").map(with_scheme);
            let endpoint =
                endpoint.or_else(|| variables.text("SOPS_GCP_KMS_UNIVERSE_DOMAIN").map(of_universe));
            let credentials = variables.text("GOOGLE_CREDENTIALS").map(|path| self.surroundings.path(path));
            let credentials_file = credentials.filter(|path| path.is_file());
            Google::new(Arc::clone(&self.surroundings), GoogleOptions { credentials_file, endpoint })
        })
    }

    fn azure(&self) -> &Azure {
        self.azure.get_or_init(|| Azure::new(Arc::clone(&self.surroundings), AzureOptions::default()))
    }
}

fn unsupported(recipient: &Recipient) -> String {
    format!("keys of the kind {} cannot be used by this program", recipient.kind().name())
}
