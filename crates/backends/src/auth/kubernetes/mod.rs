//! Service accounts of Kubernetes, by the tokens that their pods have.
//!
//! Sources: <https://developer.hashicorp.com/vault/api-docs/auth/kubernetes>,
//! <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>

mod config;
mod login;
mod role;

pub(crate) use login::{hear, hear_claims};

use super::token_parameters::{
    TOKEN_BOUND_CIDRS, TOKEN_EXPLICIT_MAX_TTL, TOKEN_MAX_TTL, TOKEN_NO_DEFAULT_POLICY, TOKEN_NUM_USES,
    TOKEN_PERIOD, TOKEN_POLICIES, TOKEN_STRICTLY_BIND_IP, TOKEN_TTL, TOKEN_TYPE,
};
use crate::auth::roles;
use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, heavy_write, list, read, write};
use strongroom_kernel::{Access, Backend, Class, FieldKind, Route};

pub(crate) static BACKEND: Backend = Backend {
    renew_login: Some(login::renew),
    ..Backend::new("kubernetes", Class::Auth, "Lets service accounts of Kubernetes in.", &[ROUTES])
};

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route {
        pattern: "login", summary: "Log in.", access: Access::Open, exists: None,
        fields: &[
            field("role", FieldKind::Text, "The role to log in with."),
            field("jwt", FieldKind::Text, "The service account's token."),
        ],
        methods: &[heavy_write(login::login, "Log in with a service account's token.")],
    },
    Route {
        pattern: "config", summary: "The cluster that is asked.", access: Access::Token, exists: None,
        fields: &[
            field("kubernetes_host", FieldKind::Text, "The address of the cluster's API."),
            field("kubernetes_ca_cert", FieldKind::Text, "The authority that the API's server is trusted by, in PEM."),
            field("token_reviewer_jwt", FieldKind::Text, "The token that reviews others; the server's own, or that of the login, without it."),
            field("pem_keys", FieldKind::List, "Keys or certificates that service account tokens are signed with, to check them before the cluster is asked."),
            field("issuer", FieldKind::Text, "The iss that tokens must have, where that is checked."),
            field("disable_iss_validation", FieldKind::Boolean, "Do not compare iss: the default."),
            field("disable_local_ca_jwt", FieldKind::Boolean, "Do not use the token and the authority of the pod that the server runs in."),
            field("use_annotations_as_alias_metadata", FieldKind::Boolean, "Kept for the sake of Vault's clients; must be false."),
        ],
        methods: &[
            read(config::read, "Read the settings."),
            write(config::write, "Replace the settings."),
        ],
    },
    Route {
        pattern: "role/?", summary: "All roles.", access: Access::Token, exists: None,
        fields: &[AFTER, LIMIT],
        methods: &[list(roles::list, "List the names.")],
    },
    Route {
        pattern: "role/{name}", summary: "Which service accounts may log in, and what they get.", access: Access::Token, exists: Some(roles::exists::<role::Role>),
        fields: &[
            field("name", FieldKind::Text, "The role's name."),
            field("bound_service_account_names", FieldKind::List, "Names of service accounts, with * for any text."),
            field("bound_service_account_namespaces", FieldKind::List, "Namespaces, with * for any text."),
            field("audience", FieldKind::Text, "The audience that tokens must be made for."),
            field("alias_name_source", FieldKind::Text, "serviceaccount_uid, or serviceaccount_name: what identity knows an account by."),
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
