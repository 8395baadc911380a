//! From a tree to a document: over the old one, or afresh.

use super::read::INI_DEFAULT;
use super::{Format, SourceError, Spot};
use crate::document::{self, Document, Indent, Kind, NodeId, Number, Place, Rewrite, Scalar, Step, Syntax};
use crate::sops::env;
use crate::sops::metadata::{KEY, flatten};
use crate::sops::tree::{Element, Item, Map, Node, Tree};
use crate::sops::value::{Value, json_float, yaml_float};
use strongroom_secret::{SecretBytes, SecretString};

/// The tree over the document that it was read from. `None` if that cannot be: another shape, or values that the layout
/// has no room for.
pub(super) fn over(
    format: Format,
    mut document: Document,
    nodes: &[NodeId],
    tree: &Tree,
    metadata: Option<&Map>,
) -> Option<Document> {
    let mut spots = Vec::with_capacity(nodes.len());
    for map in &tree.documents {
        spots_of_map(map, &mut spots);
    }
    if spots.len() != nodes.len() {
        return None;
    }
    let mut rewrites = Vec::new();
    for (id, spot) in nodes.iter().zip(&spots) {
        let node = document.node(*id);
        match (spot, node.kind()) {
            (Spot::Comment(comment), Kind::Comment(_)) => {
                let old = node.comment().unwrap_or_default();
                let new = if format == Format::Ini {
                    format!(" {}", &*comment.text)
                } else {
                    comment.text.to_string()
                };
                if old != new {
                    rewrites.push((*id, Rewrite::Comment(SecretString::new(new))));
                }
            }
            (Spot::Value(value), Kind::Scalar(_)) => {
                let scalar = scalar_for(format, value)?;
                if !same(format, node.scalar().as_ref(), value) {
                    rewrites.push((*id, Rewrite::Scalar(scalar)));
                }
            }
            (Spot::Null, Kind::Scalar(_)) => {}
            _ => return None,
        }
    }
    document.rewrite(&rewrites).ok()?;
    let parts = document.parts().len();
    for part in 0..parts {
        put_metadata(format, &mut document, part, metadata)?;
    }
    Some(document)
}

/// The values in clear over their document, beside the metadata that it has.
pub(super) fn clear_over(
    format: Format,
    document: Document,
    nodes: &[NodeId],
    clear: &Tree,
    metadata: &Map,
) -> Option<Document> {
    let flat = if format.flattens() {
        flatten(metadata, "").iter().map(newlines_escaped).collect()
    } else {
        Map::new()
    };
    over(format, document, nodes, clear, Some(if format.flattens() { &flat } else { metadata }))
}

fn same(format: Format, old: Option<&Scalar>, new: &Value) -> bool {
    match (old, new) {
        (Some(Scalar::String(old)), Value::Text(new)) => old.expose().as_bytes() == new.expose(),
        (Some(Scalar::Bool(old)), Value::Boolean(new)) => old == new,
        (Some(Scalar::Int(old)), Value::Integer(new)) => old.as_i64() == Some(*new),
        (Some(Scalar::Int(old) | Scalar::Float(old)), Value::Float(new)) => {
            old.as_f64().to_bits() == new.to_bits()
        }
        (Some(Scalar::Timestamp(old)), Value::Time(new)) => {
            old.expose() == new || super::time::rfc3339(old.expose()).as_deref() == Some(new)
        }
        (Some(Scalar::String(old)), other) if matches!(format, Format::Ini | Format::Json) => {
            !matches!(other, Value::Integer(_) | Value::Float(_) | Value::Boolean(_))
                && other.plain_text().as_deref() == Some(old.expose())
        }
        _ => false,
    }
}

/// Makes the metadata of one part what is given, touching no more of it than differs.
fn put_metadata(format: Format, document: &mut Document, part: usize, metadata: Option<&Map>) -> Option<()> {
    let path = [Step::Key(KEY.to_owned())];
    let old = document.find(part, &path).map(|node| node.id());
    match (old, metadata) {
        (None, None) => Some(()),
        (Some(id), None) => document.remove(id).ok(),
        (Some(id), Some(map)) => {
            let value = value_of_map(format, map).ok()?;
            let mut rewrites = Vec::new();
            if differences(document, id, &value, &mut rewrites) {
                document.rewrite(&rewrites).ok()
            } else {
                document.replace(id, &value).ok()
            }
        }
        (None, Some(map)) => {
            let root = document.root(part)?;
            let value = value_of_map(format, map).ok()?;
            let is_block = format != Format::Yaml || root.style() == document::Style::Block;
            let root = root.id();
            if is_block { document.insert(root, KEY, &value, Place::Last).ok() } else { None }
        }
    }
}

