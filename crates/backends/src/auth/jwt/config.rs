//! The settings of a mount: whose tokens are believed.

use super::keys;
use crate::auth::jws::public_key;
use crate::auth::web::is_address;
use crate::pem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::keypair::PublicKey;
use strongroom_crypto::x509::ReadCertificate;
use strongroom_kernel::{Call, Error, Fields, Key, Record, Response, Table};

const CONFIG: Table = Table(1);

/// As stored: one row.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub oidc_discovery_url: String,
    pub oidc_discovery_ca_pem: String,
    pub oidc_client_id: String,
    pub oidc_client_secret: String,
    pub oidc_response_mode: String,
    pub oidc_response_types: Vec<String>,
    pub jwks_url: String,
    pub jwks_ca_pem: String,
    /// Several key sets, each with authorities of its own.
    pub jwks_pairs: Vec<JwksPair>,
    pub jwt_validation_pubkeys: Vec<String>,
    pub bound_issuer: String,
    pub jwt_supported_algs: Vec<String>,
    pub default_role: String,
    pub provider_config: Map<String, Value>,
    pub namespace_in_state: bool,
}

/// The address of a key set, and whom it must be trusted by.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct JwksPair {
    pub jwks_url: String,
    #[serde(default)]
    pub jwks_ca_pem: String,
}

impl Record for Config {}

impl Config {
    /// Whether tokens may be signed so; where the settings do not say, by `default`.
    pub(super) fn accepts(&self, algorithm: JwsAlgorithm, default: &[JwsAlgorithm]) -> bool {
        match self.jwt_supported_algs.as_slice() {
            [] => default.contains(&algorithm),
            listed => listed.iter().any(|name| name == algorithm.as_str()),
        }
    }

    /// The keys that stand in the settings themselves.
    pub(super) fn validation_keys(&self) -> Vec<PublicKey> {
        self.jwt_validation_pubkeys.iter().filter_map(|text| public_key(text)).collect()
    }

    /// Every key set that is named by its address alone.
    pub(super) fn key_sets(&self) -> Vec<JwksPair> {
        if self.jwks_url.is_empty() {
            return self.jwks_pairs.clone();
        }
        vec![JwksPair { jwks_url: self.jwks_url.clone(), jwks_ca_pem: self.jwks_ca_pem.clone() }]
    }
}

fn key(call: &Call<'_>) -> Key {
    call.table(CONFIG)
}

/// The settings; an error before they were made.
pub(super) fn load(call: &mut Call<'_>) -> Result<Config, Error> {
    let key = key(call);
    call.tx.record(&key)?.ok_or_else(|| Error::invalid("could not load configuration"))
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    let config: Config = call.tx.record(&key)?.ok_or_else(Error::not_found)?;
    Ok(crate::answer::object(json!({
        "oidc_discovery_url": config.oidc_discovery_url,
        "oidc_discovery_ca_pem": config.oidc_discovery_ca_pem,
        "oidc_client_id": config.oidc_client_id,
        "oidc_response_mode": config.oidc_response_mode,
        "oidc_response_types": config.oidc_response_types,
        "default_role": config.default_role,
        "jwt_validation_pubkeys": config.jwt_validation_pubkeys,
        "jwt_supported_algs": config.jwt_supported_algs,
        "jwks_url": config.jwks_url,
        "jwks_ca_pem": config.jwks_ca_pem,
        "jwks_pairs": config.jwks_pairs,
        "bound_issuer": config.bound_issuer,
        "provider_config": config.provider_config,
        "namespace_in_state": config.namespace_in_state,
    })))
}

/// Replaces the settings as a whole, as in Vault. What they name is asked before they count.
pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let config = parse(call.fields())?;
    check(&config)?;
    keys::probe(call, &config)?;
    let key = key(call);
    call.tx.put_record(&key, &config)?;
    Ok(Response::default())
}

