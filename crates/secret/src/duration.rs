use std::time::Duration;
use thiserror::Error;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a duration: write seconds (90) or a number with a unit (90s, 15m, 24h, 7d)")]
pub struct DurationError {
    text: String,
}

/// Reads a duration in the form Vault takes: whole seconds without a unit, or Go's form (`1h30m`, `1.5s`, `250ms`)
/// with `d` for days in addition. Empty text is zero.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    let error = || DurationError { text: text.chars().take(64).collect() };
    if trimmed.is_empty() {
        return Ok(Duration::ZERO);
    }
    if let Ok(seconds) = trimmed.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = trimmed;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(error)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total = total.checked_add(part(number, unit).ok_or_else(error)?).ok_or_else(error)?;
        rest = tail;
    }
    Ok(total)
}

fn part(number: &str, unit: &str) -> Option<Duration> {
    let unit_nanoseconds: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit_nanoseconds).map(Duration::from_nanos);
    }
    let value: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(value * unit_nanoseconds as f64 / 1e9).ok()
}

/// Writes a duration as people say it: `0s`, `90s` as `1m30s`, `24h` as `24h`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if minutes > 0 {
        text.push_str(&format!("{minutes}m"));
    }
    if rest > 0 || text.is_empty() {
        text.push_str(&format!("{rest}s"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_every_accepted_form() {
        for (text, seconds) in [
            ("", 0.0),
            ("90", 90.0),
            ("90s", 90.0),
            ("1h30m", 5400.0),
            ("1.5s", 1.5),
            ("250ms", 0.25),
            ("7d", 604_800.0),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_secs_f64(seconds), "{text}");
        }
        for text in ["-1", "1x", "h", "1h-2m", "99999999999999999999h", "nan"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(5400)), "1h30m");
        assert_eq!(format_duration(Duration::from_secs(0)), "0s");
    }
}
