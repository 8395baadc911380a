//! The rows of incidents, in their namespace.

use super::model::Incident;
use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::transaction::{Key, Record, Table, Tx};

const INCIDENTS: Table = Table(60);

impl Record for Incident {}

fn table(tx: &Tx<'_>, namespace: u64) -> Key {
    tx.table(kernel_space(namespace), INCIDENTS)
}

fn key(tx: &Tx<'_>, namespace: u64, id: &str) -> Key {
    tx.name_key(&table(tx, namespace), id)
}

pub(super) fn read(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<Option<Incident>, Error> {
    let key = key(tx, namespace, id);
    tx.record(&key)
}

pub(crate) fn save(tx: &mut Tx<'_>, namespace: u64, incident: &Incident) -> Result<(), Error> {
    let key = key(tx, namespace, &incident.id);
    tx.put_record(&key, incident)
}

pub(super) fn remove(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<(), Error> {
    let key = key(tx, namespace, id);
    tx.delete(&key)
}

pub(super) fn all(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<Incident>, Error> {
    let table = table(tx, namespace);
    tx.records(&table)
}

pub(super) fn count(tx: &mut Tx<'_>, namespace: u64) -> Result<u64, Error> {
    let table = table(tx, namespace);
    tx.count_entries(&table)
}
