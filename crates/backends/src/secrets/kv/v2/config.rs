//! `config`: what holds for every secret of a mount.

pub(super) use crate::answer::object;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use strongroom_kernel::{Call, Error, Fields, Key, Record, Response, Table};
use strongroom_secret::format_duration;

const CONFIG: Table = Table(1);
/// The most versions that may be kept of a secret: all of them are in one row's metadata.
const MAX_VERSIONS_MAX: u64 = 1000;

/// A mount's settings as they are stored. Zero means unset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub max_versions: u64,
    pub cas_required: bool,
    pub metadata_cas_required: bool,
    pub delete_version_after: Duration,
    /// A negative `delete_version_after`: no version of any secret goes by itself.
    pub keeps_versions: bool,
}

impl Record for Config {}

impl Config {
    /// How long a new version of a secret lives that asks for `own`; None for ever.
    pub(super) fn version_lifetime(&self, own: Duration) -> Option<Duration> {
        if self.keeps_versions {
            return None;
        }
        [own, self.delete_version_after].into_iter().filter(|lifetime| !lifetime.is_zero()).min()
    }
}

fn key(call: &Call<'_>) -> Key {
    call.table(CONFIG)
}

/// A mount's settings as every write needs them. They hold for one generation of the topology: a change of them starts
/// another.
#[derive(Default)]
pub(crate) struct Memory(RwLock<Option<(u64, Config)>>);

/// The settings in force.
pub(super) fn load(call: &mut Call<'_>) -> Result<Config, Error> {
    let generation = call.topology.generation;
    let memory = call.mount.memory.clone();
    let memory = memory.downcast_ref::<Memory>();
    if let Some(Memory(cell)) = memory
        && let Some((known, config)) = &*cell.read()
        && *known == generation
    {
        return Ok(config.clone());
    }
    let config = stored(call)?;
    if let Some(Memory(cell)) = memory {
        *cell.write() = Some((generation, config.clone()));
    }
    Ok(config)
}

fn stored(call: &mut Call<'_>) -> Result<Config, Error> {
    let key = key(call);
    Ok(call.tx.record(&key)?.unwrap_or_default())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let config = load(call)?;
    let delete_version_after = match config.keeps_versions {
        true => "-1s".to_owned(),
        false => go_duration(config.delete_version_after),
    };
    Ok(object(json!({
        "max_versions": config.max_versions,
        "cas_required": config.cas_required,
        "metadata_cas_required": config.metadata_cas_required,
        "delete_version_after": delete_version_after,
    })))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut config = stored(call)?;
    let fields = call.fields();
    if let Some(count) = max_versions(fields)? {
        config.max_versions = count;
    }
    if let Some(required) = fields.boolean("cas_required")? {
        config.cas_required = required;
    }
    if let Some(required) = fields.boolean("metadata_cas_required")? {
        config.metadata_cas_required = required;
    }
    if is_negative(fields) {
        config.keeps_versions = true;
        config.delete_version_after = Duration::ZERO;
    } else if let Some(lifetime) = fields.duration("delete_version_after")? {
        config.keeps_versions = false;
        config.delete_version_after = lifetime;
    }
    let key = key(call);
    call.tx.put_record(&key, &config)?;
    call.reload_topology_after_commit();
    Ok(Response::default())
}

/// Vault's clients say "never, for any secret" by a negative duration.
fn is_negative(fields: &Fields) -> bool {
    let value = fields.value("delete_version_after");
    value.is_some_and(|value| value.as_str().map_or(value.as_f64() < Some(0.0), |text| text.starts_with('-')))
}

pub(super) fn max_versions(fields: &Fields) -> Result<Option<u64>, Error> {
    match fields.count("max_versions")? {
        Some(count) if count > MAX_VERSIONS_MAX => {
            Err(Error::invalid(format!("max_versions cannot be more than {MAX_VERSIONS_MAX}")))
        }
        count => Ok(count),
    }
}

/// A duration as Go's `Duration.String` writes it: `0s`, `30s`, `30m0s`, `1h0m0s`.
pub(super) fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format_duration(duration),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        let check = |seconds, text: &str| assert_eq!(go_duration(Duration::from_secs(seconds)), text);
        check(0, "0s");
        check(30, "30s");
        check(1800, "30m0s");
        check(3600, "1h0m0s");
        check(90_061, "25h1m1s");
    }
}
