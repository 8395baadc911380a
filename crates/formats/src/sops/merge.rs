//! Three versions of a tree in clear become one: changes of both sides to different values go together.
//!
//! What one side changed and the other did not is taken; what both changed alike is kept; what both changed differently is
//! a conflict, named by its place and never by its values. Maps are merged key by key. A list is one value: there is no
//! telling which item is which. Comments do not count, ours stay.

use super::edit::{Location, path_text};
use super::tree::{Element, Item, Map, Node, Tree, find};
use crate::document::Step;
use std::collections::HashMap;
use std::fmt;

/// What `theirs` changed, to be done to `ours`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MergePlan {
    /// Values to set, or to remove.
    pub changes: Vec<(Location, Option<Node>)>,
    /// Places where ours stays, though theirs is another.
    pub conflicts: Vec<Conflict>,
}

/// A place that both sides changed, each in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub kind: ConflictKind,
    /// Which document of a YAML stream, from 0.
    pub document: usize,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictKind {
    /// Both have it, with different values.
    Changed,
    /// We removed it, they changed it.
    RemovedByUs,
    /// They removed it, we changed it.
    RemovedByThem,
    /// The numbers of YAML documents differ.
    Documents,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.document > 0 {
            write!(f, "document {}: ", self.document + 1)?;
        }
        let place = path_text(&self.steps);
        match self.kind {
            ConflictKind::Changed => write!(f, "{place}: changed on both sides"),
            ConflictKind::RemovedByUs => write!(f, "{place}: removed by us, changed by them"),
            ConflictKind::RemovedByThem => write!(f, "{place}: changed by us, removed by them"),
            ConflictKind::Documents => f.write_str("the number of documents in the file differs"),
        }
    }
}

/// Plans the merge. Documents of a stream are merged one by one, if there are as many in each version.
pub fn plan_merge(base: &Tree, ours: &Tree, theirs: &Tree) -> MergePlan {
    let count = ours.documents.len();
    if base.documents.len() != count || theirs.documents.len() != count {
        let is_settled = same_values(base, theirs) || same_values(ours, theirs);
        let conflict = Conflict { kind: ConflictKind::Documents, document: 0, steps: Vec::new() };
        let conflicts = if is_settled { Vec::new() } else { vec![conflict] };
        return MergePlan { changes: Vec::new(), conflicts };
    }
    let mut merge = Merge { plan: MergePlan::default(), document: 0, path: Vec::new() };
    for ((base, ours), theirs) in base.documents.iter().zip(&ours.documents).zip(&theirs.documents) {
        merge.maps(base, ours, theirs);
        merge.document += 1;
    }
    merge.plan
}

struct Merge {
    plan: MergePlan,
    document: usize,
    path: Vec<Step>,
}

impl Merge {
    fn maps(&mut self, base: &Map, ours: &Map, theirs: &Map) {
        let (base_by_key, our_by_key, their_by_key) = (by_key(base), by_key(ours), by_key(theirs));
        for (key, our) in entries(ours) {
            self.below(key, |merge| {
                merge.node(base_by_key.get(key).copied(), Some(our), their_by_key.get(key).copied(), None);
            });
        }
        let mut before = None;
        for (key, new) in entries(theirs) {
            if !our_by_key.contains_key(key) {
                self.below(key, |merge| merge.node(base_by_key.get(key).copied(), None, Some(new), before));
            }
            before = Some(key);
        }
    }

    fn below(&mut self, key: &str, work: impl FnOnce(&mut Self)) {
        self.path.push(Step::Key(key.to_owned()));
        work(self);
        self.path.pop();
    }

    /// Decides one place: `None` is where a side has nothing there. `before` is the key that a new one follows in theirs.
    fn node(
        &mut self,
        base: Option<&Node>,
        ours: Option<&Node>,
        theirs: Option<&Node>,
        before: Option<&str>,
    ) {
        if equal(theirs, base) || equal(theirs, ours) {
            return;
        }
        match (ours, theirs) {
            (Some(Node::Map(ours)), Some(Node::Map(theirs))) => {
                let nothing = Map::new();
                self.maps(base.and_then(Node::as_map).unwrap_or(&nothing), ours, theirs);
            }
            _ if equal(ours, base) => {
                let after = before.map(str::to_owned);
                let location = Location { document: self.document, steps: self.path.clone(), after };
                self.plan.changes.push((location, theirs.map(Node::duplicate)));
            }
            (None, Some(_)) => self.conflict(ConflictKind::RemovedByUs),
            (Some(_), None) => self.conflict(ConflictKind::RemovedByThem),
            _ => self.conflict(ConflictKind::Changed),
        }
    }

    fn conflict(&mut self, kind: ConflictKind) {
        self.plan.conflicts.push(Conflict { kind, document: self.document, steps: self.path.clone() });
    }
}

fn entries(map: &Map) -> impl Iterator<Item = (&str, &Node)> {
    map.iter().filter_map(|item| match item {
        Item::Entry { key, node } => Some((key.as_str(), node)),
        Item::Comment(_) => None,
    })
}

fn by_key(map: &Map) -> HashMap<&str, &Node> {
    entries(map).collect()
}

