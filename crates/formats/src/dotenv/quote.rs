//! How a value may be written. There are many forms, and which one a dialect reads back is not worked out by rules: each
//! form is tried on the dialects themselves.

use super::Dialect;
use super::dialects::{sops, strict};
use super::tree::{Document, Quote};
use super::values::{NO_ENVIRONMENT, Precedence};
use zeroize::Zeroizing;

/// A way of writing a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bare,
    Single,
    Double,
    Backtick,
    /// `\'`, as python-dotenv writes.
    SingleEscapedQuote,
    /// `\'` and `\\`.
    SingleEscaped,
    /// `\"`, `\\`, and letters for control characters.
    DoubleEscaped,
    /// Letters for line breaks alone.
    DoubleLineBreaks,
    /// `\$` beside what `DoubleEscaped` escapes.
    DoubleDollars,
    BareDollars,
    /// `${` as `${:-$}{`: a variable without a name, whose default is a dollar. Python has no escape for it.
    PythonSingle,
    PythonDouble,
    /// sops' `\n`.
    Sops,
}

const ALL: [Form; 13] = [
    Form::Bare,
    Form::Single,
    Form::Double,
    Form::SingleEscapedQuote,
    Form::SingleEscaped,
    Form::DoubleEscaped,
    Form::DoubleLineBreaks,
    Form::DoubleDollars,
    Form::BareDollars,
    Form::PythonSingle,
    Form::PythonDouble,
    Form::Sops,
    Form::Backtick,
];

impl Form {
    pub(super) fn write(self, value: &str) -> Zeroizing<String> {
        let python_dollars = |value: &str| value.replace("${", "${:-$}{");
        Zeroizing::new(match self {
            Self::Bare => value.to_owned(),
            Self::Single => format!("'{value}'"),
            Self::Double => format!("\"{value}\""),
            Self::Backtick => format!("`{value}`"),
            Self::SingleEscapedQuote => format!("'{}'", value.replace('\'', "\\'")),
            Self::SingleEscaped => format!("'{}'", escape_single(value)),
            Self::DoubleEscaped => format!("\"{}\"", escape_double(value)),
            Self::DoubleLineBreaks => {
                format!("\"{}\"", value.replace('\n', "\\n").replace('\r', "\\r"))
            }
            Self::DoubleDollars => format!("\"{}\"", escape_double(value).replace('$', "\\$")),
            Self::BareDollars => value.replace('$', "$$"),
            Self::PythonSingle => format!("'{}'", python_dollars(&escape_single(value))),
            Self::PythonDouble => format!("\"{}\"", python_dollars(&escape_double(value))),
            Self::Sops => sops::encode(value),
        })
    }

    /// As a person would call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "without quotes",
            Self::Single => "in single quotes",
            Self::Double => "in double quotes",
            Self::Backtick => "in backticks",
            Self::SingleEscapedQuote | Self::SingleEscaped => "in single quotes, with \\ before quotes",
            Self::DoubleEscaped => "in double quotes, with \\ before quotes and for control characters",
            Self::DoubleLineBreaks => "in double quotes, with \\n for line breaks",
            Self::DoubleDollars => "in double quotes, with \\$ for each dollar",
            Self::BareDollars => "with $$ for each dollar",
            Self::PythonSingle | Self::PythonDouble => "in quotes, with ${:-$}{ for each ${",
            Self::Sops => "without quotes, with \\n for line breaks",
        }
    }
}

/// All forms, those first that a value would rather have.
pub(super) fn forms(first: &[Form]) -> impl Iterator<Item = Form> {
    first.iter().copied().chain(ALL.into_iter().filter(|form| !first.contains(form)))
}

