//! `identity/oidc`: signed statements of who a caller is (OpenID Connect ID tokens), and what is needed to check them.
//! Source: <https://developer.hashicorp.com/vault/api-docs/secret/identity/tokens>

pub(crate) mod provider;
mod store;
mod template;

use super::entities::{field, method};
use super::shown::data;
use crate::call::Call;
use crate::error::Error;
use crate::namespaces::Namespace;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use serde_json::{Map, Value, json};
use std::time::Duration;
use store::{Config, NamedKey, TokenRole};
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::token::random_base62;
use strongroom_secret::Timestamp;

const CLIENT_ID_CHARACTERS: usize = 26;
/// The key that is there without having been made.
const DEFAULT_KEY: &str = "default";
const DAY: Duration = Duration::from_secs(24 * 3600);
const ISSUER_IS_SET: &str = "If \"issuer\" is set explicitly, all tokens must be validated against that address, including those issued by secondary clusters. Setting issuer to \"\" will restore the default behavior of using the cluster's api_addr as the issuer.";

const CONFIG: &[Field] =
    &[field("issuer", FieldKind::Text, "Scheme, host and port by which checkers reach this server.")];
const KEY: &[Field] = &[
    field("name", FieldKind::Text, "The name of the key."),
    field("rotation_period", FieldKind::Duration, "How often it signs with a new key."),
    field("verification_ttl", FieldKind::Duration, "How long a former key still verifies."),
    field("allowed_client_ids", FieldKind::List, "Roles, by client id, that may sign with it; `*` for all."),
    field("algorithm", FieldKind::Text, "RS256, RS384, RS512, ES256, ES384, ES512 or EdDSA."),
];
const ROLE: &[Field] = &[
    field("name", FieldKind::Text, "The name of the role."),
    field("key", FieldKind::Text, "The key that signs."),
    field("template", FieldKind::Text, "Further claims, as JSON or base64 of it."),
    field("ttl", FieldKind::Duration, "How long tokens are good."),
    field("client_id", FieldKind::Text, "For whom tokens are; made up unless said."),
];

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "oidc/config", summary: "Who issues identity tokens.", access: Access::Token, fields: CONFIG, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read_config), "Read it."),
            method(Operation::Write, Run::Write(write_config), "Set it."),
        ],
    },
    Route {
        pattern: "oidc/key/{name}/rotate", summary: "Sign with a new key from now on.", access: Access::Token,
        fields: &[field("verification_ttl", FieldKind::Duration, "How long the former key still verifies.")], exists: None,
        methods: &[method(Operation::Write, Run::Heavy(rotate), "Rotate.")],
    },
    Route {
        pattern: "oidc/key/?", summary: "All keys.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(list_keys), "List the names.")],
    },
    Route {
        pattern: "oidc/key/{name}/?", summary: "A key that signs identity tokens.", access: Access::Token, fields: KEY, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read_key), "Read it."),
            method(Operation::Write, Run::Heavy(write_key), "Make or change it."),
            method(Operation::Delete, Run::Write(delete_key), "Remove it."),
        ],
    },
    Route {
        pattern: "oidc/role/?", summary: "All roles.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(list_roles), "List the names.")],
    },
    Route {
        pattern: "oidc/role/{name}", summary: "What identity tokens say.", access: Access::Token, fields: ROLE, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read_role), "Read it."),
            method(Operation::Write, Run::Write(write_role), "Make or change it."),
            method(Operation::Delete, Run::Write(delete_role), "Remove it."),
        ],
    },
    Route {
        pattern: "oidc/token/{name}", summary: "A signed statement of who the caller is.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::Read, Run::Heavy(token), "Make it.")],
    },
    Route {
        pattern: "oidc/introspect", summary: "Check an identity token.", access: Access::Token,
        fields: &[field("token", FieldKind::Text, "The token."), field("client_id", FieldKind::Text, "For whom it must be.")], exists: None,
        methods: &[method(Operation::Write, Run::Read(introspect), "Check it.")],
    },
    Route {
        pattern: "oidc/.well-known/openid-configuration", summary: "What checkers need to know.", access: Access::Open, fields: &[], exists: None,
        methods: &[method(Operation::Read, Run::Read(discovery), "Read it.")],
    },
    Route {
        pattern: "oidc/.well-known/keys", summary: "The public keys that verify now.", access: Access::Open, fields: &[], exists: None,
        methods: &[method(Operation::Read, Run::Read(public_keys), "Read them.")],
    },
];

