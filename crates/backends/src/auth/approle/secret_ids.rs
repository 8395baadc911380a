//! Secret-ids: made, shown once, found by keyed hashes, and removed.

use super::roles::{self, Handle, Role, handle};
use super::uses;
use crate::auth::token_parameters::{networks, ttl_max_of_mount};
use crate::listing::page;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_crypto::token::uuid_v4;
use strongroom_kernel::tokens::cidr_text;
use strongroom_kernel::{Call, Error, ErrorKind, Key, Record, Response, Table};
use strongroom_secret::{SecretString, Timestamp};

/// By family and handle.
const SECRET_IDS: Table = Table(3);
/// By family and the handle of the accessor: the secret-id's own handle.
const ACCESSORS: Table = Table(4);
/// By the time of their end.
const ENDS: Table = Table(5);

const SECRET_ID_BYTES_MAX: usize = 4096;
const METADATA_BYTES_MAX: usize = 16 * 1024;
const ACCESSORS_LISTED_MAX: usize = 100_000;
/// How Vault writes a time that there is not.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// A secret-id as it is stored: all but the secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SecretId {
    pub accessor: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    #[serde(default)]
    pub ttl: Duration,
    /// None: without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidr_list: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_bound_cidrs: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    #[serde(default)]
    pub use_count: u64,
}

impl Record for SecretId {}

/// The row of an accessor, and of an end: which secret-id it is of.
#[derive(Serialize, Deserialize)]
pub(super) struct Pointer {
    pub family: u64,
    pub handle: Vec<u8>,
}

impl Record for Pointer {}

impl SecretId {
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    fn describe(&self, pending_uses: u64) -> Map<String, Value> {
        let time = |at: Option<Timestamp>| at.map_or_else(|| NO_TIME.to_owned(), |at| at.rfc3339());
        let texts = |nets: &[IpNet]| nets.iter().map(|net| net.to_string()).collect::<Vec<_>>();
        let bound: Vec<String> = self.token_bound_cidrs.iter().map(|net| cidr_text(*net)).collect();
        Map::from_iter([
            ("cidr_list".to_owned(), json!(texts(&self.cidr_list))),
            ("creation_time".to_owned(), json!(self.created.rfc3339())),
            ("expiration_time".to_owned(), json!(time(self.expires))),
            ("last_updated_time".to_owned(), json!(self.updated.rfc3339())),
            ("last_used_time".to_owned(), json!(time(self.last_used))),
            ("use_count".to_owned(), json!(self.use_count + pending_uses)),
            ("metadata".to_owned(), Value::Object(self.metadata.clone())),
            ("secret_id_accessor".to_owned(), json!(self.accessor)),
            ("secret_id_num_uses".to_owned(), json!(self.uses_left.unwrap_or(0))),
            ("secret_id_ttl".to_owned(), json!(self.ttl.as_secs())),
            ("token_bound_cidrs".to_owned(), json!(bound)),
        ])
    }
}

/// The handle of a secret-id.
pub(super) fn handle_of(call: &Call<'_>, secret_id: &str) -> Handle {
    handle(call, "secret-id", secret_id)
}

pub(super) fn family_key(call: &Call<'_>, family: [u8; 8]) -> Key {
    call.tx.id_key(&call.table(SECRET_IDS), &family)
}

pub(super) fn accessors_key(call: &Call<'_>, family: [u8; 8]) -> Key {
    call.tx.id_key(&call.table(ACCESSORS), &family)
}

pub(super) fn ends_key(call: &Call<'_>) -> Key {
    call.table(ENDS)
}

pub(super) fn key(call: &Call<'_>, family: [u8; 8], handle: &[u8]) -> Key {
    call.tx.id_key(&family_key(call, family), handle)
}

fn accessor_key(call: &Call<'_>, family: [u8; 8], accessor: &str) -> Key {
    let handle = handle(call, "secret-id accessor", accessor);
    call.tx.id_key(&accessors_key(call, family), &handle)
}

