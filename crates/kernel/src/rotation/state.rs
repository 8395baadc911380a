//! How far a plan has come: the rotation under way, the versions in their grace, and when something is due next.

use super::clock::Moment;
use super::plan::{Plan, Target};
use super::schedule::Fired;
use super::values::Values;
use crate::transaction::Record;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strongroom_secret::Timestamp;

/// Versions in their grace at once. A further rotation waits until the first of them is over.
pub(super) const GRACES_MAX: usize = 32;
/// What is remembered of the steps of one rotation.
const EVENTS_MAX: usize = 64;
const BACKOFF_FIRST: Duration = Duration::from_secs(2);
const BACKOFF_MAX: Duration = Duration::from_secs(600);
/// After a rotation that was rolled back, the next one comes no sooner.
const RETRY_FIRST: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(24 * 3600);

/// What is done next. Everything up to the promotion can be rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    Generate,
    Apply,
    Verify,
    Promote,
    Notify,
    /// The value before is applied again.
    Restore,
    /// The value before is proven again.
    VerifyRestored,
}

/// Why a rotation was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    Schedule,
    Reads,
    Retry,
    Demand,
    Leak,
    Rollback,
}

/// How far a plan has come, as it is stored. Times are steady unless they say otherwise.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub active: Option<Active>,
    pub grace: Vec<Grace>,
    pub paused: Option<Paused>,
    pub every_due: Option<Timestamp>,
    /// By the wall clock.
    pub wall_due: Option<Timestamp>,
    pub fired: Fired,
    /// Of the current version, as far as they were counted.
    pub reads: u64,
    /// After a failure.
    pub retry_at: Option<Timestamp>,
    /// Rotations that failed since one succeeded.
    pub failures: u32,
    /// The version that was promoted last; zero before the first.
    pub version: u64,
    /// The next entry of the history.
    pub sequence: u64,
    /// The row in the index.
    pub due_at: Option<Timestamp>,
}

impl Record for State {}

/// A rotation under way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Active {
    pub id: String,
    pub reason: Reason,
    /// Who asked for it; empty for the schedule.
    pub by: String,
    pub note: String,
    /// By the wall clock.
    pub started: Timestamp,
    pub step: Step,
    /// A new value that was not generated: the one to go back to.
    pub given: Option<Values>,
    /// Ends the other versions in their grace at the promotion, and gives the last one so long.
    pub grace: Duration,
    pub ends_graces: bool,
    /// The version that is replaced; zero for none.
    pub base: u64,
    pub current: Values,
    pub pending: Values,
    /// Something outside may have the pending values.
    pub is_applied: bool,
    /// Attempts of this step that failed.
    pub attempts: u32,
    pub not_before: Timestamp,
    /// Which of the plan's notices are done.
    pub told: Vec<bool>,
    /// The promoted version.
    pub version: u64,
    /// Who asked for it to be given up.
    #[serde(default)]
    pub cancelled_by: Option<String>,
    /// Why it is being rolled back, or what failed last. Never a value.
    pub error: String,
    pub events: Vec<Event>,
}

/// Something that was done or tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Event {
    /// By the wall clock.
    pub time: Timestamp,
    pub step: String,
    /// Empty: done.
    pub error: String,
}

/// A version that was replaced and is still valid.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Grace {
    pub version: u64,
    pub values: Values,
    /// No longer valid from then on.
    pub until: Timestamp,
    pub rotation: String,
    /// Its entry of the history.
    pub sequence: u64,
    /// Attempts to retire it that failed.
    pub attempts: u32,
    pub not_before: Timestamp,
}

/// Nothing is done by itself until somebody acts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Paused {
    pub reason: String,
    /// By the wall clock.
    pub since: Timestamp,
}

/// What a rotation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    Promoted,
    RolledBack,
}

/// An entry of the history.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Past {
    pub id: String,
    pub reason: Reason,
    pub by: String,
    pub note: String,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub outcome: Outcome,
    /// The version that was replaced, and the one that was promoted.
    pub base: u64,
    pub version: u64,
    pub error: String,
    pub events: Vec<Event>,
    /// When the version before was retired.
    pub retired: Option<Timestamp>,
}

impl Record for Past {}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    Nothing,
    Retire(usize),
    Begin(Reason),
    Step(Step),
}

impl State {
    pub(super) fn todo(&self, plan: &Plan, now: Moment) -> Todo {
        let retired = self.grace.iter().position(|grace| grace.until.max(grace.not_before) <= now.steady);
        if let Some(position) = retired {
            return Todo::Retire(position);
        }
        if self.paused.is_some() {
            return Todo::Nothing;
        }
        match &self.active {
            Some(active) if active.not_before <= now.steady => Todo::Step(active.step),
            Some(_) => Todo::Nothing,
            None => match self.next_begin(plan, now) {
                Some((at, reason)) if at <= now.steady => Todo::Begin(reason),
                _ => Todo::Nothing,
            },
        }
    }

    /// When something is to be done next; None for never.
    pub(super) fn next(&self, plan: &Plan, now: Moment) -> Option<Timestamp> {
        let retirement = self.grace.iter().map(|grace| grace.until.max(grace.not_before)).min();
        let work = match (&self.paused, &self.active) {
            (Some(_), _) => None,
            (None, Some(active)) => Some(active.not_before),
            (None, None) => self.next_begin(plan, now).map(|(at, _)| at),
        };
        [retirement, work].into_iter().flatten().min()
    }

