//! From version 1: every value becomes the first version of a secret, under the same path.

use super::row::{self, Header, Version};
use crate::secrets::kv::v1;
use std::ops::ControlFlow;
use strongroom_kernel::fingerprints;
use strongroom_kernel::{Error, Mount, Tidied, Tx};
use strongroom_secret::{SecretBytes, Timestamp};

/// Values of one piece, and about how many bytes.
const VALUES_MAX: usize = 128;
const BYTES_MAX: usize = 4 << 20;

/// Moves some values; a value is gone from version 1 in the commit that has it in version 2.
pub(super) fn piece(tx: &mut Tx<'_>, mount: &Mount, now: Timestamp) -> Result<Tidied, Error> {
    let values = tx.table(mount.space(), v1::VALUES);
    let mut taken: Vec<(Vec<u8>, SecretBytes)> = Vec::new();
    let mut bytes = 0;
    let mut is_all = true;
    tx.entries(&values, &mut |rest, value| {
        if taken.len() >= VALUES_MAX || bytes >= BYTES_MAX {
            is_all = false;
            return Ok(ControlFlow::Break(()));
        }
        bytes += value.len();
        taken.push((rest.to_vec(), v1::payload(value)?.to_vec().into()));
        Ok(ControlFlow::Continue(()))
    })?;
    let mut header = Header::new(now);
    header.versions.push(Version { created: now, ..Version::default() });
    for (rest, payload) in taken {
        let path = tx.reveal(&values, &rest)?;
        let secret = tx.path_key(&row::table(tx, mount), &path);
        fingerprints::record_in(tx, mount, &path, (1, now), payload.expose())?;
        tx.put(&secret, row::encode_first(&header, payload.expose())?)?;
        let value = tx.entry_key(&values, &rest);
        tx.delete(&value)?;
    }
    Ok(if is_all { Tidied::All } else { Tidied::More })
}
