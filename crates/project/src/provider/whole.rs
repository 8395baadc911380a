//! What a provider holds under one path: bytes, or a map of which addresses name entries.

use super::{Address, Found, Freshness, Lease, Outcome, ProviderError};
use serde_json::{Map, Value};
use std::cell::OnceCell;
use std::collections::HashMap;
use strongroom_secret::{SecretBytes, Timestamp};
use zeroize::Zeroize;

/// One thing at one path, in one version.
pub(crate) struct Whole {
    content: Content,
    pub(crate) version: Option<String>,
    /// Where, for people.
    pub(crate) origin: String,
    pub(crate) created: Option<Timestamp>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) lease: Option<Lease>,
    /// The lines of entries, in a file that has lines.
    lines: HashMap<String, usize>,
}

enum Content {
    /// As the service gave it; read as JSON when an entry is asked for.
    Bytes {
        bytes: SecretBytes,
        parsed: OnceCell<Option<SecretTree>>,
    },
    Tree(SecretTree),
}

/// A JSON value that is wiped when dropped and does not print.
pub(crate) struct SecretTree(Value);

impl SecretTree {
    pub(crate) fn new(value: Value) -> Self {
        Self(value)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }

    /// The tree itself. Every call is a place where a secret can get out: keep them few.
    pub(crate) fn expose(&self) -> &Value {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    pub(crate) fn as_map(&self) -> Option<&Map<String, Value>> {
        self.0.as_object()
    }

    /// As JSON text.
    pub(crate) fn to_bytes(&self) -> SecretBytes {
        SecretBytes::new(self.0.to_string().into_bytes())
    }
}

impl Drop for SecretTree {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(entries) => entries.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Whole {
    pub(crate) fn of_bytes(bytes: SecretBytes, origin: impl Into<String>) -> Self {
        Self::of(Content::Bytes { bytes, parsed: OnceCell::new() }, origin)
    }

    pub(crate) fn of_tree(tree: SecretTree, origin: impl Into<String>) -> Self {
        Self::of(Content::Tree(tree), origin)
    }

    fn of(content: Content, origin: impl Into<String>) -> Self {
        let origin = origin.into();
        let lines = HashMap::new();
        Self { content, version: None, origin, created: None, expires: None, lease: None, lines }
    }

    /// Says on which line of the file each entry stands.
    #[must_use]
    pub(crate) fn with_lines(mut self, lines: HashMap<String, usize>) -> Self {
        self.lines = lines;
        self
    }

    /// The content as a tree, if it is one.
    pub(crate) fn tree(&self) -> Option<&SecretTree> {
        match &self.content {
            Content::Tree(tree) => Some(tree),
            Content::Bytes { bytes, parsed } => {
                parsed.get_or_init(|| SecretTree::parse(bytes.expose())).as_ref()
            }
        }
    }

    fn bytes(&self) -> SecretBytes {
        match &self.content {
            Content::Bytes { bytes, .. } => bytes.duplicate(),
            Content::Tree(tree) => text_of(tree.expose()).unwrap_or_default(),
        }
    }

    /// The names of a map's entries.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        Some(self.tree()?.as_map()?.keys().cloned().collect())
    }

    /// What an address names of this.
    pub(crate) fn part(&self, address: &Address) -> Outcome {
        let (value, origin) = match &address.key {
            None => (self.bytes(), self.origin.clone()),
            Some(key) => {
                let entry = self.tree().filter(|tree| tree.expose().is_object() || tree.expose().is_array());
                let tree = entry.ok_or_else(|| {
                    ProviderError::malformed(format!("{} is no map, so it has no entry {key:?}", self.origin))
                        .hint("leave the #key away to take the value as a whole")
                })?;
                let Some(value) = entry_of(tree.expose(), key).and_then(text_of) else { return Ok(None) };
                let origin = match self.lines.get(key) {
                    Some(line) => format!("{}:{line}", self.origin),
                    None => format!("{}#{key}", self.origin),
                };
                (value, origin)
            }
        };
        Ok(Some(Found {
            value,
            version: self.version.clone(),
            origin,
            created: self.created,
            expires: self.expires,
            lease: self.lease.clone(),
            freshness: Freshness::Fresh,
        }))
    }
}

/// An entry by its name as it is written, else by a path of names (and positions in lists) with dots between them.
pub(crate) fn entry_of<'t>(tree: &'t Value, key: &str) -> Option<&'t Value> {
    if let Some(value) = tree.get(key) {
        return Some(value);
    }
    // A name may have dots itself: try the longest first.
    let mut end = key.len();
    while let Some(dot) = key.get(..end)?.rfind('.') {
        let (name, rest) = (key.get(..dot)?, key.get(dot + 1..)?);
        let below = match tree {
            Value::Array(items) => name.parse::<usize>().ok().and_then(|position| items.get(position)),
            other => other.get(name),
        };
        if let Some(found) = below.and_then(|below| entry_of(below, rest)) {
            return Some(found);
        }
        end = dot;
    }
    match tree {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A text as it is, other values as JSON. Null is nothing.
pub(crate) fn text_of(value: &Value) -> Option<SecretBytes> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(SecretBytes::new(text.clone().into_bytes())),
        other => Some(SecretBytes::new(other.to_string().into_bytes())),
    }
}

