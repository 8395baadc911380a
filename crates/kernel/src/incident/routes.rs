//! `sys/incidents`.

use super::change::{Act, By, Change, Refusal, is_id};
use super::model::{Evidence, Facts, Incident, StepKind};
use super::{new_id, store, webhook_name};
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::notices::{self, Notice, Recipient, Subject};
use crate::request::{Data, Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use strongroom_crypto::token::uuid_v4;

/// Of one namespace. Closed ones can be removed.
const INCIDENTS_MAX: u64 = 10_000;

const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

const fn method(operation: Operation, run: Run, summary: &'static str) -> Method {
    Method { operation, run, summary }
}

const ID: Field = field("id", FieldKind::Text, "The incident.");
const REVISION: Field =
    field("revision", FieldKind::Integer, "The revision that was seen; another one is refused.");
const FACTS: Field = field(
    "facts",
    FieldKind::Map,
    "What is known: secrets, findings, readers, accesses, leases, accessors, unknown. Never a value.",
);

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "incidents/?",
        summary: "Secrets that got out, and what is done about it.",
        access: Access::Token,
        fields: &[field("title", FieldKind::Text, "What happened, in a line."), FACTS],
        methods: &[
            method(Operation::Read, Run::Read(list), "List all, the newest first."),
            method(Operation::List, Run::Read(list), "The same."),
            method(Operation::Write, Run::Write(open), "Open one."),
        ],
        exists: None,
    },
    Route {
        pattern: "incidents/{id}",
        summary: "One incident: what is known, the steps, the history.",
        access: Access::Token,
        fields: &[ID],
        methods: &[
            method(Operation::Read, Run::Read(read), "Read it."),
            method(Operation::Delete, Run::Write(delete), "Remove one that is closed."),
        ],
        exists: None,
    },
    Route {
        pattern: "incidents/{id}/step/{step}",
        summary: "A step of an incident: revoke, rotate, purge, rescan, notify, post-mortem.",
        access: Access::Token,
        fields: &[
            ID,
            field("step", FieldKind::Text, "Which."),
            field("act", FieldKind::Text, "begin, progress, done, skip, fail or reopen."),
            field("take_over", FieldKind::Boolean, "Begin what somebody else has begun."),
            field("reason", FieldKind::Text, "Why it is skipped, failed or is to be done again."),
            field("evidence", FieldKind::Any, "What shows that it was done: a list of {of, text}."),
            REVISION,
        ],
        methods: &[method(Operation::Write, Run::Write(step), "Change its state.")],
        exists: None,
    },
    Route {
        pattern: "incidents/{id}/facts",
        summary: "What is known of an incident.",
        access: Access::Token,
        fields: &[ID, FACTS, REVISION],
        methods: &[method(Operation::Write, Run::Write(learn), "Add to it.")],
        exists: None,
    },
    Route {
        pattern: "incidents/{id}/note",
        summary: "The history of an incident.",
        access: Access::Token,
        fields: &[ID, field("text", FieldKind::Text, "What is to be remembered."), REVISION],
        methods: &[method(Operation::Write, Run::Write(note), "Add a line to it.")],
        exists: None,
    },
    Route {
        pattern: "incidents/{id}/close",
        summary: "The end of an incident.",
        access: Access::Token,
        fields: &[
            ID,
            field("note", FieldKind::Text, "What came of it."),
            field("force", FieldKind::Boolean, "Although steps are neither done nor skipped; needs a note."),
            REVISION,
        ],
        methods: &[method(Operation::Write, Run::Write(close), "Close it.")],
        exists: None,
    },
    Route {
        pattern: "incidents/{id}/notify",
        summary: "Who is told of an incident.",
        access: Access::Token,
        fields: &[
            ID,
            field("webhook", FieldKind::Text, "Who is told: https://…"),
            field("ca_file", FieldKind::Text, "A PEM file of authorities on the server."),
            field("webhook_key", FieldKind::Text, "The key that signs, whsec_…; made where none is given."),
        ],
        methods: &[method(
            Operation::Write,
            Run::Write(notify),
            "Tell a webhook, again and again until it hears; the step's evidence says when it did.",
        )],
        exists: None,
    },
    Route {
        pattern: "incidents/{id}/reopen",
        summary: "An incident that is not over after all.",
        access: Access::Token,
        fields: &[ID, field("reason", FieldKind::Text, "Why."), REVISION],
        methods: &[method(Operation::Write, Run::Write(reopen), "Reopen it.")],
        exists: None,
    },
];

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut incidents = store::all(&mut call.tx, call.namespace.id())?;
    incidents.sort_by(|a, b| (b.opened, &b.id).cmp(&(a.opened, &a.id)));
    let keys: Vec<&str> = incidents.iter().map(|incident| incident.id.as_str()).collect();
    let info: Map<String, Value> =
        incidents.iter().map(|incident| (incident.id.clone(), summary(incident))).collect();
    Ok(Response::data(Map::from_iter([
        ("keys".to_owned(), json!(keys)),
        ("key_info".to_owned(), info.into()),
    ])))
}

