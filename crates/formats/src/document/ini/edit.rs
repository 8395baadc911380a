//! Changes to INI in place.

use super::write;
use crate::document::change::{ChangeError, Entry, Splice};
use crate::document::tree::{Kind, NodeId, Tree};
use crate::document::value::{Scalar, Value};
use crate::document::{Document, Node, lines};

pub(in crate::document) fn write_scalar(
    document: &Document,
    node: Node<'_>,
    scalar: &Scalar,
) -> Result<Splice, ChangeError> {
    let data = node.data();
    let text = write::value(scalar.expose(), data.style)
        .ok_or_else(|| node.impossible("INI has no way to write this value"))?;
    let before = document.expose().get(..data.span.start()).unwrap_or_default();
    let lead = if before.ends_with(['=', ':']) && data.span.start == data.span.end { " " } else { "" };
    Ok(Splice::new(data.span.start(), data.span.end(), format!("{lead}{text}")))
}

/// The end of the last line that a section or key takes, comments that belong to it included.
fn extent(document: &Document, id: NodeId) -> usize {
    let (text, tree) = (document.expose(), &document.tree);
    let node = tree.node(id);
    if node.kind != Kind::Map {
        return lines::end(text, node.span.end());
    }
    let last = node.children.iter().map(|child| tree.node(*child).span.end()).max().unwrap_or(0);
    lines::end(text, last.max(node.key.as_ref().map_or(0, |key| key.span.end())))
}

/// Where a section begins, comments above its header included.
fn beginning(tree: &Tree, id: NodeId) -> usize {
    let node = tree.node(id);
    let first = node.children.first().map_or(node.lead, |child| tree.node(*child).lead);
    node.lead.min(first) as usize
}

pub(in crate::document) fn insert(
    document: &Document,
    entry: &Entry<'_>,
) -> Result<Vec<Splice>, ChangeError> {
    let node = document.node(entry.container);
    let name = entry.key.ok_or_else(|| node.impossible("INI has no lists"))?;
    let is_root = node.parent().is_some_and(|parent| parent.kind() == Kind::Part);
    if is_root {
        insert_section(document, node, name, entry)
    } else {
        insert_key(document, node, name, entry)
    }
}

fn insert_section(
    document: &Document,
    root: Node<'_>,
    name: &str,
    entry: &Entry<'_>,
) -> Result<Vec<Splice>, ChangeError> {
    let (text, newline) = (document.expose(), lines::newline(document.expose()));
    let section = write::section(name, entry.value, newline).map_err(|what| root.impossible(what))?;
    if let Some(after) = entry.after {
        let at = extent(document, after);
        let end = if at == text.len() { newline } else { "" };
        return Ok(vec![Splice::new(at, at, format!("{newline}{newline}{section}{end}"))]);
    }
    let first = document.tree.values(entry.container).next();
    let (at, written) = match first {
        Some(first) => {
            let at = lines::start(text, beginning(&document.tree, first));
            (at, format!("{section}{newline}{newline}"))
        }
        None => {
            let is_blank = text.trim_start_matches('\u{feff}').is_empty();
            let lead = if is_blank || text.ends_with('\n') { "" } else { newline };
            (text.len(), format!("{lead}{section}{newline}"))
        }
    };
    Ok(vec![Splice::new(at, at, written)])
}

