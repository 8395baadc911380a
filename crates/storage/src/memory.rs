//! A store in memory whose faults are given from outside: for tests, simulation and `server --dev`.

use crate::conflict::ConflictWindow;
use crate::{
    CommitError, CommitIndex, Completion, Entries, Snapshot, Storage, StorageError, Transaction, Visit,
    entry_fits,
};
use imbl::OrdMap;
use parking_lot::Mutex;
use std::ops::Bound;
use std::sync::Arc;

type Map = OrdMap<Arc<[u8]>, Arc<[u8]>>;

/// Keeps everything in memory. Deterministic: a submitted transaction is applied, and its completion called, before
/// [`Storage::submit`] returns. A snapshot costs the same at every size.
pub struct MemoryStorage {
    state: Mutex<State>,
    faults: Mutex<Option<FaultPlan>>,
}

/// Asked at every call what shall go wrong. It runs under a lock: it must not call the store.
pub type FaultPlan = Box<dyn FnMut(Call) -> Fault + Send>;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Snapshot,
    Read,
    Scan,
    Submit,
    Replace,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// The call fails; nothing is applied.
    Error,
    /// A submit fails with [`CommitError::Full`]. On a read, the same as `Error`.
    Full,
    /// A submit answers [`CommitError::Unknown`] though it was applied. On a read, the same as `Error`.
    UnknownApplied,
    /// A submit answers [`CommitError::Unknown`] and was not applied. On a read, the same as `Error`.
    UnknownLost,
    /// The store is closed from here on; a submit was not applied. See [`MemoryStorage::recover`].
    CrashBefore,
    /// The store is closed from here on; a submit was applied, but its caller does not know.
    CrashAfter,
}

struct State {
    map: Map,
    index: CommitIndex,
    window: ConflictWindow,
    closed: bool,
}

impl MemoryStorage {
    pub fn new() -> Self {
        Self::holding(Map::new(), CommitIndex(0), None)
    }

    pub fn with_faults(plan: FaultPlan) -> Self {
        Self::holding(Map::new(), CommitIndex(0), Some(plan))
    }

    /// What a restart finds: a new store with exactly the durable state of this one. Every acknowledged commit is
    /// in it; one whose outcome was unknown is in it as a whole or not at all. This one is closed.
    pub fn recover(&self, plan: Option<FaultPlan>) -> Self {
        let mut state = self.state.lock();
        state.closed = true;
        Self::holding(state.map.clone(), state.index, plan)
    }

