//! Fingerprints of the values that mounts keep: made in the commit that writes a value, so that a scan can find the value
//! wherever it got to, and a finding can be told by name.
//!
//! The rows of a mount are in a table of the mount's own space, ordered by the time of their version: writers append, and
//! whoever fetches the index fetches what is new. A row stays when its version is deleted, destroyed or pushed out: an old
//! leak is still told by name. It goes with the mount, or a long time after its value (`sweep.rs`).
//!
//! Every namespace has a scan key of its own, derived from the keyring for this purpose alone: what is exported of one
//! namespace says nothing of another.

mod export;
mod keys;
mod leaves;
mod missing;
mod readers;
mod resolve;
mod routes;
mod rows;
mod sweep;
mod tags;

pub(crate) use keys::ScanKeys;
pub(crate) use missing::{BuiltMounts, build_missing};
pub(crate) use routes::ROUTES;
pub(crate) use sweep::{Sweeps, sweep};
pub(crate) use tags::TagIndexes;

use crate::call::Call;
use crate::error::Error;
use crate::mounts::Mount;
use crate::transaction::{Key, Tx};
use std::ops::ControlFlow;
use strongroom_fingerprint::ScanKey;
use strongroom_secret::{SecretBytes, Timestamp};

/// What an engine that keeps people's values says of them: `Backend::fingerprints`.
pub struct FingerprintFunctions {
    /// Below the mount, the path at which a value is read.
    pub value_path: fn(path: &str) -> String,
    /// Below the mount, the path whose reader may know of the secret.
    pub about_path: fn(path: &str) -> String,
    /// How versions of a secret stand; None where there is no such secret any more.
    pub standing: fn(&mut Tx<'_>, &Mount, path: &str, now: Timestamp) -> Result<Option<Standing>, Error>,
    /// The payloads of a secret that are kept, the current one among them.
    pub payloads: fn(&mut Tx<'_>, &Mount, path: &str) -> Result<Vec<SecretBytes>, Error>,
    /// The values that are kept, from the place `after` on: a bounded piece.
    pub values: fn(&mut Tx<'_>, &Mount, after: &[u8]) -> Result<Piece, Error>,
}

/// How the versions of one secret stand.
pub struct Standing {
    /// The number of the current version; zero where the engine keeps no versions.
    pub current: u64,
    /// Of an engine without versions: the value.
    pub value: Option<SecretBytes>,
    /// The versions that are kept, with the times at which they were written.
    pub versions: Vec<(u64, Timestamp, VersionState)>,
}

/// How a kept version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    Readable,
    Deleted,
    Destroyed,
    /// The secret's own time is over.
    Expired,
}

/// Some of the values that an engine keeps.
#[derive(Default)]
pub struct Piece {
    pub values: Vec<KeptValue>,
    /// Where the next piece begins; None after the last.
    pub next: Option<Vec<u8>>,
}

/// A value that is kept.
pub struct KeptValue {
    pub path: String,
    /// Zero for an engine without versions.
    pub version: u64,
    pub created: Timestamp,
    /// A JSON object.
    pub payload: SecretBytes,
}

/// Keeps the fingerprints of a version in the transaction that writes it. `payload` is a JSON object; its texts are what
/// is looked for.
pub fn record(call: &mut Call<'_>, path: &str, version: u64, payload: &[u8]) -> Result<(), Error> {
    crate::honey::follow(call, path, payload)?;
    let (mount, now) = (call.mount.clone(), call.now);
    record_in(&mut call.tx, &mount, path, (version, now), payload)
}

/// The same, of a version that was written at a time.
pub fn record_in(
    tx: &mut Tx<'_>,
    mount: &Mount,
    path: &str,
    (version, created): (u64, Timestamp),
    payload: &[u8],
) -> Result<(), Error> {
    if mount.record.config.no_fingerprints {
        return Ok(());
    }
    let key = tx.keys().scan.of(tx.keys(), mount.namespace);
    let path = path.trim_matches('/');
    let Some(row) = rows::made(&key, path, version, payload) else { return Ok(()) };
    let key = rows::key(tx, mount, created, &row);
    tx.put(&key, row.bytes)
}

/// Visits the texts of a payload that cannot be met by chance: those that have fingerprints.
pub(crate) fn visit_strong(key: &ScanKey, payload: &[u8], visit: &mut dyn FnMut(&str)) {
    leaves::visit(payload, &mut |_, text| {
        if strongroom_fingerprint::fingerprints(key, text.as_bytes()).is_ok() {
            visit(text);
        }
    });
}

/// Whether anything is stored in a mount's space but fingerprints: they are no data of the engine's.
pub(crate) fn holds_other_data(tx: &mut Tx<'_>, space: &Key) -> Result<bool, Error> {
    let mut first = None;
    tx.entries(space, &mut |rest, _| {
        first = rest.first().copied();
        Ok(ControlFlow::Break(()))
    })?;
    // Their tables are the last but those above.
    let above = tx.id_key(space, &[rows::ROWS.0 + 1]);
    Ok(first.is_some_and(|table| table < missing::STATE.0) || tx.has_entries(&above)?)
}

/// A mount that is being made has no values from before: its index is whole from the start.
pub fn begin(call: &mut Call<'_>) -> Result<(), Error> {
    missing::mark_whole(&mut call.tx, &call.mount)
}
