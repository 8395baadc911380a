//! Credentials that change by plan: generate, stage, apply, verify, promote, notify, and at the end of the grace retire.
//!
//! A plan is about one secret of a mount that keeps versions. What is due is found by an index that is ordered by time, as
//! leases are. Each step is committed with what it did (`worker.rs`), and what follows from what is in `machine.rs`. Until
//! the promotion the new value is a part of the rotation's own record: a plain read gives the current version, and gives
//! the new one from the commit that promotes it on.

mod account;
mod clock;
mod generate;
mod labels;
mod limit;
mod machine;
mod outside;
mod parse;
mod plan;
mod plugin;
mod reads;
mod routes;
mod schedule;
mod secrets;
mod state;
mod store;
mod validate;
mod values;
mod worker;

pub use account::{Account, AccountAction, AccountFunctions, AccountNotice, Accounts, EffectError};
pub(crate) use labels::facts_of;
pub use labels::{Label, Labels, labels, payload_of_label};
pub(crate) use limit::Failures;
pub(crate) use plan::Place;
pub use plugin::{NoticeFiles, PluginError, PluginRequest, Plugins};
pub use schedule::next_by_cron;
pub use secrets::{Kept, SecretFunctions};

pub(crate) use outside::Webhook;
pub(crate) use parse::webhook_target;
pub(crate) use plan::{WebhookKey, WebhookTarget};
pub(crate) use plugin::{no_notice_files, no_plugins};
pub(crate) use routes::{ROUTES, webhook_key};
pub(crate) use store::{count_paused, forget_mount, forget_namespace};

use crate::kernel::KernelSettings;
use crate::pool::{Job, Pool};
use clock::SteadyClock;
use parking_lot::Mutex;
use reads::Counted;
use state::Outcome;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Threads that wait for peers.
const THREADS: usize = 4;
const QUEUE_MAX: usize = 256;

/// What a kernel has in memory for rotation.
#[derive(Default)]
pub(crate) struct Rotation {
    pub(crate) clock: SteadyClock,
    pub(crate) counted: Counted,
    flights: Flights,
    failures: Failures,
    /// Made when it is first needed.
    pool: OnceLock<Pool>,
}

impl Rotation {
    /// False: too much is waiting already.
    fn hand_on(&self, settings: &KernelSettings, job: Job) -> bool {
        let threads = settings.heavy_threads.min(THREADS);
        self.pool.get_or_init(|| Pool::named("rotation", threads, QUEUE_MAX)).try_run(job)
    }
}

/// Plans that a thread works on, or that are left alone until a time of the monotonic clock.
#[derive(Default)]
struct Flights(Mutex<HashMap<String, Option<Duration>>>);

impl Flights {
    /// False: somebody works on it, or it is to be left alone.
    fn take_off(&self, id: &str, now: Duration) -> bool {
        let mut flights = self.0.lock();
        match flights.get(id) {
            Some(None) => false,
            Some(Some(again_at)) if *again_at > now => false,
            _ => {
                flights.insert(id.to_owned(), None);
                true
            }
        }
    }

    fn land(&self, id: &str, again_at: Option<Duration>) {
        let mut flights = self.0.lock();
        match again_at {
            None => drop(flights.remove(id)),
            Some(at) => drop(flights.insert(id.to_owned(), Some(at))),
        }
    }
}

/// For `sys/metrics`.
#[derive(Default)]
pub(crate) struct Counters {
    pub promoted: AtomicU64,
    pub rolled_back: AtomicU64,
    pub steps_failed: AtomicU64,
    pub validations_failed: AtomicU64,
}

impl Counters {
    fn step_failed(&self) {
        self.steps_failed.fetch_add(1, Relaxed);
    }

    fn ended(&self, outcome: Option<Outcome>) {
        match outcome {
            Some(Outcome::Promoted) => self.promoted.fetch_add(1, Relaxed),
            Some(Outcome::RolledBack) => self.rolled_back.fetch_add(1, Relaxed),
            None => 0,
        };
    }
}
