//! The rows of incidents, in their namespace.

use super::change::{Act, By, Change};
use super::model::{Evidence, Incident, StepKind, StepState};
use super::webhook_name;
use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::transaction::{Key, Record, Table, Tx};
use strongroom_secret::Timestamp;

const INCIDENTS: Table = Table(60);

impl Record for Incident {}

fn table(tx: &Tx<'_>, namespace: u64) -> Key {
    tx.table(kernel_space(namespace), INCIDENTS)
}

fn key(tx: &Tx<'_>, namespace: u64, id: &str) -> Key {
    tx.name_key(&table(tx, namespace), id)
}

pub(crate) fn read(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<Option<Incident>, Error> {
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

/// Notes that somebody was told of an incident, or could not be for as long as it was tried.
pub(crate) fn note_told(
    tx: &mut Tx<'_>,
    namespace: u64,
    id: &str,
    url: &str,
    failed: Option<&str>,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(mut incident) = read(tx, namespace, id)? else { return Ok(()) };
    let (by, seen) = (By { name: "server", at: now }, incident.revision);
    let step = incident.step(StepKind::Notify);
    let goes_on = step.is_some_and(|step| matches!(step.state, StepState::UnderWay | StepState::Failed));
    let of = webhook_name(url);
    let change = match failed {
        None if goes_on && incident.closed.is_none() => {
            let evidence = Evidence { of, text: "told".to_owned(), at: now };
            Change::Step { step: StepKind::Notify, act: Act::Progress { evidence: vec![evidence] } }
        }
        None => Change::Note { text: format!("{of} was told") },
        Some(why) => Change::Note { text: format!("{of} could not be told, and is not any more: {why}") },
    };
    match incident.apply(change, by, seen) {
        Ok(()) => save(tx, namespace, &incident),
        Err(_) => Ok(()),
    }
}
