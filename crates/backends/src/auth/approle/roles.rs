//! The roles of a mount.

use super::tidying;
use crate::auth::token_parameters::{TokenParameters, networks, ttl_max_of_mount};
use crate::listing::page;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use strongroom_crypto::mac::MAC_BYTES;
use strongroom_crypto::token::uuid_v4;
use strongroom_kernel::tokens::cidr_text;
use strongroom_kernel::{Call, Error, ErrorKind, Fields, Key, Record, Response, Table};

/// By name: the handle of the role-id.
const NAMES: Table = Table(1);
/// By the handle of the role-id.
const ROLES: Table = Table(2);

pub(super) const ROLE_ID_BYTES_MAX: usize = 256;

/// A keyed hash of an id, under which it is found.
pub(super) type Handle = [u8; MAC_BYTES];

/// A role as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Role {
    pub name: String,
    pub role_id: String,
    /// What its secret-ids stand under: fresh for every role made, so that none survives its role.
    #[serde(with = "id_text")]
    pub family: [u8; 8],
    pub bind_secret_id: bool,
    #[serde(default)]
    pub secret_id_bound_cidrs: Vec<IpNet>,
    #[serde(default)]
    pub secret_id_num_uses: u64,
    #[serde(default)]
    pub secret_id_ttl: Duration,
    #[serde(default)]
    pub local_secret_ids: bool,
    #[serde(default)]
    pub parameters: TokenParameters,
}

impl Record for Role {}

/// The row of a name.
#[derive(Serialize, Deserialize)]
struct Named {
    role_id: String,
}

impl Record for Named {}

mod id_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &[u8; 8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::from_be_bytes(*id))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 8], D::Error> {
        u64::deserialize(deserializer).map(u64::to_be_bytes)
    }
}

/// The handle of an id, within this mount and for one purpose.
pub(super) fn handle(call: &Call<'_>, purpose: &str, id: &str) -> Handle {
    let space = call.mount.space();
    call.tx
        .keys()
        .handles
        .start()
        .with(b"approle\0")
        .with(&space.namespace.to_be_bytes())
        .with(&space.mount.to_be_bytes())
        .with(purpose.as_bytes())
        .with(b"\0")
        .with(id.as_bytes())
        .finish()
}

/// The one form of a role's name.
fn canonical_name(call: &Call<'_>) -> String {
    call.capture("role_name").to_lowercase()
}

fn name_key(call: &Call<'_>, name: &str) -> Key {
    call.tx.name_key(&call.table(NAMES), name)
}

fn role_key(call: &Call<'_>, role_id: &str) -> Key {
    let handle = handle(call, "role-id", role_id);
    call.tx.id_key(&call.table(ROLES), &handle)
}

/// The role that logins with this id are to, to look at.
pub(super) fn shared_by_id(call: &mut Call<'_>, role_id: &str) -> Result<Option<Arc<Role>>, Error> {
    let key = role_key(call, role_id);
    call.tx.shared_record(&key)
}

fn by_id(call: &mut Call<'_>, role_id: &str) -> Result<Option<Role>, Error> {
    Ok(shared_by_id(call, role_id)?.map(Arc::unwrap_or_clone))
}

pub(super) fn by_name(call: &mut Call<'_>, name: &str) -> Result<Option<Role>, Error> {
    let key = name_key(call, name);
    let Some(named) = call.tx.record::<Named>(&key)? else { return Ok(None) };
    by_id(call, &named.role_id)
}

/// The role that the route names.
pub(super) fn load(call: &mut Call<'_>) -> Result<Option<Role>, Error> {
    let name = canonical_name(call);
    by_name(call, &name)
}

/// The role that the route names, for what makes no sense without it.
pub(super) fn required(call: &mut Call<'_>) -> Result<Role, Error> {
    let name = canonical_name(call);
    by_name(call, &name)?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("role {name:?} does not exist")))
}

pub(super) fn save(call: &mut Call<'_>, role: &Role) -> Result<(), Error> {
    let key = role_key(call, &role.role_id);
    call.tx.put_record(&key, role)
}

/// Gives a role, new or not, the id under which logins find it.
fn save_under(call: &mut Call<'_>, mut role: Role, role_id: String) -> Result<(), Error> {
    if role_id.is_empty() || role_id.len() > ROLE_ID_BYTES_MAX {
        return Err(Error::invalid(format!("role_id must have 1 to {ROLE_ID_BYTES_MAX} bytes")));
    }
    if by_id(call, &role_id)?.is_some_and(|other| other.name != role.name) {
        return Err(Error::invalid("role_id is already in use by another role"));
    }
    if !role.role_id.is_empty() && role.role_id != role_id {
        let key = role_key(call, &role.role_id);
        call.tx.delete(&key)?;
    }
    let key = name_key(call, &role.name);
    call.tx.put_record(&key, &Named { role_id: role_id.clone() })?;
    role.role_id = role_id;
    save(call, &role)
}

