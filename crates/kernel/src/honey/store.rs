//! The rows of honey: in its namespace what is planted, in the root namespace the tags of all, so that opening a server reads
//! one range.

use super::record::Planted;
use super::{Name, Tag};
use crate::error::Error;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::transaction::{Key, Record, Table, Tx, decode};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::ControlFlow;

const PLANTED: Table = Table(61);
const TAGS: Table = Table(62);

/// Of one honey: those of the texts of its first versions.
const TAGS_MAX: usize = 256;

/// What a tag stands for.
#[derive(Debug, Serialize, Deserialize)]
struct Tagged {
    namespace: u64,
    name: String,
}

impl Record for Tagged {}

fn table(tx: &Tx<'_>, namespace: u64) -> Key {
    tx.table(kernel_space(namespace), PLANTED)
}

fn tags(tx: &Tx<'_>) -> Key {
    tx.table(kernel_space(ROOT_NAMESPACE), TAGS)
}

pub(super) fn read(tx: &mut Tx<'_>, name: &Name) -> Result<Option<Planted>, Error> {
    let key = tx.name_key(&table(tx, name.namespace), &name.name);
    tx.record(&key)
}

pub(super) fn save(tx: &mut Tx<'_>, namespace: u64, planted: &Planted) -> Result<(), Error> {
    let key = tx.name_key(&table(tx, namespace), &planted.name);
    tx.put_record(&key, planted)
}

pub(super) fn all(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<Planted>, Error> {
    let table = table(tx, namespace);
    tx.records(&table)
}

/// Puts the tags into the index; false if another honey has one of them.
pub(super) fn add_tags(tx: &mut Tx<'_>, namespace: u64, planted: &Planted) -> Result<bool, Error> {
    for tag in &planted.tags {
        let key = tag_key(tx, tag);
        let known: Option<Tagged> = tx.record(&key)?;
        if known.is_some_and(|known| (known.namespace, &known.name) != (namespace, &planted.name)) {
            return Ok(false);
        }
        tx.put_record(&key, &Tagged { namespace, name: planted.name.clone() })?;
    }
    Ok(true)
}

/// Adds the tags of texts of a fake, but those that another honey has: the first stands for them.
pub(super) fn add_texts(
    tx: &mut Tx<'_>,
    namespace: u64,
    planted: &mut Planted,
    texts: &[Tag],
) -> Result<(), Error> {
    for tag in texts.iter().map(hex::encode) {
        if planted.tags.len() >= TAGS_MAX || planted.tags.contains(&tag) {
            continue;
        }
        let key = tag_key(tx, &tag);
        if tx.record::<Tagged>(&key)?.is_none() {
            tx.put_record(&key, &Tagged { namespace, name: planted.name.clone() })?;
            planted.tags.push(tag);
        }
    }
    Ok(())
}

pub(super) fn remove(tx: &mut Tx<'_>, namespace: u64, planted: &Planted) -> Result<(), Error> {
    for tag in &planted.tags {
        let key = tag_key(tx, tag);
        tx.delete(&key)?;
    }
    let key = tx.name_key(&table(tx, namespace), &planted.name);
    tx.delete(&key)
}

fn tag_key(tx: &Tx<'_>, tag: &str) -> Key {
    tx.id_key(&tags(tx), &hex::decode(tag).unwrap_or_default())
}

/// The tags of all namespaces.
pub(super) fn index(tx: &mut Tx<'_>) -> Result<HashMap<Tag, Name>, Error> {
    let tags = tags(tx);
    let mut index = HashMap::new();
    tx.entries(&tags, &mut |rest, value| {
        let Tagged { namespace, name } = decode(value)?;
        if let Ok(tag) = Tag::try_from(rest) {
            index.insert(tag, Name { namespace, name });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(index)
}

/// Removes tags whose honey went with its namespace.
pub(super) fn forget(tx: &mut Tx<'_>, name: &Name) -> Result<(), Error> {
    let tags = tags(tx);
    let mut orphans = Vec::new();
    tx.entries(&tags, &mut |rest, value| {
        let tagged: Tagged = decode(value)?;
        if (tagged.namespace, tagged.name) == (name.namespace, name.name.clone()) {
            orphans.push(rest.to_vec());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for rest in orphans {
        let key = tx.entry_key(&tags, &rest);
        tx.delete(&key)?;
    }
    Ok(())
}

/// Notes that somebody was told of a use, or could not be yet.
pub(crate) fn note_told(
    tx: &mut Tx<'_>,
    namespace: u64,
    name: &str,
    failed: Option<&str>,
    now: strongroom_secret::Timestamp,
) -> Result<(), Error> {
    let name = Name { namespace, name: name.to_owned() };
    let Some(mut planted) = read(tx, &name)? else { return Ok(()) };
    match failed {
        None => (planted.told, planted.not_told) = (Some(now), String::new()),
        Some(why) => why.clone_into(&mut planted.not_told),
    }
    save(tx, namespace, &planted)
}
