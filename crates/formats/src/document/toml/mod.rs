//! TOML: `toml` says whether a text is valid (grammar, repeated keys, tables defined twice), the events of
//! `toml_parser` below it carry the exact spans that the tree is built of.

mod edit;
mod write;

pub(super) use edit::{insert, place, remove, replace, write_scalar};
pub(super) use write::{fresh, ordered};

use super::Limits;
use super::tree::{Builder, Fault, KeyData, KeyKind, Kind, NodeData, NodeId, Placement, Span, Style, Tree};
use super::value::{Number, Scalar, ScalarKind};
use std::borrow::Cow;
use std::collections::HashMap;
use strongroom_secret::SecretString;
use toml_parser::decoder::{Encoding, ScalarKind as Decoded};
use toml_parser::parser::{Event, EventKind, ValidateWhitespace, parse_document};
use toml_parser::{Raw, Source};

pub(super) fn parse(text: &str, limits: &Limits) -> Result<Tree, Fault> {
    // The spans count from the first byte that is read.
    let offset = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let body = text.get(offset..).unwrap_or_default();
    if let Err(error) = ::toml::de::DeTable::parse(body) {
        let at = offset + error.span().map_or(body.len(), |span| span.start);
        let key = error.span().and_then(|span| body.get(span)).filter(|_| error.message() == "duplicate key");
        let what =
            key.map_or_else(|| error.message().to_owned(), |key| format!("the key {key} stands here twice"));
        return Err(Fault::new(at, what));
    }
    let tokens = Source::new(body).lex().into_vec();
    let mut reader = Reader::new(text, offset, limits)?;
    let mut failed = None;
    let mut receive = |event: Event| {
        if failed.is_none() {
            failed = reader.event(event).err();
        }
    };
    parse_document(&tokens, &mut ValidateWhitespace::new(&mut receive, Source::new(body)), &mut ());
    match failed {
        Some(fault) => Err(fault),
        None => Ok(reader.finish()),
    }
}

struct Reader<'t> {
    text: &'t str,
    offset: usize,
    limits: &'t Limits,
    builder: Builder<'t>,
    root: NodeId,
    /// The table of the last header.
    table: NodeId,
    /// Inline tables and arrays that are open, outermost first.
    flows: Vec<NodeId>,
    /// The keys read since the last value or header.
    keys: Vec<KeyData>,
    header: Option<Header>,
    /// Containers by the one they are in and their key.
    known: HashMap<(NodeId, String), NodeId>,
}

