//! Lines on standard error as gitleaks' logger writes them: the time of day, a level of three letters, the message.

use crate::system::SystemClock;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use strongroom_scan::{SkipReason, Statistics};
use strongroom_secret::Clock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

pub(super) struct Log {
    least: Level,
    colour: bool,
}

impl Log {
    pub(super) fn new(level: &str, no_colour: bool) -> Self {
        let least = match level.to_lowercase().as_str() {
            "trace" => Some(Level::Trace),
            "debug" => Some(Level::Debug),
            "info" => Some(Level::Info),
            "warn" => Some(Level::Warn),
            "err" | "error" => Some(Level::Error),
            "fatal" => Some(Level::Fatal),
            _ => None,
        };
        let colour = !no_colour && std::io::stderr().is_terminal();
        let log = Self { least: least.unwrap_or(Level::Info), colour };
        if least.is_none() {
            log.line(Level::Warn, &format!("unknown log level: {level}"));
        }
        log
    }

    pub(super) fn line(&self, level: Level, message: &str) {
        if level < self.least {
            return;
        }
        let (word, code) = match level {
            Level::Trace => ("TRC", "34"),
            Level::Debug => ("DBG", ""),
            Level::Info => ("INF", "32"),
            Level::Warn => ("WRN", "33"),
            Level::Error => ("ERR", "31"),
            Level::Fatal => ("FTL", "31"),
        };
        let time = time_of_day(SystemClock::new().now().seconds());
        let text = match self.colour {
            true => format!("\x1b[90m{time}\x1b[0m \x1b[{code}m{word}\x1b[0m \x1b[1m{message}\x1b[0m\n"),
            false => format!("{time} {word} {message}\n"),
        };
        // Nobody is left to tell where this fails.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// What gitleaks passes over in silence, or says at another level.
    pub(super) fn skipped(&self, statistics: &Statistics) {
        for skipped in statistics.skipped() {
            let level = match skipped.reason {
                SkipReason::Binary | SkipReason::Link | SkipReason::Allowed | SkipReason::TooLarge => {
                    Level::Debug
                }
                _ => Level::Warn,
            };
            let message = format!("skipped {}: {} {}", skipped.what, skipped.reason, skipped.detail);
            self.line(level, message.trim_end());
        }
    }
}

/// `3:04PM`, in UTC: the machine's own zone is not asked.
fn time_of_day(seconds: i64) -> String {
    let minutes = seconds.rem_euclid(86_400) / 60;
    let (hour, minute) = (minutes / 60, minutes % 60);
    let half = if hour < 12 { "AM" } else { "PM" };
    format!("{}:{minute:02}{half}", if hour % 12 == 0 { 12 } else { hour % 12 })
}

/// `1.5 MB`, by thousands.
pub(super) fn size(bytes: u64) -> String {
    let value = bytes as f64;
    let (value, unit) = match bytes {
        0 => return "0".to_owned(),
        1_000_000_000.. => (value / 1e9, "GB"),
        1_000_000.. => (value / 1e6, "MB"),
        1_000.. => (value / 1e3, "KB"),
        _ => (value, "bytes"),
    };
    let number = format!("{value:.2}");
    format!("{} {unit}", number.strip_suffix(".00").unwrap_or(&number))
}

/// `85.1ms`, `1.23s`: three digits, as Go writes durations.
pub(super) fn duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos() as f64;
    let (value, unit) = match nanoseconds {
        _ if nanoseconds >= 60e9 => {
            let seconds = duration.as_secs_f64();
            return format!("{}m{}s", (seconds / 60.0).floor(), number(seconds % 60.0));
        }
        _ if nanoseconds >= 1e9 => (nanoseconds / 1e9, "s"),
        _ if nanoseconds >= 1e6 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e3, "\u{b5}s"),
    };
    format!("{}{unit}", number(value))
}

fn number(value: f64) -> String {
    let places = match value {
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        assert_eq!((time_of_day(0), time_of_day(51_840)), ("12:00AM".to_owned(), "2:24PM".to_owned()));
        assert_eq!(
            (size(0), size(80), size(1500)),
            ("0".to_owned(), "80 bytes".to_owned(), "1.50 KB".to_owned())
        );
        let text = |nanoseconds| duration(Duration::from_nanos(nanoseconds));
        assert_eq!(
            (text(85_000_000), text(21_540_000), text(1_234_000_000)),
            ("85ms".to_owned(), "21.5ms".to_owned(), "1.23s".to_owned())
        );
    }
}
