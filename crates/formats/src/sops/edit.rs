//! Changes to a tree in clear by path, as sops makes them.

use super::tree::{Element, Item, Map, Node, Tree};
use crate::document::Step;
use thiserror::Error;

/// Why a place in a tree cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    #[error("there is no {0}")]
    Missing(String),
    #[error("the path has to begin with a key of the top level, as [\"key\"]")]
    Top,
    #[error("{0} is a number, but a map stands there")]
    IndexInMap(usize),
    #[error("[{0:?}] is a key, but a list stands there")]
    KeyInList(String),
}

/// Whether a change changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Yes,
    No,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Which document of a YAML stream, from 0.
    pub document: usize,
    pub steps: Vec<Step>,
    /// The key behind which a new one goes; otherwise it goes to the end.
    pub after: Option<String>,
}

impl Location {
    /// A place in the first document.
    pub fn first(steps: &[Step]) -> Self {
        Self { document: 0, steps: steps.to_vec(), after: None }
    }
}

/// Sets what stands at a place. What is missing on the way is made; a number behind the end of a list adds to it; a value
/// that stands in the way is replaced.
pub(super) fn set(tree: &mut Tree, location: &Location, node: Node) -> Result<Changed, EditError> {
    let document = tree.documents.get_mut(location.document);
    let (Some((Step::Key(key), rest)), Some(document)) = (location.steps.split_first(), document) else {
        return Err(EditError::Top);
    };
    let changed = set_in_map(document, key, rest, node)?;
    if let (Changed::Yes, Some(after)) = (changed, &location.after) {
        place_after(document, &location.steps, after);
    }
    Ok(changed)
}

/// Moves the entry at the end of a map behind another. It was added last.
fn place_after(document: &mut Map, steps: &[Step], after: &str) {
    let Some((Step::Key(key), way)) = steps.split_last() else { return };
    let mut map = document;
    for step in way {
        let Step::Key(wanted) = step else { return };
        let inner = map.iter_mut().find_map(|item| match item {
            Item::Entry { key, node: Node::Map(map) } if key == wanted => Some(map),
            _ => None,
        });
        let Some(inner) = inner else { return };
        map = inner;
    }
    let Some(neighbour) = map.iter().position(|item| item.key() == Some(after)) else { return };
    if map.last().and_then(Item::key) == Some(key)
        && let Some(item) = map.pop()
    {
        map.insert((neighbour + 1).min(map.len()), item);
    }
}

fn set_in_map(map: &mut Map, key: &str, rest: &[Step], node: Node) -> Result<Changed, EditError> {
    let known = map.iter_mut().find_map(|item| match item {
        Item::Entry { key: found, node } if found == key => Some(node),
        _ => None,
    });
    match known {
        Some(known) => set_node(known, rest, node),
        None => {
            map.push(Item::entry(key, nested(rest, node)));
            Ok(Changed::Yes)
        }
    }
}

fn set_node(known: &mut Node, steps: &[Step], node: Node) -> Result<Changed, EditError> {
    let Some((first, rest)) = steps.split_first() else {
        let changed = if *known == node { Changed::No } else { Changed::Yes };
        *known = node;
        return Ok(changed);
    };
    match (known, first) {
        (Node::Map(map), Step::Key(key)) => set_in_map(map, key, rest, node),
        (Node::Map(_), Step::Index(index)) => Err(EditError::IndexInMap(*index)),
        (Node::List(_), Step::Key(key)) => Err(EditError::KeyInList(key.clone())),
        (Node::List(elements), Step::Index(index)) => {
            let element = elements.iter_mut().filter_map(|element| match element {
                Element::Node(node) => Some(node),
                Element::Comment(_) => None,
            });
            match element.into_iter().nth(*index) {
                Some(known) => set_node(known, rest, node),
                None => {
                    elements.push(Element::Node(nested(rest, node)));
                    Ok(Changed::Yes)
                }
            }
        }
        (other, _) => {
            *other = nested(steps, node);
            Ok(Changed::Yes)
        }
    }
}

/// A value inside new maps and lists.
fn nested(steps: &[Step], node: Node) -> Node {
    steps.iter().rev().fold(node, |inner, step| match step {
        Step::Key(key) => Node::Map(vec![Item::entry(key.clone(), inner)]),
        Step::Index(_) => Node::List(vec![Element::Node(inner)]),
    })
}

