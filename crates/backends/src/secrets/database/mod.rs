//! Accounts in databases: made for a time and taken away again, or existing ones whose passwords change by a period.

mod account;
mod connections;
mod credentials;
mod names;
mod places;
mod pools;
mod roles;
mod root;
mod statements;
mod static_roles;
mod wire;

use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, list, outward_read, outward_write, read, write};
use strongroom_kernel::{Access, Backend, Chores, Class, Field, FieldKind, Route, Table};

/// Connections by name.
const CONNECTIONS: Table = Table(1);
/// Roles by name.
const ROLES: Table = Table(2);
/// Static roles by name.
const STATIC_ROLES: Table = Table(3);
/// What is to be changed next, by time.
const DUE: Table = Table(4);

pub(crate) static DATABASE: Backend = Backend {
    memory: || std::sync::Arc::new(pools::Pools::default()),
    renew: Some(credentials::renew),
    revoke_outward: Some(credentials::revoke),
    extend_outward: Some(credentials::extend),
    recover: Some(credentials::undo),
    chores: Some(&Chores { due: static_roles::due, begin: begin_chore, failed: chore_failed }),
    account: Some(&account::ACCOUNTS),
    ..Backend::new(
        "database",
        Class::Secret,
        "Makes accounts in databases, and changes their passwords.",
        &[ROUTES],
    )
};

const fn text(name: &'static str, description: &'static str) -> Field {
    field(name, FieldKind::Text, description)
}

const NAME: Field = text("name", "The name.");

const CONNECTION: &[Field] = &[
    NAME,
    text("plugin_name", "postgresql-database-plugin, mysql-database-plugin or redis-database-plugin."),
    text("connection_url", "Where the database is, with {{username}}:{{password}} in it."),
    text("username", "Who makes the accounts."),
    text("password", "Their password."),
    field("allowed_roles", FieldKind::List, "Roles that may use it; * for all. None by default."),
    field("root_rotation_statements", FieldKind::Any, "How the password of `username` is changed."),
    field("verify_connection", FieldKind::Boolean, "Log in before the connection is kept; true by default."),
    text("password_policy", "Makes passwords by this policy of sys/policies/password."),
    text("username_template", "How accounts are named."),
    field("max_open_connections", FieldKind::Integer, "At once; 4 by default, 16 at the most."),
    field("max_idle_connections", FieldKind::Integer, "Kept open; as many as may be open by default."),
    field("max_connection_lifetime", FieldKind::Duration, "After which one is not used again; 0 for ever."),
    field("disable_escaping", FieldKind::Boolean, "Paste passwords into statements as they are."),
    text("tls_ca", "Certificates of the authorities to trust, in PEM."),
    text("ca_cert", "The same, as Redis' plugin calls it."),
    text("tls_certificate", "A certificate chain to log in with, in PEM."),
    text("tls_certificate_key", "For MySQL: the same with its key behind it."),
    text("private_key", "Its key, in PEM."),
    text("tls_server_name", "The name that the server's certificate must have, in place of the host's."),
    field("tls_skip_verify", FieldKind::Boolean, "Take any certificate."),
    field("tls", FieldKind::Boolean, "For Redis: use TLS."),
    field("insecure_tls", FieldKind::Boolean, "For Redis: take any certificate."),
    text("host", "For Redis: the host, or a path of a socket."),
    field("port", FieldKind::Integer, "For Redis: the port; 6379 by default."),
    text("persistence_mode", "For Redis: REWRITE or ACLFILE keeps accounts over a restart; None by default."),
];

const STATEMENTS: &[Field] = &[
    NAME,
    text("db_name", "The connection."),
    field("creation_statements", FieldKind::Any, "How an account is made."),
    field(
        "revocation_statements",
        FieldKind::Any,
        "How it is taken away; what fits the database by default.",
    ),
    field("rollback_statements", FieldKind::Any, "How one that was half made is taken away."),
    field("renew_statements", FieldKind::Any, "How its end is moved."),
    field("default_ttl", FieldKind::Duration, "How long an account lives."),
    field("max_ttl", FieldKind::Duration, "How long renewals can make it live."),
    text("credential_type", "password, which is all there is."),
    field("credential_config", FieldKind::Map, "password_policy, in place of the connection's."),
];

