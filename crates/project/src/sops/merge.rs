//! Three versions of an encrypted file become one.

use super::verbs::{KeyChange, change_keys, rekeyed, with_new_keys};
use super::{Keys, SopsError};
use strongroom_formats::sops::{Opened, Recipient, SealPolicy, plan_merge};
use strongroom_secret::SecretBytes;

/// The merged file, and what both sides had changed.
#[derive(Debug)]
pub struct Merged {
    pub bytes: SecretBytes,
    /// Places where ours was kept, though theirs is another.
    pub conflicts: Vec<String>,
}

/// Puts `theirs` changes since `base` into `ours`: values by their paths, and recipients. Values that did not change keep
/// their ciphertexts. If somebody was removed on either side, or the other side has a new data key, so does the result.
pub fn merge(
    base: Opened,
    mut ours: Opened,
    theirs: Opened,
    keys: &Keys,
    seal: SealPolicy,
) -> Result<Merged, SopsError> {
    let plan = plan_merge(base.tree(), ours.tree(), theirs.tree());
    for (location, node) in plan.changes {
        match node {
            Some(node) => ours.set(&location, node).map(drop)?,
            None => ours.unset(&location)?,
        }
    }
    let mut conflicts: Vec<_> = plan.conflicts.iter().map(ToString::to_string).collect();
    let groups = |file: &Opened| -> Vec<Vec<Recipient>> {
        file.metadata
            .groups
            .iter()
            .map(|group| group.iter().map(|key| key.recipient.clone()).collect())
            .collect()
    };
    let (old, our, new) = (groups(&base), groups(&ours), groups(&theirs));
    let mut change = KeyChange::default();
    match (old.as_slice(), our.as_slice(), new.as_slice()) {
        _ if old == new || our == new => {}
        ([old], [_], [new]) => {
            change.add = new.iter().filter(|key| !old.contains(key)).cloned().collect();
            change.remove = old.iter().filter(|key| !new.contains(key)).cloned().collect();
        }
        _ => conflicts.push("the key groups of the file: changed on both sides".to_owned()),
    }
    let renewed_by_them = base.cipher().data_key() != theirs.cipher().data_key();
    let renewed_by_us = base.cipher().data_key() != ours.cipher().data_key();
    ours.remember(theirs);
    let bytes = if !change.remove.is_empty() || (renewed_by_them && !renewed_by_us) {
        let surroundings = keys.surroundings();
        let rekeyed = rekeyed(ours, &change, keys)?;
        rekeyed.encrypt(seal, surroundings.entropy.as_ref(), surroundings.clock.now())?
    } else {
        change_keys(&mut ours.metadata, &change, keys);
        with_new_keys(ours, keys, seal)?
    };
    Ok(Merged { bytes, conflicts })
}
