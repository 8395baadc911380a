//! Taking away what was disabled. Disabling is one commit that hides a mount; its data then goes in bounded
//! batches, each of its own commit, so that a crash in between only delays the rest.

use crate::backend::{Class, Tidied};
use crate::effect::Effect;
use crate::error::Error;
use crate::fingerprints::{build_missing, sweep};
use crate::grants::{end_lease, revoke_token};
use crate::identity;
use crate::kernel::Kernel;
use crate::leases;
use crate::mounts::{self, Mount};
use crate::namespaces::{Namespace, namespace_key};
use crate::outbox;
use crate::quotas;
use crate::rotation;
use crate::tokens::{self, Children};
use crate::transaction::{Intent, Tx};
use crate::upgrade::upgrade_mount;
use std::sync::Arc;
use strongroom_storage::CommitError;

/// Entries that go in one commit.
const BATCH_ENTRIES: usize = 512;
/// Tokens and leases of a path that are looked at in one step.
const LOOKED_AT_MAX: usize = 100_000;

/// How far a removal has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    Done,
    /// There is more to be removed.
    More,
    /// Leases are being taken back, or intents undone; what they need must stay until then.
    Waiting,
}

impl Kernel {
    /// Removes one batch of what was disabled, and upgrades one of what is being upgraded. To be called regularly; it says whether there is more to be done now.
    pub fn clean_up(self: &Arc<Self>) -> Result<Tidied, Error> {
        let open = self.opened()?;
        let mut more = Tidied::All;
        let mut step = |remove: &dyn Fn(&mut Tx<'_>) -> Result<Removal, Error>| {
            let mut tx = self.begin(&open.keys, Intent::Write)?;
            let removal = remove(&mut tx)?;
            if !self.commit_if_changed(tx)? || removal == Removal::More {
                more = Tidied::More;
            }
            Ok::<(), Error>(())
        };
        step(&|tx| tokens::remove_cut_off(self, tx))?;
        for namespace in open.topology.namespaces() {
            if namespace.record.is_tainted {
                step(&|tx| remove_namespace(self, tx, namespace))?;
                continue;
            }
            for mount in namespace.mounts.values().filter(|mount| mount.record.is_upgrading) {
                step(&|tx| upgrade_mount(tx, mount, self.now()))?;
            }
            let generation = open.topology.generation;
            let indexed = namespace.mounts.values().filter(|mount| {
                let is_ready = mount.backend.fingerprints.is_some() && !mount.record.is_upgrading;
                is_ready && !self.built.contains(generation, mount)
            });
            for mount in indexed {
                step(&|tx| build_missing(tx, mount, &self.built))?;
            }
            let swept = namespace.mounts.values().filter(|mount| {
                let has_rows = mount.backend.fingerprints.is_some() && !mount.record.config.no_fingerprints;
                has_rows && !mount.record.is_upgrading && self.sweeps.is_due(mount, self.now())
            });
            for mount in swept {
                step(&|tx| sweep(tx, mount, &self.sweeps, self.now()))?;
            }
            for mount in &namespace.retiring {
                step(&|tx| remove_mount(self, tx, mount))?;
            }
        }
        Ok(more)
    }

