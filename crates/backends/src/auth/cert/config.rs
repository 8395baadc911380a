//! The settings of a mount.

use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_kernel::{Call, Error, Key, Record, Response, Table};

const CONFIG: Table = Table(1);

/// As stored: one row.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub disable_binding: bool,
    pub enable_identity_alias_metadata: bool,
}

impl Record for Config {}

fn key(call: &Call<'_>) -> Key {
    call.table(CONFIG)
}

pub(super) fn load(call: &mut Call<'_>) -> Result<Config, Error> {
    let key = key(call);
    Ok(call.tx.record(&key)?.unwrap_or_default())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let config = load(call)?;
    Ok(crate::answer::object(json!({
        "disable_binding": config.disable_binding,
        "enable_identity_alias_metadata": config.enable_identity_alias_metadata,
    })))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut config = load(call)?;
    if let Some(is_disabled) = call.fields().boolean("disable_binding")? {
        config.disable_binding = is_disabled;
    }
    if let Some(is_enabled) = call.fields().boolean("enable_identity_alias_metadata")? {
        config.enable_identity_alias_metadata = is_enabled;
    }
    let key = key(call);
    call.tx.put_record(&key, &config)?;
    Ok(Response::default())
}
