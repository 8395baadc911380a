//! From a document to a tree.

use super::{Format, Layout, Parsed, Source, SourceError, time};
use crate::document::{Document, KeyKind, Kind, Node as DocumentNode, NodeId, Path, Placement, Scalar, Step};
use crate::sops::metadata::{self, KEY};
use crate::sops::tree::{self, Comment, Element, Item, Map, Node, Tree};
use crate::sops::value::Value;
use strongroom_secret::Timestamp;

/// More aliases than this are no reason to rewrite a file one by one.
const ALIASES_MAX: usize = 200;

pub(super) fn text_of(bytes: &[u8]) -> Result<&str, SourceError> {
    if bytes.len() > super::FILE_BYTES_MAX {
        return Err(SourceError::TooBig);
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(SourceError::Utf16);
    }
    std::str::from_utf8(bytes).map_err(|error| SourceError::NotUtf8(error.valid_up_to()))
}

/// Says that a text which cannot be read holds a merge conflict, where it does.
pub(super) fn conflict_in(text: &str) -> Option<SourceError> {
    let line = |mark: &str| text.lines().position(|line| line.starts_with(mark));
    let (start, end) = (line("<<<<<<< ")?, line(">>>>>>> ")?);
    (start < end).then_some(SourceError::MergeConflict(start + 1))
}

pub(super) fn document(format: Format, mut document: Document) -> Result<Parsed, SourceError> {
    replace_aliases(&mut document)?;
    let mut reader = Reader { document: &document, format, nodes: Vec::new(), keeps_layout: true };
    let (mut tree, mut metadata) = (Tree::default(), None);
    for (number, part) in document.parts().enumerate() {
        let (data, of_part) = reader.part(part)?;
        tree.documents.push(data);
        if number == 0 {
            metadata = of_part;
        }
    }
    let Reader { nodes, keeps_layout, .. } = reader;
    if format == Format::Ini {
        metadata = metadata.map(|map| metadata::unflatten(&newlines_restored(map))).transpose()?;
    }
    let layout = if keeps_layout { Layout::Document { document, nodes } } else { Layout::Fresh };
    Ok(Parsed { source: Source { format, layout }, tree, metadata })
}

/// sops writes what an alias stands for in its place: the copies are encrypted each for its own path.
fn replace_aliases(document: &mut Document) -> Result<(), SourceError> {
    for _ in 0..ALIASES_MAX {
        let Some(node) = document.walk().find(|node| node.kind() == Kind::Alias) else { return Ok(()) };
        let (id, line) = (node.id(), node.line());
        let value = node.value().map_err(|error| SourceError::Line { line: error.line, what: error.what })?;
        let failed = document.replace(id, &value).is_err();
        if failed {
            return Err(SourceError::Line {
                line,
                what: "the alias cannot be replaced by what it stands for: do it by hand",
            });
        }
    }
    Err(SourceError::Line { line: 1, what: "the file has too many aliases" })
}

/// In INI, line feeds of the metadata are escaped once more than the format itself would (sops 3.13.0 and 3.13.1 left
/// this out, so both are read).
fn newlines_restored(map: Map) -> Map {
    let restored = |item: Item| match item {
        Item::Entry { key, node } => match node.as_text() {
            Some(text) if text.contains("\\n") => Item::entry(key, Node::text(text.replace("\\n", "\n"))),
            _ => Item::Entry { key, node },
        },
        comment => comment,
    };
    map.into_iter().map(restored).collect()
}

struct Reader<'d> {
    document: &'d Document,
    format: Format,
    /// Of all values and comments, in the order of the tree.
    nodes: Vec<NodeId>,
    /// Whether the tree can be written over the document.
    keeps_layout: bool,
}

