//! `subkeys/`: the names in a secret, without its values.

use super::data::{VersionAnswer, describe, wanted_version};
use super::row;
use crate::secrets::kv::payload;
use serde::Serialize;
use serde_json::{Map, Value};
use strongroom_kernel::{Call, Data, Error, Response};

#[derive(Serialize)]
struct SubkeysAnswer<'h> {
    metadata: VersionAnswer<'h>,
    subkeys: Option<Map<String, Value>>,
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let depth_max = match call.fields().count("depth")? {
        None | Some(0) => u64::MAX,
        Some(depth) => depth,
    };
    let stored = row::read(call)?.ok_or_else(Error::not_found)?;
    let number = wanted_version(call, &stored.header)?;
    let version = stored.header.version(number).ok_or_else(Error::not_found)?;
    let metadata = describe(&stored.header, number, version, call);
    if stored.header.is_withheld(version, call.now) {
        let data = Data::Json(payload::answer(&SubkeysAnswer { metadata, subkeys: None })?);
        return Ok(Response { data, status: Some(404), ..Response::default() });
    }
    let text = row::payload_of(call, &stored, number)?;
    let subkeys = names(payload::parse(text.expose())?.get(), depth_max)?;
    let data = Data::Json(payload::answer(&SubkeysAnswer { metadata, subkeys: Some(subkeys) })?);
    Ok(Response { data, ..Response::default() })
}

/// The object with every value that is not itself an object, and every object below `depth`, as null.
fn names(object: &str, depth: u64) -> Result<Map<String, Value>, Error> {
    use serde_json::value::RawValue;
    let unreadable =
        |error: serde_json::Error| Error::internal(format!("a stored payload: {:?}", error.classify()));
    let members: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(object).map_err(unreadable)?;
    members
        .into_iter()
        .map(|(name, value)| {
            let below = match value.get().starts_with('{') && depth > 1 {
                true => Value::Object(names(value.get(), depth - 1)?),
                false => Value::Null,
            };
            Ok((name, below))
        })
        .collect()
}
