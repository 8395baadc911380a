//! Changes to TOML in place.

use super::write::{self, Lines};
use crate::document::change::{ChangeError, Entry, Place, Splice};
use crate::document::tree::{Kind, NodeId, Style, Tree};
use crate::document::value::{Scalar, Step, Value};
use crate::document::{Document, Node, lines};

pub(in crate::document) fn write_scalar(
    document: &Document,
    node: Node<'_>,
    scalar: &Scalar,
) -> Result<Splice, ChangeError> {
    let span = node.data().span;
    let lines = if is_flow(&document.tree, node.id()) { Lines::One } else { string_lines(document) };
    let text = write::scalar(scalar, node.style(), lines).map_err(|what| node.impossible(what))?;
    Ok(Splice::new(span.start(), span.end(), text))
}

/// In a document with Windows' line breaks, strings of several lines would gain those.
fn string_lines(document: &Document) -> Lines {
    if lines::newline(document.expose()) == "\n" { Lines::Many } else { Lines::One }
}

/// Whether a value stands in brackets.
fn is_flow(tree: &Tree, id: NodeId) -> bool {
    let mut above = std::iter::successors(tree.node(id).parent, |id| tree.node(*id).parent);
    above.any(|id| tree.node(id).style == Style::Flow)
}

/// Whether a value has headers of its own, or (dotted) is spread over several lines.
fn is_table(tree: &Tree, id: NodeId) -> bool {
    let node = tree.node(id);
    matches!(node.kind, Kind::Map | Kind::List) && node.style != Style::Flow
}

/// The value that a new one can really follow: keys come before tables.
pub(in crate::document) fn place(
    document: &Document,
    container: NodeId,
    value: &Value,
    place: Place,
) -> Option<NodeId> {
    let tree = &document.tree;
    let asked = match place {
        Place::First => None,
        Place::Last => tree.values(container).next_back(),
        Place::After(id) => Some(id),
    };
    if !is_table(tree, container) || tree.node(container).kind == Kind::List {
        return asked;
    }
    let last_line = tree.values(container).rfind(|id| !is_table(tree, *id));
    match (write::has_header(value), asked) {
        (true, Some(id)) if is_table(tree, id) => Some(id),
        (true, _) if tree.node(container).style == Style::Dotted => tree.values(container).next_back(),
        (true, _) => last_line,
        (false, Some(id)) if is_table(tree, id) => match tree.node(container).style {
            // It has no lines of its own: it gets a header at its end.
            Style::Dotted if last_line.is_none() => tree.values(container).next_back(),
            _ => last_line,
        },
        (false, asked) => asked,
    }
}

/// The end of the last line of a value with all that is below it.
fn extent(document: &Document, id: NodeId) -> usize {
    let tree = &document.tree;
    let node = tree.node(id);
    let below = node.children.iter().map(|child| extent(document, *child)).max().unwrap_or(0);
    let is_root = node.parent.is_some_and(|parent| tree.node(parent).kind == Kind::Part);
    let own = if is_root { node.span.start() } else { lines::end(document.expose(), node.span.end()) };
    own.max(below)
}

/// The keys of a path, as a header names them: lists are not part of it.
fn header_path(node: Node<'_>) -> Vec<String> {
    let steps = node.path().0.into_iter();
    steps.filter_map(|step| if let Step::Key(key) = step { Some(key) } else { None }).collect()
}

pub(in crate::document) fn insert(
    document: &Document,
    entry: &Entry<'_>,
) -> Result<Vec<Splice>, ChangeError> {
    let node = document.node(entry.container);
    let impossible = |what| node.impossible(what);
    if node.style() == Style::Flow {
        return flow_insert(document, node, entry);
    }
    let newline = lines::newline(document.expose());
    let mut path = header_path(node);
    path.extend(entry.key.map(str::to_owned));
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    if node.kind() == Kind::List || write::has_header(entry.value) {
        let mut out = String::new();
        match (node.kind(), entry.value) {
            (Kind::List, Value::Map(entries)) => {
                out = format!("{newline}{newline}[[{}]]", write::dotted(path.iter().copied()));
                write::table_body(&mut out, &path, entries, newline).map_err(impossible)?;
            }
            (Kind::List, _) => return Err(impossible("an array of tables holds tables")),
            _ => write::tables(&mut out, &path, entry.value, newline).map_err(impossible)?,
        }
        return Ok(vec![section_at(
            document,
            extent(document, entry.after.unwrap_or(entry.container)),
            &out,
        )]);
    }
    let value = write::inline(entry.value, string_lines(document)).map_err(impossible)?;
    Ok(vec![line_insert(document, node, entry, &path, &value)])
}

