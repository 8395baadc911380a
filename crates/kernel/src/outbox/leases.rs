//! Leases on something outside the store. They have an index of their own for each mount, so that a peer that hangs holds
//! up nothing but what it handed out itself. The lease is the intent: it goes when what it stands for is gone.

use super::background::{Mission, Preparing};
use super::{Held, Outbox, Outward};
use crate::call::Call;
use crate::error::Error;
use crate::grants;
use crate::kernel::{Kernel, Open};
use crate::leases::{self, LeaseRecord};
use crate::mounts::Mount;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::request::Response;
use crate::transaction::{Intent as Access, Key, Table, Tx};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use strongroom_secret::Timestamp;

/// By mount and end.
const OUTWARD_EXPIRY: Table = Table(16);
const ROW_BYTES: usize = 20;
/// Leases of a mount that are being taken back, or wait for a thread.
const IN_HAND_MAX: usize = 64;

/// The key under which the end of a lease on something outside is found.
pub(crate) fn outward_expiry_key(
    tx: &Tx<'_>,
    mount: u64,
    at: Timestamp,
    namespace: u64,
    row: &[u8; ROW_BYTES],
) -> Key {
    let mut id = Vec::with_capacity(16 + ROW_BYTES);
    id.extend_from_slice(&u64::try_from(at.nanoseconds()).unwrap_or(0).to_be_bytes());
    id.extend_from_slice(&namespace.to_be_bytes());
    id.extend_from_slice(row);
    tx.id_key(&index_of(tx, mount), &id)
}

fn index_of(tx: &Tx<'_>, mount: u64) -> Key {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), OUTWARD_EXPIRY);
    tx.id_key(&table, &mount.to_be_bytes())
}

/// A row whose time has come.
#[derive(Clone)]
struct DueLease {
    key: Key,
    namespace: u64,
    /// What the row is known by while it is in hand.
    handle: String,
    lease_id: String,
}

/// One of the leases of a mount that are in hand, until dropped.
struct InHand {
    mount: u64,
    counts: Arc<Mutex<HashMap<u64, usize>>>,
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.mount) {
            *count = count.saturating_sub(1);
        }
    }
}

impl Outbox {
    fn in_hand(&self, mount: u64) -> usize {
        self.in_hand.lock().get(&mount).copied().unwrap_or(0)
    }

    fn take_in_hand(&self, mount: u64) -> InHand {
        *self.in_hand.lock().entry(mount).or_default() += 1;
        InHand { mount, counts: self.in_hand.clone() }
    }
}

impl Kernel {
    /// Begins to take back what was handed out by mounts that act outside; says when the next is due.
    pub(crate) fn end_outward_leases(
        self: &Arc<Self>,
        open: &Open,
        now: Timestamp,
        budget: usize,
    ) -> Result<Option<Duration>, Error> {
        let mut soonest: Option<Duration> = None;
        let namespaces = open.topology.namespaces();
        let mounts = namespaces.flat_map(|namespace| namespace.mounts.values().chain(&namespace.retiring));
        for mount in mounts.filter(|mount| mount.backend.revoke_outward.is_some()) {
            let next = self.end_leases_of(open, mount, now, budget)?;
            soonest = [soonest, next].into_iter().flatten().min();
        }
        Ok(soonest)
    }

    /// The same for one mount. What is in hand goes on by itself, and takes the next in hand when it is done.
    fn end_leases_of(
        self: &Arc<Self>,
        open: &Open,
        mount: &Arc<Mount>,
        now: Timestamp,
        budget: usize,
    ) -> Result<Option<Duration>, Error> {
        let id = mount.record.id;
        let in_hand = self.outbox.in_hand(id);
        if in_hand > IN_HAND_MAX / 2 {
            return Ok(None);
        }
        let room = (IN_HAND_MAX - in_hand).min(budget);
        let is_free = |handle: &str| !self.outbox.is_held(handle);
        let (rows, next) = due(&mut self.begin(&open.keys, Access::Read)?, id, now, room, &is_free)?;
        let mut is_full = false;
        for row in rows {
            let Some(held) = self.outbox.hold(&row.handle) else { continue };
            if !self.send_out(self.ending(mount, row, held)) {
                is_full = true;
                break;
            }
        }
        if is_full || self.outward.has_threads() && next.is_some_and(|next| next <= now) {
            return Ok(None);
        }
        Ok(next.map(|at| at.since(now)))
    }

