//! Leases: what was handed out for a time, and is taken back at its end.

use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::outbox;
use crate::tokens::{ExpiryKind, Parent, TokenRow, expiry_key};
use crate::transaction::{Key, Record, Table, Tx};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_secret::Timestamp;

/// By id, name by name.
const LEASES: Table = Table(7);
/// By the token that they were made for.
const BY_TOKEN: Table = Table(8);
/// Those that could not be taken back.
const IRREVOCABLE: Table = Table(15);

/// A lease as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The path that made it, and random text: `database/creds/app/6bH…`.
    pub id: String,
    pub namespace: u64,
    pub mount: u64,
    pub issued: Timestamp,
    pub expires: Timestamp,
    #[serde(default)]
    pub last_renewal: Option<Timestamp>,
    pub is_renewable: bool,
    #[serde(default)]
    pub ttl_max: Duration,
    pub token: Option<Parent>,
    /// What the engine wants back.
    #[serde(default)]
    pub internal: Value,
    /// Failed attempts to take it back.
    #[serde(default)]
    pub revocation_failures: u32,
    /// Its subject is outside the store: taking it back is an errand.
    #[serde(default)]
    pub is_outward: bool,
    /// It goes even if its subject cannot be taken back.
    #[serde(default)]
    pub is_forced: bool,
}

impl Record for LeaseRecord {}

/// After this many failed attempts to take something back, nobody tries again unasked.
const REVOCATION_FAILURES_MAX: u32 = 6;
/// After a failed attempt to take something back, the next one waits this long, then twice as long, and so on.
const RETRY_DELAY: Duration = Duration::from_secs(10);

impl LeaseRecord {
    /// Whether taking it back was given up. It stays, to be seen and to be forced.
    pub fn is_irrevocable(&self) -> bool {
        self.revocation_failures >= REVOCATION_FAILURES_MAX
    }

    /// The path that made it.
    pub fn path(&self) -> &str {
        self.id.rsplit_once('/').map_or("", |(path, _)| path)
    }

    /// What is left of its life, in whole seconds.
    pub fn ttl_left(&self, now: Timestamp) -> Duration {
        let left = self.expires.since(now);
        Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }
}

fn lease_key(tx: &Tx<'_>, namespace: u64, id: &str) -> Key {
    let table = tx.table(kernel_space(namespace), LEASES);
    tx.path_key(&table, id)
}

fn token_index_key(tx: &Tx<'_>, token: Parent) -> Key {
    let table = tx.table(kernel_space(token.namespace), BY_TOKEN);
    tx.id_key(&table, &token.row.0)
}

/// The handle under which indexes know a lease.
pub(crate) fn lease_row(tx: &Tx<'_>, id: &str) -> [u8; 20] {
    let tag = tx.keys().tokens.start().with(b"lease\0").with(id.as_bytes()).finish();
    let mut row = [0; 20];
    row.copy_from_slice(tag.first_chunk::<20>().unwrap_or(&[0; 20]));
    row
}

