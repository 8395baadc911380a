//! `roles/`: what certificates may be asked for.

use super::store::{DEFAULT, ROLES};
use crate::answer::object;
use crate::listing::page;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_kernel::{Call, Error, Field, FieldKind, Fields, Key, Record, Response};
use strongroom_secret::Timestamp;

/// A role, under Vault's names and with Vault's defaults.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub issuer_ref: String,
    #[serde(with = "seconds")]
    pub ttl: Duration,
    #[serde(with = "seconds")]
    pub max_ttl: Duration,
    pub allow_localhost: bool,
    pub allowed_domains: Vec<String>,
    pub allowed_domains_template: bool,
    pub allow_bare_domains: bool,
    pub allow_subdomains: bool,
    pub allow_glob_domains: bool,
    pub allow_wildcard_certificates: bool,
    pub allow_any_name: bool,
    pub allow_token_displayname: bool,
    pub enforce_hostnames: bool,
    pub allow_ip_sans: bool,
    pub allowed_ip_sans_cidr: Vec<String>,
    pub allowed_uri_sans: Vec<String>,
    pub allowed_uri_sans_template: bool,
    pub allowed_other_sans: Vec<String>,
    pub allowed_serial_numbers: Vec<String>,
    pub allowed_user_ids: Vec<String>,
    pub server_flag: bool,
    pub client_flag: bool,
    pub code_signing_flag: bool,
    pub email_protection_flag: bool,
    pub key_type: String,
    pub key_bits: u32,
    pub signature_bits: u32,
    pub use_pss: bool,
    pub key_usage: Vec<String>,
    pub ext_key_usage: Vec<String>,
    pub ext_key_usage_oids: Vec<String>,
    pub use_csr_common_name: bool,
    pub use_csr_sans: bool,
    pub ou: Vec<String>,
    pub organization: Vec<String>,
    pub country: Vec<String>,
    pub locality: Vec<String>,
    pub province: Vec<String>,
    pub street_address: Vec<String>,
    pub postal_code: Vec<String>,
    pub generate_lease: bool,
    pub no_store: bool,
    pub require_cn: bool,
    pub cn_validations: Vec<String>,
    pub policy_identifiers: Vec<String>,
    pub basic_constraints_valid_for_non_ca: bool,
    #[serde(with = "seconds")]
    pub not_before_duration: Duration,
    /// A time in RFC 3339; empty for none.
    pub not_after: String,
}

impl Record for Role {}

impl Default for Role {
    fn default() -> Self {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            issuer_ref: DEFAULT.to_owned(),
            ttl: Duration::ZERO,
            max_ttl: Duration::ZERO,
            allow_localhost: true,
            allowed_domains: Vec::new(),
            allowed_domains_template: false,
            allow_bare_domains: false,
            allow_subdomains: false,
            allow_glob_domains: false,
            allow_wildcard_certificates: true,
            allow_any_name: false,
            allow_token_displayname: false,
            enforce_hostnames: true,
            allow_ip_sans: true,
            allowed_ip_sans_cidr: Vec::new(),
            allowed_uri_sans: Vec::new(),
            allowed_uri_sans_template: false,
            allowed_other_sans: Vec::new(),
            allowed_serial_numbers: Vec::new(),
            allowed_user_ids: Vec::new(),
            server_flag: true,
            client_flag: true,
            code_signing_flag: false,
            email_protection_flag: false,
            key_type: "rsa".to_owned(),
            key_bits: 0,
            signature_bits: 0,
            use_pss: false,
            key_usage: texts(&["DigitalSignature", "KeyAgreement", "KeyEncipherment"]),
            ext_key_usage: Vec::new(),
            ext_key_usage_oids: Vec::new(),
            use_csr_common_name: true,
            use_csr_sans: true,
            ou: Vec::new(),
            organization: Vec::new(),
            country: Vec::new(),
            locality: Vec::new(),
            province: Vec::new(),
            street_address: Vec::new(),
            postal_code: Vec::new(),
            generate_lease: false,
            no_store: false,
            require_cn: true,
            cn_validations: texts(&["email", "hostname"]),
            policy_identifiers: Vec::new(),
            basic_constraints_valid_for_non_ca: false,
            not_before_duration: Duration::from_secs(30),
            not_after: String::new(),
        }
    }
}

mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

