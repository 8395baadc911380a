//! Which versions of the program have served this store, and since when.

use crate::error::Error;
use crate::kernel::Kernel;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::transaction::{Intent, Key, Record, Table, Tx};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use strongroom_secret::Timestamp;

const VERSIONS: Table = Table(31);
/// The oldest go beyond it.
const KEPT_MAX: usize = 200;

/// One row: every change of the version, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionHistory {
    pub installed: Vec<InstalledVersion>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstalledVersion {
    pub version: String,
    pub since: Timestamp,
}

impl Record for VersionHistory {}

fn key(tx: &Tx<'_>) -> Key {
    tx.table(kernel_space(ROOT_NAMESPACE), VERSIONS)
}

pub(crate) fn read(tx: &mut Tx<'_>) -> Result<VersionHistory, Error> {
    let key = key(tx);
    Ok(tx.record(&key)?.unwrap_or_default())
}

/// Notes a version as the one that serves from now on, unless it does already. Says whether anything changed.
pub(crate) fn note(tx: &mut Tx<'_>, version: &str, now: Timestamp) -> Result<bool, Error> {
    let mut history = read(tx)?;
    if history.installed.last().is_some_and(|last| last.version == version) {
        return Ok(false);
    }
    history.installed.push(InstalledVersion { version: version.to_owned(), since: now });
    let surplus = history.installed.len().saturating_sub(KEPT_MAX);
    history.installed.drain(..surplus);
    let key = key(tx);
    tx.put_record(&key, &history)?;
    Ok(true)
}

impl Kernel {
    /// Notes the version of this program, once after it was opened.
    pub(crate) fn note_version(self: &Arc<Self>) -> Result<(), Error> {
        if self.is_version_noted.load(Relaxed) {
            return Ok(());
        }
        let open = self.opened()?;
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        if note(&mut tx, &self.settings.program_version, self.now())? {
            let (transaction, effects) = tx.finish(self.entropy());
            self.commit_blocking(transaction, effects)?;
        }
        self.is_version_noted.store(true, Relaxed);
        Ok(())
    }
}
