//! Version 1: one value per path, replaced as a whole.

use super::{enable, listing, payload, writable_path};
use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, list, read, scan, write};
use serde::Deserialize;
use serde_json::Value;
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_kernel::fingerprints::{self, FingerprintFunctions, KeptValue, Piece, Standing};
use strongroom_kernel::{
    Access, Backend, Call, Class, Data, Error, FieldKind, Fields, Key, Mount, Response, Route, Table, Tx,
};
use strongroom_secret::{SecretBytes, Timestamp};

pub(super) const VALUES: Table = Table(1);
/// Stands before each stored value.
const FORMAT: u8 = 1;

pub(crate) static V1: Backend = Backend {
    version: Some("1"),
    enable,
    fingerprints: Some(&FINGERPRINTS),
    ..Backend::new("kv", Class::Secret, "Keeps values under paths.", &[ROUTES])
};

static FINGERPRINTS: FingerprintFunctions =
    FingerprintFunctions { value_path: str::to_owned, about_path: str::to_owned, standing, payloads, values };

fn payloads(tx: &mut Tx<'_>, mount: &Mount, path: &str) -> Result<Vec<SecretBytes>, Error> {
    let standing = standing(tx, mount, path, Timestamp::EPOCH)?;
    Ok(standing.and_then(|standing| standing.value).into_iter().collect())
}

/// Values of one piece, and about how many bytes.
const VALUES_MAX: usize = 128;
const BYTES_MAX: usize = 4 << 20;

const ROUTES: &[Route] = &[
    Route {
        pattern: "",
        summary: "List what is kept.",
        access: Access::Token,
        fields: &[AFTER, LIMIT],
        methods: &[list(list_names, "List the names."), scan(scan_names, "List the paths at every depth.")],
        exists: None,
    },
    Route {
        pattern: "{path..}",
        summary: "Keep a value under a path.",
        access: Access::Token,
        fields: &[field("path", FieldKind::Text, "Where the value is kept."), AFTER, LIMIT],
        methods: &[
            read(read_value, "Read the value."),
            write(write_value, "Replace the value by the fields of the request."),
            delete(delete_value, "Remove the value."),
            list(list_names, "List the names below a folder."),
            scan(scan_names, "List the paths below a folder at every depth."),
        ],
        exists: Some(exists),
    },
];

fn key(call: &Call<'_>) -> Key {
    call.tx.path_key(&call.table(VALUES), call.capture("path"))
}

fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let key = key(call);
    Ok(call.tx.get(&key)?.is_some())
}

fn read_value(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    let row = call.tx.get(&key)?.ok_or_else(Error::not_found)?;
    let text = payload::parse(payload(row.expose())?)?;
    call.note_read(call.capture("path"));
    Ok(Response {
        lease_duration: lifetime(text.get()).unwrap_or_else(|| default_ttl(call)),
        data: Data::Json(text.to_owned()),
        ..Response::default()
    })
}

/// The JSON text of a stored value.
pub(super) fn payload(row: &[u8]) -> Result<&[u8], Error> {
    match row.split_first() {
        Some((&FORMAT, text)) => Ok(text),
        _ => Err(Error::internal("a kv value of an unknown format: a newer program wrote it")),
    }
}

/// How long a value says that it may be kept by whoever reads it: its `ttl`, or `lease`.
fn lifetime(text: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Hints {
        ttl: Option<Value>,
        lease: Option<Value>,
    }
    let hints: Hints = serde_json::from_str(text).ok()?;
    let hint = hints.ttl.or(hints.lease)?;
    let fields = Fields([("ttl".to_owned(), hint)].into_iter().collect());
    fields.duration("ttl").ok().flatten().filter(|ttl| !ttl.is_zero())
}

fn standing(tx: &mut Tx<'_>, mount: &Mount, path: &str, _: Timestamp) -> Result<Option<Standing>, Error> {
    let key = tx.path_key(&tx.table(mount.space(), VALUES), path);
    let Some(row) = tx.get(&key)? else { return Ok(None) };
    let value = Some(payload(row.expose())?.to_vec().into());
    Ok(Some(Standing { current: 0, value, versions: Vec::new() }))
}

/// When a value was written, nobody knows: as long ago as can be.
fn values(tx: &mut Tx<'_>, mount: &Mount, after: &[u8]) -> Result<Piece, Error> {
    let table = tx.table(mount.space(), VALUES);
    let (mut taken, mut bytes, mut next) = (Vec::new(), 0, None);
    tx.entries_after(&table, after, &mut |rest, row| {
        bytes += row.len();
        taken.push((rest.to_vec(), payload(row)?.to_vec()));
        let is_full = taken.len() >= VALUES_MAX || bytes >= BYTES_MAX;
        next = is_full.then(|| rest.to_vec());
        Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let mut values = Vec::with_capacity(taken.len());
    for (rest, payload) in taken {
        let path = tx.reveal(&table, &rest)?;
        values.push(KeptValue { path, version: 0, created: Timestamp::EPOCH, payload: payload.into() });
    }
    Ok(Piece { values, next })
}

fn default_ttl(call: &Call<'_>) -> Duration {
    let own = call.mount.record.config.default_lease_ttl;
    if own.is_zero() { call.kernel.settings().default_lease_ttl } else { own }
}

fn write_value(call: &mut Call<'_>) -> Result<Response, Error> {
    writable_path(call)?;
    let text = payload::body_text(call.request)?.ok_or_else(|| Error::invalid("missing data fields"))?;
    let key = key(call);
    let mut row = Vec::with_capacity(1 + text.expose().len());
    row.push(FORMAT);
    row.extend_from_slice(text.expose());
    call.tx.put(&key, row)?;
    let path = call.capture("path").to_owned();
    fingerprints::record(call, &path, 0, text.expose())?;
    Ok(Response::default())
}

fn delete_value(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    call.tx.delete(&key)?;
    Ok(Response::default())
}

fn list_names(call: &mut Call<'_>) -> Result<Response, Error> {
    let folder = key(call);
    listing::list(call, &folder)
}

fn scan_names(call: &mut Call<'_>) -> Result<Response, Error> {
    let folder = key(call);
    listing::scan(call, &folder)
}
