//! Documents that keep every byte: JSON, YAML, TOML and INI. A change touches the lines that it is about.
//!
//! A [`Document`] is its text and a tree of nodes with spans into it. Reading walks the tree:
//!
//! ```
//! use strongroom_formats::document::{Document, Kind, Limits, Syntax};
//! let text = "{\"database\": {\"port\": 5432}}";
//! let document = Document::parse(Syntax::Json, text, &Limits::default())?;
//! for node in document.walk() {
//!     if let Kind::Scalar(kind) = node.kind() {
//!         println!("{} is a {kind:?}", node.path());     // database.port is a Int
//!     }
//! }
//! # Ok::<(), strongroom_formats::document::ParseError>(())
//! ```
//!
//! Writing replaces bytes and parses again, then compares: a change that would alter anything but what it names is
//! refused ([`ChangeError::Unsafe`]) and the document stays as it was. Each call is linear in the document's size, so
//! many scalars go through one [`Document::rewrite`]. Every change ends the life of the [`NodeId`]s given out before.
//!
//! What is common to the four: a document has parts (YAML's documents between `---`; one part for all others), a part
//! has at most one value (a map, a list or a scalar), and comments are nodes among the values of the container that
//! they stand in. A comment's container, and so its path, is the innermost map or list that is open where it stands:
//!
//! * YAML: by its column, as go-yaml attaches it: a comment that stands deeper than the keys of the map around it
//!   belongs to the block before it; a comment after a value on its line to the map or list of that value, and after
//!   `key: {…}` to what is between those brackets.
//! * INI: a section is a map in the part's map; a comment before a section's header belongs to that section.
//! * TOML: a table is a map; a comment before a header belongs to the table above it.
//!
//! Nothing here prints a value: errors cite lines, columns and keys, `Debug` shows structure alone.

mod change;
mod ini;
mod json;
mod lines;
mod toml;
mod tree;
mod value;
mod yaml;

pub use change::{ChangeError, Indent, Place, Rewrite};
pub use tree::{KeyKind, Kind, NodeId, Placement, Style};
pub use value::{Number, Path, Scalar, ScalarKind, Step, Value};

use std::fmt;
use strongroom_secret::SecretString;
use tree::{NodeData, Tree};

/// The language of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// RFC 8259, nothing more lenient; a repeated key is an error.
    Json,
    /// YAML 1.2's grammar, plain scalars resolved as go-yaml v3 does (so `yes` is a string, `0o17` and `0x1F` are
    /// integers, `2001-12-14` is a timestamp).
    Yaml,
    /// TOML 1.0 (and what of 1.1 the parser knows).
    Toml,
    /// INI as go-ini v1, the library of sops, reads it: sections of strings.
    Ini,
}

/// Bounds on a document, checked before or while it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The text, in bytes; never more than 2 GiB.
    pub bytes_max: usize,
    /// Maps and lists within each other.
    pub depth_max: usize,
    /// Values and comments together.
    pub entries_max: usize,
    /// Values after YAML's aliases are replaced by what they stand for ([`Node::value`] alone does that).
    pub expanded_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 64 << 20, depth_max: 128, entries_max: 2_000_000, expanded_max: 2_000_000 }
    }
}

/// Why a text is no document. It names keys, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub what: String,
}

/// Why a part has no plain value: its aliases go too deep, or stand for too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ValueError {
    pub line: usize,
    pub what: &'static str,
}

/// A text and its tree. Printing it gives the very bytes that were parsed, but for what was changed since.
pub struct Document {
    syntax: Syntax,
    text: SecretString,
    tree: Tree,
    limits: Limits,
}

impl Document {
    /// Reads a text, byte order mark included.
    pub fn parse(syntax: Syntax, text: &str, limits: &Limits) -> Result<Self, ParseError> {
        Self::from_text(syntax, SecretString::from(text), limits)
    }

