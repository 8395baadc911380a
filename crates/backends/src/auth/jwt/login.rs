//! Logging in with a token that somebody has, and what follows from any token that is good.

use super::role::{Role, RoleType};
use super::{claims, config, keys};
use crate::auth::roles;
use crate::auth::token_parameters::is_within;
use serde_json::{Map, Value, json};
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_kernel::tokens::TokenEntry;
use strongroom_kernel::{Call, Error, LoginGrant, Response};

pub(super) fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let token = call.fields().value("jwt").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    if token.is_empty() {
        return Err(Error::invalid("missing token"));
    }
    let config = config::load(call)?;
    let (name, role) = role_of(call, &config)?;
    if role.role_type == RoleType::Oidc {
        return Err(Error::invalid("role with oidc role_type is not allowed"));
    }
    let claims = keys::verify(call, &config, &token, &JwsAlgorithm::ALL)?;
    if !config.oidc_discovery_url.is_empty() {
        let provider = keys::provider(call, &config)?;
        if claims::text(&claims, "iss") != Some(&provider.issuer) {
            return Err(Error::invalid("error validating token: invalid issuer (iss) claim"));
        }
    }
    claims::check_registered(&claims, &config, &role, call.now)?;
    claims::check_audience(&claims, &role)?;
    let grant = grant(call, &claims, &role, &name)?;
    Ok(Response { login: Some(Box::new(grant)), ..Response::default() })
}

/// The role that the request names, or the mount's default.
pub(super) fn role_of(call: &mut Call<'_>, config: &config::Config) -> Result<(String, Role), Error> {
    let name = call.fields().text("role")?.filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| config.default_role.clone());
    if name.is_empty() {
        return Err(Error::invalid("missing role"));
    }
    let role = roles::load::<Role>(call, &name)?
        .ok_or_else(|| Error::invalid(format!("role {name:?} could not be found")))?;
    if !is_within(call, &role.parameters.settings.bound_cidrs) {
        return Err(Error::denied().with_detail("the client's address is outside the role's bound CIDRs"));
    }
    Ok((name, role))
}

/// What the holder of these claims gets.
pub(super) fn grant(
    call: &Call<'_>,
    token_claims: &Map<String, Value>,
    role: &Role,
    role_name: &str,
) -> Result<LoginGrant, Error> {
    claims::check_bound(token_claims, role)?;
    let described = claims::describe(token_claims, role, role_name)?;
    Ok(LoginGrant {
        display_name: described.name.clone(),
        alias: described.name,
        alias_metadata: described.metadata.clone(),
        group_aliases: described.groups,
        metadata: described.metadata,
        token: role.parameters.for_login(call),
        renewable: true,
        internal: json!({ "role": role_name }),
        role: Some(role_name.to_owned()),
    })
}

/// The role must still be there, with the policies that the token has.
pub(super) fn renew(call: &mut Call<'_>, entry: &TokenEntry) -> Result<LoginGrant, Error> {
    let name = entry.internal.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    let role = roles::load::<Role>(call, &name)?
        .ok_or_else(|| Error::invalid(format!("role {name:?} does not exist during renewal")))?;
    Ok(LoginGrant {
        token: role.parameters.for_login(call),
        metadata: entry.metadata.clone(),
        renewable: true,
        internal: entry.internal.clone(),
        ..LoginGrant::default()
    })
}
