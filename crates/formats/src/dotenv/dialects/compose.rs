//! Docker Compose: compose-go's `dotenv/parser.go`.

use super::Cursor;
use super::python::escaped;
use crate::dotenv::text::{self, buffer};
use crate::dotenv::tree::{Assignment, Bad, Kind, Quote, Span, Value};
use strongroom_secret::SecretString;
use zeroize::Zeroizing;

pub(crate) fn statement(cursor: &mut Cursor<'_>) -> (usize, Kind) {
    cursor.skip(char::is_whitespace);
    let begins = cursor.at;
    let kind = match cursor.peek() {
        None => Kind::Blank,
        Some('#') => {
            skip_line(cursor);
            Kind::Comment
        }
        Some(_) => match assignment(cursor) {
            Ok(assignment) => Kind::Assignment(assignment),
            Err(bad) => {
                cursor.at = begins;
                skip_line(cursor);
                Kind::Bad(bad)
            }
        },
    };
    (begins, kind)
}

fn assignment(cursor: &mut Cursor<'_>) -> Result<Assignment, Bad> {
    let export = skip_export(cursor);
    let start = cursor.at;
    let rest = cursor.rest();
    let mut ends = None;
    for (offset, character) in rest.char_indices() {
        match character {
            '=' | ':' | '\n' => {
                ends = Some((offset, character));
                break;
            }
            '_' | '.' | '-' | '[' | ']' => {}
            _ if is_space(character) || character.is_alphabetic() || character.is_numeric() => {}
            _ => return Err(Bad::Name),
        }
    }
    // A name alone on a last line without a break becomes the value of no name there: nobody means that.
    let (length, separator) = ends.ok_or(Bad::NoSeparator)?;
    let key = rest.get(..length).unwrap_or_default().trim_end();
    if key.is_empty() {
        return Err(Bad::NoName);
    }
    if key.contains(' ') {
        return Err(Bad::WhiteSpace);
    }
    cursor.at = start + length + 1;
    let key = Span::new(start, start + key.len());
    if separator == '\n' {
        return Ok(Assignment { export, key, value: None });
    }
    cursor.skip(is_space);
    Ok(Assignment { export, key, value: Some(value(cursor)?) })
}

fn skip_export(cursor: &mut Cursor<'_>) -> bool {
    let behind = cursor.rest().strip_prefix("export").and_then(|rest| rest.chars().next());
    let export = behind.is_some_and(|c| c.is_ascii_whitespace());
    if export {
        cursor.at += "export".len();
        cursor.skip(is_space);
    }
    export
}

fn value(cursor: &mut Cursor<'_>) -> Result<Value, Bad> {
    let start = cursor.at;
    let Some(character @ ('\'' | '"')) = cursor.peek() else {
        let line = cursor.rest().split('\n').next().unwrap_or_default();
        skip_line(cursor);
        let value = line.split(" #").next().unwrap_or_default().trim_end();
        return Ok(Value { span: Span::new(start, start + value.len()), quote: Quote::None });
    };
    let mut escapes = false;
    for (offset, byte) in cursor.rest().bytes().enumerate().skip(1) {
        if escapes {
            escapes = false;
        } else if byte == b'\\' {
            escapes = true;
        } else if char::from(byte) == character {
            cursor.at = start + offset + 1;
            let quote = if character == '"' { Quote::Double } else { Quote::Single };
            let value = Value { span: Span::new(start, cursor.at), quote };
            skip_comment(cursor);
            return Ok(value);
        }
    }
    Err(Bad::OpenQuote)
}

/// What stands behind a closing quote on the same line starts a statement of its own, unless it is a comment.
fn skip_comment(cursor: &mut Cursor<'_>) {
    let end = cursor.at;
    cursor.skip(|c| c != '\n' && c.is_whitespace());
    match cursor.peek() {
        None | Some('#' | '\n') => skip_line(cursor),
        Some(_) => cursor.at = end,
    }
}

/// Behind the next `\n`: a `\r` alone is white space here.
fn skip_line(cursor: &mut Cursor<'_>) {
    let rest = cursor.rest();
    cursor.at += rest.find('\n').map_or(rest.len(), |at| at + 1);
}

fn is_space(character: char) -> bool {
    matches!(character, '\t' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// Quotes are off; takes escapes off. In double quotes `\$` becomes `$$`, which interpolation reads as `$`.
pub(crate) fn decode(inner: &str, quote: Quote) -> SecretString {
    let Some(quote_character) = quote.character() else { return SecretString::from(inner) };
    let unquoted = without_escaped_quotes(inner, quote_character);
    if quote == Quote::Single { text::secret(unquoted) } else { expand_escapes(&unquoted) }
}

/// A backslash before the quote goes; any other backslash stays with what follows it.
fn without_escaped_quotes(inner: &str, quote: char) -> Zeroizing<String> {
    let mut plain = buffer(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some(next) if next == quote => plain.push(next),
            Some(next) => plain.extend(['\\', next]),
            None => {}
        }
    }
    plain
}

fn expand_escapes(text: &str) -> SecretString {
    let mut expanded = buffer(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        expanded.push_str(before);
        let behind = from.get(1..).unwrap_or_default();
        rest = match behind.chars().next() {
            Some('0') => push_octal(&mut expanded, behind),
            Some('$') => {
                expanded.push_str("$$");
                behind.get(1..).unwrap_or_default()
            }
            Some(letter @ ('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\\')) => {
                expanded.push(escaped(letter));
                behind.get(1..).unwrap_or_default()
            }
            _ => {
                expanded.push('\\');
                behind
            }
        };
    }
    expanded.push_str(rest);
    text::secret(expanded)
}

/// `\0123` is the character with the octal number 123; with fewer digits, or too large, only the zero goes.
fn push_octal<'t>(expanded: &mut String, behind: &'t str) -> &'t str {
    let after_zero = behind.get(1..).unwrap_or_default();
    let length = after_zero.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = after_zero.split_at(length);
    match u8::from_str_radix(digits, 8) {
        Ok(number) if length == 3 => expanded.push(char::from(number)),
        _ => {
            expanded.push('\\');
            expanded.push_str(digits);
        }
    }
    rest
}
