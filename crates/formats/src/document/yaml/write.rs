//! Writing YAML: scalars in a style that reads back as the same value, and blocks as go-yaml v3 lays them out.

use super::resolve;
use crate::document::tree::Style;
use crate::document::value::{Scalar, ScalarKind, Value};
use std::fmt::Write as _;

/// Where a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Block,
    /// Between brackets.
    Flow,
    Key,
    FlowKey,
}

/// A scalar on one line, in the style that it had, if that can hold it.
pub(super) fn inline(scalar: &Scalar, style: Style, context: Context) -> String {
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(_) | Scalar::Int(_) => scalar.expose().to_owned(),
        Scalar::Float(number) => match number.expose() {
            "inf" => ".inf".to_owned(),
            "-inf" => "-.inf".to_owned(),
            "nan" => ".nan".to_owned(),
            text => text.to_owned(),
        },
        Scalar::Timestamp(text) => text.expose().to_owned(),
        Scalar::String(text) => inline_string(text.expose(), style, context),
    }
}

pub(super) fn inline_string(text: &str, style: Style, context: Context) -> String {
    let single_holds = text.chars().all(|character| is_printable(character) && character != '\t');
    match style {
        Style::SingleQuoted if single_holds => single_quoted(text),
        Style::SingleQuoted | Style::DoubleQuoted => double_quoted(text),
        _ if is_ambiguous(text) || !single_holds => double_quoted(text),
        _ if is_plain(text, context) => text.to_owned(),
        _ => single_quoted(text),
    }
}

/// Whether a text without quotes would be something else than a string, for us or for readers of YAML 1.1.
fn is_ambiguous(text: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "<<", "="];
    let is_base_60 = || {
        let mut digits = text.trim_start_matches(['+', '-']).split(':');
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        digits.clone().count() > 1
            && digits.all(|part| is_number(part) && !part.contains(|c: char| c.is_alphabetic()))
    };
    resolve::kind(text, true, None) != ScalarKind::String
        || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word) && text != "=")
        || is_base_60()
}

fn is_plain(text: &str, context: Context) -> bool {
    let is_flow = matches!(context, Context::Flow | Context::FlowKey);
    let is_key = matches!(context, Context::Key | Context::FlowKey);
    let mut characters = text.chars();
    let (first, second) = (characters.next().unwrap_or(' '), characters.next().unwrap_or(' '));
    let first_holds = match first {
        '-' | '?' => second != ' ' && !is_flow,
        ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
        | ' ' | ':' => false,
        _ => true,
    };
    let flow_holds = !is_flow || !text.contains([',', '[', ']', '{', '}']);
    first_holds
        && flow_holds
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
        && (!is_key || text.len() <= 128)
}

/// What YAML lets stand in quotes and blocks as it is. Line breaks are none of it.
fn is_printable(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\n'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2 + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{feff}' => out.push_str("\\uFEFF"),
            _ if is_printable(character) => out.push(character),
            _ => {
                let code = u32::from(character);
                // Writing to a string cannot fail.
                let _ =
                    if code < 0x100 { write!(out, "\\x{code:02x}") } else { write!(out, "\\u{code:04x}") };
            }
        }
    }
    out.push('"');
    out
}

/// A block scalar in two pieces.
pub(super) struct Block {
    /// `|`, `|-`, `|2+` …
    pub(super) header: String,
    /// The indented lines, each with a line break before it, none at the end.
    pub(super) lines: String,
}

/// A literal block, if the text has several lines that such a block can hold.
///
/// `parent` is the column of the map or list around it, `indent` that of the lines.
pub(super) fn block(text: &str, parent: Option<usize>, indent: usize, newline: &str) -> Option<Block> {
    let holds = text.contains('\n')
        && !text.contains(" \n")
        && !text.ends_with(' ')
        && !text.trim_matches(['\n', ' ', '\t']).is_empty()
        && text.chars().all(|character| character == '\n' || is_printable(character));
    if !holds {
        return None;
    }
    let mut header = "|".to_owned();
    if text.starts_with([' ', '\t', '\n']) {
        let hint = indent - parent.unwrap_or(0).min(indent);
        if !(1..=9).contains(&hint) {
            return None;
        }
        let _ = write!(header, "{hint}");
    }
    let body = match text.strip_suffix('\n') {
        Some(body) if body.ends_with('\n') => {
            header.push('+');
            body
        }
        Some(body) => body,
        None => {
            header.push('-');
            text
        }
    };
    let mut lines =
        String::with_capacity(body.len() + (indent + newline.len()) * (1 + body.matches('\n').count()));
    for line in body.split('\n') {
        lines.push_str(newline);
        if !line.is_empty() {
            lines.extend(std::iter::repeat_n(' ', indent));
            lines.push_str(line);
        }
    }
    Some(Block { header, lines })
}

/// How blocks are indented.
#[derive(Debug, Clone, Copy)]
pub(in crate::document) struct Layout<'t> {
    pub(super) unit: usize,
    /// From a map's column to that of a list under one of its keys; nothing for the next multiple of the unit.
    pub(super) list_offset: Option<usize>,
    pub(super) newline: &'t str,
}

