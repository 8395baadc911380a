//! What an untyped plain scalar is, as go-yaml v3 decides it: YAML 1.2's core schema, with what that library keeps of
//! YAML 1.1 (`0777`, `0b1`, `1_000`, timestamps).

use crate::document::value::{Number, Scalar, ScalarKind};
use strongroom_secret::SecretString;

const TAG_PREFIX: &str = "tag:yaml.org,2002:";

/// The kind of a scalar with this text.
pub(super) fn kind(text: &str, is_plain: bool, tag: Option<&str>) -> ScalarKind {
    let Some(tag) = tag else { return if is_plain { plain_kind(text) } else { ScalarKind::String } };
    let found = plain_kind(text);
    match (tag.strip_prefix(TAG_PREFIX), found) {
        (Some("null"), ScalarKind::Null)
        | (Some("bool"), ScalarKind::Bool)
        | (Some("int"), ScalarKind::Int)
        | (Some("float"), ScalarKind::Float)
        | (Some("timestamp"), ScalarKind::Timestamp) => found,
        (Some("float"), ScalarKind::Int) => ScalarKind::Float,
        _ => ScalarKind::String,
    }
}

/// Whether a scalar of this kind can carry this tag, for every reader of YAML.
pub(super) fn tag_allows(tag: &str, kind: ScalarKind) -> bool {
    let name = match kind {
        ScalarKind::Null => "null",
        ScalarKind::Bool => "bool",
        ScalarKind::Int => "int",
        ScalarKind::Float => "float",
        ScalarKind::String => "str",
        ScalarKind::Timestamp => "timestamp",
    };
    match tag.strip_prefix(TAG_PREFIX) {
        Some(core) => core == name,
        None => kind == ScalarKind::String,
    }
}

/// The scalar of this kind and text.
pub(super) fn scalar(kind: ScalarKind, text: &str) -> Scalar {
    match kind {
        ScalarKind::Null => Scalar::Null,
        ScalarKind::Bool => Scalar::Bool(text.starts_with(['t', 'T'])),
        ScalarKind::Int => Scalar::Int(integer(text).unwrap_or_else(|| Number::from_lenient(text))),
        ScalarKind::Float => Scalar::Float(float(text)),
        ScalarKind::String => Scalar::String(SecretString::from(text)),
        ScalarKind::Timestamp => Scalar::Timestamp(SecretString::from(text)),
    }
}

fn plain_kind(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return ScalarKind::Bool,
        ".nan" | ".NaN" | ".NAN" => return ScalarKind::Float,
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return ScalarKind::Float;
    }
    match text.as_bytes().first() {
        Some(b'.') if is_float(text) => ScalarKind::Float,
        Some(b'+' | b'-' | b'0'..=b'9') => number_kind(text),
        _ => ScalarKind::String,
    }
}

fn number_kind(text: &str) -> ScalarKind {
    if is_timestamp(text) {
        return ScalarKind::Timestamp;
    }
    if integer(text).is_some() {
        return ScalarKind::Int;
    }
    if is_float(&text.replace('_', "")) { ScalarKind::Float } else { ScalarKind::String }
}

/// An integer of 64 bits, signed or not, in any of the notations.
fn integer(text: &str) -> Option<Number> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match (lower.get(..2), lower.get(2..)) {
        (Some("0x"), Some(digits)) => (16, digits),
        (Some("0o"), Some(digits)) => (8, digits),
        (Some("0b"), Some(digits)) => (2, digits),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|character: char| character.is_ascii_alphanumeric()) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    let fits = match sign {
        "-" => size <= i64::MIN.unsigned_abs(),
        _ => !plain.starts_with('+') || i64::try_from(size).is_ok(),
    };
    fits.then(|| Number::from_text(format!("{}{size}", if size == 0 { "" } else { sign })))
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(text);
    let (_, rest) = text.split_at(whole);
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let count = digits(fraction);
            if whole == 0 && count == 0 {
                return false;
            }
            fraction.split_at(count).1
        }
        None if whole == 0 => return false,
        None => rest,
    };
    match rest.strip_prefix(['e', 'E']) {
        Some(exponent) => {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        None => rest.is_empty(),
    }
}

fn float(text: &str) -> Number {
    match text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
        ".inf" => Number::float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        ".nan" => Number::float(f64::NAN),
        _ => match integer(text) {
            // `!!float 0x10`
            Some(integer) if !is_float(text) => integer,
            _ => Number::from_lenient(text),
        },
    }
}

