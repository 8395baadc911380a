//! Works off what is due. What reaches outside runs on threads of its own, a few of them, so that a peer that hangs holds
//! up neither requests nor leases.
//!
//! Every step is a commit that says what is about to be done, the errand, and a commit of what it came to. A process that
//! dies in between does the errand once more, under the same id.

use super::Rotation;
use super::clock::{ClockRecord, Moment, clock_key};
use super::outside::{About, Done, Errand};
use super::plan::{Place, Plan};
use super::state::{Active, Reason, State, Step, Todo};
use super::{machine, store};
use crate::audit::{About as AuditAbout, DataFacts, MountFacts, Record, RequestFacts, ResponseFacts};
use crate::call::Call;
use crate::error::Error;
use crate::kernel::{Kernel, Open};
use crate::mounts;
use crate::rotation::EffectError;
use crate::transaction::{Intent, Tx};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::Timestamp;
use strongroom_storage::CommitError;

/// Plans that one look hands on.
const DUE_PER_LOOK: usize = 64;
const ATTEMPTS_MAX: u32 = 32;
/// A plan that could not be worked on for a reason of the server's own is left alone for so long.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// Steps that one turn of a thread does of one plan.
const TURNS_MAX: usize = 64;
/// Plans whose times of the wall clock are moved in one commit.
const MOVED_PER_COMMIT: usize = 128;

/// Whether there is more to be done of a plan at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Again,
    Later,
}

/// What a change of a plan's state comes to.
pub(super) enum Changed<T> {
    Saved(T),
    AsItWas(T),
}

impl Kernel {
    /// Hands on what is due; says how long it is until something is due next. It waits for nobody.
    pub(crate) fn rotate_due(self: &Arc<Self>) -> Result<Option<Duration>, Error> {
        let Ok(open) = self.opened() else { return Ok(None) };
        self.look_at_clock(&open)?;
        self.store_counts(&open)?;
        let mut tx = self.begin(&open.keys, Intent::Read)?;
        let now = self.rotation.clock.now(&*self.clock, &mut tx)?;
        let (rows, next) = store::due(&mut tx, now.steady, DUE_PER_LOOK)?;
        drop(tx);
        for row in rows {
            if mounts::by_id(&open.topology, row.place.namespace, row.place.mount).is_none() {
                self.forget_homeless(&open, &row)?;
            } else if self.rotation.flights.take_off(&row.id, self.clock.monotonic()) {
                let (kernel, id) = (self.clone(), row.id.clone());
                let job = Box::new(move || kernel.work_on(&row.place, &row.id));
                if !self.rotation.hand_on(&self.settings, job) {
                    self.rotation.flights.land(&id, None);
                    break;
                }
            }
        }
        Ok(next.map(|at| at.since(now.steady)))
    }

    /// How many plans wait for somebody to act.
    pub(crate) fn count_paused_rotations(&self) -> Result<u64, Error> {
        let open = self.opened()?;
        store::count_paused(&mut self.begin(&open.keys, Intent::Read)?)
    }

    /// A row of the index whose mount is gone.
    fn forget_homeless(self: &Arc<Self>, open: &Open, row: &store::DueRow) -> Result<(), Error> {
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        let table = mounts::read_table(&mut tx, row.place.namespace)?;
        if table.mounts.iter().any(|mount| mount.id == row.place.mount) {
            // This program has no backend for it; another one may.
            return Ok(());
        }
        tx.delete(&row.key)?;
        self.commit_change(tx).map(drop)
    }

    /// Does what is due of a plan, one step after another.
    fn work_on(self: &Arc<Self>, place: &Place, id: &str) {
        let mut again_at = None;
        for _ in 0..TURNS_MAX {
            match self.turn(place) {
                Ok(Turn::Again) => {}
                Ok(Turn::Later) => break,
                Err(error) => {
                    if !self.is_sealed() {
                        tracing::warn!(plan = id, %error, detail = ?error.detail, "a rotation cannot go on now");
                    }
                    again_at = Some(self.clock.monotonic() + LEFT_ALONE);
                    break;
                }
            }
        }
        self.rotation.flights.land(id, again_at);
    }

    fn turn(self: &Arc<Self>, place: &Place) -> Result<Turn, Error> {
        let open = self.opened()?;
        let todo = self.change(&open, place, |_, plan, state, now| {
            let todo = state.todo(plan, now);
            match todo {
                // The row in the index is set right.
                Todo::Nothing => Ok(Changed::Saved(todo)),
                _ => Ok(Changed::AsItWas(todo)),
            }
        })?;
        match todo {
            None | Some(Todo::Nothing) => Ok(Turn::Later),
            Some(Todo::Begin(reason)) => self.begin_rotation(&open, place, reason),
            Some(Todo::Step(Step::Promote)) => self.promote(&open, place),
            Some(Todo::Step(step)) => self.step(&open, place, step),
            Some(Todo::Retire(position)) => self.retire(&open, place, position),
        }
    }

