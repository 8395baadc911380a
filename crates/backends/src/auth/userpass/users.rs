//! The users of a mount.

use crate::auth::token_parameters::TokenParameters;
use crate::listing::page;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use strongroom_crypto::password::{PasswordError, PasswordHash};
use strongroom_kernel::{Call, Error, Fields, Key, Record, Response, Table};

const USERS: Table = Table(1);

/// A user as stored.
#[derive(Serialize, Deserialize)]
pub(super) struct User {
    password_hash: String,
    #[serde(default)]
    pub parameters: TokenParameters,
}

impl Record for User {}

impl User {
    pub(super) fn password_hash(&self) -> Result<PasswordHash, Error> {
        PasswordHash::parse(&self.password_hash)
            .map_err(|error| Error::internal(format!("a stored password hash: {error}")))
    }
}

/// The one form of a user's name: what is stored, counted for lockout and known to identity.
pub(super) fn canonical_name(call: &Call<'_>) -> String {
    call.capture("username").to_lowercase()
}

fn key_of(call: &Call<'_>, name: &str) -> Key {
    call.tx.name_key(&call.table(USERS), name)
}

fn key(call: &Call<'_>) -> Key {
    key_of(call, &canonical_name(call))
}

/// The user that the route names.
pub(super) fn load(call: &mut Call<'_>) -> Result<Option<User>, Error> {
    let key = key(call);
    call.tx.record(&key)
}

/// A user by canonical name.
pub(super) fn load_named(call: &mut Call<'_>, name: &str) -> Result<Option<User>, Error> {
    let key = key_of(call, name);
    call.tx.record(&key)
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    Ok(load(call)?.is_some())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(USERS);
    let names = call.tx.children(&table)?;
    page(call, names)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let user = load(call)?.ok_or_else(Error::not_found)?;
    let mut data = Map::new();
    user.parameters.describe(&mut data);
    Ok(Response::data(data))
}

/// The hash that a request brings, or the hash of the password that it brings.
fn new_hash(call: &Call<'_>) -> Result<Option<String>, Error> {
    let refused = |error: PasswordError| Error::invalid(error.to_string());
    let password = call.fields().value("password").and_then(|value| value.as_str()).filter(|p| !p.is_empty());
    let hash = call.fields().text("password_hash")?.filter(|hash| !hash.is_empty());
    match (password, hash) {
        (Some(_), Some(_)) => Err(Error::invalid("give one of password and password_hash, not both")),
        (Some(password), None) => {
            let hash = PasswordHash::create(call.entropy(), password.as_bytes()).map_err(refused)?;
            Ok(Some(hash.expose().to_owned()))
        }
        (None, Some(hash)) => {
            PasswordHash::parse(&hash).map_err(refused)?;
            Ok(Some(hash))
        }
        (None, None) if call.fields().value("password").is_some_and(|value| !value.is_string()) => {
            Err(Error::invalid("field \"password\" must be text"))
        }
        (None, None) => Ok(None),
    }
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let old = load(call)?;
    let mut parameters = old.as_ref().map(|user| user.parameters.clone()).unwrap_or_default();
    parameters.update(call.fields())?;
    let password_hash = match (new_hash(call)?, old) {
        (Some(hash), _) => hash,
        (None, Some(old)) => old.password_hash,
        (None, None) => return Err(Error::invalid("missing password")),
    };
    let warnings = parameters.warnings(call);
    let key = key(call);
    call.tx.put_record(&key, &User { password_hash, parameters })?;
    Ok(Response { warnings, ..Response::default() })
}

/// The user to be changed; a user that there is not is not made by changing a part.
fn existing(call: &mut Call<'_>) -> Result<User, Error> {
    load(call)?.ok_or_else(|| Error::invalid("username does not exist"))
}

pub(super) fn write_password(call: &mut Call<'_>) -> Result<Response, Error> {
    let user = existing(call)?;
    let password_hash = new_hash(call)?.ok_or_else(|| Error::invalid("missing password"))?;
    let key = key(call);
    call.tx.put_record(&key, &User { password_hash, ..user })?;
    Ok(Response::default())
}

pub(super) fn write_policies(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut user = existing(call)?;
    let name = if call.fields().has("token_policies") { "token_policies" } else { "policies" };
    let policies =
        call.fields().value(name).cloned().ok_or_else(|| Error::invalid("missing token_policies"))?;
    user.parameters.update(&Fields(Map::from_iter([("token_policies".to_owned(), policies)])))?;
    let key = key(call);
    call.tx.put_record(&key, &user)?;
    Ok(Response::default())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    call.tx.delete(&key)?;
    Ok(Response::default())
}
