//! Which policies groups and users have, and groups that users have beside the directory's.

use super::config;
use crate::listing::page;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_kernel::{Call, Error, Key, Record, Response, Table};

const GROUPS: Table = Table(2);
const USERS: Table = Table(3);

/// As stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Mapping {
    pub policies: Vec<String>,
    /// Of users alone.
    pub groups: Vec<String>,
}

impl Record for Mapping {}

fn key(call: &mut Call<'_>, table: Table, name: &str) -> Result<Key, Error> {
    let name = config::load(call)?.canonical(name);
    Ok(call.tx.name_key(&call.table(table), &name))
}

pub(super) fn group(call: &mut Call<'_>, name: &str) -> Result<Mapping, Error> {
    let key = key(call, GROUPS, name)?;
    Ok(call.tx.record(&key)?.unwrap_or_default())
}

pub(super) fn user(call: &mut Call<'_>, name: &str) -> Result<Mapping, Error> {
    let key = key(call, USERS, name)?;
    Ok(call.tx.record(&key)?.unwrap_or_default())
}

pub(super) fn list_groups(call: &mut Call<'_>) -> Result<Response, Error> {
    list(call, GROUPS)
}

pub(super) fn list_users(call: &mut Call<'_>) -> Result<Response, Error> {
    list(call, USERS)
}

fn list(call: &mut Call<'_>, table: Table) -> Result<Response, Error> {
    let table = call.table(table);
    let names = call.tx.children(&table)?;
    page(call, names)
}

fn read(call: &mut Call<'_>, table: Table) -> Result<Mapping, Error> {
    let name = call.capture("name").to_owned();
    let key = key(call, table, &name)?;
    call.tx.record(&key)?.ok_or_else(Error::not_found)
}

pub(super) fn read_group(call: &mut Call<'_>) -> Result<Response, Error> {
    let mapping = read(call, GROUPS)?;
    Ok(crate::answer::object(json!({ "policies": mapping.policies })))
}

pub(super) fn read_user(call: &mut Call<'_>) -> Result<Response, Error> {
    let mapping = read(call, USERS)?;
    Ok(crate::answer::object(json!({ "policies": mapping.policies, "groups": mapping.groups.join(",") })))
}

pub(super) fn write_group(call: &mut Call<'_>) -> Result<Response, Error> {
    write(call, GROUPS)
}

pub(super) fn write_user(call: &mut Call<'_>) -> Result<Response, Error> {
    write(call, USERS)
}

fn write(call: &mut Call<'_>, table: Table) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let policies = call.fields().list("policies")?.unwrap_or_default();
    let policies: Vec<String> = policies.iter().map(|policy| policy.to_lowercase()).collect();
    if policies.iter().any(|policy| policy == "root") {
        return Err(Error::invalid("the policy root cannot be given to tokens of an auth method"));
    }
    let groups = call.fields().list("groups")?.unwrap_or_default();
    let key = key(call, table, &name)?;
    call.tx.put_record(&key, &Mapping { policies, groups })?;
    Ok(Response::default())
}

pub(super) fn delete_group(call: &mut Call<'_>) -> Result<Response, Error> {
    delete(call, GROUPS)
}

pub(super) fn delete_user(call: &mut Call<'_>) -> Result<Response, Error> {
    delete(call, USERS)
}

fn delete(call: &mut Call<'_>, table: Table) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let key = key(call, table, &name)?;
    call.tx.delete(&key)?;
    Ok(Response::default())
}
