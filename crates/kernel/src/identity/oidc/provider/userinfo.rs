//! The userinfo endpoint: what the scopes of an access token tell of its person (OpenID Connect Core 1.0, section 5.3).
//! Refusals are those of bearer tokens (RFC 6750, section 3).

use super::records::{client_by_id, provider};
use super::refusal::{Stop, answered, refused_with};
use super::token::AccessNote;
use super::{assignments, codes, scopes};
use crate::call::Call;
use crate::caller;
use crate::error::{Error, ErrorKind};
use crate::request::Response;
use crate::tokens::TokenType;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn userinfo(call: &mut Call<'_>) -> Result<Response, Error> {
    answered(claims(call).map(Response::plain), |refusal, _| match refusal.status {
        403 => Vec::new(),
        _ => {
            let challenge =
                format!("Bearer error={:?}, error_description={:?}", refusal.code, refusal.description);
            vec![("www-authenticate", challenge)]
        }
    })
}

fn claims(call: &mut Call<'_>) -> Result<Value, Stop> {
    let denied = |description: &str| refused_with(403, "access_denied", description);
    let name = call.capture("name").to_owned();
    let provider =
        provider(call, &name)?.ok_or_else(|| refused_with(400, "invalid_request", "provider not found"))?;
    let invalid = || refused_with(401, "invalid_token", "access token is malformed, expired or revoked");
    let request = call.request;
    let token = request.token.as_ref().ok_or_else(invalid)?;
    let caller = caller::authenticate(
        call.kernel,
        &mut call.tx,
        call.topology,
        call.namespace,
        token.expose(),
        &request.client,
        call.now,
    );
    let caller = match caller {
        Err(error) if error.kind == ErrorKind::Denied => return Err(invalid()),
        caller => caller?,
    };
    let note = AccessNote::deserialize(&caller.token.internal).map_err(|_| invalid())?;
    let until = caller.token.expires.ok_or_else(invalid)?;
    let is_ours = caller.token.kind == TokenType::Batch
        && caller.token.namespace == call.namespace.id()
        && note.provider == name;
    if !is_ours || codes::is_revoked(call, note.code, until)? {
        return Err(invalid());
    }
    let client = client_by_id(call, &note.oidc_client_id)?.ok_or_else(|| denied("the client is gone"))?;
    let person = caller.identity.as_ref().ok_or_else(|| denied("the identity entity is gone"))?;
    if !assignments::includes(call, &client, &person.entity_id, &person.context)? {
        return Err(denied("identity entity not authorized by client assignment"));
    }
    if !provider.allows(&client.client_id) {
        return Err(denied("client is not authorized to use the provider"));
    }
    let told: Vec<String> =
        note.scopes.into_iter().filter(|scope| provider.scopes_supported.contains(scope)).collect();
    let mut claims = scopes::claims(call, &told, &person.context)?;
    claims.insert("sub".to_owned(), json!(person.entity_id));
    Ok(Value::Object(claims))
}
