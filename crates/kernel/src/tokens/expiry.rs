//! The time-ordered index of everything that ends by itself. It lies on disk: starting does not read it.
//!
//! A renewal does not move its row: when the row's time comes, the entry is looked at, and if it lives on, the row is
//! written again at the new time.

use crate::error::Error;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::transaction::{Key, Table, Tx};
use std::ops::ControlFlow;
use strongroom_secret::Timestamp;

pub(crate) const EXPIRY: Table = Table(3);
const ROW_BYTES: usize = 20;

/// What a row of the index points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpiryKind {
    Token = 1,
    Lease = 2,
}

/// Something whose time has come.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub key: Key,
    pub kind: ExpiryKind,
    pub namespace: u64,
    pub row: [u8; ROW_BYTES],
    /// For a lease, its id.
    pub value: Vec<u8>,
}

/// The key under which something with this end is found.
pub(crate) fn expiry_key(
    tx: &Tx<'_>,
    at: Timestamp,
    kind: ExpiryKind,
    namespace: u64,
    row: &[u8; ROW_BYTES],
) -> Key {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), EXPIRY);
    let mut id = Vec::with_capacity(17 + ROW_BYTES);
    // Times before 1970 do not occur; as unsigned numbers the keys sort by time.
    id.extend_from_slice(&u64::try_from(at.nanoseconds()).unwrap_or(0).to_be_bytes());
    id.push(kind as u8);
    id.extend_from_slice(&namespace.to_be_bytes());
    id.extend_from_slice(row);
    tx.id_key(&table, &id)
}

/// Up to `limit` rows whose time is not after `now`, and the time of the first row after them.
pub(crate) fn due(
    tx: &mut Tx<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<(Vec<Due>, Option<Timestamp>), Error> {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), EXPIRY);
    let mut rows = Vec::new();
    let mut next = None;
    tx.entries(&table, &mut |rest, value| {
        let Some((at, kind, namespace, row)) = parse(rest) else {
            return Err(Error::internal("a row of the expiry index has another length"));
        };
        if at > now || rows.len() >= limit {
            next = Some(at);
            return Ok(ControlFlow::Break(()));
        }
        rows.push((rest.to_vec(), kind, namespace, row, value.to_vec()));
        Ok(ControlFlow::Continue(()))
    })?;
    let rows = rows
        .into_iter()
        .map(|(rest, kind, namespace, row, value)| Due {
            key: tx.entry_key(&table, &rest),
            kind,
            namespace,
            row,
            value,
        })
        .collect();
    Ok((rows, next))
}

fn parse(rest: &[u8]) -> Option<(Timestamp, ExpiryKind, u64, [u8; ROW_BYTES])> {
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (kind, rest) = rest.split_first()?;
    let (namespace, row) = rest.split_first_chunk::<8>()?;
    let kind = match kind {
        1 => ExpiryKind::Token,
        2 => ExpiryKind::Lease,
        _ => return None,
    };
    let at = Timestamp::from_nanoseconds(i64::try_from(u64::from_be_bytes(*at)).ok()?);
    Some((at, kind, u64::from_be_bytes(*namespace), row.try_into().ok()?))
}
