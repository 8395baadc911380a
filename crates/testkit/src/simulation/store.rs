//! A store whose commits wait until the scheduler lets them happen, in whatever order it likes.

use parking_lot::Mutex;
use std::sync::Arc;
use strongroom_storage::memory::{Call, Fault, MemoryStorage};
use strongroom_storage::{
    CommitError, CommitIndex, Completion, Entries, Snapshot, Storage, StorageError, Transaction,
};

pub(super) struct QueueStorage {
    inner: MemoryStorage,
    plan: Arc<Mutex<Plan>>,
    queue: Mutex<Queue>,
}

/// What goes wrong next.
#[derive(Default)]
struct Plan {
    submit: Option<Fault>,
    /// A read, scan or snapshot fails after so many others.
    reads_until_fault: Option<u32>,
    /// A direct commit crashes the store after so many others.
    submits_until_crash: Option<u32>,
    has_fired: bool,
}

#[derive(Default)]
struct Queue {
    /// Commits happen at once: for callers that wait for them on this very thread.
    is_direct: bool,
    waiting: Option<(Transaction, Completion)>,
}

/// A transaction that was submitted and has not happened.
pub(super) struct Waiting {
    transaction: Transaction,
    done: Completion,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    Conflict,
    /// The caller is told that it did not happen.
    Refused,
    /// The caller is told that it happened.
    Acknowledged,
    /// The caller is not told, and it did not happen.
    Lost,
    /// The caller is not told, but it happened.
    Hidden,
}

impl QueueStorage {
    pub(super) fn new() -> Self {
        Self::over(MemoryStorage::new())
    }

    fn over(inner: MemoryStorage) -> Self {
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = plan.clone();
        inner.set_faults(Some(Box::new(move |call| shared.lock().decide(call))));
        Self { inner, plan, queue: Mutex::default() }
    }

    /// What a restart finds.
    pub(super) fn recover(&self) -> Self {
        Self::over(self.inner.recover(None))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    pub(super) fn set_direct(&self, is_direct: bool) {
        self.queue.lock().is_direct = is_direct;
    }

    /// The next read but so many fails; None ends that. Says whether a fault has fired since the last call.
    pub(super) fn arm_reads(&self, reads: Option<u32>) -> bool {
        let mut plan = self.plan.lock();
        plan.reads_until_fault = reads;
        std::mem::take(&mut plan.has_fired)
    }

    pub(super) fn arm_crash(&self, submits: Option<u32>) {
        self.plan.lock().submits_until_crash = submits;
    }

    /// What has been submitted since the last call.
    pub(super) fn take_submitted(&self) -> Option<Waiting> {
        self.queue.lock().waiting.take().map(|(transaction, done)| Waiting { transaction, done })
    }

    /// Lets a commit happen, with a fault or without.
    pub(super) fn apply(&self, waiting: Waiting, fault: Fault) -> Commit {
        self.plan.lock().submit = Some(fault);
        let told = Arc::new(Mutex::new(Commit::Refused));
        let tell = told.clone();
        let done = waiting.done;
        let watched: Completion = Box::new(move |outcome| {
            *tell.lock() = match (&outcome, fault) {
                (Ok(_), _) => Commit::Acknowledged,
                (Err(CommitError::Conflict), _) => Commit::Conflict,
                (Err(CommitError::Unknown(_)), Fault::UnknownApplied | Fault::CrashAfter) => Commit::Hidden,
                (Err(CommitError::Unknown(_)), _) => Commit::Lost,
                (Err(_), _) => Commit::Refused,
            };
            done(outcome);
        });
        self.inner.submit(waiting.transaction, watched);
        self.plan.lock().submit = None;
        *told.lock()
    }
}

impl Plan {
    fn decide(&mut self, call: Call) -> Fault {
        let (left, fault) = match call {
            Call::Submit if self.submit.is_some() => return self.submit.unwrap_or(Fault::Nothing),
            Call::Submit => (&mut self.submits_until_crash, Fault::CrashAfter),
            _ => (&mut self.reads_until_fault, Fault::Error),
        };
        match left {
            None => Fault::Nothing,
            Some(0) => {
                *left = None;
                self.has_fired = true;
                fault
            }
            Some(count) => {
                *count -= 1;
                Fault::Nothing
            }
        }
    }
}

impl Storage for QueueStorage {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StorageError> {
        self.inner.snapshot()
    }

    fn submit(&self, transaction: Transaction, done: Completion) {
        let mut queue = self.queue.lock();
        if queue.is_direct {
            drop(queue);
            return self.inner.submit(transaction, done);
        }
        assert!(queue.waiting.is_none(), "one poll of a request submits one transaction at most");
        queue.waiting = Some((transaction, done));
    }

    fn replace(&self, above: CommitIndex, entries: &mut Entries<'_>) -> Result<CommitIndex, StorageError> {
        self.inner.replace(above, entries)
    }
}
