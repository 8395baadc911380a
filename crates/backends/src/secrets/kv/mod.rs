//! The key-value store: version 1 keeps one value per path, version 2 keeps versions and metadata.

mod listing;
mod payload;
mod v1;
mod v2;

pub(crate) use v1::V1;
pub(crate) use v2::V2;

use serde_json::{Map, Value};
use strongroom_kernel::{Call, Error, fingerprints};

/// The index of a new mount is whole. Writes the mount's version option as text, however it was given.
fn enable(call: &mut Call<'_>, options: &mut Map<String, Value>) -> Result<(), Error> {
    if let Some(version @ Value::Number(_)) = options.get_mut("version") {
        *version = Value::String(version.to_string());
    }
    fingerprints::begin(call)
}

/// The path to be written: a name, not a folder.
fn writable_path<'c>(call: &'c Call<'_>) -> Result<&'c str, Error> {
    let path = call.capture("path");
    if path.ends_with('/') {
        return Err(Error::invalid("cannot write to a path ending in '/'"));
    }
    Ok(path)
}
