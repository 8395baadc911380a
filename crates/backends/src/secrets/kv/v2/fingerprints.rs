//! What fingerprints need to know of secrets: how their versions stand, and the values that are kept.

use super::row::{self, Stored};
use std::ops::ControlFlow;
use strongroom_kernel::fingerprints::{FingerprintFunctions, KeptValue, Piece, Standing, VersionState};
use strongroom_kernel::{Error, Mount, Tx};
use strongroom_secret::{SecretBytes, Timestamp};

/// Secrets of one piece, and about how many bytes.
const SECRETS_MAX: usize = 64;
const BYTES_MAX: usize = 4 << 20;

pub(super) static FUNCTIONS: FingerprintFunctions = FingerprintFunctions {
    value_path: |path| format!("data/{path}"),
    about_path: |path| format!("metadata/{path}"),
    standing,
    payloads,
    values,
};

fn payloads(tx: &mut Tx<'_>, mount: &Mount, path: &str) -> Result<Vec<SecretBytes>, Error> {
    let Some(stored) = row::read_at(tx, mount, path)? else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    take(tx, mount, path, &stored, &mut values)?;
    Ok(values.into_iter().map(|value| value.payload).collect())
}

fn standing(tx: &mut Tx<'_>, mount: &Mount, path: &str, now: Timestamp) -> Result<Option<Standing>, Error> {
    let Some(stored) = row::read_at(tx, mount, path)? else { return Ok(None) };
    let header = &stored.header;
    let versions = header.numbered().map(|(number, version)| {
        let state = match () {
            () if version.is_destroyed => VersionState::Destroyed,
            () if version.is_deleted(now) => VersionState::Deleted,
            () if header.is_expired(now) => VersionState::Expired,
            () => VersionState::Readable,
        };
        (number, version.created, state)
    });
    Ok(Some(Standing { current: header.current(), value: None, versions: versions.collect() }))
}

fn values(tx: &mut Tx<'_>, mount: &Mount, after: &[u8]) -> Result<Piece, Error> {
    let table = row::table(tx, mount);
    let (mut taken, mut bytes, mut next) = (Vec::new(), 0, None);
    tx.entries_after(&table, after, &mut |rest, row| {
        bytes += row.len();
        taken.push((rest.to_vec(), row::decode(row.to_vec().into())?));
        let is_full = taken.len() >= SECRETS_MAX || bytes >= BYTES_MAX;
        next = is_full.then(|| rest.to_vec());
        Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let mut values = Vec::new();
    for (rest, stored) in taken {
        let path = tx.reveal(&table, &rest)?;
        take(tx, mount, &path, &stored, &mut values)?;
    }
    Ok(Piece { values, next })
}

/// Every version of a secret whose payload is there, deleted ones among them.
fn take(
    tx: &mut Tx<'_>,
    mount: &Mount,
    path: &str,
    stored: &Stored,
    values: &mut Vec<KeptValue>,
) -> Result<(), Error> {
    for (number, version) in stored.header.numbered().filter(|(_, version)| !version.is_destroyed) {
        let payload = row::payload_at(tx, mount, path, stored, number)?;
        values.push(KeptValue { path: path.to_owned(), version: number, created: version.created, payload });
    }
    Ok(())
}
