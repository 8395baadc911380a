//! The authorization endpoint: a code for a client, from somebody who is logged in (OpenID Connect Core 1.0, section 3.1.2).
//! The answer is JSON, as Vault's; pages for browsers are the door's and send people on with it.

use super::codes::{self, Challenge, ChallengeMethod, Grant};
use super::records::{Client, ClientType, client_by_id, provider};
use super::redirect::is_redirect;
use super::refusal::{Stop, answered, refused};
use super::{assignments, scopes};
use crate::call::Call;
use crate::error::Error;
use crate::request::Response;
use serde_json::json;

const REDIRECT_BYTES_MAX: usize = 2048;
const NONCE_BYTES_MAX: usize = 1024;
/// RFC 7636, section 4.2.
const CHALLENGE_BYTES: std::ops::RangeInclusive<usize> = 43..=128;

pub(super) fn authorize(call: &mut Call<'_>) -> Result<Response, Error> {
    let state = call.fields().text("state")?.unwrap_or_default();
    let code = grant(call).and_then(|grant| Ok(codes::issue(call, grant)?));
    let response = code.map(|code| Response::plain(json!({ "code": code.expose(), "state": state })));
    answered(response, |_, body| {
        body.insert("state".to_owned(), json!(state));
        Vec::new()
    })
}

/// What the caller lets the client have.
fn grant(call: &mut Call<'_>) -> Result<Grant, Stop> {
    let (client, redirect_uri) = client(call)?;
    let name = call.capture("name").to_owned();
    let provider = provider(call, &name)?.ok_or_else(|| refused("invalid_request", "provider not found"))?;
    if !provider.allows(&client.client_id) {
        return Err(refused("unauthorized_client", "client is not authorized to use the provider"));
    }
    if call.fields().has("request") {
        return Err(refused("request_not_supported", "request parameter is not supported"));
    }
    if call.fields().has("request_uri") {
        return Err(refused("request_uri_not_supported", "request_uri parameter is not supported"));
    }
    let scope = call.fields().text("scope")?.unwrap_or_default();
    let scopes = scopes::asked_for(&scope, &provider)
        .ok_or_else(|| refused("invalid_request", "scope parameter must contain the \"openid\" value"))?;
    match call.fields().text("response_type")?.unwrap_or_default().as_str() {
        "code" => {}
        "" => return Err(refused("invalid_request", "response_type parameter is required")),
        _ => return Err(refused("unsupported_response_type", "unsupported response_type value")),
    }
    let entity_id = entity(call, &client)?;
    let nonce = call.fields().text("nonce")?.unwrap_or_default();
    if nonce.len() > NONCE_BYTES_MAX {
        return Err(refused("invalid_request", format!("nonce is longer than {NONCE_BYTES_MAX} bytes")));
    }
    let challenge = challenge(call, &client)?;
    let auth_time = auth_time(call)?;
    Ok(Grant {
        provider: name,
        client_id: client.client_id.clone(),
        entity_id,
        redirect_uri,
        nonce,
        scopes,
        auth_time,
        challenge,
    })
}

/// Who asks, and where the answer goes. As long as these two are not known to belong together, nobody is sent anywhere.
fn client(call: &mut Call<'_>) -> Result<(Client, String), Stop> {
    let client_id = call.fields().text("client_id")?.unwrap_or_default();
    if client_id.is_empty() {
        return Err(refused("invalid_client_id", "client_id parameter is required"));
    }
    let client = client_by_id(call, &client_id)?
        .ok_or_else(|| refused("invalid_client_id", "client with client_id not found"))?;
    let redirect_uri = call.fields().text("redirect_uri")?.unwrap_or_default();
    if redirect_uri.is_empty() {
        return Err(refused("invalid_request", "redirect_uri parameter is required"));
    }
    let is_allowed = redirect_uri.len() <= REDIRECT_BYTES_MAX
        && client.redirect_uris.iter().any(|allowed| is_redirect(allowed, &redirect_uri));
    if !is_allowed {
        return Err(refused("invalid_redirect_uri", "redirect_uri is not allowed for the client"));
    }
    Ok((client, redirect_uri))
}

/// The entity of the caller, who must be assigned to the client.
fn entity(call: &mut Call<'_>, client: &Client) -> Result<String, Stop> {
    let caller = call.require_caller()?;
    let Some(identity) = &caller.identity else {
        return Err(refused("access_denied", "identity entity must be associated with the request"));
    };
    if !assignments::includes(call, client, &identity.entity_id, &identity.context)? {
        return Err(refused("access_denied", "identity entity not authorized by client assignment"));
    }
    Ok(identity.entity_id.clone())
}

fn challenge(call: &Call<'_>, client: &Client) -> Result<Option<Challenge>, Stop> {
    let Some(value) = call.fields().text("code_challenge")? else {
        return match client.kind {
            ClientType::Public => Err(refused("invalid_request", "PKCE is required for public clients")),
            ClientType::Confidential => Ok(None),
        };
    };
    let method = match call.fields().text("code_challenge_method")?.unwrap_or_default().as_str() {
        "" | "plain" => ChallengeMethod::Plain,
        "S256" => ChallengeMethod::S256,
        _ => return Err(refused("invalid_request", "invalid code_challenge_method")),
    };
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !CHALLENGE_BYTES.contains(&value.len()) || !value.bytes().all(is_unreserved) {
        return Err(refused("invalid_request", "invalid code_challenge"));
    }
    Ok(Some(Challenge { method, value }))
}

/// When the caller logged in, where the client asks for that; refused if it is too long ago.
fn auth_time(call: &Call<'_>) -> Result<Option<i64>, Stop> {
    let Some(max_age) = call.fields().integer("max_age")? else { return Ok(None) };
    let Ok(max_age) = u64::try_from(max_age) else {
        return Err(refused("invalid_request", "max_age must be zero or more"));
    };
    let logged_in = call.require_caller()?.token.created;
    if call.now.since(logged_in).as_secs() > max_age {
        return Err(refused("max_age_violation", "active re-authentication is required by max_age"));
    }
    Ok(Some(logged_in.seconds()))
}
