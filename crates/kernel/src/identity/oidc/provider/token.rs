//! The token endpoint: a code becomes an ID token and an access token (OpenID Connect Core 1.0, section 3.1.3).

use super::super::store::NamedKey;
use super::super::{fresh_key, signed};
use super::codes::{self, Challenge, ChallengeMethod, Grant, Handle, Taken};
use super::providers::issuer;
use super::records::{Client, ClientType, client_by_id, provider};
use super::refusal::{Stop, answered, refused, refused_with};
use super::{assignments, scopes};
use crate::call::Call;
use crate::error::Error;
use crate::identity::{self, Identity};
use crate::request::Response;
use crate::tokens::{self, NewToken, TokenEntry, TokenType};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_crypto::hash::{HashAlgorithm, sha256};
use strongroom_secret::{SecretString, Timestamp};

/// What an access token carries for the userinfo endpoint.
#[derive(Serialize, Deserialize)]
pub(super) struct AccessNote {
    pub oidc_client_id: String,
    pub provider: String,
    pub scopes: Vec<String>,
    pub code: Handle,
}

pub(super) fn token(call: &mut Call<'_>) -> Result<Response, Error> {
    let pragma = ("pragma", "no-cache".to_owned());
    let exchanged = exchange(call).map(|body| Response { headers: vec![pragma], ..Response::plain(body) });
    answered(exchanged, |refusal, _| {
        let mut headers = vec![("pragma", "no-cache".to_owned())];
        if refusal.code == "invalid_client" {
            headers.push(("www-authenticate", "Basic".to_owned()));
        }
        headers
    })
}

fn exchange(call: &mut Call<'_>) -> Result<Value, Stop> {
    let name = call.capture("name").to_owned();
    let provider = provider(call, &name)?.ok_or_else(|| refused("invalid_request", "provider not found"))?;
    let client = client(call)?;
    if !provider.allows(&client.client_id) {
        return Err(invalid_client("client is not authorized to use the provider"));
    }
    match call.fields().text("grant_type")?.unwrap_or_default().as_str() {
        "authorization_code" => {}
        "" => return Err(refused("invalid_request", "grant_type parameter is required")),
        _ => return Err(refused("unsupported_grant_type", "unsupported grant_type value")),
    }
    let key = fresh_key(call, &client.key)?
        .ok_or_else(|| Error::internal(format!("the key {:?} of a client is gone", client.key)))?;
    if !key.allowed_client_ids.iter().any(|id| *id == client.client_id || id == "*") {
        return Err(invalid_client("client is not authorized to use the key"));
    }
    let code = required(call, "code")?;
    let taken = codes::take(call, &code, &client.client_id)?;
    let Taken::Fresh { grant, handle, end } = taken else {
        return Err(refused("invalid_grant", "authorization grant is invalid or expired"));
    };
    check_grant(call, &name, &client, &grant)?;
    let person = person(call, &client, &grant)?;
    let claims = scopes::claims(call, &grant.scopes, &person.context)?;
    let (access_token, access_until) = access_token(call, &client, &grant, handle)?;
    codes::note_access(call, handle, end, access_until)?;
    let told = Told { issuer: issuer(call, &name, &provider), code: &code, access_token: &access_token };
    let id_token = id_token(call, &client, &grant, &key, &told, claims)?;
    Ok(json!({
        "token_type": "Bearer",
        "access_token": access_token.expose(),
        "id_token": id_token,
        "expires_in": client.access_token_ttl.as_secs(),
    }))
}

fn invalid_client(description: &str) -> Stop {
    refused_with(401, "invalid_client", description)
}

fn required(call: &Call<'_>, field: &str) -> Result<String, Stop> {
    let text = call.fields().text(field)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| refused("invalid_request", format!("{field} parameter is required")))
}

/// The client, which proves who it is by its secret if it has one (section 9): `client_secret_basic`, or
/// `client_secret_post`. One way at a time (RFC 6749, section 2.3).
fn client(call: &mut Call<'_>) -> Result<Client, Stop> {
    let (id, secret) = match &call.request.basic {
        Some(basic) => {
            let posted = call.fields().text("client_id")?.filter(|id| !id.is_empty());
            if call.fields().has("client_secret") || posted.is_some_and(|id| id != basic.user) {
                return Err(refused("invalid_request", "the client authenticates in two ways at once"));
            }
            (basic.user.clone(), basic.password.duplicate())
        }
        None => {
            let secret = call.fields().text("client_secret")?.unwrap_or_default();
            (required(call, "client_id")?, SecretString::new(secret))
        }
    };
    let unknown = || invalid_client("client failed to authenticate");
    let client = client_by_id(call, &id)?.ok_or_else(unknown)?;
    let is_genuine = match client.kind {
        ClientType::Confidential => SecretString::from(client.secret.as_str()) == secret,
        ClientType::Public => secret.is_empty(),
    };
    if is_genuine { Ok(client) } else { Err(unknown()) }
}

