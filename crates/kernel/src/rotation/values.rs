//! Named texts of a secret: what a rotation replaces, and what it replaces them by.

use crate::error::Error;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use strongroom_secret::{SecretBytes, SecretString};

/// Texts by their names, wiped when dropped. They are serialized into records, which are stored encrypted, and into what
/// an operator's own command or webhook gets.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Values(BTreeMap<String, SecretString>);

impl Values {
    pub(super) fn one(name: &str, value: SecretString) -> Self {
        Self(BTreeMap::from([(name.to_owned(), value)]))
    }

    pub(super) fn insert(&mut self, name: &str, value: SecretString) {
        self.0.insert(name.to_owned(), value);
    }

    pub(super) fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &SecretString> {
        self.0.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn duplicate(&self) -> Self {
        Self(self.0.iter().map(|(name, value)| (name.clone(), value.duplicate())).collect())
    }

    /// The value that is presented for a check: the field's, or the only one.
    pub(super) fn presented(&self, field: Option<&str>) -> Option<&SecretString> {
        match field {
            Some(field) => self.0.get(field),
            None if self.0.len() == 1 => self.0.values().next(),
            None => None,
        }
    }

    /// Those members of a payload that have these names and are texts; all that are texts without names.
    pub(super) fn of_payload(payload: &SecretBytes, names: Option<&[&str]>) -> Result<Self, Error> {
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_slice(payload.expose()).map_err(|error| unreadable(&error))?;
        let wanted = |name: &str| names.is_none_or(|names| names.contains(&name));
        let texts = members.into_iter().filter(|(name, _)| wanted(name)).filter_map(|(name, raw)| {
            serde_json::from_str::<String>(raw.get()).ok().map(|text| (name, SecretString::new(text)))
        });
        Ok(Self(texts.collect()))
    }

    /// A payload with these values in the place of its own, and all else as it was written.
    pub(super) fn merged_into(&self, payload: Option<&SecretBytes>) -> Result<SecretBytes, Error> {
        let mut members: BTreeMap<String, Box<RawValue>> = match payload {
            Some(payload) => serde_json::from_slice(payload.expose()).map_err(|error| unreadable(&error))?,
            None => BTreeMap::new(),
        };
        for (name, value) in &self.0 {
            let raw = to_raw_value(value.expose()).map_err(|error| unwritable(&error))?;
            members.insert(name.clone(), raw);
        }
        serde_json::to_vec(&members).map(SecretBytes::new).map_err(|error| unwritable(&error))
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::internal(format!("a payload is no object: {:?}", error.classify()))
}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::internal(format!("a payload cannot be written: {:?}", error.classify()))
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} values, redacted]", self.0.len())
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value.expose())?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Values;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, text)) = map.next_entry::<String, String>()? {
                    values.insert(name, SecretString::new(text));
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_map(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_replaced_stays_as_it_was_written() {
        let payload = SecretBytes::new(br#"{"n":1.50,"password":"old","z":{"deep":[1, 2]}}"#.to_vec());
        let merged = Values::one("password", "new \"value\"".into()).merged_into(Some(&payload)).unwrap();
        let text = std::str::from_utf8(merged.expose()).unwrap();
        assert_eq!(text, r#"{"n":1.50,"password":"new \"value\"","z":{"deep":[1, 2]}}"#);
        let old = Values::of_payload(&payload, Some(&["password", "n", "missing"])).unwrap();
        assert_eq!(old.names().collect::<Vec<_>>(), ["password"]);
        assert_eq!(format!("{old:?}"), "[1 values, redacted]");
    }
}
