//! `sys/rotation/rotate/`, `rollback/` and `leak/`: what people ask for. The work is done by the server's own threads.

use super::{asker, note, planned};
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::request::Response;
use crate::rotation::clock::Moment;
use crate::rotation::outside::{About, open_accounts};
use crate::rotation::plan::{Place, Plan, Target};
use crate::rotation::state::{Active, Reason, State, Step};
use crate::rotation::values::Values;
use crate::rotation::{Rotation, machine, store};
use serde_json::{Map, Value, json};

fn object(value: Value) -> Response {
    match value {
        Value::Object(map) => Response::data(map),
        _ => Response::data(Map::new()),
    }
}

pub(super) fn rotate(call: &mut Call<'_>) -> Result<Response, Error> {
    let (place, plan) = planned(call)?;
    let mut state = store::read_state(&mut call.tx, &place)?;
    if call.fields().boolean("dry_run")? == Some(true) {
        return rehearse(call, &place, &plan, &state);
    }
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let was_paused = state.paused.take().is_some();
    match &mut state.active {
        Some(active) if was_paused => {
            let step = active.step;
            active.go_to(step, now);
        }
        Some(active) => return Err(under_way(active)),
        None => {
            wait_for_turn(&plan, &state, now)?;
            begin(call, &plan, &mut state, Reason::Demand, now)?;
        }
    }
    save_begun(call, &place, &plan, state, now, was_paused)
}

/// Writes what was begun, and says what it is.
fn save_begun(
    call: &mut Call<'_>,
    place: &Place,
    plan: &Plan,
    mut state: State,
    now: Moment,
    is_resumed: bool,
) -> Result<Response, Error> {
    store::save_state(&mut call.tx, place, plan, &mut state, now)?;
    let answer = state.active.as_ref().map(|active| {
        json!({
            "rotation": active.id,
            "step": active.step.as_str(),
            "reason": active.reason.as_str(),
            "resumed": is_resumed,
        })
    });
    Ok(object(answer.unwrap_or_default()))
}

fn begin(call: &Call<'_>, plan: &Plan, state: &mut State, reason: Reason, now: Moment) -> Result<(), Error> {
    let mut active = Active::begin(call.entropy(), plan, reason, now);
    (active.by, active.note) = (asker(call), note(call)?);
    state.spend_due(plan, now);
    state.failures = 0;
    state.active = Some(active);
    Ok(())
}

fn under_way(active: &Active) -> Error {
    let by = if active.by.is_empty() { "by its schedule".to_owned() } else { format!("by {}", active.by) };
    Error::new(
        ErrorKind::PreconditionFailed,
        format!(
            "rotation {} is under way, begun {by} at {} (step {}): one at a time",
            active.id,
            active.started,
            active.step.as_str()
        ),
    )
}

/// A rotation by demand ends nobody's grace.
fn wait_for_turn(plan: &Plan, state: &State, now: Moment) -> Result<(), Error> {
    let after = state.begins_after(plan);
    match after > now.steady {
        true => Err(Error::new(
            ErrorKind::PreconditionFailed,
            format!(
                "what would be changed is in its grace until {}: rotate after that, or report a leak",
                now.wall_of(after)
            ),
        )),
        false => Ok(()),
    }
}

/// What a rotation would do, and whether what it needs is there. Nothing is done.
fn rehearse(call: &mut Call<'_>, place: &Place, plan: &Plan, state: &State) -> Result<Response, Error> {
    let mut problems = Vec::new();
    if let Some(active) = &state.active {
        problems.extend(under_way(active).messages);
    }
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    problems.extend(wait_for_turn(plan, state, now).err().into_iter().flat_map(|error| error.messages));
    let kept = place.read(call)?;
    let payload = kept.payload.as_ref();
    let current = payload.map(|payload| Values::of_payload(payload, None)).transpose()?.unwrap_or_default();
    if kept.payload.is_none() && kept.version.max(state.version) > 0 {
        problems.push("the secret was deleted: there is nothing to rotate".to_owned());
    }
    let about = About { place, plan, id: "dry-run" };
    problems.extend(about.generation(call, &current).err().into_iter().flat_map(|error| error.messages));
    for target in [&plan.apply, &plan.verify] {
        if let Target::Database(target) = target {
            let opened = open_accounts(call, &target.mount, &target.connection);
            problems.extend(opened.err().into_iter().flat_map(|error| error.messages));
        }
    }
    let mut steps = vec![json!({ "step": "generate", "with": plan.generate }), json!({ "step": "stage" })];
    let outside = [("apply", &plan.apply), ("verify", &plan.verify)];
    let outside = outside.into_iter().filter(|(_, target)| **target != Target::None);
    steps.extend(outside.map(|(step, target)| json!({ "step": step, "with": target })));
    steps.push(json!({ "step": "promote", "version": kept.version + 1 }));
    if !plan.notify.is_empty() {
        steps.push(json!({ "step": "notify", "with": plan.notify }));
    }
    let grace = strongroom_secret::format_duration(plan.grace);
    steps.push(json!({ "step": "retire", "version": kept.version, "after": grace }));
    Ok(object(json!({ "dry_run": true, "steps": steps, "problems": problems })))
}