    /// False: it lost against another and is to be done again.
    fn commit_if_changed(self: &Arc<Self>, tx: Tx<'_>) -> Result<bool, Error> {
        if !tx.is_changed() {
            return Ok(true);
        }
        let (transaction, effects) = tx.finish(self.entropy());
        match self.commit_blocking(transaction, effects) {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Removes a batch of what is in a hidden namespace, and at last its record.
pub(crate) fn remove_namespace(
    kernel: &Kernel,
    tx: &mut Tx<'_>,
    namespace: &Namespace,
) -> Result<Removal, Error> {
    let removal = tx.untracked(|tx| -> Result<Removal, Error> {
        let mut removal = Removal::Done;
        let handing_out = namespace.mounts.values().chain(&namespace.retiring);
        for mount in handing_out.filter(|mount| mount.backend.takes_back()) {
            for path in std::iter::once(&mount.record.path).chain(&mount.record.former_paths) {
                match end_leases(kernel, tx, mount, path)? {
                    Removal::More => return Ok(Removal::More),
                    Removal::Waiting => removal = Removal::Waiting,
                    Removal::Done => {}
                }
            }
        }
        if removal == Removal::Waiting || outbox::has_intents_of(tx, namespace.id(), None)? {
            return Ok(Removal::Waiting);
        }
        if rotation::forget_namespace(tx, namespace.id(), BATCH_ENTRIES)? > 0 {
            return Ok(Removal::More);
        }
        let space = tx.namespace_space(namespace.id());
        match tx.delete_entries(&space, BATCH_ENTRIES)? {
            BATCH_ENTRIES.. => Ok(Removal::More),
            _ => Ok(Removal::Done),
        }
    })?;
    if removal == Removal::Done {
        let key = namespace_key(tx, namespace.id());
        tx.delete(&key)?;
        quotas::forget_namespace(tx, namespace.id())?;
        for effect in [Effect::Topology, Effect::Policies, Effect::Identity] {
            tx.after_commit(effect);
        }
    }
    Ok(removal)
}

/// Removes a batch of what a hidden mount leaves behind, and at last its record.
pub(crate) fn remove_mount(kernel: &Kernel, tx: &mut Tx<'_>, mount: &Mount) -> Result<Removal, Error> {
    // Nobody writes below a hidden mount any longer: what is read here need not hold the commit back.
    let removal = tx.untracked(|tx| -> Result<Removal, Error> {
        let paths = std::iter::once(&mount.record.path).chain(&mount.record.former_paths);
        let mut removal = Removal::Done;
        for path in paths {
            if mount.record.class == Class::Auth && revoke_tokens(kernel, tx, mount, path)? == Removal::More {
                return Ok(Removal::More);
            }
            match end_leases(kernel, tx, mount, path)? {
                Removal::More => return Ok(Removal::More),
                Removal::Waiting => removal = Removal::Waiting,
                Removal::Done => {}
            }
        }
        let is_unsettled = outbox::has_intents_of(tx, mount.namespace, Some(mount.record.id))?;
        if removal == Removal::Waiting || is_unsettled {
            return Ok(Removal::Waiting);
        }
        if rotation::forget_mount(tx, mount.namespace, mount.record.id, BATCH_ENTRIES)? > 0 {
            return Ok(Removal::More);
        }
        let space = tx.space(mount.space());
        match tx.delete_entries(&space, BATCH_ENTRIES)? {
            BATCH_ENTRIES.. => Ok(Removal::More),
            _ => Ok(Removal::Done),
        }
    })?;
    if removal == Removal::Done {
        tx.keys().tags.forget(mount);
        identity::forget_mount(tx, mount.namespace, &mount.record.accessor)?;
        let mut table = mounts::read_table(tx, mount.namespace)?;
        table.mounts.retain(|record| record.id != mount.record.id);
        mounts::write_table(tx, mount.namespace, &table)?;
    }
    Ok(removal)
}

fn revoke_tokens(kernel: &Kernel, tx: &mut Tx<'_>, mount: &Mount, path: &str) -> Result<Removal, Error> {
    let mut revoked = 0;
    for row in tokens::orphans_below(tx, mount.namespace, path, LOOKED_AT_MAX)? {
        // Another mount may stand at a former path by now.
        let is_ours =
            tokens::read(tx, mount.namespace, row)?.is_some_and(|entry| entry.mount == mount.record.id);
        if is_ours {
            revoked += revoke_token(kernel, tx, mount.namespace, row, Children::Revoke)?;
        }
        if revoked >= BATCH_ENTRIES {
            return Ok(Removal::More);
        }
    }
    Ok(Removal::Done)
}

fn end_leases(kernel: &Kernel, tx: &mut Tx<'_>, mount: &Mount, path: &str) -> Result<Removal, Error> {
    let now = kernel.now();
    let mut changed = 0;
    let mut removal = Removal::Done;
    for id in leases::below(tx, mount.namespace, path, LOOKED_AT_MAX)? {
        let Some(lease) = leases::read(tx, mount.namespace, &id)? else { continue };
        if lease.mount != mount.record.id {
            continue;
        }
        // What was given up is not waited for: the mount was disabled knowing it, and its lease would name nothing.
        if !mount.backend.takes_back() || lease.is_irrevocable() {
            leases::remove(tx, &lease)?;
            changed += 1;
        } else {
            removal = Removal::Waiting;
            if lease.expires > now {
                end_lease(tx, mount.namespace, &id, now)?;
                changed += 1;
            }
        }
        if changed >= BATCH_ENTRIES {
            return Ok(Removal::More);
        }
    }
    Ok(removal)
}
