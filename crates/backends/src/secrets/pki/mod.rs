//! Certificates: authorities of one's own, what they sign, and what they take back.

mod acme;
mod authorities;
mod certificates;
mod issue;
mod issuers;
mod keys;
mod names;
mod ocsp;
mod purposes;
mod revocation;
mod roles;
mod settings;
mod store;
mod tidying;

pub(crate) use acme::hear as hear_acme;

use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, heavy_write, list, look_up, patch, read, read_or_write, write};
use store::Memory;
use strongroom_kernel::{Access, Backend, Class, Field, FieldKind, Method, Operation, Route, Run};

pub(crate) static PKI: Backend = Backend {
    memory: || std::sync::Arc::new(Memory::default()),
    revoke: Some(revocation::end_lease),
    tidy: Some(tidying::tidy),
    looks: Some(acme::looks),
    ..Backend::new("pki", Class::Secret, "Issues and revokes certificates.", TABLES)
};

const TABLES: &[&[Route]] = &[
    ISSUING,
    AUTHORITIES,
    PUBLIC,
    CERTIFICATES,
    SETTINGS,
    acme::SETTINGS,
    acme::OF_MOUNT,
    acme::OF_ROLE,
    acme::OF_ISSUER,
    acme::OF_ISSUER_AND_ROLE,
];

const fn text(name: &'static str, description: &'static str) -> Field {
    field(name, FieldKind::Text, description)
}

const fn names_list(name: &'static str, description: &'static str) -> Field {
    field(name, FieldKind::List, description)
}

const ROLE: Field = text("role", "The name of the role.");
const ISSUER: Field = text("issuer", "The issuer: an id, a name, or `default`.");
const CSR: Field = text("csr", "A certificate request (PKCS #10) in PEM.");
const COMMON_NAME: Field = text("common_name", "The common name; it becomes an alternative name too.");
const ALT_NAMES: Field = names_list("alt_names", "Further host names and e-mail addresses.");
const IP_SANS: Field = names_list("ip_sans", "IP addresses.");
const URI_SANS: Field = names_list("uri_sans", "URIs.");
const OTHER_SANS: Field = names_list("other_sans", "Other names: `OID;utf8:text`.");
const EXCLUDE_CN: Field =
    field("exclude_cn_from_sans", FieldKind::Boolean, "The common name does not become an alternative name.");
const SERIAL_NUMBER: Field = text("serial_number", "The subject's serial number, if the role allows it.");
const TTL: Field = field("ttl", FieldKind::Duration, "How long the certificate lives.");
const NOT_AFTER: Field = text("not_after", "When it ends, in place of `ttl`: RFC 3339.");
const NOT_BEFORE: Field =
    field("not_before_duration", FieldKind::Duration, "How long before now it begins; 30 s by default.");
const FORMAT: Field = text("format", "pem (default), der or pem_bundle.");
const KEY_FORMAT: Field = text("private_key_format", "der (default: the older form) or pkcs8.");
const USER_IDS: Field = names_list("user_ids", "User ids of the subject, if the role allows them.");
const KEY_TYPE: Field = text("key_type", "rsa (default), ec or ed25519.");
const KEY_BITS: Field = field(
    "key_bits",
    FieldKind::Integer,
    "2048 to 8192 for rsa, 256, 384 or 521 for ec; the least by default.",
);
const KEY_NAME: Field = text("key_name", "A name for the key.");
const KEY_REF: Field = text("key_ref", "A key that is here: an id, a name, or `default`.");
const SIGNATURE_BITS: Field =
    field("signature_bits", FieldKind::Integer, "Of the hash: 256 (default), 384 or 512.");
const USE_PSS: Field = field("use_pss", FieldKind::Boolean, "RSA signs with PSS.");
const MAX_PATH_LENGTH: Field =
    field("max_path_length", FieldKind::Integer, "How many authorities may follow below; -1 for any number.");
const PERMITTED_DNS: Field =
    names_list("permitted_dns_domains", "Domains that the authority is restricted to.");
