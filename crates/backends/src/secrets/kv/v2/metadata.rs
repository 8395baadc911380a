//! `metadata/`: what is known of a secret, its settings, its name in lists, and its removal.

use super::config::{self, Config, go_duration, object};
use super::expiry;
use super::row::{self, Draft, Header, Settings};
use crate::secrets::kv::{listing, writable_path};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use strongroom_kernel::rotation::labels;
use strongroom_kernel::{Call, Error, Response};

const CUSTOM_ENTRIES_MAX: usize = 64;
const CUSTOM_KEY_BYTES_MAX: usize = 128;
const CUSTOM_VALUE_BYTES_MAX: usize = 512;

/// How custom metadata comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Custom {
    /// As a whole.
    Replace,
    /// As a merge patch.
    Merge,
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let stored = row::read(call)?.ok_or_else(Error::not_found)?;
    let path = call.capture("path").to_owned();
    let labels = labels(call, &path, stored.header.current())?;
    let Header { created, updated, settings, .. } = &stored.header;
    let versions: Map<String, Value> = stored
        .header
        .numbered()
        .map(|(number, version)| {
            let about = json!({
                "created_time": version.created.rfc3339(),
                "deletion_time": version.deletion.map_or_else(String::new, |at| at.rfc3339()),
                "destroyed": version.is_destroyed,
            });
            (number.to_string(), about)
        })
        .collect();
    // Vault's number of the oldest version is zero until one was dropped.
    let oldest = if stored.header.first > 1 { stored.header.first } else { 0 };
    let mut data = json!({
        "cas_required": settings.cas_required,
        "metadata_cas_required": settings.metadata_cas_required,
        "created_time": created.rfc3339(),
        "updated_time": updated.rfc3339(),
        "current_version": stored.header.current(),
        "current_metadata_version": settings.revision,
        "oldest_version": oldest,
        "max_versions": settings.max_versions,
        "delete_version_after": go_duration(settings.delete_version_after),
        "custom_metadata": Some(&settings.custom_metadata).filter(|map| !map.is_empty()),
        "versions": versions,
    });
    if let (Some(end), Some(data)) = (settings.expires_at, data.as_object_mut()) {
        data.insert("expires_at".into(), json!(end.rfc3339()));
        data.insert("expire_notice".into(), json!(go_duration(settings.expire_notice)));
    }
    if let (Some(labels), Some(data)) = (labels, data.as_object_mut()) {
        let current = stored.header.current();
        let shown = json!({ "current": current, "pending": labels.pending, "previous": labels.previous });
        data.insert("labels".into(), shown);
    }
    let mut response = object(data);
    response.warnings = expiry::warnings(&stored.header, call.now);
    Ok(response)
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    writable_path(call)?;
    let stored = row::read(call)?;
    let mut draft = stored.map_or_else(|| Draft::new(call.now), Draft::of);
    change(call, &mut draft.header, Custom::Replace)?;
    draft.write(call)?;
    Ok(Response::default())
}

pub(super) fn patch(call: &mut Call<'_>) -> Result<Response, Error> {
    writable_path(call)?;
    let stored = row::read(call)?.ok_or_else(Error::not_found)?;
    let mut draft = Draft::of(stored);
    change(call, &mut draft.header, Custom::Merge)?;
    draft.write(call)?;
    Ok(Response::default())
}

fn change(call: &mut Call<'_>, header: &mut Header, custom: Custom) -> Result<(), Error> {
    let config = config::load(call)?;
    check_revision(call, &header.settings, &config)?;
    let fields = call.fields();
    let settings = &mut header.settings;
    if let Some(count) = config::max_versions(fields)? {
        settings.max_versions = count;
    }
    if let Some(required) = fields.boolean("cas_required")? {
        settings.cas_required = required;
    }
    if let Some(required) = fields.boolean("metadata_cas_required")? {
        settings.metadata_cas_required = required;
    }
    if let Some(lifetime) = fields.duration("delete_version_after")? {
        settings.delete_version_after = lifetime;
    }
    if let Some(notice) = fields.duration("expire_notice")? {
        settings.expire_notice = notice;
    }
    change_custom(call, settings, custom)?;
    settings.revision += 1;
    header.updated = call.now;
    change_end(call, header)
}

/// Check-and-set on the settings.
fn check_revision(call: &Call<'_>, settings: &Settings, config: &Config) -> Result<(), Error> {
    match call.fields().integer("metadata_cas")? {
        Some(expected) if u64::try_from(expected) == Ok(settings.revision) => Ok(()),
        Some(_) => Err(Error::invalid("metadata check-and-set parameter does not match the current version")),
        None if config.metadata_cas_required || settings.metadata_cas_required => {
            Err(Error::invalid("metadata check-and-set parameter required for this call"))
        }
        None => Ok(()),
    }
}

/// An explicit null, or empty text, takes the end away.
fn change_end(call: &mut Call<'_>, header: &mut Header) -> Result<(), Error> {
    let Some(given) = call.fields().0.get("expires_at") else { return Ok(()) };
    let is_cleared = given.is_null() || given.as_str() == Some("");
    let end = call.fields().time("expires_at")?;
    if is_cleared || end.is_some() {
        expiry::set(call, header, end)?;
    }
    Ok(())
}

fn change_custom(call: &Call<'_>, settings: &mut Settings, custom: Custom) -> Result<(), Error> {
    let Some(given) = call.fields().map("custom_metadata")? else { return Ok(()) };
    let mut entries = match custom {
        Custom::Replace => BTreeMap::new(),
        Custom::Merge => settings.custom_metadata.clone(),
    };
    for (key, value) in given {
        match value {
            Value::Null if custom == Custom::Merge => drop(entries.remove(&key)),
            Value::String(text) => drop(entries.insert(key, text)),
            Value::Number(_) | Value::Bool(_) => drop(entries.insert(key, value.to_string())),
            _ => return Err(Error::invalid("custom_metadata values must be texts")),
        }
    }
    check_custom(&entries)?;
    settings.custom_metadata = entries;
    Ok(())
}

fn check_custom(entries: &BTreeMap<String, String>) -> Result<(), Error> {
    if entries.len() > CUSTOM_ENTRIES_MAX {
        return Err(Error::invalid(format!(
            "custom_metadata has {} entries: the limit is {CUSTOM_ENTRIES_MAX}",
            entries.len()
        )));
    }
    for (key, value) in entries {
        let in_bounds = |text: &str, max| (1..=max).contains(&text.len());
        if !in_bounds(key, CUSTOM_KEY_BYTES_MAX) || !in_bounds(value, CUSTOM_VALUE_BYTES_MAX) {
            return Err(Error::invalid(format!(
                "custom_metadata keys must have 1 to {CUSTOM_KEY_BYTES_MAX} bytes, values 1 to {CUSTOM_VALUE_BYTES_MAX}"
            )));
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return Err(Error::invalid("custom_metadata cannot contain control characters"));
        }
    }
    Ok(())
}

/// Removes the secret with all its versions.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let Some(mut stored) = row::read(call)? else { return Ok(Response::default()) };
    expiry::set(call, &mut stored.header, None)?;
    row::remove(call, &stored)?;
    Ok(Response::default())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let folder = row::folder(call);
    listing::list(call, &folder)
}

pub(super) fn scan(call: &mut Call<'_>) -> Result<Response, Error> {
    let folder = row::folder(call);
    listing::scan(call, &folder)
}
