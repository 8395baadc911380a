//! The settings of a mount.

use super::api::Api;
use crate::auth::token_parameters::TokenParameters;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use strongroom_kernel::{Call, Error, Key, Record, Response, Table};

const CONFIG: Table = Table(1);
const BASE_URL_DEFAULT: &str = "https://api.github.com/";

/// As stored: one row.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub organization: String,
    pub organization_id: u64,
    base_url: String,
    pub parameters: TokenParameters,
}

impl Record for Config {}

impl Config {
    /// The API's address, with its slash.
    pub(super) fn api_url(&self) -> &str {
        if self.base_url.is_empty() { BASE_URL_DEFAULT } else { &self.base_url }
    }
}

fn key(call: &Call<'_>) -> Key {
    call.table(CONFIG)
}

/// The settings; an error before they were made.
pub(super) fn load(call: &mut Call<'_>) -> Result<Config, Error> {
    let key = key(call);
    call.tx.record(&key)?.ok_or_else(|| Error::invalid("configuration has not been set"))
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    let config: Config = call.tx.record(&key)?.ok_or_else(Error::not_found)?;
    let mut data = Map::from_iter([
        ("organization".to_owned(), json!(config.organization)),
        ("organization_id".to_owned(), json!(config.organization_id)),
        ("base_url".to_owned(), json!(config.base_url)),
    ]);
    config.parameters.describe(&mut data);
    Ok(Response::data(data))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    let mut config: Config = call.tx.record(&key)?.unwrap_or_default();
    let fields = call.fields();
    if let Some(organization) = fields.text("organization")? {
        if organization != config.organization {
            config.organization_id = 0;
        }
        config.organization = organization;
    }
    if config.organization.is_empty() {
        return Err(Error::invalid("organization is a required parameter"));
    }
    if !config.organization.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(Error::invalid("organization is not a name that GitHub gives"));
    }
    if let Some(base_url) = fields.text("base_url")? {
        config.base_url = checked_url(base_url)?;
    }
    if let Some(id) = fields.count("organization_id")?.filter(|id| *id > 0) {
        config.organization_id = id;
    }
    config.parameters.update(fields)?;
    if config.organization_id == 0 {
        config.organization_id = ask_for_id(call, &config)?;
    }
    let warnings = config.parameters.warnings(call);
    call.tx.put_record(&key, &config)?;
    Ok(Response { warnings, ..Response::default() })
}

fn checked_url(text: String) -> Result<String, Error> {
    let is_plain = |rest: &str| !rest.is_empty() && !rest.contains(['?', '#', '@', ' ']) && rest.is_ascii();
    match text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
        _ if text.is_empty() => Ok(text),
        Some(rest) if is_plain(rest) => Ok(format!("{}/", text.trim_end_matches('/'))),
        _ => Err(Error::invalid("error parsing given base_url: it is not https://HOST/PATH")),
    }
}

fn ask_for_id(call: &Call<'_>, config: &Config) -> Result<u64, Error> {
    let api = Api { base_url: config.api_url(), token: None };
    api.organization(call, &config.organization).map(|organization| organization.id).map_err(|error| {
        Error::invalid(format!(
            "unable to fetch the organization_id, you must manually set it in the config: {}",
            error.messages.join("; ")
        ))
    })
}
