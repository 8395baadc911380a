//! INI, as go-ini v1 reads it with the options of sops: `key = value` or `key: value`, `;` and `#` comments wherever
//! they stand, values in quotes, backquotes or `"""` over several lines, lines continued by `\`, sections that may
//! repeat. Keys before the first header are the section `DEFAULT`.

mod edit;
mod write;

pub(super) use edit::{insert, remove, replace, write_scalar};
pub(super) use write::fresh;

use super::Limits;
use super::tree::{Builder, Fault, KeyData, KeyKind, Kind, NodeData, Placement, Span, Style, Tree};
use super::value::{Scalar, ScalarKind};
use strongroom_secret::SecretString;

pub(super) const DEFAULT_SECTION: &str = "DEFAULT";
const DELIMITERS: [char; 2] = ['=', ':'];
const COMMENT_MARKS: [char; 2] = ['#', ';'];

pub(super) fn parse(text: &str, limits: &Limits) -> Result<Tree, Fault> {
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut reader = Reader {
        text,
        at: start,
        builder: Builder::new(limits),
        in_section: false,
        comments: Vec::new(),
        counted: 0,
    };
    reader.builder.open_part(start);
    let root = reader.builder.add(Kind::Map, Style::Block, Span::new(start, start), None)?;
    reader.builder.open(root)?;
    while reader.at < text.len() {
        reader.line()?;
    }
    reader.flush_comments()?;
    if reader.in_section {
        reader.builder.close(text.len());
    }
    reader.builder.close(text.len());
    reader.builder.close(text.len());
    Ok(reader.builder.tree)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    builder: Builder<'t>,
    in_section: bool,
    /// Comments that belong to what comes next.
    comments: Vec<(Placement, Span)>,
    /// Keys of this section that are written `-`, and numbered.
    counted: usize,
}

/// A value as it stands in the text.
struct Value {
    span: Span,
    style: Style,
    text: SecretString,
}

