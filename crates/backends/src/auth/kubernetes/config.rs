//! The settings of a mount: which cluster is asked, and how.

use crate::auth::jws::{Token, public_key};
use crate::auth::web::is_address;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_crypto::keypair::PublicKey;
use strongroom_kernel::{Call, Error, ErrorKind, Key, Record, Response, Table};

const CONFIG: Table = Table(1);

/// As stored: one row.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub kubernetes_host: String,
    pub kubernetes_ca_cert: String,
    pub token_reviewer_jwt: String,
    pub pem_keys: Vec<String>,
    pub issuer: String,
    pub disable_iss_validation: bool,
    pub disable_local_ca_jwt: bool,
}

impl Record for Config {}

impl Config {
    /// The keys that tokens are checked with before the cluster is asked; empty for none.
    pub(super) fn keys(&self) -> Vec<PublicKey> {
        self.pem_keys.iter().filter_map(|text| public_key(text)).collect()
    }
}

fn key(call: &Call<'_>) -> Key {
    call.table(CONFIG)
}

/// The settings; an error before they were made.
pub(super) fn load(call: &mut Call<'_>) -> Result<Config, Error> {
    let key = key(call);
    call.tx.record(&key)?.ok_or_else(|| Error::invalid("could not load backend configuration"))
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    let config: Config = call.tx.record(&key)?.ok_or_else(Error::not_found)?;
    Ok(crate::answer::object(json!({
        "kubernetes_host": config.kubernetes_host,
        "kubernetes_ca_cert": config.kubernetes_ca_cert,
        "token_reviewer_jwt_set": !config.token_reviewer_jwt.is_empty(),
        "pem_keys": config.pem_keys,
        "issuer": config.issuer,
        "disable_iss_validation": config.disable_iss_validation,
        "disable_local_ca_jwt": config.disable_local_ca_jwt,
        "use_annotations_as_alias_metadata": false,
    })))
}

/// Replaces the settings as a whole, as in Vault. The cluster is not asked: it need not be there yet.
pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let fields = call.fields();
    let text = |name: &str| fields.text(name).map(Option::unwrap_or_default);
    let config = Config {
        kubernetes_host: text("kubernetes_host")?,
        kubernetes_ca_cert: text("kubernetes_ca_cert")?,
        token_reviewer_jwt: text("token_reviewer_jwt")?,
        pem_keys: fields.list("pem_keys")?.unwrap_or_default(),
        issuer: text("issuer")?,
        disable_iss_validation: fields.boolean("disable_iss_validation")?.unwrap_or(true),
        disable_local_ca_jwt: fields.boolean("disable_local_ca_jwt")?.unwrap_or(false),
    };
    if config.kubernetes_host.is_empty() {
        return Err(Error::invalid("no host provided"));
    }
    if !is_address(&config.kubernetes_host) {
        return Err(Error::invalid("kubernetes_host must be https://HOST:PORT"));
    }
    if config.disable_local_ca_jwt && config.kubernetes_ca_cert.is_empty() {
        return Err(Error::invalid("kubernetes_ca_cert must be given when disable_local_ca_jwt is true"));
    }
    if fields.boolean("use_annotations_as_alias_metadata")? == Some(true) {
        return Err(Error::invalid("use_annotations_as_alias_metadata is not supported"));
    }
    if !config.token_reviewer_jwt.is_empty() {
        // 500 as in Vault, whose clients know it by that.
        Token::parse(config.token_reviewer_jwt.trim())
            .map_err(|reason| Error::new(ErrorKind::Internal, format!("token_reviewer_jwt: {reason}")))?;
    }
    if config.keys().len() != config.pem_keys.len() {
        return Err(Error::invalid(
            "error parsing pem_keys: each must be a public key or a certificate in PEM (RSA, ECDSA or Ed25519)",
        ));
    }
    let key = key(call);
    call.tx.put_record(&key, &config)?;
    Ok(Response::default())
}