fn write_config(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut config = store::config(&mut call.tx, call.namespace.id())?;
    if let Some(issuer) = call.fields().text("issuer")? {
        check_issuer(&issuer)?;
        issuer.trim_end_matches('/').clone_into(&mut config.issuer);
    }
    store::save_config(&mut call.tx, call.namespace.id(), &config)?;
    if config.issuer.is_empty() {
        return Ok(Response::default());
    }
    Ok(Response::default().with_warning(ISSUER_IS_SET))
}

fn check_issuer(issuer: &str) -> Result<(), Error> {
    let host = issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://"));
    let is_plain = |host: &str| {
        let host = host.strip_suffix('/').unwrap_or(host);
        !host.is_empty() && !host.contains(['/', '?', '#', '@']) && !host.contains(char::is_whitespace)
    };
    if issuer.is_empty() || host.is_some_and(is_plain) {
        return Ok(());
    }
    Err(Error::invalid(
        "invalid issuer, which must include only a scheme, host, and optional port (e.g. https://example.com:8200)",
    ))
}

fn read_config(call: &mut Call<'_>) -> Result<Response, Error> {
    let config = store::config(&mut call.tx, call.namespace.id())?;
    let response = data(json!({ "issuer": config.issuer }));
    if config.issuer.is_empty() && call.kernel.settings().api_address.is_empty() {
        return Ok(response.with_warning(
            "Both \"issuer\" and the server's \"api_addr\" are empty. The issuer claim in generated tokens will not be network reachable.",
        ));
    }
    Ok(response)
}

/// The `iss` of a namespace's tokens.
fn issuer(call: &Call<'_>, config: &Config, namespace: &Namespace) -> String {
    address_of(call, &config.issuer, "v1", namespace)
}

/// Where this backend is in a namespace: at the address that was set, or else at the server's own.
fn address_of(call: &Call<'_>, base: &str, prefix: &str, namespace: &Namespace) -> String {
    let base = match base {
        "" => call.kernel.settings().api_address.trim_end_matches('/'),
        base => base,
    };
    format!("{base}/{prefix}/{}identity/oidc", namespace.path().as_str())
}

fn list_keys(call: &mut Call<'_>) -> Result<Response, Error> {
    let keys = store::all_keys(&mut call.tx, call.namespace.id())?;
    let mut names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
    names.push(DEFAULT_KEY.to_owned());
    names.sort_unstable();
    names.dedup();
    Response::keys(crate::tokens::page(call.fields(), names)?)
}

fn read_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let shown =
        |algorithm: &str, client_ids: &[String], rotation_period: Duration, verification_ttl: Duration| {
            data(json!({
                "algorithm": algorithm,
                "allowed_client_ids": client_ids,
                "rotation_period": rotation_period.as_secs(),
                "verification_ttl": verification_ttl.as_secs(),
            }))
        };
    match store::key(&mut call.tx, call.namespace.id(), &name)? {
        Some(key) => {
            Ok(shown(&key.algorithm, &key.allowed_client_ids, key.rotation_period, key.verification_ttl))
        }
        None if name == DEFAULT_KEY => Ok(shown("RS256", &["*".to_owned()], DAY, DAY)),
        None => Err(Error::not_found()),
    }
}

fn is_signing(algorithm: &str) -> bool {
    JwsAlgorithm::SIGNING.iter().any(|known| known.as_str() == algorithm)
}

