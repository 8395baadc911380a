//! Logging in. Whatever is wrong gets the same answer, after the same look-ups.

use super::roles::{self, ROLE_ID_BYTES_MAX, Role};
use super::secret_ids::{self, SecretId};
use super::uses;
use crate::auth::is_login;
use crate::auth::token_parameters::is_within;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use strongroom_kernel::tokens::{TokenEntry, TokenSettings};
use strongroom_kernel::{Call, Error, LoginGrant, Response};
use strongroom_secret::SecretString;

/// Where the secret-ids of a role that there is not are looked for.
const NO_FAMILY: [u8; 8] = [0; 8];

fn refused(why: &str) -> Error {
    Error::invalid("invalid role or secret ID").with_detail(why)
}

/// Longer texts are no role's id: their logins fail, and nothing of them is remembered.
pub(super) fn login_name(call: &Call<'_>) -> Option<String> {
    is_login(call)
        .then(|| call.fields().text("role_id").ok().flatten())?
        .filter(|id| (1..=ROLE_ID_BYTES_MAX).contains(&id.len()))
}

pub(super) fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let role_id = call.fields().required_text("role_id")?;
    let role = roles::shared_by_id(call, &role_id)?;
    let needs_secret_id = role.as_ref().is_none_or(|role| role.bind_secret_id);
    let proof = if needs_secret_id { look_up_secret_id(call, role.as_deref())? } else { None };
    if needs_secret_id && proof.is_none() {
        call.note_presented(&call.fields().required_text("secret_id")?, "secret-id");
    }
    let Some(role) = role else { return Err(refused("no role has this role-id")) };
    if needs_secret_id && proof.is_none() {
        return Err(refused("the role has no such secret-id, or its time is over"));
    }
    if !is_within(call, &role.secret_id_bound_cidrs)
        || !proof.as_ref().is_none_or(|secret_id| is_within(call, &secret_id.cidr_list))
    {
        return Err(refused("the client's address is outside the networks of the role or the secret-id"));
    }
    let token = token_settings(call, &role, proof.as_deref());
    if !is_within(call, &token.bound_cidrs) {
        return Err(refused("the client's address is outside the token's networks"));
    }
    let mut metadata = proof.map_or_else(Map::new, |secret_id| secret_id.metadata.clone());
    metadata.insert("role_name".to_owned(), json!(role.name));
    Ok(Response { login: Some(Box::new(grant(&role, token, metadata))), ..Response::default() })
}

/// The secret-id of a login, if it is good; its use is taken.
fn look_up_secret_id(call: &mut Call<'_>, role: Option<&Role>) -> Result<Option<Arc<SecretId>>, Error> {
    let secret_id = SecretString::new(call.fields().required_text("secret_id")?);
    let handle = secret_ids::handle_of(call, secret_id.expose());
    let family = role.map_or(NO_FAMILY, |role| role.family);
    let key = secret_ids::key(call, family, &handle);
    let Some(entry) = call.tx.shared_record::<SecretId>(&key)? else { return Ok(None) };
    if entry.is_expired(call.now) {
        return Ok(None);
    }
    match entry.uses_left {
        Some(left) if left <= 1 => secret_ids::remove(call, family, &handle, &entry)?,
        Some(left) => {
            let mut used = SecretId::clone(&entry);
            used.uses_left = Some(left - 1);
            used.use_count += 1;
            (used.last_used, used.updated) = (Some(call.now), call.now);
            call.tx.put_record(&key, &used)?;
        }
        None => {
            if let Some(used) = uses::count(call, &handle, &entry) {
                call.tx.put_record(&key, &used)?;
            }
        }
    }
    Ok(Some(entry))
}

/// What the role says of the token, narrowed by the secret-id.
fn token_settings(call: &Call<'_>, role: &Role, secret_id: Option<&SecretId>) -> TokenSettings {
    let mut settings = role.parameters.for_login(call);
    if let Some(secret_id) = secret_id.filter(|secret_id| !secret_id.token_bound_cidrs.is_empty())
        && !role.parameters.strictly_bind_ip
    {
        settings.bound_cidrs.clone_from(&secret_id.token_bound_cidrs);
    }
    settings
}

fn grant(role: &Role, token: TokenSettings, metadata: Map<String, Value>) -> LoginGrant {
    LoginGrant {
        alias: role.role_id.clone(),
        alias_metadata: metadata.clone(),
        metadata,
        token,
        renewable: true,
        internal: json!({ "role_name": role.name }),
        role: Some(role.name.clone()),
        ..LoginGrant::default()
    }
}

/// The role must still be there; its lifetimes of today count.
pub(super) fn renew(call: &mut Call<'_>, entry: &TokenEntry) -> Result<LoginGrant, Error> {
    let name = entry.internal.get("role_name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let role = roles::by_name(call, &name)?
        .ok_or_else(|| Error::invalid(format!("role {name:?} does not exist during renewal")))?;
    let token = role.parameters.settings.clone();
    Ok(grant(&role, token, entry.metadata.clone()))
}
