//! What ends by itself: the time-ordered index is worked off in small commits, so that a storm of expiries holds up no
//! request. A token or lease whose time has come is refused at once, whether or not its row has been worked off.

use crate::backend::Tidied;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::grants;
use crate::kernel::{Kernel, Open};
use crate::leases::{self, LeaseRecord};
use crate::mounts::{self, Mount};
use crate::request::{Body, Client, Fields, Operation, Request};
use crate::tokens::{self, Children, Due, ExpiryKind, TokenRow};
use crate::transaction::{Intent, Tx};
use std::sync::Arc;
use std::time::Duration;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::{RequestPath, Timestamp};
use strongroom_storage::{CommitError, Transaction};

/// Tokens that end in one commit.
const TOKENS_PER_COMMIT: usize = 32;
/// Leases whose commits are under way together.
const LEASES_AT_ONCE: usize = 32;
const ATTEMPTS_MAX: u32 = 4;
/// When a row that cannot be worked off is looked at again.
const SET_ASIDE: Duration = Duration::from_secs(300);
/// How often mounts are asked to tidy up.
const TIDY_INTERVAL: Duration = Duration::from_secs(300);

/// When mounts are asked next to tidy up, and which of them still have work from the last time.
#[derive(Default)]
pub(crate) struct Housekeeping {
    next_tidy: Duration,
    waiting: Vec<(u64, u64)>,
}

impl Kernel {
    /// Works off up to `budget` rows whose time has come, and a piece of what mounts have to tidy up. Says how long it
    /// is until the next row's time: zero if there is more to do now, None if nothing is going to end. Rows may be
    /// added meanwhile: do not wait for longer than a second or so.
    pub fn expire_due(self: &Arc<Self>, budget: usize) -> Result<Option<Duration>, Error> {
        let Ok(open) = self.opened() else { return Ok(None) };
        let now = self.now();
        let (rows, _) = tokens::due(&mut self.begin(&open.keys, Intent::Read)?, now, budget)?;
        let (ending, handed_out): (Vec<Due>, Vec<Due>) =
            rows.into_iter().partition(|due| due.kind == ExpiryKind::Token);
        let mut is_done = true;
        for batch in ending.chunks(TOKENS_PER_COMMIT) {
            is_done &= self.expire_tokens(&open, batch, now)?;
        }
        for batch in handed_out.chunks(LEASES_AT_ONCE) {
            is_done &= self.expire_leases(&open, batch, now)?;
        }
        is_done &= self.tidy_a_mount(&open, now)?;
        let next_outward = self.end_outward_leases(&open, now, budget)?;
        if !is_done {
            return Ok(Some(Duration::ZERO));
        }
        // Renewed entries have new rows by now.
        let (_, next) = tokens::due(&mut self.begin(&open.keys, Intent::Read)?, now, 0)?;
        Ok([next.map(|at| at.since(now)), next_outward].into_iter().flatten().min())
    }

