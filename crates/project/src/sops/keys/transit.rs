//! The transit engine of Vault or Strongroom: the server keeps the key, we send it data keys.

use crate::Surroundings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::path::PathBuf;
use strongroom_api::client::{Address, Client, ClientConfig, Verification};
use strongroom_formats::sops::TransitKey;
use strongroom_secret::{SecretBytes, SecretString};
use zeroize::Zeroizing;

pub(super) fn unwrap(
    surroundings: &Surroundings,
    key: &TransitKey,
    wrapped: &str,
) -> Result<SecretBytes, String> {
    let answer = ask(surroundings, key, "decrypt", &json!({ "ciphertext": wrapped }))?;
    let text = answer.get("plaintext").and_then(Value::as_str).unwrap_or_default();
    BASE64
        .decode(text)
        .map(SecretBytes::new)
        .map_err(|_| format!("{} did not answer with base64", key.address))
}

pub(super) fn wrap(
    surroundings: &Surroundings,
    key: &TransitKey,
    part: &SecretBytes,
) -> Result<String, String> {
    let text = Zeroizing::new(BASE64.encode(part.expose()));
    let answer = ask(surroundings, key, "encrypt", &json!({ "plaintext": *text }))?;
    match answer.get("ciphertext").and_then(Value::as_str) {
        Some(wrapped) => Ok(wrapped.to_owned()),
        None => Err(format!("{} did not answer with a ciphertext", key.address)),
    }
}

fn ask(surroundings: &Surroundings, key: &TransitKey, verb: &str, body: &Value) -> Result<Value, String> {
    let client = client(surroundings, &key.address)?;
    let path = format!("{}/{verb}/{}", key.mount.trim_matches('/'), key.name);
    let answer = client.write(&path, body).map_err(|error| format!("{}: {error}", key.address))?;
    let response = answer.ok_or_else(|| format!("{}: an empty answer", key.address))?;
    response.data.map(Value::Object).ok_or_else(|| format!("{}: an answer without data", key.address))
}

/// A client for an address that a file names. `SOPS_HC_VAULT_ALLOWLIST` bounds to whom our token is shown.
pub fn client(surroundings: &Surroundings, address: &str) -> Result<Client, String> {
    let variables = &surroundings.variables;
    if !is_allowed(variables.text("SOPS_HC_VAULT_ALLOWLIST").unwrap_or("all"), address) {
        return Err(format!("SOPS_HC_VAULT_ALLOWLIST does not allow {address}"));
    }
    let parsed =
        Address::parse(address).map_err(|error| format!("{address:?} is not an address: {error}"))?;
    let setting = |name: &str| variables.first(&[&format!("STRONGROOM_{name}"), &format!("VAULT_{name}")]);
    let mut config = ClientConfig::new(parsed);
    config.namespace = setting("NAMESPACE").map(|namespace| format!("{}/", namespace.trim_matches('/')));
    config.tls.ca_file = setting("CACERT").map(PathBuf::from);
    config.tls.ca_folder = setting("CAPATH").map(PathBuf::from);
    config.tls.client_certificate = setting("CLIENT_CERT").map(PathBuf::from);
    config.tls.client_key = setting("CLIENT_KEY").map(PathBuf::from);
    config.tls.server_name = setting("TLS_SERVER_NAME").map(str::to_owned);
    if variables.switch("STRONGROOM_SKIP_VERIFY") || variables.switch("VAULT_SKIP_VERIFY") {
        config.tls.verification = Verification::Skipped;
    }
    config.token =
        setting("TOKEN").map(|token| SecretString::from(token.trim())).or_else(|| token_file(surroundings));
    Client::new(config).map_err(|error| error.to_string())
}

fn token_file(surroundings: &Surroundings) -> Option<SecretString> {
    let bytes = crate::files::read(&surroundings.in_home(".vault-token")?, 64 << 10).ok()?;
    let token = std::str::from_utf8(bytes.expose()).ok()?.trim();
    (!token.is_empty()).then(|| SecretString::from(token))
}

/// `all`, `none`, or addresses between commas, each of which allows what lies below it.
fn is_allowed(list: &str, address: &str) -> bool {
    let below = |text: &str| format!("{}/", text.trim().trim_end_matches('/'));
    match list {
        "all" => true,
        "none" => false,
        list => list
            .split(',')
            .filter(|entry| !entry.trim().is_empty())
            .any(|entry| below(address).starts_with(&below(entry))),
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn the_list_of_servers_that_may_see_the_token() {
        assert!(is_allowed("all", "https://a:8200"));
        assert!(!is_allowed("none", "https://a:8200"));
        assert!(is_allowed("https://b, https://a:8200/", "https://a:8200"));
        assert!(!is_allowed("https://a:82", "https://a:8200"));
        assert!(!is_allowed("https://a", "https://a.evil.example"));
    }
}