/// The scalars below `id` that differ from `value`. False if the shapes do.
fn differences(
    document: &Document,
    id: NodeId,
    value: &document::Value,
    rewrites: &mut Vec<(NodeId, Rewrite)>,
) -> bool {
    let node = document.node(id);
    let children: Vec<_> =
        node.children().filter(|child| !matches!(child.kind(), Kind::Comment(_))).collect();
    match (node.kind(), value) {
        (Kind::Scalar(_), document::Value::Scalar(scalar)) => {
            if node.scalar().as_ref() != Some(scalar) {
                rewrites.push((id, Rewrite::Scalar(scalar.duplicate())));
            }
            true
        }
        (Kind::Map, document::Value::Map(entries)) => {
            children.len() == entries.len()
                && children.iter().zip(entries).all(|(child, (key, value))| {
                    child.key() == Some(key) && differences(document, child.id(), value, rewrites)
                })
        }
        (Kind::List, document::Value::List(items)) => {
            children.len() == items.len()
                && children
                    .iter()
                    .zip(items)
                    .all(|(child, value)| differences(document, child.id(), value, rewrites))
        }
        _ => false,
    }
}

fn spots_of_map<'a>(map: &'a Map, spots: &mut Vec<Spot<'a>>) {
    for item in map {
        match item {
            Item::Comment(comment) => spots.push(Spot::Comment(comment)),
            Item::Entry { node, .. } => spots_of(node, spots),
        }
    }
}

fn spots_of<'a>(node: &'a Node, spots: &mut Vec<Spot<'a>>) {
    match node {
        Node::Null => spots.push(Spot::Null),
        Node::Leaf(value) => spots.push(Spot::Value(value)),
        Node::Map(map) => spots_of_map(map, spots),
        Node::List(elements) => {
            for element in elements {
                match element {
                    Element::Comment(comment) => spots.push(Spot::Comment(comment)),
                    Element::Node(node) => spots_of(node, spots),
                }
            }
        }
    }
}

/// `None` for text that is not UTF-8.
fn scalar_for(format: Format, value: &Value) -> Option<Scalar> {
    if format == Format::Ini {
        return Some(Scalar::string(value.plain_text()?));
    }
    Some(match value {
        Value::Text(_) => Scalar::string(value.as_text()?),
        Value::Integer(number) => Scalar::int(*number),
        Value::Float(number) if !number.is_finite() => Scalar::float(*number),
        Value::Float(number) => {
            let text = if format == Format::Yaml { yaml_float(*number) } else { json_float(*number) };
            let is_float = text.contains(['.', 'e']);
            let text = Number::from_text(text);
            if is_float { Scalar::Float(text) } else { Scalar::Int(text) }
        }
        Value::Boolean(truth) => Scalar::Bool(*truth),
        Value::Time(text) if matches!(format, Format::Yaml | Format::Toml) => {
            Scalar::Timestamp(SecretString::from(text.as_str()))
        }
        Value::Time(text) => Scalar::string(text.as_str()),
    })
}

pub(super) fn value_of(format: Format, key: &str, node: &Node) -> Result<document::Value, SourceError> {
    Ok(match node {
        Node::Null => document::Value::Scalar(Scalar::Null),
        Node::Leaf(value) => {
            let scalar = scalar_for(format, value).ok_or_else(|| SourceError::NotText(key.to_owned()))?;
            document::Value::Scalar(scalar)
        }
        Node::Map(map) => value_of_map(format, map)?,
        Node::List(elements) => {
            let items = elements.iter().filter_map(Element::node).map(|node| value_of(format, key, node));
            document::Value::List(items.collect::<Result<_, _>>()?)
        }
    })
}

fn value_of_map(format: Format, map: &Map) -> Result<document::Value, SourceError> {
    let entries = map.iter().filter_map(|item| match item {
        Item::Entry { key, node } => Some(value_of(format, key, node).map(|value| (key.clone(), value))),
        Item::Comment(_) => None,
    });
    Ok(document::Value::Map(entries.collect::<Result<_, _>>()?))
}

