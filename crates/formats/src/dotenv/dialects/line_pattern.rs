//! motdotla/dotenv 17 and bkeepers/dotenv 3.2. Each is one regular expression over the text, here walked by hand, in time
//! that does not grow with the square of the text.

use super::{Cursor, last_closing_quote};
use crate::dotenv::text::{self, buffer, with_unix_breaks};
use crate::dotenv::tree::{Assignment, Bad, Kind, Quote, Span, Value};
use strongroom_secret::SecretString;
use zeroize::Zeroizing;

/// In what the two differ.
pub(crate) struct Flavour {
    is_space: fn(char) -> bool,
    is_key: fn(char) -> bool,
    quotes: &'static str,
    /// Whether a name alone is a statement.
    names_alone: bool,
}

pub(crate) const NODE: Flavour = Flavour {
    is_space: |c| (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}',
    is_key: |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'),
    quotes: "'\"`",
    names_alone: false,
};

pub(crate) const RUBY: Flavour = Flavour {
    is_space: |c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c'),
    is_key: |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'),
    quotes: "'\"",
    names_alone: true,
};

pub(crate) fn statement(cursor: &mut Cursor<'_>, flavour: &Flavour) -> (usize, Kind) {
    let start = cursor.at;
    cursor.skip(flavour.is_space);
    let begins = cursor.at;
    let blank = cursor.text.get(start..begins).unwrap_or_default();
    if cursor.is_at_end() {
        return (begins, Kind::Blank);
    }
    if let Some(last_break) = blank.rfind(['\n', '\r']) {
        cursor.at = start + last_break + 1;
        return (cursor.at, Kind::Blank);
    }
    let kind = match assignment(cursor, flavour) {
        Some(assignment) => Kind::Assignment(assignment),
        None => {
            let reason = bad(cursor, flavour);
            cursor.at = begins;
            cursor.skip_line();
            reason
        }
    };
    (begins, kind)
}

fn bad(cursor: &mut Cursor<'_>, flavour: &Flavour) -> Kind {
    if cursor.peek() == Some('#') {
        return Kind::Comment;
    }
    let Some(first) = cursor.peek() else { return Kind::Blank };
    Kind::Bad(match first {
        '=' => Bad::NoName,
        first if !(flavour.is_key)(first) => Bad::Name,
        _ => Bad::NoSeparator,
    })
}

/// `export` and what is exported; or else something named `export`.
fn assignment(cursor: &mut Cursor<'_>, flavour: &Flavour) -> Option<Assignment> {
    let begins = cursor.at;
    if cursor.rest().starts_with("export") {
        cursor.at += "export".len();
        if cursor.skip(flavour.is_space)
            && let Some(exported) = pair(cursor, flavour, true)
        {
            return Some(exported);
        }
        cursor.at = begins;
    }
    let plain = pair(cursor, flavour, false);
    if plain.is_none() {
        cursor.at = begins;
    }
    plain
}

fn pair(cursor: &mut Cursor<'_>, flavour: &Flavour, export: bool) -> Option<Assignment> {
    let start = cursor.at;
    if !cursor.skip(flavour.is_key) {
        return None;
    }
    let key = Span::new(start, cursor.at);
    if separator(cursor, flavour) {
        let value = value(cursor, flavour);
        cursor.skip_line();
        return Some(Assignment { export, key, value });
    }
    cursor.at = key.end;
    if flavour.names_alone && ends_here(cursor.text, key.end, flavour) {
        cursor.skip_line();
        return Some(Assignment { export, key, value: None });
    }
    None
}

/// `=` with white space before it, line breaks too; or `:` with a character of white space behind it.
fn separator(cursor: &mut Cursor<'_>, flavour: &Flavour) -> bool {
    let key_end = cursor.at;
    cursor.skip(flavour.is_space);
    if cursor.eat('=') {
        return true;
    }
    cursor.at = key_end;
    if cursor.eat(':')
        && let Some(space) = cursor.peek().filter(|c| (flavour.is_space)(*c))
    {
        if !(space == '\r' && cursor.rest().starts_with("\r\n")) {
            cursor.at += space.len_utf8();
            return true;
        }
        cursor.at += 2;
        return true;
    }
    false
}