pub(crate) fn read(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<Option<LeaseRecord>, Error> {
    let key = lease_key(tx, namespace, id);
    tx.record(&key)
}

/// Writes a new lease with its index rows.
pub(crate) fn create(tx: &mut Tx<'_>, lease: &LeaseRecord) -> Result<(), Error> {
    let row = lease_row(tx, &lease.id);
    if let Some(token) = lease.token {
        let key = tx.id_key(&token_index_key(tx, token), &row);
        tx.put(&key, lease.id.clone().into_bytes())?;
    }
    index_end(tx, lease)?;
    save(tx, lease)
}

/// Writes a changed lease.
pub(crate) fn save(tx: &mut Tx<'_>, lease: &LeaseRecord) -> Result<(), Error> {
    let key = lease_key(tx, lease.namespace, &lease.id);
    tx.put_record(&key, lease)
}

/// Puts a lease into the time-ordered index under its present end.
pub(crate) fn index_end(tx: &mut Tx<'_>, lease: &LeaseRecord) -> Result<(), Error> {
    index_again(tx, lease, lease.expires)
}

/// Has the expirer look at a lease at some time.
pub(crate) fn index_again(tx: &mut Tx<'_>, lease: &LeaseRecord, at: Timestamp) -> Result<(), Error> {
    let key = end_key(tx, lease, at);
    tx.put(&key, lease.id.clone().into_bytes())
}

/// Takes back what [`index_again`] wrote.
pub(crate) fn forget_index(tx: &mut Tx<'_>, lease: &LeaseRecord, at: Timestamp) -> Result<(), Error> {
    let key = end_key(tx, lease, at);
    tx.delete(&key)
}

fn end_key(tx: &Tx<'_>, lease: &LeaseRecord, at: Timestamp) -> Key {
    let row = lease_row(tx, &lease.id);
    match lease.is_outward {
        true => outbox::outward_expiry_key(tx, lease.mount, at, lease.namespace, &row),
        false => expiry_key(tx, at, ExpiryKind::Lease, lease.namespace, &row),
    }
}

/// Ends a lease now, whatever became of attempts to take it back.
pub(crate) fn end_anew(tx: &mut Tx<'_>, mut lease: LeaseRecord, now: Timestamp) -> Result<(), Error> {
    if lease.is_irrevocable() {
        let key = irrevocable_key(tx, &lease);
        tx.delete(&key)?;
    }
    forget_index(tx, &lease, lease.expires)?;
    lease.revocation_failures = 0;
    lease.expires = lease.expires.min(now);
    index_end(tx, &lease)?;
    save(tx, &lease)
}

/// Notes a failed attempt; the next one comes later, and after the last the lease stays until somebody forces it.
pub(crate) fn put_off(tx: &mut Tx<'_>, mut lease: LeaseRecord, now: Timestamp) -> Result<(), Error> {
    let delay = RETRY_DELAY * 2_u32.saturating_pow(lease.revocation_failures.min(10));
    lease.revocation_failures += 1;
    save(tx, &lease)?;
    if lease.is_irrevocable() {
        give_up(tx, &lease)?;
        tracing::error!(lease = %lease.id, "the lease is given up: revoke it by force when its target is in order");
        return Ok(());
    }
    index_again(tx, &lease, now.plus(delay))
}

/// Notes a lease that could not be taken back: there are few of them, and operators ask for them.
fn give_up(tx: &mut Tx<'_>, lease: &LeaseRecord) -> Result<(), Error> {
    let key = irrevocable_key(tx, lease);
    tx.put(&key, lease.id.clone().into_bytes())
}

fn irrevocable_key(tx: &Tx<'_>, lease: &LeaseRecord) -> Key {
    let table = tx.table(kernel_space(lease.namespace), IRREVOCABLE);
    tx.id_key(&table, &lease_row(tx, &lease.id))
}

/// The leases that could not be taken back.
pub(crate) fn irrevocable(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<LeaseRecord>, Error> {
    let table = tx.table(kernel_space(namespace), IRREVOCABLE);
    let mut ids = Vec::new();
    tx.entries(&table, &mut |_, id| {
        ids.extend(String::from_utf8(id.to_vec()));
        Ok(ControlFlow::Continue(()))
    })?;
    let mut found = Vec::new();
    for id in ids {
        found.extend(read(tx, namespace, &id)?.filter(LeaseRecord::is_irrevocable));
    }
    Ok(found)
}

/// How many leases there are below a path; all of the namespace for an empty one. Only keys are looked at.
pub(crate) fn count_below(tx: &mut Tx<'_>, namespace: u64, path: &str) -> Result<u64, Error> {
    let folder = lease_key(tx, namespace, path);
    tx.count_entries(&folder)
}

/// Removes a lease and its index rows. Its engine has taken back what was handed out.
pub(crate) fn remove(tx: &mut Tx<'_>, lease: &LeaseRecord) -> Result<(), Error> {
    let row = lease_row(tx, &lease.id);
    forget_index(tx, lease, lease.expires)?;
    if let Some(token) = lease.token {
        let key = tx.id_key(&token_index_key(tx, token), &row);
        tx.delete(&key)?;
    }
    if lease.is_irrevocable() {
        let key = irrevocable_key(tx, lease);
        tx.delete(&key)?;
    }
    let key = lease_key(tx, lease.namespace, &lease.id);
    tx.delete(&key)
}

/// The ids of the leases that were made for a token.
pub(crate) fn of_token(tx: &mut Tx<'_>, namespace: u64, row: TokenRow) -> Result<Vec<String>, Error> {
    let prefix = token_index_key(tx, Parent { namespace, row });
    let mut ids = Vec::new();
    tx.entries(&prefix, &mut |_, id| {
        ids.extend(String::from_utf8(id.to_vec()));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ids)
}

/// The ids of up to `limit` leases below a path.
pub(crate) fn below(tx: &mut Tx<'_>, namespace: u64, path: &str, limit: usize) -> Result<Vec<String>, Error> {
    let folder = lease_key(tx, namespace, path);
    let base = path.trim_matches('/');
    let found = tx.descendants(&folder, limit)?;
    Ok(found
        .into_iter()
        .map(|rest| match (base, rest.as_str()) {
            ("", rest) => rest.to_owned(),
            (base, "") => base.to_owned(),
            (base, rest) => format!("{base}/{rest}"),
        })
        .collect())
}

/// The names directly below a path of lease ids.
pub(crate) fn children(tx: &mut Tx<'_>, namespace: u64, path: &str) -> Result<Vec<String>, Error> {
    let folder = lease_key(tx, namespace, path);
    tx.children(&folder)
}

/// Visits the leases of a namespace, until `see` breaks.
pub(crate) fn visit(
    tx: &mut Tx<'_>,
    namespace: u64,
    see: &mut dyn FnMut(LeaseRecord) -> ControlFlow<()>,
) -> Result<(), Error> {
    let table = tx.table(kernel_space(namespace), LEASES);
    tx.entries(&table, &mut |_, value| Ok(see(crate::transaction::decode(value)?)))
}