fn end_key(call: &Call<'_>, at: Timestamp, family: [u8; 8], handle: &[u8]) -> Key {
    let at = u64::try_from(at.nanoseconds()).unwrap_or(0).to_be_bytes();
    call.tx.id_key(&ends_key(call), &[&at[..], &family, handle].concat())
}

/// Removes a secret-id with its index rows.
pub(super) fn remove(
    call: &mut Call<'_>,
    family: [u8; 8],
    handle: &[u8],
    secret_id: &SecretId,
) -> Result<(), Error> {
    let key = key(call, family, handle);
    call.tx.delete(&key)?;
    let key = accessor_key(call, family, &secret_id.accessor);
    call.tx.delete(&key)?;
    if let Some(at) = secret_id.expires {
        let key = end_key(call, at, family, handle);
        call.tx.delete(&key)?;
    }
    Ok(())
}

pub(super) fn generate(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = roles::required(call)?;
    let secret_id = SecretString::new(uuid_v4(call.entropy()));
    register(call, &role, secret_id)
}

pub(super) fn take(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = roles::required(call)?;
    let secret_id = SecretString::new(call.fields().required_text("secret_id")?);
    if secret_id.expose().len() > SECRET_ID_BYTES_MAX {
        return Err(Error::invalid(format!("secret_id cannot be longer than {SECRET_ID_BYTES_MAX} bytes")));
    }
    register(call, &role, secret_id)
}

fn register(call: &mut Call<'_>, role: &Role, secret_id: SecretString) -> Result<Response, Error> {
    if !role.bind_secret_id {
        return Err(Error::invalid("bind_secret_id is not set on the role"));
    }
    let entry = entry_of(call, role)?;
    let handle = handle_of(call, secret_id.expose());
    let at = key(call, role.family, &handle);
    if call.tx.record::<SecretId>(&at)?.is_some_and(|old| !old.is_expired(call.now)) {
        return Err(Error::invalid("SecretID is already registered"));
    }
    call.tx.put_record(&at, &entry)?;
    let pointer = Pointer { family: u64::from_be_bytes(role.family), handle: handle.to_vec() };
    let key = accessor_key(call, role.family, &entry.accessor);
    call.tx.put_record(&key, &pointer)?;
    if let Some(at) = entry.expires {
        let key = end_key(call, at, role.family, &handle);
        call.tx.put_record(&key, &pointer)?;
    }
    Ok(Response::data(Map::from_iter([
        ("secret_id".to_owned(), json!(secret_id.expose())),
        ("secret_id_accessor".to_owned(), json!(entry.accessor)),
        ("secret_id_ttl".to_owned(), json!(entry.ttl.as_secs())),
        ("secret_id_num_uses".to_owned(), json!(entry.uses_left.unwrap_or(0))),
    ])))
}

/// What a request says of a new secret-id, within what the role allows.
fn entry_of(call: &Call<'_>, role: &Role) -> Result<SecretId, Error> {
    let fields = call.fields();
    let metadata = fields.text_map("metadata")?.unwrap_or_default();
    let metadata_bytes: usize =
        metadata.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if metadata_bytes > METADATA_BYTES_MAX {
        return Err(Error::invalid(format!("metadata cannot be larger than {METADATA_BYTES_MAX} bytes")));
    }
    let cidr_list = networks(fields, "cidr_list")?.unwrap_or_default();
    check_subset(&cidr_list, &role.secret_id_bound_cidrs, "cidr_list")?;
    let token_bound_cidrs = networks(fields, "token_bound_cidrs")?.unwrap_or_default();
    check_subset(&token_bound_cidrs, &role.parameters.settings.bound_cidrs, "token_bound_cidrs")?;
    let uses = fields.count("num_uses")?.unwrap_or(role.secret_id_num_uses);
    if role.secret_id_num_uses != 0 && (uses == 0 || uses > role.secret_id_num_uses) {
        return Err(Error::invalid("num_uses cannot be higher than the role's secret_id_num_uses"));
    }
    let ttl = fields.duration("ttl")?.unwrap_or(role.secret_id_ttl);
    if !role.secret_id_ttl.is_zero() && (ttl.is_zero() || ttl > role.secret_id_ttl) {
        return Err(Error::invalid("ttl cannot be longer than the role's secret_id_ttl"));
    }
    let ttl = ttl.min(ttl_max_of_mount(call));
    Ok(SecretId {
        accessor: uuid_v4(call.entropy()),
        created: call.now,
        updated: call.now,
        expires: Some(call.now.plus(ttl)).filter(|_| !ttl.is_zero()),
        ttl,
        uses_left: Some(uses).filter(|uses| *uses > 0),
        metadata,
        cidr_list,
        token_bound_cidrs,
        last_used: None,
        use_count: 0,
    })
}