/// Sets or (with no value) removes an entry at the top of a map.
pub(crate) fn set_entry(
    tree: &mut SecretTree,
    key: &str,
    value: Option<&SecretBytes>,
) -> Result<(), ProviderError> {
    let Some(map) = tree.expose_mut().as_object_mut() else {
        return Err(ProviderError::malformed("what is there is no map: no entry can be set"));
    };
    let old = match value {
        None => map.remove(key),
        Some(value) => {
            let text = std::str::from_utf8(value.expose()).map_err(|_| {
                ProviderError::settings(format!(
                    "the value of {key:?} is not UTF-8, and an entry of a map must be"
                ))
            })?;
            map.insert(key.to_owned(), Value::String(text.to_owned()))
        }
    };
    if let Some(mut old) = old {
        wipe(&mut old);
    }
    Ok(())
}

/// The text of a map after one entry is set or (with no value) removed. None: it was to be removed, and there is nothing
/// to remove it from. The address's version, if there is one, must be the map's.
pub(crate) fn changed(
    current: Option<&Whole>,
    address: &Address,
    value: Option<&SecretBytes>,
) -> Result<Option<SecretBytes>, ProviderError> {
    let key = address.key.as_deref().unwrap_or_default();
    let Some(current) = current else {
        let Some(value) = value else { return Ok(None) };
        let mut tree = SecretTree::new(Value::Object(Map::new()));
        set_entry(&mut tree, key, Some(value))?;
        return Ok(Some(tree.to_bytes()));
    };
    if let Some(expected) = &address.version
        && current.version.as_ref() != Some(expected)
    {
        let message = format!("{} has changed: it is no longer version {expected}", current.origin);
        return Err(ProviderError::malformed(message).hint("read it again, then write"));
    }
    let mut tree = SecretTree::parse(current.bytes().expose()).ok_or_else(|| {
        ProviderError::malformed(format!("{} is no JSON map: no entry {key:?} can be set", current.origin))
    })?;
    set_entry(&mut tree, key, value)?;
    Ok(Some(tree.to_bytes()))
}

/// One place to ask for: a path in a version.
pub(crate) type Place<'a> = (&'a str, Option<&'a str>);

/// The distinct places of some addresses: what there is to ask for.
pub(crate) fn places(addresses: &[Address]) -> Vec<Place<'_>> {
    let mut seen = std::collections::HashSet::new();
    let all = addresses.iter().map(|address| (address.path.as_str(), address.version.as_deref()));
    all.filter(|place| seen.insert(*place)).collect()
}

/// Hands out to every address its part of what was found at its place.
pub(crate) fn hand_out(
    addresses: &[Address],
    found: &HashMap<Place<'_>, Result<Option<Whole>, ProviderError>>,
) -> Vec<Outcome> {
    let of = |address: &Address| match found.get(&(address.path.as_str(), address.version.as_deref())) {
        Some(Ok(Some(whole))) => whole.part(address),
        Some(Err(error)) => Err(error.clone()),
        Some(Ok(None)) | None => Ok(None),
    };
    addresses.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries_by_name_and_by_path() {
        let whole = Whole::of_bytes(
            SecretBytes::new(
                json!({"a": {"b.c": "x", "l": [1, {"d": true}]}, "a.l": "own", "n": null}).to_string().into(),
            ),
            "test",
        );
        let part = |key: &str| {
            let found = whole.part(&Address::of_key("p", key)).unwrap();
            found.map(|found| String::from_utf8(found.value.expose().to_vec()).unwrap())
        };
        assert_eq!(part("a.b.c").as_deref(), Some("x"));
        assert_eq!(part("a.l").as_deref(), Some("own"));
        assert_eq!(part("a.l.0").as_deref(), Some("1"));
        assert_eq!(part("a.l.1.d").as_deref(), Some("true"));
        assert_eq!(part("n"), None);
        assert_eq!(part("a.x"), None);
        assert_eq!(part("a"), Some(r#"{"b.c":"x","l":[1,{"d":true}]}"#.to_owned()));
        let text = Whole::of_bytes(SecretBytes::new(b"text".to_vec()), "test");
        assert!(text.part(&Address::of_key("p", "x")).unwrap_err().message.contains("no map"));
        assert_eq!(text.part(&Address::of_path("p")).unwrap().unwrap().value.expose(), b"text");
    }
}
