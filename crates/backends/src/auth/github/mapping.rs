//! Which policies teams and users have: `map/teams`, `map/users`.

use crate::listing::page;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use strongroom_kernel::{Call, Error, Key, Record, Response, Table};

/// Whose policies.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Teams,
    Users,
}

/// As stored, with the text that clients wrote.
#[derive(Serialize, Deserialize)]
struct Mapping {
    value: String,
}

impl Record for Mapping {}

impl Kind {
    fn table(self) -> Table {
        match self {
            Self::Teams => Table(2),
            Self::Users => Table(3),
        }
    }

    fn of(call: &Call<'_>) -> Result<Self, Error> {
        match call.capture("kind") {
            "teams" => Ok(Self::Teams),
            "users" => Ok(Self::Users),
            _ => Err(Error::not_found()),
        }
    }
}

/// Names are the same in upper and lower case, as on GitHub.
fn key(call: &Call<'_>, kind: Kind, name: &str) -> Key {
    call.tx.name_key(&call.table(kind.table()), &name.to_lowercase())
}

/// The policies of a name.
pub(super) fn policies(call: &mut Call<'_>, kind: Kind, name: &str) -> Result<Vec<String>, Error> {
    let key = key(call, kind, name);
    let mapping: Option<Mapping> = call.tx.record(&key)?;
    let policies = mapping.iter().flat_map(|mapping| mapping.value.split(','));
    Ok(policies.map(|policy| policy.trim().to_owned()).filter(|policy| !policy.is_empty()).collect())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(Kind::of(call)?.table());
    let names = call.tx.children(&table)?;
    page(call, names)
}

/// A name without policies has no data, and is no error.
pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("key").to_owned();
    let key = key(call, Kind::of(call)?, &name);
    let mapping: Option<Mapping> = call.tx.record(&key)?;
    let data = mapping.map(|mapping| {
        Map::from_iter([("key".to_owned(), json!(name)), ("value".to_owned(), json!(mapping.value))])
    });
    Ok(Response::data(data.unwrap_or_default()))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call, Kind::of(call)?, call.capture("key"));
    let value = call.fields().list("value")?.unwrap_or_default().join(",");
    let names_root = value.split(',').any(|policy| policy == "root");
    call.tx.put_record(&key, &Mapping { value })?;
    let response = Response::default();
    Ok(match names_root {
        true => response.with_warning("the policy root is never given by a login: it is passed over"),
        false => response,
    })
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call, Kind::of(call)?, call.capture("key"));
    call.tx.delete(&key)?;
    Ok(Response::default())
}