    /// Replaces the plan of faults; None ends them.
    pub fn set_faults(&self, plan: Option<FaultPlan>) {
        *self.faults.lock() = plan;
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    fn holding(map: Map, index: CommitIndex, plan: Option<FaultPlan>) -> Self {
        let window = ConflictWindow::new(index);
        Self { state: Mutex::new(State { map, index, window, closed: false }), faults: Mutex::new(plan) }
    }

    fn fault(&self, call: Call) -> Fault {
        self.faults.lock().as_mut().map_or(Fault::Nothing, |plan| plan(call))
    }

    /// Asks for a fault at a call that changes nothing.
    fn pass(&self, call: Call) -> Result<(), StorageError> {
        if self.is_closed() {
            return Err(StorageError::Closed);
        }
        match self.fault(call) {
            Fault::Nothing => Ok(()),
            Fault::CrashBefore | Fault::CrashAfter => {
                self.state.lock().closed = true;
                Err(StorageError::Closed)
            }
            Fault::Full if call == Call::Replace => Err(StorageError::Full),
            Fault::Error | Fault::Full | Fault::UnknownApplied | Fault::UnknownLost => {
                Err(StorageError::Failed(format!("injected fault at {call:?}")))
            }
        }
    }

    fn outcome(&self, transaction: Transaction) -> Result<CommitIndex, CommitError> {
        if self.is_closed() {
            return Err(CommitError::Closed);
        }
        let unknown = || CommitError::Unknown("injected fault".into());
        let crash = || CommitError::Unknown("injected crash".into());
        match self.fault(Call::Submit) {
            Fault::Nothing => self.state.lock().apply(transaction),
            Fault::Error => Err(CommitError::Failed("injected fault at Submit".into())),
            Fault::Full => Err(CommitError::Full),
            Fault::UnknownApplied => self.state.lock().apply(transaction).and(Err(unknown())),
            Fault::UnknownLost => Err(unknown()),
            Fault::CrashBefore => {
                self.state.lock().closed = true;
                Err(crash())
            }
            Fault::CrashAfter => {
                let mut state = self.state.lock();
                let applied = state.apply(transaction);
                state.closed = true;
                applied.and(Err(crash()))
            }
        }
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn apply(&mut self, transaction: Transaction) -> Result<CommitIndex, CommitError> {
        if self.closed {
            return Err(CommitError::Closed);
        }
        if !transaction.is_within_limits() {
            return Err(CommitError::TooLarge);
        }
        if self.window.conflicts(&transaction) {
            return Err(CommitError::Conflict);
        }
        self.index = CommitIndex(self.index.0 + 1);
        self.window.record(self.index, &transaction);
        for write in transaction.writes {
            match write.value {
                Some(value) => drop(self.map.insert(write.key.into(), value.into())),
                None => drop(self.map.remove(write.key.as_slice())),
            }
        }
        Ok(self.index)
    }
}

impl Storage for MemoryStorage {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StorageError> {
        self.pass(Call::Snapshot)?;
        let state = self.state.lock();
        Ok(Box::new(MemorySnapshot { storage: self, map: state.map.clone(), index: state.index }))
    }

    fn submit(&self, transaction: Transaction, done: Completion) {
        done(self.outcome(transaction));
    }

    fn replace(&self, above: CommitIndex, entries: &mut Entries<'_>) -> Result<CommitIndex, StorageError> {
        self.pass(Call::Replace)?;
        let mut map = Map::new();
        for entry in entries {
            let (key, value) = entry?;
            if !entry_fits(&key, &value) {
                return Err(StorageError::Failed("a key or value exceeds the limit of the store".into()));
            }
            map.insert(key.into(), value.into());
        }
        let mut state = self.state.lock();
        state.index = CommitIndex(state.index.max(above).0 + 1);
        state.map = map;
        let index = state.index;
        state.window.reset(index);
        Ok(index)
    }
}

struct MemorySnapshot<'a> {
    storage: &'a MemoryStorage,
    map: Map,
    index: CommitIndex,
}

impl Snapshot for MemorySnapshot<'_> {
    fn index(&self) -> CommitIndex {
        self.index
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.storage.pass(Call::Read)?;
        Ok(self.map.get(key).map(|value| value.to_vec()))
    }

    fn scan(&self, start: &[u8], end: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), StorageError> {
        self.storage.pass(Call::Scan)?;
        if end.is_some_and(|end| end <= start) {
            return Ok(());
        }
        let range = (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded));
        for (key, value) in self.map.range::<_, [u8]>(range) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// How often each fault happens, in calls per million. All zero by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct FaultRates {
    /// On snapshots, reads, scans.
    pub read_error: u32,
    pub commit_error: u32,
    pub full: u32,
    /// Half of them were applied.
    pub unknown: u32,
    /// On any call; half of the submits among them were applied.
    pub crash: u32,
}

/// A plan that rolls dice: the same seed gives the same faults at the same sequence of calls.
pub fn seeded_faults(seed: u64, rates: FaultRates) -> FaultPlan {
    let mut state = seed;
    Box::new(move |call| rates.decide(call, &mut state))
}

impl FaultRates {
    fn decide(self, call: Call, state: &mut u64) -> Fault {
        let dice = next_random(state);
        let applied = dice >> 63 == 1;
        let roll = u32::try_from(dice % 1_000_000).unwrap_or(0);
        let changes = matches!(call, Call::Submit | Call::Replace);
        let crash = if applied { Fault::CrashAfter } else { Fault::CrashBefore };
        let unknown = if applied { Fault::UnknownApplied } else { Fault::UnknownLost };
        let write_faults =
            [(self.commit_error, Fault::Error), (self.full, Fault::Full), (self.unknown, unknown)];
        let read_faults = [(self.read_error, Fault::Error), (0, Fault::Nothing), (0, Fault::Nothing)];
        let mut limit = self.crash;
        if roll < limit {
            return crash;
        }
        for (rate, fault) in if changes { write_faults } else { read_faults } {
            limit += rate;
            if roll < limit {
                return fault;
            }
        }
        Fault::Nothing
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