/// `.env`: the old lines with the new values, then the metadata.
pub(super) fn lines(
    old: &SecretString,
    tree: &Tree,
    metadata: Option<&Map>,
) -> Result<SecretString, SourceError> {
    let data = tree.documents.first().ok_or(SourceError::Empty)?;
    let mut text = env::write_over(old.expose(), data)?;
    if let Some(map) = metadata {
        text.push_str(&env::write(map)?);
    }
    Ok(SecretString::new(std::mem::take(&mut text)))
}

/// A whole file in the layout of sops. Comments do not go from one format to another.
pub(super) fn fresh(
    format: Format,
    tree: &Tree,
    metadata: Option<&Map>,
    indent: Indent,
) -> Result<SecretString, SourceError> {
    let Some(syntax) = format.syntax() else {
        let data = tree.documents.first().ok_or(SourceError::Empty)?;
        let mut text = env::write(data)?;
        if let Some(map) = metadata {
            text.push_str(&env::write(map)?);
        }
        return Ok(SecretString::new(std::mem::take(&mut *text)));
    };
    let mut parts = Vec::new();
    for data in &tree.documents {
        let document::Value::Map(mut entries) = value_of_map(format, data)? else { continue };
        if format == Format::Ini {
            entries = ini_entries(entries)?;
        }
        if let Some(map) = metadata {
            entries.push((KEY.to_owned(), value_of_map(format, map)?));
        }
        parts.push(document::Value::Map(entries));
    }
    if syntax != Syntax::Yaml {
        // Only YAML holds several documents.
        parts.truncate(1);
    }
    let document = Document::fresh(syntax, &parts, indent)?;
    Ok(SecretString::from(document.expose()))
}

/// INI has sections of texts and nothing else.
fn ini_entries(
    entries: Vec<(String, document::Value)>,
) -> Result<Vec<(String, document::Value)>, SourceError> {
    let mut top = Vec::new();
    let mut sections = Vec::new();
    for (key, value) in entries {
        match value {
            document::Value::Map(inner) => {
                let nested = inner.iter().find(|(_, value)| !matches!(value, document::Value::Scalar(_)));
                if let Some((inner, _)) = nested {
                    return Err(SourceError::Nested(inner.clone()));
                }
                if key == INI_DEFAULT {
                    top.extend(inner)
                } else {
                    sections.push((key, document::Value::Map(inner)))
                }
            }
            _ => {
                return Err(SourceError::Write(format!(
                    "{key:?} is no section: INI holds sections of values"
                )));
            }
        }
    }
    top.extend(sections);
    Ok(top)
}

/// One value by itself: text as it is, all else as the format writes it.
pub(super) fn node(format: Format, node: &Node, indent: Indent) -> Result<SecretBytes, SourceError> {
    let bytes = |text: &str| Ok(SecretBytes::new(text.as_bytes().to_vec()));
    match node {
        Node::Leaf(Value::Text(text)) => return Ok(text.duplicate()),
        Node::Map(map) => {
            let copy = Node::Map(map.iter().map(copy_item).collect());
            let Node::Map(map) = copy else { return bytes("") };
            let tree = Tree { documents: vec![map] };
            return super::emit_plain(format, &tree, indent);
        }
        _ => {}
    }
    let syntax = if format == Format::Yaml { Syntax::Yaml } else { Syntax::Json };
    match format {
        Format::Binary => Err(SourceError::Write("a binary file has no single values".to_owned())),
        Format::Env => match node {
            Node::Leaf(value) => bytes(&value.plain_text().unwrap_or_default()),
            _ => Err(SourceError::Nested("the value".to_owned())),
        },
        _ => {
            let target = if format == Format::Yaml { Format::Yaml } else { Format::Json };
            let document = Document::fresh(syntax, &[value_of(target, "the value", node)?], indent)?;
            let text = document.expose();
            // sops ends a value of YAML with a line feed, and no other.
            bytes(if format == Format::Yaml { text } else { text.trim_end_matches('\n') })
        }
    }
}

fn copy_item(item: &Item) -> Item {
    match item {
        Item::Entry { key, node } => Item::entry(key.clone(), node.duplicate()),
        Item::Comment(comment) => Item::Comment(comment.duplicate()),
    }
}

/// See `newlines_restored` of `read`.
pub(super) fn newlines_escaped(item: &Item) -> Item {
    match item {
        Item::Entry { key, node } => {
            let escaped =
                node.as_text().filter(|text| text.contains('\n')).map(|text| text.replace('\n', "\\n"));
            Item::entry(key.clone(), escaped.map_or_else(|| node.duplicate(), Node::text))
        }
        Item::Comment(comment) => Item::Comment(comment.duplicate()),
    }
}
