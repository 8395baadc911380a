//! Writing TOML: keys, values in line, and tables with their headers.

use crate::document::tree::Style;
use crate::document::value::{Scalar, Value};
use std::fmt::Write as _;

const NO_NULL: &str = "TOML has no null";

/// Whether a string may take several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    One,
    Many,
}

pub(super) fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { basic(name) }
}

/// A header's or dotted key's text.
pub(super) fn dotted<'k>(keys: impl IntoIterator<Item = &'k str>) -> String {
    keys.into_iter().map(key).collect::<Vec<_>>().join(".")
}

/// A scalar in the style that it had, if that can hold it.
pub(super) fn scalar(scalar: &Scalar, style: Style, lines: Lines) -> Result<String, &'static str> {
    match scalar {
        Scalar::Null => Err(NO_NULL),
        Scalar::Bool(_) | Scalar::Timestamp(_) => Ok(scalar.expose().to_owned()),
        Scalar::Int(number) => match number.as_i64() {
            Some(number) => Ok(number.to_string()),
            None => Err("TOML's integers have 64 bits, with a sign"),
        },
        Scalar::Float(number) => {
            let text = number.expose();
            let is_float = text.contains(['.', 'e', 'E', 'n']);
            Ok(if is_float { text.to_owned() } else { format!("{text}.0") })
        }
        Scalar::String(text) => Ok(string(text.expose(), style, lines)),
    }
}

fn string(text: &str, style: Style, lines: Lines) -> String {
    let is_printable = |c: char| c == '\t' || !c.is_control();
    let has_lines = text.contains('\n') && lines == Lines::Many;
    match style {
        Style::SingleQuoted if !text.contains('\'') && text.chars().all(is_printable) => format!("'{text}'"),
        Style::Literal
            if !text.contains("'''")
                && !text.ends_with('\'')
                && text.chars().all(|c| c == '\n' || is_printable(c)) =>
        {
            format!("'''\n{text}'''")
        }
        _ if has_lines || (style == Style::Folded && lines == Lines::Many) => multi_line(text),
        _ => basic(text),
    }
}

fn basic(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    out.push('"');
    for character in text.chars() {
        escape(&mut out, character);
    }
    out.push('"');
    out
}

fn multi_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str("\"\"\"\n");
    let has_quotes = text.contains("\"\"\"") || text.ends_with('"');
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            '"' if !has_quotes => out.push('"'),
            _ => escape(&mut out, character),
        }
    }
    out.push_str("\"\"\"");
    out
}

fn escape(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        _ if character.is_control() => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        _ => out.push(character),
    }
}

/// A value on one line (but for strings of several), tables in braces.
pub(super) fn inline(value: &Value, lines: Lines) -> Result<String, &'static str> {
    match value {
        Value::Scalar(value) => scalar(value, Style::Plain, lines),
        Value::List(items) => {
            let items: Vec<String> =
                items.iter().map(|item| inline(item, Lines::One)).collect::<Result<_, _>>()?;
            Ok(format!("[{}]", items.join(", ")))
        }
        Value::Map(entries) if entries.is_empty() => Ok("{}".to_owned()),
        Value::Map(entries) => {
            let entry = |(name, value): &(String, Value)| {
                Ok(format!("{} = {}", key(name), inline(value, Lines::One)?))
            };
            let entries: Vec<String> = entries.iter().map(entry).collect::<Result<_, &'static str>>()?;
            Ok(format!("{{ {} }}", entries.join(", ")))
        }
    }
}

/// Whether a value is written with headers of its own, where they can stand.
pub(super) fn has_header(value: &Value) -> bool {
    let is_table = |value: &Value| matches!(value, Value::Map(entries) if !entries.is_empty());
    match value {
        Value::List(items) => !items.is_empty() && items.iter().all(is_table),
        value => is_table(value),
    }
}

/// The tables of a value under a header's path, each with an empty line before it and without a line break at its end.
pub(super) fn tables(
    out: &mut String,
    path: &[&str],
    value: &Value,
    newline: &str,
) -> Result<(), &'static str> {
    match value {
        Value::List(items) => {
            for item in items {
                let Value::Map(entries) = item else { return Err("an array of tables holds tables") };
                let _ = write!(out, "{newline}{newline}[[{}]]", dotted(path.iter().copied()));
                table_body(out, path, entries, newline)?;
            }
        }
        Value::Map(entries) => {
            // A table that has nothing but tables needs no header.
            if entries.iter().any(|(_, value)| !has_header(value)) {
                let _ = write!(out, "{newline}{newline}[{}]", dotted(path.iter().copied()));
            }
            table_body(out, path, entries, newline)?;
        }
        Value::Scalar(_) => return Err("a scalar has no header"),
    }
    Ok(())
}

/// The keys of a table, each with a line break before it, and then its tables.
pub(super) fn table_body(
    out: &mut String,
    path: &[&str],
    entries: &[(String, Value)],
    newline: &str,
) -> Result<(), &'static str> {
    let lines = if newline == "\n" { Lines::Many } else { Lines::One };
    for (name, value) in entries.iter().filter(|(_, value)| !has_header(value)) {
        let _ = write!(out, "{newline}{} = {}", key(name), inline(value, lines)?);
    }
    for (name, value) in entries.iter().filter(|(_, value)| has_header(value)) {
        let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
        tables(out, &path, value, newline)?;
    }
    Ok(())
}

/// A value as TOML orders it: in every table, what has no header of its own comes first.
pub(in crate::document) fn ordered(value: &Value) -> Value {
    match value {
        Value::Map(entries) => {
            let of = |wanted: bool| {
                let entries = entries.iter().filter(move |(_, value)| has_header(value) == wanted);
                entries.map(|(name, value)| (name.clone(), ordered(value)))
            };
            Value::Map(of(false).chain(of(true)).collect())
        }
        Value::List(items) if has_header(value) => Value::List(items.iter().map(ordered).collect()),
        other => other.duplicate(),
    }
}

/// A new document.
pub(in crate::document) fn fresh(value: &Value) -> Result<String, &'static str> {
    let Value::Map(entries) = value else { return Err("a TOML document is a map") };
    let mut out = String::new();
    table_body(&mut out, &[], entries, "\n")?;
    let body = out.trim_start_matches('\n');
    Ok(if body.is_empty() { String::new() } else { format!("{body}\n") })
}
