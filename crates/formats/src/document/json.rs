//! JSON (RFC 8259), strictly, with repeated keys refused. Every byte between values is left as it is.

use super::change::{ChangeError, Entry, Indent, Splice};
use super::tree::{Builder, Fault, KeyData, KeyKind, Kind, NodeData, NodeId, Span, Style, Tree};
use super::value::{Number, Scalar, ScalarKind, Value};
use super::{Document, Limits, Node, lines};
use std::fmt::Write as _;
use strongroom_secret::SecretString;

const BYTE_ORDER_MARK: &str = "\u{feff}";

pub(super) fn parse(text: &str, limits: &Limits) -> Result<Tree, Fault> {
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let mut parser = Parser { text, at: start, builder: Builder::new(limits) };
    parser.builder.open_part(start);
    parser.value(None)?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.fault("there is more after the end of the value"));
    }
    parser.builder.close(text.len());
    Ok(parser.builder.tree)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    builder: Builder<'t>,
}

impl Parser<'_> {
    fn fault(&self, what: &'static str) -> Fault {
        Fault::new(self.at, what)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A value and the space before it. The depth of recursion is bounded by the builder.
    fn value(&mut self, key: Option<KeyData>) -> Result<(), Fault> {
        self.space();
        let start = self.at;
        let (kind, style) = match self.peek() {
            Some(b'{') => return self.container(Kind::Map, key),
            Some(b'[') => return self.container(Kind::List, key),
            Some(b'"') => {
                self.string()?;
                (ScalarKind::String, Style::DoubleQuoted)
            }
            Some(b'-' | b'0'..=b'9') => (self.number()?, Style::Plain),
            Some(_) => (self.word()?, Style::Plain),
            None => return Err(self.fault("a value is missing at the end")),
        };
        self.builder.add(Kind::Scalar(kind), style, Span::new(start, self.at), key)?;
        Ok(())
    }

    fn container(&mut self, kind: Kind, key: Option<KeyData>) -> Result<(), Fault> {
        let (start, end) = (self.at, if kind == Kind::Map { b'}' } else { b']' });
        let id = self.builder.add(kind, Style::Flow, Span::new(start, start), key)?;
        self.builder.open(id)?;
        self.at += 1;
        self.space();
        if !self.take(end) {
            loop {
                let key = if kind == Kind::Map { Some(self.key()?) } else { None };
                self.value(key)?;
                self.space();
                if self.take(end) {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.fault(match kind {
                        Kind::Map => "expected a comma or the map's end",
                        _ => "expected a comma or the list's end",
                    }));
                }
            }
        }
        self.builder.close(self.at);
        Ok(())
    }

    fn key(&mut self) -> Result<KeyData, Fault> {
        self.space();
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a key in double quotes"));
        }
        self.string()?;
        let span = Span::new(start, self.at);
        self.space();
        if !self.take(b':') {
            return Err(self.fault("expected a colon after the key"));
        }
        Ok(KeyData { text: unescaped(span.of(self.text)), kind: KeyKind::String, span })
    }

    /// Passes a string, quotes and all, and refuses what `unescaped` could not read.
    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(self.fault("the text ends within a string")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.fault("a control character in a string must be escaped")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let Some((_, length)) = code_point(rest) else {
                    return Err(self.fault("\\u must be followed by four digits that make a character"));
                };
                self.at += length;
            }
            _ => return Err(self.fault("an unknown escape in a string")),
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fault("expected a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<ScalarKind, Fault> {
        let mut kind = ScalarKind::Int;
        self.take(b'-');
        if self.take(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.fault("a number must not begin with a zero"));
            }
        } else {
            self.digits()?;
        }
        if self.take(b'.') {
            kind = ScalarKind::Float;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            kind = ScalarKind::Float;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(kind)
    }

    fn word(&mut self) -> Result<ScalarKind, Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let words = [("null", ScalarKind::Null), ("true", ScalarKind::Bool), ("false", ScalarKind::Bool)];
        match words.iter().find(|(word, _)| rest.starts_with(word)) {
            Some((word, kind)) => {
                self.at += word.len();
                Ok(*kind)
            }
            None => Err(self
                .fault("expected a value: a string in double quotes, a number, true, false, null, [ or {")),
        }
    }
}

/// The character of `\uXXXX` or of a pair of them, and how many bytes it takes.
fn code_point(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u32::from_str_radix(digits, 16).ok()
    };
    let first = unit(0)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 6));
    }
    let second = unit(6)?;
    if !(0xD800..0xDC00).contains(&first) || !(0xDC00..0xE000).contains(&second) {
        return None;
    }
    let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Some((char::from_u32(code)?, 12))
}

