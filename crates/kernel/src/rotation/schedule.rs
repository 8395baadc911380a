//! When a plan is due: every so often, by a cron line, at a time, after a number of reads.

use crate::error::Error;
use crate::request::Fields;
use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strongroom_secret::Timestamp;

/// More often than this, rotations would be the server's main work.
const EVERY_MIN: Duration = Duration::from_secs(10);
const EVERY_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
const CRON_BYTES_MAX: usize = 256;

/// All of it may be set together; what comes first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Schedule {
    pub every: Option<Duration>,
    /// Five fields, in UTC.
    pub cron: Option<String>,
    pub at: Option<Timestamp>,
    /// So many reads of the current version.
    pub reads: Option<u64>,
}

impl Schedule {
    /// Takes what the request says; what it does not mention stays. Zero and empty take away.
    pub(super) fn change(&mut self, fields: &Fields, now: Timestamp) -> Result<(), Error> {
        if let Some(every) = fields.duration("every")? {
            self.every = Some(every).filter(|every| !every.is_zero());
            if self.every.is_some_and(|every| !(EVERY_MIN..=EVERY_MAX).contains(&every)) {
                return Err(Error::invalid("every must be between 10s and a hundred years"));
            }
        }
        if let Some(cron) = fields.text("cron")? {
            let cron = cron.trim().to_owned();
            self.cron = Some(cron).filter(|cron| !cron.is_empty());
            if let Some(cron) = &self.cron {
                parse(cron)?;
                next(cron, now).ok_or_else(|| Error::invalid(format!("cron {cron:?} never comes")))?;
            }
        }
        if fields.0.contains_key("at") {
            let is_cleared = fields.value("at").is_none_or(|at| at.as_str() == Some(""));
            let at = if is_cleared { None } else { fields.time("at")? };
            if at != self.at && at.is_some_and(|at| at <= now) {
                return Err(Error::invalid("at is in the past: rotate now with sys/rotation/rotate/"));
            }
            self.at = at;
        }
        if let Some(reads) = fields.count("after_reads")? {
            self.reads = Some(reads).filter(|reads| *reads > 0);
        }
        Ok(())
    }

    /// Whether anything of it is meant by the wall clock.
    pub(super) fn has_wall_times(&self) -> bool {
        self.cron.is_some() || self.at.is_some()
    }

    /// The first time after `after` that the wall clock shows, but for the one that has been: after the clock was set
    /// back, it comes once more.
    pub(super) fn next_wall(&self, after: Timestamp, fired: &Fired) -> Option<Timestamp> {
        let cron = self.cron.as_deref().and_then(|cron| {
            let first = next(cron, after)?;
            if Some(first) == fired.cron { next(cron, first) } else { Some(first) }
        });
        let at = self.at.filter(|at| Some(*at) != fired.at);
        [cron, at].into_iter().flatten().min()
    }
}

/// The wall times of a schedule that were last acted upon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Fired {
    pub cron: Option<Timestamp>,
    pub at: Option<Timestamp>,
}

impl Fired {
    pub(super) fn note(&mut self, schedule: &Schedule, time: Timestamp) {
        if schedule.at == Some(time) {
            self.at = Some(time);
        } else {
            self.cron = Some(time);
        }
    }
}

/// When a cron line of five fields, in UTC, comes next.
pub fn next_by_cron(line: &str, after: Timestamp) -> Result<Timestamp, Error> {
    parse(line)?;
    next(line, after).ok_or_else(|| Error::invalid(format!("cron {line:?} never comes")))
}

fn parse(text: &str) -> Result<Crontab, Error> {
    let invalid = |why: &str| {
        Error::invalid(format!(
            "cron must have five fields, minute hour day month weekday, in UTC, as in \"30 3 * * 0\": {why}"
        ))
    };
    if text.len() > CRON_BYTES_MAX {
        return Err(invalid("it is too long"));
    }
    if !text.starts_with('@') && text.split_whitespace().count() != 5 {
        return Err(invalid("it has another number of fields"));
    }
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::UTC;
    let text = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    // The parser's own text shows where, over several lines; the first says what.
    cronexpr::parse_crontab_with(text, options).map_err(|error| {
        invalid(error.to_string().lines().last().unwrap_or_default().trim_matches(['^', ' ']))
    })
}

fn next(text: &str, after: Timestamp) -> Option<Timestamp> {
    let start = MakeTimestamp::from_nanosecond(i128::from(after.nanoseconds())).ok()?;
    let next = parse(text).ok()?.find_next(start).ok()?;
    i64::try_from(next.timestamp().as_nanosecond()).ok().map(Timestamp::from_nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cron: &str, after: &str, expected: &str) {
        let after = Timestamp::parse_rfc3339(after).unwrap();
        assert_eq!(next(cron, after).map(|at| at.rfc3339()).as_deref(), Some(expected), "{cron}");
    }

    /// What croniter 7.0.0 (Python, `croniter(line, start).get_next()`) says.
    #[test]
    fn cron_lines_come_when_another_program_says() {
        for line in include_str!("cron_vectors.txt").lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.split('\t');
            let mut part = || parts.next().unwrap();
            check(part(), part(), part());
        }
    }

    #[test]
    fn lines_that_are_none_are_refused() {
        for line in ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 * * * UTC", "@never", "a b c d e"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(next("0 0 30 2 *", Timestamp::from_seconds(1_767_225_600)), None);
    }

    #[test]
    fn a_time_that_was_acted_upon_does_not_come_again_when_the_clock_is_set_back() {
        let schedule = Schedule { cron: Some("0 3 * * *".into()), ..Schedule::default() };
        let at = |text| Timestamp::parse_rfc3339(text).unwrap();
        let fired = Fired { cron: Some(at("2026-01-02T03:00:00Z")), at: None };
        let next = schedule.next_wall(at("2026-01-02T02:00:00Z"), &fired).unwrap();
        assert_eq!(next.rfc3339(), "2026-01-03T03:00:00Z");
    }
}
