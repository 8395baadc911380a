//! Which container a comment belongs to: as go-yaml v3 attaches it, and so with the path that sops authenticates.

use super::{Mark, MarkKind};
use crate::document::lines;
use crate::document::tree::{Builder, Fault, Kind, NodeId, Placement, Span, Style, Tree};

/// Puts comments into their containers, in order.
pub(super) fn attach(
    text: &str,
    builder: &mut Builder<'_>,
    comments: &[Span],
    marks: &[Mark],
) -> Result<(), Fault> {
    let mut sorted: Vec<Span> = comments.to_vec();
    sorted.sort_by_key(|span| span.start);
    sorted.dedup();
    let mut order: Vec<&Mark> = marks.iter().collect();
    order.sort_by_key(|mark| mark.at);
    let mut touched = Vec::new();
    for span in sorted {
        let at = span.start();
        let line_start =
            text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let before = text.get(line_start..at).unwrap_or_default().trim_start_matches('\u{feff}');
        let is_line = before.trim_matches([' ', '\t']).is_empty();
        let next = order.partition_point(|mark| mark.at < at);
        let place = Place {
            tree: &builder.tree,
            text,
            at,
            previous: next.checked_sub(1).and_then(|index| order.get(index)).copied(),
            next: order.get(next).copied(),
        };
        let container = if is_line { place.of_line(before.len()) } else { place.of_trailing(line_start) };
        let placement = if is_line { Placement::Line } else { Placement::Trailing };
        builder.add_to(container, Kind::Comment(placement), Style::Plain, span, None)?;
        touched.push(container);
    }
    touched.sort_unstable();
    touched.dedup();
    for id in touched {
        let mut children = std::mem::take(&mut builder.tree.node_mut(id).children);
        children.sort_by_key(|child| builder.tree.node(*child).lead);
        builder.tree.node_mut(id).children = children;
    }
    Ok(())
}

/// Where one comment stands.
struct Place<'p> {
    tree: &'p Tree,
    text: &'p str,
    at: usize,
    previous: Option<&'p Mark>,
    next: Option<&'p Mark>,
}

impl Place<'_> {
    /// The part that the comment stands in: the last that begins before it.
    fn part(&self) -> NodeId {
        let parts = &self.tree.parts;
        let after = parts.partition_point(|part| self.tree.node(*part).span.start() <= self.at);
        parts.get(after.saturating_sub(1)).copied().unwrap_or(NodeId(0))
    }

    fn ancestors(&self, from: Option<NodeId>) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(from, |id| self.tree.node(*id).parent)
    }

    fn depth(&self, id: NodeId) -> usize {
        self.ancestors(Some(id)).count()
    }

    fn is_in_part(&self, id: &NodeId) -> bool {
        self.ancestors(Some(*id)).last() == Some(self.part())
    }

    fn previous(&self) -> Option<NodeId> {
        self.previous.map(|mark| mark.node).filter(|id| self.is_in_part(id))
    }

    fn next(&self) -> Option<NodeId> {
        self.next.map(|mark| mark.node).filter(|id| self.is_in_part(id))
    }

    /// The innermost flow collection around the comment.
    fn flow(&self) -> Option<NodeId> {
        let is_around = |id: &NodeId| {
            let node = self.tree.node(*id);
            node.style == Style::Flow
                && matches!(node.kind, Kind::Map | Kind::List)
                && node.span.start() < self.at
                && self.at < node.span.end()
        };
        let of = |id| self.ancestors(id).find(is_around);
        [of(self.previous()), of(self.next())].into_iter().flatten().max_by_key(|id| self.depth(*id))
    }

    /// The column of a block's entries.
    fn column(&self, id: NodeId) -> Option<usize> {
        let node = self.tree.node(id);
        if node.style != Style::Block || !matches!(node.kind, Kind::Map | Kind::List) {
            return None;
        }
        let first = self.tree.values(id).next()?;
        Some(lines::column(self.text, self.tree.node(first).lead as usize))
    }

    /// A comment on its own line belongs to the block of the next entry, unless it stands deeper: then to the
    /// innermost block before it that is not deeper than the comment.
    fn of_line(&self, column: usize) -> NodeId {
        if let Some(flow) = self.flow() {
            return flow;
        }
        let part = self.part();
        let root = self.tree.node(part).children.iter().copied().find(|id| self.column(*id).is_some());
        let following = self.next().and_then(|id| self.tree.node(id).parent).or(root).unwrap_or(part);
        if self.column(following).is_some_and(|of_next| column <= of_next) {
            return following;
        }
        let is_open = |id: &NodeId| self.column(*id).is_some_and(|open| open <= column);
        let before = self.ancestors(self.previous()).find(is_open);
        [Some(following), before].into_iter().flatten().max_by_key(|id| self.depth(*id)).unwrap_or(part)
    }

    /// A comment after something on its line belongs to the container of that.
    fn of_trailing(&self, line_start: usize) -> NodeId {
        if let Some(flow) = self.flow() {
            return flow;
        }
        let Some(previous) = self.previous().filter(|_| self.is_same_line(line_start)) else {
            return self.part();
        };
        let node = self.tree.node(previous);
        let is_dash = self.previous.is_some_and(|mark| mark.kind == MarkKind::Lead) && node.key.is_none();
        if is_dash && matches!(node.kind, Kind::Map | Kind::List) && node.style == Style::Block {
            return previous;
        }
        // `key: {…} # comment`: sops takes it into the collection, but not in `- {…} # comment`.
        let is_collection = node.style == Style::Flow && matches!(node.kind, Kind::Map | Kind::List);
        if is_collection && node.key.is_some() {
            return previous;
        }
        node.parent.unwrap_or_else(|| self.part())
    }

    /// Whether what the previous mark speaks of reaches into the comment's line.
    fn is_same_line(&self, line_start: usize) -> bool {
        self.previous.is_some_and(|mark| {
            let node = self.tree.node(mark.node);
            let end = node.key.as_ref().map_or(mark.at, |key| key.span.end());
            mark.at.max(end).max(if mark.kind == MarkKind::Value { node.span.end() } else { 0 }) >= line_start
        })
    }
}
