//! What follows from what: the transitions of a rotation. All of them happen within a transaction.

use super::account::EffectError;
use super::clock::Moment;
use super::generate::WHOLE_FIELD;
use super::outside::Done;
use super::plan::{Place, Plan, Target};
use super::state::{Active, Grace, Outcome, Paused, Reason, State, Step};
use super::store;
use super::values::Values;
use crate::call::Call;
use crate::error::Error;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::{Entropy, SecretBytes, SecretString};

/// The longest value that is taken from a generator.
const VALUE_BYTES_MAX: usize = 32 * 1024;

impl Active {
    pub(super) fn begin(entropy: &dyn Entropy, plan: &Plan, reason: Reason, now: Moment) -> Self {
        let is_leak = reason == Reason::Leak;
        Self {
            id: uuid_v4(entropy),
            reason,
            by: String::new(),
            note: String::new(),
            started: now.wall,
            step: Step::Generate,
            given: None,
            grace: if is_leak { plan.leak_grace } else { plan.grace },
            ends_graces: is_leak,
            base: 0,
            current: Values::default(),
            pending: Values::default(),
            is_applied: false,
            attempts: 0,
            not_before: now.steady,
            told: vec![false; plan.notify.len()],
            version: 0,
            cancelled_by: None,
            error: String::new(),
            events: Vec::new(),
        }
    }
}

/// What the errand of the present step came to. Says how the rotation ended, if it did.
pub(super) fn settle(
    call: &mut Call<'_>,
    place: &Place,
    plan: &Plan,
    state: &mut State,
    now: Moment,
    outcome: &Result<Done, EffectError>,
) -> Result<Option<Outcome>, Error> {
    let Some(active) = state.active.as_mut() else { return Ok(None) };
    let step = active.step;
    let result = match (step, outcome) {
        (Step::Generate, Ok(done)) => staged(call, place, plan, state.version, active, done, now)?,
        (Step::Notify, Ok(done)) => note_told(active, done),
        (_, Ok(_)) => Ok(()),
        (_, Err(error)) => Err(error.clone()),
    };
    let Some(active) = state.active.as_mut() else { return Ok(None) };
    if let Err(error) = result {
        active.note(now, step.as_str(), error.text());
        return step_failed(call, place, plan, state, now, &error);
    }
    active.note(now, step.as_str(), "");
    match step {
        Step::Generate => {
            active.note(now, "stage", "");
            active.go_to(if plan.apply == Target::None { Step::Verify } else { Step::Apply }, now);
        }
        Step::Apply => active.go_to(Step::Verify, now),
        Step::Verify => active.go_to(Step::Promote, now),
        Step::Restore => active.go_to(Step::VerifyRestored, now),
        Step::VerifyRestored => return finish(call, place, plan, state, now, Outcome::RolledBack).map(Some),
        Step::Notify => return finish(call, place, plan, state, now, Outcome::Promoted).map(Some),
        Step::Promote => {}
    }
    Ok(None)
}

/// Takes in what was generated, with what it will replace.
fn staged(
    call: &mut Call<'_>,
    place: &Place,
    plan: &Plan,
    promoted: u64,
    active: &mut Active,
    done: &Done,
    now: Moment,
) -> Result<Result<(), EffectError>, Error> {
    let refused = |why: &str| Ok(Err(EffectError::Refused(why.to_owned())));
    let kept = place.read(call)?;
    let payload = match (kept.payload, kept.version.max(promoted)) {
        (Some(payload), _) => Some(payload),
        (None, 0) => None,
        (None, _) => return refused("the secret was deleted: there is nothing to rotate"),
    };
    let mut pending = match (&active.given, &done.values) {
        (Some(given), _) => given.duplicate(),
        (None, Some(made)) => named(plan, made),
        (None, None) => return refused("the generator gave no value"),
    };
    let is_fit = |text: &SecretString| !text.is_empty() && text.expose().len() <= VALUE_BYTES_MAX;
    if pending.is_empty() || !pending.texts().all(is_fit) {
        return refused("the generator gave an empty value, or one of more than 32 KiB");
    }
    if plan.field.as_deref().is_some_and(|field| pending.get(field).is_none()) {
        return refused("the generator gave no value for the field of the plan");
    }
    if active.given.is_none() {
        take_turns(plan, payload.as_ref(), &mut pending)?;
    }
    let names: Vec<&str> = pending.names().collect();
    let names = plan.field.is_some().then_some(names.as_slice());
    let current = payload.as_ref().map(|payload| Values::of_payload(payload, names)).transpose()?;
    let current = current.unwrap_or_default();
    if current == pending {
        return refused("the generator gave the present value");
    }
    (active.base, active.current, active.pending) = (kept.version, current, pending);
    active.not_before = now.steady;
    Ok(Ok(()))
}

