use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, from 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

impl Timestamp {
    pub const EPOCH: Self = Self(0);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOSECONDS_PER_SECOND))
    }

    pub const fn nanoseconds(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOSECONDS_PER_SECOND)
    }

    /// `self + duration`, stopping at the end of the range.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// `self - duration`, stopping at the start of the range.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with up to nine digits, as `2026-11-22T20:31:40.123456789Z`.
    pub fn rfc3339(self) -> String {
        self.to_string()
    }

    /// Reads RFC 3339 with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(parsed.as_nanosecond()).ok().map(Self)
    }
}

/// Times stand in every answer and twice in every audit record, so they are printed without a calendar's generality.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECONDS_PER_DAY: i64 = 86_400;
        let (seconds, nanoseconds) = (self.seconds(), self.0.rem_euclid(NANOSECONDS_PER_SECOND));
        let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date_of(days);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let fields = [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, second / 3600),
            (14..16, second / 60 % 60),
            (17..19, second % 60),
            (20..29, nanoseconds),
        ];
        for (place, number) in fields {
            write_digits(text.get_mut(place).unwrap_or_default(), number);
        }
        let end = match text.get(..29).unwrap_or_default().iter().rposition(|byte| *byte != b'0') {
            // The point, where all digits after it are zeros.
            Some(19) => 19,
            Some(last) => last + 1,
            None => 0,
        };
        f.write_str(std::str::from_utf8(text.get(..end).unwrap_or_default()).unwrap_or_default())?;
        f.write_str("Z")
    }
}

/// Right-aligned in decimal.
fn write_digits(out: &mut [u8], mut number: i64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day in the Gregorian calendar of a number of days since 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months are counted from March, so that the leap day is the last of its year.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The time, as a parameter. The real clock is constructed in `cli` alone.
pub trait Clock: Send + Sync {
    /// The wall-clock time. It may jump in both directions.
    fn now(&self) -> Timestamp;

    /// Time since some fixed start. It never goes back.
    fn monotonic(&self) -> Duration;
}

impl<T: Clock + ?Sized> Clock for std::sync::Arc<T> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_and_parse_as_rfc3339() {
        let timestamp = Timestamp::from_nanoseconds(1_700_000_000_123_456_789);
        assert_eq!(timestamp.rfc3339(), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(Timestamp::parse_rfc3339("2023-11-14T23:13:20.123456789+01:00"), Some(timestamp));
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::from_seconds(5)), Duration::ZERO);
    }

    /// As the calendar library prints them.
    #[test]
    fn times_are_printed_as_they_are() {
        let mut state = 1_u64;
        let mut times = vec![0, 1, -1, i64::MAX, i64::MIN, 951_782_400_000_000_000, 951_868_799_999_999_990];
        for shift in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let time = state.cast_signed();
            times.extend([time, time - time % 1_000_000_000, time >> (shift % 40)]);
        }
        for time in times {
            let expected = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap().to_string();
            assert_eq!(Timestamp::from_nanoseconds(time).to_string(), expected, "{time}");
        }
    }
}
