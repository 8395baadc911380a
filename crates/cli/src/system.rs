//! The real clock and the operating system's randomness: made here, handed on as parameters.

use std::process::abort;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use strongroom_secret::{Clock, Entropy, Timestamp};

/// The machine's clocks.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the composition root asks the real clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the composition root asks the real clock")]
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The operating system's generator.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        // Without randomness nothing that follows would be secret.
        if getrandom::fill(out).is_err() {
            abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_randomness_differs() {
        let clock = SystemClock::new();
        assert!(clock.now() > Timestamp::from_seconds(1_700_000_000));
        assert!(clock.monotonic() <= clock.monotonic());
        let (mut one, mut other) = ([0; 32], [0; 32]);
        SystemEntropy.fill(&mut one);
        SystemEntropy.fill(&mut other);
        assert_ne!(one, other);
    }
}
