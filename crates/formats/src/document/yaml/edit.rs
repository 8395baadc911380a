//! Changes to YAML in place.

use super::write::{self, Block, Context, Layout, Under, Writer};
use super::{header_end, resolve};
use crate::document::change::{ChangeError, Entry, Splice};
use crate::document::tree::{Kind, NodeId, Placement, Style, Tree};
use crate::document::value::{Scalar, Value};
use crate::document::{Document, Node, lines};

/// Writes a scalar in place of another; `layout` is [`layout`]'s.
pub(in crate::document) fn write_scalar(
    document: &Document,
    layout: Layout<'_>,
    node: Node<'_>,
    scalar: &Scalar,
) -> Vec<Splice> {
    let text = document.expose();
    let data = node.data();
    let span = data.span;
    let context = if is_in_flow(&document.tree, node.id()) { Context::Flow } else { Context::Block };
    let was_block = matches!(data.style, Style::Literal | Style::Folded);
    let block = match scalar {
        Scalar::String(value)
            if context == Context::Block
                && !matches!(data.style, Style::DoubleQuoted | Style::SingleQuoted) =>
        {
            let under = under(document, node);
            let kept = if was_block { text_indent(node.raw()) } else { None };
            let indent = kept.unwrap_or_else(|| Writer { out: String::new(), layout }.text_column(under));
            let parent = match under {
                Under::Key(column) | Under::Dash(column) => Some(column),
                Under::Root => None,
            };
            let block = write::block(value.expose(), parent, indent, layout.newline);
            // Blank lines that follow would become part of a block that keeps its own.
            block.filter(|block| !(block.header.ends_with('+') && blank_line_follows(text, span.end())))
        }
        _ => None,
    };
    let mut splices = dropped_tag(document, node, scalar);
    let lead = missing_lead(document, node);
    let own_end = if was_block { header_end(text, span.start()) } else { span.end() };
    let line_end = lines::end(text, own_end);
    match block {
        Some(Block { header, lines }) => {
            splices.push(Splice::new(span.start(), own_end, format!("{lead}{header}")));
            let end = if was_block { span.end().max(line_end) } else { line_end };
            let is_last = end == text.len() && !header.ends_with('-');
            splices.push(Splice::new(line_end, end, if is_last { lines + layout.newline } else { lines }));
        }
        None => {
            let written = write::inline(scalar, if was_block { Style::Plain } else { data.style }, context);
            splices.push(Splice::new(span.start(), own_end, format!("{lead}{written}")));
            if was_block {
                splices.push(Splice::new(line_end, span.end().max(line_end), ""));
            }
        }
    }
    splices
}

fn blank_line_follows(text: &str, at: usize) -> bool {
    let mut lines = text.get(lines::end(text, at)..).unwrap_or_default().split('\n').skip(1);
    let next = lines.next();
    next.is_some_and(|line| line.trim().is_empty() && (!line.is_empty() || lines.next().is_some()))
}

/// The indentation of a block scalar's lines.
fn text_indent(raw: &str) -> Option<usize> {
    let line = raw.split('\n').skip(1).find(|line| !line.trim().is_empty())?;
    let header = raw.split('\n').next().unwrap_or_default();
    // With a hint the first line may be deeper than the indentation.
    let is_hinted = header.chars().take(3).any(|character| character.is_ascii_digit());
    if is_hinted { None } else { Some(line.len() - line.trim_start_matches(' ').len()) }
}

/// What is missing between a key or dash and a value that was not written at all.
fn missing_lead(document: &Document, node: Node<'_>) -> String {
    let data = node.data();
    if data.span.end > data.span.start {
        return String::new();
    }
    let text = document.expose();
    let before = text.get(..data.span.start()).unwrap_or_default();
    let key_end = data.key.as_ref().map(|key| key.span.end());
    match key_end.and_then(|end| text.get(end..data.span.start())) {
        Some(between) if !between.contains(':') => match is_in_flow(&document.tree, node.id()) {
            true => ": ".to_owned(),
            // `? key`
            false => format!("\n{}: ", " ".repeat(lines::column(text, data.lead as usize))),
        },
        _ if before.ends_with([' ', '\n']) || before.is_empty() => String::new(),
        _ => " ".to_owned(),
    }
}

