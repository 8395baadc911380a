//! Who makes a request: the token looked up, checked, and joined with its identity and its compiled policies.

use crate::error::Error;
use crate::identity;
use crate::kernel::Kernel;
use crate::namespaces::Namespace;
use crate::policy::Acl;
use crate::request::Client;
use crate::tokens::{self, TokenEntry, TokenRow};
use crate::topology::Topology;
use crate::transaction::{Marks, Tx};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_secret::{PolicyName, Timestamp};

/// Callers kept ready. Beyond this number a quarter is dropped.
const CALLERS_MAX: usize = 16_384;
const SHARDS: usize = 16;

/// A token in use.
pub struct Caller {
    pub token: TokenEntry,
    /// None for a batch token.
    pub row: Option<TokenRow>,
    pub acl: Arc<Acl>,
    /// None for a token without an entity.
    pub identity: Option<identity::Identity>,
    /// All policies by name, and those that identity adds, in the token's namespace, sorted.
    pub policies: Vec<String>,
    pub identity_policies: Vec<String>,
    policy_epoch: u64,
    identity_epoch: u64,
}

/// Callers by the row of their tokens.
pub(crate) struct CallerCache {
    shards: Vec<RwLock<HashMap<TokenRow, Arc<Caller>>>>,
}

impl Default for CallerCache {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl CallerCache {
    fn shard(&self, row: &TokenRow) -> Option<&RwLock<HashMap<TokenRow, Arc<Caller>>>> {
        self.shards.get(usize::from(row.0.first().copied().unwrap_or(0)) % SHARDS)
    }

    fn find(&self, row: &TokenRow) -> Option<Arc<Caller>> {
        self.shard(row)?.read().get(row).cloned()
    }

    /// Keeps a caller if `is_current`. It is asked under the lock that forgetting takes as well: a revocation either is
    /// seen by it, or forgets what was kept.
    fn keep_if(&self, row: TokenRow, caller: Arc<Caller>, is_current: impl FnOnce() -> bool) {
        let Some(shard) = self.shard(&row) else { return };
        let mut shard = shard.write();
        if !is_current() {
            return;
        }
        if shard.len() >= CALLERS_MAX / SHARDS {
            let mut position = 0;
            shard.retain(|_, _| {
                position += 1;
                position % 4 != 0
            });
        }
        shard.insert(row, caller);
    }

    pub(crate) fn forget(&self, row: &TokenRow) {
        if let Some(shard) = self.shard(row) {
            shard.write().remove(row);
        }
    }