/// The text of a string that the parser has passed.
fn unescaped(raw: &str) -> String {
    let mut rest = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
    // Never longer than its source: no copy of a secret is left behind by growing.
    let mut text = String::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        text.push_str(before);
        let (character, length) = match escape.as_bytes().get(1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => code_point(escape).unwrap_or(('\u{fffd}', 2)),
            Some(other) => (char::from(*other), 2),
            None => ('\\', 1),
        };
        text.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

pub(super) fn scalar(data: &NodeData, raw: &str) -> Scalar {
    match data.kind {
        Kind::Scalar(ScalarKind::Bool) => Scalar::Bool(raw == "true"),
        Kind::Scalar(ScalarKind::Int) => Scalar::Int(Number::from_text(raw.to_owned())),
        Kind::Scalar(ScalarKind::Float) => Scalar::Float(Number::from_text(raw.to_owned())),
        Kind::Scalar(ScalarKind::String) => Scalar::String(SecretString::new(unescaped(raw))),
        _ => Scalar::Null,
    }
}

/// Appends a string in quotes, as Go's encoder writes it, but for `<`, `>` and `&`, which stay as they are.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// A new document.
pub(super) fn fresh(value: &Value, indent: Indent) -> Result<String, &'static str> {
    let unit = match indent {
        Indent::Usual => "\t".to_owned(),
        Indent::Spaces(count) => " ".repeat(count),
    };
    let mut text = String::new();
    write_value(&mut text, value, "", Layout { unit: &unit, newline: "\n", colon: ": ", lines: true })?;
    text.push('\n');
    Ok(text)
}

/// How new lines look: the unit of indentation, the line break, and whether there are lines at all.
#[derive(Clone, Copy)]
pub(super) struct Layout<'t> {
    pub(super) unit: &'t str,
    pub(super) newline: &'t str,
    pub(super) colon: &'t str,
    pub(super) lines: bool,
}

/// Appends a value whose first line is indented already, by `indent`.
///
/// # Errors
/// Why JSON has no way to write the value.
pub(super) fn write_value(
    out: &mut String,
    value: &Value,
    indent: &str,
    layout: Layout<'_>,
) -> Result<(), &'static str> {
    let inner = format!("{indent}{}", layout.unit);
    let separate = |out: &mut String, first: bool| {
        if !first {
            out.push_str(if layout.lines { "," } else { ", " });
        }
        if layout.lines {
            out.push_str(layout.newline);
            out.push_str(&inner);
        }
    };
    let (open, close, is_empty) = match value {
        Value::Scalar(scalar) => return write_plain(out, scalar),
        Value::List(items) => ('[', ']', items.is_empty()),
        Value::Map(entries) => ('{', '}', entries.is_empty()),
    };
    out.push(open);
    match value {
        Value::Scalar(_) => {}
        Value::List(items) => {
            for (number, item) in items.iter().enumerate() {
                separate(out, number == 0);
                write_value(out, item, &inner, layout)?;
            }
        }
        Value::Map(entries) => {
            for (number, (key, value)) in entries.iter().enumerate() {
                separate(out, number == 0);
                write_string(out, key);
                out.push_str(layout.colon);
                write_value(out, value, &inner, layout)?;
            }
        }
    }
    if layout.lines && !is_empty {
        out.push_str(layout.newline);
        out.push_str(indent);
    }
    out.push(close);
    Ok(())
}

fn write_plain(out: &mut String, scalar: &Scalar) -> Result<(), &'static str> {
    match scalar {
        Scalar::Null => out.push_str("null"),
        Scalar::Float(number) if !number.as_f64().is_finite() && !number.expose().contains(['e', 'E']) => {
            return Err("JSON has no infinity and no NaN");
        }
        Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) => out.push_str(scalar.expose()),
        Scalar::String(text) | Scalar::Timestamp(text) => write_string(out, text.expose()),
    }
    Ok(())
}

pub(super) fn write_scalar(node: Node<'_>, scalar: &Scalar) -> Result<Splice, ChangeError> {
    let mut text = String::with_capacity(scalar.expose().len() * 2 + 8);
    write_plain(&mut text, scalar).map_err(|what| node.impossible(what))?;
    let span = node.data().span;
    Ok(Splice::new(span.start(), span.end(), text))
}

