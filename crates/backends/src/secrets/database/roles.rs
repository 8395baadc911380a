//! `roles/:name`: how accounts are made and taken away.

use super::{ROLES, connections, statements};
use crate::answer::object;
use crate::listing::page;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_kernel::{Call, Error, Fields, Key, Record, Response};

/// A role as it is stored.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Role {
    pub db_name: String,
    pub creation: Vec<String>,
    pub revocation: Vec<String>,
    pub rollback: Vec<String>,
    pub renewal: Vec<String>,
    pub default_ttl: Duration,
    pub max_ttl: Duration,
    pub password_policy: String,
}

impl Record for Role {}

/// What records of both kinds of roles have.
#[derive(Deserialize)]
struct OfConnection {
    db_name: String,
}

fn key(call: &Call<'_>, name: &str) -> Key {
    call.tx.name_key(&call.table(ROLES), name)
}

pub(super) fn stored(call: &mut Call<'_>, name: &str) -> Result<Option<Role>, Error> {
    let key = key(call, name);
    call.tx.record(&key)
}

/// The names of the roles in a table that use a connection.
pub(super) fn of_connection(
    call: &mut Call<'_>,
    table: &Key,
    connection: &str,
) -> Result<Vec<String>, Error> {
    let mut rests = Vec::new();
    call.tx.entries(table, &mut |rest, value| {
        // Behind one byte of version.
        let record: Option<OfConnection> =
            value.split_first().and_then(|(_, json)| serde_json::from_slice(json).ok());
        if record.is_some_and(|record| record.db_name == connection) {
            rests.push(rest.to_vec());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    rests.iter().map(|rest| call.tx.reveal(table, rest)).collect()
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(stored(call, &name)?.is_some())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(ROLES);
    let names = call.tx.children(&table)?;
    page(call, names)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let role = stored(call, &name)?.ok_or_else(Error::not_found)?;
    Ok(object(json!({
        "db_name": role.db_name,
        "creation_statements": role.creation,
        "revocation_statements": role.revocation,
        "rollback_statements": role.rollback,
        "renew_statements": role.renewal,
        "default_ttl": role.default_ttl.as_secs(),
        "max_ttl": role.max_ttl.as_secs(),
        "credential_type": "password",
        "credential_config": credential_config(&role.password_policy),
    })))
}

pub(super) fn credential_config(policy: &str) -> serde_json::Value {
    if policy.is_empty() { json!({}) } else { json!({ "password_policy": policy }) }
}

/// What `credential_type` and `credential_config` say; None where neither is given.
pub(super) fn password_policy(call: &mut Call<'_>) -> Result<Option<String>, Error> {
    match call.fields().text("credential_type")?.as_deref() {
        None | Some("" | "password") => {}
        Some(other) => {
            return Err(Error::invalid(format!("credential_type {other:?} is not known: password is")));
        }
    }
    let Some(config) = call.fields().map("credential_config")? else { return Ok(None) };
    if let Some(other) = config.keys().find(|name| *name != "password_policy") {
        return Err(Error::invalid(format!("credential_config has no {other:?}: password_policy is known")));
    }
    let policy =
        config.get("password_policy").and_then(|policy| policy.as_str()).unwrap_or_default().to_owned();
    if !policy.is_empty() {
        call.password_policy(&policy)?;
    }
    Ok(Some(policy))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let mut role = stored(call, &name)?.unwrap_or_default();
    change(&mut role, call.fields())?;
    if let Some(policy) = password_policy(call)? {
        role.password_policy = policy;
    }
    if role.db_name.is_empty() {
        return Err(Error::invalid("missing db_name: the connection that the role uses"));
    }
    if !role.max_ttl.is_zero() && role.default_ttl > role.max_ttl {
        return Err(Error::invalid("default_ttl is longer than max_ttl"));
    }
    // A connection may be made later; what is there is asked.
    let connection = connections::stored(call, &role.db_name)?;
    match connection.map(|connection| connection.engine()).transpose()? {
        Some(super::wire::Engine::Redis) => statements::redis_creation(&role.creation).map(drop)?,
        _ if role.creation.is_empty() => {
            return Err(Error::invalid("missing creation_statements: how an account is made"));
        }
        _ => {}
    }
    let key = key(call, &name);
    call.tx.put_record(&key, &role)?;
    Ok(Response::default())
}

fn change(role: &mut Role, fields: &Fields) -> Result<(), Error> {
    if let Some(name) = fields.text("db_name")? {
        role.db_name = name;
    }
    for (name, place) in [
        ("creation_statements", &mut role.creation),
        ("revocation_statements", &mut role.revocation),
        ("rollback_statements", &mut role.rollback),
        ("renew_statements", &mut role.renewal),
    ] {
        if let Some(given) = statements::of_field(fields, name)? {
            *place = given;
        }
    }
    for (name, place) in [("default_ttl", &mut role.default_ttl), ("max_ttl", &mut role.max_ttl)] {
        if let Some(given) = fields.duration(name)? {
            *place = given;
        }
    }
    Ok(())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let key = key(call, &name);
    call.tx.delete(&key)?;
    Ok(Response::default())
}