const fn text(name: &'static str, description: &'static str) -> Field {
    crate::routing::field(name, FieldKind::Text, description)
}

const fn list(name: &'static str, description: &'static str) -> Field {
    crate::routing::field(name, FieldKind::List, description)
}

const fn flag(name: &'static str, description: &'static str) -> Field {
    crate::routing::field(name, FieldKind::Boolean, description)
}

const fn number(name: &'static str, description: &'static str) -> Field {
    crate::routing::field(name, FieldKind::Integer, description)
}

const fn duration(name: &'static str, description: &'static str) -> Field {
    crate::routing::field(name, FieldKind::Duration, description)
}

/// What a role can say. The kinds decide how each is read.
pub(super) const FIELDS: &[Field] = &[
    text("issuer_ref", "The issuer: an id, a name, or `default`."),
    duration("ttl", "How long certificates live; the mount's default if 0."),
    duration("max_ttl", "How long they may live at the most; the mount's maximum if 0."),
    flag("allow_localhost", "`localhost` and `localdomain` are allowed names."),
    list("allowed_domains", "Domains for the options below."),
    flag(
        "allowed_domains_template",
        "The domains may name the caller's entity, as `{{identity.entity.name}}`.",
    ),
    flag("allow_bare_domains", "The domains themselves are allowed names."),
    flag("allow_subdomains", "Names below the domains are allowed."),
    flag("allow_glob_domains", "`*` in a domain stands for anything."),
    flag("allow_wildcard_certificates", "Names may start with `*.`."),
    flag("allow_any_name", "Every name is allowed."),
    flag("allow_token_displayname", "The display name of the caller's token is an allowed name."),
    flag("enforce_hostnames", "Names must be host names."),
    flag("allow_ip_sans", "IP addresses are allowed."),
    list("allowed_ip_sans_cidr", "Networks that they must lie in; all if empty."),
    list("allowed_uri_sans", "URIs that are allowed; `*` stands for anything."),
    flag("allowed_uri_sans_template", "They may name the caller's entity."),
    list("allowed_other_sans", "Other names that are allowed: `OID;utf8:pattern`, or `*`."),
    list("allowed_serial_numbers", "Serial numbers of subjects that are allowed; `*` stands for anything."),
    list("allowed_user_ids", "User ids of subjects that are allowed."),
    flag("server_flag", "For servers."),
    flag("client_flag", "For clients."),
    flag("code_signing_flag", "For the signing of code."),
    flag("email_protection_flag", "For e-mail."),
    text("key_type", "rsa (default), ec, ed25519, or any (for signing alone)."),
    number("key_bits", "2048 (default), 3072, 4096 or 8192 for rsa; 256 (default), 384 or 521 for ec."),
    number("signature_bits", "Of the hash: 256 (default), 384 or 512."),
    flag("use_pss", "RSA issuers sign with PSS."),
    list("key_usage", "DigitalSignature, KeyAgreement, KeyEncipherment and so on."),
    list("ext_key_usage", "ServerAuth, ClientAuth, TimeStamping and so on."),
    list("ext_key_usage_oids", "The same, as object identifiers."),
    flag("use_csr_common_name", "Signing takes the common name from the request."),
    flag("use_csr_sans", "Signing takes the alternative names from the request."),
    list("ou", "Organizational units of the subject."),
    list("organization", "Organizations of the subject."),
    list("country", "Countries of the subject."),
    list("locality", "Localities of the subject."),
    list("province", "Provinces of the subject."),
    list("street_address", "Street addresses of the subject."),
    list("postal_code", "Postal codes of the subject."),
    flag("generate_lease", "A certificate has a lease, and its revocation revokes the certificate."),
    flag("no_store", "Certificates are not kept: they cannot be listed or revoked by serial number alone."),
    flag("require_cn", "A common name is needed."),
    list("cn_validations", "What a common name must be: email, hostname, or disabled."),
    list("policy_identifiers", "Object identifiers of certificate policies."),
    flag("basic_constraints_valid_for_non_ca", "Certificates say that they are no authority."),
    duration("not_before_duration", "How long before now certificates begin; 30 s by default."),
    text("not_after", "When certificates end, in place of `ttl`."),
];

fn key(call: &Call<'_>, name: &str) -> Key {
    call.tx.path_key(&call.table(ROLES), name)
}

/// A role by its name.
pub(super) fn find(call: &mut Call<'_>, name: &str) -> Result<Option<Role>, Error> {
    let key = key(call, name);
    call.tx.record(&key)
}

