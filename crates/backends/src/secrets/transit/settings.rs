//! Settings of the mount: `cache-config` and `config/keys`.

use super::key::READY_MAX_DEFAULT;
use crate::answer::object;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_kernel::{Call, Error, Record, Response, Table};

const SETTINGS: Table = Table(2);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct MountSettings {
    /// Keys kept ready in memory; zero for the default.
    cache_size: usize,
    disable_upsert: bool,
}

impl Record for MountSettings {}

fn load(call: &mut Call<'_>) -> Result<MountSettings, Error> {
    let key = call.table(SETTINGS);
    Ok(call.tx.record(&key)?.unwrap_or_default())
}

fn save(call: &mut Call<'_>, settings: &MountSettings) -> Result<(), Error> {
    let key = call.table(SETTINGS);
    call.tx.put_record(&key, settings)
}

pub(super) fn ready_keys_max(call: &mut Call<'_>) -> Result<usize, Error> {
    Ok(match load(call)?.cache_size {
        0 => READY_MAX_DEFAULT,
        size => size,
    })
}

/// Whether `encrypt/` makes a key that is not there.
pub(super) fn may_upsert(call: &mut Call<'_>) -> Result<bool, Error> {
    Ok(!load(call)?.disable_upsert)
}

pub(super) fn read_cache(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(object(json!({ "size": load(call)?.cache_size })))
}

pub(super) fn write_cache(call: &mut Call<'_>) -> Result<Response, Error> {
    let size = call.fields().count("size")?.unwrap_or(0);
    if (1..10).contains(&size) {
        return Err(Error::invalid("size must be 0 or a value greater or equal to 10"));
    }
    let mut settings = load(call)?;
    settings.cache_size = usize::try_from(size).unwrap_or(usize::MAX);
    save(call, &settings)?;
    Ok(Response::default())
}

pub(super) fn read_keys(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(object(json!({ "disable_upsert": load(call)?.disable_upsert })))
}

pub(super) fn write_keys(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut settings = load(call)?;
    if let Some(disabled) = call.fields().boolean("disable_upsert")? {
        settings.disable_upsert = disabled;
    }
    save(call, &settings)?;
    read_keys(call)
}