/// What a generator made, under the names of the secret's fields.
fn named(plan: &Plan, made: &Values) -> Values {
    let mut values = made.duplicate();
    if let Some(alone) = made.get("") {
        values = Values::one(plan.field.as_deref().unwrap_or(WHOLE_FIELD), alone.duplicate());
    }
    values
}

/// Of two accounts, the one that is not in use gets the new password.
fn take_turns(plan: &Plan, payload: Option<&SecretBytes>, pending: &mut Values) -> Result<(), Error> {
    let Some(target) = plan.turns() else { return Ok(()) };
    let field = target.username_field.as_str();
    let present = payload.map(|payload| Values::of_payload(payload, Some(&[field]))).transpose()?;
    let present = present.as_ref().and_then(|values| values.get(field)).map(SecretString::expose);
    if let Some(other) = target.accounts.iter().find(|account| Some(account.as_str()) != present) {
        pending.insert(field, other.as_str().into());
    }
    Ok(())
}

fn note_told(active: &mut Active, done: &Done) -> Result<(), EffectError> {
    let mut failure = None;
    for (position, told) in &done.told {
        match (told, active.told.get_mut(*position)) {
            (Ok(()), Some(slot)) => *slot = true,
            (Err(error), _) => failure = Some(EffectError::Unclear(error.text().to_owned())),
            (Ok(()), None) => {}
        }
    }
    failure.map_or(Ok(()), Err)
}

fn step_failed(
    call: &mut Call<'_>,
    place: &Place,
    plan: &Plan,
    state: &mut State,
    now: Moment,
    error: &EffectError,
) -> Result<Option<Outcome>, Error> {
    let Some(active) = state.active.as_mut() else { return Ok(None) };
    let is_over = active.attempts + 1 >= plan.attempts || matches!(error, EffectError::Refused(_));
    match active.step {
        _ if !is_over => active.put_off(now, error.text()),
        Step::Generate | Step::Apply | Step::Verify | Step::Promote => {
            return turn_back(call, place, plan, state, now, error.text());
        }
        // The new version stands, whether or not everybody knows.
        Step::Notify => {
            active.error = format!("not everybody was told: {}", error.text());
            return finish(call, place, plan, state, now, Outcome::Promoted).map(Some);
        }
        Step::Restore | Step::VerifyRestored => {
            active.put_off(now, error.text());
            let reason = format!(
                "{}; then the value before could not be brought back: {}",
                active
                    .events
                    .iter()
                    .find(|event| !event.error.is_empty())
                    .map_or("it failed", |event| &event.error),
                error.text()
            );
            state.paused = Some(Paused { reason, since: now.wall });
        }
    }
    Ok(None)
}

/// Gives a rotation up before its promotion.
pub(super) fn turn_back(
    call: &mut Call<'_>,
    place: &Place,
    plan: &Plan,
    state: &mut State,
    now: Moment,
    why: &str,
) -> Result<Option<Outcome>, Error> {
    let Some(active) = state.active.as_mut() else { return Ok(None) };
    active.turn_back(plan, now, why);
    if active.is_applied && !active.current.is_empty() {
        return Ok(None);
    }
    finish(call, place, plan, state, now, Outcome::RolledBack).map(Some)
}

