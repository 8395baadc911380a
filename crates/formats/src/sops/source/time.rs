//! YAML's timestamps as RFC 3339, which is what is encrypted and what the MAC sees.

/// What go-yaml v3 takes for a time, as Go prints it: `2006-1-2`, `2006-1-2 15:4:5.9`, `2006-1-2T15:4:5.9Z07:00`. Without
/// an offset it is UTC. Local dates and times of TOML, which are no points in time, stay as they are.
pub(super) fn rfc3339(text: &str) -> Option<String> {
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, ""),
    };
    let date = date_text(date)?;
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let rest = rest.trim();
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let zone = match zone {
        "" | "Z" | "z" | "+00:00" | "-00:00" => "Z",
        zone => zone,
    };
    Some(format!("{date}T{}{zone}", clock_text(clock.trim_end())?))
}

fn date_text(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && year.len() == 4).then_some(())?;
    Some(format!("{year}-{:02}-{:02}", month.parse::<u8>().ok()?, day.parse::<u8>().ok()?))
}

fn clock_text(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(())?;
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{hour:02}:{minute:02}:{second:02}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_as_go_prints_them() {
        for (text, expected) in [
            ("2024-01-01", "2024-01-01T00:00:00Z"),
            ("2025-1-2", "2025-01-02T00:00:00Z"),
            ("2025-01-02 03:04:05", "2025-01-02T03:04:05Z"),
            ("2025-01-02t3:4:5.500Z", "2025-01-02T03:04:05.5Z"),
            ("2006-01-02T15:04:05+07:06", "2006-01-02T15:04:05+07:06"),
            ("2006-01-02T15:04:05-00:00", "2006-01-02T15:04:05Z"),
        ] {
            assert_eq!(rfc3339(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(rfc3339("07:32:00"), None);
    }
}
