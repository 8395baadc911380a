//! The walk of a request that does something outside: its record, its intent, its action, its conclusion, its answer.

use super::{Conclusion, Errand, Failure, Held, store};
use crate::audit::About;
use crate::audit_trail::{self, Walked};
use crate::call::Call;
use crate::caller::Caller;
use crate::effect::Effect;
use crate::error::{Error, ErrorKind};
use crate::grants;
use crate::kernel::{Committed, Kernel};
use crate::mounts;
use crate::pipeline::{ATTEMPTS_MAX, Routed};
use crate::request::{Request, Response};
use crate::tokens;
use crate::transaction::{Intent as Access, Tx};
use crate::wrapping;
use std::sync::Arc;
use strongroom_crypto::token::uuid_v4;
use strongroom_storage::{CommitError, Transaction};

/// An errand whose intent is written in a transaction that is still to be committed.
pub(crate) struct Preparation {
    errand: Errand,
    held: Option<Held>,
}

impl Preparation {
    pub(crate) fn new(call: &mut Call<'_>, mut errand: Errand) -> Result<Self, Error> {
        let Some(draft) = errand.intent.take() else { return Ok(Self { errand, held: None }) };
        let outbox = &call.kernel.outbox;
        let intent = store::Intent {
            id: uuid_v4(call.entropy()),
            namespace: call.namespace.id(),
            mount: call.mount.record.id,
            kind: draft.kind.to_owned(),
            subject: draft.subject,
            payload: draft.payload,
            made: call.now,
            incarnation: outbox.incarnation.clone(),
            attempts: 0,
            next_attempt: call.now,
            last_error: String::new(),
        };
        let held =
            outbox.hold(&intent.id).ok_or_else(|| Error::internal("an intent's id was drawn twice"))?;
        store::save(&mut call.tx, &intent)?;
        Ok(Self { errand, held: Some(held) })
    }
}

/// A request between its first transaction and its answer.
struct Outing<'o> {
    routed: &'o Routed,
    request: &'o Request,
    caller: Option<Arc<Caller>>,
    about: &'o mut Recorded,
}

/// How far audit has come with a request, over all attempts at it.
#[derive(Default)]
pub(crate) struct Recorded {
    about: About,
    is_request_recorded: bool,
}

impl Kernel {
    /// Does what was prepared. None: its first transaction lost against another, and nothing was done.
    pub(crate) async fn go_out(
        self: &Arc<Self>,
        (routed, request): (&Routed, &Request),
        caller: Option<Arc<Caller>>,
        preparation: Preparation,
        commit: Option<(Transaction, Vec<Effect>)>,
        recorded: &mut Recorded,
    ) -> Option<Result<Response, Error>> {
        let Preparation { errand, held } = preparation;
        let mut outing = Outing { routed, request, caller, about: recorded };
        if let Err(error) = self.record_request(&mut outing).await {
            return Some(Err(error));
        }
        if let Some((transaction, effects)) = commit {
            match self.submit(transaction, effects).await.unwrap_or(Err(CommitError::Closed)) {
                Ok(_) => {}
                Err(CommitError::Conflict) => return None,
                Err(error) => return Some(self.answer_failure(&mut outing, error.into()).await),
            }
        }
        let lane = (routed.mount.record.id, errand.lane);
        let outcome = self.outward.run(lane, errand.time_limit, errand.action, held.clone()).await;
        Some(match outcome {
            Ok(conclusion) => self.conclude(&mut outing, held.as_ref(), &conclusion).await,
            Err(failure) => {
                if let (Failure::Untouched(_), Some(held)) = (&failure, &held) {
                    self.forget_intent(held).await;
                }
                self.answer_failure(&mut outing, failure.into_error()).await
            }
        })
    }

    /// Nothing is begun before its record is written: what is done outside cannot be taken back by not committing it.
    async fn record_request(&self, outing: &mut Outing<'_>) -> Result<(), Error> {
        if outing.about.is_request_recorded {
            return Ok(());
        }
        let Outing { routed, request, caller, about } = outing;
        let walked = Walked { routed, request, caller: caller.as_deref() };
        let receipt = self.audit_request(&walked, None, &mut about.about)?;
        audit_trail::written(receipt, &walked).await?;
        about.is_request_recorded = true;
        Ok(())
    }

