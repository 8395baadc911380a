//! Holders of a client certificate, by the one of their connection.
//!
//! Source: <https://developer.hashicorp.com/vault/api-docs/auth/cert>

mod chain;
mod config;
mod crls;
mod login;
mod presented;
mod role;

use super::token_parameters::{
    TOKEN_BOUND_CIDRS, TOKEN_EXPLICIT_MAX_TTL, TOKEN_MAX_TTL, TOKEN_NO_DEFAULT_POLICY, TOKEN_NUM_USES,
    TOKEN_PERIOD, TOKEN_POLICIES, TOKEN_STRICTLY_BIND_IP, TOKEN_TTL, TOKEN_TYPE,
};
use crate::auth::roles;
use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, list, read, write};
use strongroom_kernel::{Access, Backend, Class, FieldKind, Route};

pub(crate) static BACKEND: Backend = Backend {
    renew_login: Some(login::renew),
    ..Backend::new("cert", Class::Auth, "Lets holders of client certificates in.", &[ROUTES])
};

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route {
        pattern: "login", summary: "Log in.", access: Access::Open, exists: None,
        fields: &[field("name", FieldKind::Text, "The role to log in with; without it, any that fits.")],
        methods: &[write(login::login, "Log in with the connection's client certificate.")],
    },
    Route {
        pattern: "config", summary: "Settings of the mount.", access: Access::Token, exists: None,
        fields: &[
            field("disable_binding", FieldKind::Boolean, "Tokens may be renewed over a connection with another certificate."),
            field("enable_identity_alias_metadata", FieldKind::Boolean, "What the certificate says becomes metadata of the alias."),
        ],
        methods: &[read(config::read, "Read the settings."), write(config::write, "Change the settings.")],
    },
    Route {
        pattern: "certs/?", summary: "All roles.", access: Access::Token, exists: None,
        fields: &[AFTER, LIMIT],
        methods: &[list(roles::list, "List the names.")],
    },
    Route {
        pattern: "certs/{name}", summary: "Which certificates may log in, and what they get.", access: Access::Token, exists: Some(roles::exists::<role::Role>),
        fields: &[
            field("name", FieldKind::Text, "The role's name."),
            field("certificate", FieldKind::Text, "In PEM: authorities whose certificates are trusted, or the client's own certificate."),
            field("allowed_names", FieldKind::List, "Common names, DNS names or e-mail addresses, with * for any text."),
            field("allowed_common_names", FieldKind::List, "Common names, with * for any text."),
            field("allowed_dns_sans", FieldKind::List, "DNS names, with * for any text."),
            field("allowed_email_sans", FieldKind::List, "E-mail addresses, with * for any text."),
            field("allowed_uri_sans", FieldKind::List, "URIs, with * for any text."),
            field("allowed_organizational_units", FieldKind::List, "Organizational units, with * for any text."),
            field("required_extensions", FieldKind::List, "OID:VALUE or hex:OID:DER, with * for any text; all must be there."),
            field("allowed_metadata_extensions", FieldKind::List, "OIDs of extensions that become metadata."),
            field("display_name", FieldKind::Text, "The name of tokens; the role's by default."),
            field("ocsp_enabled", FieldKind::Boolean, "Must be false: certificates are not asked about by OCSP."),
            TOKEN_TTL, TOKEN_MAX_TTL, TOKEN_EXPLICIT_MAX_TTL, TOKEN_PERIOD, TOKEN_NUM_USES, TOKEN_POLICIES,
            TOKEN_NO_DEFAULT_POLICY, TOKEN_BOUND_CIDRS, TOKEN_STRICTLY_BIND_IP, TOKEN_TYPE,
        ],
        methods: &[
            read(role::read, "Read the role."),
            write(role::write, "Make or change the role; what is not given stays."),
            delete(roles::delete, "Remove the role."),
        ],
    },
    Route {
        pattern: "crls/?", summary: "All revocation lists.", access: Access::Token, exists: None,
        fields: &[AFTER, LIMIT],
        methods: &[list(crls::list, "List the names.")],
    },
    Route {
        pattern: "crls/{name}", summary: "A revocation list.", access: Access::Token, exists: None,
        fields: &[
            field("name", FieldKind::Text, "The name of the list."),
            field("crl", FieldKind::Text, "The list, in PEM."),
        ],
        methods: &[
            read(crls::read, "Read which serial numbers it has."),
            write(crls::write, "Bring it, in place of what has the name."),
            delete(crls::delete, "Remove it."),
        ],
    },
];
