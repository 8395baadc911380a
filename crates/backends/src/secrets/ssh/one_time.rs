//! `creds/`, `verify`, `lookup`, `config/zeroaddress`: passwords that count once, on one host, for one user.

use super::roles::{self, KeyType, Role, words_of};
use super::{PASSWORDS, ROLES, SETTINGS};
use crate::answer::object;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;
use strongroom_crypto::hash::sha256;
use strongroom_crypto::token::uuid_v4;
use strongroom_kernel::{Call, Error, Key, LeaseGrant, LeaseRecord, Record, Response};
use strongroom_secret::SecretString;

/// What `vault-ssh-helper -verify-only` asks, to know that it reaches us.
const ECHO_REQUEST: &str = "verify-echo-request";
const ECHO_ANSWER: &str = "verify-echo-response";

/// What a password is for.
#[derive(Debug, Serialize, Deserialize)]
struct Password {
    username: String,
    ip: String,
    role_name: String,
}

impl Record for Password {}

/// The roles that are for hosts of every address.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ZeroAddress {
    roles: Vec<String>,
}

impl Record for ZeroAddress {}

/// The password is 122 random bits: its hash gives nothing away, and the password itself is kept nowhere.
fn password_key(call: &Call<'_>, digest: &[u8]) -> Key {
    call.tx.id_key(&call.table(PASSWORDS), digest)
}

pub(super) fn make(call: &mut Call<'_>) -> Result<Response, Error> {
    let role_name = call.capture("role").to_owned();
    let role = roles::required(call)?;
    if role.key_type != KeyType::Otp {
        return Err(Error::invalid("role key type 'ca' gives certificates: use sign or issue"));
    }
    let ip = call.fields().required_text("ip")?;
    let address: IpAddr = ip.parse().map_err(|_| Error::invalid("ip is no IP address"))?;
    let username = call.fields().text("username")?.filter(|name| !name.is_empty());
    let username = username.unwrap_or_else(|| role.default_user.clone());
    let is_allowed = username == role.default_user
        || words_of(&role.allowed_users).any(|allowed| allowed == "*" || allowed == username);
    if !is_allowed {
        return Err(Error::invalid("username is not present in allowed users list"));
    }
    if !zero_address(call)?.roles.contains(&role_name) && !role.covers(address)? {
        return Err(Error::invalid(format!("IP {address} does not belong to role {role_name:?}")));
    }
    let password = SecretString::from(uuid_v4(call.entropy()));
    let digest = sha256(password.expose().as_bytes());
    let key = password_key(call, &digest);
    let ip = address.to_string();
    call.tx.put_record(&key, &Password { username: username.clone(), ip: ip.clone(), role_name })?;
    let mut response = object(json!({
        "key_type": "otp",
        "key": password.expose(),
        "username": username,
        "ip": ip,
        "port": role.port,
    }));
    response.lease = Some(LeaseGrant {
        ttl: None,
        ttl_max: None,
        renewable: false,
        internal: json!({ "otp_sha256": hex::encode(digest) }),
    });
    Ok(response)
}

/// The lease is over: a password that was not used counts no longer.
pub(super) fn end_lease(call: &mut Call<'_>, lease: &LeaseRecord) -> Result<(), Error> {
    let digest = lease.internal.get("otp_sha256").and_then(|digest| digest.as_str());
    let Some(digest) = digest.and_then(|digest| hex::decode(digest).ok()) else { return Ok(()) };
    let key = password_key(call, &digest);
    call.tx.delete(&key)
}

pub(super) fn verify(call: &mut Call<'_>) -> Result<Response, Error> {
    let password = SecretString::from(call.fields().required_text("otp")?);
    if password.expose() == ECHO_REQUEST {
        return Ok(object(json!({ "message": ECHO_ANSWER })));
    }
    let key = password_key(call, &sha256(password.expose().as_bytes()));
    let record: Password = call.tx.record(&key)?.ok_or_else(|| Error::invalid("OTP not found"))?;
    call.tx.delete(&key)?;
    // Its role may have gone since.
    if roles::find(call, &record.role_name)?.is_none() {
        return Err(Error::invalid("OTP not found"));
    }
    Ok(object(json!(record)))
}

pub(super) fn look_up(call: &mut Call<'_>) -> Result<Response, Error> {
    let ip = call.fields().required_text("ip")?;
    let address: IpAddr = ip.parse().map_err(|_| Error::invalid("ip is no IP address"))?;
    let everywhere = zero_address(call)?.roles;
    let table = call.table(ROLES);
    let mut found = Vec::new();
    for name in call.tx.children(&table)? {
        let Some(role) = roles::find(call, &name)? else { continue };
        if role.key_type == KeyType::Otp && (everywhere.contains(&name) || covers_or_not(&role, address)) {
            found.push(name);
        }
    }
    Ok(object(json!({ "roles": found })))
}

fn covers_or_not(role: &Role, address: IpAddr) -> bool {
    role.covers(address).unwrap_or(false)
}

fn zero_address_key(call: &Call<'_>) -> Key {
    call.tx.name_key(&call.table(SETTINGS), "zeroaddress")
}

fn zero_address(call: &mut Call<'_>) -> Result<ZeroAddress, Error> {
    let key = zero_address_key(call);
    Ok(call.tx.record(&key)?.unwrap_or_default())
}

pub(super) fn zero_address_exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let key = zero_address_key(call);
    Ok(call.tx.record::<ZeroAddress>(&key)?.is_some())
}

pub(super) fn read_zero_address(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = zero_address_key(call);
    let record: ZeroAddress = call.tx.record(&key)?.ok_or_else(Error::not_found)?;
    Ok(object(json!({ "roles": record.roles })))
}

pub(super) fn write_zero_address(call: &mut Call<'_>) -> Result<Response, Error> {
    let names = call.fields().list("roles")?.filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| Error::invalid("missing roles"))?;
    for name in &names {
        match roles::find(call, name)? {
            Some(role) if role.key_type == KeyType::Otp => {}
            Some(_) => return Err(Error::invalid(format!("role {name:?} is not of key_type otp"))),
            None => return Err(Error::invalid(format!("role {name:?} does not exist"))),
        }
    }
    let key = zero_address_key(call);
    call.tx.put_record(&key, &ZeroAddress { roles: names })?;
    Ok(Response::default())
}

pub(super) fn delete_zero_address(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = zero_address_key(call);
    call.tx.delete(&key)?;
    Ok(Response::default())
}
