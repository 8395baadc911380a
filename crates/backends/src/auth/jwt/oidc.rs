//! Logging in through the provider's page in a browser (OpenID Connect Core 1.0, section 3.1), with PKCE (RFC 7636).
//!
//! Nothing is stored for somebody who has not logged in yet: the `state` that travels through their browser is our own
//! encrypted note of what was asked. That it was used is stored when a login came of it.

use super::config::Config;
use super::exchange::{self, Code, form};
use super::role::{Role, RoleType};
use super::{claims, config, keys, login};
use crate::auth::roles;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_crypto::hash::sha256;
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::token::random_base62;
use strongroom_kernel::{Call, Error, Key, Record, Response, Table, Tidied, is_redirect};
use strongroom_secret::Timestamp;

/// States that led to a login.
const USED: Table = Table(3);
/// How long somebody may take at the provider.
const STATE_TTL: Duration = Duration::from_secs(600);
const NONCE_CHARACTERS: usize = 32;
/// RFC 7636, section 4.1: 43 to 128.
const VERIFIER_CHARACTERS: usize = 64;
const CLIENT_NONCE_BYTES_MAX: usize = 256;
const REDIRECT_BYTES_MAX: usize = 2048;
/// Rows removed in one transaction.
const REMOVED_MAX: usize = 1000;

/// What was asked, as it travels in `state`.
#[derive(Serialize, Deserialize)]
struct Asked {
    role: String,
    redirect_uri: String,
    nonce: String,
    verifier: String,
    client_nonce: String,
    expires: Timestamp,
}

/// That a state was used. Its key begins with the time from which it would be refused anyway.
#[derive(Serialize, Deserialize)]
struct Used {}

impl Record for Used {}

/// What a state is encrypted for: one mount.
fn context(call: &Call<'_>) -> Vec<u8> {
    format!("oidc state {} {}", call.mount.namespace, call.mount.record.uuid).into_bytes()
}

pub(super) fn auth_url(call: &mut Call<'_>) -> Result<Response, Error> {
    let config = config::load(call)?;
    let redirect_uri = call.fields().required_text("redirect_uri")?;
    let client_nonce = call.fields().text("client_nonce")?.unwrap_or_default();
    if redirect_uri.len() > REDIRECT_BYTES_MAX || client_nonce.len() > CLIENT_NONCE_BYTES_MAX {
        return Err(Error::invalid("redirect_uri or client_nonce is too long"));
    }
    if config.oidc_client_id.is_empty() {
        return Err(Error::invalid("OIDC login is not configured for this mount"));
    }
    let (role_name, role) = login::role_of(call, &config)?;
    if role.role_type != RoleType::Oidc {
        return Err(Error::invalid(format!("role {role_name:?} is not of role_type oidc")));
    }
    if !role.allowed_redirect_uris.iter().any(|allowed| is_redirect(allowed, &redirect_uri)) {
        // As Vault says it: an empty address.
        return Ok(crate::answer::object(json!({ "auth_url": "" }))
            .with_warning("redirect_uri is not one of the role's allowed_redirect_uris"));
    }
    let provider = keys::provider(call, &config)?;
    let entropy = call.entropy();
    let asked = Asked {
        role: role_name,
        redirect_uri,
        nonce: random_base62(entropy, NONCE_CHARACTERS).expose().to_owned(),
        verifier: random_base62(entropy, VERIFIER_CHARACTERS).expose().to_owned(),
        client_nonce,
        expires: call.now.plus(STATE_TTL),
    };
    let state = seal(call, &asked)?;
    let url = authorization_url(&config, &role, &provider.authorization_endpoint, &asked, &state);
    Ok(crate::answer::object(json!({ "auth_url": url })))
}

