//! Clients: the applications that people log in to.

use super::super::super::shown::{data, listed};
use super::super::{DEFAULT_KEY, key_of};
use super::records::{CLIENTS, Client, ClientType};
use super::records::{assignment, find, index_client, name_of, names, remove_client, save};
use super::redirect::may_be_registered;
use crate::call::Call;
use crate::error::Error;
use crate::request::{Data, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use strongroom_crypto::token::random_base62;
use strongroom_secret::Entropy;

const CLIENT_ID_CHARACTERS: usize = 32;
const SECRET_PREFIX: &str = "hvo_secret_";
const SECRET_CHARACTERS: usize = 64;
const DAY: Duration = Duration::from_secs(24 * 3600);
const REDIRECT_BYTES_MAX: usize = 2048;

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut entries = BTreeMap::new();
    for name in names(&mut call.tx, call.namespace.id(), CLIENTS)? {
        let Some(client) = find::<Client>(call, CLIENTS, &name)? else { continue };
        entries.insert(name, shown(&client));
    }
    listed(call, entries)
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(find::<Client>(call, CLIENTS, &name)?.is_some())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let client = find::<Client>(call, CLIENTS, &name)?.ok_or_else(Error::not_found)?;
    let mut response = data(shown(&client));
    if let Data::Map(map) = &mut response.data
        && client.kind == ClientType::Confidential
    {
        map.insert("client_secret".to_owned(), json!(client.secret));
    }
    Ok(response)
}

/// All but the secret.
fn shown(client: &Client) -> Value {
    json!({
        "access_token_ttl": client.access_token_ttl.as_secs(),
        "assignments": client.assignments,
        "client_id": client.client_id,
        "client_type": client.kind.as_str(),
        "id_token_ttl": client.id_token_ttl.as_secs(),
        "key": client.key,
        "redirect_uris": client.redirect_uris,
    })
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name_of(call)?;
    let known = find::<Client>(call, CLIENTS, &name)?;
    let is_new = known.is_none();
    let kind = call.fields().text("client_type")?;
    let kind = match kind.as_deref() {
        None => None,
        Some(kind) => Some(
            ClientType::parse(kind).ok_or_else(|| Error::invalid(format!("invalid client_type {kind:?}")))?,
        ),
    };
    let mut client = known.unwrap_or_else(|| blank(call.entropy(), kind.unwrap_or(ClientType::Confidential)));
    if kind.is_some_and(|kind| kind != client.kind) {
        return Err(Error::invalid("client_type modification is not allowed"));
    }
    if let Some(key) = call.fields().text("key")?.filter(|key| *key != client.key) {
        if !is_new {
            return Err(Error::invalid("key modification is not allowed"));
        }
        client.key = key;
    }
    update(call, &mut client)?;
    let key = key_of(call, &client.key)?
        .ok_or_else(|| Error::invalid(format!("key {:?} does not exist", client.key)))?;
    if client.id_token_ttl > key.verification_ttl {
        return Err(Error::invalid(
            "a client's id_token_ttl cannot be greater than the verification_ttl of the key it references",
        ));
    }
    if is_new {
        index_client(call, &client.client_id, &name)?;
    }
    save(call, CLIENTS, &name, &client)?;
    Ok(Response::default())
}

fn blank(entropy: &dyn Entropy, kind: ClientType) -> Client {
    let secret = match kind {
        ClientType::Confidential => {
            format!("{SECRET_PREFIX}{}", random_base62(entropy, SECRET_CHARACTERS).expose())
        }
        ClientType::Public => String::new(),
    };
    Client {
        client_id: random_base62(entropy, CLIENT_ID_CHARACTERS).expose().to_owned(),
        secret,
        kind,
        key: DEFAULT_KEY.to_owned(),
        redirect_uris: Vec::new(),
        assignments: Vec::new(),
        id_token_ttl: DAY,
        access_token_ttl: DAY,
    }
}

/// What may be changed at any time.
fn update(call: &mut Call<'_>, client: &mut Client) -> Result<(), Error> {
    if let Some(uris) = call.fields().list("redirect_uris")? {
        if uris.iter().any(|uri| uri.len() > REDIRECT_BYTES_MAX || !may_be_registered(uri)) {
            return Err(Error::invalid(
                "a redirect URI is absolute, as https://app.example.com/callback, and has no fragment (#)",
            ));
        }
        client.redirect_uris = without_repetition(uris);
    }
    if let Some(names) = call.fields().list("assignments")? {
        for name in &names {
            if assignment(call, name)?.is_none() {
                return Err(Error::invalid(format!("assignment {name:?} does not exist")));
            }
        }
        client.assignments = without_repetition(names);
    }
    for (field, ttl) in
        [("id_token_ttl", &mut client.id_token_ttl), ("access_token_ttl", &mut client.access_token_ttl)]
    {
        if let Some(given) = call.fields().duration(field)? {
            if given.is_zero() {
                return Err(Error::invalid(format!("{field} must be greater than zero")));
            }
            *ttl = given;
        }
    }
    Ok(())
}

pub(super) fn without_repetition(texts: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    remove_client(call, &name)?;
    Ok(Response::default())
}

/// The clients whose ID tokens a key signs.
pub(in super::super) fn names_of_key(call: &mut Call<'_>, key: &str) -> Result<Vec<String>, Error> {
    let mut users = Vec::new();
    for name in names(&mut call.tx, call.namespace.id(), CLIENTS)? {
        if find::<Client>(call, CLIENTS, &name)?.is_some_and(|client| client.key == key) {
            users.push(name);
        }
    }
    Ok(users)
}

/// How long the longest ID token of a key is good.
pub(in super::super) fn longest_of_key(call: &mut Call<'_>, key: &str) -> Result<Duration, Error> {
    let mut longest = Duration::ZERO;
    for name in names_of_key(call, key)? {
        if let Some(client) = find::<Client>(call, CLIENTS, &name)? {
            longest = longest.max(client.id_token_ttl);
        }
    }
    Ok(longest)
}
