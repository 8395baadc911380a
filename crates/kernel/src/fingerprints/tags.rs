//! Which rows hold a tag. In memory alone, so that a write pays nothing for it: made when somebody first asks, and kept up with what
//! has come since. What it says is looked up in the rows: one that is gone says nothing.

use super::rows::{self, ID_BYTES};
use crate::error::Error;
use crate::mounts::Mount;
use crate::transaction::Tx;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use strongroom_fingerprint::Tag;
use strongroom_secret::Timestamp;

/// Entries of one mount, of about 36 bytes. Of a mount with more all rows are looked at.
const ENTRIES_MAX: usize = 2_000_000;

pub(super) type RowId = [u8; ID_BYTES];

/// The indexes of mounts, by namespace and mount. They go with the keys that their tags were made by.
#[derive(Default)]
pub(crate) struct TagIndexes(Mutex<HashMap<(u64, u64), Arc<Mutex<TagIndex>>>>);

#[derive(Default)]
struct TagIndex {
    generation: u64,
    after: RowId,
    is_too_large: bool,
    /// By the beginning of the tag.
    rows: BTreeSet<(u64, RowId)>,
}

impl TagIndexes {
    fn of(&self, mount: &Mount) -> Arc<Mutex<TagIndex>> {
        self.0.lock().entry((mount.namespace, mount.record.id)).or_default().clone()
    }

    /// Of a mount that is gone, or whose rows were looked through: it is made anew when somebody asks.
    pub(crate) fn forget(&self, mount: &Mount) {
        self.0.lock().remove(&(mount.namespace, mount.record.id));
    }
}

fn beginning(tag: &Tag) -> u64 {
    tag.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The rows that may hold one of the tags; None where all have to be looked at. A row that came in between two looks may be later
/// than its time says: those of the last minutes are taken in again.
pub(super) fn rows_with(
    tx: &mut Tx<'_>,
    mount: &Mount,
    (generation, now): (u64, Timestamp),
    tags: &mut dyn Iterator<Item = &Tag>,
) -> Result<Option<Vec<RowId>>, Error> {
    let index = tx.keys().tags.of(mount);
    let mut index = index.lock();
    if index.generation != generation {
        *index = TagIndex { generation, ..TagIndex::default() };
    }
    if !index.is_too_large {
        take_in(tx, mount, &mut index, now)?;
    }
    if index.is_too_large {
        return Ok(None);
    }
    let mut found = BTreeSet::new();
    for tag in tags {
        let start = beginning(tag);
        let range = (start, [0; ID_BYTES])..=(start, [u8::MAX; ID_BYTES]);
        found.extend(index.rows.range(range).map(|(_, row)| *row));
    }
    Ok(Some(found.into_iter().collect()))
}

fn take_in(tx: &mut Tx<'_>, mount: &Mount, index: &mut TagIndex, now: Timestamp) -> Result<(), Error> {
    let begun = index.after;
    let mut after = begun;
    rows::visit(tx, mount, &begun, &mut |id, row| {
        after = id.try_into().unwrap_or(after);
        for tag in row.leaves().flat_map(|leaf| leaf.tags()) {
            index.rows.insert((beginning(&tag), after));
        }
        index.is_too_large = index.rows.len() > ENTRIES_MAX;
        if index.is_too_large { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if index.is_too_large {
        index.rows = BTreeSet::new();
    }
    index.after = after.min(rows::settled_before(now)).max(begun);
    Ok(())
}
