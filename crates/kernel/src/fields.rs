//! Reading named parameters by their type. An explicit `null` counts as absent, as Vault's clients send it.

use crate::error::Error;
use crate::request::Fields;
use serde_json::{Map, Value};
use std::time::Duration;
use strongroom_secret::{Timestamp, parse_duration};

fn wrong(name: &str, expected: &str) -> Error {
    Error::invalid(format!("field {name:?} must be {expected}"))
}

impl Fields {
    /// The value, unless absent or null.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Text; numbers and booleans are taken as their text.
    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(_) => Err(wrong(name, "text")),
        }
    }

    /// Text that must be there and not be empty.
    pub fn required_text(&self, name: &str) -> Result<String, Error> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Error::invalid(format!("missing {name}")))
    }

    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::Number(number)) => Ok(Some(number.as_f64() != Some(0.0))),
            Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "1" => Ok(Some(true)),
                "false" | "f" | "0" | "" => Ok(Some(false)),
                _ => Err(wrong(name, "true or false")),
            },
            Some(_) => Err(wrong(name, "true or false")),
        }
    }

    /// A whole number, as a number or as text.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Number(number)) => number
                .as_i64()
                .or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64))
                .map(Some)
                .ok_or_else(|| wrong(name, "a whole number")),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => {
                text.trim().parse().map(Some).map_err(|_| wrong(name, "a whole number"))
            }
            Some(_) => Err(wrong(name, "a whole number")),
        }
    }

    /// A number of zero or more.
    pub fn count(&self, name: &str) -> Result<Option<u64>, Error> {
        match self.integer(name)? {
            None => Ok(None),
            Some(number) => u64::try_from(number).map(Some).map_err(|_| wrong(name, "zero or more")),
        }
    }

    /// Seconds, or text such as `1h30m`.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Number(number)) => match number
                .as_u64()
                .map(Duration::from_secs)
                .or_else(|| number.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
            {
                Some(duration) => Ok(Some(duration)),
                None => Err(wrong(name, "a duration of zero or more")),
            },
            Some(Value::String(text)) => parse_duration(text)
                .map(Some)
                .map_err(|error| Error::invalid(format!("field {name:?}: {error}"))),
            Some(_) => Err(wrong(name, "a duration")),
        }
    }

    /// A list of texts, or text with commas. Blanks around entries are dropped, and empty entries with them.
    pub fn list(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let tidy = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.split(',').filter_map(tidy).collect())),
            Some(Value::Array(items)) => items
                .iter()
                .filter_map(|item| match item {
                    Value::String(text) => tidy(text).map(Ok),
                    Value::Number(_) | Value::Bool(_) => Some(Ok(item.to_string())),
                    Value::Null => None,
                    _ => Some(Err(wrong(name, "a list of texts"))),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(Value::Number(number)) => Ok(Some(vec![number.to_string()])),
            Some(_) => Err(wrong(name, "a list of texts")),
        }
    }

    /// A list of whole numbers, as a list, text with commas, or one number.
    pub fn integers(&self, name: &str) -> Result<Option<Vec<u64>>, Error> {
        self.list(name)?
            .map(|items| {
                items
                    .iter()
                    .map(|item| item.parse().map_err(|_| wrong(name, "a list of whole numbers")))
                    .collect()
            })
            .transpose()
    }

    /// An object; text that holds a JSON object, and a list of `key=value`, are taken as well.
    pub fn map(&self, name: &str) -> Result<Option<Map<String, Value>>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map.clone())),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(Value::Object(map)) => Ok(Some(map)),
                _ => pairs(text.split(',')).map(Some).ok_or_else(|| wrong(name, "a map")),
            },
            Some(Value::Array(items)) => {
                pairs(items.iter().filter_map(Value::as_str)).map(Some).ok_or_else(|| wrong(name, "a map"))
            }
            Some(_) => Err(wrong(name, "a map")),
        }
    }

    /// As [`Self::map`], with values as texts.
    pub fn text_map(&self, name: &str) -> Result<Option<Map<String, Value>>, Error> {
        let Some(map) = self.map(name)? else { return Ok(None) };
        map.into_iter()
            .map(|(key, value)| match value {
                Value::String(_) => Ok((key, value)),
                Value::Number(_) | Value::Bool(_) => Ok((key, Value::String(value.to_string()))),
                _ => Err(wrong(name, "a map of texts")),
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A time in RFC 3339, or seconds since the epoch.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Timestamp::parse_rfc3339(text)
                .map(Some)
                .ok_or_else(|| wrong(name, "a time in RFC 3339, as 2026-01-31T12:00:00Z")),
            Some(Value::Number(number)) => {
                number.as_i64().map(Timestamp::from_seconds).map(Some).ok_or_else(|| wrong(name, "a time"))
            }
            Some(_) => Err(wrong(name, "a time in RFC 3339")),
        }
    }
}

fn pairs<'a>(items: impl Iterator<Item = &'a str>) -> Option<Map<String, Value>> {
    items
        .map(|item| {
            item.split_once('=').map(|(key, value)| (key.trim().to_owned(), Value::String(value.to_owned())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        let Value::Object(map) = value else { panic!("an object") };
        Fields(map)
    }

    #[test]
    fn parameters_are_read_in_every_form_clients_send() {
        let fields = fields(json!({
            "null": null, "list": "a, b,,c", "array": ["x", 1], "ttl": "1h", "seconds": 90,
            "yes": "true", "number": "7", "pairs": ["a=1", "b=2"], "object": {"k": 1}, "deep": [[]]
        }));
        assert_eq!(fields.text("null").unwrap(), None);
        assert_eq!(fields.list("list").unwrap().unwrap(), ["a", "b", "c"]);
        assert_eq!(fields.list("array").unwrap().unwrap(), ["x", "1"]);
        assert_eq!(fields.duration("ttl").unwrap(), Some(Duration::from_secs(3600)));
        assert_eq!(fields.duration("seconds").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(fields.boolean("yes").unwrap(), Some(true));
        assert_eq!(fields.integer("number").unwrap(), Some(7));
        assert_eq!(fields.map("pairs").unwrap().unwrap().len(), 2);
        assert_eq!(fields.text_map("object").unwrap().unwrap()["k"], "1");
        assert!(fields.list("deep").is_err());
        assert!(fields.duration("list").is_err());
    }
}