/// That the code is presented as it was asked for.
fn check_grant(call: &Call<'_>, provider: &str, client: &Client, grant: &Grant) -> Result<(), Stop> {
    if grant.provider != provider {
        return Err(refused("invalid_grant", "authorization code was not issued by the provider"));
    }
    if required(call, "redirect_uri")? != grant.redirect_uri {
        return Err(refused(
            "invalid_grant",
            "redirect_uri does not match the redirect_uri used in the authorization request",
        ));
    }
    let verifier =
        call.fields().text("code_verifier")?.map(SecretString::new).filter(|text| !text.is_empty());
    match (&grant.challenge, verifier) {
        (None, _) if client.kind == ClientType::Public => {
            Err(refused("invalid_request", "PKCE is required for public clients"))
        }
        (None, Some(_)) => Err(refused("invalid_request", "unexpected code_verifier for token exchange")),
        (None, None) => Ok(()),
        (Some(_), None) => Err(refused("invalid_request", "expected code_verifier for token exchange")),
        (Some(challenge), Some(verifier)) if is_met(challenge, &verifier) => Ok(()),
        (Some(_), Some(_)) => Err(refused("invalid_grant", "invalid code_verifier for token exchange")),
    }
}

/// RFC 7636, section 4.6.
fn is_met(challenge: &Challenge, verifier: &SecretString) -> bool {
    let expected = SecretString::from(challenge.value.as_str());
    match challenge.method {
        ChallengeMethod::Plain => expected == *verifier,
        ChallengeMethod::S256 => {
            expected == SecretString::new(BASE64.encode(sha256(verifier.expose().as_bytes())))
        }
    }
}

/// The person behind the code, who may have changed since.
fn person(call: &mut Call<'_>, client: &Client, grant: &Grant) -> Result<Identity, Stop> {
    let known = identity::load(&mut call.tx, call.topology, call.namespace.id(), &grant.entity_id)?;
    let person = known.filter(|person| !person.is_disabled).ok_or_else(|| {
        refused("invalid_grant", "identity entity associated with the request not found or disabled")
    })?;
    if !assignments::includes(call, client, &person.entity_id, &person.context)? {
        return Err(refused("invalid_grant", "identity entity not authorized by client assignment"));
    }
    Ok(person)
}

/// A batch token without policies: good for the userinfo endpoint, which looks at tokens by itself, and for nothing else.
fn access_token(
    call: &mut Call<'_>,
    client: &Client,
    grant: &Grant,
    code: Handle,
) -> Result<(SecretString, Timestamp), Stop> {
    let note = AccessNote {
        oidc_client_id: client.client_id.clone(),
        provider: grant.provider.clone(),
        scopes: grant.scopes.clone(),
        code,
    };
    let until = call.now.plus(client.access_token_ttl);
    let entry = TokenEntry {
        kind: TokenType::Batch,
        metadata: Map::from_iter([("oidc_token_type".to_owned(), json!("access token"))]),
        ttl: client.access_token_ttl,
        expires: Some(until),
        entity_id: grant.entity_id.clone(),
        internal: serde_json::to_value(note).map_err(|error| Error::internal(error.to_string()))?,
        no_identity_policies: true,
        ..tokens::blank(call.namespace.id(), call.path.as_str(), call.now)
    };
    let new = NewToken { entry, id: None };
    let made = tokens::create(&mut call.tx, call.kernel.entropy(), call.namespace, new)?;
    Ok((made.token, until))
}

/// What an ID token says beside the person.
struct Told<'t> {
    issuer: String,
    code: &'t str,
    access_token: &'t SecretString,
}

fn id_token(
    call: &Call<'_>,
    client: &Client,
    grant: &Grant,
    key: &NamedKey,
    told: &Told<'_>,
    mut claims: Map<String, Value>,
) -> Result<String, Stop> {
    // A token must not outlive the key that verifies it.
    let ttl = client.id_token_ttl.min(key.verification_ttl);
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("iss", json!(told.issuer));
    set("sub", json!(grant.entity_id));
    set("aud", json!(client.client_id));
    set("iat", json!(call.now.seconds()));
    set("exp", json!(call.now.plus(ttl).seconds()));
    set("namespace", json!(call.namespace.record.text_id));
    set("at_hash", json!(half_hash(&key.algorithm, told.access_token.expose())));
    set("c_hash", json!(half_hash(&key.algorithm, told.code)));
    if !grant.nonce.is_empty() {
        set("nonce", json!(grant.nonce));
    }
    if let Some(time) = grant.auth_time {
        set("auth_time", json!(time));
    }
    Ok(signed(key, claims)?)
}

/// The left half of a hash, which is that of the signature (section 3.1.3.6); SHA-512 for EdDSA, as RFC 8032 has it.
fn half_hash(algorithm: &str, text: &str) -> String {
    let hash = match algorithm {
        "RS256" | "ES256" => HashAlgorithm::Sha2_256,
        "RS384" | "ES384" => HashAlgorithm::Sha2_384,
        _ => HashAlgorithm::Sha2_512,
    };
    let digest = hash.digest(text.as_bytes());
    let (half, _) = digest.split_at(digest.len() / 2);
    BASE64.encode(half)
}