    fn from_text(syntax: Syntax, text: SecretString, limits: &Limits) -> Result<Self, ParseError> {
        let bytes_max = limits.bytes_max.min(i32::MAX as usize);
        if text.expose().len() > bytes_max {
            let what = format!("the document has more than {bytes_max} bytes");
            return Err(ParseError { line: 1, column: 1, what });
        }
        let parsed = match syntax {
            Syntax::Json => json::parse(text.expose(), limits),
            Syntax::Yaml => yaml::parse(text.expose(), limits),
            Syntax::Ini => ini::parse(text.expose(), limits),
            Syntax::Toml => toml::parse(text.expose(), limits),
        };
        let tree = parsed.map_err(|fault| fault.in_text(text.expose()))?;
        Ok(Self { syntax, text, tree, limits: *limits })
    }

    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// The document's text, every byte of it.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The parts, in order: one per document of a YAML stream, exactly one in every other syntax.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = Node<'_>> + '_ {
        self.tree.parts.iter().map(|id| self.node(*id))
    }

    /// The map, list or scalar of a part (from 0), if there is one.
    pub fn root(&self, part: usize) -> Option<Node<'_>> {
        let part = self.tree.parts.get(part)?;
        self.tree.values(*part).next().map(|id| self.node(id))
    }

    /// The node of an id that this document gave out since it last changed.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node { document: self, id }
    }

    /// The value at a path of a part (from 0). Aliases are not followed.
    pub fn find(&self, part: usize, path: &[Step]) -> Option<Node<'_>> {
        let root = self.root(part)?.id;
        let found = path.iter().try_fold(root, |id, step| match step {
            Step::Key(key) => self.tree.child(id, key),
            Step::Index(index) if self.tree.node(id).kind == Kind::List => self.tree.values(id).nth(*index),
            Step::Index(_) => None,
        });
        found.map(|id| self.node(id))
    }

    /// All nodes, containers before what they hold, in the order of the document. (A TOML table that is opened in
    /// several places comes once, with all it holds, where it is first spoken of.)
    pub fn walk(&self) -> Walk<'_> {
        Walk { document: self, rest: self.tree.parts.iter().rev().copied().collect() }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (syntax, bytes) = (self.syntax, self.text.expose().len());
        write!(f, "Document({syntax:?}, {bytes} bytes, {} nodes)", self.tree.len())
    }
}

/// The nodes of a document in order.
#[derive(Debug)]
pub struct Walk<'d> {
    document: &'d Document,
    rest: Vec<NodeId>,
}

impl<'d> Iterator for Walk<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Node<'d>> {
        let id = self.rest.pop()?;
        self.rest.extend(self.document.tree.node(id).children.iter().rev());
        Some(self.document.node(id))
    }
}

/// A part, a value or a comment of a document.
#[derive(Clone, Copy)]
pub struct Node<'d> {
    document: &'d Document,
    id: NodeId,
}

