//! How far a scan is: one line on standard error, for a person at a terminal.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;
use strongroom_scan::Progress;
use strongroom_secret::Clock;

/// A line that changes more often than this cannot be read.
const BETWEEN: Duration = Duration::from_millis(120);
/// A scan that is over sooner needs none.
const FIRST: Duration = Duration::from_millis(400);

pub struct ProgressLine<'c> {
    clock: &'c (dyn Clock + Sync),
    next: Mutex<Option<Duration>>,
    shown: Mutex<bool>,
}

impl<'c> ProgressLine<'c> {
    /// Shows nothing unless somebody looks.
    pub fn new(clock: &'c (dyn Clock + Sync), wanted: bool) -> Self {
        let wanted = wanted && std::io::stderr().is_terminal();
        let next = wanted.then(|| clock.monotonic() + FIRST);
        Self { clock, next: Mutex::new(next), shown: Mutex::new(false) }
    }

    pub fn show(&self, progress: Progress) {
        // Whoever does not get the lock leaves the line to the one who has it.
        let Ok(mut next) = self.next.try_lock() else { return };
        let now = self.clock.monotonic();
        if !next.is_some_and(|next| now >= next) {
            return;
        }
        *next = Some(now + BETWEEN);
        let Progress { counted, done, total } = progress;
        let text = match total {
            0 => format!("{done} {counted}"),
            _ => format!("{:>3} %  {done} of {total} {counted}", done.saturating_mul(100) / total),
        };
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        if let Ok(mut shown) = self.shown.lock() {
            *shown = true;
        }
    }
}

impl Drop for ProgressLine<'_> {
    fn drop(&mut self) {
        if self.shown.lock().is_ok_and(|shown| *shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