    fn begin_rotation(self: &Arc<Self>, open: &Open, place: &Place, reason: Reason) -> Result<Turn, Error> {
        self.change(open, place, |call, plan, state, now| {
            if state.todo(plan, now) != Todo::Begin(reason) {
                return Ok(Changed::AsItWas(()));
            }
            let active = Active::begin(call.entropy(), plan, reason, now);
            state.spend_due(plan, now);
            state.active = Some(active);
            Ok(Changed::Saved(()))
        })?;
        Ok(Turn::Again)
    }

    /// A step with an errand outside.
    fn step(self: &Arc<Self>, open: &Open, place: &Place, step: Step) -> Result<Turn, Error> {
        let prepared = self.change(open, place, |call, plan, state, _| {
            let Some(active) = state.active.as_mut().filter(|active| active.step == step) else {
                return Ok(Changed::AsItWas(None));
            };
            let errand = prepare(call, place, plan, active);
            let id = active.id.clone();
            let is_first = step == Step::Apply && !active.is_applied;
            if is_first && errand.as_ref().is_ok_and(|errand| !errand.is_nothing()) {
                active.is_applied = true;
                return Ok(Changed::Saved(Some((id, errand))));
            }
            Ok(Changed::AsItWas(Some((id, errand))))
        })?;
        let Some(Some((id, errand))) = prepared else { return Ok(Turn::Again) };
        let outcome = match errand {
            Ok(errand) if errand.is_nothing() => Ok(Done::default()),
            Ok(errand) => {
                self.audit_step(open, place, &id, step.as_str(), None)?;
                let outcome = errand.perform(self);
                let said = outcome.as_ref().err().map_or("", EffectError::text);
                self.audit_step(open, place, &id, step.as_str(), Some(said))?;
                outcome
            }
            Err(error) => Err(EffectError::Unclear(error.messages.join("; "))),
        };
        if let Err(error) = &outcome {
            tracing::warn!(rotation = %id, step = step.as_str(), "a step of a rotation failed: {}", error.text());
            self.metrics.rotations.step_failed();
        }
        let ended = self.change(open, place, |call, plan, state, now| {
            let is_still = state.active.as_ref().is_some_and(|active| active.id == id && active.step == step);
            if !is_still {
                return Ok(Changed::AsItWas(None));
            }
            machine::settle(call, place, plan, state, now, &outcome).map(Changed::Saved)
        })?;
        self.metrics.rotations.ended(ended.flatten());
        Ok(Turn::Again)
    }

    /// The pending values become the current ones: the secret's new version and the rotation's state in one commit.
    fn promote(self: &Arc<Self>, open: &Open, place: &Place) -> Result<Turn, Error> {
        let id = self.change(open, place, |_, _, state, _| {
            Ok(Changed::AsItWas(state.active.as_ref().map(|active| active.id.clone())))
        })?;
        let Some(Some(id)) = id else { return Ok(Turn::Again) };
        self.audit_step(open, place, &id, "promote", None)?;
        let promoted = self.change(open, place, |call, plan, state, now| {
            let is_still =
                state.active.as_ref().is_some_and(|active| active.id == id && active.step == Step::Promote);
            if !is_still {
                return Ok(Changed::AsItWas((String::new(), None)));
            }
            machine::promote(call, place, plan, state, now).map(Changed::Saved)
        });
        let (said, ended) = match promoted {
            Ok(done) => done.unwrap_or_default(),
            // The store's own failures are no failures of the rotation: it goes on when they are over.
            Err(error) => {
                self.audit_step(open, place, &id, "promote", Some(&error.messages.join("; ")))?;
                return Err(error);
            }
        };
        self.metrics.rotations.ended(ended);
        self.audit_step(open, place, &id, "promote", Some(&said))?;
        Ok(Turn::Again)
    }