/// Takes a tag out that would make another kind of the new scalar.
fn dropped_tag(document: &Document, node: Node<'_>, scalar: &Scalar) -> Vec<Splice> {
    let data = node.data();
    let Some(tag) = node.tag() else { return Vec::new() };
    if resolve::tag_allows(tag, scalar.kind()) {
        return Vec::new();
    }
    let properties = document.expose().get(data.outer as usize..data.span.start()).unwrap_or_default();
    let Some(start) = properties.find('!') else { return Vec::new() };
    let rest = properties.get(start..).unwrap_or_default();
    let end = rest.find([' ', '\t', '\n', '\r']).map_or(rest.len(), |end| {
        end + rest.get(end..).map_or(0, |rest| rest.len() - rest.trim_start_matches([' ', '\t']).len())
    });
    let start = data.outer as usize + start;
    vec![Splice::new(start, start + end, "")]
}

/// How the document is indented, from its first examples.
pub(in crate::document) fn layout(document: &Document) -> Layout<'_> {
    let (text, tree) = (document.expose(), &document.tree);
    let block_column = |id: NodeId| {
        let node = tree.node(id);
        let first = tree.values(id).next().filter(|_| node.style == Style::Block)?;
        Some(lines::column(text, tree.node(first).lead as usize))
    };
    let offset = |node: Node<'_>, kind: Kind| {
        let parent = node.parent().filter(|parent| node.kind() == kind && parent.kind() == Kind::Map)?;
        block_column(node.id())?.checked_sub(block_column(parent.id())?)
    };
    let list_offset = document.walk().find_map(|node| offset(node, Kind::List));
    let unit =
        document.walk().find_map(|node| offset(node, Kind::Map)).or(list_offset).filter(|unit| *unit > 0);
    let newline = lines::newline(text);
    Layout { unit: unit.unwrap_or(4), list_offset, newline }
}

fn is_in_flow(tree: &Tree, id: NodeId) -> bool {
    let is_collection = |kind| matches!(kind, Kind::Map | Kind::List);
    std::iter::successors(tree.node(id).parent, |id| tree.node(*id).parent)
        .any(|id| is_collection(tree.node(id).kind) && tree.node(id).style == Style::Flow)
}

fn under(document: &Document, node: Node<'_>) -> Under {
    let Some(parent) = node.parent() else { return Under::Root };
    let column = column_of(document, parent.id());
    match parent.kind() {
        Kind::Map => Under::Key(column),
        Kind::List => Under::Dash(column),
        _ => Under::Root,
    }
}

/// The column of a block's entries.
fn column_of(document: &Document, container: NodeId) -> usize {
    let first = document.tree.values(container).next();
    first.map_or(0, |first| lines::column(document.expose(), document.tree.node(first).lead as usize))
}

/// The end of a value with all that belongs to it, comments among it.
fn extent(tree: &Tree, id: NodeId) -> usize {
    let node = tree.node(id);
    let below = node.children.last().map_or(0, |child| extent(tree, *child));
    node.span.end().max(below)
}

pub(in crate::document) fn insert(
    document: &Document,
    entry: &Entry<'_>,
) -> Result<Vec<Splice>, ChangeError> {
    let (text, tree) = (document.expose(), &document.tree);
    let node = document.node(entry.container);
    let first = tree.values(entry.container).next();
    let (Some(first), false) = (first, node.kind() == Kind::Part) else {
        return if node.kind() == Kind::Part {
            Ok(fill(document, entry))
        } else {
            into_empty(document, node, entry)
        };
    };
    if node.style() == Style::Flow {
        return flow_insert(document, entry, first);
    }
    let mut writer = Writer { out: String::new(), layout: layout(document) };
    let column = column_of(document, entry.container);
    let put = |writer: &mut Writer<'_>| match entry.key {
        Some(key) => writer.entry(key, entry.value, column),
        None => writer.items(std::slice::from_ref(entry.value), column, false),
    };
    let indent = format!("{}{}", writer.layout.newline, " ".repeat(column));
    let Some(after) = entry.after else {
        put(&mut writer);
        let start = tree.node(first).lead as usize;
        return Ok(vec![Splice::new(start, start, writer.out + &indent)]);
    };
    let is_last = tree.values(entry.container).next_back() == Some(after);
    let at = lines::end(text, extent(tree, if is_last { entry.container } else { after }));
    writer.out.push_str(&indent);
    put(&mut writer);
    if at == text.len() && ends_in_block(entry.value) {
        writer.out.push_str(writer.layout.newline);
    }
    Ok(vec![Splice::new(at, at, writer.out)])
}