fn parse(fields: &Fields) -> Result<Config, Error> {
    let text = |name: &str| fields.text(name).map(Option::unwrap_or_default);
    // PEM has no commas: a list of keys comes as a list, or as one text.
    let pubkeys = match fields.value("jwt_validation_pubkeys") {
        Some(Value::String(one)) => {
            one.split(',').map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()).collect()
        }
        _ => fields.list("jwt_validation_pubkeys")?.unwrap_or_default(),
    };
    let pairs = match fields.value("jwks_pairs") {
        None => Vec::new(),
        Some(pairs) => serde_json::from_value(pairs.clone()).map_err(|_| {
            Error::invalid("jwks_pairs must be a list of objects with jwks_url and jwks_ca_pem")
        })?,
    };
    Ok(Config {
        oidc_discovery_url: text("oidc_discovery_url")?,
        oidc_discovery_ca_pem: text("oidc_discovery_ca_pem")?,
        oidc_client_id: text("oidc_client_id")?,
        oidc_client_secret: text("oidc_client_secret")?,
        oidc_response_mode: text("oidc_response_mode")?,
        oidc_response_types: fields.list("oidc_response_types")?.unwrap_or_default(),
        jwks_url: text("jwks_url")?,
        jwks_ca_pem: text("jwks_ca_pem")?,
        jwks_pairs: pairs,
        jwt_validation_pubkeys: pubkeys,
        bound_issuer: text("bound_issuer")?,
        jwt_supported_algs: fields.list("jwt_supported_algs")?.unwrap_or_default(),
        default_role: text("default_role")?,
        provider_config: fields.map("provider_config")?.unwrap_or_default(),
        namespace_in_state: fields.boolean("namespace_in_state")?.unwrap_or(true),
    })
}

fn check(config: &Config) -> Result<(), Error> {
    let sources = [
        !config.oidc_discovery_url.is_empty(),
        !config.jwks_url.is_empty(),
        !config.jwks_pairs.is_empty(),
        !config.jwt_validation_pubkeys.is_empty(),
    ];
    if sources.iter().filter(|is_set| **is_set).count() != 1 {
        return Err(Error::invalid(
            "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs' or 'oidc_discovery_url' must be set",
        ));
    }
    if config.oidc_client_id.is_empty() && !config.oidc_client_secret.is_empty() {
        return Err(Error::invalid("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC"));
    }
    if !config.oidc_client_id.is_empty() && config.oidc_discovery_url.is_empty() {
        return Err(Error::invalid("'oidc_discovery_url' must be set for OIDC"));
    }
    let pairs = config.key_sets();
    let urls = pairs.iter().map(|pair| pair.jwks_url.as_str());
    let urls = urls.chain([config.oidc_discovery_url.as_str()]).filter(|url| !url.is_empty());
    if urls.into_iter().any(|url| !is_address(url)) || pairs.iter().any(|pair| pair.jwks_url.is_empty()) {
        return Err(Error::invalid("an address must be https://HOST/… (or http://HOST/…)"));
    }
    let authorities = pairs.iter().map(|pair| &pair.jwks_ca_pem).chain([&config.oidc_discovery_ca_pem]);
    if authorities.into_iter().any(|pem| !pem.is_empty() && !holds_certificates(pem)) {
        return Err(Error::invalid("could not parse CA PEM value successfully"));
    }
    if let Some(at) = config.jwt_validation_pubkeys.iter().position(|text| public_key(text).is_none()) {
        return Err(Error::invalid(format!(
            "error parsing public key {} of jwt_validation_pubkeys: it is no PEM of an RSA, ECDSA or Ed25519 key",
            at + 1
        )));
    }
    if let Some(name) = config.jwt_supported_algs.iter().find(|name| JwsAlgorithm::parse(name).is_none()) {
        return Err(Error::invalid(format!("unsupported signing algorithm {name:?} in jwt_supported_algs")));
    }
    check_flow(config)
}

fn check_flow(config: &Config) -> Result<(), Error> {
    if !["", "query", "form_post"].contains(&config.oidc_response_mode.as_str()) {
        return Err(Error::invalid("invalid response_mode: it must be query or form_post"));
    }
    if config.oidc_response_types.iter().any(|kind| kind != "code") {
        return Err(Error::invalid(
            "oidc_response_types: only \"code\" is supported (with PKCE): tokens in the browser's address are not",
        ));
    }
    match config.provider_config.get("provider").and_then(Value::as_str) {
        None | Some("") if config.provider_config.is_empty() => Ok(()),
        _ => Err(Error::invalid(
            "provider_config: special treatment of a provider is not supported; leave it out, and take groups from \
             the token's claims",
        )),
    }
}

fn holds_certificates(text: &str) -> bool {
    pem::decode_all(text).is_some_and(|blocks| {
        blocks.iter().all(|(label, der)| label == "CERTIFICATE" && ReadCertificate::from_der(der).is_ok())
    })
}