/// New tables behind what ends at `at`; at the beginning of a document without its empty lines.
fn section_at(document: &Document, at: usize, written: &str) -> Splice {
    let text = document.expose();
    let newline = lines::newline(document.expose());
    let before = text.get(..at).unwrap_or_default().trim_start_matches('\u{feff}');
    let body = if before.trim().is_empty() { written.trim_start_matches(['\r', '\n']) } else { written };
    let end = if at == text.len() || before.trim().is_empty() { newline } else { "" };
    Splice::new(at, at, format!("{body}{end}"))
}

/// A new key on a line of its own.
fn line_insert(document: &Document, node: Node<'_>, entry: &Entry<'_>, path: &[&str], value: &str) -> Splice {
    let (text, tree, newline) = (document.expose(), &document.tree, lines::newline(document.expose()));
    let is_line = |id: &NodeId| !is_table(tree, *id);
    let model = entry.after.filter(is_line).or_else(|| tree.values(entry.container).find(is_line));
    let indent = model.map_or("", |model| {
        let lead = tree.node(model).lead as usize;
        text.get(lines::start(text, lead)..lead).unwrap_or_default()
    });
    // Within a dotted table the key is written from the table with a header on.
    let dotted = std::iter::successors(Some(node), |node| node.parent());
    let depth = dotted.take_while(|node| node.style() == Style::Dotted).count();
    let keys = path.get(path.len().saturating_sub(depth + 1)..).unwrap_or_default();
    let line = format!("{indent}{} = {value}", write::dotted(keys.iter().copied()));
    match (entry.after, model) {
        (Some(after), Some(_)) if is_line(&after) => {
            let at = lines::end(text, tree.node(after).span.end());
            Splice::new(at, at, format!("{newline}{line}"))
        }
        (None, Some(model)) => {
            let at = lines::start(text, tree.node(model).lead as usize);
            Splice::new(at, at, format!("{line}{newline}"))
        }
        _ if node.style() == Style::Dotted => {
            let (table, last) = path.split_at(path.len().saturating_sub(1));
            let header = write::dotted(table.iter().copied());
            let line = format!("{} = {value}", write::dotted(last.iter().copied()));
            let at = extent(document, entry.container);
            section_at(document, at, &format!("{newline}{newline}[{header}]{newline}{line}"))
        }
        _ if node.parent().is_some_and(|parent| parent.kind() == Kind::Part) => {
            root_line(document, node, &line)
        }
        _ => {
            let at = lines::end(text, node.data().span.end());
            Splice::new(at, at, format!("{newline}{line}"))
        }
    }
}

/// The first key of a document: above the first table, below the comments at the top that an empty line sets apart.
fn root_line(document: &Document, root: Node<'_>, line: &str) -> Splice {
    let (text, newline) = (document.expose(), lines::newline(document.expose()));
    let body = root.data().span.start();
    let first_table = document.tree.values(root.id()).next();
    match first_table {
        Some(_) => Splice::new(body, body, format!("{line}{newline}{newline}")),
        None => {
            let lead = if text.len() == body || text.ends_with('\n') { "" } else { newline };
            Splice::new(text.len(), text.len(), format!("{lead}{line}{newline}"))
        }
    }
}

fn flow_insert(document: &Document, node: Node<'_>, entry: &Entry<'_>) -> Result<Vec<Splice>, ChangeError> {
    let (text, tree) = (document.expose(), &document.tree);
    let value = write::inline(entry.value, Lines::One).map_err(|what| node.impossible(what))?;
    let written = entry.key.map_or(value.clone(), |key| format!("{} = {value}", write::key(key)));
    let span = node.data().span;
    let Some(first) = tree.values(entry.container).next() else {
        if node.children().next().is_some() {
            return Err(node.impossible("there are comments in these empty brackets"));
        }
        let space = if node.kind() == Kind::Map { " " } else { "" };
        return Ok(vec![Splice::new(span.start() + 1, span.end() - 1, format!("{space}{written}{space}"))]);
    };
    let first = tree.node(first).lead as usize;
    let opening = text.get(span.start()..first).unwrap_or_default();
    let gap = match opening.rfind('\n') {
        Some(at) => {
            format!("{}{}", lines::newline(document.expose()), opening.get(at + 1..).unwrap_or_default())
        }
        None => " ".to_owned(),
    };
    Ok(vec![match entry.after {
        Some(after) => {
            let end = tree.node(after).span.end();
            Splice::new(end, end, format!(",{gap}{written}"))
        }
        None => Splice::new(first, first, format!("{written},{gap}")),
    }])
}