    /// Commits the conclusion. A conflict runs it again, and never the action.
    async fn conclude(
        self: &Arc<Self>,
        outing: &mut Outing<'_>,
        held: Option<&Held>,
        conclusion: &Conclusion,
    ) -> Result<Response, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (result, (transaction, effects)) = match self.concluded(outing, held, conclusion) {
                Ok((response, tx)) if tx.is_changed() => (Ok(response), tx.finish(self.entropy())),
                Ok((response, _)) => return self.record_answer(outing, Ok(response)).await,
                Err(error) => return self.answer_failure(outing, error).await,
            };
            let walked =
                Walked { routed: outing.routed, request: outing.request, caller: outing.caller.as_deref() };
            let answer = self.prepare_response(&walked, &result, &mut outing.about.about);
            let outcome = match self.commit_and_record(transaction, effects, answer).await {
                Committed::Recorded { is_written: true } => return result,
                Committed::Recorded { is_written: false } => return Err(self.unwritten(&walked)),
                Committed::Unrecorded(Err(CommitError::Conflict)) => continue,
                Committed::Unrecorded(outcome) => outcome,
            };
            return match outcome {
                Ok(_) => self.record_answer(outing, result).await,
                Err(error) => self.answer_failure(outing, error.into()).await,
            };
        }
        self.answer_failure(outing, CommitError::Conflict.into()).await
    }

    /// One run of the conclusion, with all that stands before and after a handler.
    fn concluded<'k>(
        &'k self,
        outing: &Outing<'k>,
        held: Option<&Held>,
        conclusion: &Conclusion,
    ) -> Result<(Response, Tx<'k>), Error> {
        let Outing { routed, request, .. } = outing;
        let now = self.now();
        let open = self.opened()?;
        let mut tx = self.begin(&open.keys, Access::Write)?;
        if let Some(held) = held {
            let intent = store::read(&mut tx, held.id())?;
            if intent.is_none_or(|intent| intent.attempts > 0) {
                return Err(Error::new(ErrorKind::Unavailable, "it took too long and is being undone"));
            }
            store::forget(&mut tx, held.id())?;
        }
        self.require_mount(&mut tx, routed)?;
        let caller = self.caller_of(&mut tx, routed, request, now)?;
        if let Some((caller, row)) = caller.as_deref().and_then(|caller| Some((caller, caller.row?)))
            && (tokens::read(&mut tx, caller.token.namespace, row)?.is_none()
                || tokens::is_cut_off(&mut tx, caller.token.parent)?)
        {
            return Err(Error::denied().with_detail("the token was revoked while something was done for it"));
        }
        let mut call = Call {
            kernel: self,
            tx,
            request,
            topology: &routed.open.topology,
            namespace: &routed.namespace,
            mount: routed.mount.clone(),
            path: &routed.path,
            captures: routed.captures.clone(),
            caller,
            now,
        };
        let mut response = conclusion(&mut call)?;
        response.mount_type.clone_from(&routed.mount.record.kind);
        grants::fulfil(&mut call, &mut response)?;
        wrapping::wrap_if_asked(&mut call, &mut response)?;
        if let Some(caller) = call.caller.clone() {
            self.count_use(&mut call.tx, &caller)?;
        }
        Ok((response, call.tx))
    }

    /// The mount may have been disabled meanwhile: nothing is written there any longer.
    fn require_mount(&self, tx: &mut Tx<'_>, routed: &Routed) -> Result<(), Error> {
        let (namespace, id) = (routed.mount.namespace, routed.mount.record.id);
        let table = mounts::read_table(tx, namespace)?;
        match table.live().any(|mount| mount.id == id) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::NotFound, "the mount was disabled meanwhile")),
        }
    }

    /// Nothing was done: the intent goes. If it cannot, undoing finds nothing to be done.
    async fn forget_intent(self: &Arc<Self>, held: &Held) {
        let change = self.opened().and_then(|open| {
            let mut tx = self.begin(&open.keys, Access::Write)?;
            store::forget(&mut tx, held.id())?;
            Ok(tx.finish(self.entropy()))
        });
        let Ok((transaction, effects)) = change else { return };
        if let Ok(Err(error)) = self.submit(transaction, effects).await {
            tracing::warn!(%error, "the intent of something that was not done stays for now");
        }
    }

    /// Records and gives a refusal. A use of a token is a use.
    async fn answer_failure(
        self: &Arc<Self>,
        outing: &mut Outing<'_>,
        error: Error,
    ) -> Result<Response, Error> {
        if let Some((transaction, effects)) =
            outing.caller.as_deref().and_then(|caller| self.spend_use(caller))
        {
            // The refusal stands whatever becomes of it.
            drop(self.submit(transaction, effects).await);
        }
        self.record_answer(outing, Err(error)).await
    }

    async fn record_answer(
        &self,
        outing: &mut Outing<'_>,
        result: Result<Response, Error>,
    ) -> Result<Response, Error> {
        let Outing { routed, request, caller, about } = outing;
        let walked = Walked { routed, request, caller: caller.as_deref() };
        let receipt = self.audit_response(&walked, &result, &mut about.about);
        audit_trail::written(receipt, &walked).await.and(result)
    }
}