const OU: Field = names_list("ou", "Organizational units.");
const ORGANIZATION: Field = names_list("organization", "Organizations.");
const COUNTRY: Field = names_list("country", "Countries.");
const LOCALITY: Field = names_list("locality", "Localities.");
const PROVINCE: Field = names_list("province", "Provinces.");
const STREET: Field = names_list("street_address", "Street addresses.");
const POSTAL_CODE: Field = names_list("postal_code", "Postal codes.");
const CERTIFICATE: Field = text("certificate", "A certificate in PEM.");
const BUNDLE: Field = text("pem_bundle", "Certificates and keys in PEM.");
const SERIAL: Field = text("serial", "The serial number of the certificate.");

const ISSUE_FIELDS: &[Field] = &[
    ROLE,
    ISSUER,
    COMMON_NAME,
    ALT_NAMES,
    IP_SANS,
    URI_SANS,
    OTHER_SANS,
    EXCLUDE_CN,
    SERIAL_NUMBER,
    USER_IDS,
    TTL,
    NOT_AFTER,
    NOT_BEFORE,
    FORMAT,
    KEY_FORMAT,
    KEY_TYPE,
    KEY_BITS,
];
const SIGN_FIELDS: &[Field] = &[
    ROLE,
    ISSUER,
    CSR,
    COMMON_NAME,
    ALT_NAMES,
    IP_SANS,
    URI_SANS,
    OTHER_SANS,
    EXCLUDE_CN,
    SERIAL_NUMBER,
    USER_IDS,
    TTL,
    NOT_AFTER,
    NOT_BEFORE,
    FORMAT,
];
const VERBATIM_FIELDS: &[Field] = &[
    ROLE,
    ISSUER,
    CSR,
    names_list("key_usage", "What the key is for."),
    names_list("ext_key_usage", "The same, extended."),
    names_list("ext_key_usage_oids", "The same, as object identifiers."),
    SIGNATURE_BITS,
    USE_PSS,
    TTL,
    NOT_AFTER,
    NOT_BEFORE,
    FORMAT,
];
const AUTHORITY_FIELDS: &[Field] = &[
    text(
        "exported",
        "`internal` keeps the private key here, `exported` shows it too, `existing` takes one that is here.",
    ),
    text("issuer_name", "A name for the issuer."),
    COMMON_NAME,
    ALT_NAMES,
    IP_SANS,
    URI_SANS,
    OTHER_SANS,
    EXCLUDE_CN,
    SERIAL_NUMBER,
    TTL,
    NOT_AFTER,
    NOT_BEFORE,
    FORMAT,
    KEY_FORMAT,
    KEY_TYPE,
    KEY_BITS,
    KEY_NAME,
    KEY_REF,
    SIGNATURE_BITS,
    USE_PSS,
    MAX_PATH_LENGTH,
    PERMITTED_DNS,
    OU,
    ORGANIZATION,
    COUNTRY,
    LOCALITY,
    PROVINCE,
    STREET,
    POSTAL_CODE,
    field("add_basic_constraints", FieldKind::Boolean, "A request says that it is for an authority."),
];
const SIGN_INTERMEDIATE_FIELDS: &[Field] = &[
    ISSUER,
    text("issuer_ref", "The issuer, where the path names none."),
    CSR,
    field("use_csr_values", FieldKind::Boolean, "Subject and names are the request's."),
    field("enforce_leaf_not_after_behavior", FieldKind::Boolean, "It may not outlive the issuer."),
    names_list("key_usage", "Further usages of the key."),
    text("skid", "The subject key identifier, in hexadecimal digits."),
    COMMON_NAME,
    ALT_NAMES,
    IP_SANS,
    URI_SANS,
    OTHER_SANS,
    EXCLUDE_CN,
    SERIAL_NUMBER,
    TTL,
    NOT_AFTER,
    NOT_BEFORE,
    FORMAT,
    SIGNATURE_BITS,
    USE_PSS,
    MAX_PATH_LENGTH,
    PERMITTED_DNS,
    OU,
    ORGANIZATION,
    COUNTRY,
    LOCALITY,
    PROVINCE,
    STREET,
    POSTAL_CODE,
];

