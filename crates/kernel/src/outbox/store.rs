//! Intents in the store: one small table for the whole server, looked at as a whole.

use crate::error::Error;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::request::wipe;
use crate::transaction::{Key, Record, Table, Tx};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_secret::Timestamp;

/// By id.
const OUTBOX: Table = Table(17);

/// What a handler says of what is about to be done outside.
pub struct IntentDraft {
    /// What it is, for operators: `create account`.
    pub kind: &'static str,
    /// Of what, for operators: never a secret.
    pub subject: String,
    /// What undoing it needs. Stored encrypted, shown to nobody.
    pub payload: Value,
}

/// An intent as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Intent {
    pub id: String,
    pub namespace: u64,
    pub mount: u64,
    pub kind: String,
    pub subject: String,
    pub payload: Value,
    pub made: Timestamp,
    /// The process that made it.
    pub incarnation: String,
    /// How often undoing it was begun. From the first time on, nothing concludes it any longer.
    pub attempts: u32,
    /// Not before this, once it was attempted.
    pub next_attempt: Timestamp,
    /// Why the last attempt failed.
    pub last_error: String,
}

impl Record for Intent {}

impl Drop for Intent {
    fn drop(&mut self) {
        wipe(&mut self.payload);
    }
}

impl std::fmt::Debug for Intent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intent").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn key(tx: &Tx<'_>, id: &str) -> Key {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), OUTBOX);
    // Ids are random texts of this process and say nothing.
    tx.id_key(&table, id.as_bytes())
}

pub(crate) fn read(tx: &mut Tx<'_>, id: &str) -> Result<Option<Intent>, Error> {
    let key = key(tx, id);
    tx.record(&key)
}

pub(crate) fn save(tx: &mut Tx<'_>, intent: &Intent) -> Result<(), Error> {
    let key = key(tx, &intent.id);
    tx.put_record(&key, intent)
}

pub(crate) fn forget(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    let key = key(tx, id);
    tx.delete(&key)
}

pub(crate) fn all(tx: &mut Tx<'_>) -> Result<Vec<Intent>, Error> {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), OUTBOX);
    tx.records(&table)
}