impl<'t> Reader<'t> {
    /// The end of the line of a byte, its line break included.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + rest.find('\n').map_or(rest.len(), |newline| newline + 1)
    }

    fn slice(&self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn line(&mut self) -> Result<(), Fault> {
        let end = self.line_end(self.at);
        let line = self.slice(self.at, end);
        let start = end - line.trim_start().len();
        self.at = end;
        match self.slice(start, end).chars().next() {
            None => Ok(()),
            Some('#' | ';') => {
                let span = Span::new(start, start + self.slice(start, end).trim_end().len());
                self.comments.push((Placement::Line, span));
                Ok(())
            }
            Some('[') => self.section(start, end),
            Some(_) => self.entry(start, end),
        }
    }

    fn section(&mut self, start: usize, end: usize) -> Result<(), Fault> {
        let line = self.slice(start, end);
        let close =
            line.rfind(']').ok_or_else(|| Fault::new(start, "the section's name has no closing bracket"))?;
        let name = line.get(1..close).unwrap_or_default();
        if name.is_empty() {
            return Err(Fault::new(start, "the section has no name"));
        }
        self.trailing_comment(start + close + 1, end);
        self.open_section(start, Span::new(start + 1, start + close), name)?;
        // The header itself, until the section is closed.
        self.flush_comments()
    }

    fn open_section(&mut self, start: usize, name_span: Span, name: &str) -> Result<(), Fault> {
        if self.in_section {
            self.builder.close(start);
        }
        let key = KeyData { text: name.to_owned(), kind: KeyKind::String, span: name_span };
        let Some(root) = self.builder.top() else { return Ok(()) };
        // Sections may repeat: WireGuard's peers do.
        let id = self.builder.add_to(root, Kind::Map, Style::Block, Span::new(start, start), Some(key))?;
        let node = self.builder.tree.node_mut(id);
        node.lead = node.span.start;
        self.builder.open(id)?;
        self.in_section = true;
        self.counted = 0;
        Ok(())
    }

    fn flush_comments(&mut self) -> Result<(), Fault> {
        for (placement, span) in std::mem::take(&mut self.comments) {
            self.builder.add(Kind::Comment(placement), Style::Plain, span, None)?;
        }
        Ok(())
    }

    fn trailing_comment(&mut self, from: usize, end: usize) {
        let rest = self.slice(from, end);
        if let Some(at) = rest.find(COMMENT_MARKS) {
            let length = rest.get(at..).unwrap_or_default().trim_end().len();
            self.comments.push((Placement::Trailing, Span::new(from + at, from + at + length)));
        }
    }

    fn entry(&mut self, start: usize, end: usize) -> Result<(), Fault> {
        if !self.in_section {
            self.open_section(start, Span::new(start, start), DEFAULT_SECTION)?;
        }
        self.flush_comments()?;
        let (key, offset) = self.key(start, end)?;
        let value = self.value(start + offset, end)?;
        let is_verbatim = content(value.style, value.span.of(self.text)) == Some(value.text.expose());
        let id = self.builder.add(Kind::Scalar(ScalarKind::String), value.style, value.span, Some(key))?;
        let node = self.builder.tree.node_mut(id);
        node.lead = u32::try_from(start).unwrap_or(u32::MAX);
        if !is_verbatim {
            node.decoded = Some(value.text);
        }
        // What stands behind the value on its line.
        self.flush_comments()
    }

    /// The key of a line, and where its value begins, counted from the line's first character.
    fn key(&mut self, start: usize, end: usize) -> Result<(KeyData, usize), Fault> {
        let line = self.slice(start, end);
        let quote = ["\"\"\"", "\"", "`"]
            .into_iter()
            .find(|quote| line.starts_with(quote) && (quote.len() < 3 || line.len() > 6));
        let (name_start, name_end, after) = match quote {
            Some(quote) => {
                let rest = line.get(quote.len()..).unwrap_or_default();
                let length =
                    rest.find(quote).ok_or_else(|| Fault::new(start, "the key's quote is not closed"))?;
                (quote.len(), quote.len() + length, quote.len() + length + quote.len())
            }
            None => (0, 0, 0),
        };
        let missing = || Fault::new(start, "expected a section or a key with = after it");
        let delimiter =
            after + line.get(after..).and_then(|rest| rest.find(DELIMITERS)).ok_or_else(missing)?;
        let (name_start, name_end) = if quote.is_some() { (name_start, name_end) } else { (0, delimiter) };
        let raw = line.get(name_start..name_end).unwrap_or_default();
        let mut name = raw.trim().to_owned();
        if name.is_empty() {
            return Err(Fault::new(start, "the key has no name"));
        }
        if name == "-" {
            self.counted += 1;
            name = format!("#{}", self.counted);
        }
        let key_end = if quote.is_some() { after } else { raw.trim_end().len() };
        let span = Span::new(start, start + key_end);
        Ok((KeyData { text: name, kind: KeyKind::String, span }, delimiter + 1))
    }

    fn value(&mut self, from: usize, end: usize) -> Result<Value, Fault> {
        let rest = self.slice(from, end);
        let start = end - rest.trim_start().len();
        let line = self.slice(start, end);
        if line.is_empty() {
            let at = from + rest.trim_end_matches(['\r', '\n']).len().min(1);
            return Ok(Value { span: Span::new(at, at), style: Style::Plain, text: SecretString::default() });
        }
        if line.len() > 3 && line.starts_with("\"\"\"") {
            return self.quoted(start, end, "\"\"\"", Style::Folded);
        }
        if line.starts_with('`') {
            return self.quoted(start, end, "`", Style::Literal);
        }
        let trimmed = line.trim_end();
        if let Some(first) = trimmed.strip_suffix('\\') {
            return Ok(self.continued(start, trimmed.len(), first));
        }
        let value = match trimmed.find(COMMENT_MARKS) {
            Some(at) => {
                self.trailing_comment(start + at, end);
                trimmed.get(..at).unwrap_or_default().trim_end()
            }
            None => trimmed,
        };
        let span = Span::new(start, start + value.len());
        let (style, text) = match surrounded(value) {
            Some(('"', inner)) => (Style::DoubleQuoted, inner),
            Some((_, inner)) => (Style::SingleQuoted, inner),
            None => (Style::Plain, value),
        };
        Ok(Value { span, style, text: SecretString::from(text) })
    }

    /// A value in quotes that may go over lines. What follows it on its line is no part of anything.
    fn quoted(&mut self, start: usize, end: usize, quote: &str, style: Style) -> Result<Value, Fault> {
        let inner_start = start + quote.len();
        if let Some(length) = self.slice(inner_start, end).rfind(quote) {
            let close = inner_start + length;
            let text = SecretString::from(self.slice(inner_start, close));
            return Ok(Value { span: Span::new(start, close + quote.len()), style, text });
        }
        let mut line_start = end;
        while line_start < self.text.len() {
            let line_end = self.line_end(line_start);
            if let Some(length) = self.slice(line_start, line_end).rfind(quote) {
                let close = line_start + length;
                self.trailing_comment(close + quote.len(), line_end);
                self.at = line_end;
                let text = SecretString::from(self.slice(inner_start, close));
                return Ok(Value { span: Span::new(start, close + quote.len()), style, text });
            }
            line_start = line_end;
        }
        Err(Fault::new(start, format!("the value's {quote} is not closed")))
    }

    /// Lines that end with a backslash continue in the next one.
    fn continued(&mut self, start: usize, length: usize, first: &str) -> Value {
        let mut text = first.to_owned();
        let mut end = start + length;
        while self.at < self.text.len() {
            let line_end = self.line_end(self.at);
            let line = self.slice(self.at, line_end);
            let next = line.trim();
            self.at = line_end;
            if next.is_empty() {
                break;
            }
            end = line_end - (line.len() - line.trim_end().len());
            match next.strip_suffix('\\') {
                Some(next) => text.push_str(next),
                None => {
                    text.push_str(next);
                    break;
                }
            }
        }
        Value { span: Span::new(start, end), style: Style::Plain, text: SecretString::new(text) }
    }
}

/// What quotes surround a value, if they are the only ones of their kind in it, and what they hold.
fn surrounded(value: &str) -> Option<(char, &str)> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some((quote, inner))
    })
}

/// What stands between the quotes.
fn content(style: Style, raw: &str) -> Option<&str> {
    let between = |quote| raw.strip_prefix(quote).and_then(|raw| raw.strip_suffix(quote));
    match style {
        Style::DoubleQuoted => between("\""),
        Style::SingleQuoted => between("'"),
        Style::Literal => between("`"),
        Style::Folded => between("\"\"\""),
        _ => Some(raw),
    }
}

pub(super) fn scalar(data: &NodeData, raw: &str) -> Scalar {
    match &data.decoded {
        Some(text) => Scalar::String(text.duplicate()),
        None => Scalar::string(content(data.style, raw).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