    fn retire(self: &Arc<Self>, open: &Open, place: &Place, position: usize) -> Result<Turn, Error> {
        let prepared = self.change(open, place, |call, plan, state, now| {
            if state.todo(plan, now) != Todo::Retire(position) {
                return Ok(Changed::AsItWas(None));
            }
            let Some(grace) = state.grace.get(position) else { return Ok(Changed::AsItWas(None)) };
            let about = About { place, plan, id: &grace.rotation };
            let errand = about.retirement(call, &grace.values);
            Ok(Changed::AsItWas(Some((grace.rotation.clone(), grace.version, errand))))
        })?;
        let Some(Some((id, version, errand))) = prepared else { return Ok(Turn::Again) };
        let outcome = match errand {
            Ok(errand) if errand.is_nothing() => Ok(Done::default()),
            Ok(errand) => {
                self.audit_step(open, place, &id, "retire", None)?;
                let outcome = errand.perform(self);
                let said = outcome.as_ref().err().map_or("", EffectError::text);
                self.audit_step(open, place, &id, "retire", Some(said))?;
                outcome
            }
            Err(error) => Err(EffectError::Unclear(error.messages.join("; "))),
        };
        if let Err(error) = &outcome {
            tracing::warn!(rotation = %id, "a version cannot be retired: {}", error.text());
            self.metrics.rotations.step_failed();
        }
        self.change(open, place, |call, plan, state, now| {
            machine::settle_retirement(call, place, plan, state, now, (&id, version), &outcome)
                .map(Changed::Saved)
        })?;
        Ok(Turn::Again)
    }