/// Removes what stands at a place.
pub(super) fn unset(tree: &mut Tree, location: &Location) -> Result<(), EditError> {
    let steps = location.steps.as_slice();
    let (Some((last, way)), Some(document)) = (steps.split_last(), tree.documents.get_mut(location.document))
    else {
        return Err(EditError::Top);
    };
    let missing = || EditError::Missing(path_text(steps));
    let Some((first, way)) = way.split_first() else {
        let Step::Key(key) = last else { return Err(EditError::Top) };
        return remove_key(document, key).ok_or_else(missing);
    };
    let Step::Key(first) = first else { return Err(EditError::Top) };
    let mut node = document
        .iter_mut()
        .find_map(|item| match item {
            Item::Entry { key, node } if key == first => Some(node),
            _ => None,
        })
        .ok_or_else(missing)?;
    for step in way {
        node = child(node, step).ok_or_else(missing)?;
    }
    match (node, last) {
        (Node::Map(map), Step::Key(key)) => remove_key(map, key).ok_or_else(missing),
        (Node::List(elements), Step::Index(index)) => {
            let position = elements
                .iter()
                .enumerate()
                .filter(|(_, element)| element.node().is_some())
                .nth(*index)
                .map(|(position, _)| position)
                .ok_or_else(missing)?;
            elements.remove(position);
            Ok(())
        }
        _ => Err(missing()),
    }
}

fn child<'a>(node: &'a mut Node, step: &Step) -> Option<&'a mut Node> {
    match (node, step) {
        (Node::Map(map), Step::Key(wanted)) => map.iter_mut().find_map(|item| match item {
            Item::Entry { key, node } if key == wanted => Some(node),
            _ => None,
        }),
        (Node::List(elements), Step::Index(index)) => elements
            .iter_mut()
            .filter_map(|element| match element {
                Element::Node(node) => Some(node),
                Element::Comment(_) => None,
            })
            .nth(*index),
        _ => None,
    }
}

fn remove_key(map: &mut Map, key: &str) -> Option<()> {
    let position = map.iter().position(|item| item.key() == Some(key))?;
    map.remove(position);
    Some(())
}

/// A path as the command line takes it: `["a"][0]`.
pub fn path_text(steps: &[Step]) -> String {
    let text = |step: &Step| match step {
        Step::Key(key) => format!("[{key:?}]"),
        Step::Index(index) => format!("[{index}]"),
    };
    steps.iter().map(text).collect()
}

/// Reads `["a"]['b'][0]`, the way in which sops names a place.
pub fn parse_path(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let inner =
            rest.strip_prefix('[').ok_or_else(|| format!("a step is written [\"key\"] or [0]: {rest:?}"))?;
        let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (step, after) = match quote {
            Some(quote) => {
                let body = inner.strip_prefix(quote).unwrap_or(inner);
                let end =
                    body.find(&format!("{quote}]")).ok_or_else(|| format!("no end of the key: {rest:?}"))?;
                (Step::Key(body.get(..end).unwrap_or_default().to_owned()), body.get(end + 2..))
            }
            None => {
                let end = inner.find(']').ok_or_else(|| format!("component {inner} doesn't end with ]"))?;
                let number = inner.get(..end).unwrap_or_default();
                let index =
                    number.parse().map_err(|_| format!("{number:?} is neither in quotes nor a number"))?;
                (Step::Index(index), inner.get(end + 1..))
            }
        };
        steps.push(step);
        rest = after.unwrap_or_default();
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::value::Value;

    fn steps(text: &str) -> Vec<Step> {
        parse_path(text).unwrap()
    }

    fn location(text: &str) -> Location {
        Location::first(&steps(text))
    }

    #[test]
    fn paths() {
        assert_eq!(
            steps(r#"["a"]['b c'][10]"#),
            [Step::Key("a".into()), Step::Key("b c".into()), Step::Index(10)]
        );
        assert_eq!(path_text(&steps(r#"["a"][0]"#)), r#"["a"][0]"#);
        assert_eq!(steps(r#"["a[0]"]"#), [Step::Key("a[0]".into())]);
        for wrong in ["a", "[a]", "[\"a\"", "[0", "[-1]", "[\"a]"] {
            assert!(parse_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn set_makes_what_is_missing_and_replaces_what_is_in_the_way() {
        let mut tree = Tree { documents: vec![vec![Item::entry("a", Node::text("x"))]] };
        let number = || Node::Leaf(Value::Integer(1));
        assert_eq!(set(&mut tree, &location(r#"["a"]"#), Node::text("x")), Ok(Changed::No));
        assert_eq!(set(&mut tree, &location(r#"["a"]["b"][0]"#), number()), Ok(Changed::Yes));
        assert_eq!(set(&mut tree, &location(r#"["a"]["b"][7]"#), number()), Ok(Changed::Yes));
        assert_eq!(tree.at(&steps(r#"["a"]["b"][1]"#)), Some(&number()));
        assert!(set(&mut tree, &location(r#"["a"][0]"#), number()).is_err());
        assert_eq!(set(&mut tree, &location("[0]"), number()), Err(EditError::Top));
        assert_eq!(unset(&mut tree, &location(r#"["a"]["b"][0]"#)), Ok(()));
        assert_eq!(
            unset(&mut tree, &location(r#"["a"]["b"][1]"#)),
            Err(EditError::Missing(r#"["a"]["b"][1]"#.into()))
        );
        assert_eq!(unset(&mut tree, &location(r#"["a"]"#)), Ok(()));
        assert_eq!(tree.documents, [vec![]]);
    }
}
