//! Removal of what ended: secret-ids past their time, and those of roles that are gone. Neither is good for a login any
//! longer; this gives their room back.

use super::secret_ids::{self, Pointer, SecretId};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use strongroom_kernel::{Call, Error, Key, Record, Response, Table, Tidied};

/// Families whose role is gone.
const GONE: Table = Table(6);
/// Rows removed in one transaction.
const REMOVED_MAX: usize = 1000;

#[derive(Serialize, Deserialize)]
struct Gone {}

impl Record for Gone {}

fn gone_key(call: &Call<'_>, family: [u8; 8]) -> Key {
    call.tx.id_key(&call.table(GONE), &family)
}

/// Removes the secret-ids of a role that is being removed: at once if they are few, by and by otherwise.
pub(super) fn remove_family(call: &mut Call<'_>, family: [u8; 8]) -> Result<(), Error> {
    let mark = gone_key(call, family);
    if remove_piece(call, family)? == Tidied::More {
        call.tx.put_record(&mark, &Gone {})
    } else {
        call.tx.delete(&mark)
    }
}

fn remove_piece(call: &mut Call<'_>, family: [u8; 8]) -> Result<Tidied, Error> {
    let prefixes = [secret_ids::family_key(call, family), secret_ids::accessors_key(call, family)];
    let mut tidied = Tidied::All;
    for prefix in prefixes {
        if call.tx.delete_entries(&prefix, REMOVED_MAX)? == REMOVED_MAX {
            tidied = Tidied::More;
        }
    }
    Ok(tidied)
}

/// One piece of work.
pub(super) fn tidy(call: &mut Call<'_>) -> Result<Tidied, Error> {
    let ended = remove_ended(call)?;
    let table = call.table(GONE);
    let mut family = None;
    call.tx.entries(&table, &mut |rest, _| {
        family = rest.try_into().ok();
        Ok(ControlFlow::Break(()))
    })?;
    if let Some(family) = family {
        remove_family(call, family)?;
        return Ok(Tidied::More);
    }
    Ok(ended)
}

/// Removes secret-ids whose time is over.
fn remove_ended(call: &mut Call<'_>) -> Result<Tidied, Error> {
    let table = secret_ids::ends_key(call);
    let now = u64::try_from(call.now.nanoseconds()).unwrap_or(0);
    let mut due = Vec::new();
    call.tx.entries(&table, &mut |rest, value| {
        let at = rest.first_chunk::<8>().map_or(0, |at| u64::from_be_bytes(*at));
        if at > now || due.len() >= REMOVED_MAX {
            return Ok(ControlFlow::Break(()));
        }
        // After the byte of the record's version.
        let pointer = value.split_first().and_then(|(_, json)| serde_json::from_slice::<Pointer>(json).ok());
        due.push((rest.to_vec(), pointer));
        Ok(ControlFlow::Continue(()))
    })?;
    let tidied = if due.len() < REMOVED_MAX { Tidied::All } else { Tidied::More };
    for (rest, pointer) in due {
        if let Some(pointer) = pointer {
            remove_if_ended(call, &pointer)?;
        }
        let key = call.tx.entry_key(&table, &rest);
        call.tx.delete(&key)?;
    }
    Ok(tidied)
}

fn remove_if_ended(call: &mut Call<'_>, pointer: &Pointer) -> Result<(), Error> {
    let family = pointer.family.to_be_bytes();
    let key = secret_ids::key(call, family, &pointer.handle);
    match call.tx.record::<SecretId>(&key)? {
        // The same text may have been made a secret-id again.
        Some(entry) if entry.is_expired(call.now) => {
            secret_ids::remove(call, family, &pointer.handle, &entry)
        }
        _ => Ok(()),
    }
}

/// `tidy/secret-id`: Vault works in the background and says so; here a piece is done when the answer comes.
pub(super) fn tidy_now(call: &mut Call<'_>) -> Result<Response, Error> {
    let said = match tidy(call)? {
        Tidied::All => "Tidy operation finished.",
        Tidied::More => "Tidy operation successfully started. What is left is removed in the background.",
    };
    Ok(Response { status: Some(202), ..Response::default() }.with_warning(said))
}
