//! The cubbyhole: a place of its own for every token, which ends with the token.

use crate::call::Call;
use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::tokens::TokenRow;
use crate::transaction::{Key, Record, Table, Tx};
use crate::wrapping;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const CUBBYHOLES: Table = Table(10);
/// Entries that go with a token in one transaction; what is more is an abuse and is found by tidying.
const CLEARED_MAX: usize = 10_000;

#[derive(Serialize, Deserialize)]
struct Entry {
    data: Map<String, Value>,
}

impl Record for Entry {}

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "",
        summary: "List what this token keeps.",
        access: Access::Token,
        fields: &[],
        methods: &[Method { operation: Operation::List, run: Run::Read(list), summary: "List the names." }],
        exists: None,
    },
    Route {
        pattern: "{path..}",
        summary: "Keep values that only this token can read, and that end with it.",
        access: Access::Token,
        fields: &[Field { name: "path", kind: FieldKind::Text, description: "Where the values are kept." }],
        methods: &[
            Method { operation: Operation::Read, run: Run::Read(read), summary: "Read the values." },
            Method { operation: Operation::Write, run: Run::Write(write), summary: "Replace the values." },
            Method { operation: Operation::Delete, run: Run::Write(delete), summary: "Remove the values." },
            Method {
                operation: Operation::List,
                run: Run::Read(list),
                summary: "List the names below a folder.",
            },
        ],
        exists: Some(exists),
    },
];

/// The place of a token.
pub(crate) fn place(tx: &Tx<'_>, namespace: u64, row: TokenRow) -> Key {
    let table = tx.table(kernel_space(namespace), CUBBYHOLES);
    tx.id_key(&table, &row.0)
}

/// Removes what a token kept.
pub(crate) fn clear(tx: &mut Tx<'_>, namespace: u64, row: TokenRow) -> Result<(), Error> {
    let place = place(tx, namespace, row);
    tx.delete_entries(&place, CLEARED_MAX).map(drop)
}

fn key(call: &Call<'_>) -> Result<Key, Error> {
    let caller = call.require_caller()?;
    let row =
        caller.row.ok_or_else(|| Error::invalid("cubbyhole operations are not supported by batch tokens"))?;
    Ok(call.tx.path_key(&place(&call.tx, caller.token.namespace, row), call.capture("path")))
}

fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let key = key(call)?;
    Ok(call.tx.get(&key)?.is_some())
}

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let caller = call.require_caller()?;
    if let Some(row) = caller.row.filter(|_| caller.token.is_wrapping) {
        let wrapped = wrapping::look(&mut call.tx, &caller.token, row)?.ok_or_else(Error::not_found)?;
        let text = Value::from(wrapped.legacy_text()?);
        return Ok(Response::data(Map::from_iter([("response".to_owned(), text)])));
    }
    let key = key(call)?;
    let entry: Entry = call.tx.record(&key)?.ok_or_else(Error::not_found)?;
    Ok(Response::data(entry.data))
}

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    if call.capture("path").ends_with('/') {
        return Err(Error::invalid("cannot write to a path ending in '/'"));
    }
    if call.fields().0.is_empty() {
        return Err(Error::invalid("missing data fields"));
    }
    let key = key(call)?;
    call.tx.put_record(&key, &Entry { data: call.request.fields.0.clone() })?;
    Ok(Response::default())
}

fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call)?;
    call.tx.delete(&key)?;
    Ok(Response::default())
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call)?;
    Response::keys(call.tx.children(&key)?)
}
