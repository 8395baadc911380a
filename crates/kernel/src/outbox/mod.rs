//! Effects outside the store: an account in a database, a call to another server. A handler is a transaction that may run
//! more than once, so it does nothing outside itself. It answers with an [`Errand`] instead:
//!
//! 1. the handler's transaction is committed, with an **intent** in it that says what is about to happen;
//! 2. the errand's action runs without a transaction, on threads that may wait, within a time limit;
//! 3. what it comes to, the **conclusion**, runs in a second transaction, which removes the intent.
//!
//! An intent that is found without its errand is one whose action or conclusion failed, or whose process died: its backend
//! is asked to undo what may have happened (`Backend::recover`), again and again until it can. So an effect without its
//! record does not last, and there is never a record without its effect.

mod background;
mod chores;
mod leases;
mod pool;
mod recovery;
mod serve;
mod store;

pub use chores::{ChoreHold, ChoreWatch, Chores, DueChores};
pub(crate) use leases::{end_outward_lease, extend_outward_lease, outward_expiry_key};
pub(crate) use pool::{OutwardPool, OutwardSettings};
pub(crate) use recovery::has_intents_of;
pub(crate) use serve::{Preparation, Recorded};
pub use store::{Intent, IntentDraft};
pub(crate) use store::{all, forget, read, save};

use crate::call::Call;
use crate::error::Error;
use crate::request::Response;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use strongroom_secret::Clock;

/// What a handler of `Run::Outward`, and what the kernel asks of a backend beside it, comes to.
pub enum Outward {
    /// Nothing outside is concerned: this is the answer, of the handler's own transaction.
    Answer(Response),
    Errand(Errand),
}

/// A handler that may have to do something outside.
pub type OutwardHandler = fn(&mut Call<'_>) -> Result<Outward, Error>;

/// Something to be done outside the store.
pub struct Errand {
    /// Committed with the handler's own writes before anything is done. None where the store knows already what may
    /// have to be undone (a lease that ends), or nothing would have to be (a look at a peer).
    pub intent: Option<IntentDraft>,
    pub lane: Lane,
    /// For waiting and acting together. The action has to end by itself at its deadline; the caller is not kept longer.
    pub time_limit: Duration,
    pub action: Action,
}

/// What is waited for: a peer that hangs holds up its own lane alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lane {
    /// Within the mount: the name of the peer.
    pub name: String,
    /// Errands of this lane at once; at the most [`LANE_WIDTH_MAX`].
    pub width: usize,
}

/// Errands of one lane at once.
pub const LANE_WIDTH_MAX: usize = 16;

/// Acts. It gets a deadline, and what it answers is committed, or made undone.
pub type Action = Box<dyn FnOnce(&Deadline) -> Result<Conclusion, Failure> + Send>;

/// What is written, and answered, once the action has succeeded. A handler in every respect: it may run more than once,
/// and may ask for a lease.
pub type Conclusion = Box<dyn Fn(&mut Call<'_>) -> Result<Response, Error> + Send + Sync>;

/// Why an action did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// Nothing was done outside: nothing has to be undone.
    Untouched(Error),
    /// Something may have been done.
    Unclear(Error),
}

/// Until when an action may take.
pub struct Deadline {
    clock: Arc<dyn Clock>,
    at: Duration,
}

impl Deadline {
    pub fn new(clock: Arc<dyn Clock>, time_limit: Duration) -> Self {
        let at = clock.monotonic() + time_limit;
        Self { clock, at }
    }

    /// On the server's monotonic clock.
    pub fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// What is left; zero once it is over.
    pub fn left(&self) -> Duration {
        self.at.saturating_sub(self.clock.monotonic())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unclear(error)
    }
}

impl Failure {
    pub fn into_error(self) -> Error {
        match self {
            Self::Untouched(error) | Self::Unclear(error) => error,
        }
    }
}

impl Errand {
    /// The same errand, with its conclusion run as another mount would, for the kernel speaks for it.
    pub(crate) fn at_mount(self, namespace: u64, mount: u64) -> Self {
        self.mapped(move |conclusion, call| {
            let gone = || Err(Error::invalid("the mount of this lease is gone"));
            call.at_mount(namespace, mount, |call| conclusion(call)).unwrap_or_else(gone)
        })
    }

    /// The same errand, with more to be done in its conclusion.
    #[must_use]
    pub fn then(
        self,
        more: impl Fn(&mut Call<'_>, Response) -> Result<Response, Error> + Send + Sync + 'static,
    ) -> Self {
        self.mapped(move |conclusion, call| {
            let response = conclusion(call)?;
            more(call, response)
        })
    }

    fn mapped(
        self,
        map: impl Fn(&Conclusion, &mut Call<'_>) -> Result<Response, Error> + Send + Sync + 'static,
    ) -> Self {
        let Self { intent, lane, time_limit, action } = self;
        let action: Action = Box::new(move |deadline| {
            let conclusion = action(deadline)?;
            let mapped: Conclusion = Box::new(move |call| map(&conclusion, call));
            Ok(mapped)
        });
        Self { intent, lane, time_limit, action }
    }
}

const FAILING_CHORES_MAX: usize = 10_000;

/// What this process knows of the intents in the store.
pub(crate) struct Outbox {
    /// A random name of this process: intents of others are found without their errands.
    pub incarnation: String,
    /// Intents whose errands are under way here.
    held: Arc<Mutex<HashSet<String>>>,
    /// How many leases of each mount are being taken back.
    in_hand: Arc<Mutex<HashMap<u64, usize>>>,
    /// As the last look at the store found them.
    pending: AtomicU64,
    failing: AtomicU64,
    /// Chores whose last attempt here failed.
    failing_chores: Mutex<HashSet<String>>,
}

/// Keeps an intent from being taken for an abandoned one, until the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Held(Arc<HeldInner>);

struct HeldInner {
    id: String,
    all: Arc<Mutex<HashSet<String>>>,
}

impl Drop for HeldInner {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

impl Held {
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }
}

impl Outbox {
    pub(crate) fn new(incarnation: String) -> Self {
        Self {
            incarnation,
            held: Arc::default(),
            in_hand: Arc::default(),
            pending: AtomicU64::new(0),
            failing: AtomicU64::new(0),
            failing_chores: Mutex::default(),
        }
    }

    /// None if somebody holds it already.
    pub(crate) fn hold(&self, id: &str) -> Option<Held> {
        let is_new = self.held.lock().insert(id.to_owned());
        is_new.then(|| Held(Arc::new(HeldInner { id: id.to_owned(), all: self.held.clone() })))
    }

    pub(crate) fn is_held(&self, id: &str) -> bool {
        self.held.lock().contains(id)
    }

    pub(crate) fn note_chore(&self, handle: &str, result: Result<(), &Error>) {
        let mut failing = self.failing_chores.lock();
        match result {
            Ok(()) => drop(failing.remove(handle)),
            // More than this, and it is the number that is looked at.
            Err(_) if failing.len() >= FAILING_CHORES_MAX => {}
            Err(_) => drop(failing.insert(handle.to_owned())),
        }
    }

    /// Chores whose last attempt here failed.
    pub(crate) fn failing_chores(&self) -> usize {
        self.failing_chores.lock().len()
    }

    /// Intents whose errands are not under way, and those of them that could not be undone at least once.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.pending.load(Ordering::Relaxed), self.failing.load(Ordering::Relaxed))
    }
}
