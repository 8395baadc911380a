//! People of a directory (LDAP, RFC 4511; Active Directory), by name and password.
//!
//! Source: <https://developer.hashicorp.com/vault/api-docs/auth/ldap>

mod config;
mod directory;
mod filter;
mod login;
mod mapping;
mod names;

pub(crate) use directory::hear;

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
    ..Backend::new("ldap", Class::Auth, "Lets people of a directory in.", &[ROUTES])
};

const NAME: Field = field("name", FieldKind::Text, "The name in the directory.");
const POLICIES: Field = field("policies", FieldKind::List, "Policies.");

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route {
        pattern: "login/{username}", summary: "Log in.", access: Access::Open, exists: None,
        fields: &[
            field("username", FieldKind::Text, "The user's name."),
            field("password", FieldKind::Text, "The password."),
        ],
        methods: &[heavy_write(login::login, "Log in with the directory's password.")],
    },
    Route {
        pattern: "config", summary: "Which directory, and how people and groups are found in it.", access: Access::Token, exists: None,
        fields: &[
            field("url", FieldKind::Text, "ldap://HOST or ldaps://HOST; several with commas are tried in turn."),
            field("userdn", FieldKind::Text, "Below which entry people are."),
            field("groupdn", FieldKind::Text, "Below which entry groups are; empty for no groups."),
            field("groupfilter", FieldKind::Text, "How somebody's groups are found, with {{.Username}} and {{.UserDN}}."),
            field("groupattr", FieldKind::Text, "The attribute that names a group: cn by default."),
            field("userfilter", FieldKind::Text, "How somebody is found, with {{.UserAttr}} and {{.Username}}."),
            field("userattr", FieldKind::Text, "The attribute that is the user's name: cn by default."),
            field("upndomain", FieldKind::Text, "Log in as username@DOMAIN (Active Directory)."),
            field("binddn", FieldKind::Text, "Who searches the directory."),
            field("bindpass", FieldKind::Text, "Their password; never shown."),
            field("certificate", FieldKind::Text, "Authorities that the directory's server is trusted by, in PEM."),
            field("client_tls_cert", FieldKind::Text, "Must be empty: client certificates are not supported here."),
            field("client_tls_key", FieldKind::Text, "Must be empty."),
            field("insecure_tls", FieldKind::Boolean, "The server's certificate is not looked at."),
            field("starttls", FieldKind::Boolean, "Begin TLS on an ldap:// connection."),
            field("tls_min_version", FieldKind::Text, "tls10 to tls13; nothing below TLS 1.2 is spoken."),
            field("tls_max_version", FieldKind::Text, "tls10 to tls13."),
            field("deny_null_bind", FieldKind::Boolean, "Empty passwords are refused: always."),
            field("discoverdn", FieldKind::Boolean, "Find people by an anonymous search."),
            field("case_sensitive_names", FieldKind::Boolean, "Names differ by upper and lower case."),
            field("use_token_groups", FieldKind::Boolean, "Groups by Active Directory's tokenGroups."),
            field("anonymous_group_search", FieldKind::Boolean, "Groups are searched anonymously."),
            field("username_as_alias", FieldKind::Boolean, "Identity knows people by the name they gave."),
            field("dereference_aliases", FieldKind::Text, "never, finding, searching or always."),
            field("max_page_size", FieldKind::Integer, "Kept for the sake of Vault's clients: answers are not paged."),
            field("request_timeout", FieldKind::Duration, "How long an answer may take."),
            field("connection_timeout", FieldKind::Duration, "How long connecting may take."),
            TOKEN_TTL, TOKEN_MAX_TTL, TOKEN_EXPLICIT_MAX_TTL, TOKEN_PERIOD, TOKEN_NUM_USES, TOKEN_POLICIES,
            TOKEN_NO_DEFAULT_POLICY, TOKEN_BOUND_CIDRS, TOKEN_STRICTLY_BIND_IP, TOKEN_TYPE,
        ],
        methods: &[read(config::read, "Read the settings."), write(config::write, "Change the settings; what is not given stays.")],
    },
    Route {
        pattern: "groups/?", summary: "The groups that have policies.", access: Access::Token, exists: None, fields: &[AFTER, LIMIT],
        methods: &[list(mapping::list_groups, "List the names.")],
    },
    Route {
        pattern: "groups/{name}", summary: "The policies of a group.", access: Access::Token, exists: None, fields: &[NAME, POLICIES],
        methods: &[
            read(mapping::read_group, "Read them."),
            write(mapping::write_group, "Set them."),
            delete(mapping::delete_group, "Give none."),
        ],
    },
    Route {
        pattern: "users/?", summary: "The users that have policies or groups here.", access: Access::Token, exists: None, fields: &[AFTER, LIMIT],
        methods: &[list(mapping::list_users, "List the names.")],
    },
    Route {
        pattern: "users/{name}", summary: "The policies of a user, and groups beside the directory's.", access: Access::Token, exists: None,
        fields: &[NAME, POLICIES, field("groups", FieldKind::List, "Groups beside those of the directory.")],
        methods: &[
            read(mapping::read_user, "Read them."),
            write(mapping::write_user, "Set them."),
            delete(mapping::delete_user, "Give none."),
        ],
    },
];
