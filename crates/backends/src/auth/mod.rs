//! Auth methods.

mod approle;
mod cert;
mod github;
mod glob;
mod jws;
mod jwt;
mod kubernetes;
mod ldap;
mod roles;
mod token_parameters;
mod userpass;
mod web;

use strongroom_kernel::{Backend, Call};

pub(crate) fn all() -> Vec<&'static Backend> {
    vec![
        &approle::BACKEND,
        &cert::BACKEND,
        &github::BACKEND,
        &jwt::JWT,
        &jwt::OIDC,
        &kubernetes::BACKEND,
        &ldap::BACKEND,
        &userpass::BACKEND,
    ]
}

/// Takes a token apart, as all who log in with one do.
pub(crate) fn hear_token(text: &str) {
    if let Ok(token) = jws::Token::parse(text) {
        drop(jws::seconds(token.unverified(), "exp"));
        kubernetes::hear_claims(token.unverified());
    }
    drop(jws::public_key(text));
}

pub(crate) use jwt::hear as hear_issuer;
pub(crate) use kubernetes::hear as hear_review;
pub(crate) use ldap::hear as hear_directory;

/// Whether a call is to the mount's `login`: lockout counts failures there, and nowhere else.
fn is_login(call: &Call<'_>) -> bool {
    let rest = call.path.as_str().strip_prefix(call.mount.path());
    rest.is_some_and(|rest| rest == "login" || rest.starts_with("login/"))
}
