//! What rotation asks of secrets: reading the current version, and writing one, whatever check-and-set says.

use super::data::add_version;
use super::{config, row};
use strongroom_kernel::rotation::{Kept, SecretFunctions};
use strongroom_kernel::{Call, Error};
use strongroom_secret::SecretBytes;

pub(super) static FUNCTIONS: SecretFunctions =
    SecretFunctions { policy_path: |path| format!("data/{path}"), read, write };

fn read(call: &mut Call<'_>) -> Result<Kept, Error> {
    let Some(stored) = row::read(call)? else {
        return Ok(Kept { version: 0, payload: None, withheld: Vec::new() });
    };
    let header = &stored.header;
    let is_withheld = |version: &row::Version| header.is_withheld(version, call.now);
    let withheld = header.numbered().filter(|(_, version)| is_withheld(version)).map(|(number, _)| number);
    let withheld: Vec<u64> = withheld.collect();
    let version = header.current();
    let is_there = version > 0 && !withheld.contains(&version);
    let payload = is_there.then(|| SecretBytes::new(stored.payload().to_vec()));
    Ok(Kept { version, payload, withheld })
}

fn write(call: &mut Call<'_>, payload: SecretBytes) -> Result<u64, Error> {
    let config = config::load(call)?;
    let stored = row::read(call)?;
    let current = stored.as_ref().map_or(0, |stored| stored.header.current());
    add_version(call, stored, payload, &config, None)?;
    Ok(current + 1)
}
