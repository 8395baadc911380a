//! The rows of rotation. Plans and what became of them are in their namespace; the indexes, ordered by time, are in the root
//! namespace, so that one look finds what is due of all.

use super::clock::Moment;
use super::plan::{Place, Plan};
use super::state::{Past, State};
use crate::effect::Effect;
use crate::error::Error;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::transaction::{Key, Table, Tx, decode};
use std::ops::ControlFlow;
use strongroom_secret::Timestamp;

const PLANS: Table = Table(50);
const STATES: Table = Table(51);
const HISTORY: Table = Table(52);
const DUE: Table = Table(53);
/// Plans that are due after a number of reads.
const COUNTED: Table = Table(54);
const PAUSED: Table = Table(55);
/// Plans with times of the wall clock.
const WALL: Table = Table(57);

/// Entries of the history that are kept of a plan.
const HISTORY_MAX: u64 = 100;

/// A plan that is due.
pub(super) struct DueRow {
    pub key: Key,
    pub place: Place,
    pub id: String,
}

/// The start of the rows of a mount's plans in a table, which end in the hidden path.
fn of_mount(tx: &Tx<'_>, table: Table, namespace: u64, mount: u64) -> Key {
    let table = tx.table(kernel_space(namespace), table);
    tx.id_key(&table, &mount.to_be_bytes())
}

fn place_key(tx: &Tx<'_>, table: Table, place: &Place) -> Key {
    tx.path_key(&of_mount(tx, table, place.namespace, place.mount), &place.path)
}

fn index_key(tx: &Tx<'_>, table: Table, id: &str) -> Key {
    tx.id_key(&tx.table(kernel_space(ROOT_NAMESPACE), table), id.as_bytes())
}

fn due_key(tx: &Tx<'_>, at: Timestamp, id: &str) -> Key {
    let mut row = u64::try_from(at.nanoseconds()).unwrap_or(0).to_be_bytes().to_vec();
    row.extend_from_slice(id.as_bytes());
    tx.id_key(&tx.table(kernel_space(ROOT_NAMESPACE), DUE), &row)
}

pub(super) fn read_plan(tx: &mut Tx<'_>, place: &Place) -> Result<Option<Plan>, Error> {
    let key = place_key(tx, PLANS, place);
    tx.record(&key)
}

pub(super) fn read_state(tx: &mut Tx<'_>, place: &Place) -> Result<State, Error> {
    let key = place_key(tx, STATES, place);
    Ok(tx.record(&key)?.unwrap_or_default())
}

pub(super) fn save_plan(tx: &mut Tx<'_>, place: &Place, plan: &Plan) -> Result<(), Error> {
    let key = place_key(tx, PLANS, place);
    tx.put_record(&key, plan)?;
    mark(tx, WALL, plan, place, plan.schedule.has_wall_times())?;
    mark(tx, COUNTED, plan, place, plan.schedule.reads.is_some())?;
    tx.after_commit(Effect::CountedSecrets);
    Ok(())
}

/// Keeps or removes a row of an index.
fn mark(tx: &mut Tx<'_>, table: Table, plan: &Plan, place: &Place, is_in: bool) -> Result<(), Error> {
    let key = index_key(tx, table, &plan.id);
    if is_in { tx.put_record(&key, place) } else { tx.delete(&key) }
}

/// Writes a state, and moves its row in the index to the time at which something is due next.
pub(super) fn save_state(
    tx: &mut Tx<'_>,
    place: &Place,
    plan: &Plan,
    state: &mut State,
    now: Moment,
) -> Result<(), Error> {
    let next = state.next(plan, now);
    if next != state.due_at {
        if let Some(at) = state.due_at {
            let key = due_key(tx, at, &plan.id);
            tx.delete(&key)?;
        }
        if let Some(at) = next {
            let key = due_key(tx, at, &plan.id);
            tx.put_record(&key, place)?;
        }
        state.due_at = next;
    }
    mark(tx, PAUSED, plan, place, state.paused.is_some())?;
    let key = place_key(tx, STATES, place);
    tx.put_record(&key, state)
}

pub(super) fn remove(tx: &mut Tx<'_>, place: &Place, plan: &Plan, state: &State) -> Result<(), Error> {
    if let Some(at) = state.due_at {
        let key = due_key(tx, at, &plan.id);
        tx.delete(&key)?;
    }
    for table in [WALL, COUNTED, PAUSED] {
        let key = index_key(tx, table, &plan.id);
        tx.delete(&key)?;
    }
    for table in [PLANS, STATES] {
        let key = place_key(tx, table, place);
        tx.delete(&key)?;
    }
    for sequence in state.sequence.saturating_sub(HISTORY_MAX)..state.sequence {
        let key = past_key(tx, place, sequence);
        tx.delete(&key)?;
    }
    tx.after_commit(Effect::CountedSecrets);
    Ok(())
}

/// Removes a piece of the plans of a mount that is being removed; says how many rows went. Rows of what is due are removed
/// when their time comes.
pub(crate) fn forget_mount(
    tx: &mut Tx<'_>,
    namespace: u64,
    mount: u64,
    limit: usize,
) -> Result<usize, Error> {
    let plans = of_mount(tx, PLANS, namespace, mount);
    let mut removed = forget_plans(tx, &plans, limit)?;
    if removed == 0 {
        for table in [STATES, HISTORY] {
            let prefix = of_mount(tx, table, namespace, mount);
            removed += tx.delete_entries(&prefix, limit.saturating_sub(removed).max(1))?;
        }
    }
    Ok(removed)
}

