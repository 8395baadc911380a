//! Text with placeholders: `compose = "postgres://app:${DB_PASSWORD|url}@db/shop"`, and files for `template`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strongroom_secret::SecretBytes;
use thiserror::Error;
use zeroize::Zeroizing;

/// How a value is written where it is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    #[default]
    None,
    /// Percent-encoding that is right in every part of a URL (RFC 3986, section 2.3).
    Url,
    Base64,
    /// A JSON string without its quotes.
    Json,
    /// One word of a POSIX shell.
    Shell,
}

impl Encoding {
    pub const WORDS: [&str; 5] = ["none", "url", "base64", "json", "shell"];

    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "url" => Self::Url,
            "base64" => Self::Base64,
            "json" => Self::Json,
            "shell" => Self::Shell,
            _ => return None,
        })
    }

    fn write(self, value: &[u8], out: &mut Vec<u8>) -> Result<(), NotText> {
        let text = || std::str::from_utf8(value).map_err(|_| NotText);
        match self {
            Self::None => out.extend_from_slice(value),
            Self::Url => {
                let encoded = utf8_percent_encode(text()?, UNRESERVED);
                encoded.for_each(|part| out.extend_from_slice(part.as_bytes()));
            }
            Self::Base64 => out.extend_from_slice(Zeroizing::new(STANDARD.encode(value)).as_bytes()),
            Self::Json => {
                let quoted = Zeroizing::new(serde_json::to_string(text()?).map_err(|_| NotText)?);
                let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
                out.extend_from_slice(inner.as_bytes());
            }
            Self::Shell => {
                out.push(b'\'');
                let pieces = text()?.split('\'').enumerate();
                for (index, piece) in pieces {
                    out.extend_from_slice(if index > 0 { b"'\\''" } else { b"" });
                    out.extend_from_slice(piece.as_bytes());
                }
                out.push(b'\'');
            }
        }
        Ok(())
    }
}

/// What every part of a URL takes as it is.
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The value is not UTF-8, and the encoding is one of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NotText;

/// A text with placeholders, parsed.
#[derive(Debug, Clone, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Reference { name: String, encoding: Encoding },
}

/// How placeholders are marked.
#[derive(Debug, Clone, Copy)]
pub struct Marks<'a> {
    pub open: &'a str,
    pub close: &'a str,
    /// What stands for itself once when written twice.
    pub escape: Option<char>,
}

impl Marks<'static> {
    /// `${NAME|encoding}`, with `$$` for a dollar.
    pub const COMPOSE: Self = Self { open: "${", close: "}", escape: Some('$') };
    /// `{{NAME|encoding}}`.
    pub const FILE: Self = Self { open: "{{", close: "}}", escape: None };
}

/// Why a text is not a template. `at` is the offset in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("a placeholder is not closed")]
    Open { at: usize },
    #[error("{name:?} is not the name of a secret")]
    Name { at: usize, name: String },
    #[error("{word:?} is not an encoding: there are none, url, base64, json and shell")]
    Encoding { at: usize, word: String },
}

impl TemplateError {
    pub fn at(&self) -> usize {
        match self {
            Self::Open { at } | Self::Name { at, .. } | Self::Encoding { at, .. } => *at,
        }
    }
}

/// What a template lacks to be filled in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FillError {
    #[error("{0} has no value")]
    Missing(String),
    #[error("{0} is not text, and its encoding needs text")]
    NotText(String),
}

