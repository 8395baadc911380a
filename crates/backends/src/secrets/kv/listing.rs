//! Lists of names, flat and deep.

use crate::listing::page;
use strongroom_kernel::{Call, Error, Key, Response};

/// Names that one deep list goes through; whoever has more lists a folder at a time.
const NAMES_MAX: usize = 1_000_000;

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
