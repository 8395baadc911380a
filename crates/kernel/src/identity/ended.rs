//! Rows of a folder that stand in the order of their ends: what has ended goes as new ones come, a few at a time.

use crate::error::Error;
use crate::transaction::{Key, Tx};
use std::ops::ControlFlow;
use strongroom_secret::Timestamp;

/// Rows removed at once: more than are made, so that none are left.
const REMOVED_MAX: usize = 4;

/// How such a row's key begins within its folder.
pub(super) fn end_bytes(end: Timestamp) -> [u8; 8] {
    end.nanoseconds().to_be_bytes()
}

/// Removes a few rows whose time is over.
pub(super) fn sweep(tx: &mut Tx<'_>, folder: &Key, now: Timestamp) -> Result<(), Error> {
    let mut ended = Vec::new();
    tx.entries(folder, &mut |rest, _| {
        let end = rest.first_chunk::<8>().map_or(0, |end| i64::from_be_bytes(*end));
        if end > now.nanoseconds() || ended.len() >= REMOVED_MAX {
            return Ok(ControlFlow::Break(()));
        }
        ended.push(rest.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    for rest in &ended {
        let key = tx.entry_key(folder, rest);
        tx.delete(&key)?;
    }
    Ok(())
}
