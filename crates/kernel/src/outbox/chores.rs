//! What mounts have to do outside by themselves when its time comes: passwords that change by a period.

use super::Outward;
use super::background::{Mission, Preparing};
use crate::call::Call;
use crate::error::Error;
use crate::kernel::{Kernel, Open};
use crate::mounts::Mount;
use crate::transaction::Intent as Access;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::Timestamp;

/// Begun in one piece of maintenance, by mount.
const BEGUN_AT_ONCE: usize = 32;

/// A backend's regular work outside the store. Chores are known by names of the backend's own.
pub struct Chores {
    /// Those that are due, the earliest first, up to a number; and when the next one is. On a snapshot.
    pub due: fn(&mut Call<'_>, usize) -> Result<DueChores, Error>,
    /// Begins one. What it writes is committed before its errand acts, and it may be begun again at any time: after a
    /// crash it goes on from what is written.
    pub begin: fn(&mut Call<'_>, &str) -> Result<Outward, Error>,
    /// Notes a failure, and when to try again.
    pub failed: fn(&mut Call<'_>, &str, &Error) -> Result<(), Error>,
}

#[derive(Debug, Default)]
pub struct DueChores {
    pub names: Vec<String>,
    pub next: Option<Timestamp>,
}

impl Kernel {
    /// Begins the chores that are due; says when the next one is.
    pub(crate) fn do_chores(self: &Arc<Self>) -> Result<Option<Duration>, Error> {
        let open = self.opened()?;
        let mut soonest: Option<Duration> = None;
        let mounts = open.topology.namespaces().flat_map(|namespace| namespace.mounts.values());
        for (mount, chores) in mounts.filter_map(|mount| Some((mount, mount.backend.chores?))) {
            let next = self.do_chores_of(&open, mount, chores)?;
            soonest = [soonest, next].into_iter().flatten().min();
        }
        Ok(soonest)
    }

    fn do_chores_of(
        self: &Arc<Self>,
        open: &Open,
        mount: &Arc<Mount>,
        chores: &'static Chores,
    ) -> Result<Option<Duration>, Error> {
        let now = self.now();
        let tx = self.begin(&open.keys, Access::Read)?;
        let (due, _) =
            self.speak_for(open, tx, mount.clone(), now, |call| (chores.due)(call, BEGUN_AT_ONCE))?;
        for name in due.names {
            let handle = format!("chore {:016x} {name}", mount.record.id);
            let Some(held) = self.outbox.hold(&handle) else { continue };
            let failed = name.clone();
            self.send_out(Mission {
                mount: mount.clone(),
                held,
                preparing: Preparing::Writes,
                prepare: Box::new(move |call| (chores.begin)(call, &name)),
                finish: Box::new(|_| Ok(())),
                fail: Box::new(move |call, error| (chores.failed)(call, &failed, error)),
                then: Box::new(|_| ()),
            });
        }
        Ok(due.next.map(|at| at.since(now)))
    }
}
