//! Metadata in formats without nesting: `kms__list_0__map_arn` is `kms[0].arn`.

use super::MetadataError;
use crate::sops::tree::{Element, Item, Map, Node};
use std::collections::BTreeMap;

const MAP: &str = "__map_";
const LIST: &str = "__list_";
/// A flattened key goes no deeper: `key_groups[0].kms[0].context.name` has six levels.
const DEPTH_MAX: usize = 12;

/// Leaves with their way in the key, each key behind `prefix`.
pub(in crate::sops) fn flatten(map: &Map, prefix: &str) -> Map {
    let mut flat = Vec::new();
    for item in map {
        if let Item::Entry { key, node } = item {
            flatten_node(node, format!("{prefix}{key}"), &mut flat);
        }
    }
    flat
}

fn flatten_node(node: &Node, key: String, flat: &mut Map) {
    match node {
        Node::Map(map) => flat.extend(flatten(map, &format!("{key}{MAP}"))),
        Node::List(elements) => {
            for (index, node) in elements.iter().filter_map(Element::node).enumerate() {
                flatten_node(node, format!("{key}{LIST}{index}"), flat);
            }
        }
        Node::Null | Node::Leaf(_) => flat.push(Item::entry(key, node.duplicate())),
    }
}

/// The reverse of [`flatten`], with the keys in the order of their names.
pub(in crate::sops) fn unflatten(flat: &Map) -> Result<Map, MetadataError> {
    let mut root = Branch::Map(BTreeMap::new());
    for item in flat {
        let Item::Entry { key, node } = item else { continue };
        let error = || MetadataError::Flattened(key.clone());
        let steps = steps_of(key).ok_or_else(error)?;
        root.place(&steps, node).ok_or_else(error)?;
    }
    match root.into_node() {
        Some(Node::Map(map)) => Ok(map),
        _ => Err(MetadataError::Flattened("sops".to_owned())),
    }
}

enum Branch<'a> {
    Leaf(&'a Node),
    Map(BTreeMap<&'a str, Branch<'a>>),
    List(BTreeMap<usize, Branch<'a>>),
}

#[derive(Clone, Copy)]
enum FlatStep<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps_of(key: &str) -> Option<Vec<FlatStep<'_>>> {
    let mut steps = Vec::new();
    let mut is_index = false;
    let mut rest = key;
    loop {
        let map = rest.find(MAP).map(|at| (at, MAP.len(), false));
        let list = rest.find(LIST).map(|at| (at, LIST.len(), true));
        let next = [map, list].into_iter().flatten().min();
        let word = next.map_or(rest, |(at, ..)| rest.get(..at).unwrap_or_default());
        steps.push(if is_index { FlatStep::Index(word.parse().ok()?) } else { FlatStep::Key(word) });
        let Some((at, length, index)) = next else { break };
        rest = rest.get(at + length..)?;
        is_index = index;
    }
    (steps.len() <= DEPTH_MAX).then_some(steps)
}

impl<'a> Branch<'a> {
    /// `None` if something else is there already.
    fn place(&mut self, steps: &[FlatStep<'a>], node: &'a Node) -> Option<()> {
        let (first, rest) = steps.split_first()?;
        let fresh = || match rest.first() {
            None => Branch::Leaf(node),
            Some(FlatStep::Key(_)) => Branch::Map(BTreeMap::new()),
            Some(FlatStep::Index(_)) => Branch::List(BTreeMap::new()),
        };
        let known = match (&mut *self, first) {
            (Branch::Map(map), FlatStep::Key(key)) => map.contains_key(key),
            (Branch::List(list), FlatStep::Index(index)) => list.contains_key(index),
            _ => return None,
        };
        if known && rest.is_empty() {
            return None;
        }
        let next = match (self, first) {
            (Branch::Map(map), FlatStep::Key(key)) => map.entry(key).or_insert_with(fresh),
            (Branch::List(list), FlatStep::Index(index)) => list.entry(*index).or_insert_with(fresh),
            _ => return None,
        };
        if rest.is_empty() { Some(()) } else { next.place(rest, node) }
    }

    /// `None` if a list has holes.
    fn into_node(self) -> Option<Node> {
        match self {
            Branch::Leaf(node) => Some(node.duplicate()),
            Branch::Map(map) => {
                let entries =
                    map.into_iter().map(|(key, branch)| Some(Item::entry(key, branch.into_node()?)));
                Some(Node::Map(entries.collect::<Option<_>>()?))
            }
            Branch::List(list) => {
                let whole = list.keys().enumerate().all(|(number, index)| number == *index);
                let elements = list.into_values().map(|branch| Some(Element::Node(branch.into_node()?)));
                let elements = elements.collect::<Option<_>>()?;
                whole.then_some(Node::List(elements))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(entries: &[(&str, &str)]) -> Map {
        entries.iter().map(|(key, value)| Item::entry(*key, Node::text(*value))).collect()
    }

    #[test]
    fn there_and_back() {
        let entries = flat(&[
            ("age__list_0__map_enc", "a"),
            ("age__list_0__map_recipient", "r"),
            ("age__list_1__map_enc", "b"),
            ("kms__list_0__map_context__map_team", "t"),
            ("version", "3.13.3"),
        ]);
        let map = unflatten(&entries).unwrap();
        assert_eq!(map.len(), 3);
        assert_eq!(flatten(&map, ""), entries);
    }

    #[test]
    fn contradictions_and_holes_are_refused() {
        for entries in [
            &[("a", "1"), ("a", "2")][..],
            &[("a", "1"), ("a__map_b", "2")],
            &[("a__list_0", "1"), ("a__map_b", "2")],
            &[("a__list_1", "1")],
            &[("a__list_x", "1")],
            &[("a__list_99999999999999999999", "1")],
        ] {
            assert!(unflatten(&flat(entries)).is_err(), "{entries:?}");
        }
        let deep = format!("a{}", "__map_a".repeat(10_000));
        assert!(unflatten(&flat(&[(&deep, "1")])).is_err());
    }
}
