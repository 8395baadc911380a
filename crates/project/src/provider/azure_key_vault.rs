//! Azure Key Vault's secrets: no batches, so requests run at the same time.
//! <https://learn.microsoft.com/rest/api/keyvault/secrets/>

use super::settings::{Kind, Rule, SettingsError, Shape};
use super::whole::{Place, Whole, changed, hand_out, places};
use super::{Address, Outcome, Provider, ProviderError, Reach, SecretTree, Stored, remote};
use crate::at_once;
use crate::cloud::azure::{API_VERSION, Azure, AzureOptions, ChallengeCheck};
use crate::web::{Repeat, Request, encoded, host_of};
use serde_json::{Value, json};
use std::collections::HashMap;
use strongroom_secret::{SecretBytes, Timestamp};

pub(super) const KIND: Kind = Kind::new(
    "azure-key-vault",
    "Azure Key Vault",
    &[
        Rule::required("vault", Shape::Text, "the vault's name or address, as https://shop.vault.azure.net"),
        Rule::optional("prefix", Shape::Text, "what stands before every name: one secret of Azure for each"),
        Rule::optional("path", Shape::Text, "one secret of Azure, a JSON map with all names"),
        Rule::optional("tenant", Shape::Text, "the directory, instead of AZURE_TENANT_ID"),
        Rule::optional(
            "client",
            Shape::Text,
            "the application or managed identity, instead of AZURE_CLIENT_ID",
        ),
        Rule::optional(
            "challenge",
            Shape::Choice(&["checked", "unchecked"]),
            "unchecked: the vault may ask for a token of any service (emulators alone)",
        ),
    ],
    |settings, surroundings| {
        let text = |name: &str| settings.text(name).map(str::to_owned);
        let challenge = match settings.text("challenge") {
            Some("unchecked") => ChallengeCheck::Unchecked,
            _ => ChallengeCheck::Checked,
        };
        let options = AzureOptions { client_id: text("client"), tenant_id: text("tenant"), challenge };
        Ok(Box::new(KeyVault {
            azure: Azure::over(remote::web(settings, surroundings), options),
            vault: address_of_vault(settings.text("vault").unwrap_or_default())?,
            path: text("path"),
            prefix: text("prefix").unwrap_or_default(),
        }))
    },
)
.reaching_out();

struct KeyVault {
    azure: Azure,
    /// Without a slash at its end.
    vault: String,
    path: Option<String>,
    prefix: String,
}

const PAGES_MAX: usize = 10_000;

