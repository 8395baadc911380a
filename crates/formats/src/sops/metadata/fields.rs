//! Fields of the metadata, read as leniently as sops reads them: a number may be written as text and the reverse.

use crate::sops::tree::{Item, Map, Node, find};
use crate::sops::value::Value;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why the metadata of a file is not usable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetadataError {
    #[error("there is no SOPS metadata: the file is not encrypted")]
    Missing,
    #[error("the metadata's {field:?} must be {expected}")]
    Shape { field: String, expected: &'static str },
    #[error("the metadata has no {0:?}")]
    NoField(String),
    #[error("the metadata's {field:?} is not a time (RFC 3339)")]
    Time { field: String },
    #[error("the metadata lists no keys: nothing could ever decrypt this file")]
    NoKeys,
    #[error("the metadata's flattened key {0:?} contradicts another one")]
    Flattened(String),
    #[error(transparent)]
    Selector(#[from] crate::sops::selector::SelectorError),
}

/// A map of the metadata, and its name for errors.
pub(super) struct Fields<'a> {
    name: &'a str,
    map: &'a Map,
}

impl<'a> Fields<'a> {
    pub(super) fn new(name: &'a str, map: &'a Map) -> Self {
        Self { name, map }
    }

    fn path(&self, field: &str) -> String {
        if self.name.is_empty() { field.to_owned() } else { format!("{}.{field}", self.name) }
    }

    fn shape(&self, field: &str, expected: &'static str) -> MetadataError {
        MetadataError::Shape { field: self.path(field), expected }
    }

    /// A text; empty if it is not there.
    pub(super) fn text(&self, field: &str) -> Result<String, MetadataError> {
        match find(self.map, field) {
            None | Some(Node::Null) => Ok(String::new()),
            Some(Node::Leaf(value)) => match value.plain_text() {
                Some(text) => Ok(text.into_owned()),
                None => Err(self.shape(field, "text")),
            },
            Some(_) => Err(self.shape(field, "text")),
        }
    }

    pub(super) fn required(&self, field: &str) -> Result<String, MetadataError> {
        let text = self.text(field)?;
        if text.is_empty() { Err(MetadataError::NoField(self.path(field))) } else { Ok(text) }
    }

    /// A small number; zero if it is not there.
    pub(super) fn number(&self, field: &str) -> Result<u8, MetadataError> {
        let text = self.text(field)?;
        if text.is_empty() {
            Ok(0)
        } else {
            text.parse().map_err(|_| self.shape(field, "a number from 0 to 255"))
        }
    }

    /// A truth value; false if it is not there.
    pub(super) fn truth(&self, field: &str) -> Result<bool, MetadataError> {
        match self.text(field)?.as_str() {
            "" => Ok(false),
            text => match Value::from_bytes("bool", text.into()) {
                Ok(Value::Boolean(truth)) => Ok(truth),
                _ => Err(self.shape(field, "true or false")),
            },
        }
    }

    /// A map of texts; empty if it is not there.
    pub(super) fn texts(&self, field: &str) -> Result<BTreeMap<String, String>, MetadataError> {
        let map = match find(self.map, field) {
            None | Some(Node::Null) => return Ok(BTreeMap::new()),
            Some(Node::Map(map)) => map,
            Some(_) => return Err(self.shape(field, "a map of texts")),
        };
        let inner = Fields::new(field, map);
        map.iter().filter_map(Item::key).map(|key| Ok((key.to_owned(), inner.text(key)?))).collect()
    }
}

pub(super) fn text_entry(key: &str, text: &str) -> Item {
    Item::entry(key, Node::text(text))
}