/// The forms that go with the quotes that a value had.
pub(super) fn like(quote: Quote) -> &'static [Form] {
    match quote {
        Quote::None => &[Form::Bare],
        Quote::Single => &[Form::Single, Form::SingleEscapedQuote, Form::SingleEscaped, Form::PythonSingle],
        Quote::Double => &[
            Form::Double,
            Form::DoubleEscaped,
            Form::DoubleLineBreaks,
            Form::DoubleDollars,
            Form::PythonDouble,
        ],
        Quote::Backtick => &[Form::Backtick],
    }
}

/// Whether nobody would put quotes around a value.
pub(super) fn is_simple(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| strict::is_plain(c) && c != ' ')
}

/// What a line's value has to come back as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The value itself, whatever variables there are.
    Literal,
    /// The text of the value, with references to variables still in it.
    Template,
}

/// Whether a line, alone in a file, gives this name this value and nothing else.
pub(super) fn reads_back(line: &str, key: &str, value: &str, meaning: Meaning, dialect: Dialect) -> bool {
    let text = Zeroizing::new(format!("{line}\n"));
    let Ok(document) = Document::parse(&text, dialect) else { return false };
    let mut assignments = document.assignments();
    let alone = document.bad_lines().next().is_none();
    let (Some((_, assignment)), None, true) = (assignments.next(), assignments.next(), alone) else {
        return false;
    };
    if document.key(assignment) != key || document.runs_command(assignment) {
        return false;
    }
    match meaning {
        Meaning::Template => document.literal(assignment).is_some_and(|found| found.expose() == value),
        Meaning::Literal => document
            .resolve(NO_ENVIRONMENT, Precedence::File)
            .is_ok_and(|values| values.value(key).is_some_and(|found| found.expose() == value)),
    }
}

fn escape_single(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

fn escape_double(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() * 2);
    for character in value.chars() {
        match character {
            '\\' | '"' => escaped.extend(['\\', character]),
            '\x07' => escaped.push_str("\\a"),
            '\x08' => escaped.push_str("\\b"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\x0b' => escaped.push_str("\\v"),
            '\x0c' => escaped.push_str("\\f"),
            '\r' => escaped.push_str("\\r"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first form that all these dialects read back, as it is written.
    fn check(value: &str, dialects: &[Dialect]) -> Option<String> {
        let read_by_all = |form: &Form| {
            let line = format!("K={}", form.write(value).as_str());
            dialects.iter().all(|dialect| reads_back(&line, "K", value, Meaning::Literal, *dialect))
        };
        forms(&[]).find(read_by_all).map(|form| form.write(value).to_string())
    }

    #[test]
    fn a_form_is_found_that_all_read_back() {
        let programs = &Dialect::OF_PROGRAMS;
        for (value, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("pass#word", "'pass#word'"),
            ("a b  ", "'a b  '"),
            ("it's", "it's"),
            ("'it's'", "\"'it's'\""),
            ("$2b$12$N9qo8uLOickgx2ZMRZoMye", "'$2b$12$N9qo8uLOickgx2ZMRZoMye'"),
            ("line\nline", "'line\nline'"),
            ("$(reboot)", "'$(reboot)'"),
        ] {
            assert_eq!(check(value, programs).as_deref(), Some(expected), "{value:?}");
        }
        assert_eq!(
            check("a${B}c", programs),
            None,
            "python puts variables into single quotes, node has none"
        );
    }

    #[test]
    fn each_dialect_alone_takes_almost_anything() {
        for value in
            ["${A}", "a\r\nb", "'\"", "\\", "\\'", "a\\nb", "`", " # ", "$A ${B:-c} $$", "\u{1c}x\u{85}"]
        {
            for dialect in [Dialect::Python, Dialect::Compose] {
                assert!(check(value, &[dialect]).is_some(), "{dialect} {value:?}");
            }
        }
        assert_eq!(check("a\nb", &[Dialect::Sops]).as_deref(), Some("a\\nb"));
        assert_eq!(check("a\\nb", &[Dialect::Sops]), None, "sops has no escape for a backslash");
        assert_eq!(check("`'\"", &[Dialect::Node]).as_deref(), Some("`'\""));
    }
}
