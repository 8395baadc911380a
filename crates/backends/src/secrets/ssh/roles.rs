//! `roles/`: what may be signed, and who may get a password, under Vault's names.

use super::{ROLE, ROLES, text};
use crate::answer::object;
use crate::listing::page;
use crate::routing::field;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use strongroom_kernel::{Call, Data, Error, Field, FieldKind, Fields, Key, Record, Response};

/// More than anybody lists by hand; what is needed for more is a template or `*`.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// How a role lets people in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyType {
    /// By certificates.
    #[default]
    Ca,
    /// By passwords that count once.
    Otp,
}

/// A role as it is stored. Durations are in seconds; lists are texts with commas, as they were written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub key_type: KeyType,
    pub default_user: String,
    pub default_user_template: bool,
    pub allowed_users: String,
    pub allowed_users_template: bool,
    pub allowed_domains: String,
    pub allowed_domains_template: bool,
    pub ttl: u64,
    pub max_ttl: u64,
    pub allowed_critical_options: String,
    pub allowed_extensions: String,
    pub default_critical_options: Map<String, Value>,
    pub default_extensions: Map<String, Value>,
    pub default_extensions_template: bool,
    pub allow_user_certificates: bool,
    pub allow_host_certificates: bool,
    pub allow_bare_domains: bool,
    pub allow_subdomains: bool,
    pub allow_user_key_ids: bool,
    pub allow_empty_principals: bool,
    pub key_id_format: String,
    pub allowed_user_key_lengths: BTreeMap<String, Vec<u32>>,
    pub algorithm_signer: String,
    pub not_before_duration: u64,
    pub cidr_list: String,
    pub exclude_cidr_list: String,
    pub port: u16,
}

impl Record for Role {}

impl Default for Role {
    fn default() -> Self {
        Self {
            key_type: KeyType::Ca,
            default_user: String::new(),
            default_user_template: false,
            allowed_users: String::new(),
            allowed_users_template: false,
            allowed_domains: String::new(),
            allowed_domains_template: false,
            ttl: 0,
            max_ttl: 0,
            allowed_critical_options: String::new(),
            allowed_extensions: String::new(),
            default_critical_options: Map::new(),
            default_extensions: Map::new(),
            default_extensions_template: false,
            allow_user_certificates: false,
            allow_host_certificates: false,
            allow_bare_domains: false,
            allow_subdomains: false,
            allow_user_key_ids: false,
            allow_empty_principals: false,
            key_id_format: String::new(),
            allowed_user_key_lengths: BTreeMap::new(),
            algorithm_signer: String::new(),
            not_before_duration: 30,
            cidr_list: String::new(),
            exclude_cidr_list: String::new(),
            port: 22,
        }
    }
}

const fn flag(name: &'static str, description: &'static str) -> Field {
    field(name, FieldKind::Boolean, description)
}

const fn words(name: &'static str, description: &'static str) -> Field {
    field(name, FieldKind::List, description)
}

const fn map(name: &'static str, description: &'static str) -> Field {
    field(name, FieldKind::Map, description)
}

const fn duration(name: &'static str, description: &'static str) -> Field {
    field(name, FieldKind::Duration, description)
}