/// A value in quotes may start lines further down. One that is not closed, or not alone, is a plain one.
fn value(cursor: &mut Cursor<'_>, flavour: &Flavour) -> Option<Value> {
    let start = cursor.at;
    cursor.skip(flavour.is_space);
    if let Some(character) = cursor.peek().filter(|c| flavour.quotes.contains(*c))
        && let Some(quote) = Quote::of(character)
    {
        let opens = cursor.at;
        let ends = |at: usize| ends_here(cursor.text, at + 1, flavour);
        if let Some(end) = last_closing_quote(cursor.text, opens + 1, character, ends) {
            cursor.at = end + 1;
            return Some(Value { span: Span::new(opens, cursor.at), quote });
        }
    }
    cursor.at = start;
    cursor.skip(|c| !matches!(c, '#' | '\n' | '\r'));
    let raw = cursor.text.get(start..cursor.at).unwrap_or_default();
    if raw.is_empty() {
        return None;
    }
    let trimmed = raw.trim_matches(flavour.is_space);
    let start = start + (raw.len() - raw.trim_start_matches(flavour.is_space).len());
    let span = Span::new(start.min(cursor.at), (start + trimmed.len()).min(cursor.at));
    Some(Value { span, quote: quote_around(trimmed, flavour) })
}

/// The quotes that a text starts and ends with.
fn quote_around(text: &str, flavour: &Flavour) -> Quote {
    let mut characters = text.chars();
    match (characters.next(), characters.next_back()) {
        (Some(first), Some(last)) if first == last && flavour.quotes.contains(first) => {
            Quote::of(first).unwrap_or(Quote::None)
        }
        _ => Quote::None,
    }
}

/// Whether white space and a comment are all that is left of the line.
fn ends_here(text: &str, at: usize, flavour: &Flavour) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    let next = rest.chars().find(|c| matches!(c, '\n' | '\r') || !(flavour.is_space)(*c));
    matches!(next, None | Some('\n' | '\r' | '#'))
}

/// Behind a double quote, closed or not, `\n` and `\r` are line breaks; nothing else is taken off.
pub(crate) fn decode_node(inner: &str, raw: &str) -> SecretString {
    let inner = Zeroizing::new(with_unix_breaks(inner).into_owned());
    if !raw.starts_with('"') {
        return SecretString::from(inner.as_str());
    }
    let lines = Zeroizing::new(inner.replace("\\n", "\n"));
    SecretString::new(lines.replace("\\r", "\r"))
}

/// How Ruby's dotenv takes `\n` and `\r` in double quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineBreaks {
    Literal,
    /// `DOTENV_LINEBREAK_MODE=legacy`, in the file before or in the environment.
    Legacy,
}

/// Escapes are off but for `\$`, which substitution needs to see.
pub(crate) fn decode_ruby(inner: &str, quote: Quote, line_breaks: LineBreaks) -> SecretString {
    let inner = Zeroizing::new(with_unix_breaks(inner).into_owned());
    let inner = match quote {
        Quote::Single => return SecretString::from(inner.as_str()),
        Quote::Double => with_line_breaks(&inner, line_breaks),
        Quote::None | Quote::Backtick => inner,
    };
    let mut decoded = buffer(inner.len());
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.next_if(|next| character == '\\' && *next != '$') {
            Some(next) => decoded.push(next),
            None => decoded.push(character),
        }
    }
    text::secret(decoded)
}

fn with_line_breaks(inner: &str, line_breaks: LineBreaks) -> Zeroizing<String> {
    // Literal ones get a second backslash here, which taking escapes off takes off again.
    let (for_n, for_r) = match line_breaks {
        LineBreaks::Legacy => ("\n", "\r"),
        LineBreaks::Literal => ("\\\\n", "\\\\r"),
    };
    let inner = Zeroizing::new(inner.replace("\\n", for_n));
    Zeroizing::new(inner.replace("\\r", for_r))
}