    /// When the next rotation begins by itself, and why.
    pub(super) fn next_rotation(&self, plan: &Plan, now: Moment) -> Option<(Timestamp, Reason)> {
        if self.paused.is_some() || self.active.is_some() { None } else { self.next_begin(plan, now) }
    }

    fn next_begin(&self, plan: &Plan, now: Moment) -> Option<(Timestamp, Reason)> {
        let reads = plan.schedule.reads.filter(|reads| self.reads >= *reads).map(|_| now.steady);
        let candidates = [
            (self.retry_at, Reason::Retry),
            (self.every_due, Reason::Schedule),
            (self.wall_due.map(|wall| now.steady_of(wall)), Reason::Schedule),
            (reads, Reason::Reads),
        ];
        let (at, reason) = candidates
            .into_iter()
            .filter_map(|(at, reason)| Some((at?, reason)))
            .min_by_key(|(at, _)| *at)?;
        Some((at.max(self.begins_after(plan)), reason))
    }

    /// A rotation would end somebody's grace before this time.
    pub(super) fn begins_after(&self, plan: &Plan) -> Timestamp {
        let full = (self.grace.len() >= GRACES_MAX).then(|| self.grace.iter().map(|grace| grace.until).min());
        let other = plan.turns().and_then(|target| {
            let in_grace = |grace: &&Grace| grace.values.get(&target.username_field).is_some();
            self.grace.iter().filter(in_grace).map(|grace| grace.until).max()
        });
        full.flatten().into_iter().chain(other).max().unwrap_or(Timestamp::EPOCH)
    }

    /// Sets what the schedule says from now on.
    pub(super) fn plan_next(&mut self, plan: &Plan, now: Moment) {
        self.every_due = plan.schedule.every.map(|every| now.steady.plus(every));
        self.wall_due = plan.schedule.next_wall(now.wall, &self.fired);
    }

    /// What was due is being done: it is not due again.
    pub(super) fn spend_due(&mut self, plan: &Plan, now: Moment) {
        if let Some(wall) = self.wall_due.filter(|wall| now.steady_of(*wall) <= now.steady) {
            self.fired.note(&plan.schedule, wall);
            self.wall_due = plan.schedule.next_wall(now.wall.max(wall), &self.fired);
        }
        self.every_due = None;
        self.retry_at = None;
        self.reads = 0;
    }

    /// After a rotation that failed: when it is tried again, or that it is not.
    pub(super) fn failed(&mut self, plan: &Plan, now: Moment, why: &str) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= plan.pause_after {
            let reason = format!("{} rotations failed one after another; the last: {why}", self.failures);
            self.paused = Some(Paused { reason, since: now.wall });
            return;
        }
        let doubled = RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.failures.min(20) - 1));
        self.retry_at = Some(now.steady.plus(doubled.min(RETRY_MAX)));
    }
}

impl Active {
    pub(super) fn note(&mut self, now: Moment, step: &str, error: &str) {
        if self.events.len() >= EVENTS_MAX {
            self.events.remove(EVENTS_MAX / 2);
        }
        self.events.push(Event { time: now.wall, step: step.to_owned(), error: error.to_owned() });
    }

    /// Goes on with another step.
    pub(super) fn go_to(&mut self, step: Step, now: Moment) {
        (self.step, self.attempts, self.not_before) = (step, 0, now.steady);
    }

    /// The step failed and is tried again later. Counts it.
    pub(super) fn put_off(&mut self, now: Moment, error: &str) {
        let delay = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(self.attempts.min(16)));
        self.attempts = self.attempts.saturating_add(1);
        self.not_before = now.steady.plus(delay.min(BACKOFF_MAX));
        error.clone_into(&mut self.error);
    }

    /// Turns back: what was applied is replaced by the value before.
    pub(super) fn turn_back(&mut self, plan: &Plan, now: Moment, why: &str) {
        why.clone_into(&mut self.error);
        // Of two accounts that take turns, the one in use was never touched.
        let has_to_restore = self.is_applied && plan.turns().is_none() && plan.apply != Target::None;
        let step = if has_to_restore { Step::Restore } else { Step::VerifyRestored };
        self.go_to(step, now);
    }

    pub(super) fn is_promoted(&self) -> bool {
        self.version > 0
    }

    pub(super) fn into_past(self, now: Moment, outcome: Outcome) -> Past {
        Past {
            id: self.id,
            reason: self.reason,
            by: self.by,
            note: self.note,
            started: self.started,
            ended: now.wall,
            outcome,
            base: self.base,
            version: self.version,
            error: self.error,
            events: self.events,
            retired: None,
        }
    }
}

impl Grace {
    pub(super) fn put_off(&mut self, now: Moment) {
        let delay = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(self.attempts.min(16)));
        self.attempts = self.attempts.saturating_add(1);
        self.not_before = now.steady.plus(delay.min(BACKOFF_MAX));
    }
}

impl Step {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Apply => "apply",
            Self::Verify => "verify",
            Self::Promote => "promote",
            Self::Notify => "notify",
            Self::Restore => "restore",
            Self::VerifyRestored => "verify-restored",
        }
    }
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Reads => "reads",
            Self::Retry => "retry",
            Self::Demand => "demand",
            Self::Leak => "leak",
            Self::Rollback => "rollback",
        }
    }
}
