//! `delete/`, `undelete/` and `destroy/`: what becomes of versions that a request names.

use super::row::{self, Stored};
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
    let Some(mut stored) = row::read(call)? else { return Ok(Response::default()) };
    for number in numbers {
        change_one(call, &mut stored, number, change)?;
    }
    stored.header.updated = call.now;
    let current = stored.header.current();
    let is_destroyed = stored.header.version(current).is_some_and(|version| version.is_destroyed);
    let payload = if is_destroyed { &[] } else { stored.payload() };
    row::write(call, &stored.header, payload)?;
    Ok(Response::default())
}

fn change_one(call: &mut Call<'_>, stored: &mut Stored, number: u64, change: Change) -> Result<(), Error> {
    let now = call.now;
    let current = stored.header.current();
    let Some(version) = stored.header.version_mut(number).filter(|version| !version.is_destroyed) else {
        return Ok(());
    };
    match change {
        Change::Delete if version.is_deleted(now) => {}
        Change::Delete => version.delete(now),
        Change::Undelete => version.undelete(),
        Change::Destroy => {
            version.is_destroyed = true;
            if number != current {
                let key = row::version_key(call, number);
                call.tx.delete(&key)?;
            }
        }
    }
    Ok(())
}
