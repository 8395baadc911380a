//! What clients read before anything else (OpenID Connect Discovery 1.0, section 3).

use super::super::{key_set, store};
use super::providers::{issuer, page};
use super::records::{CLIENTS, Client, OPENID};
use super::records::{find, names, provider};
use crate::call::Call;
use crate::error::Error;
use crate::request::Response;
use serde_json::json;
use std::collections::BTreeSet;
use strongroom_crypto::jws::JwsAlgorithm;

pub(super) fn configuration(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let record = provider(call, &name)?.ok_or_else(Error::not_found)?;
    let issuer = issuer(call, &name, &record);
    let mut scopes = record.scopes_supported.clone();
    scopes.push(OPENID.to_owned());
    Ok(Response::plain(json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/keys"),
        "authorization_endpoint": page(call, &name, &record),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "id_token_signing_alg_values_supported": JwsAlgorithm::SIGNING.map(JwsAlgorithm::as_str),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": scopes,
        "claims_supported": [],
        "subject_types_supported": ["public"],
        "grant_types_supported": ["authorization_code"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256", "plain"],
        "authorization_response_iss_parameter_supported": true,
    })))
}

/// The public keys of all clients that the provider serves.
pub(super) fn keys(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let record = provider(call, &name)?.ok_or_else(Error::not_found)?;
    let namespace = call.namespace.id();
    let mut wanted = BTreeSet::new();
    for client in names(&mut call.tx, namespace, CLIENTS)? {
        let client =
            find::<Client>(call, CLIENTS, &client)?.filter(|client| record.allows(&client.client_id));
        wanted.extend(client.map(|client| client.key.clone()));
    }
    let mut keys = Vec::new();
    for name in wanted {
        keys.extend(store::key(&mut call.tx, namespace, &name)?);
    }
    Ok(Response::plain(json!({ "keys": key_set(&keys, call.now)? })))
}
