//! How often secret-ids without a limit are used. A login writes its use only when the last one written is some time
//! past; in between uses are counted in memory, and lost with a restart.

use super::roles::Handle;
use super::secret_ids::SecretId;
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use strongroom_kernel::Call;

const WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// Secret-ids counted in memory; the uses of further ones are not counted until they are next written.
const COUNTED_MAX: usize = 100_000;

#[derive(Default)]
struct Uses {
    by_handle: Mutex<HashMap<Handle, u64>>,
}

pub(super) fn memory() -> Arc<dyn Any + Send + Sync> {
    Arc::new(Uses::default())
}

fn with<T>(call: &Call<'_>, act: impl FnOnce(&mut HashMap<Handle, u64>) -> T) -> Option<T> {
    let uses = call.mount.memory.downcast_ref::<Uses>()?;
    Some(act(&mut uses.by_handle.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Uses that are not written yet.
pub(super) fn pending(call: &Call<'_>, handle: &[u8]) -> u64 {
    let handle: Option<&Handle> = handle.try_into().ok();
    handle.and_then(|handle| with(call, |uses| uses.get(handle).copied().unwrap_or(0))).unwrap_or(0)
}

/// Counts a use. What is to be written, if anything is.
pub(super) fn count(call: &Call<'_>, handle: &Handle, entry: &SecretId) -> Option<SecretId> {
    let is_due = entry.last_used.is_none_or(|last| call.now.since(last) >= WRITTEN_EVERY);
    if !is_due {
        with(call, |uses| {
            if uses.len() < COUNTED_MAX || uses.contains_key(handle) {
                *uses.entry(*handle).or_insert(0) += 1;
            }
        });
        return None;
    }
    let counted = with(call, |uses| uses.remove(handle)).flatten().unwrap_or(0);
    let use_count = entry.use_count + 1 + counted;
    Some(SecretId { use_count, last_used: Some(call.now), ..entry.clone() })
}
