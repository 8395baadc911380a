//! The fingerprints of values from before: of stores that an older program wrote, and of mounts that had been told to keep
//! none. Made in bounded pieces, each a commit of its own.

use super::{Piece, record_in, rows};
use crate::error::Error;
use crate::mounts::Mount;
use crate::removal::Removal;
use crate::transaction::{Key, Record, Table, Tx};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use strongroom_secret::Timestamp;

pub(super) const STATE: Table = Table(253);
/// Rows that go in one commit, of a mount that keeps none any longer.
const REMOVED_AT_ONCE: usize = 512;

/// How far the index of a mount has come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// Every value that is kept has its fingerprints.
    pub is_whole: bool,
    /// Another one begins when rows come in that are older than the newest: who fetches what is new starts anew.
    pub generation: u64,
    /// When all rows were last looked at for values that are gone, in seconds.
    pub swept: i64,
    /// Where the next piece begins.
    #[serde(with = "hex::serde")]
    after: Vec<u8>,
}

impl Record for State {}

/// Mounts of which nothing is missing, as far as was seen in one generation of the topology.
#[derive(Default)]
pub(crate) struct BuiltMounts(Mutex<(u64, HashSet<(u64, u64)>)>);

impl BuiltMounts {
    pub(crate) fn contains(&self, generation: u64, mount: &Mount) -> bool {
        let mut built = self.0.lock();
        if built.0 != generation {
            *built = (generation, HashSet::new());
        }
        built.1.contains(&(mount.namespace, mount.record.id))
    }

    fn insert(&self, mount: &Mount) {
        self.0.lock().1.insert((mount.namespace, mount.record.id));
    }
}

fn key(tx: &Tx<'_>, mount: &Mount) -> Key {
    tx.table(mount.space(), STATE)
}

pub(super) fn state(tx: &mut Tx<'_>, mount: &Mount) -> Result<State, Error> {
    let key = key(tx, mount);
    Ok(tx.record(&key)?.unwrap_or_default())
}

pub(super) fn mark_whole(tx: &mut Tx<'_>, mount: &Mount) -> Result<(), Error> {
    let key = key(tx, mount);
    tx.put_record(&key, &State { is_whole: true, ..State::default() })
}

pub(super) fn note_swept(tx: &mut Tx<'_>, mount: &Mount, now: Timestamp) -> Result<(), Error> {
    let state = State { swept: now.seconds(), ..state(tx, mount)? };
    let key = key(tx, mount);
    tx.put_record(&key, &state)
}

/// One piece of what is missing, or of what a mount keeps no longer.
pub(crate) fn build_missing(tx: &mut Tx<'_>, mount: &Mount, built: &BuiltMounts) -> Result<Removal, Error> {
    // Rows are added or removed, and read by nobody who would decide anything by them: what is read need not hold the
    // commit back.
    tx.untracked(|tx| {
        if mount.record.config.no_fingerprints {
            return remove_all(tx, mount, built);
        }
        let mut state = state(tx, mount)?;
        let Some(functions) = mount.backend.fingerprints.filter(|_| !state.is_whole) else {
            built.insert(mount);
            return Ok(Removal::Done);
        };
        let Piece { values, next } = (functions.values)(tx, mount, &state.after)?;
        for value in values {
            let version = (value.version, value.created);
            record_in(tx, mount, &value.path, version, value.payload.expose())?;
        }
        state.is_whole = next.is_none();
        state.generation += u64::from(state.is_whole);
        state.after = next.unwrap_or_default();
        let key = key(tx, mount);
        tx.put_record(&key, &state)?;
        Ok(if state.is_whole { Removal::Done } else { Removal::More })
    })
}

fn remove_all(tx: &mut Tx<'_>, mount: &Mount, built: &BuiltMounts) -> Result<Removal, Error> {
    let rows = rows::table(tx, mount);
    if tx.delete_entries(&rows, REMOVED_AT_ONCE)? == REMOVED_AT_ONCE {
        return Ok(Removal::More);
    }
    let mut state = state(tx, mount)?;
    if state.is_whole || !state.after.is_empty() {
        state = State { generation: state.generation + 1, swept: state.swept, ..State::default() };
        let key = key(tx, mount);
        tx.put_record(&key, &state)?;
    } else if !tx.is_changed() {
        built.insert(mount);
    }
    Ok(Removal::Done)
}