/// What a role can say. The kinds decide how each is read.
pub(super) const FIELDS: &[Field] = &[
    ROLE,
    text("key_type", "ca: certificates; otp: passwords that count once."),
    text("default_user", "Whom it is for where the request names nobody. Always allowed."),
    flag("default_user_template", "The user may name the caller's entity, as `{{identity.entity.name}}`."),
    words("allowed_users", "Further users that may be asked for; `*` for all."),
    flag("allowed_users_template", "They may name the caller's entity."),
    words("allowed_domains", "Domains of hosts that may be asked for; `*` for all."),
    flag("allowed_domains_template", "They may name the caller's entity."),
    duration("ttl", "How long certificates count; the mount's default if 0."),
    duration("max_ttl", "How long they may count at the most; the mount's maximum if 0."),
    words("allowed_critical_options", "Critical options that may be asked for; all if empty."),
    words("allowed_extensions", "Extensions that may be asked for; `*` for all, none if empty."),
    map("default_critical_options", "Critical options where the request names none."),
    map("default_extensions", "Extensions where the request names none."),
    flag("default_extensions_template", "Values of default extensions may name the caller's entity."),
    flag("allow_user_certificates", "Certificates for users."),
    flag("allow_host_certificates", "Certificates for hosts."),
    flag("allow_bare_domains", "The domains themselves are allowed hosts."),
    flag("allow_subdomains", "Names below the domains are allowed hosts."),
    flag("allow_user_key_ids", "Requests may choose the key id."),
    flag(
        "allow_empty_principals",
        "Certificates may name no user or host at all: such a one opens every account. Off by default.",
    ),
    text("key_id_format", "`{{token_display_name}}`, `{{role_name}}`, `{{public_key_hash}}` are filled in."),
    map("allowed_user_key_lengths", "Kinds of keys that are signed, with their lengths; all if empty."),
    text("algorithm_signer", "rsa-sha2-256 (default) or rsa-sha2-512, where the authority is RSA."),
    duration("not_before_duration", "How long before now certificates begin; 30 s by default."),
    words("cidr_list", "Networks of the hosts that passwords are for."),
    words("exclude_cidr_list", "Networks of hosts that they are not for."),
    field("port", FieldKind::Integer, "The port of SSH on the hosts; 22 by default."),
];

fn key(call: &Call<'_>, name: &str) -> Key {
    call.tx.path_key(&call.table(ROLES), name)
}

/// A role by its name.
pub(super) fn find(call: &mut Call<'_>, name: &str) -> Result<Option<Role>, Error> {
    let key = key(call, name);
    call.tx.record(&key)
}

/// The role that the path names.
pub(super) fn required(call: &mut Call<'_>) -> Result<Role, Error> {
    let name = call.capture("role").to_owned();
    find(call, &name)?.ok_or_else(|| Error::invalid(format!("unknown role: {name}")))
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("role").to_owned();
    Ok(find(call, &name)?.is_some())
}

/// The names with what kind each is, as Vault's list has it.
pub(super) fn list_names(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(ROLES);
    let names = call.tx.children(&table)?;
    let mut response = page(call, names)?;
    let Data::Map(data) = &mut response.data else { return Ok(response) };
    let mut kinds = Map::new();
    for name in data.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if let Some(role) = find(call, name)? {
            kinds.insert(name.to_owned(), json!({ "key_type": role.key_type }));
        }
    }
    data.insert("key_info".to_owned(), kinds.into());
    Ok(response)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("role").to_owned();
    let role = find(call, &name)?.ok_or_else(Error::not_found)?;
    let of_passwords =
        ["key_type", "default_user", "allowed_users", "cidr_list", "exclude_cidr_list", "port"];
    let mut shown = json!(role);
    if let Some(shown) = shown.as_object_mut() {
        shown.retain(|name, _| match role.key_type {
            KeyType::Otp => of_passwords.contains(&name.as_str()),
            KeyType::Ca => !matches!(name.as_str(), "cidr_list" | "exclude_cidr_list" | "port"),
        });
    }
    Ok(object(shown))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call, call.capture("role"));
    call.tx.delete(&key)?;
    Ok(Response::default())
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = parse(call.fields())?;
    let key = key(call, call.capture("role"));
    call.tx.put_record(&key, &role)?;
    Ok(Response::default())
}

