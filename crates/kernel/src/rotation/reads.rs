//! Counts reads of the secrets whose plans ask for it. A read is no write: it is counted in memory, and what was counted is
//! stored about once a second. A server that is killed forgets the reads of its last second.

use super::plan::Place;
use super::store;
use crate::error::Error;
use crate::transaction::Tx;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Reads by mount and path.
#[derive(Default)]
pub(crate) struct Counted {
    /// Most servers count nothing: their reads look no further.
    is_any: AtomicBool,
    counts: RwLock<HashMap<(u64, u64), HashMap<String, AtomicU64>>>,
}

impl Counted {
    pub(crate) fn count(&self, namespace: u64, mount: u64, path: &str) {
        if !self.is_any.load(Relaxed) {
            return;
        }
        if let Some(count) = self.counts.read().get(&(namespace, mount)).and_then(|paths| paths.get(path)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Reads anew what is to be counted. What was counted and not stored yet stays.
    pub(crate) fn load(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let places = store::counted(tx)?;
        let mut counts = self.counts.write();
        let before = std::mem::take(&mut *counts);
        for (_, Place { namespace, mount, path }) in places {
            let counted = before.get(&(namespace, mount)).and_then(|paths| paths.get(&path));
            let counted = counted.map_or(0, |count| count.load(Relaxed));
            counts.entry((namespace, mount)).or_default().insert(path, AtomicU64::new(counted));
        }
        self.is_any.store(!counts.is_empty(), Relaxed);
        Ok(())
    }

    /// What was counted since the last time.
    pub(super) fn take(&self) -> Vec<(Place, u64)> {
        if !self.is_any.load(Relaxed) {
            return Vec::new();
        }
        let counts = self.counts.read();
        let all = counts.iter().flat_map(|((namespace, mount), paths)| {
            paths.iter().map(move |(path, count)| {
                let place = Place { namespace: *namespace, mount: *mount, path: path.clone() };
                (place, count.swap(0, Relaxed))
            })
        });
        all.filter(|(_, reads)| *reads > 0).collect()
    }
}
