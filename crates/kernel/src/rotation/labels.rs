//! Labels of versions: `current`, `pending` and `previous`, as an engine that keeps versions shows them.

use super::Rotation;
use super::clock::Moment;
use super::plan::Place;
use super::state::State;
use super::store;
use crate::call::Call;
use crate::error::Error;
use crate::mounts::Mount;
use serde_json::{Map, Value};
use strongroom_secret::SecretBytes;

/// Which versions have a label. Only secrets with a plan have any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The number that a staged value will have, if nobody writes meanwhile.
    pub pending: Option<u64>,
    /// Still valid, the newest first.
    pub previous: Vec<u64>,
}

/// What is known of the rotation of a secret that has a plan.
pub(crate) struct Facts {
    pub labels: Labels,
    /// For answers.
    pub plan: Map<String, Value>,
}

/// What is known of the rotation of the secret at a path of a mount; None without a plan.
pub(crate) fn facts_of(
    call: &mut Call<'_>,
    mount: &Mount,
    path: &str,
    current: u64,
) -> Result<Option<Facts>, Error> {
    let place = Place { namespace: mount.namespace, mount: mount.record.id, path: path.to_owned() };
    let Some(plan) = store::read_plan(&mut call.tx, &place)? else { return Ok(None) };
    let state = store::read_state(&mut call.tx, &place)?;
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let facts = Map::from_iter([
        ("field".to_owned(), plan.field.clone().into()),
        ("on_leak".to_owned(), plan.on_leak.into()),
        ("is_paused".to_owned(), state.paused.is_some().into()),
        ("is_under_way".to_owned(), state.active.is_some().into()),
    ]);
    Ok(Some(Facts { labels: labels_at(&state, now, current), plan: facts }))
}

/// A label that a reader may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    Pending,
    Previous,
}

fn place(call: &Call<'_>, path: &str) -> Place {
    Place {
        namespace: call.mount.namespace,
        mount: call.mount.record.id,
        path: path.trim_matches('/').to_owned(),
    }
}

/// The labels of the secret at a path of the call's mount, whose current version is given.
pub fn labels(call: &mut Call<'_>, path: &str, current: u64) -> Result<Option<Labels>, Error> {
    let place = place(call, path);
    if store::read_plan(&mut call.tx, &place)?.is_none() {
        return Ok(None);
    }
    let state = store::read_state(&mut call.tx, &place)?;
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    Ok(Some(labels_at(&state, now, current)))
}

pub(super) fn labels_at(state: &State, now: Moment, current: u64) -> Labels {
    let is_pending =
        state.active.as_ref().is_some_and(|active| !active.is_promoted() && !active.pending.is_empty());
    let valid = state.grace.iter().rev().filter(|grace| grace.until > now.steady);
    Labels {
        pending: is_pending.then_some(current + 1),
        previous: valid.map(|grace| grace.version).collect(),
    }
}

/// The payload that a label names, and its version's number: of the newest previous version, or of the pending one as it
/// would be promoted onto `current`.
pub fn payload_of_label(
    call: &mut Call<'_>,
    path: &str,
    label: Label,
    current: Option<(u64, &SecretBytes)>,
) -> Result<Option<(u64, SecretBytes)>, Error> {
    let place = place(call, path);
    let Some(plan) = store::read_plan(&mut call.tx, &place)? else { return Ok(None) };
    let state = store::read_state(&mut call.tx, &place)?;
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let base = current.map(|(_, payload)| payload).filter(|_| plan.field.is_some());
    let (version, values) = match label {
        Label::Pending => match &state.active {
            Some(active) if !active.is_promoted() && !active.pending.is_empty() => {
                (current.map_or(0, |(version, _)| version) + 1, &active.pending)
            }
            _ => return Ok(None),
        },
        Label::Previous => match state.grace.iter().rev().find(|grace| grace.until > now.steady) {
            Some(grace) => (grace.version, &grace.values),
            None => return Ok(None),
        },
    };
    values.merged_into(base).map(|payload| Some((version, payload)))
}