#[derive(Clone, Copy)]
struct Header {
    start: usize,
    is_array: bool,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, offset: usize, limits: &'t Limits) -> Result<Self, Fault> {
        let mut builder = Builder::new(limits);
        builder.open_part(offset);
        let root = builder.add(Kind::Map, Style::Block, Span::new(offset, text.len()), None)?;
        let (flows, keys, known) = (Vec::new(), Vec::new(), HashMap::new());
        Ok(Self { text, offset, limits, builder, root, table: root, flows, keys, header: None, known })
    }

    fn finish(mut self) -> Tree {
        self.builder.close(self.text.len());
        self.builder.tree
    }

    fn event(&mut self, event: Event) -> Result<(), Fault> {
        let span = Span::new(event.span().start() + self.offset, event.span().end() + self.offset);
        match event.kind() {
            EventKind::StdTableOpen => self.header = Some(Header { start: span.start(), is_array: false }),
            EventKind::ArrayTableOpen => self.header = Some(Header { start: span.start(), is_array: true }),
            EventKind::StdTableClose | EventKind::ArrayTableClose => self.header_ends(span.end())?,
            EventKind::InlineTableOpen => self.open(Kind::Map, span)?,
            EventKind::ArrayOpen => self.open(Kind::List, span)?,
            EventKind::InlineTableClose | EventKind::ArrayClose => {
                if let Some(id) = self.flows.pop() {
                    let node = self.builder.tree.node_mut(id);
                    node.span = Span::new(node.span.start(), span.end());
                }
            }
            EventKind::SimpleKey => {
                let raw = Raw::new_unchecked(span.of(self.text), event.encoding(), event.span());
                let mut text = Cow::Borrowed("");
                raw.decode_key(&mut text, &mut ());
                self.keys.push(KeyData { text: text.into_owned(), kind: KeyKind::String, span });
            }
            EventKind::Scalar => self.scalar(event, span)?,
            EventKind::Comment => self.comment(span)?,
            _ => {}
        }
        Ok(())
    }

    fn depth(&self, id: NodeId) -> usize {
        std::iter::successors(Some(id), |id| self.builder.tree.node(*id).parent).count()
    }

    /// Adds a value; the limits of depth hold for containers.
    fn add(
        &mut self,
        parent: NodeId,
        kind: Kind,
        style: Style,
        span: Span,
        key: Option<KeyData>,
    ) -> Result<NodeId, Fault> {
        // The part is one of those above.
        if matches!(kind, Kind::Map | Kind::List) && self.depth(parent) > self.limits.depth_max {
            return Err(Fault::new(span.start(), format!("nested deeper than {}", self.limits.depth_max)));
        }
        self.builder.add_to(parent, kind, style, span, key)
    }

    /// The table under a key of another, made if there is none; in an array of tables its last.
    fn descend(&mut self, parent: NodeId, key: KeyData, lead: usize) -> Result<NodeId, Fault> {
        let known = self.known.get(&(parent, key.text.clone())).copied();
        let id = match known {
            Some(id) => id,
            None => {
                let (name, span) = (key.text.clone(), Span::new(lead, key.span.end()));
                let id = self.add(parent, Kind::Map, Style::Dotted, span, Some(key))?;
                self.builder.tree.node_mut(id).lead = span.start;
                self.known.insert((parent, name), id);
                id
            }
        };
        let is_list = self.builder.tree.node(id).kind == Kind::List;
        let last = self.builder.tree.values(id).next_back().filter(|_| is_list);
        Ok(last.unwrap_or(id))
    }

    fn header_ends(&mut self, end: usize) -> Result<(), Fault> {
        let (Some(header), Some(last)) = (self.header.take(), self.keys.pop()) else { return Ok(()) };
        let mut table = self.root;
        for key in std::mem::take(&mut self.keys) {
            table = self.descend(table, key, header.start)?;
        }
        let span = Span::new(header.start, end);
        let place = (table, last.text.clone());
        let known = self.known.get(&place).copied();
        self.table = match (known, header.is_array) {
            (None, false) => {
                let id = self.add(table, Kind::Map, Style::Block, span, Some(last))?;
                self.known.insert(place, id);
                id
            }
            // A header of one of its tables came before its own.
            (Some(id), false) => {
                let node = self.builder.tree.node_mut(id);
                (node.style, node.span, node.lead) = (Style::Block, span, span.start);
                id
            }
            (known, true) => {
                let list = match known {
                    Some(list) => list,
                    None => self.add(table, Kind::List, Style::Block, span, Some(last))?,
                };
                self.known.insert(place, list);
                self.add(list, Kind::Map, Style::Block, span, None)?
            }
        };
        self.builder.tree.node_mut(self.table).lead = span.start;
        Ok(())
    }

    /// Where the next value goes: its container, its key, and where its entry begins.
    fn next_place(&mut self, start: usize) -> Result<(NodeId, Option<KeyData>, usize), Fault> {
        let mut container = self.flows.last().copied().unwrap_or(self.table);
        if self.builder.tree.node(container).kind == Kind::List {
            return Ok((container, None, start));
        }
        let lead = self.keys.first().map_or(start, |key| key.span.start());
        let last = self.keys.pop();
        for key in std::mem::take(&mut self.keys) {
            container = self.descend(container, key, lead)?;
        }
        Ok((container, last, lead))
    }

    fn open(&mut self, kind: Kind, span: Span) -> Result<(), Fault> {
        let (container, key, lead) = self.next_place(span.start())?;
        let id = self.add(container, kind, Style::Flow, span, key)?;
        self.builder.tree.node_mut(id).lead = u32::try_from(lead).unwrap_or(u32::MAX);
        self.flows.push(id);
        Ok(())
    }

    fn scalar(&mut self, event: Event, span: Span) -> Result<(), Fault> {
        let raw = Raw::new_unchecked(span.of(self.text), event.encoding(), event.span());
        let mut text = Cow::Borrowed("");
        let kind = match raw.decode_scalar(&mut text, &mut ()) {
            Decoded::String => ScalarKind::String,
            Decoded::Boolean(_) => ScalarKind::Bool,
            Decoded::DateTime => ScalarKind::Timestamp,
            Decoded::Float => ScalarKind::Float,
            Decoded::Integer(_) => ScalarKind::Int,
        };
        let style = match event.encoding() {
            None => Style::Plain,
            Some(Encoding::BasicString) => Style::DoubleQuoted,
            Some(Encoding::LiteralString) => Style::SingleQuoted,
            Some(Encoding::MlBasicString) => Style::Folded,
            Some(Encoding::MlLiteralString) => Style::Literal,
        };
        let text = SecretString::new(text.into_owned());
        let (container, key, lead) = self.next_place(span.start())?;
        let id = self.add(container, Kind::Scalar(kind), style, span, key)?;
        let node = self.builder.tree.node_mut(id);
        node.lead = u32::try_from(lead).unwrap_or(u32::MAX);
        if kind == ScalarKind::String && content(style, span.of(self.text)) != Some(text.expose()) {
            node.decoded = Some(text);
        }
        Ok(())
    }

    fn comment(&mut self, span: Span) -> Result<(), Fault> {
        let before = self.text.get(..span.start()).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let is_line = line.trim_start_matches('\u{feff}').trim().is_empty();
        let placement = if is_line { Placement::Line } else { Placement::Trailing };
        let container = self.flows.last().copied().unwrap_or(self.table);
        self.builder.add_to(container, Kind::Comment(placement), Style::Plain, span, None)?;
        Ok(())
    }
}

