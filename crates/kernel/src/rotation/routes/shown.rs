//! `sys/rotation/status/`, `history/` and `calendar`.

use super::planned;
use crate::call::Call;
use crate::error::Error;
use crate::request::Response;
use crate::rotation::clock::Moment;
use crate::rotation::labels::labels_at;
use crate::rotation::plan::{Place, Plan};
use crate::rotation::state::{Active, Event, State};
use crate::rotation::worker::wall_text;
use crate::rotation::{Rotation, store};
use serde_json::{Map, Value, json};
use std::time::Duration;

const WITHIN_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
const PLANS_MAX: usize = 10_000;

pub(super) fn status(call: &mut Call<'_>) -> Result<Response, Error> {
    let (place, plan) = planned(call)?;
    let state = store::read_state(&mut call.tx, &place)?;
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let current = place.read(call)?.version;
    let labels = labels_at(&state, now, current);
    let previous: Vec<Value> = state
        .grace
        .iter()
        .rev()
        .filter(|grace| grace.until > now.steady)
        .map(|grace| json!({ "version": grace.version, "valid_until": wall_text(now, grace.until) }))
        .collect();
    let next = state.next_rotation(&plan, now);
    let shown = json!({
        "path": place.shown(call),
        "state": word(&state, now),
        "versions": { "current": current, "pending": labels.pending, "previous": previous },
        "rotation": state.active.as_ref().map(|active| describe(active, now)),
        "paused": state.paused.as_ref().map(|paused| {
            json!({ "reason": paused.reason, "since": paused.since.rfc3339() })
        }),
        "next": next.map(|(at, _)| wall_text(now, at)),
        "next_reason": next.map(|(_, reason)| reason.as_str()),
        "reads": state.reads,
        "failures": state.failures,
    });
    Ok(object(shown))
}

fn object(value: Value) -> Response {
    match value {
        Value::Object(map) => Response::data(map),
        _ => Response::data(Map::new()),
    }
}

/// One word for how it stands.
fn word(state: &State, now: Moment) -> &'static str {
    match (&state.paused, &state.active) {
        (Some(_), _) => "paused",
        (None, Some(_)) => "rotating",
        (None, None) if state.failures > 0 => "failing",
        (None, None) if state.grace.iter().any(|grace| grace.until > now.steady) => "grace",
        (None, None) => "idle",
    }
}

fn describe(active: &Active, now: Moment) -> Value {
    json!({
        "id": active.id,
        "reason": active.reason.as_str(),
        "by": active.by,
        "note": active.note,
        "started": active.started.rfc3339(),
        "step": active.step.as_str(),
        "failed_attempts": active.attempts,
        "next_attempt": wall_text(now, active.not_before),
        "error": active.error,
        "events": active.events.iter().map(describe_event).collect::<Vec<_>>(),
    })
}

fn describe_event(event: &Event) -> Value {
    json!({ "time": event.time.rfc3339(), "step": event.step, "error": event.error })
}

pub(super) fn history(call: &mut Call<'_>) -> Result<Response, Error> {
    let (place, _) = planned(call)?;
    let state = store::read_state(&mut call.tx, &place)?;
    let entries: Vec<Value> = store::history(&mut call.tx, &place, &state)?
        .into_iter()
        .map(|past| {
            json!({
                "id": past.id,
                "reason": past.reason.as_str(),
                "by": past.by,
                "note": past.note,
                "started": past.started.rfc3339(),
                "ended": past.ended.rfc3339(),
                "outcome": past.outcome,
                "replaced_version": past.base,
                "version": past.version,
                "error": past.error,
                "retired": past.retired.map(|at| at.rfc3339()),
                "events": past.events.iter().map(describe_event).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(object(json!({ "rotations": entries })))
}

/// Everything of the namespace that is due within a time, under way, or paused; what comes first is first.
pub(super) fn calendar(call: &mut Call<'_>) -> Result<Response, Error> {
    let within = call.fields().duration("within")?.unwrap_or(WITHIN_DEFAULT);
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let until = now.steady.plus(within);
    let namespace = call.namespace.clone();
    let mut entries = Vec::new();
    for mount in namespace.mounts.values().filter(|mount| mount.backend.secrets.is_some()) {
        let paths = store::paths(&mut call.tx, namespace.id(), mount.record.id, PLANS_MAX)?;
        for path in paths {
            let place = Place { namespace: namespace.id(), mount: mount.record.id, path };
            let Some(plan) = store::read_plan(&mut call.tx, &place)? else { continue };
            let state = store::read_state(&mut call.tx, &place)?;
            entries.extend(dates(&plan, &state, now).into_iter().filter(|(at, _)| *at <= until).map(
                |(at, mut entry)| {
                    entry.insert("path".to_owned(), format!("{}{}", mount.path(), place.path).into());
                    entry.insert("time".to_owned(), wall_text(now, at).into());
                    (at, entry)
                },
            ));
        }
    }
    entries.sort_by_key(|(at, _)| *at);
    entries.truncate(PLANS_MAX);
    let entries: Vec<Value> = entries.into_iter().map(|(_, entry)| Value::Object(entry)).collect();
    Ok(object(json!({ "entries": entries })))
}

/// What is going to happen to one secret, with its steady time.
fn dates(plan: &Plan, state: &State, now: Moment) -> Vec<(strongroom_secret::Timestamp, Map<String, Value>)> {
    let entry = |what: &str, detail: Value| {
        Map::from_iter([("what".to_owned(), what.into()), ("detail".to_owned(), detail)])
    };
    let mut dates = Vec::new();
    if let Some(paused) = &state.paused {
        dates.push((now.steady, entry("paused", paused.reason.clone().into())));
    } else if let Some(active) = &state.active {
        dates.push((active.not_before.max(now.steady), entry("under way", active.step.as_str().into())));
    } else if let Some((at, reason)) = state.next_rotation(plan, now) {
        dates.push((at, entry("rotate", reason.as_str().into())));
    }
    dates.extend(
        state.grace.iter().map(|grace| (grace.until, entry("retire", json!({ "version": grace.version })))),
    );
    dates
}
