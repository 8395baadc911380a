//! Errands that nobody waits for: what maintenance sends out, and what comes of them.

use super::pool::LaneOfMount;
use super::{Errand, Held, Outward};
use crate::call::Call;
use crate::error::Error;
use crate::expirer::Change;
use crate::kernel::{Kernel, Open};
use crate::mounts::Mount;
use crate::transaction::Intent as Access;
use std::sync::Arc;
use strongroom_storage::CommitError;

/// How often a conclusion that lost against another is run again.
const ATTEMPTS_MAX: u32 = 16;

/// What an errand for a mount is about, and what follows.
pub(crate) struct Mission {
    pub mount: Arc<Mount>,
    /// Not to be begun twice.
    pub held: Held,
    pub preparing: Preparing,
    /// Looks at the store and says what is to be done.
    pub prepare: Box<dyn Fn(&mut Call<'_>) -> Result<Outward, Error> + Send>,
    /// In the transaction of the conclusion, after it; or alone, where nothing had to be done outside.
    pub finish: Box<dyn Fn(&mut Call<'_>) -> Result<(), Error> + Send>,
    /// In a transaction of its own, after anything failed.
    pub fail: Box<dyn Fn(&mut Call<'_>, &Error) -> Result<(), Error> + Send>,
    /// At the very end.
    pub then: Box<dyn FnOnce(&Arc<Kernel>) + Send>,
}

/// Whether what is prepared writes something, to be committed before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preparing {
    Looks,
    Writes,
}

impl Kernel {
    /// Begins a mission; false if too many wait already, and nothing was done.
    pub(crate) fn send_out(self: &Arc<Self>, mission: Mission) -> bool {
        match self.prepared(&mission) {
            Ok(Outward::Errand(errand)) => {
                let Errand { lane, time_limit, action, .. } = errand;
                let lane: LaneOfMount = (mission.mount.record.id, lane);
                let (kernel, concluding) = (self.clone(), self.clone());
                let act = move || action(&kernel.outward.deadline(time_limit));
                self.outward.run_in_background(lane, act, move |acted| {
                    let outcome = match acted {
                        Ok(conclusion) => concluding.finish(&mission, &|call| conclusion(call).map(drop)),
                        Err(failure) => Err(failure.into_error()),
                    };
                    concluding.close_mission(mission, outcome);
                })
            }
            Ok(Outward::Answer(_)) => {
                let outcome = self.finish(&mission, &|_| Ok(()));
                self.close_mission(mission, outcome);
                true
            }
            Err(error) => {
                self.close_mission(mission, Err(error));
                true
            }
        }
    }

    fn prepared(self: &Arc<Self>, mission: &Mission) -> Result<Outward, Error> {
        let access = match mission.preparing {
            Preparing::Looks => Access::Read,
            Preparing::Writes => Access::Write,
        };
        for _ in 0..ATTEMPTS_MAX {
            let open = self.opened()?;
            let tx = self.begin(&open.keys, access)?;
            let (outward, (transaction, effects)) =
                self.speak_for(&open, tx, mission.mount.clone(), self.now(), &*mission.prepare)?;
            if transaction.writes.is_empty() {
                return Ok(outward);
            }
            match self.commit_blocking(transaction, effects) {
                Ok(_) => return Ok(outward),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    fn finish(
        self: &Arc<Self>,
        mission: &Mission,
        conclude: &dyn Fn(&mut Call<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.commit_for_mission(|kernel, open| {
            let tx = kernel.begin(&open.keys, Access::Write)?;
            let ((), change) = kernel.speak_for(open, tx, mission.mount.clone(), kernel.now(), |call| {
                conclude(call)?;
                (mission.finish)(call)
            })?;
            Ok(change)
        })
    }

    fn close_mission(self: &Arc<Self>, mission: Mission, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            let noted = self.commit_for_mission(|kernel, open| {
                let tx = kernel.begin(&open.keys, Access::Write)?;
                let ((), change) =
                    kernel.speak_for(open, tx, mission.mount.clone(), kernel.now(), |call| {
                        (mission.fail)(call, &error)
                    })?;
                Ok(change)
            });
            if let Err(also) = noted
                && !self.is_sealed()
            {
                tracing::warn!(error = ?also, "a failure cannot be noted now");
            }
        }
        let Mission { held, then, .. } = mission;
        drop(held);
        then(self);
    }

    fn commit_for_mission(
        self: &Arc<Self>,
        make: impl Fn(&Arc<Self>, &Open) -> Result<Change, Error>,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (transaction, effects) = make(self, &self.opened()?)?;
            match self.commit_blocking(transaction, effects) {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }
}