/// All of them.
pub(super) fn all(call: &mut Call<'_>) -> Result<Vec<Role>, Error> {
    let table = call.table(ROLES);
    call.tx.records(&table)
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(find(call, &name)?.is_some())
}

pub(super) fn list_names(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(ROLES);
    let names = call.tx.children(&table)?;
    page(call, names)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let role = find(call, &name)?.ok_or_else(Error::not_found)?;
    Ok(shown(&role))
}

fn shown(role: &Role) -> Response {
    let mut role = role.clone();
    (role.key_bits, role.signature_bits) = role.bits();
    object(json!(role))
}

impl Role {
    /// The bits of key and hash with their defaults.
    fn bits(&self) -> (u32, u32) {
        let key_bits = match (self.key_type.as_str(), self.key_bits) {
            ("rsa", 0) => 2048,
            ("ec", 0) => 256,
            (_, bits) => bits,
        };
        let signature_bits = match (self.key_type.as_str(), self.signature_bits) {
            ("ec", 0) => {
                if key_bits == 521 {
                    512
                } else {
                    key_bits
                }
            }
            ("rsa" | "any", 0) => 256,
            (_, bits) => bits,
        };
        (key_bits, signature_bits)
    }
}

/// Reads what a request says by the kinds of [`FIELDS`] onto what is there.
pub(super) fn change(role: &Role, fields: &Fields) -> Result<Role, Error> {
    let mut values = match json!(role) {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    for field in FIELDS.iter().filter(|field| fields.has(field.name)) {
        let value = match field.kind {
            FieldKind::Boolean => fields.boolean(field.name)?.map(Value::from),
            FieldKind::Integer => fields.count(field.name)?.map(Value::from),
            FieldKind::Duration => fields.duration(field.name)?.map(|duration| duration.as_secs().into()),
            FieldKind::List => fields.list(field.name)?.map(Value::from),
            _ => fields.text(field.name)?.map(Value::from),
        };
        values.extend(value.map(|value| (field.name.to_owned(), value)));
    }
    let role = serde_json::from_value(Value::Object(values))
        .map_err(|_| Error::invalid("a number of the role is too large"))?;
    check(&role)?;
    Ok(role)
}

fn check(role: &Role) -> Result<(), Error> {
    if !role.max_ttl.is_zero() && role.ttl > role.max_ttl {
        return Err(Error::invalid(r#""ttl" value must be less than "max_ttl" value"#));
    }
    match (role.key_type.as_str(), role.key_bits) {
        ("rsa", 0 | 2048 | 3072 | 4096 | 8192) | ("ec", 0 | 256 | 384 | 521) | ("ed25519" | "any", _) => {}
        ("rsa", _) => return Err(Error::invalid("key_bits of an rsa key must be 2048, 3072, 4096 or 8192")),
        ("ec", _) => return Err(Error::invalid("key_bits of an ec key must be 256, 384 or 521")),
        _ => return Err(Error::invalid("unknown key type: it must be rsa, ec, ed25519 or any")),
    }
    if !matches!(role.signature_bits, 0 | 256 | 384 | 512) {
        return Err(Error::invalid("signature_bits must be 0, 256, 384 or 512"));
    }
    if !role.not_after.is_empty() && Timestamp::parse_rfc3339(&role.not_after).is_none() {
        return Err(Error::invalid("not_after must be a time in RFC 3339, as 2026-01-31T12:00:00Z"));
    }
    if role.no_store && role.generate_lease {
        return Err(Error::invalid("mutually exclusive values: no_store is true and generate_lease is true"));
    }
    super::purposes::of_role(role)?;
    super::names::check_patterns(role)
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    // A write says everything that is not to be the default, as in Vault: nothing stays from before.
    let role = change(&Role::default(), call.fields())?;
    store(call, &name, &role)
}

pub(super) fn patch(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let role = find(call, &name)?.ok_or_else(Error::not_found)?;
    let role = change(&role, call.fields())?;
    store(call, &name, &role)
}

fn store(call: &mut Call<'_>, name: &str, role: &Role) -> Result<Response, Error> {
    let key = key(call, name);
    call.tx.put_record(&key, role)?;
    Ok(shown(role))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call, call.capture("name"));
    call.tx.delete(&key)?;
    Ok(Response::default())
}