const STATIC: &[Field] = &[
    NAME,
    text("db_name", "The connection."),
    text("username", "The account."),
    field("usernames", FieldKind::List, "Two accounts that take turns, in place of one."),
    text("password", "Its present password; with skip_import_rotation."),
    field("rotation_statements", FieldKind::Any, "How the password is changed."),
    field("rotation_period", FieldKind::Duration, "How often; 5 s at the least."),
    text("rotation_schedule", "When, by a cron line in UTC."),
    field(
        "rotation_window",
        FieldKind::Duration,
        "How late a rotation by schedule may begin; 1 h at the least.",
    ),
    field("skip_import_rotation", FieldKind::Boolean, "Do not change the password at once."),
    text("credential_type", "password, which is all there is."),
    field("credential_config", FieldKind::Map, "password_policy, in place of the connection's."),
];

const fn route(
    pattern: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    methods: &'static [strongroom_kernel::Method],
) -> Route {
    Route { pattern, summary, access: Access::Token, fields, methods, exists: None }
}

const LISTED: &[Field] = &[AFTER, LIMIT];

const ROUTES: &[Route] = &[
    route("config/?", "The connections.", LISTED, &[list(connections::list, "List their names.")]),
    Route {
        exists: Some(connections::exists),
        ..route(
            "config/{name}",
            "A connection to a database.",
            CONNECTION,
            &[
                read(connections::read, "Read it, without its password."),
                outward_write(connections::write, "Make it, or change what is named."),
                delete(connections::delete, "Remove it. What it made can then not be taken away."),
            ],
        )
    },
    route(
        "reset/{name}",
        "Close a connection's connections, and make new ones.",
        &[NAME],
        &[outward_write(connections::reset, "Reset it.")],
    ),
    route(
        "rotate-root/{name}",
        "The password of the account that makes the others.",
        &[NAME],
        &[outward_write(root::rotate, "Change it. Nobody but this server knows it then.")],
    ),
    route("roles/?", "The roles.", LISTED, &[list(roles::list, "List their names.")]),
    Route {
        exists: Some(roles::exists),
        ..route(
            "roles/{name}",
            "How accounts are made.",
            STATEMENTS,
            &[
                read(roles::read, "Read it."),
                write(roles::write, "Make it, or change what is named."),
                delete(roles::delete, "Remove it. Its accounts live on until they end."),
            ],
        )
    },
    route("creds/{name}", "An account.", &[NAME], &[outward_read(credentials::create, "Make one.")]),
    route("static-roles/?", "The static roles.", LISTED, &[list(static_roles::list, "List their names.")]),
    Route {
        exists: Some(static_roles::exists),
        ..route(
            "static-roles/{name}",
            "An account that exists, whose password is changed.",
            STATIC,
            &[
                read(static_roles::read, "Read it."),
                outward_write(static_roles::write, "Make it, or change what is named."),
                delete(static_roles::delete, "Remove it. The account stays as it is."),
            ],
        )
    },
    route(
        "static-creds/{name}",
        "The account's present password.",
        &[NAME],
        &[outward_read(static_roles::credentials, "Read it.")],
    ),
    route(
        "rotate-role/{name}",
        "The password of a static role.",
        &[NAME],
        &[outward_write(static_roles::rotate, "Change it now.")],
    ),
];

/// Which of them a chore is, its name says: `root/` or `static/`, and the name of what it is about.
fn begin_chore(
    call: &mut strongroom_kernel::Call<'_>,
    chore: &str,
) -> Result<strongroom_kernel::Outward, strongroom_kernel::Error> {
    match chore.split_once('/') {
        Some(("root", name)) => root::begin(call, name),
        Some((_, name)) => static_roles::begin(call, name),
        None => Ok(strongroom_kernel::Outward::nothing()),
    }
}

fn chore_failed(
    call: &mut strongroom_kernel::Call<'_>,
    chore: &str,
    error: &strongroom_kernel::Error,
) -> Result<(), strongroom_kernel::Error> {
    tracing::warn!(%chore, ?error, "a password cannot be changed now");
    match chore.split_once('/') {
        Some(("root", name)) => root::failed(call, name),
        Some((_, name)) => static_roles::failed(call, name, error),
        None => Ok(()),
    }
}
