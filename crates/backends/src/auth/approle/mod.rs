//! Roles for machines: a role-id says who logs in, a secret-id proves it.
//!
//! A login reads two rows: the role, which stands under a keyed hash of its role-id, and the secret-id, which stands
//! under the role and a keyed hash of its own.

mod login;
mod parts;
mod roles;
mod secret_ids;
mod tidying;
mod uses;

use super::token_parameters::{
    TOKEN_BOUND_CIDRS, TOKEN_EXPLICIT_MAX_TTL, TOKEN_MAX_TTL, TOKEN_NO_DEFAULT_POLICY, TOKEN_NUM_USES,
    TOKEN_PERIOD, TOKEN_POLICIES, TOKEN_STRICTLY_BIND_IP, TOKEN_TTL, TOKEN_TYPE,
};
use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, list, look_up, read, write};
use strongroom_kernel::{Access, Backend, Class, Field, FieldKind, Method, Route};

pub(crate) static BACKEND: Backend = Backend {
    memory: uses::memory,
    login_name: Some(login::login_name),
    renew_login: Some(login::renew),
    tidy: Some(tidying::tidy),
    ..Backend::new("approle", Class::Auth, "Lets machines in by role-id and secret-id.", &[ROUTES])
};

const ROLE_NAME: Field =
    field("role_name", FieldKind::Text, "The role's name; upper and lower case are the same.");
const ROLE_ID: Field = field("role_id", FieldKind::Text, "The role's id; random by default.");
const BIND_SECRET_ID: Field =
    field("bind_secret_id", FieldKind::Boolean, "A login needs a secret-id; true by default.");
const SECRET_ID_BOUND_CIDRS: Field =
    field("secret_id_bound_cidrs", FieldKind::List, "The networks that may log in.");
const SECRET_ID_NUM_USES: Field =
    field("secret_id_num_uses", FieldKind::Integer, "How often a secret-id is good; 0 is without a limit.");
const SECRET_ID_TTL: Field =
    field("secret_id_ttl", FieldKind::Duration, "How long a secret-id is good; 0 is for ever.");
const LOCAL_SECRET_IDS: Field =
    field("local_secret_ids", FieldKind::Boolean, "Kept for clients that set it; can be set once.");
const SECRET_ID: Field = field("secret_id", FieldKind::Text, "The secret-id.");
const SECRET_ID_ACCESSOR: Field =
    field("secret_id_accessor", FieldKind::Text, "The name of a secret-id that is not secret.");
const METADATA: Field =
    field("metadata", FieldKind::Map, "Texts that logins with the secret-id have in their metadata.");
const CIDR_LIST: Field = field("cidr_list", FieldKind::List, "The networks that the secret-id is good from.");
const NUM_USES: Field = field("num_uses", FieldKind::Integer, "How often the secret-id is good.");
const TTL: Field = field("ttl", FieldKind::Duration, "How long the secret-id is good.");

/// One parameter of a role under a path of its own.
const fn part(pattern: &'static str, summary: &'static str, fields: &'static [Field]) -> Route {
    Route { pattern, summary, access: Access::Token, fields, methods: PART_METHODS, exists: None }
}

const PART_METHODS: &[Method] = &[
    read(parts::read, "Read it."),
    write(parts::write, "Change it."),
    delete(parts::delete, "Set it back."),
];