pub(super) fn rollback(call: &mut Call<'_>) -> Result<Response, Error> {
    let (place, plan) = planned(call)?;
    let mut state = store::read_state(&mut call.tx, &place)?;
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let (by, note) = (asker(call), note(call)?);
    let is_paused = state.paused.take().is_some();
    match state.active.as_mut() {
        Some(active) if active.is_promoted() => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "the new version is promoted and people are being told: roll back when that is done",
        )),
        Some(active) => {
            let why = format!("given up by {by}{}", if note.is_empty() { note } else { format!(": {note}") });
            active.cancelled_by = Some(by);
            match active.step {
                // Already on its way back.
                step @ (Step::Restore | Step::VerifyRestored) => {
                    active.go_to(step, now);
                }
                _ => {
                    active.note(now, "rollback", &why);
                    machine::turn_back(call, &place, &plan, &mut state, now, &why)?;
                }
            }
            save_begun(call, &place, &plan, state, now, is_paused)
        }
        None => {
            let valid = state.grace.iter().rev().find(|grace| grace.until > now.steady);
            let (version, values) =
                valid.map(|grace| (grace.version, grace.values.duplicate())).ok_or_else(|| {
                    Error::invalid("there is nothing to go back to: no version is in its grace")
                })?;
            begin(call, &plan, &mut state, Reason::Rollback, now)?;
            if let Some(active) = &mut state.active {
                active.given = Some(values);
                if active.note.is_empty() {
                    active.note = format!("back to version {version}");
                }
            }
            save_begun(call, &place, &plan, state, now, false)
        }
    }
}

pub(super) fn leak(call: &mut Call<'_>) -> Result<Response, Error> {
    let (place, plan) = planned(call)?;
    let mut state = store::read_state(&mut call.tx, &place)?;
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let version = call.fields().count("version")?;
    let current = place.read(call)?.version;
    if let Some(version) = version.filter(|version| *version != current) {
        let leaked = state.grace.iter_mut().filter(|grace| grace.version == version);
        let count = leaked.map(|grace| grace.until = grace.until.min(now.steady)).count();
        if count == 0 {
            return Err(Error::invalid(format!(
                "version {version} is neither the current one nor in its grace: it is not valid any more"
            )));
        }
        store::save_state(&mut call.tx, &place, &plan, &mut state, now)?;
        return Ok(object(json!({ "retired": version })));
    }
    if !plan.on_leak {
        return Err(Error::invalid("this plan does not rotate on a leak (on_leak): rotate by hand"));
    }
    let is_resumed = state.paused.take().is_some();
    let note = note(call)?;
    match state.active.as_mut() {
        Some(active) if active.is_promoted() => {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                "a new version was promoted just now and people are being told of it: report the leak of a version \
                 by its number",
            ));
        }
        // What got out is being replaced already: then without grace.
        Some(active) => {
            (active.reason, active.grace, active.ends_graces) = (Reason::Leak, plan.leak_grace, true);
            active.note = note;
            if is_resumed {
                let step = active.step;
                active.go_to(step, now);
            }
        }
        None => {
            // What else may have got out with it is over at once.
            state.grace.iter_mut().for_each(|grace| grace.until = grace.until.min(now.steady));
            begin(call, &plan, &mut state, Reason::Leak, now)?;
        }
    }
    save_begun(call, &place, &plan, state, now, is_resumed)
}
