//! `sys/wrapping`: values put aside under a token that is good for taking them, once.

use super::fields::{field, method};
use crate::call::Call;
use crate::error::Error;
use crate::grants;
use crate::namespaces::ROOT_NAMESPACE;
use crate::request::{Data, Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use crate::tokens::{self, Children, TokenEntry, TokenRow};
use crate::wrapping::{self, Wrapped};
use serde_json::json;
use strongroom_secret::SecretString;

const TOKEN: &[Field] =
    &[field("token", FieldKind::Text, "The wrapping token; the request's own unless said.")];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "wrapping/wrap",
        summary: "Put any values aside under a wrapping token.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Write, Run::Read(wrap), "Wrap the request's fields.")],
        exists: None,
    },
    Route {
        pattern: "wrapping/lookup",
        summary: "Say what a wrapping token is, without using it.",
        access: Access::OwnToken,
        fields: TOKEN,
        methods: &[
            method(Operation::Write, Run::Read(lookup), "Look it up."),
            method(Operation::Read, Run::Read(lookup), "Look it up."),
        ],
        exists: None,
    },
    Route {
        pattern: "wrapping/unwrap",
        summary: "Take what was wrapped. The wrapping token ends.",
        access: Access::OwnToken,
        fields: TOKEN,
        methods: &[method(Operation::Write, Run::Write(unwrap), "Unwrap.")],
        exists: None,
    },
    Route {
        pattern: "wrapping/rewrap",
        summary: "Move what was wrapped to a new wrapping token. The old one ends.",
        access: Access::OwnToken,
        fields: TOKEN,
        methods: &[method(Operation::Write, Run::Write(rewrap), "Rewrap.")],
        exists: None,
    },
];

fn wrap(call: &mut Call<'_>) -> Result<Response, Error> {
    if call.request.wrap_ttl.is_none_or(|ttl| ttl.is_zero()) {
        return Err(Error::invalid("endpoint requires response wrapping to be used"));
    }
    Ok(Response::data(call.request.fields.0.clone()))
}

fn invalid() -> Error {
    Error::invalid("wrapping token is not valid or does not exist")
}

/// The wrapping token that the request names, or is made with. Whoever has it may use it: there is no other check.
fn find(call: &mut Call<'_>) -> Result<(TokenRow, TokenEntry, Wrapped), Error> {
    let named = call.fields().text("token")?.filter(|token| !token.is_empty()).map(SecretString::new);
    let own = || call.request.token.as_ref().map(SecretString::duplicate);
    let token = named.or_else(own).filter(|token| !token.is_empty()).ok_or_else(|| {
        Error::denied().with_detail("neither a token in the request nor one that it was made with")
    })?;
    let home = match tokens::namespace_suffix(token.expose()) {
        Some(text_id) => call.topology.namespace_by_text_id(text_id).ok_or_else(invalid)?.id(),
        None => ROOT_NAMESPACE,
    };
    let (row, entry) = tokens::find_row(&mut call.tx, home, token.expose())?.ok_or_else(invalid)?;
    if entry.is_expired(call.now) {
        return Err(invalid());
    }
    let wrapped = wrapping::look(&mut call.tx, &entry, row)?.ok_or_else(invalid)?;
    Ok((row, entry, wrapped))
}

fn lookup(call: &mut Call<'_>) -> Result<Response, Error> {
    let (_, _, wrapped) = find(call)?;
    let map = [
        ("creation_path", json!(wrapped.creation_path)),
        ("creation_time", json!(wrapped.creation_time.rfc3339())),
        ("creation_ttl", json!(wrapped.creation_ttl.as_secs())),
    ];
    Ok(Response::data(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}

fn unwrap(call: &mut Call<'_>) -> Result<Response, Error> {
    let (row, entry, wrapped) = find(call)?;
    grants::revoke_token(call.kernel, &mut call.tx, entry.namespace, row, Children::Revoke)?;
    let mut response = wrapped.into_response();
    if matches!(response.data, Data::None) && response.auth.is_none() {
        response.status = Some(204);
    }
    Ok(response)
}

fn rewrap(call: &mut Call<'_>) -> Result<Response, Error> {
    let (row, entry, wrapped) = find(call)?;
    grants::revoke_token(call.kernel, &mut call.tx, entry.namespace, row, Children::Revoke)?;
    let accessor = wrapped.accessor().to_owned();
    let ttl = wrapped.creation_ttl;
    let info = wrapping::put_aside(call, &wrapped, ttl, accessor)?;
    Ok(Response { wrap: Some(Box::new(info)), ..Response::default() })
}
