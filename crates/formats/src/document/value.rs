//! Values without their bytes: what a document says, in a shape that all four syntaxes share.

use std::fmt;
use strongroom_secret::SecretString;

/// What a scalar is, by the rules of its syntax (YAML: as go-yaml v3 resolves untyped values).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScalarKind {
    Null,
    Bool,
    Int,
    Float,
    String,
    /// A date or a time: TOML's four kinds, YAML's timestamps. JSON and INI have none.
    Timestamp,
}

/// A scalar, decoded. Text and numbers are wiped when dropped and do not print.
#[derive(Debug, PartialEq, Eq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Int(Number),
    Float(Number),
    String(SecretString),
    /// As it stands in the document.
    Timestamp(SecretString),
}

/// A number as text, so that none is too long and no digit is lost: JSON's notation, or `inf`, `-inf`, `nan`.
#[derive(Debug, PartialEq, Eq)]
pub struct Number(SecretString);

/// A document's value: order kept, comments and style dropped.
#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Value>),
    /// Keys in document order, each once; but INI may have several sections of one name.
    Map(Vec<(String, Value)>),
}

impl Number {
    /// A number from JSON's notation (or `inf`, `-inf`, `nan`), which is not checked here.
    pub(crate) fn from_text(text: String) -> Self {
        Self(SecretString::new(text))
    }

    /// A decimal number with what YAML and TOML allow beyond JSON: a sign, underscores, a bare point, leading zeros.
    pub(crate) fn from_lenient(raw: &str) -> Self {
        let mut text = String::with_capacity(raw.len() + 2);
        let (negative, digits) = match raw.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, raw.strip_prefix('+').unwrap_or(raw)),
        };
        if negative {
            text.push('-');
        }
        let whole = digits.trim_start_matches(['0', '_']);
        if !whole.starts_with(|c: char| c.is_ascii_digit()) {
            text.push('0');
        }
        let mut after_point = false;
        for character in whole.chars().filter(|character| *character != '_') {
            if after_point && !character.is_ascii_digit() {
                text.push('0');
            }
            after_point = character == '.';
            text.push(character);
        }
        if after_point {
            text.push('0');
        }
        Self::from_text(text)
    }

    /// The shortest decimal notation that reads back as `value`, always with a point or an exponent.
    pub fn float(value: f64) -> Self {
        if value.is_nan() {
            return Self::from_text("nan".to_owned());
        }
        Self::from_text(if value.is_infinite() { format!("{value}") } else { format!("{value:?}") })
    }

    /// JSON's notation, or `inf`, `-inf`, `nan`.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The number, if it is written as an integer and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.expose().parse().ok()
    }

    /// The number, if it is written as an integer and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.expose().parse().ok()
    }

    /// The nearest float; infinite where the number is too large for one.
    pub fn as_f64(&self) -> f64 {
        self.expose().parse().unwrap_or(f64::NAN)
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::from_text(value.to_string())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::from_text(value.to_string())
    }
}

impl Scalar {
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(SecretString::new(text.into()))
    }

    pub fn int(value: i64) -> Self {
        Self::Int(Number::from(value))
    }

    pub fn float(value: f64) -> Self {
        Self::Float(Number::float(value))
    }

    pub fn kind(&self) -> ScalarKind {
        match self {
            Self::Null => ScalarKind::Null,
            Self::Bool(_) => ScalarKind::Bool,
            Self::Int(_) => ScalarKind::Int,
            Self::Float(_) => ScalarKind::Float,
            Self::String(_) => ScalarKind::String,
            Self::Timestamp(_) => ScalarKind::Timestamp,
        }
    }

    /// The scalar as plain text, as an environment variable or an INI file would hold it: null is empty, a bool
    /// `true` or `false`.
    pub fn expose(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Int(number) | Self::Float(number) => number.expose(),
            Self::String(text) | Self::Timestamp(text) => text.expose(),
        }
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Int(number) => Self::Int(number.duplicate()),
            Self::Float(number) => Self::Float(number.duplicate()),
            Self::String(text) => Self::String(text.duplicate()),
            Self::Timestamp(text) => Self::Timestamp(text.duplicate()),
        }
    }
}

impl From<Scalar> for Value {
    fn from(scalar: Scalar) -> Self {
        Self::Scalar(scalar)
    }
}

impl Value {
    pub fn string(text: impl Into<String>) -> Self {
        Self::Scalar(Scalar::string(text))
    }

    /// A map from pairs, whose keys must differ.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Self::Scalar(_) | Self::List(_) => None,
        }
    }

    /// The value at the end of a path.
    pub fn at(&self, path: &[Step]) -> Option<&Value> {
        path.iter().try_fold(self, |value, step| match (value, step) {
            (Self::List(items), Step::Index(index)) => items.get(*index),
            (value, Step::Key(key)) => value.get(key),
            _ => None,
        })
    }

    pub fn as_scalar(&self) -> Option<&Scalar> {
        match self {
            Self::Scalar(scalar) => Some(scalar),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The text of a string; nothing for other kinds.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Scalar(Scalar::String(text)) => Some(text.expose()),
            _ => None,
        }
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Scalar(scalar) => Self::Scalar(scalar.duplicate()),
            Self::List(items) => Self::List(items.iter().map(Self::duplicate).collect()),
            Self::Map(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (key.clone(), value.duplicate())).collect())
            }
        }
    }
}

/// One step of a path: into a map by key, into a list by number (from 0).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Where a value stands in a document. Prints as `servers[0].password`; keys that are not plain words in quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(pub Vec<Step>);

impl std::ops::Deref for Path {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        &self.0
    }
}

impl<T: Into<Step>, const N: usize> From<[T; N]> for Path {
    fn from(steps: [T; N]) -> Self {
        Self(steps.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if number > 0 {
                        f.write_str(".")?;
                    }
                    if !key.is_empty() && key.chars().all(is_word) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_people_write_them() {
        let path = Path(vec!["servers".into(), 0.into(), "a.b".into(), "c-d".into()]);
        assert_eq!(path.to_string(), "servers[0].\"a.b\".c-d");
    }

    #[test]
    fn values_do_not_print() {
        let value =
            Value::map([("pin", Scalar::int(1234).into()), ("word", Value::string("not-a-real-secret"))]);
        let text = format!("{value:?}");
        assert!(text.contains("pin") && !text.contains("1234") && !text.contains("not-a-real"), "{text}");
    }

    #[test]
    fn lenient_numbers_become_those_of_json() {
        for (raw, wanted) in [
            ("+1_000", "1000"),
            ("-.5", "-0.5"),
            ("1.", "1.0"),
            ("00", "0"),
            ("007.e3", "7.0e3"),
            ("0.10", "0.10"),
            ("-0", "-0"),
        ] {
            assert_eq!(Number::from_lenient(raw).expose(), wanted);
        }
    }

    #[test]
    fn floats_keep_their_point() {
        assert_eq!(Number::float(1.0).expose(), "1.0");
        assert_eq!(Number::float(f64::NEG_INFINITY).expose(), "-inf");
        assert_eq!(Number::float(1e300).as_f64(), 1e300);
    }
}
