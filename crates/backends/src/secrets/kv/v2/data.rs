//! `data/`: reading, writing, patching and deleting the current version, and reading older ones.

use super::config::{self, Config};
use super::row::{self, Draft, Header, Stored, Version};
use super::{expiry, row::Settings};
use crate::secrets::kv::{payload, writable_path};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use strongroom_kernel::fingerprints;
use strongroom_kernel::rotation::{Label, payload_of_label};
use strongroom_kernel::{Call, Data, Error, Fields, Response};
use strongroom_secret::{SecretBytes, Timestamp};

/// What an answer says of a version, in Vault's names.
#[derive(Serialize)]
pub(super) struct VersionAnswer<'h> {
    created_time: String,
    custom_metadata: Option<&'h BTreeMap<String, String>>,
    deletion_time: String,
    destroyed: bool,
    version: u64,
}

#[derive(Serialize)]
struct ReadAnswer<'h> {
    data: Option<&'h RawValue>,
    metadata: VersionAnswer<'h>,
}

pub(super) fn describe<'h>(
    header: &'h Header,
    number: u64,
    version: &Version,
    call: &Call<'_>,
) -> VersionAnswer<'h> {
    let Settings { custom_metadata, expires_at, .. } = &header.settings;
    let ended = expires_at.filter(|_| header.is_expired(call.now));
    let deletion = match (version.deletion, ended) {
        (Some(deletion), Some(ended)) => Some(deletion.min(ended)),
        (deletion, ended) => deletion.or(ended),
    };
    VersionAnswer {
        created_time: version.created.rfc3339(),
        custom_metadata: Some(custom_metadata).filter(|map| !map.is_empty()),
        deletion_time: deletion.map_or_else(String::new, |at| at.rfc3339()),
        destroyed: version.is_destroyed,
        version: number,
    }
}

/// The version that a request names: the current one without a name, or for zero.
pub(super) fn wanted_version(call: &Call<'_>, header: &Header) -> Result<u64, Error> {
    let number = call.fields().count("version")?.unwrap_or(0);
    Ok(if number == 0 { header.current() } else { number })
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let key = row::key(call);
    Ok(call.tx.get(&key)?.is_some())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let stored = row::read(call)?.ok_or_else(Error::not_found)?;
    if let Some(label) = wanted_label(call)? {
        return read_label(call, &stored, label);
    }
    let header = &stored.header;
    let number = wanted_version(call, header)?;
    let version = header.version(number).ok_or_else(Error::not_found)?;
    let metadata = describe(header, number, version, call);
    if number == header.current() {
        call.count_read(call.capture("path"));
    }
    let warnings = expiry::warnings(header, call.now);
    if header.is_withheld(version, call.now) {
        let data = Data::Json(payload::answer(&ReadAnswer { data: None, metadata })?);
        return Ok(Response { data, warnings, status: Some(404), ..Response::default() });
    }
    call.note_read(call.capture("path"));
    let answer = if number == header.current() {
        payload::answer(&ReadAnswer { data: Some(payload::parse(stored.payload())?), metadata })?
    } else {
        let older = row::payload_of(call, &stored, number)?;
        payload::answer(&ReadAnswer { data: Some(payload::parse(older.expose())?), metadata })?
    };
    Ok(Response { data: Data::Json(answer), warnings, ..Response::default() })
}

/// The label that a request names; None for the current version.
fn wanted_label(call: &Call<'_>) -> Result<Option<Label>, Error> {
    match call.fields().text("label")?.as_deref() {
        None | Some("" | "current") => Ok(None),
        Some("pending") => Ok(Some(Label::Pending)),
        Some("previous") => Ok(Some(Label::Previous)),
        Some(_) => Err(Error::invalid("label must be current, previous or pending")),
    }
}