fn write_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let namespace = call.namespace.id();
    let algorithm = call.fields().text("algorithm")?;
    if algorithm.as_deref().is_some_and(|name| !is_signing(name)) {
        return Err(Error::invalid("unknown signing algorithm"));
    }
    let known = store::key(&mut call.tx, namespace, &name)?;
    let entropy = call.kernel.entropy();
    let mut key = match known {
        Some(key) => key,
        None => new_key(call, &name, algorithm.as_deref().unwrap_or("RS256"))?,
    };
    if let Some(period) = call.fields().duration("rotation_period")? {
        if period < Duration::from_secs(60) {
            return Err(Error::invalid("rotation_period must be at least one minute"));
        }
        key.rotation_period = period;
        key.next_rotation = key.next_rotation.min(call.now.plus(period));
    }
    if let Some(ttl) = call.fields().duration("verification_ttl")? {
        key.verification_ttl = ttl;
    }
    if key.verification_ttl > key.rotation_period.saturating_mul(10) {
        return Err(Error::invalid("verification_ttl cannot be longer than 10x rotation_period"));
    }
    check_lifetimes(call, &key)?;
    if let Some(ids) = call.fields().list("allowed_client_ids")? {
        key.allowed_client_ids = ids;
    }
    if let Some(algorithm) = algorithm.filter(|algorithm| *algorithm != key.algorithm) {
        let ttl = key.verification_ttl;
        key.rotate(entropy, call.now, ttl, &algorithm)?;
    }
    store::save_key(&mut call.tx, namespace, &key)?;
    Ok(Response::default())
}

/// A key verifies for at least as long as the ID tokens of its clients are good. Tokens of roles end with it.
fn check_lifetimes(call: &mut Call<'_>, key: &NamedKey) -> Result<(), Error> {
    if provider::longest_of_key(call, &key.name)? <= key.verification_ttl {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "unable to update key {:?} because it is currently referenced by one or more clients with an id_token_ttl greater than {} seconds",
        key.name,
        key.verification_ttl.as_secs()
    )))
}

fn rotate(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let mut key = key_of(call, &name)?.ok_or_else(Error::not_found)?;
    let ttl = call.fields().duration("verification_ttl")?.unwrap_or(key.verification_ttl);
    let algorithm = key.algorithm.clone();
    key.rotate(call.kernel.entropy(), call.now, ttl, &algorithm)?;
    store::save_key(&mut call.tx, call.namespace.id(), &key)?;
    Ok(Response::default())
}

fn delete_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let namespace = call.namespace.id();
    if name == DEFAULT_KEY {
        return Err(Error::invalid("deletion of key \"default\" not allowed"));
    }
    let roles = store::all_roles(&mut call.tx, namespace)?;
    let users: Vec<&str> =
        roles.iter().filter(|role| role.key == name).map(|role| role.name.as_str()).collect();
    if !users.is_empty() {
        return Err(Error::invalid(format!(
            "unable to delete key {name:?} because it is currently referenced by these roles: {}",
            users.join(", ")
        )));
    }
    let clients = provider::names_of_key(call, &name)?;
    if !clients.is_empty() {
        return Err(Error::invalid(format!(
            "unable to delete key {name:?} because it is currently referenced by these clients: {}",
            clients.join(", ")
        )));
    }
    store::delete_key(&mut call.tx, namespace, &name)?;
    Ok(Response::default())
}

/// A key by its name; the default one is made when it is first asked for.
fn key_of(call: &mut Call<'_>, name: &str) -> Result<Option<NamedKey>, Error> {
    let known = store::key(&mut call.tx, call.namespace.id(), name)?;
    if known.is_some() || name != DEFAULT_KEY {
        return Ok(known);
    }
    let key = new_key(call, name, "RS256")?;
    store::save_key(&mut call.tx, call.namespace.id(), &key)?;
    Ok(Some(key))
}

/// A key that is not stored yet. The default one signs for everybody.
fn new_key(call: &Call<'_>, name: &str, algorithm: &str) -> Result<NamedKey, Error> {
    let mut key = NamedKey::new(call.kernel.entropy(), name, algorithm, call.now)?;
    if name == DEFAULT_KEY {
        key.allowed_client_ids = vec!["*".to_owned()];
    }
    Ok(key)
}

/// The same, signing with another pair if its time has come.
fn fresh_key(call: &mut Call<'_>, name: &str) -> Result<Option<NamedKey>, Error> {
    let Some(mut key) = key_of(call, name)? else { return Ok(None) };
    if key.next_rotation <= call.now {
        let (ttl, algorithm) = (key.verification_ttl, key.algorithm.clone());
        key.rotate(call.kernel.entropy(), call.now, ttl, &algorithm)?;
        store::save_key(&mut call.tx, call.namespace.id(), &key)?;
    }
    Ok(Some(key))
}