impl Reader<'_> {
    /// The data of a part, and the map under `sops`.
    fn part(&mut self, part: DocumentNode<'_>) -> Result<(Map, Option<Map>), SourceError> {
        let (mut data, mut metadata) = (Map::new(), None);
        for child in part.children() {
            match child.kind() {
                Kind::Comment(placement) => data.push(Item::Comment(self.comment(child, placement))),
                Kind::Map => {
                    for entry in child.children() {
                        if entry.key() == Some(KEY) {
                            metadata = Some(self.metadata(entry)?);
                        } else {
                            self.map_child(&mut data, entry)?;
                        }
                    }
                }
                Kind::Scalar(_) if matches!(child.scalar(), Some(Scalar::Null)) => self.keeps_layout = false,
                _ => return Err(SourceError::TopLevel),
            }
        }
        if self.format == Format::Ini {
            data = self.ini_sections(data);
        }
        Ok((data, metadata))
    }

    /// The metadata is read apart: its nodes are not rewritten with the others.
    fn metadata(&mut self, entry: DocumentNode<'_>) -> Result<Map, SourceError> {
        let mut inner =
            Reader { document: self.document, format: self.format, nodes: Vec::new(), keeps_layout: true };
        match inner.node(entry)? {
            Node::Map(map) => Ok(map),
            _ => Err(metadata::MetadataError::Shape { field: KEY.to_owned(), expected: "a map" }.into()),
        }
    }

    fn map_child(&mut self, map: &mut Map, child: DocumentNode<'_>) -> Result<(), SourceError> {
        match child.kind() {
            Kind::Comment(Placement::Trailing) if matches!(map.last(), Some(Item::Entry { node, .. }) if !node.is_branch()) =>
            {
                // Before its value in the tree, as sops has it: a comment speaks for what follows it.
                let value = map.pop();
                map.push(Item::Comment(self.comment(child, Placement::Trailing)));
                map.extend(value);
                self.swap_last_nodes();
            }
            Kind::Comment(placement) => map.push(Item::Comment(self.comment(child, placement))),
            _ => {
                let key = child.key().unwrap_or_default();
                if !matches!(child.key_kind(), Some(KeyKind::String)) {
                    return Err(SourceError::Key { line: child.line(), key: key.to_owned() });
                }
                let node = self.node(child)?;
                map.push(Item::entry(key, node));
            }
        }
        Ok(())
    }

    fn list_child(&mut self, list: &mut Vec<Element>, child: DocumentNode<'_>) -> Result<(), SourceError> {
        match child.kind() {
            Kind::Comment(Placement::Trailing) if matches!(list.last(), Some(Element::Node(node)) if !node.is_branch()) =>
            {
                let value = list.pop();
                list.push(Element::Comment(self.comment(child, Placement::Trailing)));
                list.extend(value);
                self.swap_last_nodes();
            }
            Kind::Comment(placement) => list.push(Element::Comment(self.comment(child, placement))),
            _ => list.push(Element::Node(self.node(child)?)),
        }
        Ok(())
    }

    fn swap_last_nodes(&mut self) {
        let length = self.nodes.len();
        if let Some(before) = length.checked_sub(2) {
            self.nodes.swap(before, length - 1);
        }
    }

    fn comment(&mut self, node: DocumentNode<'_>, placement: Placement) -> Comment {
        self.nodes.push(node.id());
        let text = node.comment().unwrap_or_default();
        match (self.format, placement) {
            // go-ini's comments are without their marks and blanks.
            (Format::Ini, _) => Comment::own_line(text.trim_start_matches([';', '#', ' '])),
            (_, Placement::Line) => Comment::own_line(text),
            (_, Placement::Trailing) => Comment::inline(text),
        }
    }

    fn node(&mut self, node: DocumentNode<'_>) -> Result<Node, SourceError> {
        Ok(match node.kind() {
            Kind::Map => {
                let mut map = Map::new();
                for child in node.children() {
                    self.map_child(&mut map, child)?;
                    if self.format == Format::Ini
                        && node.is_below(&child)
                        && let Some(Item::Comment(comment)) = map.last_mut()
                    {
                        comment.placement = tree::Placement::AboveSection;
                    }
                }
                Node::Map(map)
            }
            Kind::List => {
                let mut list = Vec::new();
                for child in node.children() {
                    self.list_child(&mut list, child)?;
                }
                Node::List(list)
            }
            _ => {
                self.nodes.push(node.id());
                scalar(self.format, node)?
            }
        })
    }

    /// Keys before the first section belong to the section `DEFAULT`, as go-ini has it.
    fn ini_sections(&mut self, data: Map) -> Map {
        let (mut default, mut sections) = (Map::new(), Map::new());
        for item in data {
            match item {
                Item::Entry { node: Node::Map(_), .. } => sections.push(item),
                Item::Comment(_) if !sections.is_empty() => sections.push(item),
                item => default.push(item),
            }
        }
        let only_comments = default.iter().all(|item| item.key().is_none());
        if only_comments {
            default.extend(sections);
            return default;
        }
        let mut map = vec![Item::entry(INI_DEFAULT, Node::Map(default))];
        map.extend(sections);
        map
    }
}

/// go-ini's name of the section without a header.
pub(super) const INI_DEFAULT: &str = "DEFAULT";

fn scalar(format: Format, node: DocumentNode<'_>) -> Result<Node, SourceError> {
    let wrong = |what| Err(SourceError::Line { line: node.line(), what });
    Ok(Node::Leaf(match node.scalar() {
        None | Some(Scalar::Null) => return Ok(Node::Null),
        Some(Scalar::Bool(truth)) => Value::Boolean(truth),
        Some(Scalar::Float(number)) => match number.as_f64() {
            float if float.is_infinite() && !number.expose().contains("inf") => {
                return wrong("the number is too large");
            }
            float => Value::Float(float),
        },
        Some(Scalar::Int(number)) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None if format == Format::Json => Value::Float(number.as_f64()),
            None => return wrong("the number is too large for 64 bits: put it in quotes"),
        },
        Some(Scalar::String(text)) => Value::text(text.expose()),
        Some(Scalar::Timestamp(text)) => timestamp(format, text.expose()),
    }))
}

fn timestamp(format: Format, text: &str) -> Value {
    let is_local = format == Format::Toml && Timestamp::parse_rfc3339(text).is_none();
    match time::rfc3339(text) {
        Some(time) if !is_local => Value::Time(time),
        _ => Value::Time(text.to_owned()),
    }
}

/// The path below the section `DEFAULT` is the path at the top in the document.
pub(super) fn document_path(format: Format, steps: &[Step]) -> Path {
    match (format, steps) {
        (Format::Ini, [Step::Key(section), rest @ ..]) if section == INI_DEFAULT => Path(rest.to_vec()),
        _ => Path(steps.to_vec()),
    }
}