impl<'d> Node<'d> {
    fn data(&self) -> &'d NodeData {
        self.document.tree.node(self.id)
    }

    fn at(&self, id: NodeId) -> Node<'d> {
        Node { document: self.document, id }
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    pub fn kind(&self) -> Kind {
        self.data().kind
    }

    pub fn style(&self) -> Style {
        self.data().style
    }

    /// The node's key, if it is a map's value.
    pub fn key(&self) -> Option<&'d str> {
        self.data().key.as_ref().map(|key| key.text.as_str())
    }

    /// What the key is: YAML has keys that are no strings.
    pub fn key_kind(&self) -> Option<KeyKind> {
        self.data().key.as_ref().map(|key| key.kind)
    }

    /// The container that the node stands in; nothing above a part.
    pub fn parent(&self) -> Option<Node<'d>> {
        self.data().parent.map(|id| self.at(id))
    }

    /// Values and comments of a container, in order.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = Node<'d>> + 'd {
        let document = self.document;
        self.data().children.iter().map(move |id| document.node(*id))
    }

    /// The path within the part. A comment's is its container's.
    pub fn path(&self) -> Path {
        let mut steps = Vec::new();
        let mut node = *self;
        while let Some(parent) = node.parent() {
            match (parent.kind(), node.kind()) {
                (_, Kind::Comment(_)) => {}
                (Kind::List, _) => steps.push(Step::Index(node.data().index)),
                (Kind::Map, _) => steps.push(Step::Key(node.key().unwrap_or_default().to_owned())),
                _ => {}
            }
            node = parent;
        }
        steps.reverse();
        Path(steps)
    }

    /// The number of the part (from 0) that the node belongs to.
    pub fn part(&self) -> usize {
        let mut node = *self;
        while let Some(parent) = node.parent() {
            node = parent;
        }
        self.document.tree.parts.iter().position(|part| *part == node.id).unwrap_or_default()
    }

    /// The line on which the node begins (its key's line, if it has one), from 1.
    pub fn line(&self) -> usize {
        let data = self.data();
        let start = data.key.as_ref().map_or(data.span.start(), |key| key.span.start());
        line_and_column(self.document.expose(), start).0
    }

    /// Whether a node stands above the key of this one, as the comments above the header of an INI section do.
    pub fn is_below(&self, other: &Node<'_>) -> bool {
        self.data().key.as_ref().is_some_and(|key| other.data().span.start() < key.span.start())
    }

    /// The node's own text: quotes included, key and comments not; of a comment, with its mark.
    pub fn raw(&self) -> &'d str {
        self.data().span.of(self.document.text.expose())
    }

    /// The decoded scalar; nothing for other nodes, aliases among them.
    pub fn scalar(&self) -> Option<Scalar> {
        let Kind::Scalar(_) = self.kind() else { return None };
        Some(match self.document.syntax {
            Syntax::Json => json::scalar(self.data(), self.raw()),
            Syntax::Yaml => yaml::scalar(self.data(), self.raw()),
            Syntax::Ini => ini::scalar(self.data(), self.raw()),
            Syntax::Toml => toml::scalar(self.data(), self.raw()),
        })
    }

    /// The text of a comment after its mark (`#`, `;`), the space after the mark included; nothing for other nodes.
    pub fn comment(&self) -> Option<&'d str> {
        let Kind::Comment(_) = self.kind() else { return None };
        let raw = self.raw();
        Some(raw.strip_prefix(['#', ';']).unwrap_or(raw))
    }

    /// The name of a YAML anchor, `&name`, on this node.
    pub fn anchor(&self) -> Option<&'d str> {
        self.data().properties.as_ref()?.anchor.as_deref()
    }

    /// A YAML tag on this node, resolved: `tag:yaml.org,2002:str` for `!!str`, `!custom` for itself.
    pub fn tag(&self) -> Option<&'d str> {
        self.data().properties.as_ref()?.tag.as_deref()
    }

    /// What a YAML alias stands for.
    pub fn target(&self) -> Option<Node<'d>> {
        self.data().properties.as_ref()?.target.map(|id| self.at(id))
    }

    /// The plain value of this node: YAML's aliases and merge keys resolved, keys that are no strings as their text.
    /// A part without a value, and a comment, are null.
    pub fn value(&self) -> Result<Value, ValueError> {
        let mut budget = self.document.limits.expanded_max;
        self.value_within(self.document.limits.depth_max.saturating_add(1), &mut budget)
    }

    fn value_within(&self, depth: usize, budget: &mut usize) -> Result<Value, ValueError> {
        let error = |what| ValueError { line: self.line(), what };
        *budget =
            budget.checked_sub(1).ok_or_else(|| error("the aliases of this document stand for too much"))?;
        let depth = depth.checked_sub(1).ok_or_else(|| error("the aliases of this document go too deep"))?;
        let values = || self.document.tree.values(self.id).map(|id| self.at(id));
        Ok(match self.kind() {
            Kind::Part => match values().next() {
                Some(root) => root.value_within(depth, budget)?,
                None => Value::Scalar(Scalar::Null),
            },
            Kind::List => {
                Value::List(values().map(|item| item.value_within(depth, budget)).collect::<Result<_, _>>()?)
            }
            Kind::Map => self.map_within(depth, budget)?,
            Kind::Alias => match self.target() {
                Some(target) => target.value_within(depth, budget)?,
                None => Value::Scalar(Scalar::Null),
            },
            Kind::Scalar(_) | Kind::Comment(_) => Value::Scalar(self.scalar().unwrap_or(Scalar::Null)),
        })
    }

    /// A map's entries; then those of merge keys, where the map has no such key itself (yaml.org/type/merge).
    fn map_within(&self, depth: usize, budget: &mut usize) -> Result<Value, ValueError> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        let mut merged = Vec::new();
        for id in self.document.tree.values(self.id) {
            let node = self.at(id);
            let value = node.value_within(depth, budget)?;
            match node.key().unwrap_or_default() {
                "<<" if self.document.syntax == Syntax::Yaml && !matches!(value, Value::Scalar(_)) => {
                    merged.push(value)
                }
                key => entries.push((key.to_owned(), value)),
            }
        }
        for source in merged {
            let maps = match source {
                Value::List(maps) => maps,
                map => vec![map],
            };
            for map in maps {
                let Value::Map(more) = map else { continue };
                for (key, value) in more {
                    if !entries.iter().any(|(known, _)| *known == key) {
                        entries.push((key, value));
                    }
                }
            }
        }
        Ok(Value::Map(entries))
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}, line {}", self.kind(), self.path().to_string(), self.line())
    }
}

/// Line and column (from 1, the column in characters) of a byte.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..at.min(text.len())).unwrap_or_default();
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let is_start = |byte: &&u8| (**byte & 0xC0) != 0x80;
    let column = before.get(line_start..).unwrap_or_default().iter().filter(is_start).count() + 1;
    (before.iter().filter(|byte| **byte == b'\n').count() + 1, column)
}