/// What stands between the quotes.
fn content(style: Style, raw: &str) -> Option<&str> {
    let between = |quote| raw.strip_prefix(quote).and_then(|raw| raw.strip_suffix(quote));
    match style {
        Style::DoubleQuoted => between("\""),
        Style::SingleQuoted => between("'"),
        Style::Folded => between("\"\"\""),
        Style::Literal => between("'''"),
        _ => Some(raw),
    }
}

pub(super) fn scalar(data: &NodeData, raw: &str) -> Scalar {
    let text = || {
        data.decoded.as_ref().map_or_else(
            || SecretString::from(content(data.style, raw).unwrap_or_default()),
            SecretString::duplicate,
        )
    };
    match data.kind {
        Kind::Scalar(ScalarKind::Bool) => Scalar::Bool(raw == "true"),
        Kind::Scalar(ScalarKind::Int) => Scalar::Int(integer(raw)),
        Kind::Scalar(ScalarKind::Float) => Scalar::Float(match raw.trim_start_matches(['+', '-']) {
            "inf" => Number::float(if raw.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
            "nan" => Number::float(f64::NAN),
            _ => Number::from_lenient(raw),
        }),
        Kind::Scalar(ScalarKind::Timestamp) => Scalar::Timestamp(SecretString::from(raw)),
        Kind::Scalar(_) => Scalar::String(text()),
        _ => Scalar::Null,
    }
}

fn integer(raw: &str) -> Number {
    let digits = raw.replace('_', "");
    let radix = match digits.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => return Number::from_lenient(raw),
    };
    let size = digits.get(2..).and_then(|digits| u64::from_str_radix(digits, radix).ok());
    size.map_or_else(|| Number::from_lenient(raw), Number::from)
}

#[cfg(test)]
mod tests;