fn equal(one: Option<&Node>, other: Option<&Node>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Whether two trees are equal but for comments.
pub(super) fn same_values(one: &Tree, other: &Tree) -> bool {
    one.documents.len() == other.documents.len()
        && one.documents.iter().zip(&other.documents).all(|(one, other)| same_maps(one, other))
}

/// Equal but for comments.
fn same(one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Map(one), Node::Map(other)) => same_maps(one, other),
        (Node::List(one), Node::List(other)) => {
            let (mut one, mut other) =
                (one.iter().filter_map(Element::node), other.iter().filter_map(Element::node));
            loop {
                match (one.next(), other.next()) {
                    (None, None) => return true,
                    (Some(one), Some(other)) if same(one, other) => {}
                    _ => return false,
                }
            }
        }
        (one, other) => one == other,
    }
}

fn same_maps(one: &Map, other: &Map) -> bool {
    let count = |map: &Map| map.iter().filter(|item| item.key().is_some()).count();
    count(one) == count(other)
        && one.iter().all(|item| match item {
            Item::Entry { key, node } => find(other, key).is_some_and(|found| same(node, found)),
            Item::Comment(_) => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::Draft;
    use crate::sops::source::Format;

    fn check_in(format: Format, base: &str, ours: &str, theirs: &str) -> String {
        let read = |text: &str| Draft::read(format, text.as_bytes()).unwrap();
        let plan = plan_merge(read(base).tree(), read(ours).tree(), read(theirs).tree());
        let change = |(location, node): &(Location, Option<Node>)| {
            let text =
                node.as_ref().and_then(Node::as_text).unwrap_or(if node.is_some() { "…" } else { "-" });
            let document = if location.document > 0 { location.document.to_string() } else { String::new() };
            let after = location.after.as_deref().map(|key| format!(" after {key}")).unwrap_or_default();
            format!("{document}{}={text}{after}", path_text(&location.steps))
        };
        let mut lines: Vec<_> = plan.changes.iter().map(change).collect();
        lines.extend(plan.conflicts.iter().map(|conflict| format!("! {conflict}")));
        lines.join("; ")
    }

    fn check(base: &str, ours: &str, theirs: &str) -> String {
        check_in(Format::Json, base, ours, theirs)
    }

    #[test]
    fn changes_of_both_sides_go_together() {
        let base = r#"{"a": "1", "b": {"c": "1", "d": "1"}, "l": ["1"]}"#;
        assert_eq!(check(base, base, base), "");
        assert_eq!(
            check(
                base,
                r#"{"a": "2", "b": {"c": "1", "d": "1"}, "l": ["1"]}"#,
                r#"{"a": "1", "b": {"c": "3", "e": "1", "d": "1"}, "l": ["1"]}"#
            ),
            r#"["b"]["c"]=3; ["b"]["e"]=1 after c"#
        );
        assert_eq!(
            check(base, base, r#"{"a": "1", "b": {"c": "1"}, "l": ["1", "2"]}"#),
            r#"["b"]["d"]=-; ["l"]=…"#
        );
    }

    #[test]
    fn the_same_value_changed_twice_is_a_conflict() {
        let base = r#"{"a": "1", "b": {"c": "1"}}"#;
        let conflict = |ours: &str, theirs: &str| check(base, ours, theirs);
        assert_eq!(
            conflict(r#"{"a": "2", "b": {"c": "1"}}"#, r#"{"a": "3", "b": {"c": "1"}}"#),
            r#"! ["a"]: changed on both sides"#
        );
        assert_eq!(conflict(r#"{"a": "2", "b": {"c": "1"}}"#, r#"{"a": "2", "b": {"c": "1"}}"#), "");
        assert_eq!(
            conflict(r#"{"a": "2", "b": {"c": "1"}}"#, r#"{"b": {"c": "1"}}"#),
            r#"! ["a"]: changed by us, removed by them"#
        );
        assert_eq!(
            conflict(r#"{"b": {"c": "1"}}"#, r#"{"a": "3", "b": {"c": "1"}}"#),
            r#"! ["a"]: removed by us, changed by them"#
        );
        assert_eq!(check("{}", r#"{"n": {"x": "1"}}"#, r#"{"n": {"y": "1"}}"#), r#"["n"]["y"]=1"#);
    }

    #[test]
    fn documents_of_a_stream_are_merged_one_by_one() {
        let check = |base, ours, theirs| check_in(Format::Yaml, base, ours, theirs);
        assert_eq!(
            check("a: x\n---\nb: x\n", "a: y\n---\nb: x\n", "a: x\n---\nb: z\nc: n\n"),
            r#"1["b"]=z; 1["c"]=n after b"#
        );
        assert_eq!(
            check("a: x\n---\nb: x\n", "a: x\n---\nb: y\n", "a: x\n---\nb: z\n"),
            r#"! document 2: ["b"]: changed on both sides"#
        );
        assert_eq!(
            check("a: x\n", "a: x\n", "a: x\n---\nb: x\n"),
            "! the number of documents in the file differs"
        );
        assert_eq!(check("a: x\n", "a: x\n---\nb: x\n", "a: x\n"), "");
    }
}