    /// Changes a plan's state in a commit of its own. None: there is no such plan.
    fn change<T>(
        self: &Arc<Self>,
        open: &Open,
        place: &Place,
        act: impl Fn(&mut Call<'_>, &Plan, &mut State, Moment) -> Result<Changed<T>, Error>,
    ) -> Result<Option<T>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let tx = self.begin(&open.keys, Intent::Write)?;
            let mount = mounts::by_id(&open.topology, place.namespace, place.mount)
                .ok_or_else(|| Error::invalid("the secret's mount is gone"))?;
            let now = self.now();
            let (changed, (transaction, effects)) = self.speak_for(open, tx, mount, now, |call| {
                let moment = self.rotation.clock.now(&*self.clock, &mut call.tx)?;
                let Some(plan) = store::read_plan(&mut call.tx, place)? else { return Ok(None) };
                let mut state = store::read_state(&mut call.tx, place)?;
                let changed = act(call, &plan, &mut state, moment)?;
                if matches!(changed, Changed::Saved(_)) {
                    store::save_state(&mut call.tx, place, &plan, &mut state, moment)?;
                }
                Ok(Some(changed))
            })?;
            let value = match changed {
                None => return self.forget_row_of(open, place).map(|()| None),
                Some(Changed::AsItWas(value)) => return Ok(Some(value)),
                Some(Changed::Saved(value)) => value,
            };
            match self.commit_blocking(transaction, effects) {
                Ok(_) => return Ok(Some(value)),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// Removes rows of the index that name a plan which is no longer there.
    fn forget_row_of(self: &Arc<Self>, open: &Open, place: &Place) -> Result<(), Error> {
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        let now = self.rotation.clock.now(&*self.clock, &mut tx)?;
        let (rows, _) = store::due(&mut tx, now.steady, usize::MAX)?;
        for row in rows.into_iter().filter(|row| row.place == *place) {
            tx.delete(&row.key)?;
        }
        self.commit_change(tx).map(drop)
    }

    /// Commits what was changed; false if others were quicker.
    pub(crate) fn commit_change(self: &Arc<Self>, tx: Tx<'_>) -> Result<bool, Error> {
        if !tx.is_changed() {
            return Ok(true);
        }
        let (transaction, effects) = tx.finish(self.entropy());
        match self.commit_blocking(transaction, effects) {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Notices that somebody set the clock: steady time goes on, and what is meant by the wall clock is moved.
    fn look_at_clock(self: &Arc<Self>, open: &Open) -> Result<(), Error> {
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        let before = self.rotation.clock.now(&*self.clock, &mut tx)?;
        let key = clock_key(&tx);
        let mut record: ClockRecord = tx.record(&key)?.unwrap_or_default();
        if let Some(jumps) = self.rotation.clock.look(&*self.clock) {
            tracing::warn!(
                before = %before.wall_of(before.steady),
                now = %self.now(),
                "the clock was set: what is due after a time is due after that time all the same"
            );
            record = ClockRecord { jumps_nanoseconds: jumps, is_moving: true };
            tx.put_record(&key, &record)?;
            if !self.commit_change(tx)? {
                return Ok(());
            }
            self.rotation.clock.jumped(&*self.clock, jumps);
        }
        if record.is_moving { self.move_wall_times(open) } else { Ok(()) }
    }

    fn move_wall_times(self: &Arc<Self>, open: &Open) -> Result<(), Error> {
        let plans = store::with_wall_times(&mut self.begin(&open.keys, Intent::Read)?)?;
        for batch in plans.chunks(MOVED_PER_COMMIT) {
            for (_, place) in batch {
                if mounts::by_id(&open.topology, place.namespace, place.mount).is_none() {
                    continue;
                }
                self.change(open, place, |_, plan, state, now| {
                    if state.wall_due.is_some() {
                        state.wall_due = plan.schedule.next_wall(now.wall, &state.fired);
                    }
                    Ok(Changed::Saved(()))
                })?;
            }
        }
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        let key = clock_key(&tx);
        let record: ClockRecord = tx.record(&key)?.unwrap_or_default();
        tx.put_record(&key, &ClockRecord { is_moving: false, ..record })?;
        self.commit_change(tx).map(drop)
    }

    /// Adds the reads that were counted in memory to what is stored.
    fn store_counts(self: &Arc<Self>, open: &Open) -> Result<(), Error> {
        for (place, reads) in self.rotation.counted.take() {
            if mounts::by_id(&open.topology, place.namespace, place.mount).is_none() {
                continue;
            }
            self.change(open, &place, |_, _, state, _| {
                state.reads = state.reads.saturating_add(reads);
                Ok(Changed::Saved(()))
            })?;
        }
        Ok(())
    }

    /// Records a step in the audit log: that it is about to be done, or what it came to. Nothing is done unrecorded.
    fn audit_step(
        &self,
        open: &Open,
        place: &Place,
        rotation: &str,
        step: &str,
        outcome: Option<&str>,
    ) -> Result<(), Error> {
        const CLEAR: [&str; 3] = ["rotation", "step", "outcome"];
        let Some(broker) = self.broker() else { return Ok(()) };
        let clear: Vec<String> = CLEAR.iter().map(|name| (*name).to_owned()).collect();
        let (namespace, mount) = match open.topology.namespace_by_id(place.namespace) {
            Some(namespace) => (namespace, mounts::by_id(&open.topology, place.namespace, place.mount)),
            None => return Ok(()),
        };
        let shown = mount.as_ref().map_or("", |mount| mount.path());
        let path = format!("sys/rotation/rotate/{shown}{}", place.path);
        let data = Map::from_iter([
            ("rotation".to_owned(), Value::from(rotation)),
            ("step".to_owned(), Value::from(step)),
        ]);
        let result =
            outcome.map(|said| match json!({ "outcome": if said.is_empty() { "done" } else { said } }) {
                Value::Object(map) => map,
                _ => Map::new(),
            });
        let error = outcome
            .filter(|said| !said.is_empty())
            .map(|said| Error::new(crate::ErrorKind::Unavailable, format!("the step failed: {said}")));
        let record = Record {
            time: self.now(),
            request: RequestFacts {
                id: rotation,
                operation: "update",
                namespace_id: &namespace.record.text_id,
                namespace_path: namespace.path().as_str(),
                path: &path,
                data: DataFacts::Map(&data),
                ..RequestFacts::default()
            },
            mount: MountFacts {
                point: "sys/",
                kind: "system",
                class: "secret",
                clear_request_keys: &clear,
                clear_response_keys: &clear,
                ..MountFacts::default()
            },
            response: result
                .as_ref()
                .map(|result| ResponseFacts { data: DataFacts::Map(result), ..ResponseFacts::default() }),
            error: error.as_ref(),
            ..Record::default()
        };
        let receipt = broker.submit_about(&mut AuditAbout::default(), &[record]);
        receipt.wait().map_err(|error| {
            Error::new(crate::ErrorKind::Unavailable, "a step of a rotation could not be audited")
                .with_detail(error.to_string())
        })
    }
}

/// What a step does outside.
fn prepare(call: &mut Call<'_>, place: &Place, plan: &Plan, active: &Active) -> Result<Errand, Error> {
    let about = About { place, plan, id: &active.id };
    let restoration = format!("{}.restore", active.id);
    match active.step {
        Step::Generate if active.given.is_some() => Ok(about.nothing()),
        Step::Generate => {
            let payload = place.read(call)?.payload;
            let field = plan.field.as_deref();
            let names = field.as_ref().map(std::slice::from_ref);
            let current = payload.as_ref().map(|payload| super::values::Values::of_payload(payload, names));
            about.generation(call, &current.transpose()?.unwrap_or_default())
        }
        Step::Apply => about.application(call, &active.current, &active.pending, &active.id),
        Step::Verify => about.verification(call, &active.current, &active.pending, &active.id),
        Step::Restore => about.application(call, &active.pending, &active.current, &restoration),
        Step::VerifyRestored => about.verification(call, &active.pending, &active.current, &restoration),
        Step::Notify => about.notification(call, &active.told, active.version),
        Step::Promote => Err(Error::internal("a promotion is no errand")),
    }
}

impl Rotation {
    /// The time of the machine as rotation sees it, within a request.
    pub(super) fn moment(kernel: &Kernel, tx: &mut Tx<'_>) -> Result<Moment, Error> {
        kernel.rotation.clock.now(&*kernel.clock, tx)
    }
}

/// For answers: a steady time as the wall clock will show it.
pub(super) fn wall_text(now: Moment, steady: Timestamp) -> String {
    now.wall_of(steady).rfc3339()
}
