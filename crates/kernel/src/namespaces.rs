//! Namespaces: tenants within a server, each with mounts, policies and tokens of its own, nested at will.

use crate::mounts::Mount;
use crate::transaction::{Key, Record, Space, Table, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_secret::NamespacePath;

/// The id of the root namespace; the others' are random.
pub(crate) const ROOT_NAMESPACE: u64 = 0;
/// The kernel's own records of a namespace stand under this in place of a mount's id.
pub(crate) const KERNEL_MOUNT: u64 = 0;

pub(crate) const NAMESPACES: Table = Table(1);

/// A namespace as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamespaceRecord {
    pub id: u64,
    /// Short, in tokens and answers.
    pub text_id: String,
    pub path: NamespacePath,
    #[serde(default)]
    pub custom_metadata: Map<String, Value>,
    /// Set while everything in it is being removed.
    #[serde(default)]
    pub is_tainted: bool,
    /// While set, only the holder of the unlock key gets through.
    #[serde(default)]
    pub lock_key_tag: Option<String>,
}

impl Record for NamespaceRecord {}

/// A namespace and its mounts, as requests are routed by them.
pub struct Namespace {
    pub record: NamespaceRecord,
    /// By path with its slash, `auth/` included for auth methods.
    pub mounts: HashMap<Box<str>, Arc<Mount>>,
    /// Mounts that are being removed: requests do not reach them, their leases still do.
    pub retiring: Vec<Arc<Mount>>,
    /// The namespace whose lock holds here: itself, or one above it.
    pub locked_by: Option<NamespacePath>,
}

impl Namespace {
    pub fn id(&self) -> u64 {
        self.record.id
    }

    pub fn path(&self) -> &NamespacePath {
        &self.record.path
    }

    /// Where the kernel keeps what belongs to this namespace and to no mount.
    pub fn space(&self) -> Space {
        kernel_space(self.record.id)
    }

    /// The mount that serves a path of this namespace. Mounts never contain one another.
    pub fn mount_of(&self, path: &str) -> Option<&Arc<Mount>> {
        path.match_indices('/').find_map(|(slash, _)| self.mounts.get(path.get(..=slash)?)).or_else(|| {
            // A mount addressed without its slash.
            (!path.ends_with('/')).then(|| self.mounts.get(format!("{path}/").as_str())).flatten()
        })
    }
}

/// The kernel's own space in a namespace.
pub(crate) fn kernel_space(namespace: u64) -> Space {
    Space { namespace, mount: KERNEL_MOUNT }
}

/// The key of a namespace's record. All records stand in the root's space.
pub(crate) fn namespace_key(tx: &Tx<'_>, id: u64) -> Key {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), NAMESPACES);
    tx.id_key(&table, &id.to_be_bytes())
}

/// The record of the root, which is not stored.
pub(crate) fn root_record() -> NamespaceRecord {
    NamespaceRecord {
        id: ROOT_NAMESPACE,
        text_id: "root".to_owned(),
        path: NamespacePath::root(),
        custom_metadata: Map::new(),
        is_tainted: false,
        lock_key_tag: None,
    }
}