const ROUTES: &[Route] = &[
    Route {
        pattern: "login",
        summary: "Log in.",
        access: Access::Open,
        fields: &[ROLE_ID, SECRET_ID],
        methods: &[write(login::login, "Log in with a role-id and a secret-id.")],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}/secret-id/?",
        summary: "The secret-ids of a role.",
        access: Access::Token,
        fields: &[ROLE_NAME, METADATA, CIDR_LIST, TOKEN_BOUND_CIDRS, NUM_USES, TTL, AFTER, LIMIT],
        methods: &[
            write(secret_ids::generate, "Make a secret-id. It is shown once."),
            list(secret_ids::list, "List the accessors."),
        ],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}/custom-secret-id",
        summary: "A secret-id that is brought along.",
        access: Access::Token,
        fields: &[ROLE_NAME, SECRET_ID, METADATA, CIDR_LIST, TOKEN_BOUND_CIDRS, NUM_USES, TTL],
        methods: &[write(secret_ids::take, "Make a given text a secret-id.")],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}/secret-id/lookup",
        summary: "What is known of a secret-id.",
        access: Access::Token,
        fields: &[ROLE_NAME, SECRET_ID],
        methods: &[look_up(secret_ids::look_up, "Read it.")],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}/secret-id/destroy",
        summary: "The end of a secret-id.",
        access: Access::Token,
        fields: &[ROLE_NAME, SECRET_ID],
        methods: &[write(secret_ids::destroy, "Remove it."), delete(secret_ids::destroy, "Remove it.")],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}/secret-id-accessor/lookup",
        summary: "What is known of a secret-id, by its accessor.",
        access: Access::Token,
        fields: &[ROLE_NAME, SECRET_ID_ACCESSOR],
        methods: &[look_up(secret_ids::look_up_accessor, "Read it.")],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}/secret-id-accessor/destroy",
        summary: "The end of a secret-id, by its accessor.",
        access: Access::Token,
        fields: &[ROLE_NAME, SECRET_ID_ACCESSOR],
        methods: &[
            write(secret_ids::destroy_accessor, "Remove it."),
            delete(secret_ids::destroy_accessor, "Remove it."),
        ],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}/role-id",
        summary: "The id of a role.",
        access: Access::Token,
        fields: &[ROLE_NAME, ROLE_ID],
        methods: &[read(roles::read_id, "Read it."), write(roles::write_id, "Change it.")],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}/local-secret-ids",
        summary: "Whether secret-ids are local to a cluster.",
        access: Access::Token,
        fields: &[ROLE_NAME],
        methods: &[read(parts::read, "Read it.")],
        exists: None,
    },
    part("role/{role_name}/policies", "The policies of a role's tokens.", &[ROLE_NAME, TOKEN_POLICIES]),
    part(
        "role/{role_name}/bind-secret-id",
        "Whether a login needs a secret-id.",
        &[ROLE_NAME, BIND_SECRET_ID],
    ),
    part(
        "role/{role_name}/secret-id-bound-cidrs",
        "The networks that may log in.",
        &[ROLE_NAME, SECRET_ID_BOUND_CIDRS],
    ),
    part("role/{role_name}/bound-cidr-list", "An old name of secret-id-bound-cidrs.", &[ROLE_NAME]),
    part(
        "role/{role_name}/token-bound-cidrs",
        "The networks that may use the tokens.",
        &[ROLE_NAME, TOKEN_BOUND_CIDRS],
    ),
    part("role/{role_name}/secret-id-num-uses", "The uses of a secret-id.", &[ROLE_NAME, SECRET_ID_NUM_USES]),
    part("role/{role_name}/secret-id-ttl", "The life of a secret-id.", &[ROLE_NAME, SECRET_ID_TTL]),
    part("role/{role_name}/token-ttl", "The life of tokens.", &[ROLE_NAME, TOKEN_TTL]),
    part("role/{role_name}/token-max-ttl", "The longest life of tokens.", &[ROLE_NAME, TOKEN_MAX_TTL]),
    part("role/{role_name}/token-num-uses", "The uses of a token.", &[ROLE_NAME, TOKEN_NUM_USES]),
    part("role/{role_name}/token-period", "The period of tokens.", &[ROLE_NAME, TOKEN_PERIOD]),
    part("role/{role_name}/period", "An old name of token-period.", &[ROLE_NAME, TOKEN_PERIOD]),
    Route {
        pattern: "role/?",
        summary: "List the roles.",
        access: Access::Token,
        fields: &[AFTER, LIMIT],
        methods: &[list(roles::list, "List the names.")],
        exists: None,
    },
    Route {
        pattern: "role/{role_name}",
        summary: "A role.",
        access: Access::Token,
        fields: &[
            ROLE_NAME,
            ROLE_ID,
            BIND_SECRET_ID,
            SECRET_ID_BOUND_CIDRS,
            SECRET_ID_NUM_USES,
            SECRET_ID_TTL,
            LOCAL_SECRET_IDS,
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
            read(roles::read, "Read what is set for the role."),
            write(roles::write, "Make or change the role; what is not given stays."),
            delete(roles::delete, "Remove the role with its secret-ids."),
        ],
        exists: Some(roles::exists),
    },
    Route {
        pattern: "tidy/secret-id",
        summary: "Remove what is left of secret-ids that ended.",
        access: Access::Token,
        fields: &[],
        methods: &[write(tidying::tidy_now, "Remove a piece of it now; the rest follows by itself.")],
        exists: None,
    },
];
