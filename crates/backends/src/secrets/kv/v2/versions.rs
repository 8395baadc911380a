//! `delete/`, `undelete/` and `destroy/`: what becomes of versions that a request names.

use super::row::{self, Draft};
use strongroom_kernel::{Call, Error, Response};

/// What happens to one version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Delete,
    Undelete,
    Destroy,
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    change(call, Change::Delete)
}

pub(super) fn undelete(call: &mut Call<'_>) -> Result<Response, Error> {
    change(call, Change::Undelete)
}

pub(super) fn destroy(call: &mut Call<'_>) -> Result<Response, Error> {
    change(call, Change::Destroy)
}

/// Versions that there are not are passed over, as in Vault.
fn change(call: &mut Call<'_>, change: Change) -> Result<Response, Error> {
    let numbers = call
        .fields()
        .integers("versions")?
        .filter(|numbers| !numbers.is_empty())
        .ok_or_else(|| Error::invalid("no version number provided"))?;
    let Some(stored) = row::read(call)? else { return Ok(Response::default()) };
    let mut draft = Draft::of(stored);
    for number in numbers {
        change_one(call, &mut draft, number, change)?;
    }
    draft.header.updated = call.now;
    draft.write(call)?;
    Ok(Response::default())
}

fn change_one(call: &mut Call<'_>, draft: &mut Draft, number: u64, change: Change) -> Result<(), Error> {
    let now = call.now;
    let Some(version) = draft.header.version_mut(number).filter(|version| !version.is_destroyed) else {
        return Ok(());
    };
    match change {
        Change::Delete if version.is_deleted(now) => {}
        Change::Delete => version.delete(now),
        Change::Undelete => version.undelete(),
        Change::Destroy => {
            version.is_destroyed = true;
            draft.destroy(call, number)?;
        }
    }
    Ok(())
}
