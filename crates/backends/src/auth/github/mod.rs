//! Members of an organization on GitHub, by their personal access tokens.
//!
//! The API: <https://docs.github.com/en/rest>; what clients of this method send:
//! <https://developer.hashicorp.com/vault/api-docs/auth/github>.

mod api;
mod config;
mod login;
mod mapping;

use super::token_parameters::{
    TOKEN_BOUND_CIDRS, TOKEN_EXPLICIT_MAX_TTL, TOKEN_MAX_TTL, TOKEN_NO_DEFAULT_POLICY, TOKEN_NUM_USES,
    TOKEN_PERIOD, TOKEN_POLICIES, TOKEN_STRICTLY_BIND_IP, TOKEN_TTL, TOKEN_TYPE,
};
use crate::routing::{delete, field, heavy_write, list, read, write};
use strongroom_kernel::{Access, Backend, Class, Field, FieldKind, Method, Operation, Route, Run};

pub(crate) static BACKEND: Backend = Backend {
    renew_login: Some(login::renew),
    ..Backend::new("github", Class::Auth, "Lets members of a GitHub organization in.", &[ROUTES])
};

const KEY: Field = field("key", FieldKind::Text, "The team's or the user's name on GitHub.");
const VALUE: Field = field("value", FieldKind::Text, "Policies, with commas between them.");

const NAMES: &[Method] = &[
    list(mapping::list, "List the names."),
    Method { operation: Operation::Read, run: Run::Read(mapping::list), summary: "List the names." },
];
const ONE: &[Method] = &[
    read(mapping::read, "Read the policies."),
    write(mapping::write, "Set the policies."),
    delete(mapping::delete, "Give none."),
];

const ROUTES: &[Route] = &[
    Route {
        pattern: "login",
        summary: "Log in.",
        access: Access::Open,
        fields: &[field("token", FieldKind::Text, "A personal access token that may read the organization.")],
        methods: &[heavy_write(login::login, "Log in with a personal access token.")],
        exists: None,
    },
    Route {
        pattern: "config",
        summary: "Which organization is let in.",
        access: Access::Token,
        fields: &[
            field("organization", FieldKind::Text, "The organization that users must be members of."),
            field(
                "organization_id",
                FieldKind::Integer,
                "Its number; asked from GitHub where it is not given.",
            ),
            field("base_url", FieldKind::Text, "The address of the API, for GitHub Enterprise."),
            TOKEN_TTL,
            TOKEN_MAX_TTL,
            TOKEN_EXPLICIT_MAX_TTL,
            TOKEN_PERIOD,
            TOKEN_NUM_USES,
            TOKEN_POLICIES,
            TOKEN_NO_DEFAULT_POLICY,
            TOKEN_BOUND_CIDRS,
            TOKEN_STRICTLY_BIND_IP,
            TOKEN_TYPE,
        ],
        methods: &[
            read(config::read, "Read the settings."),
            heavy_write(config::write, "Change the settings; what is not given stays."),
        ],
        exists: None,
    },
    Route {
        pattern: "map/{kind}/?",
        summary: "The teams, or the users, that have policies.",
        access: Access::Token,
        fields: &[field("kind", FieldKind::Text, "teams or users.")],
        methods: NAMES,
        exists: None,
    },
    Route {
        pattern: "map/{kind}/{key}",
        summary: "The policies of a team, or of a user. Those of the team \"default\" are everybody's.",
        access: Access::Token,
        fields: &[field("kind", FieldKind::Text, "teams or users."), KEY, VALUE],
        methods: ONE,
        exists: None,
    },
];