impl Template {
    pub fn parse(text: &str, marks: Marks<'_>) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let at = text.len() - rest.len();
            if let Some(tail) = rest.strip_prefix(marks.open) {
                let end = tail.find(marks.close).ok_or(TemplateError::Open { at })?;
                let (inside, after) = tail.split_at(end);
                let part = reference(inside, at)?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(part);
                rest = after.get(marks.close.len()..).unwrap_or_default();
                continue;
            }
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
            literal.push(character);
            if marks.escape == Some(character) && rest.starts_with(character) {
                rest = rest.get(character.len_utf8()..).unwrap_or_default();
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The names that it needs, in order, repeated as they stand.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Reference { name, .. } => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Puts values in. All names that lack one are reported.
    pub fn fill<'v>(
        &self,
        value: impl Fn(&str) -> Option<&'v SecretBytes>,
    ) -> Result<SecretBytes, Vec<FillError>> {
        let mut out = Vec::new();
        let mut errors = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => grow(&mut out, text.as_bytes()),
                Part::Reference { name, encoding } => match value(name) {
                    None => errors.push(FillError::Missing(name.clone())),
                    Some(value) => {
                        let mut encoded = Zeroizing::new(Vec::new());
                        if encoding.write(value.expose(), &mut encoded).is_err() {
                            errors.push(FillError::NotText(name.clone()));
                        }
                        grow(&mut out, &encoded);
                    }
                },
            }
        }
        let filled = SecretBytes::new(out);
        if errors.is_empty() { Ok(filled) } else { Err(errors) }
    }
}

/// Appends without leaving an unwiped copy behind when the buffer moves.
fn grow(out: &mut Vec<u8>, bytes: &[u8]) {
    if out.capacity() - out.len() < bytes.len() {
        let mut larger = Vec::with_capacity((out.len() + bytes.len()) * 2);
        larger.extend_from_slice(out);
        drop(Zeroizing::new(std::mem::replace(out, larger)));
    }
    out.extend_from_slice(bytes);
}

fn reference(inside: &str, at: usize) -> Result<Part, TemplateError> {
    let (name, word) =
        inside.split_once('|').map_or((inside, None), |(name, word)| (name, Some(word.trim())));
    let name = name.trim();
    if !is_variable_name(name) {
        return Err(TemplateError::Name { at, name: name.chars().take(64).collect() });
    }
    let encoding = match word {
        None => Encoding::None,
        Some(word) => Encoding::named(word)
            .ok_or_else(|| TemplateError::Encoding { at, word: word.chars().take(64).collect() })?,
    };
    Ok(Part::Reference { name: name.to_owned(), encoding })
}

/// POSIX: letters, digits and `_`, not beginning with a digit.
pub fn is_variable_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, value: &str, expected: &str) {
        let value = SecretBytes::new(value.as_bytes().to_vec());
        let filled = match Template::parse(text, Marks::COMPOSE) {
            Ok(template) => match template.fill(|name| (name == "A").then_some(&value)) {
                Ok(filled) => String::from_utf8(filled.expose().to_vec()).unwrap(),
                Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            },
            Err(error) => format!("{}: {error}", error.at()),
        };
        assert_eq!(filled, expected, "{text}");
    }

    #[test]
    fn placeholders_are_filled_in() {
        check("x", "", "x");
        check("postgres://app:${A|url}@db", "p@ss/w:%", "postgres://app:p%40ss%2Fw%3A%25@db");
        check("${A}${ A | base64 }", "hi", "hiaGk=");
        check("{\"k\": \"${A|json}\"}", "a\"b\n", "{\"k\": \"a\\\"b\\n\"}");
        check("export K=${A|shell}", "it's", "export K='it'\\''s'");
        check("$$5 $A $", "", "$5 $A $");
        check("$${A}", "", "${A}");
        check("${A", "", "0: a placeholder is not closed");
        check(
            "x${A|rot13}",
            "",
            "1: \"rot13\" is not an encoding: there are none, url, base64, json and shell",
        );
        check("${a-b}", "", "0: \"a-b\" is not the name of a secret");
        check("${B} ${C}", "", "B has no value; C has no value");
    }

    #[test]
    fn files_have_marks_of_their_own() {
        let template = Template::parse("user={{ A }} ${A} {", Marks::FILE).unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["A"]);
        let value = SecretBytes::new(vec![0xff]);
        assert_eq!(template.fill(|_| Some(&value)).unwrap().expose(), b"user=\xff ${A} {");
        let text_only = Template::parse("{{A|json}}", Marks::FILE).unwrap();
        assert_eq!(text_only.fill(|_| Some(&value)).unwrap_err(), [FillError::NotText("A".to_owned())]);
    }
}
