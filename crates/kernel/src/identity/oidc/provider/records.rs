//! What is stored of providers, their clients, scopes and assignments.

use super::super::store::{folder, place};
use crate::call::Call;
use crate::error::Error;
use crate::transaction::{Record, Tx};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub(super) const PROVIDERS: &str = "providers";
pub(super) const CLIENTS: &str = "clients";
/// Names of clients by their ids.
const CLIENT_IDS: &str = "client-ids";
pub(super) const SCOPES: &str = "scopes";
pub(super) const ASSIGNMENTS: &str = "assignments";

/// The provider that is there without having been made.
pub(super) const DEFAULT_PROVIDER: &str = "default";
/// The assignment of everybody.
pub(super) const ALLOW_ALL: &str = "allow_all";
/// The scope that makes a request one of OpenID Connect.
pub(super) const OPENID: &str = "openid";

/// An issuer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Provider {
    pub issuer: String,
    pub allowed_client_ids: Vec<String>,
    pub scopes_supported: Vec<String>,
}

impl Record for Provider {}

impl Provider {
    pub(super) fn allows(&self, client_id: &str) -> bool {
        self.allowed_client_ids.iter().any(|allowed| allowed == "*" || allowed == client_id)
    }
}

/// Whether an application can keep a secret (RFC 6749, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClientType {
    Confidential,
    Public,
}

impl ClientType {
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Confidential, Self::Public].into_iter().find(|kind| kind.as_str() == name)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Confidential => "confidential",
            Self::Public => "public",
        }
    }
}

/// An application.
#[derive(Serialize, Deserialize)]
pub(super) struct Client {
    pub client_id: String,
    /// Shown to whoever may read the client; empty for a public one.
    pub secret: String,
    pub kind: ClientType,
    pub key: String,
    pub redirect_uris: Vec<String>,
    pub assignments: Vec<String>,
    pub id_token_ttl: Duration,
    pub access_token_ttl: Duration,
}

impl Record for Client {}

impl Drop for Client {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

/// A template of claims.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Scope {
    pub template: String,
    pub description: String,
}

impl Record for Scope {}

/// Who may use a client.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Assignment {
    pub entity_ids: Vec<String>,
    pub group_ids: Vec<String>,
}

impl Record for Assignment {}

/// Names stand in addresses.
pub(super) fn name_of(call: &Call<'_>) -> Result<String, Error> {
    let name = call.capture("name");
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if is_plain && is_edge(name.bytes().next()) && is_edge(name.bytes().last()) {
        return Ok(name.to_owned());
    }
    Err(Error::invalid(
        "a name has letters, digits, \"_\", \"-\" and \".\", and neither of the last two at its ends",
    ))
}

pub(super) fn find<T: Record>(call: &mut Call<'_>, kind: &str, name: &str) -> Result<Option<T>, Error> {
    let key = place(&call.tx, call.namespace.id(), kind, name);
    call.tx.record(&key)
}

pub(super) fn save<T: Record>(call: &mut Call<'_>, kind: &str, name: &str, record: &T) -> Result<(), Error> {
    let key = place(&call.tx, call.namespace.id(), kind, name);
    call.tx.put_record(&key, record)
}

pub(super) fn remove(call: &mut Call<'_>, kind: &str, name: &str) -> Result<(), Error> {
    let key = place(&call.tx, call.namespace.id(), kind, name);
    call.tx.delete(&key)
}

pub(super) fn names(tx: &mut Tx<'_>, namespace: u64, kind: &str) -> Result<Vec<String>, Error> {
    let folder = folder(tx, namespace, kind);
    tx.children(&folder)
}

pub(super) fn provider(call: &mut Call<'_>, name: &str) -> Result<Option<Provider>, Error> {
    let known = find(call, PROVIDERS, name)?;
    let given = || Provider { allowed_client_ids: vec!["*".to_owned()], ..Provider::default() };
    Ok(known.or_else(|| (name == DEFAULT_PROVIDER).then(given)))
}

pub(super) fn assignment(call: &mut Call<'_>, name: &str) -> Result<Option<Assignment>, Error> {
    let everybody = || vec!["*".to_owned()];
    match name {
        ALLOW_ALL => Ok(Some(Assignment { entity_ids: everybody(), group_ids: everybody() })),
        _ => find(call, ASSIGNMENTS, name),
    }
}

/// The client of an id.
pub(super) fn client_by_id(call: &mut Call<'_>, client_id: &str) -> Result<Option<Client>, Error> {
    let key = place(&call.tx, call.namespace.id(), CLIENT_IDS, client_id);
    let Some(name) = call.tx.get(&key)? else { return Ok(None) };
    find(call, CLIENTS, &String::from_utf8_lossy(name.expose()))
}

pub(super) fn index_client(call: &mut Call<'_>, client_id: &str, name: &str) -> Result<(), Error> {
    let key = place(&call.tx, call.namespace.id(), CLIENT_IDS, client_id);
    call.tx.put(&key, name.as_bytes().to_vec())
}

pub(super) fn remove_client(call: &mut Call<'_>, name: &str) -> Result<(), Error> {
    let Some(client) = find::<Client>(call, CLIENTS, name)? else { return Ok(()) };
    remove(call, CLIENT_IDS, &client.client_id)?;
    remove(call, CLIENTS, name)
}
