//! YAML: the grammar is that of `granit-parser`, whose events carry exact spans; the tree over them, the places of
//! comments and the changes are ours. Plain scalars resolve as go-yaml v3 does, comments belong where it puts them.

mod comments;
mod edit;
mod resolve;
mod write;

pub(super) use edit::{insert, layout, remove, replace, write_scalar};

use super::change::Indent;
use super::tree::{Builder, Fault, KeyData, KeyKind, Kind, NodeData, NodeId, Span, Style, Tree};
use super::value::{Scalar, ScalarKind, Value};
use super::{Limits, lines};
use granit_parser::{Event, Parser, ScalarStyle, StructureStyle, Tag};
use std::collections::HashMap;
use strongroom_secret::SecretString;

pub(super) fn parse(text: &str, limits: &Limits) -> Result<Tree, Fault> {
    let options = granit_parser::options! {
        emit_anchor_events: true,
        block_scalar_eof_without_line_feed: true,
        max_buffered_comment_events: limits.entries_max,
        flow_nesting_limit: limits.depth_max,
        block_nesting_limit: limits.depth_max,
    };
    let mut reader = Reader::new(text, limits);
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            Fault::new(error.marker().byte_offset().unwrap_or(text.len()), error.info().to_owned())
        })?;
        reader.event(&event, span)?;
    }
    let Reader { mut builder, comments, marks, .. } = reader;
    if builder.tree.parts.is_empty() {
        builder.open_part(0);
        builder.close(text.len());
    }
    comments::attach(text, &mut builder, &comments, &marks)?;
    Ok(builder.tree)
}

/// A place in the text that comments are placed by, in order.
pub(super) struct Mark {
    at: usize,
    kind: MarkKind,
    node: NodeId,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MarkKind {
    /// A dash or a key in a block: the beginning of an entry.
    Lead,
    /// A scalar, an alias, or the end of a flow collection.
    Value,
}

/// An open map or list.
struct Frame {
    id: NodeId,
    is_map: bool,
    is_flow: bool,
    /// The key whose value comes next, and where its entry begins.
    key: Option<(KeyData, usize)>,
}

/// A map or list in the place of a key.
#[derive(Clone, Copy)]
struct ComplexKey {
    lead: usize,
    start: usize,
    /// How many collections are open.
    open: usize,
}

struct Reader<'t> {
    text: &'t str,
    builder: Builder<'t>,
    /// The end of what has been read.
    at: usize,
    frames: Vec<Frame>,
    complex_key: Option<ComplexKey>,
    /// Whether the part before ended with `...`.
    ended_explicitly: bool,
    anchors: HashMap<usize, NodeId>,
    last: Option<NodeId>,
    comments: Vec<Span>,
    marks: Vec<Mark>,
}

/// What an event says of a node's properties.
#[derive(Clone, Copy)]
struct Tagged<'e> {
    anchor: usize,
    tag: Option<&'e Tag>,
}

