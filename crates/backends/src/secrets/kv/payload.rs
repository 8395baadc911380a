//! What a client writes, kept as the text it was written in: numbers, order and spelling stay.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use strongroom_kernel::{Error, Request};
use strongroom_secret::SecretBytes;

fn unwritable(error: &serde_json::Error) -> Error {
    Error::internal(format!("JSON cannot be written: {:?}", error.classify()))
}

/// A stored payload. It was JSON when it was stored.
pub(super) fn parse(bytes: &[u8]) -> Result<&RawValue, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::internal(format!("a stored payload is not JSON: {:?}", error.classify())))
}

/// The whole body as text; None for a request without fields.
pub(super) fn body_text(request: &Request) -> Result<Option<SecretBytes>, Error> {
    if request.fields.0.is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice::<&RawValue>(&request.body.0) {
        Ok(raw) if is_object(raw) => Ok(Some(raw.get().as_bytes().to_vec().into())),
        // Fields that came in another form than JSON, as in a query.
        _ => serde_json::to_vec(&request.fields.0)
            .map(|text| Some(text.into()))
            .map_err(|error| unwritable(&error)),
    }
}

/// The text of the body's `data`, which must be an object.
pub(super) fn data_text(request: &Request) -> Result<SecretBytes, Error> {
    #[derive(Deserialize)]
    struct Body<'b> {
        #[serde(borrow)]
        data: &'b RawValue,
    }
    let data = request.fields.value("data").ok_or_else(|| Error::invalid("no data provided"))?;
    if !data.is_object() {
        return Err(Error::invalid("field \"data\" must be an object"));
    }
    match serde_json::from_slice::<Body<'_>>(&request.body.0) {
        Ok(body) if is_object(body.data) => Ok(body.data.get().as_bytes().to_vec().into()),
        _ => serde_json::to_vec(data).map(SecretBytes::new).map_err(|error| unwritable(&error)),
    }
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// A JSON merge patch (RFC 7396): null removes, objects are merged, anything else replaces.
pub(super) fn merge(target: Option<&RawValue>, patch: &RawValue) -> Result<Box<RawValue>, Error> {
    if !is_object(patch) {
        return Ok(patch.to_owned());
    }
    let invalid = |error: serde_json::Error| Error::internal(format!("{:?}", error.classify()));
    let mut members: BTreeMap<String, Box<RawValue>> = match target.filter(|target| is_object(target)) {
        Some(target) => serde_json::from_str(target.get()).map_err(invalid)?,
        None => BTreeMap::new(),
    };
    let changes: BTreeMap<String, &RawValue> = serde_json::from_str(patch.get()).map_err(invalid)?;
    for (name, change) in changes {
        if change.get() == "null" {
            members.remove(&name);
        } else {
            let merged = merge(members.get(&name).map(|raw| &**raw), change)?;
            members.insert(name, merged);
        }
    }
    to_raw_value(&members).map_err(|error| unwritable(&error))
}

/// Serialises an answer that has payloads in it.
pub(super) fn answer<T: serde::Serialize>(answer: &T) -> Result<Box<RawValue>, Error> {
    to_raw_value(answer).map_err(|error| unwritable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, patch: &str, merged: &str) {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(merge(Some(&raw(target)), &raw(patch)).unwrap().get(), merged);
    }

    /// RFC 7396, appendix A.
    #[test]
    fn examples_of_rfc_7396() {
        check(r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#);
        check(r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#);
        check(r#"{"a":"b"}"#, r#"{"a":null}"#, "{}");
        check(r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#);
        check(r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#);
        check(r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#);
        check(r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#);
        check(r#"["a","b"]"#, r#"{"a":"b"}"#, r#"{"a":"b"}"#);
        check(r#"{"a":"foo"}"#, r#"{"b":{"c":{"d":null}}}"#, r#"{"a":"foo","b":{"c":{}}}"#);
        check(r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#);
        check(
            r#"{"n":12345678901234567890123.10}"#,
            r#"{"a":1e5}"#,
            r#"{"a":1e5,"n":12345678901234567890123.10}"#,
        );
    }
}