/// For callers with a token.
const fn route(
    pattern: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    methods: &'static [Method],
) -> Route {
    Route { pattern, summary, access: Access::Token, fields, methods, exists: None }
}

/// For anybody: what a relying party needs.
const fn open(
    pattern: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    methods: &'static [Method],
) -> Route {
    Route { pattern, summary, access: Access::Open, fields, methods, exists: None }
}

const ISSUE: &[Method] = &[heavy_write(issue::issue, "Make a key and a certificate.")];
const SIGN: &[Method] = &[write(issue::sign, "Sign a request.")];
const VERBATIM: &[Method] = &[write(issue::sign_verbatim, "Sign a request as it is.")];

const ISSUING: &[Route] = &[
    route("issue/{role}", "A certificate with its key.", ISSUE_FIELDS, ISSUE),
    route("issuer/{issuer}/issue/{role}", "A certificate with its key.", ISSUE_FIELDS, ISSUE),
    route("sign/{role}", "A certificate for a request.", SIGN_FIELDS, SIGN),
    route("issuer/{issuer}/sign/{role}", "A certificate for a request.", SIGN_FIELDS, SIGN),
    route("sign-verbatim", "A certificate that says what its request says.", VERBATIM_FIELDS, VERBATIM),
    route(
        "sign-verbatim/{role}",
        "A certificate that says what its request says.",
        VERBATIM_FIELDS,
        VERBATIM,
    ),
    route(
        "issuer/{issuer}/sign-verbatim",
        "A certificate that says what its request says.",
        VERBATIM_FIELDS,
        VERBATIM,
    ),
    route(
        "issuer/{issuer}/sign-verbatim/{role}",
        "A certificate that says what its request says.",
        VERBATIM_FIELDS,
        VERBATIM,
    ),
    route("roles/?", "The roles.", &[AFTER, LIMIT], &[list(roles::list_names, "List their names.")]),
    Route {
        pattern: "roles/{name}",
        summary: "What certificates may be asked for.",
        access: Access::Token,
        fields: roles::FIELDS,
        methods: &[
            read(roles::read, "Read a role."),
            write(roles::write, "Make a role, or replace it."),
            patch(roles::patch, "Change a role."),
            delete(roles::delete, "Remove a role."),
        ],
        exists: Some(roles::exists),
    },
];

const ROOT: &[Method] = &[heavy_write(authorities::generate_root, "Make a root.")];
const INTERMEDIATE: &[Method] =
    &[heavy_write(authorities::generate_intermediate, "Make a key and a request for its certificate.")];
const SIGN_INTERMEDIATE: &[Method] = &[write(authorities::sign_intermediate, "Sign an authority's request.")];
const SELF_ISSUED: &[Method] =
    &[write(authorities::sign_self_issued, "Sign a self-signed certificate as it is.")];
const SELF_ISSUED_FIELDS: &[Field] = &[ISSUER, CERTIFICATE, text("issuer_ref", "The issuer.")];
const IMPORT: &[Method] = &[write(authorities::import_bundle, "Bring them.")];
const KEY: Field = text("key", "The key: an id, a name, or `default`.");
const ISSUER_FIELDS: &[Field] = &[
    ISSUER,
    text("issuer_name", "Its name."),
    names_list("usage", "read-only, issuing-certificates, crl-signing, ocsp-signing."),
    text("leaf_not_after_behavior", "err (default), truncate or permit."),
    names_list("manual_chain", "The issuers of its chain, itself first."),
    text("revocation_signature_algorithm", "How lists are signed, as SHA256WithRSA."),
    names_list("issuing_certificates", "Where the issuer's certificate is found."),
    names_list("crl_distribution_points", "Where its list is found."),
    names_list("delta_crl_distribution_points", "Where its delta list is found."),
    names_list("ocsp_servers", "Where OCSP is asked."),
    field("enable_aia_url_templating", FieldKind::Boolean, "Variables in these are filled in."),
];

