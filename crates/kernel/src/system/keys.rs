//! `sys/key-status` and `sys/rotate`: the terms of the keyring.

use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::seal::KEYRING_ROW;
use crate::transaction::Tx;
use serde_json::{Value, json};
use strongroom_crypto::keyring::ENCRYPTIONS_PER_TERM_MAX;

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "key-status",
        summary: "The term of the keyring that encrypts at present.",
        access: Access::Token,
        fields: &[],
        methods: &[Method { operation: Operation::Read, run: Run::Read(status), summary: "Read the term." }],
        exists: None,
    },
    Route {
        pattern: "rotate",
        summary: "Start a new term: what is written from now on is encrypted by a new key.",
        access: Access::Sudo,
        fields: &[],
        methods: &[Method { operation: Operation::Write, run: Run::Heavy(rotate), summary: "Rotate." }],
        exists: None,
    },
    Route {
        pattern: "rotate/keyring",
        summary: "As sys/rotate.",
        access: Access::Sudo,
        fields: &[],
        methods: &[Method { operation: Operation::Write, run: Run::Heavy(rotate), summary: "Rotate." }],
        exists: None,
    },
    Route {
        pattern: "rotate/keyring/config",
        summary: "As sys/rotate/config.",
        access: Access::Sudo,
        fields: &[],
        methods: &[Method { operation: Operation::Read, run: Run::Read(config), summary: "Read the bound." }],
        exists: None,
    },
    Route {
        pattern: "rotate/config",
        summary: "When a new term starts by itself.",
        access: Access::Sudo,
        fields: &[Field {
            name: "max_operations",
            kind: FieldKind::Integer,
            description: "Encryptions of a term; fixed here, far below the bound of random nonces.",
        }],
        methods: &[Method { operation: Operation::Read, run: Run::Read(config), summary: "Read the bound." }],
        exists: None,
    },
];

fn status(call: &mut Call<'_>) -> Result<Response, Error> {
    let term = call.tx.keys().keyring.active_summary();
    let Value::Object(map) = json!({
        "term": term.term,
        "install_time": term.created.rfc3339(),
        "encryptions": term.encryptions,
    }) else {
        return Err(Error::internal("not an object"));
    };
    Ok(Response::data(map).flattened())
}

fn rotate(call: &mut Call<'_>) -> Result<Response, Error> {
    start_term(call.kernel, &mut call.tx)?;
    Ok(Response::default())
}

/// Writes the keyring with a new term.
pub(crate) fn start_term(kernel: &Kernel, tx: &mut Tx<'_>) -> Result<(), Error> {
    let keys = tx.keys().clone();
    let keyring = keys
        .keyring
        .rotate(kernel.entropy(), kernel.now())
        .map_err(|error| Error::internal(format!("the keyring cannot be rotated: {error}")))?;
    tx.put_bare(KEYRING_ROW, keyring.seal_with(&keys.root, kernel.entropy()));
    tx.after_commit(Effect::Keyring);
    Ok(())
}

fn config(_: &mut Call<'_>) -> Result<Response, Error> {
    let Value::Object(map) =
        json!({ "enabled": true, "interval": 0, "max_operations": ENCRYPTIONS_PER_TERM_MAX / 2 })
    else {
        return Err(Error::internal("not an object"));
    };
    Ok(Response::data(map).flattened())
}