/// `YYYY-M-D`, alone or with a time: after `T` or `t` with a zone, after a space without one.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => {
            let (date, time) = text.split_at(at);
            (date, Some(time))
        }
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) =
        (number(year, 4..=4), number(month, 1..=2), number(day, 1..=2))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
        && match time {
            None => true,
            Some(time) => match time.strip_prefix(' ') {
                Some(time) => is_time(time),
                None => is_zoned_time(time.get(1..).unwrap_or_default()),
            },
        }
}

fn is_zoned_time(text: &str) -> bool {
    if let Some(time) = text.strip_suffix('Z') {
        return is_time(time);
    }
    let Some(at) = text.rfind(['+', '-']) else { return false };
    let (time, zone) = text.split_at(at);
    let zone = zone.get(1..).unwrap_or_default();
    let Some((hours, minutes)) = zone.split_once(':') else { return false };
    let is_zone = |text: &str, max| number(text, 2..=2).is_some_and(|value| value <= max);
    is_time(time) && is_zone(hours, 24) && is_zone(minutes, 60)
}

fn is_time(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    let (Some(hour), Some(minute), Some(second)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (second, fraction) = match second.split_once(['.', ',']) {
        Some((second, fraction)) => (second, Some(fraction)),
        None => (second, None),
    };
    let below = |text: &str, end| number(text, 1..=2).is_some_and(|value| value < end);
    let is_fraction = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    below(hour, 24) && below(minute, 60) && below(second, 60) && fraction.is_none_or(is_fraction)
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let is_number = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As go.yaml.in/yaml/v3 3.0.4 decodes each, untyped.
    #[test]
    fn plain_scalars_resolve_as_go_yaml_does() {
        use ScalarKind::{Bool, Float, Int, Null, String, Timestamp};
        for (text, wanted, value) in [
            ("~", Null, ""),
            ("yes", String, "yes"),
            ("True", Bool, "true"),
            ("0o17", Int, "15"),
            ("0777", Int, "511"),
            ("0x1F", Int, "31"),
            ("-0x1F", Int, "-31"),
            ("0b101", Int, "5"),
            ("1_000", Int, "1000"),
            ("+12", Int, "12"),
            ("-0", Int, "0"),
            ("08", Float, "8"),
            ("18446744073709551615", Int, "18446744073709551615"),
            ("18446744073709551616", Float, "18446744073709551616"),
            ("-9223372036854775808", Int, "-9223372036854775808"),
            ("0xFFFFFFFFFFFFFFFFF", String, "0xFFFFFFFFFFFFFFFFF"),
            ("1.", Float, "1.0"),
            (".5", Float, "0.5"),
            ("1e3", Float, "1e3"),
            ("1e", String, "1e"),
            ("-", String, "-"),
            (".", String, "."),
            (".inf", Float, "inf"),
            ("-.INF", Float, "-inf"),
            (".NaN", Float, "nan"),
            ("2001-12-14", Timestamp, "2001-12-14"),
            ("2001-2-30", String, "2001-2-30"),
            ("2001-12-14t21:59:43.10-05:00", Timestamp, "2001-12-14t21:59:43.10-05:00"),
            ("2001-12-14 21:59:43.10", Timestamp, "2001-12-14 21:59:43.10"),
            ("2001-12-14 21:59:43.10 -5", String, "2001-12-14 21:59:43.10 -5"),
            ("12:30:45", String, "12:30:45"),
            ("1.2.3", String, "1.2.3"),
            ("<<", String, "<<"),
        ] {
            let found = kind(text, true, None);
            assert_eq!((found, scalar(found, text).expose()), (wanted, value), "{text}");
        }
    }

    #[test]
    fn tags_decide_where_they_can() {
        assert_eq!(kind("5", true, Some("tag:yaml.org,2002:str")), ScalarKind::String);
        assert_eq!(kind("5", false, Some("tag:yaml.org,2002:int")), ScalarKind::Int);
        assert_eq!(kind("5", true, Some("tag:yaml.org,2002:float")), ScalarKind::Float);
        assert_eq!(kind("5", true, Some("!vault")), ScalarKind::String);
        assert_eq!(kind("5", false, None), ScalarKind::String);
    }
}