fn address_of_vault(text: &str) -> Result<String, SettingsError> {
    if text.starts_with("https://") || text.starts_with("http://") {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    let is_name = !text.is_empty()
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    match is_name {
        true => Ok(format!("https://{text}.vault.azure.net")),
        false => {
            Err(SettingsError::of("vault", format!("{text:?} is neither a vault's name nor its address")))
        }
    }
}

impl Provider for KeyVault {
    fn place(&self) -> String {
        format!("Azure Key Vault {}", host_of(&self.vault))
    }

    fn reach(&self) -> Reach {
        Reach::Host(self.vault.clone())
    }

    /// Azure's names have no underscores: `DB_PASSWORD` lies at `DB-PASSWORD`.
    fn address_of(&self, name: &str) -> Address {
        match &self.path {
            Some(path) => Address::of_key(path, name),
            None => Address::of_path(format!("{}{name}", self.prefix).replace('_', "-")),
        }
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let places = places(addresses);
        let answers = match places.split_first() {
            None => Vec::new(),
            // The first one learns the challenge and gets the token for all.
            Some((first, rest)) => {
                let mut answers = vec![self.one(*first)];
                answers
                    .extend(at_once(rest, self.azure.web().limits().concurrency, |place| self.one(*place)));
                answers
            }
        };
        let found: HashMap<_, _> = places.into_iter().zip(answers).collect();
        hand_out(addresses, &found)
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        match &address.key {
            None => self.put(&address.path, value),
            Some(_) => {
                let current = self.one((&address.path, None))?;
                let whole = changed(current.as_ref(), address, Some(value))?;
                self.put(&address.path, &whole.unwrap_or_default())
            }
        }
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        if address.key.is_some() {
            let current = self.one((&address.path, None))?;
            if let Some(whole) = changed(current.as_ref(), address, None)? {
                self.put(&address.path, &whole)?;
            }
            return Ok(());
        }
        let url = self.url(&address.path, None)?;
        match self.azure.call(|| Request::new("DELETE", &url, Repeat::Safe)) {
            Err(failed) if failed.status == 404 => Ok(()),
            outcome => Ok(outcome.map(|_| ())?),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        if self.path.as_deref() == Some(path) {
            let whole = self.one((path, None))?;
            return Ok(whole.and_then(|whole| whole.names()).unwrap_or_default());
        }
        let mut names = Vec::new();
        let mut url = format!("{}/secrets?api-version={API_VERSION}&maxresults=25", self.vault);
        for _ in 0..PAGES_MAX {
            let answer = self.azure.call(|| Request::get(&url))?.unwrap_or_default();
            let page = answer.get("value").and_then(Value::as_array).into_iter().flatten();
            let page = page.filter_map(|secret| secret.get("id")?.as_str()?.rsplit('/').next());
            names.extend(page.filter(|name| name.starts_with(path)).map(str::to_owned));
            match answer.get("nextLink").and_then(Value::as_str) {
                // The token goes along: only to the same vault.
                Some(next) if host_of(next) == host_of(&self.vault) => url = next.to_owned(),
                _ => break,
            }
        }
        Ok(names)
    }
}

impl KeyVault {
    fn url(&self, name: &str, version: Option<&str>) -> Result<String, ProviderError> {
        let is_name = !name.is_empty()
            && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
        if !is_name {
            return Err(ProviderError::settings(format!("{name:?} is no name of a secret of Azure")).hint(
                "letters, digits and - alone: write - in place of _, or keep a JSON map in one secret (path)",
            ));
        }
        let version = version.map(|version| format!("/{}", encoded(version))).unwrap_or_default();
        Ok(format!("{}/secrets/{name}{version}?api-version={API_VERSION}", self.vault))
    }

    fn one(&self, (path, version): Place<'_>) -> Result<Option<Whole>, ProviderError> {
        let url = self.url(path, version)?;
        let answer = match self.azure.call(|| Request::get(&url)) {
            Ok(answer) => SecretTree::new(answer.unwrap_or_default()),
            Err(failed) if failed.status == 404 => return Ok(None),
            Err(failed) => return Err(failed.error.looked(format!("secret {path}"))),
        };
        let text = |name: &str| answer.expose().get(name).and_then(Value::as_str);
        let value = text("value").ok_or_else(|| {
            ProviderError::malformed(format!("the Azure secret {path} came without a value"))
        })?;
        let mut whole = Whole::of_bytes(value.as_bytes().to_vec().into(), format!("Azure secret {path}"));
        whole.version = text("id").and_then(|id| id.rsplit('/').next()).map(str::to_owned);
        let time = |name: &str| {
            let seconds = answer.expose().pointer(&format!("/attributes/{name}"))?.as_i64()?;
            Some(Timestamp::from_seconds(seconds))
        };
        (whole.created, whole.expires) = (time("created"), time("exp"));
        Ok(Some(whole))
    }

    fn put(&self, path: &str, value: &SecretBytes) -> Result<Stored, ProviderError> {
        let text = std::str::from_utf8(value.expose())
            .map_err(|_| ProviderError::settings("a secret of Azure must be UTF-8").looked(path))?;
        let url = self.url(path, None)?;
        let body = SecretTree::new(json!({ "value": text }));
        let answer = self.azure.call(|| Request::json("PUT", &url, body.expose(), Repeat::Unsafe))?;
        let answer = SecretTree::new(answer.unwrap_or_default());
        let id = answer.expose().get("id").and_then(Value::as_str);
        let version = id.and_then(|id| id.rsplit('/').next()).map(str::to_owned);
        Ok(Stored { version, origin: format!("Azure secret {path}") })
    }
}