fn authorization_url(config: &Config, role: &Role, endpoint: &str, asked: &Asked, state: &str) -> String {
    let mut scopes = vec!["openid"];
    scopes.extend(role.oidc_scopes.iter().map(String::as_str).filter(|scope| *scope != "openid"));
    let scopes = scopes.join(" ");
    let challenge = BASE64.encode(sha256(asked.verifier.as_bytes()));
    let max_age = role.max_age.to_string();
    let mut pairs = vec![
        ("client_id", config.oidc_client_id.as_str()),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if role.max_age > 0 {
        pairs.push(("max_age", &max_age));
    }
    pairs.extend([
        ("nonce", asked.nonce.as_str()),
        ("redirect_uri", &asked.redirect_uri),
        ("response_type", "code"),
        ("scope", &scopes),
        ("state", state),
    ]);
    if config.oidc_response_mode == "form_post" {
        pairs.push(("response_mode", "form_post"));
    }
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{separator}{}", form(&pairs))
}

fn seal(call: &Call<'_>, asked: &Asked) -> Result<String, Error> {
    let plain = serde_json::to_vec(asked).map_err(|_| Error::internal("an OIDC state cannot be written"))?;
    let sealed = call.tx.keys().keyring.encrypt(call.entropy(), &context(call), &plain);
    Ok(BASE64.encode(sealed))
}

fn open(call: &Call<'_>, state: &str) -> Result<Asked, Error> {
    let expired = || Error::invalid("Expired or missing OAuth state.");
    let sealed = BASE64.decode(state).map_err(|_| expired())?;
    let plain = call.tx.keys().keyring.decrypt(&context(call), &sealed).map_err(|_| expired())?;
    let asked: Asked = serde_json::from_slice(plain.expose()).map_err(|_| expired())?;
    if asked.expires <= call.now { Err(expired()) } else { Ok(asked) }
}

/// The provider sent somebody back to us, with a code.
pub(super) fn callback(call: &mut Call<'_>) -> Result<Response, Error> {
    let config = config::load(call)?;
    let text = |name: &str| call.fields().text(name).map(Option::unwrap_or_default);
    let (state, code, client_nonce) = (text("state")?, text("code")?, text("client_nonce")?);
    let refusal = text("error")?;
    // `,ns=…` tells Vault's page which namespace this is; the path has told us.
    let state = state.split(",ns=").next().unwrap_or_default();
    let asked = open(call, state)?;
    if !refusal.is_empty() {
        return Err(Error::invalid("the OIDC provider refused the login").with_detail(refusal));
    }
    if code.is_empty() {
        return Err(Error::invalid("OAuth code parameter not provided"));
    }
    if asked.client_nonce != client_nonce {
        return Err(Error::invalid("invalid client_nonce"));
    }
    let used = used_key(call, state, asked.expires);
    if call.tx.record::<Used>(&used)?.is_some() {
        return Err(Error::invalid("Expired or missing OAuth state."));
    }
    let role = roles::load::<Role>(call, &asked.role)?
        .ok_or_else(|| Error::invalid(format!("role {:?} could not be found", asked.role)))?;
    if !crate::auth::token_parameters::is_within(call, &role.parameters.settings.bound_cidrs) {
        return Err(Error::denied().with_detail("the client's address is outside the role's bound CIDRs"));
    }
    let all = exchanged_claims(call, &config, &role, &asked, state, &code)?;
    let grant = login::grant(call, &all, &role, &asked.role)?;
    call.tx.put_record(&used, &Used {})?;
    Ok(Response { login: Some(Box::new(grant)), ..Response::default() })
}

fn used_key(call: &Call<'_>, state: &str, expires: Timestamp) -> Key {
    let at = expires.nanoseconds().to_be_bytes();
    call.tx.id_key(&call.table(USED), &[&at[..], &sha256(state.as_bytes())].concat())
}

/// The claims of the ID token that the code is exchanged for, checked (OpenID Connect Core 1.0, section 3.1.3.7), and
/// what userinfo adds.
fn exchanged_claims(
    call: &Call<'_>,
    config: &Config,
    role: &Role,
    asked: &Asked,
    state: &str,
    code: &str,
) -> Result<Map<String, Value>, Error> {
    let refused = |reason: &str| Error::invalid(format!("error validating token: {reason}"));
    let provider = keys::provider(call, config)?;
    let exchanged = exchange::exchange(
        call,
        config,
        &provider,
        &Code {
            place: sha256(format!("{state} {code}").as_bytes()),
            code,
            verifier: &asked.verifier,
            redirect_uri: &asked.redirect_uri,
        },
    )?;
    let claims = keys::verify(call, config, &exchanged.id_token, &[JwsAlgorithm::Rs256])?;
    if claims::text(&claims, "iss") != Some(&provider.issuer) {
        return Err(refused("invalid issuer (iss) claim"));
    }
    let audiences = claims::texts(claims.get("aud"));
    if !audiences.contains(&config.oidc_client_id.as_str()) {
        return Err(refused("invalid audience (aud) claim: it does not name this client"));
    }
    let party = claims::text(&claims, "azp");
    if audiences.len() > 1 && party.is_some_and(|party| party != config.oidc_client_id) {
        return Err(refused("invalid authorized party (azp) claim"));
    }
    if claims::text(&claims, "nonce") != Some(&asked.nonce) {
        return Err(refused("invalid nonce claim"));
    }
    claims::check_registered(&claims, config, role, call.now)?;
    if !role.bound_audiences.is_empty() {
        claims::check_audience(&claims, role)?;
    }
    check_age(&claims, role, call.now)?;
    let mut all = claims;
    if !exchanged.user.is_empty() {
        if exchanged.user.get("sub") != all.get("sub") {
            return Err(refused("userinfo speaks of somebody else (sub)"));
        }
        for (name, value) in exchanged.user {
            all.entry(name).or_insert(value);
        }
    }
    Ok(all)
}

/// How long ago somebody logged in at the provider.
fn check_age(claims: &Map<String, Value>, role: &Role, now: Timestamp) -> Result<(), Error> {
    if role.max_age == 0 {
        return Ok(());
    }
    let max = i64::try_from(role.max_age).unwrap_or(i64::MAX);
    match claims::seconds(claims, "auth_time")? {
        Some(at) if now.seconds() <= at.saturating_add(max).saturating_add(60) => Ok(()),
        _ => Err(Error::invalid("error validating token: the login at the provider is too old (auth_time)")),
    }
}

/// Removes states that are too old to be refused for having been used.
pub(super) fn tidy(call: &mut Call<'_>) -> Result<Tidied, Error> {
    let table = call.table(USED);
    let now = call.now.nanoseconds();
    let mut gone = Vec::new();
    call.tx.entries(&table, &mut |rest, _| {
        let at = rest.first_chunk::<8>().map_or(0, |at| i64::from_be_bytes(*at));
        if at > now || gone.len() >= REMOVED_MAX {
            return Ok(ControlFlow::Break(()));
        }
        gone.push(rest.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    for rest in &gone {
        let key = call.tx.entry_key(&table, rest);
        call.tx.delete(&key)?;
    }
    Ok(if gone.len() < REMOVED_MAX { Tidied::All } else { Tidied::More })
}
