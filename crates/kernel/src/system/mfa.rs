//! `sys/mfa/validate`: the second factor of a login that waits for it.

use crate::call::Call;
use crate::error::Error;
use crate::grants;
use crate::identity::mfa;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};

const FIELDS: &[Field] = &[
    Field { name: "mfa_request_id", kind: FieldKind::Text, description: "As the login's answer gave it." },
    Field {
        name: "mfa_payload",
        kind: FieldKind::Map,
        description: "Lists with one code, by the id of their method.",
    },
];

pub(super) const ROUTES: &[Route] = &[Route {
    pattern: "mfa/validate",
    summary: "The second factor of a login.",
    access: Access::Open,
    fields: FIELDS,
    methods: &[Method {
        operation: Operation::Write,
        run: Run::Write(validate),
        summary: "Finish a login with the codes that it asked for.",
    }],
    exists: None,
}];

fn validate(call: &mut Call<'_>) -> Result<Response, Error> {
    let held = mfa::validate(call)?;
    let namespace = call.namespace.id();
    let auth = call
        .at_mount(namespace, held.mount, |call| grants::let_in(call, held.entry))
        .ok_or_else(|| Error::invalid("the auth method of the login is gone"))??;
    Ok(Response { auth: Some(Box::new(auth)), ..Response::default() })
}
