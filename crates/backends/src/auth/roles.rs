//! Roles of auth methods by their names, whatever their case: a table of one kind of record in each mount.

use crate::listing::page;
use strongroom_kernel::{Call, Error, Key, Record, Response, Table};

const ROLES: Table = Table(2);

/// Where the role of a name is.
pub(crate) fn key_of(call: &Call<'_>, name: &str) -> Key {
    call.tx.name_key(&call.table(ROLES), &name.to_lowercase())
}

pub(crate) fn load<R: Record>(call: &mut Call<'_>, name: &str) -> Result<Option<R>, Error> {
    let key = key_of(call, name);
    call.tx.record(&key)
}

pub(crate) fn all<R: Record>(call: &mut Call<'_>) -> Result<Vec<R>, Error> {
    let table = call.table(ROLES);
    call.tx.records(&table)
}

/// Whether the role that a path names is there.
pub(crate) fn exists<R: Record>(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(load::<R>(call, &name)?.is_some())
}

/// The role that a path names.
pub(crate) fn of_path<R: Record>(call: &mut Call<'_>) -> Result<R, Error> {
    let name = call.capture("name").to_owned();
    load(call, &name)?.ok_or_else(Error::not_found)
}

pub(crate) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(ROLES);
    let names = call.tx.children(&table)?;
    page(call, names)
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key_of(call, call.capture("name"));
    call.tx.delete(&key)?;
    Ok(Response::default())
}
