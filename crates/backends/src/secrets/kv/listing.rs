//! Lists of names, flat and deep, in pages.

use crate::routing::field;
use strongroom_kernel::{Call, Error, Field, FieldKind, Key, Response};

/// Names that one deep list goes through; whoever has more lists a folder at a time.
const NAMES_MAX: usize = 1_000_000;

pub(super) const AFTER: Field =
    field("after", FieldKind::Text, "Start after this name. For lists, with or without `limit`.");
pub(super) const LIMIT: Field = field("limit", FieldKind::Integer, "The most names to give. All by default.");

/// The names directly below a folder.
pub(super) fn list(call: &mut Call<'_>, folder: &Key) -> Result<Response, Error> {
    let names = call.tx.children(folder)?;
    page(call, names)
}

/// The paths of everything below a folder, relative to it.
pub(super) fn scan(call: &mut Call<'_>, folder: &Key) -> Result<Response, Error> {
    let mut paths = call.tx.descendants(folder, NAMES_MAX + 1)?;
    if paths.len() > NAMES_MAX {
        return Err(Error::invalid(format!(
            "more than {NAMES_MAX} names stand below this folder: scan its subfolders one at a time"
        )));
    }
    // An entry of the folder's own name is not below it.
    paths.retain(|path| !path.is_empty());
    page(call, paths)
}

fn page(call: &Call<'_>, mut names: Vec<String>) -> Result<Response, Error> {
    if let Some(after) = call.fields().text("after")? {
        names.retain(|name| *name > after);
    }
    if let Some(limit) = call.fields().integer("limit")?.and_then(|limit| usize::try_from(limit).ok())
        && limit > 0
    {
        names.truncate(limit);
    }
    Response::keys(names)
}
