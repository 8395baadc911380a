//! SSH: an authority that signs the keys of people and hosts, and passwords that count once.

mod authority;
mod one_time;
mod principals;
mod roles;
mod signing;

use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, heavy_write, list, look_up, read, write};
use strongroom_kernel::{Access, Backend, Class, Field, FieldKind, Route, Table};

/// Roles by name.
const ROLES: Table = Table(1);
/// The authority, and the roles that are for every address.
const SETTINGS: Table = Table(2);
/// Passwords that were not used yet, by their SHA-256.
const PASSWORDS: Table = Table(3);

pub(crate) static SSH: Backend = Backend {
    memory: || std::sync::Arc::new(authority::Memory::default()),
    revoke: Some(one_time::end_lease),
    ..Backend::new("ssh", Class::Secret, "Signs SSH keys, and makes passwords that count once.", &[ROUTES])
};

const fn text(name: &'static str, description: &'static str) -> Field {
    field(name, FieldKind::Text, description)
}

const ROLE: Field = text("role", "The name of the role.");
const PRINCIPALS: Field =
    field("valid_principals", FieldKind::List, "Users or hosts that the certificate speaks for.");
const TTL: Field = field("ttl", FieldKind::Duration, "How long the certificate counts.");
const CERT_TYPE: Field = text("cert_type", "user (default) or host.");
const KEY_ID: Field = text("key_id", "What the logs of hosts call the certificate, if the role allows it.");
const CRITICAL_OPTIONS: Field =
    field("critical_options", FieldKind::Map, "What the certificate restricts, as `force-command`.");
const EXTENSIONS: Field =
    field("extensions", FieldKind::Map, "What the certificate allows, as `permit-pty`.");

const ROUTES: &[Route] = &[
    Route {
        pattern: "config/ca",
        summary: "The authority's key.",
        access: Access::Token,
        fields: &[
            text("private_key", "A private key that is there already."),
            text("public_key", "The public half of it."),
            field("generate_signing_key", FieldKind::Boolean, "Make a key here; true by default."),
            text("key_type", "ssh-rsa (default), ec or ssh-ed25519."),
            field("key_bits", FieldKind::Integer, "Its length; 4096 for rsa and 256 for ec by default."),
        ],
        methods: &[
            read(authority::read, "Read the public key."),
            heavy_write(authority::write, "Make a key, or bring one."),
            delete(authority::delete, "Remove it: what it signed counts on until it ends."),
        ],
        exists: Some(authority::exists),
    },
    Route {
        pattern: "public_key",
        summary: "The authority's public key as text, for hosts.",
        access: Access::Open,
        fields: &[],
        methods: &[read(authority::public_key, "Read it.")],
        exists: None,
    },
    Route {
        pattern: "roles/?",
        summary: "The roles.",
        access: Access::Token,
        fields: &[AFTER, LIMIT],
        methods: &[list(roles::list_names, "List their names.")],
        exists: None,
    },
    Route {
        pattern: "roles/{role}",
        summary: "What may be signed, or who may get a password.",
        access: Access::Token,
        fields: roles::FIELDS,
        methods: &[
            read(roles::read, "Read a role."),
            write(roles::write, "Make a role, or replace it."),
            delete(roles::delete, "Remove a role."),
        ],
        exists: Some(roles::exists),
    },
    Route {
        pattern: "sign/{role}",
        summary: "A certificate for a public key.",
        access: Access::Token,
        fields: &[
            ROLE,
            text("public_key", "The key, as in `id_ed25519.pub`."),
            PRINCIPALS,
            TTL,
            CERT_TYPE,
            KEY_ID,
            CRITICAL_OPTIONS,
            EXTENSIONS,
        ],
        methods: &[look_up(signing::sign, "Sign it.")],
        exists: None,
    },
    Route {
        pattern: "issue/{role}",
        summary: "A new key with its certificate.",
        access: Access::Token,
        fields: &[
            ROLE,
            text("key_type", "rsa (default), ec or ed25519."),
            field(
                "key_bits",
                FieldKind::Integer,
                "2048 (default) to 4096 for rsa; 256 (default) to 521 for ec.",
            ),
            PRINCIPALS,
            TTL,
            CERT_TYPE,
            KEY_ID,
            CRITICAL_OPTIONS,
            EXTENSIONS,
        ],
        methods: &[heavy_write(signing::issue, "Make them.")],
        exists: None,
    },
    Route {
        pattern: "creds/{role}",
        summary: "A password that counts once.",
        access: Access::Token,
        fields: &[ROLE, text("ip", "The address of the host."), text("username", "The user there.")],
        methods: &[write(one_time::make, "Make one.")],
        exists: None,
    },
    Route {
        pattern: "lookup",
        summary: "The roles for a host.",
        access: Access::Token,
        fields: &[text("ip", "The address of the host.")],
        methods: &[look_up(one_time::look_up, "Look them up.")],
        exists: None,
    },
    Route {
        pattern: "verify",
        summary: "The check that a host makes.",
        access: Access::Open,
        fields: &[text("otp", "The password that somebody typed.")],
        methods: &[write(one_time::verify, "Check it. It counts once.")],
        exists: None,
    },
    Route {
        pattern: "config/zeroaddress",
        summary: "Roles for hosts of every address.",
        access: Access::Token,
        fields: &[field("roles", FieldKind::List, "Their names.")],
        methods: &[
            read(one_time::read_zero_address, "Read them."),
            write(one_time::write_zero_address, "Say them."),
            delete(one_time::delete_zero_address, "Remove them."),
        ],
        exists: Some(one_time::zero_address_exists),
    },
];