const AUTHORITIES: &[Route] = &[
    route(
        "root",
        "All authorities of the mount.",
        &[],
        &[delete(authorities::delete_root, "Remove them with their keys.")],
    ),
    route("root/generate/{exported}", "A root.", AUTHORITY_FIELDS, ROOT),
    route("root/rotate/{exported}", "A further root.", AUTHORITY_FIELDS, ROOT),
    route("issuers/generate/root/{exported}", "A further root.", AUTHORITY_FIELDS, ROOT),
    route(
        "root/replace",
        "The default issuer.",
        &[text("default", "The issuer that becomes the default; one named `next` if it is not said.")],
        &[write(authorities::replace_root, "Change it.")],
    ),
    route("intermediate/generate/{exported}", "An intermediate.", AUTHORITY_FIELDS, INTERMEDIATE),
    route("issuers/generate/intermediate/{exported}", "An intermediate.", AUTHORITY_FIELDS, INTERMEDIATE),
    route(
        "intermediate/cross-sign",
        "A further certificate for a key that is here.",
        AUTHORITY_FIELDS,
        &[write(authorities::cross_sign, "Make a request for it.")],
    ),
    route(
        "intermediate/set-signed",
        "The certificate of an intermediate.",
        &[CERTIFICATE],
        &[write(authorities::set_signed, "Bring it.")],
    ),
    route("config/ca", "Certificates and keys of authorities.", &[BUNDLE], IMPORT),
    route("issuers/import/bundle", "Certificates and keys of authorities.", &[BUNDLE], IMPORT),
    route("issuers/import/cert", "Certificates of authorities.", &[BUNDLE], IMPORT),
    route(
        "root/sign-intermediate",
        "An authority below this one.",
        SIGN_INTERMEDIATE_FIELDS,
        SIGN_INTERMEDIATE,
    ),
    route(
        "issuer/{issuer}/sign-intermediate",
        "An authority below this one.",
        SIGN_INTERMEDIATE_FIELDS,
        SIGN_INTERMEDIATE,
    ),
    route("root/sign-self-issued", "A root under another.", SELF_ISSUED_FIELDS, SELF_ISSUED),
    route("issuer/{issuer}/sign-self-issued", "A root under another.", SELF_ISSUED_FIELDS, SELF_ISSUED),
    route(
        "issuer/{issuer}",
        "An authority.",
        ISSUER_FIELDS,
        &[
            read(issuers::read, "Read what is known of it."),
            write(issuers::write, "Change its settings."),
            patch(issuers::write, "Change its settings."),
            delete(issuers::delete, "Remove it; its key stays."),
        ],
    ),
    route(
        "issuer/{issuer}/revoke",
        "An authority that is no longer good.",
        &[ISSUER],
        &[write(issuers::revoke, "Revoke it.")],
    ),
    route("keys/?", "The keys of authorities.", &[AFTER, LIMIT], &[list(keys::list, "List them.")]),
    route(
        "keys/generate/{exported}",
        "A key.",
        &[text("exported", "`internal` or `exported`."), KEY_TYPE, KEY_BITS, KEY_NAME],
        &[heavy_write(keys::generate, "Make one.")],
    ),
    route("keys/import", "A key.", &[BUNDLE, KEY_NAME], &[write(keys::import, "Bring one.")]),
    route(
        "key/{key}",
        "A key.",
        &[KEY, KEY_NAME],
        &[
            read(keys::read, "Read what is known of it."),
            write(keys::write, "Change its name."),
            delete(keys::delete, "Remove it for good."),
        ],
    ),
];

const LIST_DER: &[Method] = &[read_or_write(revocation::read_der, "Read it.")];
const LIST_PEM: &[Method] = &[read_or_write(revocation::read_pem, "Read it.")];
const LIST_JSON: &[Method] = &[read_or_write(revocation::read_json, "Read it.")];

