//! The tree that all four parsers build: nodes with spans into the text, in one arena.

use super::value::ScalarKind;
use super::{Limits, ParseError};
use std::collections::HashSet;
use strongroom_secret::SecretString;

/// A node of one document. It is valid until the document changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One of the documents of a YAML stream; the one part of every other document. Holds comments and at most one
    /// value: an empty part has none.
    Part,
    Map,
    List,
    Scalar(ScalarKind),
    /// A YAML alias, `*name`. It is not resolved here: [`super::Node::target`] answers what it stands for.
    Alias,
    Comment(Placement),
}

/// Where a comment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placement {
    /// On a line of its own.
    Line,
    /// After something on its line.
    Trailing,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// Entries on lines of their own, by indentation or headers.
    Block,
    /// Between brackets: JSON's maps and lists, YAML's flow collections, TOML's inline tables and arrays.
    Flow,
    /// A TOML table that only dotted keys or headers of tables below it speak of.
    Dotted,
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// YAML's `|`, TOML's `'''`.
    Literal,
    /// YAML's `>`, TOML's `"""`.
    Folded,
}

/// Bytes of the text, from (inclusive) and to (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        // The text is at most u32::MAX bytes long: `Limits` are checked before any parser runs.
        Self { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    pub(super) fn of<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.range()).unwrap_or_default()
    }

    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn start(&self) -> usize {
        self.start as usize
    }

    pub(super) fn end(&self) -> usize {
        self.end as usize
    }
}

/// What a map's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    String,
    /// YAML keys such as `1` or `true`.
    Scalar(ScalarKind),
    /// A YAML key that is a map, a list or an alias; its text is its source.
    Complex,
}

#[derive(Debug)]
pub(super) struct KeyData {
    pub(super) text: String,
    pub(super) kind: KeyKind,
    pub(super) span: Span,
}

/// YAML's properties of a node.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) anchor: Option<String>,
    pub(super) tag: Option<String>,
    /// Of an alias: the node it stands for.
    pub(super) target: Option<NodeId>,
}

#[derive(Debug)]
pub(super) struct NodeData {
    pub(super) kind: Kind,
    pub(super) style: Style,
    pub(super) span: Span,
    /// Where the entry begins: its key, its dash, or the value itself.
    pub(super) lead: u32,
    /// Where the value begins with its properties (YAML's anchor and tag).
    pub(super) outer: u32,
    /// The decoded text, where it differs from what stands between the quotes. YAML alone keeps it.
    pub(super) decoded: Option<SecretString>,
    pub(super) parent: Option<NodeId>,
    pub(super) key: Option<Box<KeyData>>,
    /// The number among the values of a list.
    pub(super) index: usize,
    /// Values and comments, in document order.
    pub(super) children: Vec<NodeId>,
    pub(super) properties: Option<Box<Properties>>,
}

/// All nodes of a document.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<NodeData>,
    pub(super) parts: Vec<NodeId>,
}

impl Tree {
    #[expect(clippy::indexing_slicing, reason = "ids are given out by `push` alone and a tree never shrinks")]
    pub(super) fn node(&self, id: NodeId) -> &NodeData {
        &self.nodes[id.0 as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "ids are given out by `push` alone and a tree never shrinks")]
    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut NodeData {
        &mut self.nodes[id.0 as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn push(&mut self, data: NodeData) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(data);
        id
    }

    /// The children that are values.
    pub(super) fn values(&self, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + '_ {
        let is_value = |id: &NodeId| !matches!(self.node(*id).kind, Kind::Comment(_));
        self.node(id).children.iter().copied().filter(is_value)
    }

    pub(super) fn key(&self, id: NodeId) -> Option<&KeyData> {
        self.node(id).key.as_deref()
    }

    /// The part that a node stands in.
    pub(super) fn root_of(&self, id: NodeId) -> NodeId {
        std::iter::successors(Some(id), |id| self.node(*id).parent).last().unwrap_or(id)
    }

    pub(super) fn child(&self, id: NodeId, key: &str) -> Option<NodeId> {
        self.values(id).find(|child| self.key(*child).is_some_and(|found| found.text == key))
    }
}

/// Builds a tree from the outside in, and holds the limits.
pub(super) struct Builder<'l> {
    pub(super) tree: Tree,
    limits: &'l Limits,
    /// The open containers, outermost first.
    open: Vec<NodeId>,
    keys: Vec<HashSet<String>>,
}

