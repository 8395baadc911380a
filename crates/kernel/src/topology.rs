//! The namespaces and mounts of an open server, read once and replaced as a whole when one changes.

use crate::backend::{Class, Registry};
use crate::error::Error;
use crate::mounts::{Mount, MountRecord, MountTable, mounts_key};
use crate::namespaces::{NAMESPACES, Namespace, NamespaceRecord, ROOT_NAMESPACE, kernel_space, root_record};
use crate::transaction::Tx;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use strongroom_secret::{NamespacePath, RequestPath};

/// All namespaces with their mounts.
pub struct Topology {
    namespaces: BTreeMap<NamespacePath, Arc<Namespace>>,
    by_id: HashMap<u64, Arc<Namespace>>,
    /// Differs between any two topologies of a process.
    pub generation: u64,
}

impl Topology {
    /// Reads the stored tables. What mounts hold in memory is taken over from `previous`.
    pub(crate) fn load(tx: &mut Tx<'_>, registry: &Registry, previous: Option<&Self>) -> Result<Self, Error> {
        let table = tx.table(kernel_space(ROOT_NAMESPACE), NAMESPACES);
        let mut records = vec![root_record()];
        records.extend(tx.records::<NamespaceRecord>(&table)?);
        let locks = Locks::among(&records);
        let mut namespaces = BTreeMap::new();
        let mut by_id = HashMap::new();
        for record in records {
            let key = mounts_key(tx, record.id);
            let table = tx.record::<MountTable>(&key)?.unwrap_or_default();
            let old = previous.and_then(|topology| topology.by_id.get(&record.id));
            let namespace_id = record.id;
            let instances = table.mounts.into_iter().filter_map(|mount| {
                let is_tainted = mount.is_tainted;
                instance(mount, namespace_id, registry, old).map(|mount| (is_tainted, mount))
            });
            let (retiring, live): (Vec<_>, Vec<_>) = instances.partition(|(is_tainted, _)| *is_tainted);
            let retiring = retiring.into_iter().map(|(_, mount)| mount).collect();
            let mounts = live.into_iter().map(|(_, mount)| (mount.path().into(), mount)).collect();
            let namespace =
                Arc::new(Namespace { locked_by: locks.of(&record.path), record, mounts, retiring });
            by_id.insert(namespace.id(), namespace.clone());
            namespaces.insert(namespace.path().clone(), namespace);
        }
        let generation = previous.map_or(0, |topology| topology.generation) + 1;
        Ok(Self { namespaces, by_id, generation })
    }

    pub fn namespace(&self, path: &NamespacePath) -> Option<&Arc<Namespace>> {
        self.namespaces.get(path)
    }

    pub fn namespace_by_id(&self, id: u64) -> Option<&Arc<Namespace>> {
        self.by_id.get(&id)
    }

    /// The namespace of a short id, as tokens carry it.
    pub fn namespace_by_text_id(&self, text_id: &str) -> Option<&Arc<Namespace>> {
        self.namespaces.values().find(|namespace| namespace.record.text_id == text_id)
    }

    pub fn root(&self) -> Option<&Arc<Namespace>> {
        self.by_id.get(&ROOT_NAMESPACE)
    }

    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.values()
    }

    /// The namespace that a request is in, from its header and from the segments that its path starts with, and the
    /// path relative to it.
    pub(crate) fn resolve(
        &self,
        header: &NamespacePath,
        path: &RequestPath,
    ) -> Result<(Arc<Namespace>, RequestPath), Error> {
        let mut namespace = self.namespaces.get(header).ok_or_else(|| missing(header))?;
        let mut rest = path.as_str();
        while self.namespaces.len() > 1 {
            let Some((segment, below)) = rest.split_once('/') else { break };
            let Ok(relative) = NamespacePath::parse(segment) else { break };
            if relative.is_root() {
                break;
            }
            let Ok(child) = namespace.path().join(&relative) else { break };
            let Some(found) = self.namespaces.get(&child) else { break };
            namespace = found;
            rest = below;
        }
        let rest = if rest.len() == path.as_str().len() { path.clone() } else { RequestPath::parse(rest)? };
        if namespace.record.is_tainted {
            return Err(missing(namespace.path()));
        }
        Ok((namespace.clone(), rest))
    }
}

/// The namespaces that are locked.
struct Locks(Vec<NamespacePath>);

impl Locks {
    fn among(records: &[NamespaceRecord]) -> Self {
        let locked = records.iter().filter(|record| record.lock_key_tag.is_some());
        Self(locked.map(|record| record.path.clone()).collect())
    }

    fn of(&self, path: &NamespacePath) -> Option<NamespacePath> {
        self.0.iter().find(|locked| path.is_within(locked)).cloned()
    }
}

fn missing(path: &NamespacePath) -> Error {
    let name = path.as_str().trim_end_matches('/');
    Error::new(crate::ErrorKind::NotFound, format!("namespace {name:?} not found"))
}

/// A mount to be used: the one from before where nothing of it changed, so that its memory lives on.
fn instance(
    record: MountRecord,
    namespace: u64,
    registry: &Registry,
    old: Option<&Arc<Namespace>>,
) -> Option<Arc<Mount>> {
    let Some(backend) = registry.find(record.class, &record.kind, &record.options) else {
        tracing::error!(kind = %record.kind, path = %record.path, "no backend of this type: the mount is not served");
        return None;
    };
    let memory = match old
        .and_then(|old| old.mounts.values().chain(&old.retiring).find(|mount| mount.record.id == record.id))
    {
        Some(mount) if std::ptr::eq(mount.backend, backend) => mount.memory.clone(),
        _ => (backend.memory)(),
    };
    Some(Arc::new(Mount { record, namespace, backend, memory }))
}

/// The path that a mount of a class has in its namespace.
pub(crate) fn mount_path(class: Class, path: &str) -> String {
    match class {
        Class::Secret => path.to_owned(),
        Class::Auth => format!("auth/{path}"),
    }
}