    /// Ends the tokens of a batch in one commit; false if others were always quicker, and it is to be tried again.
    fn expire_tokens(self: &Arc<Self>, open: &Open, batch: &[Due], now: Timestamp) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (transaction, effects) = match (self.end_tokens(open, batch, now), batch) {
                (Ok(change), _) => change,
                (Err(error), [due]) => self.set_aside(open, due, now, &error)?,
                // One of them is at fault: each for itself, then.
                (Err(_), several) => {
                    let mut is_done = true;
                    for due in several {
                        is_done &= self.expire_tokens(open, std::slice::from_ref(due), now)?;
                    }
                    return Ok(is_done);
                }
            };
            match self.commit_blocking(transaction, effects) {
                Ok(_) => return Ok(true),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    fn end_tokens(&self, open: &Open, batch: &[Due], now: Timestamp) -> Result<Change, Error> {
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        for due in batch {
            expire_token(self, &mut tx, due, now)?;
        }
        Ok(tx.finish(self.entropy()))
    }

    /// Moves a row that cannot be worked off to a later time, so that it does not hold up the others.
    fn set_aside(&self, open: &Open, due: &Due, now: Timestamp, why: &Error) -> Result<Change, Error> {
        tracing::error!(error = ?why, "something that has come to its end cannot be ended: it is tried again later");
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        tx.delete(&due.key)?;
        let key = tokens::expiry_key(&tx, now.plus(SET_ASIDE), due.kind, due.namespace, &due.row);
        tx.put(&key, due.value.clone())?;
        Ok(tx.finish(self.entropy()))
    }

    /// Takes back what was handed out: each lease in a commit of its own, their waits together.
    fn expire_leases(self: &Arc<Self>, open: &Open, batch: &[Due], now: Timestamp) -> Result<bool, Error> {
        let mut under_way = Vec::with_capacity(batch.len());
        for due in batch {
            let (transaction, effects) = match self.expire_lease(open, due, now) {
                Ok(change) => change,
                Err(error) => self.set_aside(open, due, now, &error)?,
            };
            under_way.push(self.submit(transaction, effects));
        }
        let mut is_done = true;
        for commit in under_way {
            match commit.recv().unwrap_or(Err(CommitError::Closed)) {
                Ok(_) => {}
                Err(CommitError::Conflict) => is_done = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(is_done)
    }

    /// What is to be committed for a lease whose row has come up. Its engine acts first: should the commit be lost, it
    /// acts again, and engines allow for that.
    fn expire_lease(&self, open: &Open, due: &Due, now: Timestamp) -> Result<Change, Error> {
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        tx.delete(&due.key)?;
        let id = String::from_utf8_lossy(&due.value).into_owned();
        let Some(lease) = leases::read(&mut tx, due.namespace, &id)? else {
            return Ok(tx.finish(self.entropy()));
        };
        if lease.expires > now {
            leases::index_end(&mut tx, &lease)?;
            return Ok(tx.finish(self.entropy()));
        }
        if lease.is_irrevocable() {
            return Ok(tx.finish(self.entropy()));
        }
        let failure = match self.end_lease(open, tx, &lease, now) {
            Ok(change) => return Ok(change),
            Err(failure) => failure,
        };
        let attempt = lease.revocation_failures + 1;
        tracing::warn!(lease = %lease.id, attempt, error = ?failure, "a lease could not be taken back");
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        tx.delete(&due.key)?;
        leases::put_off(&mut tx, lease, now)?;
        Ok(tx.finish(self.entropy()))
    }

    /// Lets the engine take back what was handed out, and removes the lease.
    fn end_lease(
        &self,
        open: &Open,
        mut tx: Tx<'_>,
        lease: &LeaseRecord,
        now: Timestamp,
    ) -> Result<Change, Error> {
        if let Some(mount) = mounts::by_id(&open.topology, lease.namespace, lease.mount) {
            let ((), change) = self.speak_for(open, tx, mount, now, |call| {
                if let Some(revoke) = call.mount.backend.revoke {
                    revoke(call, lease)?;
                }
                leases::remove(&mut call.tx, lease)
            })?;
            return Ok(change);
        }
        let table = mounts::read_table(&mut tx, lease.namespace)?;
        if table.mounts.iter().any(|record| record.id == lease.mount) {
            return Err(Error::internal("this program has no backend for the lease's mount"));
        }
        leases::remove(&mut tx, lease)?;
        Ok(tx.finish(self.entropy()))
    }

    /// Calls into a mount without anybody having asked.
    pub(crate) fn speak_for<T>(
        &self,
        open: &Open,
        tx: Tx<'_>,
        mount: Arc<Mount>,
        now: Timestamp,
        act: impl FnOnce(&mut Call<'_>) -> Result<T, Error>,
    ) -> Result<(T, Change), Error> {
        let gone = || Error::internal("a mount without a namespace");
        let namespace = open.topology.namespace_by_id(mount.namespace).ok_or_else(gone)?;
        let path = RequestPath::parse(mount.path())?;
        let request = Request {
            id: uuid_v4(self.entropy()),
            operation: Operation::Write,
            namespace: namespace.path().clone(),
            path: path.clone(),
            fields: Fields::default(),
            body: Body::default(),
            token: None,
            basic: None,
            wrap_ttl: None,
            client: Client::default(),
            headers: Vec::new(),
        };
        let mut call = Call {
            kernel: self,
            tx,
            request: &request,
            topology: &open.topology,
            namespace,
            mount,
            path: &path,
            captures: Vec::new(),
            caller: None,
            now,
        };
        let result = act(&mut call)?;
        Ok((result, call.tx.finish(self.entropy())))
    }

    /// Lets one mount do a piece of its regular work; false if some of it is left.
    fn tidy_a_mount(self: &Arc<Self>, open: &Open, now: Timestamp) -> Result<bool, Error> {
        let Some((namespace, id)) = self.next_to_tidy(open) else { return Ok(true) };
        let mount = mounts::by_id(&open.topology, namespace, id);
        let Some((mount, tidy)) = mount.and_then(|mount| mount.backend.tidy.map(|tidy| (mount, tidy))) else {
            return Ok(false);
        };
        let tx = self.begin(&open.keys, Intent::Write)?;
        let (tidied, (transaction, effects)) = self.speak_for(open, tx, mount, now, tidy)?;
        if !transaction.writes.is_empty() {
            match self.commit_blocking(transaction, effects) {
                Ok(_) | Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut housekeeping = self.housekeeping.lock();
        if tidied == Tidied::More {
            housekeeping.waiting.push((namespace, id));
        }
        Ok(housekeeping.waiting.is_empty())
    }

    fn next_to_tidy(&self, open: &Open) -> Option<(u64, u64)> {
        let mut housekeeping = self.housekeeping.lock();
        let uptime = self.clock.monotonic();
        if uptime >= housekeeping.next_tidy {
            housekeeping.next_tidy = uptime + TIDY_INTERVAL;
            housekeeping.waiting = open
                .topology
                .namespaces()
                .flat_map(|namespace| namespace.mounts.values())
                .filter(|mount| mount.backend.tidy.is_some())
                .map(|mount| (mount.namespace, mount.record.id))
                .collect();
        }
        housekeeping.waiting.pop()
    }
}

/// Encrypted writes and what follows from them.
pub(crate) type Change = (Transaction, Vec<Effect>);

fn expire_token(kernel: &Kernel, tx: &mut Tx<'_>, due: &Due, now: Timestamp) -> Result<(), Error> {
    tx.delete(&due.key)?;
    let row = TokenRow(due.row);
    let Some(entry) = tokens::read(tx, due.namespace, row)? else { return Ok(()) };
    match entry.expires {
        // It was renewed: its row moves to its present end.
        Some(expires) if expires > now => {
            let key = tokens::expiry_key(tx, expires, ExpiryKind::Token, due.namespace, &due.row);
            tx.put(&key, Vec::new())
        }
        Some(_) => grants::revoke_token(kernel, tx, due.namespace, row, Children::Revoke).map(drop),
        None => Ok(()),
    }
}