/// The same for a namespace, whose other rows go with it.
pub(crate) fn forget_namespace(tx: &mut Tx<'_>, namespace: u64, limit: usize) -> Result<usize, Error> {
    let plans = tx.table(kernel_space(namespace), PLANS);
    forget_plans(tx, &plans, limit)
}

/// Removes plans with their rows in the indexes.
fn forget_plans(tx: &mut Tx<'_>, plans: &Key, limit: usize) -> Result<usize, Error> {
    let mut ids = Vec::new();
    tx.entries(plans, &mut |_, value| {
        ids.push(decode::<Plan>(value)?.id);
        Ok(if ids.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    for id in &ids {
        for table in [WALL, COUNTED, PAUSED] {
            let key = index_key(tx, table, id);
            tx.delete(&key)?;
        }
    }
    // The same ones, for they are met in the same order.
    tx.delete_entries(plans, ids.len())?;
    Ok(ids.len())
}

/// The paths of a mount's plans.
pub(super) fn paths(tx: &mut Tx<'_>, namespace: u64, mount: u64, limit: usize) -> Result<Vec<String>, Error> {
    let prefix = of_mount(tx, PLANS, namespace, mount);
    tx.descendants(&prefix, limit)
}

/// The names directly below a folder of a mount's plans.
pub(super) fn children(
    tx: &mut Tx<'_>,
    namespace: u64,
    mount: u64,
    folder: &str,
) -> Result<Vec<String>, Error> {
    let folder = tx.path_key(&of_mount(tx, PLANS, namespace, mount), folder);
    tx.children(&folder)
}

/// Up to `limit` rows that are due at a steady time, and the time of the first row after them.
pub(super) fn due(
    tx: &mut Tx<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<(Vec<DueRow>, Option<Timestamp>), Error> {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), DUE);
    let (mut found, mut next) = (Vec::new(), None);
    tx.entries(&table, &mut |rest, value| {
        let damaged = || Error::internal("a row of the index of rotations has another form");
        let (at, id) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let at = Timestamp::from_nanoseconds(i64::try_from(u64::from_be_bytes(*at)).map_err(|_| damaged())?);
        if at > now || found.len() >= limit {
            next = Some(at);
            return Ok(ControlFlow::Break(()));
        }
        let id = String::from_utf8(id.to_vec()).map_err(|_| damaged())?;
        found.push((rest.to_vec(), id, decode::<Place>(value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    let row =
        |(rest, id, place): (Vec<u8>, String, Place)| DueRow { key: tx.entry_key(&table, &rest), place, id };
    Ok((found.into_iter().map(row).collect(), next))
}

/// The places in an index.
fn places(tx: &mut Tx<'_>, table: Table, limit: usize) -> Result<Vec<(String, Place)>, Error> {
    let prefix = tx.table(kernel_space(ROOT_NAMESPACE), table);
    let mut found = Vec::new();
    tx.entries(&prefix, &mut |rest, value| {
        found.push((String::from_utf8_lossy(rest).into_owned(), decode::<Place>(value)?));
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}

/// All plans with times of the wall clock.
pub(super) fn with_wall_times(tx: &mut Tx<'_>) -> Result<Vec<(String, Place)>, Error> {
    places(tx, WALL, usize::MAX)
}

/// All plans that count reads.
pub(super) fn counted(tx: &mut Tx<'_>) -> Result<Vec<(String, Place)>, Error> {
    places(tx, COUNTED, usize::MAX)
}

/// How many plans are paused.
pub(crate) fn count_paused(tx: &mut Tx<'_>) -> Result<u64, Error> {
    let prefix = tx.table(kernel_space(ROOT_NAMESPACE), PAUSED);
    tx.count_entries(&prefix)
}

fn past_key(tx: &Tx<'_>, place: &Place, sequence: u64) -> Key {
    // Counted from zero by ones: the first byte is zero, which no name's length is.
    tx.id_key(&place_key(tx, HISTORY, place), &sequence.to_be_bytes())
}

/// Adds an entry to the history, and drops what is kept no longer.
pub(super) fn add_past(tx: &mut Tx<'_>, place: &Place, state: &mut State, past: &Past) -> Result<u64, Error> {
    let sequence = state.sequence;
    let key = past_key(tx, place, sequence);
    tx.put_record(&key, past)?;
    if let Some(dropped) = sequence.checked_sub(HISTORY_MAX) {
        let key = past_key(tx, place, dropped);
        tx.delete(&key)?;
    }
    state.sequence += 1;
    Ok(sequence)
}

/// Notes in the history that the version which a rotation replaced was retired.
pub(super) fn note_retired(
    tx: &mut Tx<'_>,
    place: &Place,
    sequence: u64,
    now: Moment,
    error: &str,
) -> Result<(), Error> {
    let key = past_key(tx, place, sequence);
    let Some(mut past) = tx.record::<Past>(&key)? else { return Ok(()) };
    past.retired = Some(now.wall);
    past.events.push(super::state::Event {
        time: now.wall,
        step: "retire".to_owned(),
        error: error.to_owned(),
    });
    tx.put_record(&key, &past)
}

/// The history, the newest entry first.
pub(super) fn history(tx: &mut Tx<'_>, place: &Place, state: &State) -> Result<Vec<Past>, Error> {
    let mut entries = Vec::new();
    for sequence in (state.sequence.saturating_sub(HISTORY_MAX)..state.sequence).rev() {
        let key = past_key(tx, place, sequence);
        entries.extend(tx.record::<Past>(&key)?);
    }
    Ok(entries)
}
