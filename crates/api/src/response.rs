use crate::secret_text;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use strongroom_secret::SecretString;

/// The envelope of nearly every answer.
///
/// Source: <https://developer.hashicorp.com/vault/api-docs>. Serialized in the order in which the `vault` command
/// prints it. Printing it with `Debug` shows the names in `data`, never a value.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    pub request_id: String,
    pub lease_id: String,
    /// Seconds.
    #[serde(deserialize_with = "null_is_default")]
    pub lease_duration: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub renewable: bool,
    pub data: Option<Map<String, Value>>,
    pub warnings: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrap_info: Option<WrapInfo>,
}

/// What a login or a token creation gives.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    #[serde(with = "secret_text")]
    pub client_token: SecretString,
    pub accessor: String,
    #[serde(deserialize_with = "null_is_default")]
    pub policies: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub token_policies: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub identity_policies: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub metadata: Map<String, Value>,
    pub orphan: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub entity_id: String,
    /// Seconds; 0 for a token without end.
    pub lease_duration: i64,
    pub renewable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa_requirement: Option<Value>,
}

/// A wrapped answer: the token that opens it, and what is known about it without opening.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WrapInfo {
    #[serde(with = "secret_text")]
    pub token: SecretString,
    pub accessor: String,
    /// Seconds.
    pub ttl: i64,
    pub creation_time: String,
    pub creation_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wrapped_accessor: String,
}

/// The body of a failed request. `hint` is ours: what the caller can do about it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    #[serde(deserialize_with = "null_is_default")]
    pub errors: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Response {
    /// Reads an answer. A body without an envelope (as of `sys/health`) becomes `data` as it is.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let value: Value = serde_json::from_slice(body)?;
        let Value::Object(fields) = value else {
            return Self::deserialize(value);
        };
        if fields.keys().any(|name| ENVELOPE.contains(&name.as_str())) {
            return Self::deserialize(Value::Object(fields));
        }
        Ok(Self { data: Some(fields), ..Self::default() })
    }

    /// Whether the answer says anything, as a 404 with data (a deleted version) or warnings does.
    pub fn is_empty(&self) -> bool {
        let no_data = self.data.as_ref().is_none_or(Map::is_empty);
        let no_warnings = self.warnings.as_ref().is_none_or(Vec::is_empty);
        no_data && no_warnings && self.auth.is_none() && self.wrap_info.is_none()
    }

    /// One field of `data`.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.data.as_ref()?.get(name)
    }

    /// The text of one field of `data`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_str()
    }

    /// `data.keys` of a list.
    pub fn keys(&self) -> Vec<&str> {
        let keys = self.field("keys").and_then(Value::as_array);
        keys.map(|keys| keys.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
}

/// Names that only an envelope has at the top. `sys/seal-status` and its like have none of them.
const ENVELOPE: [&str; 5] = ["request_id", "lease_id", "data", "auth", "wrap_info"];

pub(crate) fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.data.iter().flat_map(Map::keys).collect();
        f.debug_struct("Response")
            .field("request_id", &self.request_id)
            .field("data", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("accessor", &self.accessor).finish_non_exhaustive()
    }
}

impl fmt::Debug for WrapInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrapInfo").field("accessor", &self.accessor).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_read_with_nulls_and_unknown_names() {
        let body = br#"{"request_id":"r","lease_id":"","renewable":false,"lease_duration":0,
            "data":{"keys":["a","b/"]},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}"#;
        let response = Response::parse(body).unwrap();
        assert_eq!(response.keys(), ["a", "b/"]);
        assert!(!response.is_empty());
    }

    #[test]
    fn a_body_without_envelope_is_its_own_data() {
        let response = Response::parse(br#"{"sealed":true,"t":3}"#).unwrap();
        assert_eq!(response.field("sealed"), Some(&Value::Bool(true)));
    }

    #[test]
    fn debug_shows_names_only() {
        let response = Response::parse(br#"{"request_id":"r","data":{"password":"not-real"}}"#).unwrap();
        let text = format!("{response:?}");
        assert!(text.contains("password") && !text.contains("not-real"), "{text}");
    }

    #[test]
    fn bodies_that_are_not_answers_are_errors() {
        for body in [&b"<html>"[..], b"[1", b"7", b"\"x\"", b""] {
            assert!(Response::parse(body).is_err());
        }
    }
}
