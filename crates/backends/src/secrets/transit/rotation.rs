//! Keys that rotate by themselves: an index by the time of the next rotation, worked off by the server's maintenance.

use super::key::{self, TransitKey};
use super::keys;
use std::ops::ControlFlow;
use strongroom_kernel::{Call, Error, Key, Table, Tidied};
use strongroom_secret::Timestamp;

/// By the time of the next rotation, then by name; the row holds the name.
const DUE: Table = Table(3);
/// Rotations in one piece of maintenance: an RSA key takes tenths of a second.
const ROTATIONS_AT_ONCE: usize = 4;

fn due_key(call: &Call<'_>, at: Timestamp, name: &str) -> Key {
    // Times before 1970 sort as the first: they are over all the same.
    let at = u64::try_from(at.nanoseconds()).unwrap_or(0);
    let table = call.tx.id_key(&call.table(DUE), &at.to_be_bytes());
    call.tx.name_key(&table, name)
}

/// Moves a key in the index to its next rotation.
pub(super) fn reindex(call: &mut Call<'_>, before: Option<Timestamp>, key: &TransitKey) -> Result<(), Error> {
    if let Some(before) = before.filter(|before| Some(*before) != key.next_rotation) {
        let row = due_key(call, before, &key.name);
        call.tx.delete(&row)?;
    }
    if let Some(at) = key.next_rotation {
        let row = due_key(call, at, &key.name);
        call.tx.put(&row, key.name.clone().into_bytes())?;
    }
    Ok(())
}

/// Takes a key out of the index.
pub(super) fn remove(call: &mut Call<'_>, key: &TransitKey) -> Result<(), Error> {
    let Some(at) = key.next_rotation else { return Ok(()) };
    let row = due_key(call, at, &key.name);
    call.tx.delete(&row)
}

/// Rotates some of the keys whose time has come.
pub(super) fn tidy(call: &mut Call<'_>) -> Result<Tidied, Error> {
    let (table, now) = (call.table(DUE), u64::try_from(call.now.nanoseconds()).unwrap_or(0));
    let mut due = Vec::new();
    call.tx.entries(&table, &mut |rest, name| {
        let at = rest.first_chunk().map(|at| u64::from_be_bytes(*at));
        if at.is_none_or(|at| at > now) || due.len() > ROTATIONS_AT_ONCE {
            return Ok(ControlFlow::Break(()));
        }
        due.push((rest.to_vec(), String::from_utf8_lossy(name).into_owned()));
        Ok(ControlFlow::Continue(()))
    })?;
    let has_more = due.len() > ROTATIONS_AT_ONCE;
    for (rest, name) in due.into_iter().take(ROTATIONS_AT_ONCE) {
        let row = call.tx.entry_key(&table, &rest);
        call.tx.delete(&row)?;
        let Some(mut key) = key::read(call, &name)? else { continue };
        if key.next_rotation.is_some_and(|at| at <= call.now) {
            rotate_or_stop(call, &mut key)?;
        }
    }
    Ok(if has_more { Tidied::More } else { Tidied::All })
}

/// A key that cannot be rotated (soft deleted, too many versions) does not keep maintenance from the others.
fn rotate_or_stop(call: &mut Call<'_>, key: &mut TransitKey) -> Result<(), Error> {
    match keys::rotate_key(call, key) {
        Err(error) if error.kind == strongroom_kernel::ErrorKind::Invalid => {
            key.next_rotation = Some(call.now.plus(key.settings.auto_rotate_period));
            reindex(call, None, key)?;
            key::write(call, key)
        }
        outcome => outcome,
    }
}
