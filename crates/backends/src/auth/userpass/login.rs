//! Logging in. A wrong name and a wrong password take the same work and get the same answer.

use super::users::{self, User};
use crate::auth::is_login;
use crate::auth::token_parameters::is_within;
use serde_json::{Map, Value, json};
use strongroom_crypto::password::verify_nobody;
use strongroom_kernel::tokens::TokenEntry;
use strongroom_kernel::{Call, Error, LoginGrant, Response};

pub(super) fn login_name(call: &Call<'_>) -> Option<String> {
    is_login(call).then(|| users::canonical_name(call))
}

pub(super) fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let user = users::load(call)?;
    let password = call.fields().value("password").and_then(Value::as_str).unwrap_or_default();
    if password.is_empty() {
        return Err(Error::invalid("missing password"));
    }
    let is_right = match &user {
        Some(user) => user.password_hash()?.verify(password.as_bytes()),
        None => verify_nobody(password.as_bytes()),
    };
    let Some(user) = user.filter(|_| is_right) else {
        call.note_login(&users::canonical_name(call));
        call.note_presented(password, "login");
        return Err(Error::invalid("invalid username or password"));
    };
    if !is_within(call, &user.parameters.settings.bound_cidrs) {
        return Err(Error::denied().with_detail("the client's address is outside the user's bound CIDRs"));
    }
    let login = Some(Box::new(grant(call, users::canonical_name(call), &user)));
    Ok(Response { login, ..Response::default() })
}

fn grant(call: &Call<'_>, name: String, user: &User) -> LoginGrant {
    LoginGrant {
        display_name: name.clone(),
        alias: name.clone(),
        metadata: Map::from_iter([("username".to_owned(), json!(name))]),
        token: user.parameters.for_login(call),
        renewable: true,
        internal: json!({ "username": name }),
        ..LoginGrant::default()
    }
}

/// The user must still be there, and have the policies that the token has.
pub(super) fn renew(call: &mut Call<'_>, entry: &TokenEntry) -> Result<LoginGrant, Error> {
    let name = entry.internal.get("username").and_then(Value::as_str).unwrap_or_default().to_owned();
    let user = users::load_named(call, &name)?.ok_or_else(|| Error::invalid("the user is gone"))?;
    let without_default = |policies: &[String]| {
        policies
            .iter()
            .filter(|policy| *policy != "default")
            .cloned()
            .collect::<std::collections::BTreeSet<_>>()
    };
    if without_default(&entry.policies) != without_default(&user.parameters.settings.policies) {
        return Err(Error::invalid("policies have changed, not renewing"));
    }
    Ok(grant(call, name, &user))
}
