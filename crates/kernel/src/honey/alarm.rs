//! The alarm: uses that wait in memory become rows, an audit record, an incident and a notice.

use super::record::{Planted, Use};
use super::{Name, store};
use crate::audit::{About as AuditAbout, DataFacts, MountFacts, Record, RequestFacts};
use crate::effect::Effect;
use crate::error::Error;
use crate::incident::{self, Access, By, Change, Facts, Incident, LeakState, Leaked};
use crate::kernel::{Kernel, Open};
use crate::notices::{self, Notice, Subject};
use crate::transaction::{Intent, Tx};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const ATTEMPTS_MAX: u32 = 32;
/// Who opens incidents by themselves.
const BY: &str = "honey";

impl Kernel {
    /// Stores the uses that wait. What cannot be stored now waits on.
    pub(crate) fn store_honey(self: &Arc<Self>) {
        let uses = self.honey.take();
        if uses.is_empty() {
            return;
        }
        let stored = self.opened().and_then(|open| {
            self.record_honey(&open, &uses);
            self.try_to_store(&open, &uses)
        });
        match stored {
            Ok(()) => self.send_notices(),
            Err(error) => {
                if !self.is_sealed() {
                    tracing::error!(%error, detail = ?error.detail, "a use of honey cannot be stored now");
                }
                self.honey.give_back(uses);
            }
        }
    }

    fn try_to_store(self: &Arc<Self>, open: &Open, uses: &[(Name, Use)]) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut tx = self.begin(&open.keys, Intent::Write)?;
            for (name, used) in uses {
                raise(self, &mut tx, name, used)?;
            }
            tx.after_commit(Effect::Notices);
            if self.commit_change(tx)? {
                return Ok(());
            }
        }
        Err(strongroom_storage::CommitError::Conflict.into())
    }

    /// Records each use in the audit log. Where no device takes the record the alarm is raised all the same.
    fn record_honey(&self, open: &Open, uses: &[(Name, Use)]) {
        let Some(broker) = self.broker() else { return };
        for (name, used) in uses {
            tracing::warn!(honey = %name.name, how = %used.how, from = %used.from, "honey was used");
            let namespace = open.topology.namespace_by_id(name.namespace);
            let Value::Object(data) = used.shown() else { continue };
            let clear: Vec<String> = data.keys().cloned().collect();
            let path = format!("sys/honey/{}", name.name);
            let record = Record {
                time: self.now(),
                request: RequestFacts {
                    id: &used.request,
                    operation: "alarm",
                    namespace_id: namespace.map_or("", |namespace| &namespace.record.text_id),
                    namespace_path: namespace.map_or("", |namespace| namespace.path().as_str()),
                    path: &path,
                    data: DataFacts::Map(&data),
                    remote_address: used.from.parse().ok(),
                    ..RequestFacts::default()
                },
                mount: MountFacts {
                    point: "sys/",
                    kind: "system",
                    class: "secret",
                    clear_request_keys: &clear,
                    ..MountFacts::default()
                },
                ..Record::default()
            };
            if let Err(error) = broker.submit_about(&mut AuditAbout::default(), &[record]).wait() {
                tracing::error!(%error, "a use of honey could not be audited");
            }
        }
    }
}

fn raise(kernel: &Kernel, tx: &mut Tx<'_>, name: &Name, used: &Use) -> Result<(), Error> {
    let Some(mut planted) = store::read(tx, name)? else {
        // Its namespace is gone, or it was removed just now.
        store::forget(tx, name)?;
        tx.after_commit(Effect::Honey);
        return Ok(());
    };
    planted.add(used.clone());
    if planted.opens_incident {
        planted.incident = Some(note_incident(kernel, tx, name, &planted, used)?);
    }
    if let Some(recipient) = &planted.recipient {
        let message = message(&planted, used);
        let id = format!("honey-{}-{}-{}", planted.name, planted.uses, used.request);
        let notice = Notice::new(
            id,
            Subject::Honey { namespace: name.namespace, name: name.name.clone() },
            recipient.duplicate(),
            message.to_string(),
            kernel.now(),
        );
        notices::put(tx, &notice)?;
    }
    store::save(tx, name.namespace, &planted)
}

fn message(planted: &Planted, used: &Use) -> Value {
    let mut message = Map::from_iter([
        ("version".to_owned(), json!(1)),
        ("type".to_owned(), json!("honey.used")),
        ("honey".to_owned(), json!(planted.name)),
        ("note".to_owned(), json!(planted.note)),
        ("uses".to_owned(), json!(planted.uses)),
        ("incident".to_owned(), json!(planted.incident)),
        ("use".to_owned(), used.shown()),
    ]);
    if let Ok(Value::Object(kind)) = serde_json::to_value(&planted.kind) {
        message.extend(kind);
    }
    message.into()
}

/// Opens an incident, or adds to the one that is open.
fn note_incident(
    kernel: &Kernel,
    tx: &mut Tx<'_>,
    name: &Name,
    planted: &Planted,
    used: &Use,
) -> Result<String, Error> {
    let access = Access {
        time: used.time,
        who: if used.who.is_empty() { "nobody who is known here".to_owned() } else { used.who.clone() },
        entity: used.entity.clone(),
        accessor: used.accessor.clone(),
        from: used.from.clone(),
        operation: used.how.clone(),
        path: used.path.clone(),
        request: used.request.clone(),
        error: String::new(),
    };
    let by = By { name: BY, at: kernel.now() };
    let refused = |refusal: incident::Refusal| Error::internal(refusal.to_string());
    let facts = Facts { accesses: vec![access], ..Facts::default() };
    if let Some(id) = &planted.incident
        && let Some(mut open) = incident::read(tx, name.namespace, id)?
        && open.closed.is_none()
    {
        let seen = open.revision;
        open.apply(Change::Learn { facts: Box::new(facts) }, by, seen).map_err(refused)?;
        incident::save(tx, name.namespace, &open)?;
        return Ok(open.id);
    }
    let secret = Leaked {
        name: planted.name.clone(),
        state: LeakState::Live,
        kept_by: incident::KEPT_AS_HONEY.to_owned(),
        ..Leaked::default()
    };
    let facts = Facts { secrets: vec![secret], ..facts };
    let id = incident::new_id(kernel.entropy(), by.at);
    let title = format!("the honey {} was used from {}", planted.name, used.from);
    let opened = Incident::open(id, &title, facts, by).map_err(refused)?;
    incident::save(tx, name.namespace, &opened)?;
    Ok(opened.id)
}