    pub(crate) fn clear(&self) {
        self.shards.iter().for_each(|shard| shard.write().clear());
    }
}

/// Finds and checks the caller of a request. The same refusal for every reason: which one, only the log says.
pub(crate) fn authenticate(
    kernel: &Kernel,
    tx: &mut Tx<'_>,
    topology: &Topology,
    namespace: &Namespace,
    token: &str,
    client: &Client,
    now: Timestamp,
) -> Result<Arc<Caller>, Error> {
    let caller = look_up(kernel, tx, topology, token, now)?;
    let refused = |why: &str| Err(Error::denied().with_detail(why));
    let entry = &caller.token;
    if entry.is_expired(now) {
        return refused("the token has expired");
    }
    if !entry.bound_cidrs.is_empty() {
        let allowed =
            client.address.is_some_and(|address| entry.bound_cidrs.iter().any(|net| net.contains(&address)));
        if !allowed {
            return refused("the client's address is outside the token's bound CIDRs");
        }
    }
    let home = topology.namespace_by_id(entry.namespace);
    if !home.is_some_and(|home| namespace.path().is_within(home.path())) {
        return refused("the token belongs to another namespace");
    }
    match &caller.identity {
        Some(identity) if identity.is_disabled => return refused("the token's entity is disabled"),
        None if !entry.entity_id.is_empty() => return refused("the token's entity is gone"),
        _ => {}
    }
    Ok(caller)
}

/// Finds a token in whatever namespace it belongs to.
pub(crate) fn look_up(
    kernel: &Kernel,
    tx: &mut Tx<'_>,
    topology: &Topology,
    token: &str,
    now: Timestamp,
) -> Result<Arc<Caller>, Error> {
    let keys = tx.keys().clone();
    let unknown = || Error::denied().with_detail("the token is unknown");
    if let Some(entry) = tokens::batch_entry(&keys, token) {
        if let Some(parent) = entry.parent
            && (tokens::read(tx, parent.namespace, parent.row)?.is_none_or(|parent| parent.is_expired(now))
                || tokens::is_cut_off(tx, entry.parent)?)
        {
            return Err(unknown());
        }
        return build(kernel, tx, topology, entry, None, now).map(Arc::new);
    }
    let (_, row) = tokens::row_of_token(&keys, token);
    let marks = tx.marks();
    if let Some(caller) = kernel.callers.find(&row)
        && caller.policy_epoch == marks.policies
        && caller.identity_epoch == marks.identity
        && caller.acl.is_valid(now)
    {
        return Ok(caller);
    }
    let home = match tokens::namespace_suffix(token) {
        Some(text_id) => topology.namespace_by_text_id(text_id).ok_or_else(unknown)?.id(),
        None => crate::namespaces::ROOT_NAMESPACE,
    };
    let (row, entry) = tokens::find_row(tx, home, token)?.ok_or_else(unknown)?;
    if tokens::is_cut_off(tx, entry.parent)? {
        return Err(unknown());
    }
    let caller = Arc::new(build(kernel, tx, topology, entry, Some(row), now)?);
    // A token with counted uses changes with every use; and what was read before a revocation must not stay.
    if caller.token.num_uses == 0 {
        kernel.callers.keep_if(row, caller.clone(), || {
            kernel.opened().is_ok_and(|open| open.topology.generation == topology.generation)
                && kernel.marks().tokens == marks.tokens
        });
    }
    Ok(caller)
}

pub(crate) fn build(
    kernel: &Kernel,
    tx: &mut Tx<'_>,
    topology: &Topology,
    entry: TokenEntry,
    row: Option<TokenRow>,
    now: Timestamp,
) -> Result<Caller, Error> {
    let Marks { policies: policy_epoch, identity: identity_epoch, .. } = tx.marks();
    if entry.mount != 0 && !is_mounted(topology, entry.namespace, entry.mount) {
        return Err(Error::denied().with_detail("the auth mount that the token came from is gone"));
    }
    let identity = match entry.entity_id.as_str() {
        "" => None,
        id => identity::load(tx, topology, entry.namespace, id)?,
    };
    let mut names: Vec<(Arc<Namespace>, PolicyName)> = Vec::new();
    let mut add = |namespace: u64, policies: &[String]| {
        let Some(namespace) = topology.namespace_by_id(namespace) else { return };
        for policy in policies {
            if let Ok(name) = PolicyName::parse(policy) {
                names.push((namespace.clone(), name));
            }
        }
    };
    add(entry.namespace, &entry.policies);
    if let Some(identity) = &identity
        && !entry.no_identity_policies
    {
        for (namespace, policies) in &identity.policies {
            // Identity never makes anybody root.
            let policies: Vec<String> = policies.iter().filter(|policy| *policy != "root").cloned().collect();
            add(*namespace, &policies);
        }
    }
    names.sort_by(|a, b| (a.0.id(), &a.1).cmp(&(b.0.id(), &b.1)));
    names.dedup_by(|a, b| a.0.id() == b.0.id() && a.1 == b.1);
    let context = identity.as_ref().map(|identity| identity.context.clone()).unwrap_or_default();
    let acl = kernel.policies.compile(tx, names, &context, now)?;
    let identity_policies =
        identity.as_ref().map(|identity| identity.policies_in(entry.namespace)).unwrap_or_default();
    let mut policies = [entry.policies.as_slice(), &identity_policies].concat();
    policies.sort_unstable();
    policies.dedup();
    Ok(Caller { token: entry, row, acl, identity, policies, identity_policies, policy_epoch, identity_epoch })
}

fn is_mounted(topology: &Topology, namespace: u64, mount: u64) -> bool {
    let namespace = topology.namespace_by_id(namespace);
    namespace.is_some_and(|namespace| namespace.mounts.values().any(|found| found.record.id == mount))
}