fn summary(incident: &Incident) -> Value {
    json!({
        "title": incident.title,
        "state": incident.progress().as_str(),
        "next": incident.next().map(|step| step.kind.as_str()),
        "opened": incident.opened.rfc3339(),
        "opened_by": incident.opened_by,
        "closed": incident.closed.as_ref().map(|closing| closing.at.rfc3339()),
        "revision": incident.revision,
    })
}

fn open(call: &mut Call<'_>) -> Result<Response, Error> {
    let namespace = call.namespace.id();
    let title = call.fields().required_text("title")?;
    let facts = part::<Facts>(call, "facts")?.unwrap_or_default();
    if store::count(&mut call.tx, namespace)? >= INCIDENTS_MAX {
        return Err(Error::invalid(format!(
            "there are {INCIDENTS_MAX} incidents: remove some that are closed"
        )));
    }
    let id = new_id(call.entropy(), call.now);
    let name = asker(call);
    let incident = Incident::open(id, &title, facts, By { name: &name, at: call.now }).map_err(refused)?;
    store::save(&mut call.tx, namespace, &incident)?;
    shown(&incident)
}

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let incident = found(call)?;
    let subject = Subject::Incident { namespace: call.namespace.id(), id: incident.id.clone() };
    let waiting = notices::waiting(&mut call.tx, &subject)?;
    let waiting: Vec<Value> = waiting
        .iter()
        .map(|notice| json!({ "host": notice.host(), "attempts": notice.attempts, "error": notice.error }))
        .collect();
    let mut response = shown(&incident)?;
    if let Data::Map(map) = &mut response.data {
        map.insert("notices_waiting".to_owned(), waiting.into());
    }
    Ok(response)
}

/// Who was told, or is being told already, is not told again: whoever asks may have died before the answer came.
fn notify(call: &mut Call<'_>) -> Result<Response, Error> {
    let incident = found(call)?;
    let recipient = Recipient::of_fields(call)?.ok_or_else(|| Error::invalid("missing webhook"))?;
    let of = webhook_name(recipient.target.url.as_str());
    let told = incident.step(StepKind::Notify).and_then(|step| step.evidence.iter().find(|one| one.of == of));
    if let Some(told) = told {
        let at = told.at.rfc3339();
        return Ok(Response::data(Map::from_iter([
            ("of".to_owned(), of.into()),
            ("told".to_owned(), at.into()),
        ])));
    }
    let subject = Subject::Incident { namespace: call.namespace.id(), id: incident.id.clone() };
    let waiting = notices::waiting(&mut call.tx, &subject)?;
    if let Some(notice) = waiting.iter().find(|notice| notice.url() == recipient.target.url) {
        return Ok(Response::data(asked(notice, of)));
    }
    let key = (!call.fields().has("webhook_key")).then(|| recipient.key_text());
    let id = format!("{}-{}", incident.id, uuid_v4(call.entropy()));
    let notice = Notice::new(id, subject, recipient, incident.message().to_string(), call.now);
    notices::put(&mut call.tx, &notice)?;
    let mut answer = asked(&notice, of);
    answer.insert("webhook_key".to_owned(), key.into());
    Ok(Response::data(answer))
}

fn asked(notice: &Notice, of: String) -> Map<String, Value> {
    Map::from_iter([
        ("notice".to_owned(), notice.id.as_str().into()),
        ("host".to_owned(), notice.host().into()),
        ("of".to_owned(), of.into()),
        ("error".to_owned(), notice.error.as_str().into()),
    ])
}

fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let incident = found(call)?;
    if incident.closed.is_none() {
        return Err(Error::invalid("an incident is removed once it is closed"));
    }
    store::remove(&mut call.tx, call.namespace.id(), &incident.id)?;
    Ok(Response::default())
}

