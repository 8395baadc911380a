//! The seals that open a server without people: a static key, and the transit engine of another server.

use super::config::{KeySource, SealConfig, TransitConfig};
use crate::environment::Environment;
use crate::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use strongroom_api::client::{Address, Client, ClientConfig, TlsOptions, Verification};
use strongroom_crypto::envelope::{StaticKey, unwrap_with};
use strongroom_kernel::{AutoSeal, AutoSealError, Seal};
use strongroom_secret::{Entropy, SecretBytes, SecretString};

const CONTEXT: &[u8] = b"strongroom static seal";
/// Key material is short; what is longer is not a key.
const KEY_TEXT_BYTES_MAX: u64 = 4096;

/// Makes the seal that the configuration names.
pub fn seal(
    config: &SealConfig,
    environment: &Environment,
    entropy: Arc<dyn Entropy>,
) -> Result<Seal, Failure> {
    match config {
        SealConfig::Shamir => Ok(Seal::Shamir),
        SealConfig::Static { keys } => {
            let keys = keys
                .iter()
                .map(|source| {
                    let material = material(source, environment)?;
                    StaticKey::parse(material.expose()).map_err(|error| {
                        Failure::usage(format!("the seal's key from {}: {error}", source.describe()))
                    })
                })
                .collect::<Result<_, Failure>>()?;
            Ok(Seal::Auto(Arc::new(StaticSeal { keys, entropy })))
        }
        SealConfig::Transit(config) => Ok(Seal::Auto(Arc::new(transit(config, environment)?))),
    }
}

impl KeySource {
    /// Where it comes from, for messages.
    fn describe(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Environment(name) => format!("the variable {name}"),
            Self::Command(command) => {
                format!("the command {:?}", command.split(' ').next().unwrap_or_default())
            }
        }
    }
}

fn material(source: &KeySource, environment: &Environment) -> Result<SecretBytes, Failure> {
    let place = source.describe();
    let failed = |why: String| Failure::usage(format!("cannot read the seal's key from {place}: {why}"));
    match source {
        KeySource::File(path) => {
            let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
            if size > KEY_TEXT_BYTES_MAX {
                return Err(failed(format!("{size} bytes are not a key")));
            }
            std::fs::read(path).map(SecretBytes::new).map_err(|error| failed(error.to_string()))
        }
        KeySource::Environment(name) => environment
            .named(name)
            .map(|value| SecretBytes::new(value.expose().as_bytes().to_vec()))
            .ok_or_else(|| {
                failed("it is not set; its name must start with STRONGROOM_ or VAULT_".to_owned())
            }),
        KeySource::Command(command) => {
            let output = Command::new("/bin/sh")
                .args(["-c", command])
                .stdin(Stdio::null())
                .stderr(Stdio::inherit())
                .output()
                .map_err(|error| failed(error.to_string()))?;
            match output.status.success() {
                true => Ok(SecretBytes::new(output.stdout)),
                false => Err(failed(format!("it ended with {}", output.status))),
            }
        }
    }
}

struct StaticSeal {
    /// The first seals; all open.
    keys: Vec<StaticKey>,
    entropy: Arc<dyn Entropy>,
}

impl AutoSeal for StaticSeal {
    fn kind(&self) -> &'static str {
        "static"
    }

    fn wrap(&self, plain: &SecretBytes) -> Result<Vec<u8>, AutoSealError> {
        let key = self.keys.first().ok_or_else(|| AutoSealError("no key is configured".to_owned()))?;
        Ok(key.wrap(&*self.entropy, CONTEXT, plain.expose()))
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, AutoSealError> {
        unwrap_with(&self.keys, CONTEXT, wrapped).map_err(|error| AutoSealError(error.to_string()))
    }
}

struct TransitSeal {
    client: Client,
    encrypt_path: String,
    decrypt_path: String,
}

fn transit(config: &TransitConfig, environment: &Environment) -> Result<TransitSeal, Failure> {
    let token = material(&config.token, environment)?;
    let token = std::str::from_utf8(token.expose())
        .map_err(|_| Failure::usage("seal \"transit\": the token is not text"))?
        .trim()
        .to_owned();
    let address = Address::parse(&config.address)
        .map_err(|error| Failure::usage(format!("seal \"transit\": address: {error}")))?;
    let client = Client::new(ClientConfig {
        token: Some(SecretString::new(token)),
        namespace: config.namespace.clone(),
        tls: TlsOptions {
            ca_file: config.ca_cert.clone(),
            verification: if config.skip_verify { Verification::Skipped } else { Verification::Required },
            ..TlsOptions::default()
        },
        timeout: Duration::from_secs(15),
        ..ClientConfig::new(address)
    })
    .map_err(|error| Failure::usage(format!("seal \"transit\": {error}")))?;
    let mount = config.mount_path.trim_matches('/');
    Ok(TransitSeal {
        client,
        encrypt_path: format!("{mount}/encrypt/{}", config.key_name),
        decrypt_path: format!("{mount}/decrypt/{}", config.key_name),
    })
}

impl TransitSeal {
    fn ask(
        &self,
        path: &str,
        field: &str,
        value: String,
        answer: &str,
    ) -> Result<SecretString, AutoSealError> {
        let body = json!({ field: value });
        let response = self.client.write(path, &body).map_err(|error| AutoSealError(error.to_string()))?;
        response
            .as_ref()
            .and_then(|response| response.data.as_ref())
            .and_then(|data| data.get(answer))
            .and_then(serde_json::Value::as_str)
            .map(SecretString::from)
            .ok_or_else(|| AutoSealError(format!("{path} answered without {answer}")))
    }
}

impl AutoSeal for TransitSeal {
    fn kind(&self) -> &'static str {
        "transit"
    }

    fn wrap(&self, plain: &SecretBytes) -> Result<Vec<u8>, AutoSealError> {
        let text = BASE64.encode(plain.expose());
        let sealed = self.ask(&self.encrypt_path, "plaintext", text, "ciphertext")?;
        Ok(sealed.expose().as_bytes().to_vec())
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, AutoSealError> {
        let text = String::from_utf8(wrapped.to_vec()).map_err(|_| {
            AutoSealError("the stored root key was not sealed by a transit engine".to_owned())
        })?;
        let plain = self.ask(&self.decrypt_path, "ciphertext", text, "plaintext")?;
        BASE64
            .decode(plain.expose())
            .map(SecretBytes::new)
            .map_err(|_| AutoSealError("the transit engine's answer is not base64".to_owned()))
    }
}
