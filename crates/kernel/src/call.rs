//! One call of a handler: the request, what its route captured, who calls, and the transaction.

use crate::caller::Caller;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::mounts::{self, Mount};
use crate::namespaces::Namespace;
use crate::request::{Fields, Request};
use crate::route::Captures;
use crate::topology::Topology;
use crate::transaction::{Key, Table, Tx};
use std::sync::Arc;
use strongroom_secret::{Entropy, RequestPath, Timestamp};

/// Everything that a handler is given.
pub struct Call<'a> {
    pub kernel: &'a Kernel,
    pub tx: Tx<'a>,
    pub request: &'a Request,
    pub topology: &'a Arc<Topology>,
    pub namespace: &'a Arc<Namespace>,
    /// Owned: making a mount runs its backend's `enable` with the new mount in place of `sys/`.
    pub mount: Arc<Mount>,
    /// Relative to the namespace, mount included.
    pub path: &'a RequestPath,
    pub captures: Captures,
    /// None on open routes without a token.
    pub caller: Option<Arc<Caller>>,
    pub now: Timestamp,
}

impl<'a> Call<'a> {
    /// Does something as another mount would, for the kernel speaks for it (renewals, revocations). None if there is
    /// no such mount.
    pub(crate) fn at_mount<T>(
        &mut self,
        namespace: u64,
        mount: u64,
        act: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let topology: &'a Topology = self.topology;
        let mount = mounts::by_id(topology, namespace, mount)?;
        let namespace = topology.namespace_by_id(namespace)?;
        let namespace_before = std::mem::replace(&mut self.namespace, namespace);
        let mount_before = std::mem::replace(&mut self.mount, mount);
        let done = act(self);
        (self.namespace, self.mount) = (namespace_before, mount_before);
        Some(done)
    }

    /// What the route's pattern took under a name; empty if the pattern has no such name.
    pub fn capture(&self, name: &str) -> &str {
        self.captures.iter().find(|(captured, _)| *captured == name).map_or("", |(_, value)| value.as_str())
    }

    pub fn fields(&self) -> &Fields {
        &self.request.fields
    }

    pub fn entropy(&self) -> &dyn Entropy {
        self.kernel.entropy()
    }

    /// A table of this mount.
    pub fn table(&self, table: Table) -> Key {
        self.tx.table(self.mount.space(), table)
    }

    /// What mounts keep in memory for one generation of the topology is read again once this is committed.
    pub fn reload_topology_after_commit(&mut self) {
        self.tx.after_commit(crate::effect::Effect::Topology);
    }

    /// The mount's looks (`Backend::looks`) are begun once this is committed.
    pub fn look_after_commit(&mut self) {
        self.tx.after_commit(crate::effect::Effect::Looks);
    }

    /// Text with the caller's identity filled in, as policies have it: `{{identity.entity.name}}`. None for a caller
    /// without such an identity.
    pub fn fill_template(&self, text: &str) -> Option<String> {
        let identity = self.caller.as_ref()?.identity.as_ref()?;
        crate::policy::fill(text, &identity.context, self.namespace.path())
    }

    /// Counts a read of a secret of this mount, where its rotation depends on that.
    pub fn count_read(&self, path: &str) {
        self.kernel.rotation.counted.count(self.mount.namespace, self.mount.record.id, path);
    }

    /// The server's clock, for what is done after the call.
    pub fn clock(&self) -> Arc<dyn strongroom_secret::Clock> {
        self.kernel.clock.clone()
    }

    /// How long a lease that asks for this will live. Zero asks for the mount's default, and for no maximum.
    pub fn bounded_ttl(
        &self,
        wished: std::time::Duration,
        ttl_max: std::time::Duration,
    ) -> std::time::Duration {
        let ttls = crate::grants::mount_ttls(self.kernel, &self.mount);
        let zero = std::time::Duration::ZERO;
        crate::grants::bound_ttl(ttls, wished, ttl_max, zero, zero).ttl
    }

    /// A password policy of the call's namespace.
    pub fn password_policy(&mut self, name: &str) -> Result<crate::policy::PasswordPolicy, Error> {
        crate::system::password_policies::policy_named(self, name)
    }

    /// The caller, on routes that cannot be reached without one.
    pub fn require_caller(&self) -> Result<Arc<Caller>, Error> {
        self.caller.clone().ok_or_else(Error::denied)
    }
}