impl Tagged<'_> {
    fn count(&self) -> usize {
        usize::from(self.anchor != 0) + usize::from(self.tag.is_some())
    }

    fn text(&self) -> Option<String> {
        self.tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()))
    }
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, limits: &'t Limits) -> Self {
        Self {
            text,
            builder: Builder::new(limits),
            at: 0,
            frames: Vec::new(),
            complex_key: None,
            ended_explicitly: true,
            anchors: HashMap::new(),
            last: None,
            comments: Vec::new(),
            marks: Vec::new(),
        }
    }

    fn event(&mut self, event: &Event<'_>, span: granit_parser::Span) -> Result<(), Fault> {
        let offset = |marker: granit_parser::Marker| marker.byte_offset().unwrap_or(self.text.len());
        let span = Span::new(offset(span.start), offset(span.end));
        if self.complex_key.is_some() && !matches!(event, Event::Comment(..)) {
            self.in_complex_key(event, span);
            return Ok(());
        }
        match event {
            Event::StreamStart | Event::StreamEnd => {}
            Event::DocumentStart(is_explicit, _) => self.document_start(*is_explicit, span),
            Event::DocumentEnd => self.document_end(span),
            Event::Comment(..) => self.comments.push(span),
            Event::Anchor(id, name) => self.anchor(*id, name),
            Event::Alias(id) => self.alias(*id, span)?,
            Event::UnresolvedAlias(_) => return Err(Fault::new(span.start(), "an alias without its anchor")),
            Event::Scalar(value, style, anchor, tag) => {
                self.scalar(value, *style, Tagged { anchor: *anchor, tag: tag.as_deref() }, span)?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.open(Kind::List, *style, Tagged { anchor: *anchor, tag: tag.as_deref() }, span)?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.open(Kind::Map, *style, Tagged { anchor: *anchor, tag: tag.as_deref() }, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            _ => return Err(Fault::new(span.start(), "what the parser says here is not known")),
        }
        Ok(())
    }

    fn document_start(&mut self, is_explicit: bool, span: Span) {
        // What stands between an explicit end and this marker belongs to this part.
        let start = if self.ended_explicitly { self.at } else { span.start() };
        let part = self.builder.open_part(start);
        if is_explicit {
            self.at = span.end();
        }
        self.builder.tree.node_mut(part).outer = u32::try_from(self.at).unwrap_or(u32::MAX);
        self.anchors.clear();
    }

    fn document_end(&mut self, span: Span) {
        let is_explicit = span.end() > span.start();
        self.ended_explicitly = is_explicit;
        self.builder.close(if is_explicit { span.start() } else { self.at.max(span.start()) });
        if is_explicit {
            self.at = span.end();
        }
    }

    fn anchor(&mut self, id: usize, name: &str) {
        if let Some(node) = self.last {
            self.anchors.insert(id, node);
            self.builder.tree.node_mut(node).properties.get_or_insert_default().anchor =
                Some(name.to_owned());
        }
    }

    fn is_at_key(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.is_map && frame.key.is_none())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Fault> {
        let entry = self.entry();
        if self.is_at_key() {
            self.key(entry, KeyKind::Complex, span.of(self.text).to_owned(), span);
            return Ok(());
        }
        let node = self.add(Kind::Alias, Style::Plain, span, entry)?;
        let target = self.anchors.get(&id).copied();
        self.builder.tree.node_mut(node).properties.get_or_insert_default().target = target;
        self.value_ends(node, span.end());
        Ok(())
    }

    fn scalar(
        &mut self,
        value: &str,
        style: ScalarStyle,
        tagged: Tagged<'_>,
        span: Span,
    ) -> Result<(), Fault> {
        let entry = self.entry();
        let tag = tagged.text();
        // The parser says `~` for nothing at all.
        let value = if style == ScalarStyle::Plain && span.of(self.text).is_empty() { "" } else { value };
        let kind = resolve::kind(value, style == ScalarStyle::Plain, tag.as_deref());
        let outer = self.properties(tagged.count());
        if self.frames.is_empty()
            && span.start == span.end
            && style == ScalarStyle::Plain
            && tagged.count() == 0
        {
            // An empty part has no value.
            return Ok(());
        }
        let span = self.scalar_span(style, span);
        let outer = outer.unwrap_or(span.start());
        if self.is_at_key() {
            let key_kind = if kind == ScalarKind::String { KeyKind::String } else { KeyKind::Scalar(kind) };
            self.key(entry.min(outer), key_kind, value.to_owned(), span);
            self.last = None;
            return Ok(());
        }
        let id = self.add(Kind::Scalar(kind), style_of(style), span, entry)?;
        let raw = content(style_of(style), span.of(self.text));
        let node = self.builder.tree.node_mut(id);
        node.outer = u32::try_from(outer).unwrap_or(u32::MAX);
        if raw != Some(value) {
            node.decoded = Some(SecretString::from(value));
        }
        if tag.is_some() {
            node.properties.get_or_insert_default().tag = tag;
        }
        self.value_ends(id, span.end());
        Ok(())
    }

    /// A scalar's own bytes: of a block scalar with its header, of an empty one the place where it would stand.
    fn scalar_span(&mut self, style: ScalarStyle, span: Span) -> Span {
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let start = self.skip_space(self.at);
                let header_line_end = lines::end(self.text, start);
                let end = self.block_end(span).max(header_line_end);
                Span::new(start, if span.start == span.end { header_end(self.text, start) } else { end })
            }
            _ if span.start == span.end => Span::new(self.at, self.at),
            _ => span,
        }
    }

    /// The end of a block scalar's last line, without its line break and the blank lines that do not belong to it.
    fn block_end(&self, span: Span) -> usize {
        let raw = span.of(self.text);
        let header = self.text.get(self.skip_space(self.at)..).unwrap_or_default();
        let keeps = header.chars().take(3).take_while(|c| !c.is_whitespace()).any(|c| c == '+');
        // The parser reads up to the next token: cut its indentation off.
        let is_last = span.end() == self.text.len();
        let lines = match raw.rfind('\n') {
            Some(at)
                if !is_last && raw.get(at + 1..).is_some_and(|rest| rest.trim_matches(' ').is_empty()) =>
            {
                raw.get(..at).unwrap_or(raw)
            }
            _ => raw.strip_suffix('\n').unwrap_or(raw),
        };
        let lines = if keeps { lines } else { trim_blank_lines(lines) };
        span.start() + lines.strip_suffix('\r').unwrap_or(lines).len()
    }

    fn open(
        &mut self,
        kind: Kind,
        style: StructureStyle,
        tagged: Tagged<'_>,
        span: Span,
    ) -> Result<(), Fault> {
        let entry = self.entry();
        let outer = self.properties(tagged.count());
        let is_flow = style == StructureStyle::Flow;
        if self.is_at_key() {
            self.complex_key = Some(ComplexKey { lead: entry, start: self.skip_space(self.at), open: 1 });
            self.at = self.at.max(span.end());
            return Ok(());
        }
        let start = if is_flow { span.start() } else { self.skip_space(self.at) };
        let style = if is_flow { Style::Flow } else { Style::Block };
        let id = self.add(kind, style, Span::new(start, start), entry)?;
        let node = self.builder.tree.node_mut(id);
        node.outer = u32::try_from(outer.unwrap_or(start)).unwrap_or(u32::MAX);
        if tagged.tag.is_some() {
            node.properties.get_or_insert_default().tag = tagged.text();
        }
        self.builder.open(id)?;
        if is_flow {
            self.at = span.end();
        }
        self.frames.push(Frame { id, is_map: kind == Kind::Map, is_flow, key: None });
        Ok(())
    }

    fn close(&mut self, span: Span) {
        let Some(frame) = self.frames.pop() else { return };
        if frame.is_flow && span.end() > span.start() {
            self.at = span.end();
        }
        self.builder.close(self.at);
        if frame.is_flow {
            self.value_ends(frame.id, self.at);
        }
    }

    fn in_complex_key(&mut self, event: &Event<'_>, span: Span) {
        let Some(mut key) = self.complex_key else { return };
        let is_end = matches!(event, Event::SequenceEnd | Event::MappingEnd);
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => key.open += 1,
            _ if is_end => key.open = key.open.saturating_sub(1),
            _ => {}
        }
        // A block ends where the next token begins; it has no bytes of its own there.
        if !is_end || span.end() > span.start() {
            self.at = self.at.max(span.end());
        }
        self.complex_key = Some(key);
        if key.open == 0 {
            self.complex_key = None;
            let span = Span::new(key.start, self.at);
            self.key(key.lead, KeyKind::Complex, span.of(self.text).trim().to_owned(), span);
        }
    }

    fn key(&mut self, lead: usize, kind: KeyKind, text: String, span: Span) {
        self.at = span.end().max(self.at);
        if let Some(frame) = self.frames.last_mut() {
            frame.key = Some((KeyData { text, kind, span }, lead));
        }
    }

    /// Adds a value whose entry begins at `entry`, or at its key.
    fn add(&mut self, kind: Kind, style: Style, span: Span, entry: usize) -> Result<NodeId, Fault> {
        let frame = self.frames.last_mut();
        let in_block = frame.as_ref().is_some_and(|frame| !frame.is_flow);
        let (key, lead) = match frame.and_then(|frame| frame.key.take()) {
            Some((key, lead)) => (Some(key), lead),
            None => (None, entry),
        };
        let id = self.builder.add(kind, style, span, key)?;
        self.builder.tree.node_mut(id).lead = u32::try_from(lead).unwrap_or(u32::MAX);
        if in_block {
            self.marks.push(Mark { at: lead, kind: MarkKind::Lead, node: id });
        }
        self.last = Some(id);
        Ok(id)
    }

    fn value_ends(&mut self, node: NodeId, end: usize) {
        self.at = end.max(self.at);
        let data = self.builder.tree.node(node);
        // A flow collection counts from its end: what is in it has marks of its own.
        let at = if data.style == Style::Flow { end.saturating_sub(1) } else { data.span.start() };
        self.marks.push(Mark { at, kind: MarkKind::Value, node });
    }

    /// Passes what leads to a node (`-`, `? `, `:`, `,`), and answers where its entry begins.
    fn entry(&mut self) -> usize {
        let Some(frame) = self.frames.last() else { return self.skip_space(self.at) };
        let start = self.skip_space(self.at);
        match (frame.is_flow, frame.is_map, frame.key.is_some()) {
            (_, true, true) => {
                let is_adjacent = start == self.at || frame.is_flow;
                if self.byte(start) == Some(b':') && (is_adjacent || self.is_blank(start + 1)) {
                    self.at = start + 1;
                }
                self.at
            }
            (false, true, false) => {
                if self.byte(start) == Some(b'?') && self.is_blank(start + 1) {
                    self.at = start + 1;
                }
                start
            }
            (false, false, _) => {
                if self.byte(start) == Some(b'-') {
                    self.at = start + 1;
                }
                start
            }
            (true, ..) => {
                let mut start = start;
                if self.byte(start) == Some(b',') {
                    self.at = start + 1;
                    start = self.skip_space(self.at);
                }
                if self.byte(start) == Some(b'?') && self.is_blank(start + 1) {
                    self.at = start + 1;
                }
                start
            }
        }
    }

    /// Passes an anchor and a tag, as many as the node has, and answers where the first begins.
    fn properties(&mut self, count: usize) -> Option<usize> {
        let mut first = None;
        for _ in 0..count {
            let start = self.skip_space(self.at);
            if !matches!(self.byte(start), Some(b'&' | b'!')) {
                break;
            }
            first = first.or(Some(start));
            let rest = self.text.get(start..).unwrap_or_default();
            let in_flow = self.frames.last().is_some_and(|frame| frame.is_flow) && !rest.starts_with("!<");
            let ends = |c: char| c.is_whitespace() || (in_flow && matches!(c, ',' | '[' | ']' | '{' | '}'));
            self.at = start + rest.find(ends).unwrap_or(rest.len());
        }
        first
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn is_blank(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\t' | b'\n' | b'\r'))
    }

    /// Past spaces, line breaks, comments and byte order marks.
    fn skip_space(&self, from: usize) -> usize {
        let mut at = from;
        loop {
            match self.byte(at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => at += 1,
                Some(b'#') if at == 0 || self.is_blank(at - 1) || at == from => {
                    at = lines::end(self.text, at)
                }
                Some(0xEF) if self.text.get(at..).is_some_and(|rest| rest.starts_with('\u{feff}')) => at += 3,
                _ => return at,
            }
        }
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

/// What stands between the quotes; of block scalars nothing.
fn content(style: Style, raw: &str) -> Option<&str> {
    let quoted = |quote| raw.strip_prefix(quote).and_then(|raw| raw.strip_suffix(quote));
    match style {
        Style::Plain => Some(raw),
        Style::SingleQuoted => quoted('\''),
        Style::DoubleQuoted => quoted('"'),
        _ => None,
    }
}

/// A block scalar's lines without blank ones at the end; spaces beyond the indentation are content.
fn trim_blank_lines(lines: &str) -> &str {
    let mut rest = lines;
    while let Some(at) = rest.rfind('\n') {
        if !rest.get(at + 1..).is_some_and(|line| line.trim_matches([' ', '\r']).is_empty()) {
            break;
        }
        rest = rest.get(..at).unwrap_or_default();
    }
    rest
}

/// The end of a block scalar's header that begins here.
fn header_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.find(|character: char| character.is_whitespace()).unwrap_or(rest.len())
}

/// New documents, in the style of go-yaml v3.
pub(super) fn fresh(parts: &[Value], indent: Indent) -> String {
    let unit = match indent {
        Indent::Usual | Indent::Spaces(0) => 4,
        Indent::Spaces(count) => count.clamp(2, 9),
    };
    write::fresh(parts, unit)
}

pub(super) fn scalar(data: &NodeData, raw: &str) -> Scalar {
    let Kind::Scalar(kind) = data.kind else { return Scalar::Null };
    match &data.decoded {
        Some(text) => resolve::scalar(kind, text.expose()),
        None => resolve::scalar(kind, content(data.style, raw).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
