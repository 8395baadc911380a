//! Answers made of JSON.

use serde::Serialize;
use serde_json::Value;
use strongroom_kernel::{Data, Error, Response};

/// An answer whose data is this object.
pub(crate) fn object(mut value: Value) -> Response {
    let data = value.as_object_mut().map(std::mem::take).unwrap_or_default();
    Response { data: Data::Map(data), ..Response::default() }
}

/// An answer whose data is written as text at once: for what is long.
pub(crate) fn text(value: &impl Serialize) -> Result<Response, Error> {
    let raw = serde_json::value::to_raw_value(value)
        .map_err(|error| Error::internal(format!("JSON cannot be written: {:?}", error.classify())))?;
    Ok(Response { data: Data::Json(raw), ..Response::default() })
}