/// Whether the last line of a value is one of a block scalar.
fn ends_in_block(value: &Value) -> bool {
    match value {
        Value::Scalar(scalar) => scalar.expose().contains('\n'),
        Value::List(items) => items.last().is_some_and(ends_in_block),
        Value::Map(entries) => entries.last().is_some_and(|(_, value)| ends_in_block(value)),
    }
}

/// The value of a part that has none.
fn fill(document: &Document, entry: &Entry<'_>) -> Vec<Splice> {
    let text = document.expose();
    let part = document.tree.node(entry.container);
    let at = lines::end(text, extent_of_comments(&document.tree, entry.container).max(part.outer as usize));
    let mut writer = Writer { out: String::new(), layout: layout(document) };
    let is_at_start = text.get(..at).is_some_and(|before| before.trim_start_matches('\u{feff}').is_empty());
    if !is_at_start {
        writer.out.push_str(writer.layout.newline);
    }
    writer.value(entry.value, Under::Root);
    if is_at_start || at == text.len() {
        writer.out.push_str(writer.layout.newline);
    }
    vec![Splice::new(at, at, writer.out)]
}

fn extent_of_comments(tree: &Tree, part: NodeId) -> usize {
    tree.node(part).children.iter().map(|child| tree.node(*child).span.end()).max().unwrap_or(0)
}

/// The first entry of `{}` or `[]`: a block, where blocks can stand.
fn into_empty(document: &Document, node: Node<'_>, entry: &Entry<'_>) -> Result<Vec<Splice>, ChangeError> {
    let value = match entry.key {
        Some(key) => Value::map([(key, entry.value.duplicate())]),
        None => Value::List(vec![entry.value.duplicate()]),
    };
    if node.children().any(|child| child.data().span.end <= node.data().span.end) {
        return Err(node.impossible("there are comments in these empty brackets"));
    }
    replace(document, node, &value)
}

fn flow_insert(document: &Document, entry: &Entry<'_>, first: NodeId) -> Result<Vec<Splice>, ChangeError> {
    let (text, tree) = (document.expose(), &document.tree);
    let mut writer = Writer { out: String::new(), layout: layout(document) };
    match entry.key {
        Some(key) => writer.flow_entry(key, entry.value),
        None => writer.flow(entry.value),
    }
    let first = tree.node(first).lead as usize;
    let opening = text.get(tree.node(entry.container).span.start()..first).unwrap_or_default();
    let gap = match opening.rfind('\n') {
        Some(at) => format!("{}{}", writer.layout.newline, opening.get(at + 1..).unwrap_or_default()),
        None => " ".to_owned(),
    };
    Ok(vec![match entry.after {
        Some(after) => {
            let end = tree.node(after).span.end();
            Splice::new(end, end, format!(",{gap}{}", writer.out))
        }
        None => Splice::new(first, first, format!("{},{gap}", writer.out)),
    }])
}