fn step(call: &mut Call<'_>) -> Result<Response, Error> {
    let kind = StepKind::named(call.capture("step")).ok_or_else(|| {
        let all = StepKind::ALL.map(StepKind::as_str).join(", ");
        Error::invalid(format!("there is no such step: the steps are {all}"))
    })?;
    let reason = call.fields().text("reason")?.unwrap_or_default();
    let evidence = part::<Vec<Evidence>>(call, "evidence")?.unwrap_or_default();
    let take_over = call.fields().boolean("take_over")? == Some(true);
    let act = match call.fields().required_text("act")?.as_str() {
        "begin" => Act::Begin { take_over },
        "progress" => Act::Progress { evidence },
        "done" => Act::Done { evidence },
        "skip" => Act::Skip { reason },
        "fail" => Act::Fail { reason },
        "reopen" => Act::Reopen { reason },
        _ => return Err(Error::invalid("act must be begin, progress, done, skip, fail or reopen")),
    };
    change(call, Change::Step { step: kind, act })
}

fn learn(call: &mut Call<'_>) -> Result<Response, Error> {
    let facts = part::<Facts>(call, "facts")?.ok_or_else(|| Error::invalid("missing facts"))?;
    change(call, Change::Learn { facts: Box::new(facts) })
}

fn note(call: &mut Call<'_>) -> Result<Response, Error> {
    let text = call.fields().required_text("text")?;
    change(call, Change::Note { text })
}

fn close(call: &mut Call<'_>) -> Result<Response, Error> {
    let note = call.fields().text("note")?.unwrap_or_default();
    let force = call.fields().boolean("force")? == Some(true);
    change(call, Change::Close { note, force })
}

fn reopen(call: &mut Call<'_>) -> Result<Response, Error> {
    let reason = call.fields().required_text("reason")?;
    change(call, Change::Reopen { reason })
}

fn change(call: &mut Call<'_>, change: Change) -> Result<Response, Error> {
    let mut incident = found(call)?;
    let seen = call.fields().count("revision")?.ok_or_else(|| {
        Error::invalid(
            "missing revision: the one that was seen, so that two people do not undo each other's work",
        )
    })?;
    let name = asker(call);
    incident.apply(change, By { name: &name, at: call.now }, seen).map_err(refused)?;
    store::save(&mut call.tx, call.namespace.id(), &incident)?;
    shown(&incident)
}

fn found(call: &mut Call<'_>) -> Result<Incident, Error> {
    let id = call.capture("id").to_owned();
    let missing = || Error { messages: vec![format!("there is no incident {id:?}")], ..Error::not_found() };
    if !is_id(&id) {
        return Err(missing());
    }
    store::read(&mut call.tx, call.namespace.id(), &id)?.ok_or_else(missing)
}

/// A part of the request by its type. The error says where, never what was sent.
fn part<T: DeserializeOwned>(call: &Call<'_>, name: &str) -> Result<Option<T>, Error> {
    let Some(value) = call.fields().value(name) else { return Ok(None) };
    let read = match value {
        Value::String(text) => serde_json::from_str(text),
        value => serde_json::from_value(value.clone()),
    };
    read.map(Some).map_err(|error| {
        let hint = error.to_string();
        // Names of fields are ours; what stands in quotation marks could be the client's.
        let hint = hint.split(['"', '`']).next().unwrap_or_default().trim();
        Error::invalid(format!("{name} has another form than is expected: {hint}"))
    })
}

fn shown(incident: &Incident) -> Result<Response, Error> {
    match serde_json::to_value(incident) {
        Ok(Value::Object(mut map)) => {
            map.insert("state".to_owned(), incident.progress().as_str().into());
            Ok(Response::data(map))
        }
        _ => Err(Error::internal("an incident cannot be written")),
    }
}

/// The caller's name, for the history.
fn asker(call: &Call<'_>) -> String {
    call.caller.as_ref().map(|caller| caller.token.display_name.clone()).unwrap_or_default()
}

fn refused(refusal: Refusal) -> Error {
    let kind = match refusal {
        Refusal::Revision { .. } | Refusal::Closed | Refusal::NotClosed | Refusal::Step(_) => {
            ErrorKind::PreconditionFailed
        }
        Refusal::Unsettled(_) | Refusal::Invalid(_) => ErrorKind::Invalid,
    };
    Error::new(kind, refusal.to_string())
}
