//! Mounts whose data is brought into the form of another version, in bounded pieces, each a commit of its own: a crash in
//! between only delays the rest. Requests are put off until it is done.

use crate::backend::{Backend, Tidied};
use crate::error::Error;
use crate::mounts::{self, Mount};
use crate::removal::Removal;
use crate::transaction::{Space, Table, Tx};
use strongroom_secret::Timestamp;

/// What clients are told, in Vault's words: some wait for them.
pub(crate) const UPGRADING: &str = "Upgrading from non-versioned to versioned data. This backend will be unavailable \
                                    for a brief period and will resume service shortly.";

/// Refuses a request to a mount that is not ready for it.
pub(crate) fn refuse_upgrading(mount: &Mount) -> Result<(), Error> {
    match mount.record.is_upgrading {
        true => Err(Error::invalid(UPGRADING)),
        false => Ok(()),
    }
}

/// Whether a mount can change from one implementation to the other with data in it.
pub(crate) fn is_possible(before: &Backend, after: &Backend) -> bool {
    before.version < after.version && after.upgrade.is_some()
}

/// In the mount's own space, from the commit that begins its upgrade on.
const BEGUN: Table = Table(255);

/// Leaves the mark that stops writers of the version before.
pub(crate) fn begin(tx: &mut Tx<'_>, space: Space) -> Result<(), Error> {
    let mark = tx.table(space, BEGUN);
    tx.put(&mark, vec![1])
}

/// A writer that was routed to the version before must not write behind the upgrade's back: it reads the mark in its own
/// transaction, so that it is either seen by the upgrade or refused.
pub(crate) fn refuse_late_writes(tx: &mut Tx<'_>, mount: &Mount) -> Result<(), Error> {
    if mount.backend.version != Some("1") || !tx.is_writable() {
        return Ok(());
    }
    let mark = tx.table(mount.space(), BEGUN);
    match tx.get(&mark)? {
        Some(_) => Err(Error::invalid(UPGRADING)),
        None => Ok(()),
    }
}

/// One piece; with the last of them the mount serves again.
pub(crate) fn upgrade_mount(tx: &mut Tx<'_>, mount: &Mount, now: Timestamp) -> Result<Removal, Error> {
    let Some(upgrade) = mount.backend.upgrade else { return Ok(Removal::Done) };
    // Nobody else writes there meanwhile.
    if tx.untracked(|tx| upgrade(tx, mount, now))? == Tidied::More {
        return Ok(Removal::More);
    }
    let mut table = mounts::read_table(tx, mount.namespace)?;
    if let Some(record) = table.mounts.iter_mut().find(|record| record.id == mount.record.id) {
        record.is_upgrading = false;
    }
    mounts::write_table(tx, mount.namespace, &table)?;
    Ok(Removal::Done)
}