pub(in crate::document) fn remove(document: &Document, node: Node<'_>) -> Result<Vec<Splice>, ChangeError> {
    if is_flow(&document.tree, node.id()) {
        return flow_remove(document, node);
    }
    let mut regions = Vec::new();
    collect(document, node.id(), &mut regions);
    regions.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (start, end) in regions {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    Ok(merged.into_iter().map(|(start, end)| Splice::new(start, end, "")).collect())
}

/// The lines of a key, or the sections of a table and of those below it.
fn collect(document: &Document, id: NodeId, regions: &mut Vec<(usize, usize)>) {
    let (text, tree) = (document.expose(), &document.tree);
    let node = tree.node(id);
    if !is_table(tree, id) {
        regions.push((lines::start(text, node.lead as usize), lines::after(text, node.span.end())));
        return;
    }
    let is_section = node.kind == Kind::Map && node.style == Style::Block;
    if is_section {
        let lead = node.lead as usize;
        let own = tree.values(id).filter(|child| !is_table(tree, *child));
        let end = own.map(|child| tree.node(child).span.end()).chain([node.span.end()]).max().unwrap_or(lead);
        let region = match lines::end_above(text, lead) {
            None => {
                let rest = text.get(lines::after(text, end)..).unwrap_or_default();
                (lines::start(text, lead), text.len() - rest.trim_start_matches(['\r', '\n']).len())
            }
            Some(above) => (above, lines::end(text, end)),
        };
        regions.push(region);
    }
    for child in tree.values(id).filter(|child| !is_section || is_table(tree, *child)) {
        collect(document, child, regions);
    }
}

fn flow_remove(document: &Document, node: Node<'_>) -> Result<Vec<Splice>, ChangeError> {
    let tree = &document.tree;
    let Some(parent) = node.parent() else { return Ok(Vec::new()) };
    if parent.style() != Style::Flow {
        return Err(node.impossible("it stands in a dotted key within braces"));
    }
    let siblings: Vec<NodeId> = tree.values(parent.id()).collect();
    let at = siblings.iter().position(|id| *id == node.id()).unwrap_or_default();
    let (start, end) = (node.data().lead as usize, node.data().span.end());
    let (start, end) = match (at.checked_sub(1).and_then(|at| siblings.get(at)), siblings.get(at + 1)) {
        (_, Some(after)) => (start, tree.node(*after).lead as usize),
        (Some(before), None) => (tree.node(*before).span.end(), end),
        (None, None) => (parent.data().span.start() + 1, parent.data().span.end() - 1),
    };
    let is_cut = |child: Node<'_>| {
        let at = child.data().lead as usize;
        matches!(child.kind(), Kind::Comment(_)) && start <= at && at < end
    };
    if parent.children().any(is_cut) {
        return Err(node.impossible("a comment stands between it and what is next to it"));
    }
    Ok(vec![Splice::new(start, end, "")])
}

pub(in crate::document) fn replace(
    document: &Document,
    node: Node<'_>,
    value: &Value,
) -> Result<Vec<Splice>, ChangeError> {
    let (text, tree) = (document.expose(), &document.tree);
    let impossible = |what| node.impossible(what);
    if node.parent().is_some_and(|parent| parent.kind() == Kind::Part) {
        let written =
            write::fresh(value).map_err(impossible)?.replace('\n', lines::newline(document.expose()));
        return Ok(vec![Splice::new(node.data().span.start(), text.len(), written)]);
    }
    if !is_table(tree, node.id()) {
        let lines = if is_flow(tree, node.id()) { Lines::One } else { string_lines(document) };
        let written = write::inline(value, lines).map_err(impossible)?;
        return Ok(vec![Splice::new(node.data().span.start(), node.data().span.end(), written)]);
    }
    if !write::has_header(value) || node.key().is_none() {
        return Err(impossible("a table is replaced by a table alone"));
    }
    let path = header_path(node);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let mut written = String::new();
    write::tables(&mut written, &path, value, lines::newline(document.expose())).map_err(impossible)?;
    let mut splices = remove(document, node)?;
    if let Some(first) = splices.first_mut() {
        let is_at_top = first.span.start() <= tree.node(tree.root_of(node.id())).span.start();
        let written = match is_at_top {
            true => format!(
                "{}{1}{1}",
                written.trim_start_matches(['\r', '\n']),
                lines::newline(document.expose())
            ),
            false => written,
        };
        *first = Splice::new(first.span.start(), first.span.end(), written);
    }
    Ok(splices)
}
