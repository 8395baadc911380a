//! This server as an OpenID Connect provider: applications that know OpenID Connect let people in who log in here.
//!
//! A *provider* is an issuer with its scopes, a *client* an application, a *scope* a template of claims, an *assignment* the
//! entities and groups that may use a client. Sources: <https://developer.hashicorp.com/vault/api-docs/secret/identity/oidc-provider>,
//! OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749, RFC 7636 (PKCE), RFC 6750.

mod assignments;
mod authorize;
mod clients;
mod codes;
mod discovery;
mod providers;
mod records;
mod redirect;
mod refusal;
mod scopes;
mod token;
mod userinfo;

use super::super::entities::{field, method};
use crate::request::Operation;
use crate::route::{Access, Field, FieldKind, Route, Run};

pub(super) use clients::{longest_of_key, names_of_key};
pub use redirect::is_redirect;

const NAME: Field = field("name", FieldKind::Text, "The name.");
const ASSIGNMENT: &[Field] = &[
    NAME,
    field("entity_ids", FieldKind::List, "Entities that may use the client."),
    field("group_ids", FieldKind::List, "Groups whose entities may use the client."),
];
const SCOPE: &[Field] = &[
    NAME,
    field("template", FieldKind::Text, "The claims that it adds, as JSON or base64 of it."),
    field("description", FieldKind::Text, "For people."),
];
const CLIENT: &[Field] = &[
    NAME,
    field("key", FieldKind::Text, "The key that signs its ID tokens."),
    field("redirect_uris", FieldKind::List, "Where people may be sent back to."),
    field("assignments", FieldKind::List, "Who may log in to it; `allow_all` for everybody."),
    field(
        "client_type",
        FieldKind::Text,
        "`confidential`, which keeps a secret, or `public`, which must use PKCE.",
    ),
    field("id_token_ttl", FieldKind::Duration, "How long its ID tokens are good."),
    field("access_token_ttl", FieldKind::Duration, "How long its access tokens are good."),
];
const PROVIDER: &[Field] = &[
    NAME,
    field("issuer", FieldKind::Text, "Scheme, host and port by which clients reach this server."),
    field("allowed_client_ids", FieldKind::List, "Clients that may use it; `*` for all."),
    field("scopes_supported", FieldKind::List, "Scopes that clients may ask for."),
];
const AUTHORIZE: &[Field] = &[
    NAME,
    field("client_id", FieldKind::Text, "Who asks."),
    field("redirect_uri", FieldKind::Text, "Where the answer goes."),
    field("response_type", FieldKind::Text, "`code`"),
    field("scope", FieldKind::Text, "Scopes with blanks between them, `openid` among them."),
    field("state", FieldKind::Text, "Comes back as it is."),
    field("nonce", FieldKind::Text, "Comes back in the ID token."),
    field("max_age", FieldKind::Integer, "How many seconds ago the login may have been."),
    field("code_challenge", FieldKind::Text, "PKCE: what the verifier will be compared with."),
    field("code_challenge_method", FieldKind::Text, "PKCE: `S256` or `plain`."),
];
const TOKEN: &[Field] = &[
    NAME,
    field("grant_type", FieldKind::Text, "`authorization_code`"),
    field("code", FieldKind::Text, "The code from the authorization endpoint."),
    field("redirect_uri", FieldKind::Text, "The same as there."),
    field("code_verifier", FieldKind::Text, "PKCE."),
    field("client_id", FieldKind::Text, "Where there is no `Authorization: Basic`."),
    field("client_secret", FieldKind::Text, "Where there is no `Authorization: Basic`."),
];

#[rustfmt::skip]
pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "oidc/assignment/?", summary: "All assignments.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(assignments::list), "List the names.")],
    },
    Route {
        pattern: "oidc/assignment/{name}", summary: "Who may log in to a client.", access: Access::Token, fields: ASSIGNMENT,
        exists: Some(assignments::exists),
        methods: &[
            method(Operation::Read, Run::Read(assignments::read), "Read it."),
            method(Operation::Write, Run::Write(assignments::write), "Make or change it."),
            method(Operation::Delete, Run::Write(assignments::delete), "Remove it."),
        ],
    },
    Route {
        pattern: "oidc/scope/?", summary: "All scopes.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(scopes::list), "List the names.")],
    },
    Route {
        pattern: "oidc/scope/{name}", summary: "Claims that clients may ask for.", access: Access::Token, fields: SCOPE,
        exists: Some(scopes::exists),
        methods: &[
            method(Operation::Read, Run::Read(scopes::read), "Read it."),
            method(Operation::Write, Run::Write(scopes::write), "Make or change it."),
            method(Operation::Delete, Run::Write(scopes::delete), "Remove it."),
        ],
    },
    Route {
        pattern: "oidc/client/?", summary: "All clients.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(clients::list), "List them, without their secrets.")],
    },
    Route {
        pattern: "oidc/client/{name}", summary: "An application that people log in to.", access: Access::Token, fields: CLIENT,
        exists: Some(clients::exists),
        methods: &[
            method(Operation::Read, Run::Read(clients::read), "Read it, with its secret."),
            // Its key may have to be made.
            method(Operation::Write, Run::Heavy(clients::write), "Make or change it."),
            method(Operation::Delete, Run::Write(clients::delete), "Remove it."),
        ],
    },
    Route {
        pattern: "oidc/provider/?", summary: "All providers.", access: Access::Token,
        fields: &[field("allowed_client_id", FieldKind::Text, "Only those that this client may use.")], exists: None,
        methods: &[method(Operation::List, Run::Read(providers::list), "List them.")],
    },
    Route {
        pattern: "oidc/provider/{name}", summary: "An issuer of ID tokens for applications.", access: Access::Token, fields: PROVIDER,
        exists: Some(providers::exists),
        methods: &[
            method(Operation::Read, Run::Read(providers::read), "Read it."),
            method(Operation::Write, Run::Write(providers::write), "Make or change it."),
            method(Operation::Delete, Run::Write(providers::delete), "Remove it."),
        ],
    },
    Route {
        pattern: "oidc/provider/{name}/.well-known/openid-configuration", summary: "What clients need to know.",
        access: Access::Open, fields: &[NAME], exists: None,
        methods: &[method(Operation::Read, Run::Read(discovery::configuration), "Read it.")],
    },
    Route {
        pattern: "oidc/provider/{name}/.well-known/keys", summary: "The public keys that verify its ID tokens.",
        access: Access::Open, fields: &[NAME], exists: None,
        methods: &[method(Operation::Read, Run::Read(discovery::keys), "Read them.")],
    },
    Route {
        pattern: "oidc/provider/{name}/authorize", summary: "The authorization endpoint.",
        access: Access::Token, fields: AUTHORIZE, exists: None,
        methods: &[
            method(Operation::Read, Run::Write(authorize::authorize), "Get a code for a client."),
            method(Operation::Write, Run::Write(authorize::authorize), "Get a code for a client."),
        ],
    },
    Route {
        pattern: "oidc/provider/{name}/token", summary: "The token endpoint.", access: Access::Open, fields: TOKEN, exists: None,
        methods: &[method(Operation::Write, Run::Heavy(token::token), "Exchange a code for tokens.")],
    },
    Route {
        pattern: "oidc/provider/{name}/userinfo", summary: "The userinfo endpoint.", access: Access::OwnToken, fields: &[NAME], exists: None,
        methods: &[
            method(Operation::Read, Run::Read(userinfo::userinfo), "Read what the access token's scopes tell."),
            method(Operation::Write, Run::Read(userinfo::userinfo), "Read what the access token's scopes tell."),
        ],
    },
];