/// What a value is written under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Under {
    /// After a key's colon, in a map at this column.
    Key(usize),
    /// After a dash, in a list at this column.
    Dash(usize),
    Root,
}

/// Writes values as blocks.
pub(super) struct Writer<'t> {
    pub(super) out: String,
    pub(super) layout: Layout<'t>,
}

impl Writer<'_> {
    fn next_column(&self, column: usize) -> usize {
        let unit = self.layout.unit.max(1);
        unit * ((column + unit) / unit)
    }

    /// The column of a block scalar's lines.
    pub(super) fn text_column(&self, under: Under) -> usize {
        match under {
            Under::Key(column) => self.next_column(column),
            Under::Dash(column) => column + 2,
            Under::Root => self.layout.unit.max(1),
        }
    }

    fn line(&mut self, column: usize) {
        self.out.push_str(self.layout.newline);
        self.out.extend(std::iter::repeat_n(' ', column));
    }

    /// A value with what separates it from the key or dash before it.
    pub(super) fn value(&mut self, value: &Value, under: Under) {
        let space = if under == Under::Root { "" } else { " " };
        match value {
            Value::Scalar(scalar) => {
                self.out.push_str(space);
                self.scalar(scalar, under);
            }
            Value::List(items) if items.is_empty() => {
                self.out.push_str(space);
                self.out.push_str("[]");
            }
            Value::Map(entries) if entries.is_empty() => {
                self.out.push_str(space);
                self.out.push_str("{}");
            }
            Value::List(items) => {
                let (column, first) = match under {
                    Under::Key(column) => match self.layout.list_offset {
                        Some(offset) => (column + offset, ""),
                        None => (self.next_column(column), ""),
                    },
                    Under::Dash(column) => (column + 2, " "),
                    Under::Root => (0, ""),
                };
                self.out.push_str(first);
                self.items(items, column, matches!(under, Under::Key(_)));
            }
            Value::Map(entries) => {
                let (column, first) = match under {
                    Under::Key(column) => (self.next_column(column), ""),
                    Under::Dash(column) => (column + 2, " "),
                    Under::Root => (0, ""),
                };
                self.out.push_str(first);
                self.entries(entries, column, matches!(under, Under::Key(_)));
            }
        }
    }

    fn scalar(&mut self, scalar: &Scalar, under: Under) {
        let parent = match under {
            Under::Key(column) | Under::Dash(column) => Some(column),
            Under::Root => None,
        };
        if let Scalar::String(text) = scalar
            && let Some(block) = block(text.expose(), parent, self.text_column(under), self.layout.newline)
        {
            self.out.push_str(&block.header);
            self.out.push_str(&block.lines);
            return;
        }
        self.out.push_str(&inline(scalar, Style::Plain, Context::Block));
    }

    /// The items of a list, the first on a line of its own or where the writer stands.
    pub(super) fn items(&mut self, items: &[Value], column: usize, mut on_new_line: bool) {
        for item in items {
            if on_new_line {
                self.line(column);
            }
            on_new_line = true;
            self.out.push('-');
            self.value(item, Under::Dash(column));
        }
    }

    /// The entries of a map, the first on a line of its own or where the writer stands.
    pub(super) fn entries(&mut self, entries: &[(String, Value)], column: usize, mut on_new_line: bool) {
        for (key, value) in entries {
            if on_new_line {
                self.line(column);
            }
            on_new_line = true;
            self.entry(key, value, column);
        }
    }

    pub(super) fn entry(&mut self, key: &str, value: &Value, column: usize) {
        self.out.push_str(&inline_string(key, Style::Plain, Context::Key));
        self.out.push(':');
        self.value(value, Under::Key(column));
    }

    /// A value between brackets, on one line.
    pub(super) fn flow(&mut self, value: &Value) {
        let comma = |out: &mut String, number: usize| {
            if number > 0 {
                out.push_str(", ");
            }
        };
        match value {
            Value::Scalar(scalar) => self.out.push_str(&inline(scalar, Style::Plain, Context::Flow)),
            Value::List(items) => {
                self.out.push('[');
                for (number, item) in items.iter().enumerate() {
                    comma(&mut self.out, number);
                    self.flow(item);
                }
                self.out.push(']');
            }
            Value::Map(entries) => {
                self.out.push('{');
                for (number, (key, value)) in entries.iter().enumerate() {
                    comma(&mut self.out, number);
                    self.flow_entry(key, value);
                }
                self.out.push('}');
            }
        }
    }

    pub(super) fn flow_entry(&mut self, key: &str, value: &Value) {
        self.out.push_str(&inline_string(key, Style::Plain, Context::FlowKey));
        self.out.push_str(": ");
        self.flow(value);
    }
}

/// New documents, one part after another.
pub(super) fn fresh(parts: &[Value], unit: usize) -> String {
    let layout = Layout { unit, list_offset: None, newline: "\n" };
    let mut writer = Writer { out: String::new(), layout };
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            writer.out.push_str("---\n");
        }
        writer.value(part, Under::Root);
        writer.out.push('\n');
    }
    writer.out
}
