//! Only what python, node, compose, ruby and sops read alike: `NAME=value`, comments and empty lines.

use super::Cursor;
use crate::dotenv::tree::{Assignment, Bad, Kind, Quote, Span, Value};

pub(crate) fn statement(cursor: &mut Cursor<'_>) -> (usize, Kind) {
    let start = cursor.at;
    let line = cursor.rest().split('\n').next().unwrap_or_default();
    if line.is_empty() {
        cursor.skip(|c| c == '\n');
        return (start, Kind::Blank);
    }
    cursor.at = (start + line.len() + 1).min(cursor.text.len());
    let kind = match line.chars().next() {
        _ if line.contains('\r') => Kind::Bad(Bad::CarriageReturn),
        Some('#') => Kind::Comment,
        _ => match assignment(start, line) {
            Ok(assignment) => Kind::Assignment(assignment),
            Err(bad) => Kind::Bad(bad),
        },
    };
    (start, kind)
}

fn assignment(start: usize, line: &str) -> Result<Assignment, Bad> {
    let trimmed = line.trim_start();
    if trimmed.is_empty() {
        return Err(Bad::WhiteSpaceAlone);
    }
    if trimmed.starts_with('#') {
        return Err(Bad::CommentIndented);
    }
    if trimmed.len() < line.len() {
        return Err(Bad::WhiteSpace);
    }
    let (key, value) = line.split_once('=').ok_or(Bad::NoSeparator)?;
    if key.starts_with("export ") {
        return Err(Bad::Exported);
    }
    if key.is_empty() {
        return Err(Bad::NoName);
    }
    if key.ends_with(char::is_whitespace) {
        return Err(Bad::WhiteSpace);
    }
    let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Bad::Name);
    }
    if value.trim() != value {
        return Err(Bad::WhiteSpace);
    }
    if !value.chars().all(is_plain) {
        return Err(Bad::ValueCharacter);
    }
    let key_end = start + key.len();
    let span = Span::new(key_end + 1, start + line.len());
    let value = Some(Value { span, quote: Quote::None });
    Ok(Assignment { export: false, key: Span::new(start, key_end), value })
}

/// What stands for itself everywhere in a value without quotes.
pub(crate) fn is_plain(character: char) -> bool {
    let has_meaning = matches!(character, '\'' | '"' | '`' | '#' | '$' | '\\');
    let is_odd_space = character != ' ' && character.is_whitespace();
    !has_meaning && !is_odd_space && !character.is_control() && character != '\u{feff}'
}
