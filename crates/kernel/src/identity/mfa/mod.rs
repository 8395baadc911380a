//! A second factor for logins: methods (TOTP, RFC 6238), and which logins must show one.
//! Source: <https://developer.hashicorp.com/vault/api-docs/secret/identity/mfa>

mod attempts;
mod enforcements;
mod login;
mod methods;
mod store;
mod totp;

pub(crate) use attempts::Attempts;
pub(crate) use login::{demand, validate};
pub(crate) use store::forget_entity;

use super::entities::{field, method};
use crate::request::Operation;
use crate::route::{Access, Field, FieldKind, Route, Run};

const METHOD: &[Field] = &[
    field("method_id", FieldKind::Text, "The method's id."),
    field("method_name", FieldKind::Text, "A name by which X-Vault-MFA can call it."),
    field("issuer", FieldKind::Text, "What an app shows beside the codes."),
    field("period", FieldKind::Duration, "How long a code is good: 30 seconds by default."),
    field("key_size", FieldKind::Integer, "The length of keys in bytes: 20 by default."),
    field("qr_size", FieldKind::Integer, "Taken for the sake of Vault's clients; there is no picture."),
    field("algorithm", FieldKind::Text, "SHA1, by default, SHA256 or SHA512."),
    field("digits", FieldKind::Integer, "6, by default, or 8."),
    field("skew", FieldKind::Integer, "How many periods before and after count too: 1, by default, or 0."),
    field(
        "max_validation_attempts",
        FieldKind::Integer,
        "Wrong codes in a row before further ones are refused: 5 by default.",
    ),
];
const SECRET: &[Field] = &[
    field("method_id", FieldKind::Text, "The method's id."),
    field("entity_id", FieldKind::Text, "Whose key it is."),
];
const ENFORCEMENT: &[Field] = &[
    field("name", FieldKind::Text, "The name of the rule."),
    field("mfa_method_ids", FieldKind::List, "One of these methods must be satisfied."),
    field("auth_method_accessors", FieldKind::List, "For logins at these mounts."),
    field("auth_method_types", FieldKind::List, "For logins at mounts of these types."),
    field("identity_group_ids", FieldKind::List, "For members of these groups."),
    field("identity_entity_ids", FieldKind::List, "For these entities."),
];

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "mfa/method/totp/generate", summary: "A key of one's own.", access: Access::Token, fields: SECRET, exists: None,
        methods: &[method(Operation::Write, Run::Write(methods::generate), "Make it, for the caller.")],
    },
    Route {
        pattern: "mfa/method/totp/admin-generate", summary: "Somebody's key.", access: Access::Token, fields: SECRET, exists: None,
        methods: &[method(Operation::Write, Run::Write(methods::admin_generate), "Make it.")],
    },
    Route {
        pattern: "mfa/method/totp/admin-destroy", summary: "Somebody's key.", access: Access::Token, fields: SECRET, exists: None,
        methods: &[method(Operation::Write, Run::Write(methods::admin_destroy), "Take it away.")],
    },
    Route {
        pattern: "mfa/method/totp/?", summary: "Methods with time-based codes.", access: Access::Token, fields: METHOD, exists: None,
        methods: &[
            method(Operation::List, Run::Read(methods::list), "List their ids."),
            method(Operation::Write, Run::Write(methods::create), "Make one."),
        ],
    },
    Route {
        pattern: "mfa/method/totp/{method_id}", summary: "A method with time-based codes.", access: Access::Token, fields: METHOD, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(methods::read), "Read it."),
            method(Operation::Write, Run::Write(methods::update), "Change it; what is not given stays."),
            method(Operation::Delete, Run::Write(methods::delete), "Remove it, with everybody's keys."),
        ],
    },
    Route {
        pattern: "mfa/method/?", summary: "All methods.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(methods::list), "List their ids.")],
    },
    Route {
        pattern: "mfa/method/{method_id}", summary: "A method.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::Read, Run::Read(methods::read), "Read it.")],
    },
    Route {
        pattern: "mfa/login-enforcement/?", summary: "All rules of which logins need a second factor.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(enforcements::list), "List their names.")],
    },
    Route {
        pattern: "mfa/login-enforcement/{name}", summary: "Which logins need a second factor.", access: Access::Token, fields: ENFORCEMENT, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(enforcements::read), "Read it."),
            method(Operation::Write, Run::Write(enforcements::write), "Make or change it; what is not given stays."),
            method(Operation::Delete, Run::Write(enforcements::delete), "Remove it."),
        ],
    },
];
