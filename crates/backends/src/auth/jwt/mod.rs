//! Holders of JSON Web Tokens: those of CI jobs and services (`jwt`), and people who log in at an OpenID Connect provider
//! (`oidc`). Both types are the same method; they differ by their roles.
//!
//! Source: <https://developer.hashicorp.com/vault/api-docs/auth/jwt>, <https://openid.net/specs/openid-connect-core-1_0.html>

mod claims;
mod config;
mod exchange;
mod keys;
mod login;
mod oidc;
mod role;

pub(crate) use keys::hear;

use super::token_parameters::{
    TOKEN_BOUND_CIDRS, TOKEN_EXPLICIT_MAX_TTL, TOKEN_MAX_TTL, TOKEN_NO_DEFAULT_POLICY, TOKEN_NUM_USES,
    TOKEN_PERIOD, TOKEN_POLICIES, TOKEN_STRICTLY_BIND_IP, TOKEN_TTL, TOKEN_TYPE,
};
use crate::auth::roles;
use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, heavy_read, heavy_write, list, read, write};
use strongroom_kernel::{Access, Backend, Class, Field, FieldKind, Route};

pub(crate) static JWT: Backend = Backend {
    memory: keys::memory,
    renew_login: Some(login::renew),
    tidy: Some(oidc::tidy),
    ..Backend::new("jwt", Class::Auth, "Lets holders of JSON Web Tokens in.", &[ROUTES])
};

pub(crate) static OIDC: Backend = Backend {
    memory: keys::memory,
    renew_login: Some(login::renew),
    tidy: Some(oidc::tidy),
    ..Backend::new("oidc", Class::Auth, "Lets people in who log in at an OpenID Connect provider.", &[ROUTES])
};

const ROLE: Field =
    field("role", FieldKind::Text, "The role to log in with; the mount's default without it.");
const CALLBACK: &[Field] = &[
    field("state", FieldKind::Text, "As it was in the address that the browser was sent to."),
    field("code", FieldKind::Text, "The provider's code."),
    field("client_nonce", FieldKind::Text, "As it was given when the address was asked for."),
    field("error", FieldKind::Text, "Why the provider refused."),
    field("error_description", FieldKind::Text, "The same in words."),
];

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route {
        pattern: "login", summary: "Log in.", access: Access::Open, exists: None,
        fields: &[ROLE, field("jwt", FieldKind::Text, "The token.")],
        methods: &[heavy_write(login::login, "Log in with a token.")],
    },
    Route {
        pattern: "oidc/auth_url", summary: "Where to log in in a browser.", access: Access::Open, exists: None,
        fields: &[
            ROLE,
            field("redirect_uri", FieldKind::Text, "Where the provider sends the browser afterwards."),
            field("client_nonce", FieldKind::Text, "A secret of the client, to be shown again at the callback."),
        ],
        methods: &[heavy_write(oidc::auth_url, "Ask for the address.")],
    },
    Route {
        pattern: "oidc/callback", summary: "Where the provider sends people back to.", access: Access::Open, exists: None,
        fields: CALLBACK,
        methods: &[
            heavy_read(oidc::callback, "Log in with the provider's code."),
            heavy_write(oidc::callback, "Log in with the provider's code (form_post)."),
        ],
    },
    Route {
        pattern: "config", summary: "Whose tokens are believed.", access: Access::Token, exists: None,
        fields: &[
            field("oidc_discovery_url", FieldKind::Text, "The issuer, whose discovery document is asked for."),
            field("oidc_discovery_ca_pem", FieldKind::Text, "The authorities that the issuer's server is trusted by."),
            field("oidc_client_id", FieldKind::Text, "Our client id at the provider."),
            field("oidc_client_secret", FieldKind::Text, "Our client secret; never shown."),
            field("oidc_response_mode", FieldKind::Text, "query or form_post."),
            field("oidc_response_types", FieldKind::List, "code."),
            field("jwks_url", FieldKind::Text, "Where the issuer publishes its keys."),
            field("jwks_ca_pem", FieldKind::Text, "The authorities that this server is trusted by."),
            field("jwks_pairs", FieldKind::Any, "Several of them: objects with jwks_url and jwks_ca_pem."),
            field("jwt_validation_pubkeys", FieldKind::List, "Public keys in PEM, in place of an address."),
            field("bound_issuer", FieldKind::Text, "The iss that tokens must have."),
            field("jwt_supported_algs", FieldKind::List, "The algorithms that tokens may be signed with."),
            field("default_role", FieldKind::Text, "The role of logins that name none."),
            field("provider_config", FieldKind::Map, "Must be empty: providers are treated alike."),
            field("namespace_in_state", FieldKind::Boolean, "Kept for the sake of Vault's clients."),
        ],
        methods: &[
            read(config::read, "Read the settings."),
            heavy_write(config::write, "Replace the settings."),
        ],
    },
    Route {
        pattern: "role/?", summary: "All roles.", access: Access::Token, exists: None,
        fields: &[AFTER, LIMIT],
        methods: &[list(roles::list, "List the names.")],
    },
    Route {
        pattern: "role/{name}", summary: "Who may log in, and what they get.", access: Access::Token, exists: Some(roles::exists::<role::Role>),
        fields: &[
            field("name", FieldKind::Text, "The role's name."),
            field("role_type", FieldKind::Text, "jwt, or oidc: for logins in a browser."),
            field("bound_audiences", FieldKind::List, "One of these must be one of the token's aud."),
            field("bound_subject", FieldKind::Text, "The token's sub."),
            field("bound_claims", FieldKind::Map, "Claims and the values that they must have."),
            field("bound_claims_type", FieldKind::Text, "string, or glob: with * for any text."),
            field("claim_mappings", FieldKind::Map, "Claims that become metadata, and under which names."),
            field("user_claim", FieldKind::Text, "The claim that names the user."),
            field("user_claim_json_pointer", FieldKind::Boolean, "user_claim may be a JSON pointer."),
            field("groups_claim", FieldKind::Text, "The claim with the user's groups; a JSON pointer if it begins with /."),
            field("oidc_scopes", FieldKind::List, "Scopes to ask for beside openid."),
            field("allowed_redirect_uris", FieldKind::List, "Where people may be sent back to."),
            field("expiration_leeway", FieldKind::Duration, "How long a token without exp is good; such tokens are refused without it."),
            field("not_before_leeway", FieldKind::Duration, "How long before its iat a token without nbf is good."),
            field("clock_skew_leeway", FieldKind::Duration, "By how much clocks may differ: 60s by default, -1 for nothing."),
            field("max_age", FieldKind::Duration, "How long ago the login at the provider may be."),
            field("verbose_oidc_logging", FieldKind::Boolean, "Taken, and without effect."),
            TOKEN_TTL, TOKEN_MAX_TTL, TOKEN_EXPLICIT_MAX_TTL, TOKEN_PERIOD, TOKEN_NUM_USES, TOKEN_POLICIES,
            TOKEN_NO_DEFAULT_POLICY, TOKEN_BOUND_CIDRS, TOKEN_STRICTLY_BIND_IP, TOKEN_TYPE,
        ],
        methods: &[
            read(role::read, "Read the role."),
            write(role::write, "Make or change the role; what is not given stays."),
            delete(roles::delete, "Remove the role."),
        ],
    },
];
