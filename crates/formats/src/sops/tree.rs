//! What a file holds, whatever its format: documents of keys, values, lists and comments, in order.

use super::value::Value;
use crate::document::Step;
use std::fmt;
use zeroize::Zeroizing;

/// A whole file. YAML may hold several documents, every other format holds one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub documents: Vec<Map>,
}

/// Entries and the comments between them.
pub type Map = Vec<Item>;

#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    Entry { key: String, node: Node },
    Comment(Comment),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Element {
    Node(Node),
    Comment(Comment),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Node {
    Null,
    Leaf(Value),
    Map(Map),
    List(Vec<Element>),
}

/// One line of comment, without the sign that begins it.
#[derive(PartialEq, Eq)]
pub struct Comment {
    pub text: Zeroizing<String>,
    pub placement: Placement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    OwnLine,
    /// On the line of the value that follows it in the tree.
    Inline,
    /// Above the header of the INI section whose first items it is among.
    AboveSection,
}

impl fmt::Debug for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "comment[redacted] {:?}", self.placement)
    }
}

impl Comment {
    pub fn own_line(text: impl Into<String>) -> Self {
        Self { text: Zeroizing::new(text.into()), placement: Placement::OwnLine }
    }

    pub fn inline(text: impl Into<String>) -> Self {
        Self { text: Zeroizing::new(text.into()), placement: Placement::Inline }
    }
}

impl Item {
    pub fn entry(key: impl Into<String>, node: Node) -> Self {
        Self::Entry { key: key.into(), node }
    }

    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Entry { key, .. } => Some(key),
            Self::Comment(_) => None,
        }
    }
}

impl Node {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Leaf(Value::text(text))
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Leaf(value) => value.as_text(),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Lists and maps, which neither a variable nor a line of `.env` can hold.
    pub fn is_branch(&self) -> bool {
        matches!(self, Self::Map(_) | Self::List(_))
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Leaf(value) => Self::Leaf(value.duplicate()),
            Self::Map(map) => Self::Map(duplicate(map)),
            Self::List(elements) => Self::List(elements.iter().map(Element::duplicate).collect()),
        }
    }

    /// What stands at the end of `steps`; comments do not count as elements of a list.
    pub fn at(&self, steps: &[Step]) -> Option<&Self> {
        let Some((first, rest)) = steps.split_first() else { return Some(self) };
        let next = match (self, first) {
            (Self::Map(map), Step::Key(key)) => find(map, key)?,
            (Self::List(elements), Step::Index(index)) => {
                elements.iter().filter_map(Element::node).nth(*index)?
            }
            _ => return None,
        };
        next.at(rest)
    }
}

impl Element {
    pub fn node(&self) -> Option<&Node> {
        match self {
            Self::Node(node) => Some(node),
            Self::Comment(_) => None,
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            Self::Node(node) => Self::Node(node.duplicate()),
            Self::Comment(comment) => Self::Comment(comment.duplicate()),
        }
    }
}

impl Comment {
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { text: self.text.clone(), placement: self.placement }
    }
}

impl Tree {
    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { documents: self.documents.iter().map(|document| duplicate(document)).collect() }
    }

    /// What stands at `steps` in the first document.
    pub fn at(&self, steps: &[Step]) -> Option<&Node> {
        let (Step::Key(key), rest) = steps.split_first()? else { return None };
        find(self.documents.first()?, key)?.at(rest)
    }
}

fn duplicate(map: &[Item]) -> Map {
    let copy = |item: &Item| match item {
        Item::Entry { key, node } => Item::entry(key.clone(), node.duplicate()),
        Item::Comment(comment) => Item::Comment(comment.duplicate()),
    };
    map.iter().map(copy).collect()
}

/// The node under a key.
pub fn find<'a>(map: &'a [Item], wanted: &str) -> Option<&'a Node> {
    map.iter().find_map(|item| match item {
        Item::Entry { key, node } if key == wanted => Some(node),
        _ => None,
    })
}