/// Without a token: certificates and lists are public, and who checks them has none.
const PUBLIC: &[Route] = &[
    open("ca", "The default issuer's certificate in DER.", &[], &[read(certificates::ca, "Read it.")]),
    open(
        "ca/pem",
        "The default issuer's certificate in PEM.",
        &[],
        &[read(certificates::ca_pem, "Read it.")],
    ),
    open("ca_chain", "The default issuer's chain in PEM.", &[], &[read(certificates::ca_chain, "Read it.")]),
    open("crl", "The revocation list in DER.", &[], LIST_DER),
    open("crl/pem", "The revocation list in PEM.", &[], LIST_PEM),
    open("crl/delta", "The delta list in DER.", &[], LIST_DER),
    open("crl/delta/pem", "The delta list in PEM.", &[], LIST_PEM),
    open(
        "cert/{serial}",
        "A certificate; `ca`, `ca_chain` and `crl` name the default issuer's.",
        &[SERIAL],
        &[read_or_write(certificates::read, "Read it.")],
    ),
    open(
        "cert/{serial}/raw",
        "A certificate in DER.",
        &[SERIAL],
        &[read(certificates::read_raw, "Read it.")],
    ),
    open(
        "cert/{serial}/raw/pem",
        "A certificate in PEM.",
        &[SERIAL],
        &[read(certificates::read_pem, "Read it.")],
    ),
    open("issuers/?", "The authorities.", &[AFTER, LIMIT], &[list(issuers::list, "List them.")]),
    open(
        "issuer/{issuer}/json",
        "An authority's certificate.",
        &[ISSUER],
        &[read(issuers::json, "Read it.")],
    ),
    open(
        "issuer/{issuer}/der",
        "An authority's certificate in DER.",
        &[ISSUER],
        &[read(certificates::issuer_der, "Read it.")],
    ),
    open(
        "issuer/{issuer}/pem",
        "An authority's chain in PEM.",
        &[ISSUER],
        &[read(certificates::issuer_pem, "Read it.")],
    ),
    open("issuer/{issuer}/crl", "An authority's revocation list.", &[ISSUER], LIST_JSON),
    open("issuer/{issuer}/crl/der", "An authority's revocation list in DER.", &[ISSUER], LIST_DER),
    open("issuer/{issuer}/crl/pem", "An authority's revocation list in PEM.", &[ISSUER], LIST_PEM),
    open("issuer/{issuer}/crl/delta", "An authority's delta list.", &[ISSUER], LIST_JSON),
    open("issuer/{issuer}/crl/delta/der", "An authority's delta list in DER.", &[ISSUER], LIST_DER),
    open("issuer/{issuer}/crl/delta/pem", "An authority's delta list in PEM.", &[ISSUER], LIST_PEM),
    open("ocsp", "Questions about single certificates.", &[], &[look_up(ocsp::by_post, "Ask, in DER.")]),
    open(
        "ocsp/{request..}",
        "Questions about single certificates.",
        &[text("request", "The question: DER in base64.")],
        &[read(ocsp::by_get, "Ask.")],
    ),
];

const CERTIFICATES: &[Route] = &[
    route(
        "certs/?",
        "Certificates that are kept.",
        &[AFTER, LIMIT],
        &[list(certificates::list, "List their serial numbers.")],
    ),
    route(
        "certs/revoked/?",
        "Certificates that are revoked.",
        &[AFTER, LIMIT],
        &[list(certificates::list_revoked, "List their serial numbers.")],
    ),
    route(
        "revoke",
        "Take a certificate back.",
        &[SERIAL_NUMBER, CERTIFICATE],
        &[write(revocation::revoke, "Revoke it.")],
    ),
    route(
        "revoke-with-key",
        "Take a certificate back, with its key as the right to it.",
        &[SERIAL_NUMBER, CERTIFICATE, text("private_key", "The certificate's private key in PEM.")],
        &[write(revocation::revoke_with_key, "Revoke it.")],
    ),
    route("crl/rotate", "The revocation lists.", &[], ROTATE),
    route("crl/rotate-delta", "The delta lists.", &[], ROTATE_DELTA),
    route("tidy", "Remove what is over.", TIDY_FIELDS, &[write(tidying::start, "Begin.")]),
    route("tidy-cancel", "Stop removing.", &[], &[write(tidying::cancel, "Stop.")]),
    route("tidy-status", "How far the removal has come.", &[], &[read(tidying::status, "Read it.")]),
];

