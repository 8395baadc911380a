//! `sys/audit-search`: who did what, by the server's own audit file. A bounded piece of it in each answer; never a value.

use super::audit::{audit_entries, in_root};
use super::fields::{field, method};
use crate::audit::{
    AuditTableEntry, DeviceConfig, Match, Outcome, Piece, Position, Query, RecordKind, Target, VerifyOptions,
    search_piece,
};
use crate::call::Call;
use crate::error::Error;
use crate::request::{Operation, Response};
use crate::route::{Access, FieldKind, Route, Run};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Records in one answer.
const MATCHES_MAX: u64 = 1000;
const CURSOR_BYTES_MAX: usize = 1024;

pub(super) const ROUTES: &[Route] = &[Route {
    pattern: "audit-search",
    summary: "Who did what, by the file of an audit device of the server.",
    access: Access::Sudo,
    fields: &[
        field("device", FieldKind::Text, "The name of a file device; one is chosen where none is given."),
        field("path", FieldKind::Text, "What the path of a request begins with."),
        field("operation", FieldKind::Text, "read, update, …"),
        field("since", FieldKind::Time, "From this time on."),
        field("until", FieldKind::Time, "Before this time."),
        field("kind", FieldKind::Text, "request or response; both where it is left out."),
        field("display_name", FieldKind::Text, "Who."),
        field("entity_id", FieldKind::Text, "Who."),
        field("accessor", FieldKind::Text, "With which token, as the log has it."),
        field("remote_address", FieldKind::Text, "From where."),
        field("failed", FieldKind::Boolean, "Only what was refused or failed."),
        field("limit", FieldKind::Integer, "Records in one answer, at most 1000."),
        field("cursor", FieldKind::Text, "From the answer before: go on from there."),
    ],
    methods: &[method(
        Operation::Write,
        Run::Heavy(search),
        "Search a piece of the file, and check its chain.",
    )],
    exists: None,
}];

fn search(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root(call)?;
    let query = query(call)?;
    let fields = call.fields();
    let cursor = fields.text("cursor")?.filter(|cursor| !cursor.is_empty());
    let from = cursor.map(|cursor| position(&cursor)).transpose()?;
    let device = fields.text("device")?.filter(|device| !device.is_empty());
    let entries = audit_entries(&mut call.tx)?;
    let (device, path) = file_of(&entries, device.as_deref())?;
    let key = crate::audit_trail::signing_key(call.tx.keys()).1.verifying_key();
    let options = VerifyOptions { public_keys: &[key], last_line: None };
    let found = search_piece(&path, query, from, options).map_err(|error| {
        Error::invalid(format!("the file of the device {device} cannot be read: {error}"))
    })?;
    let mut answer = Map::from_iter([("device".to_owned(), Value::from(device))]);
    match found {
        Some(piece) => answer.extend(shown(piece)),
        None => drop(answer.insert("begin_again".to_owned(), true.into())),
    }
    Ok(Response::data(answer))
}

fn query(call: &Call<'_>) -> Result<Query, Error> {
    let fields = call.fields();
    let text = |name: &str| Ok::<_, Error>(fields.text(name)?.filter(|text| !text.is_empty()));
    let kind = match text("kind")?.as_deref() {
        None => None,
        Some("request") => Some(RecordKind::Request),
        Some("response") => Some(RecordKind::Response),
        Some(_) => return Err(Error::invalid("kind must be request or response")),
    };
    let limit = fields.count("limit")?.filter(|limit| *limit > 0).unwrap_or(MATCHES_MAX).min(MATCHES_MAX);
    Ok(Query {
        path_prefix: text("path")?,
        operation: text("operation")?,
        since: fields.time("since")?,
        until: fields.time("until")?,
        kind,
        accessor: text("accessor")?,
        entity_id: text("entity_id")?,
        display_name: text("display_name")?,
        remote_address: text("remote_address")?,
        hash: None,
        outcome: if fields.boolean("failed")? == Some(true) { Outcome::Failed } else { Outcome::Any },
        limit: usize::try_from(limit).ok(),
    })
}

/// The file of the device that is named, or of the first that has one.
fn file_of(entries: &[AuditTableEntry], wanted: Option<&str>) -> Result<(String, PathBuf), Error> {
    let name = |entry: &AuditTableEntry| entry.path.trim_end_matches('/').to_owned();
    let file = |entry: &AuditTableEntry| match DeviceConfig::parse(&entry.kind, &entry.options) {
        Ok(DeviceConfig { target: Target::File { path, .. }, .. }) => Some((name(entry), path)),
        _ => None,
    };
    match wanted.map(|wanted| wanted.trim_matches('/')) {
        None => entries.iter().find_map(file).ok_or_else(|| {
            Error::invalid("no audit device of this server writes a file: ask where its records are kept")
        }),
        Some(wanted) => {
            let entry = entries.iter().find(|entry| name(entry) == wanted);
            let entry =
                entry.ok_or_else(|| Error::invalid(format!("there is no audit device {wanted:?}")))?;
            file(entry).ok_or_else(|| {
                Error::invalid(format!("the audit device {wanted} writes no file that could be searched"))
            })
        }
    }
}

fn shown(piece: Piece) -> Map<String, Value> {
    let Piece { matches, report, next, has_more } = piece;
    let matches: Vec<Value> = matches.iter().map(record).collect();
    let cursor = serde_json::to_vec(&next).unwrap_or_default();
    Map::from_iter([
        ("matches".to_owned(), matches.into()),
        (
            "chain".to_owned(),
            json!({
                "intact": report.is_intact(),
                "broken": report.broken.as_ref().map(ToString::to_string),
                "lines": report.lines,
                "records_dropped": report.records_dropped,
                "restarts": report.restarts,
            }),
        ),
        ("cursor".to_owned(), URL_SAFE_NO_PAD.encode(cursor).into()),
        ("more".to_owned(), has_more.into()),
    ])
}

/// A record without its values.
fn record(found: &Match) -> Value {
    json!({
        "time": found.time.rfc3339(),
        "type": found.kind,
        "request_id": found.request_id,
        "operation": found.operation,
        "namespace": found.namespace,
        "path": found.path,
        "display_name": found.display_name,
        "entity_id": found.entity_id,
        "accessor": found.accessor,
        "remote_address": found.remote_address,
        "error": found.error,
    })
}

fn position(cursor: &str) -> Result<Position, Error> {
    let wrong = || Error::invalid("cursor is not one of sys/audit-search: leave it out to begin");
    if cursor.len() > CURSOR_BYTES_MAX {
        return Err(wrong());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    serde_json::from_slice(&bytes).map_err(|_| wrong())
}
