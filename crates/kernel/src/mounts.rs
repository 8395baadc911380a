//! Mounts: which secrets engine or auth method answers under which path, and with what settings.

use crate::backend::{Backend, Class};
use crate::effect::Effect;
use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::transaction::{Key, Record, Space, Table, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const MOUNTS: Table = Table(2);

/// All mounts of a namespace: one row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MountTable {
    pub mounts: Vec<MountRecord>,
}

impl Record for MountTable {}

/// A mount as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MountRecord {
    pub id: u64,
    pub uuid: String,
    pub accessor: String,
    pub class: Class,
    /// With its slash, and with `auth/` for an auth method.
    pub path: String,
    pub kind: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub config: MountConfig,
    #[serde(default)]
    pub options: Map<String, Value>,
    #[serde(default)]
    pub local: bool,
    #[serde(default)]
    pub seal_wrap: bool,
    #[serde(default)]
    pub external_entropy_access: bool,
    /// Set while its data is being removed; requests no longer reach it.
    #[serde(default)]
    pub is_tainted: bool,
    /// Set while its data is being brought into the form of its present version; requests are put off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_upgrading: bool,
    /// Where it stood before it was moved: what it made there is found by these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_paths: Vec<String>,
}

/// What `tune` sets. A zero duration means the server's default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MountConfig {
    pub default_lease_ttl: Duration,
    pub max_lease_ttl: Duration,
    pub force_no_cache: bool,
    pub audit_non_hmac_request_keys: Vec<String>,
    pub audit_non_hmac_response_keys: Vec<String>,
    pub listing_visibility: String,
    pub passthrough_request_headers: Vec<String>,
    pub allowed_response_headers: Vec<String>,
    pub token_type: crate::tokens::TokenKind,
    pub plugin_version: String,
    pub user_lockout: Option<UserLockoutConfig>,
    /// No fingerprints of its values are kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_fingerprints: bool,
    /// How long they are kept of a value that is gone.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub fingerprints_kept_for: Duration,
    /// Of a secret, so many versions back from the current one. Zero: the default.
    #[serde(skip_serializing_if = "is_zero")]
    pub fingerprints_versions: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// When failed logins of one user are no longer looked at.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct UserLockoutConfig {
    pub threshold: u64,
    pub duration: Duration,
    pub counter_reset: Duration,
    pub is_disabled: bool,
}

impl Default for UserLockoutConfig {
    fn default() -> Self {
        let quarter_hour = Duration::from_secs(15 * 60);
        Self { threshold: 5, duration: quarter_hour, counter_reset: quarter_hour, is_disabled: false }
    }
}

/// A mount in use.
pub struct Mount {
    pub record: MountRecord,
    pub namespace: u64,
    pub backend: &'static Backend,
    /// What the backend keeps in memory for this mount; lost at a restart.
    pub memory: Arc<dyn Any + Send + Sync>,
}

impl Mount {
    /// Where the mount's records are.
    pub fn space(&self) -> Space {
        Space { namespace: self.namespace, mount: self.record.id }
    }

    pub fn path(&self) -> &str {
        &self.record.path
    }
}

/// The key of a namespace's mount table.
pub(crate) fn mounts_key(tx: &Tx<'_>, namespace: u64) -> Key {
    tx.table(kernel_space(namespace), MOUNTS)
}

/// The mount table of a namespace, with the mounts that are being removed.
pub(crate) fn read_table(tx: &mut Tx<'_>, namespace: u64) -> Result<MountTable, Error> {
    let key = mounts_key(tx, namespace);
    Ok(tx.record(&key)?.unwrap_or_default())
}

/// Writes a changed mount table; requests are routed by it once it is committed.
pub(crate) fn write_table(tx: &mut Tx<'_>, namespace: u64, table: &MountTable) -> Result<(), Error> {
    let key = mounts_key(tx, namespace);
    tx.put_record(&key, table)?;
    tx.after_commit(Effect::Topology);
    Ok(())
}

impl MountTable {
    /// The mounts that are in use.
    pub(crate) fn live(&self) -> impl Iterator<Item = &MountRecord> {
        self.mounts.iter().filter(|mount| !mount.is_tainted)
    }

    /// The mount in use at a path.
    pub(crate) fn find(&self, path: &str) -> Option<&MountRecord> {
        self.live().find(|mount| mount.path == path)
    }

    pub(crate) fn find_mut(&mut self, path: &str) -> Option<&mut MountRecord> {
        self.mounts.iter_mut().find(|mount| !mount.is_tainted && mount.path == path)
    }
}

/// Finds a mount again when only its id is known (a lease's, a token's). One that is being removed is found too: it
/// takes back what it handed out.
pub(crate) fn by_id(topology: &crate::topology::Topology, namespace: u64, id: u64) -> Option<Arc<Mount>> {
    let namespace = topology.namespace_by_id(namespace)?;
    namespace.mounts.values().chain(&namespace.retiring).find(|mount| mount.record.id == id).cloned()
}
