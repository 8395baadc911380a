//! The requests that are being served, for `sys/in-flight-req`: what hangs is seen while it hangs.

use crate::request::Request;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use strongroom_secret::Timestamp;

/// Locks, so that requests on many threads do not wait for each other.
const SHARDS: usize = 16;

#[derive(Default)]
pub(crate) struct InFlight {
    shards: [Mutex<HashMap<u64, Running>>; SHARDS],
    next: AtomicU64,
}

/// One request and when it came in. It shares the request, which is wiped when the last holder drops it.
#[derive(Clone)]
pub(crate) struct Running {
    pub started: Timestamp,
    pub request: Arc<Request>,
}

/// Takes the request off the list when dropped.
pub(crate) struct Entered<'i> {
    all: &'i InFlight,
    number: u64,
}

impl InFlight {
    pub(crate) fn enter(&self, request: Arc<Request>, started: Timestamp) -> Entered<'_> {
        let number = self.next.fetch_add(1, Relaxed);
        if let Some(shard) = self.shard(number) {
            shard.lock().insert(number, Running { started, request });
        }
        Entered { all: self, number }
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<Running> {
        let mut running: Vec<Running> =
            self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect();
        running.sort_by_key(|running| running.started);
        running
    }

    fn shard(&self, number: u64) -> Option<&Mutex<HashMap<u64, Running>>> {
        self.shards.get(usize::try_from(number).unwrap_or_default() % SHARDS)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // The entry is dropped after the lock: wiping a large request must not hold others up.
        let entry = self.all.shard(self.number).map(|shard| shard.lock().remove(&self.number));
        drop(entry);
    }
}
