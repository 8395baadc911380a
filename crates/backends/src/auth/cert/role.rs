//! Roles: which certificates may log in, and what they get. Vault calls them certs.

use crate::auth::roles;
use crate::auth::token_parameters::TokenParameters;
use crate::pem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_crypto::x509::ReadCertificate;
use strongroom_kernel::{Call, Data, Error, Fields, Record, Response};
use x509_cert::spki::ObjectIdentifier;

/// Certificates of one role.
const CERTIFICATES_MAX: usize = 64;

/// A role as stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub name: String,
    /// PEM, as it was given.
    pub certificate: String,
    pub display_name: String,
    pub allowed_names: Vec<String>,
    pub allowed_common_names: Vec<String>,
    pub allowed_dns_sans: Vec<String>,
    pub allowed_email_sans: Vec<String>,
    pub allowed_uri_sans: Vec<String>,
    pub allowed_organizational_units: Vec<String>,
    pub required_extensions: Vec<String>,
    pub allowed_metadata_extensions: Vec<String>,
    pub parameters: TokenParameters,
}

impl Record for Role {}

impl Role {
    /// The certificates that it trusts.
    pub(super) fn certificates(&self) -> Vec<ReadCertificate> {
        certificates(&self.certificate).unwrap_or_default()
    }
}

fn certificates(text: &str) -> Option<Vec<ReadCertificate>> {
    let blocks = pem::decode_all(text)?;
    let read = blocks
        .iter()
        .map(|(label, der)| ReadCertificate::from_der(der).ok().filter(|_| label == "CERTIFICATE"));
    read.collect::<Option<Vec<_>>>().filter(|read| read.len() <= CERTIFICATES_MAX)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let role: Role = roles::of_path(call)?;
    let mut response = crate::answer::object(json!({
        "certificate": role.certificate,
        "display_name": role.display_name,
        "allowed_names": role.allowed_names,
        "allowed_common_names": role.allowed_common_names,
        "allowed_dns_sans": role.allowed_dns_sans,
        "allowed_email_sans": role.allowed_email_sans,
        "allowed_uri_sans": role.allowed_uri_sans,
        "allowed_organizational_units": role.allowed_organizational_units,
        "required_extensions": role.required_extensions,
        "allowed_metadata_extensions": role.allowed_metadata_extensions,
        "ocsp_enabled": false,
    }));
    if let Data::Map(data) = &mut response.data {
        role.parameters.describe(data);
    }
    Ok(response)
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = roles::key_of(call, call.capture("name"));
    let mut role: Role = call.tx.record(&key)?.unwrap_or_default();
    role.name = call.capture("name").to_lowercase();
    let fields = call.fields();
    if let Some(certificate) = fields.text("certificate")? {
        role.certificate = certificate;
    }
    let Some(trusted) = certificates(&role.certificate) else {
        return Err(Error::invalid("failed to parse certificate: it must be one or more in PEM"));
    };
    update_bounds(&mut role, fields)?;
    role.parameters.update(fields)?;
    let mut warnings = role.parameters.warnings(call);
    if trusted.iter().any(|certificate| certificate.not_after() < call.now) {
        warnings.push("a certificate of the role has expired: nobody can log in with it".to_owned());
    }
    call.tx.put_record(&key, &role)?;
    Ok(Response { warnings, ..Response::default() })
}

fn update_bounds(role: &mut Role, fields: &Fields) -> Result<(), Error> {
    if let Some(name) = fields.text("display_name")? {
        role.display_name = name;
    }
    if role.display_name.is_empty() {
        role.display_name.clone_from(&role.name);
    }
    for (name, list) in [
        ("allowed_names", &mut role.allowed_names),
        ("allowed_common_names", &mut role.allowed_common_names),
        ("allowed_dns_sans", &mut role.allowed_dns_sans),
        ("allowed_email_sans", &mut role.allowed_email_sans),
        ("allowed_uri_sans", &mut role.allowed_uri_sans),
        ("allowed_organizational_units", &mut role.allowed_organizational_units),
        ("required_extensions", &mut role.required_extensions),
        ("allowed_metadata_extensions", &mut role.allowed_metadata_extensions),
    ] {
        if let Some(given) = fields.list(name)? {
            *list = given;
        }
    }
    let is_oid = |text: &str| ObjectIdentifier::new(text).is_ok();
    if role.required_extensions.iter().any(|required| {
        let required = required.strip_prefix("hex:").unwrap_or(required);
        !required.split_once(':').is_some_and(|(oid, _)| is_oid(oid))
    }) {
        return Err(Error::invalid("required_extensions must be OID:VALUE or hex:OID:DER"));
    }
    if !role.allowed_metadata_extensions.iter().all(|oid| is_oid(oid)) {
        return Err(Error::invalid("allowed_metadata_extensions must be OIDs"));
    }
    if fields.boolean("ocsp_enabled")? == Some(true) {
        return Err(Error::invalid(
            "ocsp_enabled: asking by OCSP is not supported; bring revocation lists to crls/",
        ));
    }
    Ok(())
}
