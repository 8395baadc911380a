//! Auth methods.

mod approle;
mod cert;
mod github;
mod glob;
mod jws;
mod jwt;
mod kubernetes;
mod ldap;
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

/// Whether a call is to the mount's `login`: lockout counts failures there, and nowhere else.
fn is_login(call: &Call<'_>) -> bool {
    let rest = call.path.as_str().strip_prefix(call.mount.path());
    rest.is_some_and(|rest| rest == "login" || rest.starts_with("login/"))
}