/// Where in the text something is wrong, in bytes, and what.
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }

    pub(super) fn in_text(self, text: &str) -> ParseError {
        let (line, column) = super::line_and_column(text, self.at);
        ParseError { line, column, what: self.what }
    }
}

impl<'l> Builder<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self { tree: Tree::default(), limits, open: Vec::new(), keys: Vec::new() }
    }

    /// The innermost open container.
    pub(super) fn top(&self) -> Option<NodeId> {
        self.open.last().copied()
    }

    /// Opens a part; `close` ends it.
    pub(super) fn open_part(&mut self, start: usize) -> NodeId {
        let id = self.tree.push(NodeData::new(Kind::Part, Style::Block, Span::new(start, start)));
        self.tree.parts.push(id);
        self.open.push(id);
        self.keys.push(HashSet::new());
        id
    }

    /// Adds a value or comment to the innermost open container, which must not have its key yet.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        style: Style,
        span: Span,
        key: Option<KeyData>,
    ) -> Result<NodeId, Fault> {
        let Some(parent) = self.top() else {
            return Err(Fault::new(span.start(), "a value outside of any document"));
        };
        if let (Some(key), Some(keys)) = (&key, self.keys.last_mut())
            && !keys.insert(key.text.clone())
        {
            return Err(duplicate(key));
        }
        self.add_to(parent, kind, style, span, key)
    }

    /// Adds a value or comment to any container, open or not, whatever keys it has.
    pub(super) fn add_to(
        &mut self,
        parent: NodeId,
        kind: Kind,
        style: Style,
        span: Span,
        key: Option<KeyData>,
    ) -> Result<NodeId, Fault> {
        if self.tree.len() >= self.limits.entries_max {
            let max = self.limits.entries_max;
            return Err(Fault::new(span.start(), format!("more than {max} values and comments")));
        }
        let index = match kind {
            Kind::Comment(_) => 0,
            _ => self.tree.node(parent).index_next(&self.tree),
        };
        let id = self.tree.push(NodeData {
            lead: key.as_ref().map_or(span.start, |key| key.span.start),
            parent: Some(parent),
            key: key.map(Box::new),
            index,
            ..NodeData::new(kind, style, span)
        });
        self.tree.node_mut(parent).children.push(id);
        Ok(id)
    }

    /// Makes a container the innermost open one.
    pub(super) fn open(&mut self, id: NodeId) -> Result<(), Fault> {
        // A part is no nesting.
        if self.open.len() > self.limits.depth_max {
            let max = self.limits.depth_max;
            return Err(Fault::new(self.tree.node(id).span.start(), format!("nested deeper than {max}")));
        }
        self.open.push(id);
        self.keys.push(HashSet::new());
        Ok(())
    }

    /// Closes the innermost container, which ends at `end`.
    pub(super) fn close(&mut self, end: usize) -> Option<NodeId> {
        self.keys.pop();
        let id = self.open.pop()?;
        let span = &mut self.tree.node_mut(id).span;
        *span = Span::new(span.start(), end.max(span.start()));
        Some(id)
    }
}

pub(super) fn duplicate(key: &KeyData) -> Fault {
    Fault::new(key.span.start(), format!("the key {:?} stands here twice", key.text))
}

impl NodeData {
    fn new(kind: Kind, style: Style, span: Span) -> Self {
        Self {
            kind,
            style,
            span,
            lead: span.start,
            outer: span.start,
            decoded: None,
            parent: None,
            key: None,
            index: 0,
            children: Vec::new(),
            properties: None,
        }
    }

    fn index_next(&self, tree: &Tree) -> usize {
        let last = self.children.iter().rev().find(|id| !matches!(tree.node(**id).kind, Kind::Comment(_)));
        last.map_or(0, |id| tree.node(*id).index + 1)
    }
}