/// Reads what a request says by the kinds of [`FIELDS`]. What it does not say has its default.
fn parse(fields: &Fields) -> Result<Role, Error> {
    let mut values = match json!(Role::default()) {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    fields
        .text("key_type")?
        .filter(|kind| !kind.is_empty())
        .ok_or_else(|| Error::invalid("missing key type"))?;
    for field in FIELDS.iter().filter(|field| field.name != "role" && fields.has(field.name)) {
        let value = match field.kind {
            FieldKind::Boolean => fields.boolean(field.name)?.map(Value::from),
            FieldKind::Integer => fields.count(field.name)?.map(Value::from),
            FieldKind::Duration => fields.duration(field.name)?.map(|duration| duration.as_secs().into()),
            FieldKind::List => fields.list(field.name)?.map(|items| items.join(",").into()),
            FieldKind::Map if field.name == "allowed_user_key_lengths" => {
                fields.map(field.name)?.map(key_lengths).transpose()?
            }
            FieldKind::Map => fields.text_map(field.name)?.map(Value::from),
            _ => fields.text(field.name)?.map(Value::from),
        };
        if value.as_ref().is_some_and(|value| value.to_string().len() > TEXT_BYTES_MAX) {
            return Err(Error::invalid(format!("{} is longer than {TEXT_BYTES_MAX} bytes", field.name)));
        }
        values.extend(value.map(|value| (field.name.to_owned(), value)));
    }
    let role: Role = serde_json::from_value(Value::Object(values))
        .map_err(|_| Error::invalid("key_type must be ca or otp, and port a number up to 65535"))?;
    check(&role)?;
    Ok(role)
}

/// `{"rsa": 2048}` and `{"rsa": [2048, 4096]}` alike.
fn key_lengths(map: Map<String, Value>) -> Result<Value, Error> {
    let wrong =
        || Error::invalid("allowed_user_key_lengths must give a number, or a list of numbers, for each kind");
    let number = |value: &Value| match value {
        Value::String(text) => text.trim().parse::<u32>().ok(),
        value => value.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let mut lengths = Map::new();
    for (kind, value) in map {
        let numbers = match &value {
            Value::Array(items) => items.iter().map(number).collect::<Option<Vec<_>>>(),
            Value::String(text) if text.contains(',') => {
                text.split(',').map(|item| item.trim().parse().ok()).collect()
            }
            value => number(value).map(|number| vec![number]),
        };
        lengths.insert(kind, json!(numbers.ok_or_else(wrong)?));
    }
    Ok(lengths.into())
}

fn check(role: &Role) -> Result<(), Error> {
    match role.key_type {
        KeyType::Otp => {
            if role.default_user.is_empty() {
                return Err(Error::invalid("missing default user"));
            }
            networks(&role.cidr_list)?;
            networks(&role.exclude_cidr_list)?;
            return Ok(());
        }
        KeyType::Ca if !role.allow_user_certificates && !role.allow_host_certificates => {
            return Err(Error::invalid(
                "either allow_user_certificates or allow_host_certificates must be set to true",
            ));
        }
        KeyType::Ca => {}
    }
    if role.max_ttl != 0 && role.ttl > role.max_ttl {
        return Err(Error::invalid(r#""ttl" value must be less than "max_ttl" when both are specified"#));
    }
    match role.algorithm_signer.as_str() {
        "" | "default" | "rsa-sha2-256" | "rsa-sha2-512" => {}
        "ssh-rsa" => {
            return Err(Error::invalid(
                "algorithm_signer ssh-rsa signs with SHA-1, which OpenSSH refuses: use rsa-sha2-256 or rsa-sha2-512",
            ));
        }
        _ => return Err(Error::invalid("algorithm_signer must be default, rsa-sha2-256 or rsa-sha2-512")),
    }
    match role.allowed_user_key_lengths.keys().find(|kind| super::signing::family(kind).is_none()) {
        Some(kind) => Err(Error::invalid(format!(
            "allowed_user_key_lengths: unknown kind {kind:?}: use rsa, ecdsa, ed25519 or an algorithm's name"
        ))),
        None => Ok(()),
    }
}

/// Networks in a text with commas.
fn networks(text: &str) -> Result<Vec<IpNet>, Error> {
    words_of(text)
        .map(|item| {
            item.parse().map_err(|_| Error::invalid(format!("{item:?} is no network, as 10.0.0.0/8")))
        })
        .collect()
}

/// The entries of a text with commas.
pub(super) fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl Role {
    /// Whether passwords may be made for a host.
    pub(super) fn covers(&self, address: IpAddr) -> Result<bool, Error> {
        let within =
            |text: &str| Ok::<_, Error>(networks(text)?.iter().any(|network| network.contains(&address)));
        Ok(within(&self.cidr_list)? && !within(&self.exclude_cidr_list)?)
    }
}
