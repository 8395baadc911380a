//! python-dotenv 1.2: `dotenv/parser.py`.

use super::{Cursor, last_closing_quote};
use crate::dotenv::text::{self, buffer};
use crate::dotenv::tree::{Assignment, Bad, Kind, Quote, Span, Value};
use strongroom_secret::SecretString;

pub(crate) fn statement(cursor: &mut Cursor<'_>) -> (usize, Kind) {
    cursor.skip(is_space);
    let begins = cursor.at;
    if cursor.is_at_end() {
        return (begins, Kind::Blank);
    }
    let kind = binding(cursor).unwrap_or_else(|bad| {
        cursor.skip_line();
        Kind::Bad(bad)
    });
    (begins, kind)
}

fn binding(cursor: &mut Cursor<'_>) -> Result<Kind, Bad> {
    let export = skip_export(cursor);
    let key = key(cursor)?;
    cursor.skip(is_inline_space);
    let value = if cursor.eat('=') {
        cursor.skip(is_inline_space);
        Some(value(cursor)?)
    } else {
        None
    };
    cursor.skip(is_inline_space);
    if cursor.peek() == Some('#') {
        cursor.skip_to_line_end();
    }
    if !matches!(cursor.peek(), None | Some('\n' | '\r')) {
        return Err(if value.is_some() { Bad::BehindValue } else { Bad::NoSeparator });
    }
    cursor.skip_line();
    Ok(match key {
        Some(key) => Kind::Assignment(Assignment { export, key, value }),
        None => Kind::Comment,
    })
}

fn skip_export(cursor: &mut Cursor<'_>) -> bool {
    let start = cursor.at;
    if cursor.rest().starts_with("export") {
        cursor.at += "export".len();
        if cursor.skip(is_inline_space) {
            return true;
        }
        cursor.at = start;
    }
    false
}

/// A name, in single quotes or without; `None` before a comment.
fn key(cursor: &mut Cursor<'_>) -> Result<Option<Span>, Bad> {
    match cursor.peek() {
        Some('#') => Ok(None),
        Some('\'') => {
            let start = cursor.at + 1;
            let length = cursor.text.get(start..).and_then(|rest| rest.find('\''));
            let length = length.filter(|length| *length > 0).ok_or(Bad::OpenQuote)?;
            cursor.at = start + length + 1;
            Ok(Some(Span::new(start, start + length)))
        }
        _ => {
            let start = cursor.at;
            cursor.skip(|c| c != '=' && c != '#' && !is_space(c));
            if cursor.at == start { Err(Bad::NoName) } else { Ok(Some(Span::new(start, cursor.at))) }
        }
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<Value, Bad> {
    let start = cursor.at;
    if let Some(character @ ('\'' | '"')) = cursor.peek() {
        let end = last_closing_quote(cursor.text, start + 1, character, |_| true).ok_or(Bad::OpenQuote)?;
        cursor.at = end + 1;
        let quote = if character == '"' { Quote::Double } else { Quote::Single };
        return Ok(Value { span: Span::new(start, cursor.at), quote });
    }
    cursor.skip_to_line_end();
    let line = cursor.text.get(start..cursor.at).unwrap_or_default();
    let value = line.get(..comment_start(line)).unwrap_or(line).trim_end_matches(is_space);
    cursor.at = start + value.len();
    // What is cut off is white space and a comment: the caller goes over both.
    Ok(Value { span: Span::new(start, cursor.at), quote: Quote::None })
}

/// Where a comment starts: at a `#` behind white space.
fn comment_start(line: &str) -> usize {
    let mut before = None;
    for (at, character) in line.char_indices() {
        if character == '#' && before.is_some_and(is_space) {
            return at;
        }
        before = Some(character);
    }
    line.len()
}

/// Quotes are off; takes escapes off, and reads line breaks as Python does in a text file.
pub(crate) fn decode(inner: &str, quote: Quote) -> SecretString {
    let escapes = match quote {
        Quote::Double => "\\'\"abfnrtv",
        Quote::Single => "\\'",
        Quote::None | Quote::Backtick => "",
    };
    let mut decoded = buffer(inner.len());
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.peek() {
            Some(next) if character == '\\' && escapes.contains(*next) => {
                decoded.push(escaped(*next));
                characters.next();
            }
            _ if character == '\r' => {
                characters.next_if_eq(&'\n');
                decoded.push('\n');
            }
            _ => decoded.push(character),
        }
    }
    text::secret(decoded)
}

/// What a letter means behind a backslash: in Python, in Go, in C.
pub(crate) fn escaped(letter: char) -> char {
    match letter {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        other => other,
    }
}

/// Python's `\s`: Unicode white space, and four separators of ASCII.
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

fn is_inline_space(character: char) -> bool {
    is_space(character) && character != '\n' && character != '\r'
}
