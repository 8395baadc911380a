//! `sys/outbox`: what was begun outside the store and neither finished nor undone yet.

use super::fields::{field, method};
use super::in_root_namespace;
use crate::call::Call;
use crate::error::Error;
use crate::mounts;
use crate::outbox::{self, Intent};
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use serde_json::{Map, Value, json};

const ID: &[Field] = &[field("id", FieldKind::Text, "The intent.")];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "outbox/?",
        summary: "What was begun outside the store and is not finished: under way, or to be undone.",
        access: Access::Sudo,
        fields: &[],
        methods: &[
            method(Operation::Read, Run::Read(list), "List all with what is known of them."),
            method(Operation::List, Run::Read(list), "The same."),
        ],
        exists: None,
    },
    Route {
        pattern: "outbox/{id}",
        summary: "One of them.",
        access: Access::Sudo,
        fields: ID,
        methods: &[
            method(Operation::Read, Run::Read(read), "Say what is known of it."),
            method(
                Operation::Delete,
                Run::Write(forget),
                "Forget it: what it was about is in order, or gone.",
            ),
        ],
        exists: None,
    },
    Route {
        pattern: "outbox/{id}/retry",
        summary: "Undo it now.",
        access: Access::Sudo,
        fields: ID,
        methods: &[method(Operation::Write, Run::Write(retry), "Try at once, and not when its time comes.")],
        exists: None,
    },
];

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    let mut intents = outbox::all(&mut call.tx)?;
    intents.sort_by(|a, b| (a.made, &a.id).cmp(&(b.made, &b.id)));
    let keys: Vec<&str> = intents.iter().map(|intent| intent.id.as_str()).collect();
    let info: Map<String, Value> =
        intents.iter().map(|intent| (intent.id.clone(), Value::Object(shown(call, intent)))).collect();
    Ok(Response::data(Map::from_iter([
        ("keys".to_owned(), json!(keys)),
        ("key_info".to_owned(), info.into()),
    ])))
}

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let intent = find(call)?;
    Ok(Response::data(shown(call, &intent)))
}

fn find(call: &mut Call<'_>) -> Result<Intent, Error> {
    in_root_namespace(call)?;
    let id = call.capture("id").to_owned();
    outbox::read(&mut call.tx, &id)?.ok_or_else(Error::not_found)
}

fn shown(call: &Call<'_>, intent: &Intent) -> Map<String, Value> {
    let mount = mounts::by_id(call.topology, intent.namespace, intent.mount);
    let namespace = call.topology.namespace_by_id(intent.namespace);
    let state = match (call.kernel.outbox.is_held(&intent.id), intent.attempts) {
        (true, 0) => "under way",
        (true, _) => "being undone",
        (false, _) => "to be undone",
    };
    let is_tried = intent.attempts > 0;
    Map::from_iter([
        ("id".to_owned(), json!(intent.id)),
        ("namespace".to_owned(), json!(namespace.map(|namespace| namespace.path().as_str()))),
        ("mount".to_owned(), json!(mount.as_ref().map(|mount| mount.path()))),
        ("kind".to_owned(), json!(intent.kind)),
        ("subject".to_owned(), json!(intent.subject)),
        ("state".to_owned(), json!(state)),
        ("made".to_owned(), json!(intent.made.rfc3339())),
        ("is_of_this_process".to_owned(), json!(intent.incarnation == call.kernel.outbox.incarnation)),
        ("attempts".to_owned(), json!(intent.attempts)),
        ("next_attempt".to_owned(), json!(is_tried.then(|| intent.next_attempt.rfc3339()))),
        ("last_error".to_owned(), json!(intent.last_error)),
    ])
}

fn forget(call: &mut Call<'_>) -> Result<Response, Error> {
    let intent = find(call)?;
    if call.kernel.outbox.is_held(&intent.id) {
        return Err(Error::invalid("it is under way: it can be forgotten once it has failed"));
    }
    tracing::warn!(kind = %intent.kind, subject = %intent.subject, "an unfinished intent is forgotten by request");
    outbox::forget(&mut call.tx, &intent.id)?;
    Ok(Response::default())
}

fn retry(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut intent = find(call)?;
    intent.next_attempt = call.now;
    outbox::save(&mut call.tx, &intent)?;
    Ok(Response::default())
}