fn insert_key(
    document: &Document,
    section: Node<'_>,
    name: &str,
    entry: &Entry<'_>,
) -> Result<Vec<Splice>, ChangeError> {
    let (text, tree, newline) = (document.expose(), &document.tree, lines::newline(document.expose()));
    let scalar = entry.value.as_scalar().ok_or_else(|| section.impossible("INI has nothing below a key"))?;
    let key = write::key(name).ok_or_else(|| section.impossible("INI has no way to write the key"))?;
    let value = write::value(scalar.expose(), crate::document::Style::Plain)
        .ok_or_else(|| section.impossible("INI has no way to write this value"))?;
    let model = entry.after.or_else(|| tree.values(entry.container).next());
    let (indent, delimiter) = match model {
        Some(model) => (indent(text, tree, model), aligned(text, tree, model, key.len())),
        None => ("", " = ".to_owned()),
    };
    let line = format!("{indent}{key}{delimiter}{value}");
    let at = match (entry.after, tree.values(entry.container).next()) {
        (Some(after), _) => extent(document, after),
        (None, Some(first)) => {
            let at = lines::start(text, tree.node(first).lead as usize);
            return Ok(vec![Splice::new(at, at, format!("{line}{newline}"))]);
        }
        (None, None) => lines::end(text, section.data().key.as_ref().map_or(0, |key| key.span.end())),
    };
    Ok(vec![Splice::new(at, at, format!("{newline}{line}"))])
}

fn indent<'t>(text: &'t str, tree: &Tree, model: NodeId) -> &'t str {
    let lead = tree.node(model).lead as usize;
    text.get(lines::start(text, lead)..lead).unwrap_or_default()
}

/// What stands between a key and its value beside `model`, the delimiter in the same column where it can be.
fn aligned(text: &str, tree: &Tree, model: NodeId, key_length: usize) -> String {
    let node = tree.node(model);
    let Some(key) = &node.key else { return " = ".to_owned() };
    let between = text.get(key.span.end()..node.span.start()).unwrap_or_default();
    let Some(at) = between.find(super::DELIMITERS) else { return " = ".to_owned() };
    let (before, from_delimiter) = between.split_at(at);
    let delimiter = from_delimiter.get(..1).unwrap_or("=");
    let column = key.span.end() - key.span.start() + before.len();
    let spaces = column.saturating_sub(key_length).max(usize::from(!before.is_empty()));
    let after = from_delimiter.get(1..).filter(|after| !after.is_empty()).unwrap_or(if before.is_empty() {
        ""
    } else {
        " "
    });
    format!("{}{delimiter}{after}", " ".repeat(spaces))
}

pub(in crate::document) fn remove(document: &Document, node: Node<'_>) -> Vec<Splice> {
    let (text, tree) = (document.expose(), &document.tree);
    if node.kind() != Kind::Map {
        let end = lines::after(text, node.data().span.end());
        return vec![Splice::new(lines::start(text, node.data().lead as usize), end, "")];
    }
    let siblings: Vec<NodeId> =
        node.parent().map(|root| tree.values(root.id()).collect()).unwrap_or_default();
    let at = siblings.iter().position(|id| *id == node.id()).unwrap_or_default();
    let lead = node.data().lead as usize;
    let (start, end) = match (siblings.get(at + 1), lines::end_above(text, lead)) {
        (Some(next), _) => (lines::start(text, lead), lines::start(text, beginning(tree, *next))),
        (None, None) => (lines::start(text, lead), lines::after(text, extent(document, node.id()))),
        (None, Some(above)) => (above, extent(document, node.id())),
    };
    vec![Splice::new(start, end, "")]
}

pub(in crate::document) fn replace(
    document: &Document,
    node: Node<'_>,
    value: &Value,
) -> Result<Vec<Splice>, ChangeError> {
    let text = document.expose();
    let Value::Map(entries) = value else { return Err(node.impossible("INI holds sections of strings")) };
    let is_root = node.parent().is_some_and(|parent| parent.kind() == Kind::Part);
    if is_root {
        let written = write::fresh(value)
            .map_err(|what| node.impossible(what))?
            .replace('\n', lines::newline(document.expose()));
        return Ok(vec![Splice::new(node.data().span.start(), text.len(), written)]);
    }
    if node.kind() != Kind::Map {
        return Err(node.impossible("INI has nothing below a key"));
    }
    let mut written = String::new();
    write::entries(&mut written, entries, lines::newline(document.expose()))
        .map_err(|what| node.impossible(what))?;
    let header_end = lines::end(text, node.data().key.as_ref().map_or(0, |key| key.span.end()));
    Ok(vec![Splice::new(header_end, extent(document, node.id()).max(header_end), written)])
}
