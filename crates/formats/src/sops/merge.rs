//! Three versions of a tree in clear become one: changes of both sides to different values go together.

use super::edit::path_text;
use super::tree::{Element, Item, Map, Node, Tree, find};
use crate::document::Step;

/// What `theirs` changed, to be done to `ours`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MergePlan {
    /// Values to set, or to remove.
    pub changes: Vec<(Vec<Step>, Option<Node>)>,
    /// Places that both sides changed, each to something else.
    pub conflicts: Vec<String>,
}

/// Plans the merge. Lists are values as a whole; comments do not count, ours stay. Several documents merge only where one
/// side left them all as they were.
pub fn plan_merge(base: &Tree, ours: &Tree, theirs: &Tree) -> MergePlan {
    let mut plan = MergePlan::default();
    match (base.documents.as_slice(), ours.documents.as_slice(), theirs.documents.as_slice()) {
        ([base], [ours], [theirs]) => plan.maps(base, ours, theirs, &mut Vec::new()),
        (base, ours, theirs) => {
            let equal = |one: &[Map], other: &[Map]| {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_maps(one, other))
            };
            if !equal(base, theirs) && !equal(ours, theirs) {
                plan.conflicts.push("the documents of the file".to_owned());
            }
        }
    }
    plan
}

impl MergePlan {
    fn maps(&mut self, base: &Map, ours: &Map, theirs: &Map, path: &mut Vec<Step>) {
        for item in theirs {
            let Item::Entry { key, node: new } = item else { continue };
            path.push(Step::Key(key.clone()));
            match (find(base, key), find(ours, key)) {
                (None, None) => self.changes.push((path.clone(), Some(new.duplicate()))),
                (None, Some(our)) if same(our, new) => {}
                (Some(old), _) if same(old, new) => {}
                (old, Some(Node::Map(our)))
                    if matches!((old, new), (None | Some(Node::Map(_)), Node::Map(_))) =>
                {
                    let nothing = Map::new();
                    let old = old.and_then(Node::as_map).unwrap_or(&nothing);
                    if let Node::Map(new) = new {
                        self.maps(old, our, new, path);
                    }
                }
                (Some(_), Some(our)) if same(our, new) => {}
                (Some(old), Some(our)) if same(our, old) => {
                    self.changes.push((path.clone(), Some(new.duplicate())))
                }
                _ => self.conflicts.push(path_text(path)),
            }
            path.pop();
        }
        for item in base {
            let Item::Entry { key, node: old } = item else { continue };
            if find(theirs, key).is_some() {
                continue;
            }
            path.push(Step::Key(key.clone()));
            match find(ours, key) {
                None => {}
                Some(our) if same(our, old) => self.changes.push((path.clone(), None)),
                Some(_) => self.conflicts.push(path_text(path)),
            }
            path.pop();
        }
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

    fn check(base: &str, ours: &str, theirs: &str) -> String {
        let read = |text: &str| Draft::read(Format::Json, text.as_bytes()).unwrap();
        let plan = plan_merge(read(base).tree(), read(ours).tree(), read(theirs).tree());
        let change = |(path, node): &(Vec<Step>, Option<Node>)| {
            let text =
                node.as_ref().and_then(Node::as_text).unwrap_or(if node.is_some() { "…" } else { "-" });
            format!("{}={text}", path_text(path))
        };
        let mut lines: Vec<_> = plan.changes.iter().map(change).collect();
        lines.extend(plan.conflicts.iter().map(|place| format!("conflict {place}")));
        lines.join(" ")
    }

    #[test]
    fn changes_of_both_sides_go_together() {
        let base = r#"{"a": "1", "b": {"c": "1", "d": "1"}, "l": ["1"]}"#;
        assert_eq!(check(base, base, base), "");
        assert_eq!(
            check(
                base,
                r#"{"a": "2", "b": {"c": "1", "d": "1"}, "l": ["1"]}"#,
                r#"{"a": "1", "b": {"c": "3", "d": "1", "e": "1"}, "l": ["1"]}"#
            ),
            r#"["b"]["c"]=3 ["b"]["e"]=1"#
        );
        assert_eq!(
            check(base, base, r#"{"a": "1", "b": {"c": "1"}, "l": ["1", "2"]}"#),
            r#"["b"]["d"]=- ["l"]=…"#
        );
    }

    #[test]
    fn the_same_value_changed_twice_is_a_conflict() {
        let base = r#"{"a": "1", "b": {"c": "1"}}"#;
        assert_eq!(
            check(base, r#"{"a": "2", "b": {"c": "1"}}"#, r#"{"a": "3", "b": {"c": "1"}}"#),
            r#"conflict ["a"]"#
        );
        assert_eq!(check(base, r#"{"a": "2", "b": {"c": "1"}}"#, r#"{"a": "2", "b": {"c": "1"}}"#), "");
        assert_eq!(
            check(base, r#"{"a": "2", "b": {"c": "1"}}"#, r#"{"b": {"c": "1"}}"#),
            r#"conflict ["a"]"#
        );
        assert_eq!(
            check(base, r#"{"b": {"c": "1"}}"#, r#"{"a": "3", "b": {"c": "1"}}"#),
            r#"conflict ["a"]"#
        );
        assert_eq!(check("{}", r#"{"n": {"x": "1"}}"#, r#"{"n": {"y": "1"}}"#), r#"["n"]["y"]=1"#);
    }
}