fn list_roles(call: &mut Call<'_>) -> Result<Response, Error> {
    let roles = store::all_roles(&mut call.tx, call.namespace.id())?;
    let mut names: Vec<String> = roles.into_iter().map(|role| role.name).collect();
    names.sort_unstable();
    Response::keys(crate::tokens::page(call.fields(), names)?)
}

fn read_role(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let role = store::role(&mut call.tx, call.namespace.id(), &name)?.ok_or_else(Error::not_found)?;
    Ok(data(json!({
        "client_id": role.client_id,
        "key": role.key,
        "template": role.template,
        "ttl": role.ttl.as_secs(),
    })))
}

fn write_role(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let namespace = call.namespace.id();
    let known = store::role(&mut call.tx, namespace, &name)?;
    let mut role = known.unwrap_or_else(|| TokenRole {
        name: name.clone(),
        key: String::new(),
        template: String::new(),
        ttl: DAY,
        client_id: random_base62(call.kernel.entropy(), CLIENT_ID_CHARACTERS).expose().to_owned(),
    });
    let fields = call.fields();
    if let Some(key) = fields.text("key")? {
        role.key = key;
    }
    if role.key.is_empty() {
        return Err(Error::invalid("The key parameter is required"));
    }
    if let Some(text) = fields.text("template")? {
        role.template = decoded(text);
        template::check(&role.template)?;
    }
    if let Some(ttl) = fields.duration("ttl")? {
        role.ttl = ttl;
    }
    if let Some(client_id) = fields.text("client_id")?.filter(|id| !id.is_empty()) {
        role.client_id = client_id;
    }
    let key = store::key(&mut call.tx, namespace, &role.key)?;
    if key.is_some_and(|key| role.ttl > key.verification_ttl) {
        return Err(Error::invalid(
            "a role's token ttl cannot be longer than the verification_ttl of the key it references",
        ));
    }
    store::save_role(&mut call.tx, namespace, &role)?;
    Ok(Response::default())
}

/// Templates may come in base64.
fn decoded(text: String) -> String {
    let plain = STANDARD.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    plain.unwrap_or(text)
}

fn delete_role(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    store::delete_role(&mut call.tx, call.namespace.id(), &name)?;
    Ok(Response::default())
}

fn token(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let namespace = call.namespace.id();
    let caller = call.require_caller()?;
    let identity = caller
        .identity
        .as_ref()
        .ok_or_else(|| Error::invalid("no entity associated with the request's token"))?;
    let role = store::role(&mut call.tx, namespace, &name)?
        .ok_or_else(|| Error::invalid(format!("role {name:?} not found")))?;
    let key =
        fresh_key(call, &role.key)?.ok_or_else(|| Error::invalid(format!("key {:?} not found", role.key)))?;
    if !key.allowed_client_ids.iter().any(|id| *id == role.client_id || id == "*") {
        return Err(Error::invalid(format!(
            "the key {:?} does not list the client ID of the role {name:?} as an allowed client ID",
            role.key
        )));
    }
    let config = store::config(&mut call.tx, namespace)?;
    // A token must not outlive the key that verifies it.
    let ttl = role.ttl.min(key.verification_ttl);
    let mut claims = template::claims(&role.template, &identity.context, call.namespace.path(), call.now)?;
    for (name, value) in [
        ("iss", json!(issuer(call, &config, call.namespace))),
        ("sub", json!(identity.entity_id)),
        ("aud", json!(role.client_id)),
        ("iat", json!(call.now.seconds())),
        ("exp", json!(call.now.plus(ttl).seconds())),
        ("namespace", json!(call.namespace.record.text_id)),
    ] {
        claims.insert(name.to_owned(), value);
    }
    let token = signed(&key, claims)?;
    Ok(data(json!({ "client_id": role.client_id, "token": token, "ttl": ttl.as_secs() })))
}

