//! SOPS files.

use crate::provider::whole::{SecretTree, Whole, entry_of};
use crate::provider::{ErrorKind, ProviderError};
use crate::sops::{Keys, SopsError, open, open_for_edit};
use serde_json::{Map, Value as Json};
use strongroom_formats::document::Step;
use strongroom_formats::sops::{
    Element, Format, Item, Location, Node, OpenError, SealPolicy, Tree, Value, Verification, is_restricted,
};
use strongroom_secret::SecretBytes;

pub(super) fn read(
    bytes: &SecretBytes,
    format: Format,
    name: &str,
    keys: &Keys,
) -> Result<Whole, ProviderError> {
    let opened =
        open(format, bytes.expose(), keys, Verification::Required).map_err(|error| told(&error, name))?;
    if format == Format::Binary {
        let plain = opened.write_plain().map_err(|error| told(&SopsError::from(error), name))?;
        return Ok(Whole::of_bytes(plain, name));
    }
    Ok(Whole::of_tree(json_of(opened.tree()), name))
}

/// The first document.
fn json_of(tree: &Tree) -> SecretTree {
    SecretTree::new(tree.documents.first().map_or_else(|| Json::Object(Map::new()), |map| json_of_map(map)))
}

fn json_of_map(map: &[Item]) -> Json {
    let entries = map.iter().filter_map(|item| match item {
        // What is for others is not there for us.
        Item::Entry { node, .. } if node.as_text().is_some_and(is_restricted) => None,
        Item::Entry { key, node } => Some((key.clone(), json_of_node(node))),
        Item::Comment(_) => None,
    });
    Json::Object(entries.collect())
}

fn json_of_node(node: &Node) -> Json {
    match node {
        Node::Null => Json::Null,
        Node::Leaf(value) => json_of_value(value),
        Node::Map(map) => json_of_map(map),
        Node::List(items) => {
            let items = items.iter().filter_map(|item| match item {
                Element::Node(node) => Some(json_of_node(node)),
                Element::Comment(_) => None,
            });
            Json::Array(items.collect())
        }
    }
}

fn json_of_value(value: &Value) -> Json {
    match value {
        Value::Boolean(value) => Json::Bool(*value),
        Value::Integer(number) => Json::Number((*number).into()),
        // sops' own notation of a float.
        Value::Text(_) | Value::Float(_) | Value::Time(_) => {
            Json::String(String::from_utf8_lossy(&value.bytes()).into_owned())
        }
    }
}

/// The file with one value changed, under the data key that it has: every other value keeps its ciphertext.
pub(super) fn changed(
    old: Option<&SecretBytes>,
    format: Format,
    name: &str,
    keys: &Keys,
    key: &str,
    value: Option<&str>,
) -> Result<SecretBytes, ProviderError> {
    let old = old.ok_or_else(|| {
        ProviderError::settings(format!("there is no file {name}"))
            .hint("make it first: strongroom sops edit FILE (its recipients stand in .sops.yaml)")
    })?;
    let failed = |error: SopsError| told(&error, name);
    let mut opened = open_for_edit(format, old.expose(), keys, Verification::Required).map_err(failed)?;
    let steps = steps_to(&json_of(opened.tree()), key);
    match value {
        Some(text) => {
            opened.set(&Location::first(&steps), Node::text(text)).map_err(|error| failed(error.into()))?;
        }
        None => opened.unset(&Location::first(&steps)).map_err(|error| failed(error.into()))?,
    }
    let surroundings = keys.surroundings();
    opened
        .encrypt(SealPolicy::Keep, surroundings.entropy.as_ref(), surroundings.clock.now())
        .map_err(|error| failed(error.into()))
}

/// The key as it is written, or its parts between dots if they lead into a map that is there.
fn steps_to(tree: &SecretTree, key: &str) -> Vec<Step> {
    let whole = || vec![Step::Key(key.to_owned())];
    let Some((parent, _)) = key.rsplit_once('.') else { return whole() };
    if tree.expose().get(key).is_some() || entry_of(tree.expose(), parent).is_none() {
        return whole();
    }
    key.split('.').map(|part| part.parse().map_or_else(|_| Step::Key(part.to_owned()), Step::Index)).collect()
}

fn told(error: &SopsError, name: &str) -> ProviderError {
    let kind = match error {
        SopsError::DataKey(_) => ErrorKind::Authentication,
        SopsError::Open(
            OpenError::Value(_)
            | OpenError::MacMismatch { .. }
            | OpenError::MacUnreadable(_)
            | OpenError::Seal,
        ) => ErrorKind::Integrity,
        _ => ErrorKind::Malformed,
    };
    let mut told = ProviderError::new(kind, format!("{name}: {error}"));
    told.looked = error.details();
    told.hint = error.hint();
    told
}