    fn ending(&self, mount: &Arc<Mount>, row: DueLease, held: Held) -> Mission {
        let in_hand = self.outbox.take_in_hand(mount.record.id);
        // The lease may be renewed, or gone, when it is looked at: then it is not the backend that has answered.
        let is_taken_back = Arc::new(AtomicBool::new(false));
        let (for_prepare, for_finish, for_failure) = (row.clone(), row.clone(), row);
        let (was_taken_back, again) = (is_taken_back.clone(), mount.clone());
        Mission {
            mount: mount.clone(),
            held,
            preparing: Preparing::Looks,
            prepare: Box::new(move |call| {
                let lease = leases::read(&mut call.tx, for_prepare.namespace, &for_prepare.lease_id)?;
                let is_over = |lease: &LeaseRecord| lease.expires <= call.now && !lease.is_irrevocable();
                let Some(lease) = lease.filter(is_over) else { return Ok(Outward::nothing()) };
                let outward = take_back(call, &lease)?;
                is_taken_back.store(true, Ordering::Relaxed);
                Ok(outward)
            }),
            finish: Box::new(move |call| {
                close(&mut call.tx, &for_finish, call.now, was_taken_back.load(Ordering::Relaxed))
            }),
            fail: Box::new(move |call, error| note_failure(&mut call.tx, &for_failure, error, call.now)),
            then: Box::new(move |kernel| {
                drop(in_hand);
                kernel.go_on_ending(&again);
            }),
        }
    }

    /// Takes the next leases of a mount in hand.
    fn go_on_ending(self: &Arc<Self>, mount: &Arc<Mount>) {
        if !self.outward.has_threads() {
            return;
        }
        let Ok(open) = self.opened() else { return };
        if let Err(error) = self.end_leases_of(&open, mount, self.now(), IN_HAND_MAX) {
            tracing::warn!(?error, "leases that have ended wait for the next round");
        }
    }
}