/// The compact form of a signed token (RFC 7515, section 7.1).
fn signed(key: &NamedKey, claims: Map<String, Value>) -> Result<String, Error> {
    let header = json!({ "alg": key.algorithm, "kid": key.kid });
    let message =
        format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(Value::Object(claims).to_string()));
    let signature =
        key.pair()?.sign(message.as_bytes()).map_err(|error| Error::internal(error.to_string()))?;
    Ok(format!("{message}.{}", BASE64.encode(signature)))
}

fn introspect(call: &mut Call<'_>) -> Result<Response, Error> {
    let token = call.fields().text("token")?.unwrap_or_default();
    let client_id = call.fields().text("client_id")?.filter(|id| !id.is_empty());
    Ok(Response::plain(match check(call, &token, client_id.as_deref())? {
        Ok(()) => json!({ "active": true }),
        Err(why) => json!({ "active": false, "error": why }),
    }))
}

/// Whether a token is one of ours and good now; or why it is not.
fn check(
    call: &mut Call<'_>,
    token: &str,
    client_id: Option<&str>,
) -> Result<Result<(), &'static str>, Error> {
    let Some((message, signature)) = token.rsplit_once('.') else {
        return Ok(Err("it is not a signed token"));
    };
    let parts =
        message.split_once('.').and_then(|(header, claims)| Some((json_of(header)?, json_of(claims)?)));
    let (Some((header, claims)), Ok(signature)) = (parts, BASE64.decode(signature)) else {
        return Ok(Err("it is not a signed token"));
    };
    let namespace = call.namespace.id();
    let keys = store::all_keys(&mut call.tx, namespace)?;
    let found = keys
        .iter()
        .flat_map(|key| key.public_keys(call.now))
        .find(|key| text(&header, "kid") == key.kid && text(&header, "alg") == key.algorithm.as_str());
    let is_genuine =
        found.is_some_and(|found| found.algorithm.verify(&found.key, message.as_bytes(), &signature));
    if !is_genuine {
        return Ok(Err("unable to validate the token signature"));
    }
    let config = store::config(&mut call.tx, namespace)?;
    if text(&claims, "iss") != issuer(call, &config, call.namespace) {
        return Ok(Err("it has another issuer"));
    }
    if claims.get("exp").and_then(Value::as_i64).is_none_or(|end| end <= call.now.seconds()) {
        return Ok(Err("it has expired"));
    }
    if client_id.is_some_and(|id| text(&claims, "aud") != id) {
        return Ok(Err("it is for another audience"));
    }
    let subject = text(&claims, "sub");
    let entity = super::store::entity_around(&mut call.tx, call.topology, namespace, subject)?;
    Ok(match entity {
        Some(entity) if !entity.is_disabled => Ok(()),
        Some(_) => Err("entity is disabled"),
        None => Err("entity was not found"),
    })
}

/// A part of a token; texts that are not JSON objects are none.
fn json_of(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> &'a str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn discovery(call: &mut Call<'_>) -> Result<Response, Error> {
    let config = store::config(&mut call.tx, call.namespace.id())?;
    let issuer = issuer(call, &config, call.namespace);
    let algorithms = JwsAlgorithm::SIGNING.map(JwsAlgorithm::as_str);
    Ok(Response::plain(json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/keys"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    })))
}

fn public_keys(call: &mut Call<'_>) -> Result<Response, Error> {
    let keys = store::all_keys(&mut call.tx, call.namespace.id())?;
    Ok(Response::plain(json!({ "keys": key_set(&keys, call.now)? })))
}

/// JSON Web Keys (RFC 7517) of all pairs that verify now.
fn key_set(keys: &[NamedKey], now: Timestamp) -> Result<Vec<Value>, Error> {
    let mut set = Vec::new();
    for public in keys.iter().flat_map(|key| key.public_keys(now)) {
        let members = public.key.jwk().map_err(|error| Error::internal(error.to_string()))?;
        let mut jwk: Map<String, Value> =
            members.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        jwk.insert("use".to_owned(), json!("sig"));
        jwk.insert("kid".to_owned(), json!(public.kid));
        jwk.insert("alg".to_owned(), json!(public.algorithm.as_str()));
        set.push(Value::Object(jwk));
    }
    Ok(set)
}
