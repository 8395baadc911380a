//! Time for what must neither be skipped nor be done twice when somebody sets the clock.
//!
//! Deadlines are kept in **steady time**: the wall clock less the sum of its known jumps. Within a process it only moves
//! forward, with the monotonic clock. The sum of jumps is stored, so that it goes on after a restart. What people mean by
//! the wall clock (a cron line, a time) is moved when the clock jumps.

use crate::error::Error;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::transaction::{Key, Record, Table, Tx};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strongroom_secret::{Clock, Timestamp};

const CLOCK: Table = Table(56);
/// A wall clock that moves by more than this beside the monotonic one was set; by less, it is being steered.
const JUMP_MIN: Duration = Duration::from_secs(1);
/// How much faster or slower a steered clock may go: one part in so many.
const STEERING: u32 = 1000;

/// The sum of all jumps, as it is stored.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct ClockRecord {
    /// Forwards is positive.
    pub jumps_nanoseconds: i64,
    /// What is meant by the wall clock has not been moved yet for the last jump.
    pub is_moving: bool,
}

impl Record for ClockRecord {}

pub(super) fn clock_key(tx: &Tx<'_>) -> Key {
    tx.table(kernel_space(ROOT_NAMESPACE), CLOCK)
}

/// Steady time in this process.
#[derive(Default)]
pub(crate) struct SteadyClock(Mutex<Option<Anchor>>);

#[derive(Clone, Copy)]
struct Anchor {
    steady: Timestamp,
    monotonic: Duration,
    wall: Timestamp,
    jumps: i64,
}

/// The two times of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub steady: Timestamp,
    pub wall: Timestamp,
    jumps: i64,
}

impl Moment {
    /// The steady time at which the wall clock will show `wall`, as far as is known now.
    pub(super) fn steady_of(&self, wall: Timestamp) -> Timestamp {
        Timestamp::from_nanoseconds(wall.nanoseconds().saturating_sub(self.jumps))
    }

    /// What the wall clock will show at a steady time.
    pub(super) fn wall_of(&self, steady: Timestamp) -> Timestamp {
        Timestamp::from_nanoseconds(steady.nanoseconds().saturating_add(self.jumps))
    }
}

impl SteadyClock {
    /// Forgets all: another store may be served from now on.
    pub(crate) fn reset(&self) {
        *self.0.lock() = None;
    }

    pub(super) fn now(&self, clock: &dyn Clock, tx: &mut Tx<'_>) -> Result<Moment, Error> {
        let mut anchor = self.0.lock();
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let anchor = match &mut *anchor {
            Some(anchor) => anchor,
            none => {
                let key = clock_key(tx);
                let record: ClockRecord = tx.untracked(|tx| tx.record(&key))?.unwrap_or_default();
                let jumps = record.jumps_nanoseconds;
                let steady = Timestamp::from_nanoseconds(wall.nanoseconds().saturating_sub(jumps));
                none.insert(Anchor { steady, monotonic, wall, jumps })
            }
        };
        Ok(anchor.at(wall, monotonic))
    }

    /// Looks at both clocks. If the wall clock was set since the last look: the new sum of jumps, to be stored and then
    /// given to [`Self::jumped`].
    pub(super) fn look(&self, clock: &dyn Clock) -> Option<i64> {
        let mut anchor = self.0.lock();
        let anchor = anchor.as_mut()?;
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let passed = monotonic.saturating_sub(anchor.monotonic);
        let shown = wall.nanoseconds().saturating_sub(anchor.wall.nanoseconds());
        let beside = shown.saturating_sub(i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX));
        let tolerated = JUMP_MIN.max(passed / STEERING);
        if beside.unsigned_abs() > u64::try_from(tolerated.as_nanos()).unwrap_or(u64::MAX) {
            return Some(anchor.jumps.saturating_add(beside));
        }
        // Steered: steady time follows.
        let steady = Timestamp::from_nanoseconds(wall.nanoseconds().saturating_sub(anchor.jumps));
        *anchor = Anchor { steady, monotonic, wall, jumps: anchor.jumps };
        None
    }

    /// The jump that was looked at is stored.
    pub(super) fn jumped(&self, clock: &dyn Clock, jumps: i64) {
        if let Some(anchor) = self.0.lock().as_mut() {
            let (wall, monotonic) = (clock.now(), clock.monotonic());
            let steady = anchor.at(wall, monotonic).steady;
            *anchor = Anchor { steady, monotonic, wall, jumps };
        }
    }
}

impl Anchor {
    fn at(&self, wall: Timestamp, monotonic: Duration) -> Moment {
        let steady = self.steady.plus(monotonic.saturating_sub(self.monotonic));
        Moment { steady, wall, jumps: self.jumps }
    }
}
