//! Users with a name and a password.

mod login;
mod users;

use super::token_parameters::{
    TOKEN_BOUND_CIDRS, TOKEN_EXPLICIT_MAX_TTL, TOKEN_MAX_TTL, TOKEN_NO_DEFAULT_POLICY, TOKEN_NUM_USES,
    TOKEN_PERIOD, TOKEN_POLICIES, TOKEN_STRICTLY_BIND_IP, TOKEN_TTL, TOKEN_TYPE,
};
use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, heavy_write, list, read, write};
use strongroom_kernel::{Access, Backend, Class, Field, FieldKind, Route};

pub(crate) static BACKEND: Backend = Backend {
    login_name: Some(login::login_name),
    renew_login: Some(login::renew),
    ..Backend::new("userpass", Class::Auth, "Lets users in by name and password.", &[ROUTES])
};

const NAME: Field = field("username", FieldKind::Text, "The user's name; upper and lower case are the same.");
const PASSWORD: Field = field("password", FieldKind::Text, "The password.");
const PASSWORD_HASH: Field =
    field("password_hash", FieldKind::Text, "A hash of the password in its place: bcrypt or argon2.");

const ROUTES: &[Route] = &[
    Route {
        pattern: "login/{username}",
        summary: "Log in.",
        access: Access::Open,
        fields: &[NAME, PASSWORD],
        methods: &[heavy_write(login::login, "Log in with the password.")],
        exists: None,
    },
    Route {
        pattern: "users/?",
        summary: "List the users.",
        access: Access::Token,
        fields: &[AFTER, LIMIT],
        methods: &[list(users::list, "List the names.")],
        exists: None,
    },
    Route {
        pattern: "users/{username}",
        summary: "A user.",
        access: Access::Token,
        fields: &[
            NAME,
            PASSWORD,
            PASSWORD_HASH,
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
            read(users::read, "Read what is set for the user."),
            heavy_write(users::write, "Make or change the user; what is not given stays."),
            delete(users::delete, "Remove the user."),
        ],
        exists: Some(users::exists),
    },
    Route {
        pattern: "users/{username}/password",
        summary: "A user's password.",
        access: Access::Token,
        fields: &[NAME, PASSWORD, PASSWORD_HASH],
        methods: &[heavy_write(users::write_password, "Change the password.")],
        exists: None,
    },
    Route {
        pattern: "users/{username}/policies",
        summary: "The policies of a user's tokens.",
        access: Access::Token,
        fields: &[NAME, TOKEN_POLICIES],
        methods: &[write(users::write_policies, "Change the policies.")],
        exists: None,
    },
];