/// The first rows whose time has come and that nobody has in hand; and the time of the next.
fn due(
    tx: &mut Tx<'_>,
    mount: u64,
    now: Timestamp,
    limit: usize,
    is_free: &dyn Fn(&str) -> bool,
) -> Result<(Vec<DueLease>, Option<Timestamp>), Error> {
    let index = index_of(tx, mount);
    let mut found = Vec::new();
    let mut next = None;
    tx.entries(&index, &mut |rest, value| {
        let parsed = rest.split_first_chunk::<8>().and_then(|(at, rest)| {
            let at = i64::try_from(u64::from_be_bytes(*at)).ok()?;
            let (namespace, row) = rest.split_first_chunk::<8>()?;
            Some((Timestamp::from_nanoseconds(at), u64::from_be_bytes(*namespace), row))
        });
        let Some((at, namespace, row)) = parsed else {
            return Err(Error::internal("a row of the index of leases has another length"));
        };
        if at > now || found.len() >= limit {
            next = Some(at);
            return Ok(ControlFlow::Break(()));
        }
        let handle = handle(row);
        if is_free(&handle) {
            found.push((rest.to_vec(), namespace, handle, String::from_utf8_lossy(value).into_owned()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let rows = found.into_iter().map(|(rest, namespace, handle, lease_id)| DueLease {
        key: tx.entry_key(&index, &rest),
        namespace,
        handle,
        lease_id,
    });
    Ok((rows.collect(), next))
}

/// What the row of a lease is known by while it is in hand.
fn handle(row: &[u8]) -> String {
    format!("lease {}", hex::encode(row))
}

fn take_back(call: &mut Call<'_>, lease: &LeaseRecord) -> Result<Outward, Error> {
    match call.mount.backend.revoke_outward {
        Some(revoke) => revoke(call, lease),
        None => Ok(Outward::nothing()),
    }
}

/// Removes the row that came up, and the lease if it was taken back.
fn close(tx: &mut Tx<'_>, row: &DueLease, now: Timestamp, is_taken_back: bool) -> Result<(), Error> {
    tx.delete(&row.key)?;
    let Some(lease) = leases::read(tx, row.namespace, &row.lease_id)? else { return Ok(()) };
    if is_taken_back {
        return leases::remove(tx, &lease);
    }
    // It was renewed: its row moves to its present end.
    match lease.expires > now {
        true => leases::index_end(tx, &lease),
        // Between the look and this its time has come.
        false if !lease.is_irrevocable() => leases::index_again(tx, &lease, now),
        false => Ok(()),
    }
}

fn note_failure(tx: &mut Tx<'_>, row: &DueLease, error: &Error, now: Timestamp) -> Result<(), Error> {
    tx.delete(&row.key)?;
    let Some(lease) = leases::read(tx, row.namespace, &row.lease_id)? else { return Ok(()) };
    let attempt = lease.revocation_failures + 1;
    tracing::warn!(lease = %lease.id, attempt, ?error, "a lease could not be taken back");
    if lease.is_forced {
        tracing::warn!(lease = %lease.id, "it is removed all the same, as it was asked for by force");
        return leases::remove(tx, &lease);
    }
    leases::put_off(tx, lease, now)
}

/// Ends a lease now and takes it back while the caller waits. Whatever comes of that, it has ended: the expirer, which
/// keeps off for as long as the errand is under way here, takes it back otherwise, after a crash too.
pub(crate) fn end_outward_lease(call: &mut Call<'_>, lease: &LeaseRecord) -> Result<Outward, Error> {
    // The expirer may have it in hand already: to take it back twice does no harm.
    let held = call.kernel.outbox.hold(&handle(&leases::lease_row(&call.tx, &lease.id)));
    leases::end_anew(&mut call.tx, lease.clone(), call.now)?;
    let (namespace, mount) = (lease.namespace, lease.mount);
    let taken = call.at_mount(namespace, mount, |call| take_back(call, lease));
    let id = lease.id.clone();
    let remove = move |call: &mut Call<'_>| match leases::read(&mut call.tx, namespace, &id)? {
        Some(lease) => leases::remove(&mut call.tx, &lease),
        None => Ok(()),
    };
    let Some(Outward::Errand(errand)) = taken.transpose()? else {
        return remove(call).map(|()| Outward::nothing());
    };
    Ok(Outward::Errand(errand.at_mount(namespace, mount).then(move |call, _| {
        // Dropped with the errand.
        let _held = &held;
        remove(call).map(|()| Response::default())
    })))
}

/// Brings a renewal's new end to where the lease's subject is, and then saves the lease.
pub(crate) fn extend_outward_lease(
    call: &mut Call<'_>,
    lease: &LeaseRecord,
    renewed: LeaseRecord,
    answer: impl Fn() -> Response + Send + Sync + 'static,
) -> Result<Option<Outward>, Error> {
    let (namespace, mount, end) = (lease.namespace, lease.mount, renewed.expires);
    let extended = call.at_mount(namespace, mount, |call| match call.mount.backend.extend_outward {
        Some(extend) => extend(call, lease, end),
        None => Ok(Outward::nothing()),
    });
    let Some(Outward::Errand(errand)) = extended.transpose()? else { return Ok(None) };
    let old_end = lease.expires;
    Ok(Some(Outward::Errand(errand.at_mount(namespace, mount).then(move |call, _| {
        let stored = leases::read(&mut call.tx, namespace, &renewed.id)?;
        if stored.is_none_or(|stored| stored.expires <= call.now || stored.expires != old_end) {
            return Err(Error::invalid("the lease ended, or was changed, while it was renewed"));
        }
        grants::save_renewed(&mut call.tx, &renewed, old_end)?;
        Ok(answer())
    }))))
}
