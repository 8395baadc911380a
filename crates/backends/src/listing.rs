//! Pages of names, the same for every list.

use crate::routing::field;
use strongroom_kernel::{Call, Error, Field, FieldKind, Response};

pub(crate) const AFTER: Field =
    field("after", FieldKind::Text, "Start after this name. For lists, with or without `limit`.");
pub(crate) const LIMIT: Field = field("limit", FieldKind::Integer, "The most names to give. All by default.");

/// Answers with the part of sorted names that the request asks for.
pub(crate) fn page(call: &Call<'_>, mut names: Vec<String>) -> Result<Response, Error> {
    if let Some(after) = call.fields().text("after")? {
        names.retain(|name| *name > after);
    }
    let limit = call.fields().integer("limit")?.and_then(|limit| usize::try_from(limit).ok());
    if let Some(limit) = limit.filter(|limit| *limit > 0) {
        names.truncate(limit);
    }
    Response::keys(names)
}