pub(in crate::document) fn remove(document: &Document, node: Node<'_>) -> Result<Vec<Splice>, ChangeError> {
    let (text, tree) = (document.expose(), &document.tree);
    let Some(parent) = node.parent() else { return Ok(Vec::new()) };
    let siblings: Vec<NodeId> = tree.values(parent.id()).collect();
    let at = siblings.iter().position(|id| *id == node.id()).unwrap_or_default();
    let before = at.checked_sub(1).and_then(|at| siblings.get(at)).copied();
    let after = siblings.get(at + 1).copied();
    let start = node.data().lead as usize;
    if parent.style() == Style::Flow {
        return flow_remove(document, node, before, after);
    }
    let line_start = lines::start(text, start);
    let is_own_line = text.get(line_start..start).is_some_and(|lead| lead.trim_matches(' ').is_empty());
    if before.is_none() && after.is_none() {
        let empty = if parent.kind() == Kind::Map { Value::Map(Vec::new()) } else { Value::List(Vec::new()) };
        return replace(document, parent, &empty);
    }
    if !is_own_line {
        // The first entry of a map or list that begins after a dash: the second takes its place.
        let end = after.map_or(start, |after| tree.node(after).lead as usize);
        let has_comments = parent.children().any(|child| {
            let at = child.data().lead as usize;
            matches!(child.kind(), Kind::Comment(Placement::Line)) && start < at && at < end
        });
        if has_comments {
            return Err(node.impossible("it shares its line with what it is in, and a comment follows"));
        }
        return Ok(vec![Splice::new(start, end, "")]);
    }
    let end = lines::after(text, lines::end(text, extent(tree, node.id())));
    Ok(vec![Splice::new(line_start, end, "")])
}

fn flow_remove(
    document: &Document,
    node: Node<'_>,
    before: Option<NodeId>,
    after: Option<NodeId>,
) -> Result<Vec<Splice>, ChangeError> {
    let tree = &document.tree;
    let Some(parent) = node.parent() else { return Ok(Vec::new()) };
    let (start, end) = (node.data().lead as usize, node.data().span.end());
    let (start, end) = match (before, after) {
        (_, Some(after)) => (start, tree.node(after).lead as usize),
        (Some(before), None) => (tree.node(before).span.end(), end),
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
    let (text, tree, data) = (document.expose(), &document.tree, node.data());
    let mut writer = Writer { out: String::new(), layout: layout(document) };
    if is_in_flow(tree, node.id()) {
        writer.out.push_str(&missing_lead(document, node));
        writer.flow(value);
        return Ok(vec![Splice::new(data.outer as usize, data.span.end(), writer.out)]);
    }
    let under = under(document, node);
    let head = match (under, &data.key) {
        (Under::Key(_), Some(key)) => {
            let between =
                text.get(key.span.end()..data.outer.max(data.span.start) as usize).unwrap_or_default();
            let colon = between.find(':').ok_or_else(|| node.impossible("it has no colon to stand after"))?;
            key.span.end() + colon + 1
        }
        (Under::Dash(_), _) => data.lead as usize + 1,
        _ => {
            let line_start = lines::start(text, data.outer as usize);
            match text.get(line_start..data.outer as usize).is_some_and(|lead| lead.trim().is_empty()) {
                true => line_start,
                // After `--- `.
                false => {
                    writer.out.push_str(writer.layout.newline);
                    data.outer as usize
                }
            }
        }
    };
    writer.value(value, under);
    let is_inline = !matches!(data.style, Style::Block | Style::Literal | Style::Folded);
    let end = if is_inline { data.span.end() } else { lines::end(text, extent(tree, node.id())) };
    // A comment on the key's line that is not about what is replaced stays there.
    let head_end = lines::end(text, if is_inline { end } else { head });
    let behind = if is_inline { end } else { head };
    let comment = text.get(behind..head_end).and_then(|rest| {
        let own = node.children().filter(|_| is_inline);
        let comment = node.parent()?.children().chain(own).find(|child| {
            let at = child.data().lead as usize;
            matches!(child.kind(), Kind::Comment(Placement::Trailing)) && behind <= at && at < head_end
        })?;
        (!rest.trim().is_empty()).then_some(comment)
    });
    let written = writer.out;
    let tail = if end >= text.len() && ends_in_block(value) { writer.layout.newline } else { "" };
    let Some(comment) = comment else {
        let end = if is_inline && text.get(end..head_end).is_some_and(|rest| rest.trim().is_empty()) {
            head_end
        } else {
            end
        };
        return Ok(vec![Splice::new(head, end, written + tail)]);
    };
    let (first, rest) = match written.find(writer.layout.newline) {
        Some(at) => written.split_at(at),
        None => (written.as_str(), ""),
    };
    let comment_start = comment.data().span.start();
    Ok(vec![
        Splice::new(head, comment_start, format!("{first} ")),
        Splice::new(head_end, end.max(head_end), format!("{rest}{tail}")),
    ])
}
