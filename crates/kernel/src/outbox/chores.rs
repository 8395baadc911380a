//! What mounts have to do outside by themselves when its time comes: passwords that change by a period.

use super::background::{Mission, Preparing};
use super::{Deadline, Held, Outward};
use crate::call::Call;
use crate::error::Error;
use crate::kernel::{Kernel, Open};
use crate::mounts::Mount;
use crate::transaction::Intent as Access;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::Timestamp;

/// Begun in one piece of maintenance, by mount.
const BEGUN_AT_ONCE: usize = 32;

/// Between two looks at whether a chore is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

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
            let handle = handle(mount.record.id, &name);
            let Some(held) = self.outbox.hold(&handle) else { continue };
            let failed = name.clone();
            let (kernel, noted) = (self.clone(), handle.clone());
            let (at_failure, noted_failure) = (self.clone(), handle);
            self.send_out(Mission {
                mount: mount.clone(),
                held,
                preparing: Preparing::Writes,
                prepare: Box::new(move |call| (chores.begin)(call, &name)),
                finish: Box::new(move |_| {
                    kernel.outbox.note_chore(&noted, Ok(()));
                    Ok(())
                }),
                fail: Box::new(move |call, error| {
                    at_failure.outbox.note_chore(&noted_failure, Err(error));
                    (chores.failed)(call, &failed, error)
                }),
                then: Box::new(|_| ()),
            });
        }
        Ok(due.next.map(|at| at.since(now)))
    }
}

impl Call<'_> {
    /// Somebody did what one of the mount's chores would have done: it fails no longer.
    pub fn chore_is_done(&self, name: &str) {
        self.kernel.outbox.note_chore(&handle(self.mount.record.id, name), Ok(()));
    }

    /// Keeps a chore of the mount from being begun, by maintenance or by somebody else, for as long as the hold lives.
    /// None if it is under way.
    pub fn hold_chore(&self, name: &str) -> Option<ChoreHold> {
        let held = self.kernel.outbox.hold(&handle(self.mount.record.id, name))?;
        Some(ChoreHold { _held: held })
    }

    /// For an action that waits for a chore which is under way.
    pub fn watch_chore(&self, name: &str) -> ChoreWatch {
        ChoreWatch { all: self.kernel.outbox.held.clone(), handle: handle(self.mount.record.id, name) }
    }
}

/// A chore is not begun while this lives.
pub struct ChoreHold {
    _held: Held,
}

/// Sees whether a chore is under way.
pub struct ChoreWatch {
    all: Arc<Mutex<HashSet<String>>>,
    handle: String,
}

impl ChoreWatch {
    /// Waits for the end of the chore, or of the time that there is.
    pub fn wait(&self, deadline: &Deadline) {
        while self.all.lock().contains(&self.handle) && !deadline.left().is_zero() {
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }
}

/// What a chore is known by while it is under way.
fn handle(mount: u64, name: &str) -> String {
    format!("chore {mount:016x} {name}")
}
