//! Values in clear, and the form in which the cipher and the MAC see them.

use std::borrow::Cow;
use std::fmt;
use strongroom_secret::{SecretBytes, Timestamp};
use thiserror::Error;

/// One value in clear, with the type that SOPS keeps beside the ciphertext.
pub enum Value {
    /// Text; in binary files any bytes.
    Text(SecretBytes),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// RFC 3339, as written.
    Time(String),
}

/// Why plaintext does not fit the type that stands beside it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    #[error("what was decrypted is not of the type {0:?}")]
    Mismatch(&'static str),
    #[error("the type {0:?} is none of str, int, float, bool, bytes, time, comment")]
    UnknownType(String),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(SecretBytes::new(text.into().into_bytes()))
    }

    /// The text, if it is one and is UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes.expose()).ok(),
            _ => None,
        }
    }

    /// The name of its type in `ENC[…,type:…]`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "str",
            Self::Integer(_) => "int",
            Self::Float(_) => "float",
            Self::Boolean(_) => "bool",
            Self::Time(_) => "time",
        }
    }

    /// What is encrypted and what goes into the MAC.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(bytes) => Cow::Borrowed(bytes.expose()),
            Self::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::Float(number) => Cow::Owned(float_text(*number).into_bytes()),
            Self::Boolean(true) => Cow::Borrowed(b"True"),
            Self::Boolean(false) => Cow::Borrowed(b"False"),
            Self::Time(text) => Cow::Borrowed(text.as_bytes()),
        }
    }

    /// The value from its bytes and the name of its type. A comment is text.
    pub fn from_bytes(kind: &str, bytes: Vec<u8>) -> Result<Self, ValueError> {
        let bytes = SecretBytes::new(bytes);
        let text = std::str::from_utf8(bytes.expose());
        match kind {
            "str" | "bytes" | "comment" => Ok(Self::Text(bytes)),
            "int" => match text.ok().and_then(|text| text.parse().ok()) {
                Some(number) => Ok(Self::Integer(number)),
                None => Err(ValueError::Mismatch("int")),
            },
            "float" => match text.ok().and_then(|text| text.parse().ok()) {
                Some(number) => Ok(Self::Float(number)),
                None => Err(ValueError::Mismatch("float")),
            },
            // All that Go's strconv.ParseBool takes: files of other programs hold them.
            "bool" => match text {
                Ok("True" | "true" | "TRUE" | "t" | "T" | "1") => Ok(Self::Boolean(true)),
                Ok("False" | "false" | "FALSE" | "f" | "F" | "0") => Ok(Self::Boolean(false)),
                _ => Err(ValueError::Mismatch("bool")),
            },
            "time" => match text {
                Ok(text) if Timestamp::parse_rfc3339(text).is_some() || is_local_time(text) => {
                    Ok(Self::Time(text.to_owned()))
                }
                _ => Err(ValueError::Mismatch("time")),
            },
            _ => Err(ValueError::UnknownType(kind.chars().take(40).collect())),
        }
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Text(bytes) => Self::Text(bytes.duplicate()),
            Self::Integer(number) => Self::Integer(*number),
            Self::Float(number) => Self::Float(*number),
            Self::Boolean(truth) => Self::Boolean(*truth),
            Self::Time(text) => Self::Time(text.clone()),
        }
    }

    /// As a variable or a line of `.env` or INI shows it; as SOPS does, so a whole float keeps its `.0` and a big one
    /// its exponent. `None` for text that is not UTF-8.
    pub fn plain_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(_) => self.as_text().map(Cow::Borrowed),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::Float(number) => Some(Cow::Owned(go_general(*number))),
            Self::Boolean(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
            Self::Time(text) => Some(Cow::Borrowed(text)),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Float(one), Self::Float(other)) => one.to_bits() == other.to_bits(),
            _ => self.kind() == other.kind() && self.bytes() == other.bytes(),
        }
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[redacted]", self.kind())
    }
}

/// TOML's dates and times of no zone: `1979-05-27`, `07:32:00`, `1979-05-27T07:32:00.5`.
fn is_local_time(text: &str) -> bool {
    let parts = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | 'T' | 't' | ' ');
    (8..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(parts)
}

/// The shortest decimal form that reads back as the same number, without an exponent: Go's `FormatFloat(x, 'f', -1, 64)`.
fn float_text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    number.to_string()
}

/// Go's `FormatFloat(x, 'G', -1, 64)`: an exponent below 1e-4 and from 1e6 on. A whole number gets `.0`.
fn go_general(number: f64) -> String {
    let magnitude = number.abs();
    if number.is_finite() && magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        return with_exponent(number, 'E');
    }
    with_point(number)
}

/// A float as a number of JSON, which has no exponent up to 1e21, as Go writes it; but a whole number keeps its point,
/// unless it is too big to be taken for an integer.
pub(super) fn json_float(number: f64) -> String {
    match number.abs() {
        magnitude if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) => format!("{number:e}"),
        magnitude if magnitude > 1e19 => float_text(number),
        _ => with_point(number),
    }
}

/// A float as go-yaml writes it; but a whole number keeps its point.
pub(super) fn yaml_float(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        with_exponent(number, 'e')
    } else {
        with_point(number)
    }
}

fn with_exponent(number: f64, sign: char) -> String {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (direction, size) = match exponent.strip_prefix('-') {
        Some(size) => ('-', size),
        None => ('+', exponent),
    };
    format!("{digits}{sign}{direction}{size:0>2}")
}

fn with_point(number: f64) -> String {
    let text = float_text(number);
    if number.is_finite() && !text.contains('.') { format!("{text}.0") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Value, kind: &str, bytes: &str, plain: &str) {
        assert_eq!((value.kind(), &*value.bytes()), (kind, bytes.as_bytes()));
        assert_eq!(value.plain_text().as_deref(), Some(plain));
        assert_eq!(Value::from_bytes(kind, bytes.into()), Ok(value));
    }

    #[test]
    fn values_and_their_bytes() {
        check(Value::text("ä"), "str", "ä", "ä");
        check(Value::Integer(-5), "int", "-5", "-5");
        check(Value::Boolean(true), "bool", "True", "true");
        check(Value::Boolean(false), "bool", "False", "false");
        check(Value::Float(1234.56789), "float", "1234.56789", "1234.56789");
        check(Value::Float(2.0), "float", "2", "2.0");
        check(Value::Float(1e21), "float", "1000000000000000000000", "1E+21");
        check(Value::Float(1234567.5), "float", "1234567.5", "1.2345675E+06");
        check(Value::Float(1.5e-7), "float", "0.00000015", "1.5E-07");
        check(
            Value::Time("2024-01-01T00:00:00Z".into()),
            "time",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00Z",
        );
    }

    #[test]
    fn what_does_not_fit_its_type() {
        for (kind, bytes) in
            [("int", "x"), ("int", "99999999999999999999"), ("bool", "yes"), ("time", "today")]
        {
            assert!(
                matches!(Value::from_bytes(kind, bytes.into()), Err(ValueError::Mismatch(_))),
                "{kind} {bytes}"
            );
        }
        assert!(matches!(Value::from_bytes("x", vec![]), Err(ValueError::UnknownType(_))));
        assert_eq!(format!("{:?}", Value::text("not-a-real-secret")), "str[redacted]");
    }
}