pub(super) fn replace(
    document: &Document,
    node: Node<'_>,
    value: &Value,
) -> Result<Vec<Splice>, ChangeError> {
    let (layout, indent) = surroundings(document, node.parent().map_or(node.id(), |parent| parent.id()));
    let mut text = String::new();
    let own = indent_of_line(document.expose(), node.data().span.start());
    let own = if layout.lines { own } else { indent };
    write_value(&mut text, value, own, layout).map_err(|what| node.impossible(what))?;
    let span = node.data().span;
    Ok(vec![Splice::new(span.start(), span.end(), text)])
}

pub(super) fn insert(document: &Document, entry: &Entry<'_>) -> Result<Vec<Splice>, ChangeError> {
    let container = document.node(entry.container);
    let (layout, indent) = surroundings(document, entry.container);
    let inner = match document.tree.values(entry.container).next() {
        Some(first) if layout.lines => {
            indent_of_line(document.expose(), entry_start(&document.tree, first)).to_owned()
        }
        _ => format!("{indent}{}", layout.unit),
    };
    let mut text = String::new();
    if let Some(key) = entry.key {
        write_string(&mut text, key);
        text.push_str(layout.colon);
    }
    write_value(&mut text, entry.value, &inner, layout).map_err(|what| container.impossible(what))?;
    let gap = if layout.lines { format!("{}{inner}", layout.newline) } else { " ".to_owned() };
    let span = container.data().span;
    let splice = match (entry.after, document.tree.values(entry.container).next()) {
        (Some(after), _) => {
            let end = document.tree.node(after).span.end();
            Splice::new(end, end, format!(",{gap}{text}"))
        }
        (None, Some(first)) => {
            let start = entry_start(&document.tree, first);
            Splice::new(start, start, format!("{text},{gap}"))
        }
        (None, None) if layout.lines => {
            Splice::new(span.start() + 1, span.end() - 1, format!("{gap}{text}{}{indent}", layout.newline))
        }
        (None, None) => Splice::new(span.start() + 1, span.end() - 1, text),
    };
    Ok(vec![splice])
}

pub(super) fn remove(document: &Document, node: Node<'_>) -> Vec<Splice> {
    let tree = &document.tree;
    let Some(parent) = node.parent() else { return Vec::new() };
    let (mut before, mut after, mut seen) = (None, None, false);
    for id in tree.values(parent.id()) {
        match (id == node.id(), seen) {
            (true, _) => seen = true,
            (false, false) => before = Some(id),
            (false, true) => {
                after = Some(id);
                break;
            }
        }
    }
    let (start, end) = (entry_start(tree, node.id()), node.data().span.end());
    let (start, end) = match (before, after) {
        (_, Some(after)) => (start, entry_start(tree, after)),
        (Some(before), None) => (tree.node(before).span.end(), end),
        (None, None) => (parent.data().span.start() + 1, parent.data().span.end() - 1),
    };
    vec![Splice::new(start, end, "")]
}

fn entry_start(tree: &Tree, id: NodeId) -> usize {
    tree.node(id).lead as usize
}

/// The spaces and tabs at the beginning of the line of a byte.
fn indent_of_line(text: &str, at: usize) -> &str {
    let line_start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(line_start..).unwrap_or_default();
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
}

/// How entries of a container are laid out, and the indentation of its own line.
fn surroundings(document: &Document, container: NodeId) -> (Layout<'_>, &str) {
    let (text, tree) = (document.expose(), &document.tree);
    let indent = indent_of_line(text, tree.node(container).span.start());
    let is_broken = |id: NodeId| {
        let first = tree.values(id).next()?;
        text.get(tree.node(id).span.start()..entry_start(tree, first)).map(|gap| gap.contains('\n'))
    };
    let unit = document.walk().find_map(|node| {
        let first = tree
            .values(node.id())
            .next()
            .filter(|_| node.kind() != Kind::Part && is_broken(node.id()) == Some(true))?;
        let outer = indent_of_line(text, node.data().span.start());
        indent_of_line(text, entry_start(tree, first)).strip_prefix(outer).filter(|unit| !unit.is_empty())
    });
    let colon = document.walk().find_map(|node| {
        let data = node.data();
        text.get(data.key.as_ref()?.span.end()..data.span.start()).filter(|colon| !colon.contains('\n'))
    });
    let is_on_lines =
        is_broken(container).unwrap_or_else(|| text.trim_end().contains('\n') || tree.len() <= 2);
    let newline = lines::newline(text);
    let layout =
        Layout { unit: unit.unwrap_or("  "), newline, colon: colon.unwrap_or(": "), lines: is_on_lines };
    (layout, indent)
}

#[cfg(test)]
mod tests;