fn check_subset(nets: &[IpNet], bounds: &[IpNet], name: &str) -> Result<(), Error> {
    let is_within = |net: &IpNet| bounds.iter().any(|bound| bound.contains(net));
    if bounds.is_empty() || nets.iter().all(is_within) {
        return Ok(());
    }
    Err(Error::invalid(format!("{name} must lie within the networks that the role is bound to")))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = roles::required(call)?;
    let prefix = family_key(call, role.family);
    let now = call.now;
    let mut accessors = Vec::new();
    call.tx.entries(&prefix, &mut |_, value| {
        let entry = decode(value)?;
        if !entry.is_expired(now) {
            accessors.push(entry.accessor);
        }
        Ok(if accessors.len() < ACCESSORS_LISTED_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    accessors.sort_unstable();
    page(call, accessors)
}

fn decode(value: &[u8]) -> Result<SecretId, Error> {
    // After the byte of the record's version.
    value
        .split_first()
        .and_then(|(_, json)| serde_json::from_slice(json).ok())
        .ok_or_else(|| Error::internal("a stored secret-id cannot be read"))
}

/// A secret-id that was found, with where it stands.
struct Found {
    family: [u8; 8],
    handle: Vec<u8>,
    entry: SecretId,
}

fn found(call: &mut Call<'_>, family: [u8; 8], handle: Vec<u8>) -> Result<Option<Found>, Error> {
    let key = key(call, family, &handle);
    let entry: Option<SecretId> = call.tx.record(&key)?;
    let now = call.now;
    Ok(entry.filter(|entry| !entry.is_expired(now)).map(|entry| Found { family, handle, entry }))
}

fn by_secret(call: &mut Call<'_>) -> Result<Option<Found>, Error> {
    let role = roles::required(call)?;
    let secret_id = SecretString::new(call.fields().required_text("secret_id")?);
    let handle = handle_of(call, secret_id.expose());
    found(call, role.family, handle.to_vec())
}

fn by_accessor(call: &mut Call<'_>) -> Result<Found, Error> {
    let role = roles::required(call)?;
    let accessor = call.fields().required_text("secret_id_accessor")?;
    let key = accessor_key(call, role.family, &accessor);
    let found = match call.tx.record::<Pointer>(&key)? {
        Some(pointer) => found(call, role.family, pointer.handle)?,
        None => None,
    };
    let message = || format!("failed to find accessor entry for secret_id_accessor: {accessor:?}");
    found.ok_or_else(|| Error::new(ErrorKind::NotFound, message()))
}

fn describe(call: &Call<'_>, found: &Found) -> Response {
    Response::data(found.entry.describe(uses::pending(call, &found.handle)))
}

pub(super) fn look_up(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(by_secret(call)?.map_or_else(Response::default, |found| describe(call, &found)))
}

pub(super) fn look_up_accessor(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = by_accessor(call)?;
    Ok(describe(call, &found))
}

pub(super) fn destroy(call: &mut Call<'_>) -> Result<Response, Error> {
    if let Some(found) = by_secret(call)? {
        remove(call, found.family, &found.handle, &found.entry)?;
    }
    Ok(Response::default())
}

pub(super) fn destroy_accessor(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = by_accessor(call)?;
    remove(call, found.family, &found.handle, &found.entry)?;
    Ok(Response::default())
}