const ROTATE: &[Method] = &[
    Method { operation: Operation::Read, run: Run::Write(revocation::rotate), summary: "Make them anew." },
    write(revocation::rotate, "Make them anew."),
];
const ROTATE_DELTA: &[Method] = &[
    Method {
        operation: Operation::Read,
        run: Run::Write(revocation::rotate_delta),
        summary: "Make them anew.",
    },
    write(revocation::rotate_delta, "Make them anew."),
];
const TIDY_FIELDS: &[Field] = &[
    field("tidy_cert_store", FieldKind::Boolean, "Certificates that are over."),
    field("tidy_revoked_certs", FieldKind::Boolean, "Revoked certificates that are over."),
    field("tidy_revoked_cert_issuer_associations", FieldKind::Boolean, "What names issuers that are gone."),
    field("tidy_expired_issuers", FieldKind::Boolean, "Issuers that are over."),
    field("safety_buffer", FieldKind::Duration, "How long after their end; 72 h by default."),
    field("issuer_safety_buffer", FieldKind::Duration, "The same for issuers; a year by default."),
    field("enabled", FieldKind::Boolean, "For config/auto-tidy: do it by itself."),
    field("interval_duration", FieldKind::Duration, "For config/auto-tidy: how often; 12 h by default."),
];

const SETTINGS: &[Route] = &[
    route(
        "config/urls",
        "Addresses that go into certificates.",
        &[
            names_list("issuing_certificates", "Where the issuer's certificate is found."),
            names_list("crl_distribution_points", "Where its list is found."),
            names_list("delta_crl_distribution_points", "Where its delta list is found."),
            names_list("ocsp_servers", "Where OCSP is asked."),
            field(
                "enable_templating",
                FieldKind::Boolean,
                "`{{issuer_id}}`, `{{cluster_path}}` and `{{cluster_aia_path}}` are filled in.",
            ),
        ],
        &[read(settings::read_urls, "Read them."), write(settings::write_urls, "Set them.")],
    ),
    route(
        "config/crl",
        "How revocation lists and OCSP work.",
        &[
            field("expiry", FieldKind::Duration, "How long a list is good; 72 h by default."),
            field("disable", FieldKind::Boolean, "Lists are empty."),
            field("ocsp_disable", FieldKind::Boolean, "OCSP is not answered."),
            field("ocsp_expiry", FieldKind::Duration, "How long an answer is good; 12 h by default."),
            field(
                "auto_rebuild",
                FieldKind::Boolean,
                "Lists are made before they end, not with each revocation.",
            ),
            field("auto_rebuild_grace_period", FieldKind::Duration, "How long before; 12 h by default."),
            field("enable_delta", FieldKind::Boolean, "Delta lists are made. Needs `auto_rebuild`."),
            field("delta_rebuild_interval", FieldKind::Duration, "How often; 15 min by default."),
            field("allow_expired_cert_revocation", FieldKind::Boolean, "What is over may be revoked too."),
        ],
        &[read(settings::read_crl, "Read it."), write(settings::write_crl, "Set it.")],
    ),
    route(
        "config/issuers",
        "The default issuer.",
        &[
            text("default", "The issuer."),
            field("default_follows_latest_issuer", FieldKind::Boolean, "A new issuer becomes the default."),
        ],
        &[read(settings::read_default_issuer, "Read it."), write(settings::write_default_issuer, "Set it.")],
    ),
    route(
        "config/keys",
        "The default key.",
        &[text("default", "The key.")],
        &[read(settings::read_default_key, "Read it."), write(settings::write_default_key, "Set it.")],
    ),
    route(
        "config/cluster",
        "How this server is reached from outside.",
        &[
            text("path", "The address of this mount."),
            text("aia_path", "The same, for lists and certificates."),
        ],
        &[read(settings::read_cluster, "Read it."), write(settings::write_cluster, "Set it.")],
    ),
    route(
        "config/auto-tidy",
        "What is removed by itself.",
        TIDY_FIELDS,
        &[read(tidying::read_auto, "Read it."), write(tidying::write_auto, "Set it.")],
    ),
];
