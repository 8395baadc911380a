//! Writing INI as go-ini v1 does: values bare where they can be, `=` aligned within a section.

use super::{DEFAULT_SECTION, DELIMITERS, surrounded};
use crate::document::tree::Style;
use crate::document::value::Value;

const NO_NESTING: &str = "INI holds sections of strings, and nothing below them";

/// A value in the style it had, or the plainest that reads back the same.
pub(super) fn value(text: &str, style: Style) -> Option<String> {
    let kept = match style {
        Style::DoubleQuoted | Style::SingleQuoted | Style::Literal | Style::Folded => Some(style),
        _ => None,
    };
    let usual = match text {
        _ if text.contains(['\n', '`']) => [Style::Folded, Style::Literal],
        _ if text.contains(['#', ';']) => [Style::Literal, Style::Folded],
        _ => [Style::DoubleQuoted, Style::Literal],
    };
    let styles = kept.into_iter().chain([Style::Plain]).chain(usual);
    styles.chain([Style::SingleQuoted, Style::Folded]).find_map(|style| in_style(text, style))
}

fn in_style(text: &str, style: Style) -> Option<String> {
    let is_one_line = !text.contains(['\n', '#', ';']);
    let trims_to_itself = text.trim() == text;
    match style {
        Style::DoubleQuoted => (is_one_line && !text.contains('"')).then(|| format!("\"{text}\"")),
        Style::SingleQuoted => (is_one_line && !text.contains('\'')).then(|| format!("'{text}'")),
        Style::Literal => (!text.contains('`')).then(|| format!("`{text}`")),
        Style::Folded => (!text.contains("\"\"\"")).then(|| format!("\"\"\"{text}\"\"\"")),
        _ => {
            let is_plain = is_one_line
                && trims_to_itself
                && !text.starts_with(['`'])
                && !text.starts_with("\"\"\"")
                && !text.ends_with('\\')
                && surrounded(text).is_none();
            is_plain.then(|| text.to_owned())
        }
    }
}

/// A key as it stands before the `=`.
pub(super) fn key(name: &str) -> Option<String> {
    let is_bare = !name.starts_with(['#', ';', '[', '"', '`']) && name != "-" && !name.contains(['"']);
    let holds = !name.is_empty() && name.trim() == name && !name.contains(['\n', '\r']);
    match name {
        _ if !holds => None,
        _ if is_bare && !name.contains(DELIMITERS) && !name.contains('`') => Some(name.to_owned()),
        _ if !name.contains('`') => Some(format!("`{name}`")),
        _ if !name.contains("\"\"\"") => Some(format!("\"\"\"{name}\"\"\"")),
        _ => None,
    }
}

/// The lines of a section's keys, each with a line break before it.
pub(super) fn entries(
    out: &mut String,
    entries: &[(String, Value)],
    newline: &str,
) -> Result<(), &'static str> {
    let mut lines = Vec::new();
    for (name, held) in entries {
        let scalar = held.as_scalar().ok_or(NO_NESTING)?;
        let key = key(name).ok_or("INI has no way to write one of the keys")?;
        let text = value(scalar.expose(), Style::Plain).ok_or("INI has no way to write one of the values")?;
        lines.push((key, text));
    }
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, text) in lines {
        out.push_str(newline);
        out.push_str(&key);
        out.extend(std::iter::repeat_n(' ', width - key.len()));
        out.push_str(" = ");
        out.push_str(&text);
    }
    Ok(())
}

/// The header of a section.
pub(super) fn header(name: &str) -> Option<String> {
    (!name.is_empty() && !name.contains(['\n', '\r'])).then(|| format!("[{name}]"))
}

/// A section: its header and its keys, without a line break at the end.
pub(super) fn section(name: &str, value: &Value, newline: &str) -> Result<String, &'static str> {
    let Value::Map(held) = value else { return Err(NO_NESTING) };
    let mut out = header(name).ok_or("INI has no way to write the section's name")?;
    entries(&mut out, held, newline)?;
    Ok(out)
}

/// A new document: sections of strings.
pub(in crate::document) fn fresh(value: &Value) -> Result<String, &'static str> {
    let Value::Map(sections) = value else { return Err(NO_NESTING) };
    let mut out = String::new();
    for (number, (name, held)) in sections.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let written = section(name, held, "\n")?;
        // The keys of the first section may do without its name.
        let is_default = number == 0 && name == DEFAULT_SECTION;
        let written = match written.split_once('\n') {
            Some((_, keys)) if is_default => keys,
            _ => &written,
        };
        out.push_str(written);
        out.push('\n');
    }
    Ok(out)
}