/// Makes the pending values a version of the secret. Says what was unusual, and how the rotation ended if it did.
pub(super) fn promote(
    call: &mut Call<'_>,
    place: &Place,
    plan: &Plan,
    state: &mut State,
    now: Moment,
) -> Result<(String, Option<Outcome>), Error> {
    let kept = place.read(call)?;
    let sequence = state.sequence;
    let is_known = state.version > 0;
    let Some(active) = state.active.as_mut() else { return Ok(Default::default()) };
    if kept.payload.is_none() && (active.base > 0 || is_known) {
        let why = "the secret was deleted meanwhile";
        active.note(now, "promote", why);
        let ended = turn_back(call, place, plan, state, now, why)?;
        return Ok((why.to_owned(), ended));
    }
    let base = if plan.field.is_some() { kept.payload.as_ref() } else { None };
    let payload = active.pending.merged_into(base)?;
    let version = place.act(call, |call, functions| (functions.write)(call, payload))?;
    let mut said = String::new();
    if kept.version != active.base {
        said = format!("version {} was written meanwhile: the new value replaces it", kept.version);
    }
    active.note(now, "promote", &said);
    let names: Vec<&str> = active.pending.names().collect();
    let names = plan.field.is_some().then_some(names.as_slice());
    let replaced = kept.payload.as_ref().map(|payload| Values::of_payload(payload, names)).transpose()?;
    let ends_graces = active.ends_graces;
    state.grace.retain(|grace| grace.values != active.pending);
    if ends_graces {
        state.grace.iter_mut().for_each(|grace| grace.until = grace.until.min(now.steady));
    }
    if let Some(values) = replaced.filter(|values| !values.is_empty()) {
        state.grace.push(Grace {
            version: kept.version,
            values,
            until: now.steady.plus(active.grace),
            rotation: active.id.clone(),
            sequence,
            attempts: 0,
            not_before: now.steady,
        });
    }
    active.base = kept.version;
    active.version = version;
    active.error.clear();
    active.go_to(Step::Notify, now);
    (state.version, state.failures, state.reads, state.retry_at) = (version, 0, 0, None);
    state.plan_next(plan, now);
    Ok((said, None))
}

/// Ends the rotation under way: its entry goes into the history.
pub(super) fn finish(
    call: &mut Call<'_>,
    place: &Place,
    plan: &Plan,
    state: &mut State,
    now: Moment,
    outcome: Outcome,
) -> Result<Outcome, Error> {
    let Some(active) = state.active.take() else { return Ok(outcome) };
    let is_cancelled = active.cancelled_by.is_some();
    let past = active.into_past(now, outcome);
    store::add_past(&mut call.tx, place, state, &past)?;
    match outcome {
        Outcome::Promoted => {}
        Outcome::RolledBack if is_cancelled => state.plan_next(plan, now),
        Outcome::RolledBack => state.failed(plan, now, &past.error),
    }
    Ok(outcome)
}

/// What came of retiring a version that a rotation replaced.
pub(super) fn settle_retirement(
    call: &mut Call<'_>,
    place: &Place,
    plan: &Plan,
    state: &mut State,
    now: Moment,
    (rotation, version): (&str, u64),
    outcome: &Result<Done, EffectError>,
) -> Result<(), Error> {
    let is_it = |grace: &Grace| grace.rotation == rotation && grace.version == version;
    let Some(position) = state.grace.iter().position(is_it) else { return Ok(()) };
    let Some(grace) = state.grace.get_mut(position) else { return Ok(()) };
    let error = match outcome {
        Ok(_) => "",
        Err(error) => error.text(),
    };
    let is_over = error.is_empty()
        || grace.attempts + 1 >= plan.attempts
        || matches!(outcome, Err(EffectError::Refused(_)));
    if !is_over {
        grace.put_off(now);
        return Ok(());
    }
    let sequence = grace.sequence;
    state.grace.remove(position);
    store::note_retired(&mut call.tx, place, sequence, now, error)
}