impl Role {
    fn new(call: &Call<'_>) -> Self {
        let mut family = [0; 8];
        call.entropy().fill(&mut family);
        Self {
            name: canonical_name(call),
            role_id: String::new(),
            family,
            bind_secret_id: true,
            secret_id_bound_cidrs: Vec::new(),
            secret_id_num_uses: 0,
            secret_id_ttl: Duration::ZERO,
            local_secret_ids: false,
            parameters: TokenParameters::default(),
        }
    }

    /// Takes over what the request names.
    pub(super) fn update(&mut self, fields: &Fields) -> Result<(), Error> {
        if let Some(bind) = fields.boolean("bind_secret_id")? {
            self.bind_secret_id = bind;
        }
        if let Some(nets) =
            networks(fields, "secret_id_bound_cidrs")?.or(networks(fields, "bound_cidr_list")?)
        {
            self.secret_id_bound_cidrs = nets;
        }
        if let Some(uses) = fields.count("secret_id_num_uses")? {
            self.secret_id_num_uses = uses;
        }
        if let Some(ttl) = fields.duration("secret_id_ttl")? {
            self.secret_id_ttl = ttl;
        }
        self.parameters.update(fields)?;
        let is_bound = self.bind_secret_id
            || !self.secret_id_bound_cidrs.is_empty()
            || !self.parameters.settings.bound_cidrs.is_empty();
        if !is_bound {
            return Err(Error::invalid("at least one constraint should be enabled on the role"));
        }
        Ok(())
    }

    pub(super) fn describe(&self) -> Map<String, Value> {
        let nets: Vec<String> = self.secret_id_bound_cidrs.iter().map(|net| cidr_text(*net)).collect();
        let mut map = Map::from_iter([
            ("bind_secret_id".to_owned(), json!(self.bind_secret_id)),
            ("local_secret_ids".to_owned(), json!(self.local_secret_ids)),
            ("secret_id_bound_cidrs".to_owned(), json!(Some(nets).filter(|nets| !nets.is_empty()))),
            ("secret_id_num_uses".to_owned(), json!(self.secret_id_num_uses)),
            ("secret_id_ttl".to_owned(), json!(self.secret_id_ttl.as_secs())),
        ]);
        self.parameters.describe(&mut map);
        map
    }
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    Ok(load(call)?.is_some())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(NAMES);
    let names = call.tx.children(&table)?;
    page(call, names)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = load(call)?.ok_or_else(Error::not_found)?;
    Ok(Response::data(role.describe()))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let old = load(call)?;
    let local = call.fields().boolean("local_secret_ids")?;
    let mut role = match old {
        Some(role) if local.is_some_and(|local| local != role.local_secret_ids) => {
            return Err(Error::invalid("local_secret_ids can only be set when the role is made"));
        }
        Some(role) => role,
        None => Role { local_secret_ids: local.unwrap_or(false), ..Role::new(call) },
    };
    role.update(call.fields())?;
    let role_id = match call.fields().text("role_id")?.filter(|id| !id.is_empty()) {
        Some(given) => given,
        None if role.role_id.is_empty() => uuid_v4(call.entropy()),
        None => role.role_id.clone(),
    };
    let mut warnings = role.parameters.warnings(call);
    if role.secret_id_ttl > ttl_max_of_mount(call) {
        warnings
            .push("secret_id_ttl is greater than the mount's maximum: secret-ids will end by that".into());
    }
    save_under(call, role, role_id)?;
    Ok(Response { warnings, ..Response::default() })
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let Some(role) = load(call)? else { return Ok(Response::default()) };
    let key = name_key(call, &role.name);
    call.tx.delete(&key)?;
    let key = role_key(call, &role.role_id);
    call.tx.delete(&key)?;
    tidying::remove_family(call, role.family)?;
    Ok(Response::default())
}

pub(super) fn read_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = load(call)?.ok_or_else(Error::not_found)?;
    Ok(Response::data(Map::from_iter([("role_id".to_owned(), json!(role.role_id))])))
}

pub(super) fn write_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = required(call)?;
    let role_id = call.fields().required_text("role_id")?;
    save_under(call, role, role_id)?;
    Ok(Response::default())
}
