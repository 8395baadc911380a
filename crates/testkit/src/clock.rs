use std::sync::Mutex;
use std::time::Duration;
use strongroom_secret::{Clock, Timestamp};

/// A clock that stands still until it is moved. Share it as `Arc<FakeClock>`.
#[derive(Debug)]
pub struct FakeClock {
    hands: Mutex<Hands>,
}

#[derive(Debug, Clone, Copy)]
struct Hands {
    wall: Timestamp,
    monotonic: Duration,
}

impl FakeClock {
    /// Starts at `wall`, with the monotonic time at zero.
    pub fn at(wall: Timestamp) -> Self {
        Self { hands: Mutex::new(Hands { wall, monotonic: Duration::ZERO }) }
    }

    /// Starts at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::at(Timestamp::from_seconds(1_767_225_600))
    }

    /// Lets time pass: both the wall clock and the monotonic time move.
    pub fn advance(&self, duration: Duration) {
        self.change(|hands| {
            hands.wall = hands.wall.plus(duration);
            hands.monotonic = hands.monotonic.saturating_add(duration);
        });
    }

    /// Sets the wall clock, forwards or back, as an administrator or a time server does. No time passes: the
    /// monotonic time stays.
    pub fn set_wall(&self, wall: Timestamp) {
        self.change(|hands| hands.wall = wall);
    }

    fn change(&self, change: impl FnOnce(&mut Hands)) {
        change(&mut self.hands.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn hands(&self) -> Hands {
        *self.hands.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.hands().wall
    }

    fn monotonic(&self) -> Duration {
        self.hands().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_when_told() {
        let clock = FakeClock::new();
        assert_eq!(clock.now().rfc3339(), "2026-01-01T00:00:00Z");
        clock.advance(Duration::from_secs(90));
        assert_eq!(clock.now().rfc3339(), "2026-01-01T00:01:30Z");
        assert_eq!(clock.monotonic(), Duration::from_secs(90));
    }

    #[test]
    fn a_wall_clock_that_jumps_back_leaves_the_monotonic_time() {
        let clock = FakeClock::new();
        clock.advance(Duration::from_secs(5));
        clock.set_wall(Timestamp::EPOCH);
        assert_eq!(clock.now(), Timestamp::EPOCH);
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
    }
}