/// Reads the version that has a label by the secret's rotation.
fn read_label(call: &mut Call<'_>, stored: &Stored, label: Label) -> Result<Response, Error> {
    let header = &stored.header;
    let number = header.current();
    let path = call.capture("path").to_owned();
    let is_there = header.version(number).is_some_and(|version| !header.is_withheld(version, call.now));
    let payload = is_there.then(|| SecretBytes::new(stored.payload().to_vec()));
    let current = payload.as_ref().map(|payload| (number, payload));
    let (number, payload) = payload_of_label(call, &path, label, current)?.ok_or_else(Error::not_found)?;
    let metadata = match header.version(number) {
        Some(version) if header.is_withheld(version, call.now) => return Err(Error::not_found()),
        Some(version) => describe(header, number, version, call),
        None => describe(header, number, &Version { created: call.now, ..Version::default() }, call),
    };
    call.note_read(&path);
    let answer = payload::answer(&ReadAnswer { data: Some(payload::parse(payload.expose())?), metadata })?;
    Ok(Response { data: Data::Json(answer), ..Response::default() })
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    writable_path(call)?;
    let payload = payload::data_text(call.request)?;
    let config = config::load(call)?;
    let stored = row::read(call)?;
    check_version(call, stored.as_ref(), &config)?;
    let end = options(call)?.time("expires_at")?;
    add_version(call, stored, payload, &config, end)
}

pub(super) fn patch(call: &mut Call<'_>) -> Result<Response, Error> {
    writable_path(call)?;
    let change = payload::data_text(call.request)?;
    let config = config::load(call)?;
    let stored = row::read(call)?.ok_or_else(Error::not_found)?;
    let version = stored.header.version(stored.header.current()).ok_or_else(Error::not_found)?;
    if stored.header.is_withheld(version, call.now) {
        return Err(Error::not_found());
    }
    check_version(call, Some(&stored), &config)?;
    let merged = payload::merge(Some(payload::parse(stored.payload())?), payload::parse(change.expose())?)?;
    let end = options(call)?.time("expires_at")?;
    add_version(call, Some(stored), merged.get().as_bytes().to_vec().into(), &config, end)
}

/// The request's `options`.
fn options(call: &Call<'_>) -> Result<Fields, Error> {
    Ok(Fields(call.fields().map("options")?.unwrap_or_default()))
}

/// Check-and-set: the version that the writer believes to be the current one.
fn check_version(call: &Call<'_>, stored: Option<&Stored>, config: &Config) -> Result<(), Error> {
    let options = options(call)?;
    let current = stored.map_or(0, |stored| stored.header.current());
    let is_required = config.cas_required || stored.is_some_and(|stored| stored.header.settings.cas_required);
    let given =
        options.integer("cas").map_err(|_| Error::invalid("error parsing check-and-set parameter"))?;
    match given {
        Some(expected) if u64::try_from(expected) == Ok(current) => Ok(()),
        Some(_) => Err(Error::invalid("check-and-set parameter did not match the current version")),
        None if is_required => Err(Error::invalid("check-and-set parameter required for this call")),
        None => Ok(()),
    }
}

/// Writes a payload as the new current version, moves the one before it aside and drops what is kept no longer.
pub(super) fn add_version(
    call: &mut Call<'_>,
    stored: Option<Stored>,
    payload: SecretBytes,
    config: &Config,
    end: Option<Timestamp>,
) -> Result<Response, Error> {
    let now = call.now;
    let mut draft = stored.map_or_else(|| Draft::new(now), Draft::of);
    let kept = draft.header.versions_kept(config.max_versions);
    let lifetime = config.version_lifetime(draft.header.settings.delete_version_after);
    let deletion = lifetime.map(|lifetime| now.plus(lifetime));
    let version = Version { created: now, deletion, ..Version::default() };
    let path = call.capture("path").to_owned();
    fingerprints::record(call, &path, draft.header.current() + 1, payload.expose())?;
    draft.push(call, version.clone(), payload, kept)?;
    draft.header.updated = now;
    if end.is_some() {
        expiry::set(call, &mut draft.header, end)?;
    }
    let answer = payload::answer(&describe(&draft.header, draft.header.current(), &version, call))?;
    let warnings = expiry::warnings(&draft.header, now);
    draft.write(call)?;
    Ok(Response { data: Data::Json(answer), warnings, ..Response::default() })
}

/// Deletes the current version softly: `undelete/` brings it back.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let Some(stored) = row::read(call)? else { return Ok(Response::default()) };
    let now = call.now;
    let mut draft = Draft::of(stored);
    let current = draft.header.current();
    let Some(version) = draft.header.version_mut(current) else { return Ok(Response::default()) };
    if version.is_destroyed || version.is_deleted(now) {
        return Ok(Response::default());
    }
    version.delete(now);
    draft.header.updated = now;
    draft.write(call)?;
    Ok(Response::default())
}
