//! Intents without their errands: undone by their backends, however often it takes.

use super::background::{Mission, Preparing};
use super::store::{self, Intent};
use super::{Held, Outward};
use crate::error::Error;
use crate::kernel::{Kernel, Open};
use crate::mounts;
use crate::transaction::{Intent as Access, Tx};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use strongroom_secret::Timestamp;
use strongroom_storage::CommitError;

/// Begun in one piece of maintenance.
const BEGUN_AT_ONCE: usize = 32;
/// After the first attempt that failed; then twice as long, and so on.
const RETRY_DELAY: Duration = Duration::from_secs(5);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(3600);
/// What is kept of an error.
const ERROR_BYTES_MAX: usize = 512;

impl Kernel {
    /// Begins to undo what was left unfinished; says when the next of them is due.
    pub(crate) fn settle_outbox(self: &Arc<Self>) -> Result<Option<Duration>, Error> {
        let open = self.opened()?;
        let now = self.now();
        let mut intents = store::all(&mut self.begin(&open.keys, Access::Read)?)?;
        intents.retain(|intent| !self.outbox.is_held(&intent.id));
        self.outbox.pending.store(intents.len() as u64, Ordering::Relaxed);
        let failing = intents.iter().filter(|intent| !intent.last_error.is_empty()).count();
        self.outbox.failing.store(failing as u64, Ordering::Relaxed);
        let (due, later): (Vec<_>, Vec<_>) = intents.into_iter().partition(|intent| is_due(intent, now));
        for intent in due.iter().take(BEGUN_AT_ONCE) {
            self.undo(&open, &intent.id)?;
        }
        let next = later.iter().map(|intent| intent.next_attempt.since(now)).min();
        Ok(if due.len() > BEGUN_AT_ONCE { Some(Duration::ZERO) } else { next })
    }

    /// Begins to undo one intent. From the commit of this attempt on its errand cannot conclude any longer.
    fn undo(self: &Arc<Self>, open: &Open, id: &str) -> Result<(), Error> {
        let Some(held) = self.outbox.hold(id) else { return Ok(()) };
        let mut tx = self.begin(&open.keys, Access::Write)?;
        // It may be concluded, or gone, by now.
        let Some(mut intent) = store::read(&mut tx, id)? else { return Ok(()) };
        let delay = RETRY_DELAY.saturating_mul(2_u32.saturating_pow(intent.attempts.min(16)));
        intent.attempts = intent.attempts.saturating_add(1);
        intent.next_attempt = self.now().plus(delay.min(RETRY_DELAY_MAX));
        store::save(&mut tx, &intent)?;
        let (transaction, effects) = tx.finish(self.entropy());
        match self.commit_blocking(transaction, effects) {
            Ok(_) => {}
            Err(CommitError::Conflict) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.send_to_undo(open, intent, held)
    }

    fn send_to_undo(self: &Arc<Self>, open: &Open, intent: Intent, held: Held) -> Result<(), Error> {
        let Some(mount) = mounts::by_id(&open.topology, intent.namespace, intent.mount) else {
            return self.forget_without_mount(open, &intent);
        };
        let (subject, kind) = (intent.subject.clone(), intent.kind.clone());
        let (for_finish, for_failure) = (intent.id.clone(), intent.clone());
        let mission = Mission {
            mount,
            held,
            preparing: Preparing::Looks,
            prepare: Box::new(move |call| match call.mount.backend.recover {
                Some(recover) => recover(call, &intent),
                None => Err(Error::internal("the backend of an intent cannot undo it")),
            }),
            finish: Box::new(move |call| {
                tracing::info!(%kind, %subject, "what was left unfinished is undone");
                store::forget(&mut call.tx, &for_finish)
            }),
            fail: Box::new(move |call, error| note_failure(&mut call.tx, &for_failure, error)),
            then: Box::new(|_| ()),
        };
        if !self.send_out(mission) {
            tracing::warn!("too much waits for other servers: what was left unfinished is undone later");
        }
        Ok(())
    }

    /// Whatever its mount would have undone, nobody can any longer. A mount that this program does not know stays.
    fn forget_without_mount(self: &Arc<Self>, open: &Open, intent: &Intent) -> Result<(), Error> {
        let mut tx = self.begin(&open.keys, Access::Write)?;
        let table = mounts::read_table(&mut tx, intent.namespace)?;
        if table.mounts.iter().any(|record| record.id == intent.mount) {
            return Err(Error::internal("this program has no backend for the mount of an intent"));
        }
        tracing::error!(kind = %intent.kind, subject = %intent.subject, "the mount of an unfinished intent is gone");
        store::forget(&mut tx, &intent.id)?;
        let (transaction, effects) = tx.finish(self.entropy());
        self.commit_blocking(transaction, effects).map(drop).map_err(Error::from)
    }
}

/// Whether undoing it is to be begun. A clock that went back does not put it off for longer than a retry ever waits.
fn is_due(intent: &Intent, now: Timestamp) -> bool {
    intent.next_attempt <= now || intent.next_attempt.since(now) > RETRY_DELAY_MAX
}

fn note_failure(tx: &mut Tx<'_>, intent: &Intent, error: &Error) -> Result<(), Error> {
    let (kind, subject, attempt) = (&intent.kind, &intent.subject, intent.attempts);
    tracing::warn!(%kind, %subject, attempt, ?error, "what was left unfinished cannot be undone now");
    let Some(mut stored) = store::read(tx, &intent.id)? else { return Ok(()) };
    let text = error.messages.join("; ");
    stored.last_error = text.chars().take(ERROR_BYTES_MAX).collect();
    store::save(tx, &stored)
}

/// Whether something of a mount is still to be undone: what that needs must stay until then.
pub(crate) fn has_intents_of(tx: &mut Tx<'_>, namespace: u64, mount: Option<u64>) -> Result<bool, Error> {
    let of =
        |intent: &Intent| intent.namespace == namespace && mount.is_none_or(|mount| intent.mount == mount);
    Ok(store::all(tx)?.iter().any(of))
}

/// What a backend answers when nothing has to be undone.
impl Outward {
    pub fn nothing() -> Self {
        Self::Answer(crate::request::Response::default())
    }
}
