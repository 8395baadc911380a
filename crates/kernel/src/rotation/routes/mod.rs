//! `sys/rotation/`.

mod acts;
mod plans;
mod shown;

pub(crate) use plans::webhook_key;

use super::validate::validate;
use crate::call::Call;
use crate::error::Error;
use crate::request::Operation;
use crate::rotation::plan::{Place, Plan};
use crate::rotation::store;
use crate::route::{Access, Field, FieldKind, Method, Route, Run};

const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

const fn method(operation: Operation, run: Run, summary: &'static str) -> Method {
    Method { operation, run, summary }
}

const PATH: Field =
    field("path", FieldKind::Text, "The secret: its mount and its path there, as secret/app/db.");
const NOTE: Field = field("note", FieldKind::Text, "Why, for the history.");

const PLAN_FIELDS: &[Field] = &[
    PATH,
    field("field", FieldKind::Text, "The member of the secret that changes; empty: the whole secret."),
    field("every", FieldKind::Duration, "Rotate when so long has passed since the last rotation."),
    field("cron", FieldKind::Text, "Rotate by a cron line of five fields, in UTC."),
    field("at", FieldKind::Time, "Rotate once at this time."),
    field("after_reads", FieldKind::Integer, "Rotate after so many reads of the current version."),
    field("on_leak", FieldKind::Boolean, "Rotate when a leak is reported; true by default."),
    field("grace", FieldKind::Duration, "How long the value before stays valid; an hour by default."),
    field("leak_grace", FieldKind::Duration, "The same after a leak; none by default."),
    field(
        "generate",
        FieldKind::Any,
        "What makes the new value: password, token, uuid, ed25519, ecdsa-p256, rsa-2048, …, command.",
    ),
    field(
        "apply",
        FieldKind::Any,
        "Where it is applied: none, database, webhook or command; none by default.",
    ),
    field(
        "verify",
        FieldKind::Any,
        "How it is proven before it counts; a login where a database account is changed, none elsewhere.",
    ),
    field("notify", FieldKind::Any, "Who is told of a new version: a list of webhook, file, database."),
    field("timeout", FieldKind::Duration, "Of one step outside; 30 seconds by default."),
    field("attempts", FieldKind::Integer, "Of one step, before the rotation is rolled back; 5 by default."),
    field("pause_after", FieldKind::Integer, "Failed rotations before the plan pauses; 3 by default."),
    field(
        "validate_failures_per_minute",
        FieldKind::Integer,
        "Values that do not fit, from one address; 600 by default, 0 for without limit.",
    ),
    field("webhook_key", FieldKind::Text, "The key that signs webhooks, whsec_…; made where none is given."),
];

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "rotation/plans/?",
        summary: "The plans of this namespace.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::List, Run::Read(plans::list), "List the mounts that have plans.")],
        exists: None,
    },
    Route {
        pattern: "rotation/plans/{path..}",
        summary: "How a secret is rotated.",
        access: Access::Token,
        fields: PLAN_FIELDS,
        methods: &[
            method(Operation::Read, Run::Read(plans::read), "Read the plan."),
            method(
                Operation::Write,
                Run::Write(plans::write),
                "Make or change the plan; what is not given stays. Needs update on the secret as well.",
            ),
            method(Operation::Delete, Run::Write(plans::delete), "Remove the plan. The secret stays."),
            method(Operation::List, Run::Read(plans::list), "List the plans below a path."),
        ],
        exists: Some(exists),
    },
    Route {
        pattern: "rotation/rotate/{path..}",
        summary: "Rotate a secret now, by its plan.",
        access: Access::Token,
        fields: &[
            PATH,
            field("dry_run", FieldKind::Boolean, "Say what would be done, and whether it could be."),
            NOTE,
        ],
        methods: &[method(
            Operation::Write,
            Run::Write(acts::rotate),
            "Begin a rotation, or go on with one that is paused.",
        )],
        exists: None,
    },
    Route {
        pattern: "rotation/rollback/{path..}",
        summary: "Give up a rotation under way, or go back to the value before, while it is in its grace.",
        access: Access::Token,
        fields: &[PATH, NOTE],
        methods: &[method(Operation::Write, Run::Write(acts::rollback), "Roll back.")],
        exists: None,
    },
    Route {
        pattern: "rotation/leak/{path..}",
        summary: "Report that a version of a secret got out.",
        access: Access::Token,
        fields: &[PATH, field("version", FieldKind::Integer, "Which; the current one by default."), NOTE],
        methods: &[method(
            Operation::Write,
            Run::Write(acts::leak),
            "End a version in its grace, or rotate the current one.",
        )],
        exists: None,
    },
    Route {
        pattern: "rotation/status/{path..}",
        summary: "How far the rotation of a secret has come.",
        access: Access::Token,
        fields: &[PATH],
        methods: &[method(Operation::Read, Run::Read(shown::status), "Read it.")],
        exists: None,
    },
    Route {
        pattern: "rotation/history/{path..}",
        summary: "What was rotated when, why, by whom, and what came of it.",
        access: Access::Token,
        fields: &[PATH],
        methods: &[method(Operation::Read, Run::Read(shown::history), "Read it, the newest first.")],
        exists: None,
    },
    Route {
        pattern: "rotation/calendar",
        summary: "What is due in this namespace.",
        access: Access::Token,
        fields: &[field("within", FieldKind::Duration, "How far to look ahead; 30 days by default.")],
        methods: &[method(Operation::Read, Run::Read(shown::calendar), "Read it, the next first.")],
        exists: None,
    },
    Route {
        pattern: "rotation/validate/{path..}",
        summary: "Whether a presented value is the secret's current one, or one in its grace.",
        access: Access::Token,
        fields: &[
            PATH,
            field("value", FieldKind::Text, "What was presented."),
            field("field", FieldKind::Text, "The member of the secret; the plan's by default."),
        ],
        methods: &[method(Operation::Write, Run::Read(validate), "Check it.")],
        exists: None,
    },
];

fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let place = Place::named(call, call.capture("path"))?;
    Ok(store::read_plan(&mut call.tx, &place)?.is_some())
}

/// The plan that a request is about.
fn planned(call: &mut Call<'_>) -> Result<(Place, Plan), Error> {
    let place = Place::named(call, call.capture("path"))?;
    match store::read_plan(&mut call.tx, &place)? {
        Some(plan) => Ok((place, plan)),
        None => Err(Error {
            messages: vec![format!("there is no plan for {:?}", call.capture("path"))],
            hint: Some("make one: strongroom rotate plan, or sys/rotation/plans/".to_owned()),
            ..Error::not_found()
        }),
    }
}

/// The caller's name, for the history.
fn asker(call: &Call<'_>) -> String {
    call.caller.as_ref().map(|caller| caller.token.display_name.clone()).unwrap_or_default()
}

/// The request's note.
fn note(call: &Call<'_>) -> Result<String, Error> {
    let note = call.fields().text("note")?.unwrap_or_default();
    match note.len() > 1024 || note.chars().any(char::is_control) {
        true => Err(Error::invalid("note must be a text of at most 1024 bytes on one line")),
        false => Ok(note),
    }
}
