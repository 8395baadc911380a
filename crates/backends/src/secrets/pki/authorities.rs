//! Authorities: roots, intermediates, cross-signing, and certificates and keys that are brought.

use super::issue::{self, Format};
use super::names::{self, Subject};
use super::roles::Role;
use super::store::{self, Authority, damaged, unusable};
use super::{purposes, settings};
use crate::answer::object;
use crate::pem;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use strongroom_crypto::keypair::PrivateKey;
use strongroom_crypto::x509::{
    self, AccessUrls, AlternativeNames, Issuer, Purposes, ReadCertificate, SignatureScheme, Template,
    X509Error,
};
use strongroom_kernel::{Call, Error, Response};

const NO_URLS: &str = "This mount hasn't configured any authority information access (AIA) fields; this may make it \
     harder for systems to find missing certificates in the chain or to validate revocation status of certificates. \
     Consider updating /config/urls or the newly generated issuer with this information.";

/// Whether the answer shows the new private key, or there is no new one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Internal,
    Exported,
    Existing,
}

impl Origin {
    fn of(call: &Call<'_>) -> Result<Self, Error> {
        match call.capture("exported") {
            "internal" => Ok(Self::Internal),
            "exported" => Ok(Self::Exported),
            "existing" => Ok(Self::Existing),
            _ => Err(Error::invalid("the path must end in internal, exported or existing")),
        }
    }
}

/// The key of a new authority: a fresh one that is kept, or one that is kept already.
fn key_for(call: &mut Call<'_>, origin: Origin) -> Result<(Arc<PrivateKey>, String, String), Error> {
    let fields = call.fields();
    if origin == Origin::Existing {
        let reference = fields.text("key_ref")?.unwrap_or_default();
        let record = store::find_key(call, &reference)?;
        return Ok((store::open_key(call, &record)?, record.id, record.name));
    }
    let key_type =
        fields.text("key_type")?.filter(|text| !text.is_empty()).unwrap_or_else(|| "rsa".to_owned());
    let bits = u32::try_from(fields.count("key_bits")?.unwrap_or(0)).unwrap_or(u32::MAX);
    let kind = issue::key_kind(&key_type, bits)?;
    let name = fields.text("key_name")?.unwrap_or_default();
    let key = PrivateKey::generate(kind, call.entropy()).map_err(|error| damaged(X509Error::Key(error)))?;
    let (id, _) = store::add_key(call, &key, &name)?;
    Ok((Arc::new(key), id, name))
}

/// The names and the subject of a new authority.
fn names_of(call: &Call<'_>) -> Result<(Subject, AlternativeNames), Error> {
    let fields = call.fields();
    let subject = Subject::of_fields(fields)?;
    if subject.common_name.is_empty() {
        return Err(Error::invalid("the common_name field is required"));
    }
    let mut names = names::requested(fields)?;
    let is_left_out = fields.boolean("exclude_cn_from_sans")?.unwrap_or_default();
    if !is_left_out && (subject.common_name.contains('@') || names::is_host_name(&subject.common_name)) {
        names::add(&mut names, subject.common_name.clone());
    }
    Ok((subject, names))
}

/// How many authorities may follow below: -1 or nothing for any number.
fn path_length(call: &Call<'_>) -> Result<Option<u8>, Error> {
    match call.fields().integer("max_path_length")? {
        None | Some(-1) => Ok(None),
        Some(length) => u8::try_from(length)
            .map(Some)
            .map_err(|_| Error::invalid("max_path_length must be -1, or from 0 to 255")),
    }
}

fn signature(call: &Call<'_>) -> Result<(u32, bool), Error> {
    let fields = call.fields();
    let bits = u32::try_from(fields.count("signature_bits")?.unwrap_or(0)).unwrap_or(u32::MAX);
    Ok((bits, fields.boolean("use_pss")?.unwrap_or_default()))
}

pub(super) fn generate_root(call: &mut Call<'_>) -> Result<Response, Error> {
    let origin = Origin::of(call)?;
    let (subject, names) = names_of(call)?;
    let period = issue::period(call, &Role::default(), None)?;
    let permitted = call.fields().list("permitted_dns_domains")?.unwrap_or_default();
    let purposes = purposes::of_authority(path_length(call)?, permitted);
    let (bits, pss) = signature(call)?;
    let issuer_name = call.fields().text("issuer_name")?.unwrap_or_default();
    let (key, key_id, key_name) = key_for(call, origin)?;
    let scheme = SignatureScheme::for_key(key.kind(), bits, pss).map_err(unusable)?;
    let public = key.public().map_err(|error| damaged(X509Error::Key(error)))?;
    let serial = issue::new_serial(call);
    let name = subject.name()?;
    let issuer = Issuer {
        name: name.clone(),
        key: &key,
        scheme,
        key_id: x509::key_id(public.spki()).map_err(damaged)?,
    };
    let template = Template {
        serial: &serial,
        subject: name,
        names: &names,
        not_before: period.not_before,
        not_after: period.not_after,
        public_key: public.spki(),
        subject_key_id: None,
        purposes: &purposes,
        urls: &AccessUrls::default(),
        extra: Vec::new(),
    };
    let der = x509::certificate(template, &issuer).map_err(unusable)?;
    let made = ReadCertificate::from_der(&der).map_err(damaged)?;
    let (record, _) = store::add_issuer(call, &made, &issuer_name)?;
    store::relink(call)?;
    let format = Format::of(call)?;
    let mut data = issue::shown(format, &made, made.der(), &[]);
    data.remove("ca_chain");
    if origin == Origin::Exported {
        issue::add_private_key(&mut data, call, format, &key, &made, &[])?;
    }
    data.extend([
        ("issuer_id".to_owned(), Value::from(record.id)),
        ("issuer_name".to_owned(), issuer_name.into()),
        ("key_id".to_owned(), key_id.into()),
        ("key_name".to_owned(), key_name.into()),
    ]);
    let mut response = object(Value::Object(data));
    response.warnings = period.warnings;
    with_url_warning(call, response)
}

fn with_url_warning(call: &mut Call<'_>, response: Response) -> Result<Response, Error> {
    Ok(if settings::has_urls(call)? { response } else { response.with_warning(NO_URLS) })
}

pub(super) fn delete_root(call: &mut Call<'_>) -> Result<Response, Error> {
    for issuer in store::issuers(call)? {
        store::remove_issuer(call, &issuer.id)?;
    }
    for key in store::keys(call)? {
        store::remove_key(call, &key.id)?;
    }
    settings::set_defaults(call, &settings::Defaults::default())?;
    Ok(Response::default().with_warning(
        "DELETE /root deletes all keys and issuers; prefer the new DELETE /key/:key_ref and DELETE \
         /issuer/:issuer_ref for finer granularity, unless removal of all keys and issuers is desired.",
    ))
}

pub(super) fn replace_root(call: &mut Call<'_>) -> Result<Response, Error> {
    let reference = call.fields().text("default")?.filter(|text| !text.is_empty());
    let issuer = store::find_issuer(call, reference.as_deref().unwrap_or("next"))?;
    let mut defaults = settings::defaults(call)?;
    defaults.issuer = issuer.id;
    settings::set_defaults(call, &defaults)?;
    settings::read_default_issuer(call)
}

pub(super) fn generate_intermediate(call: &mut Call<'_>) -> Result<Response, Error> {
    let origin = Origin::of(call)?;
    let (key, key_id, _) = key_for(call, origin)?;
    request_for(call, &key, &key_id, origin == Origin::Exported)
}

/// A request for a further certificate of a key that this mount has, to be signed by another authority.
pub(super) fn cross_sign(call: &mut Call<'_>) -> Result<Response, Error> {
    let reference = call.fields().text("key_ref")?.unwrap_or_default();
    let record = store::find_key(call, &reference)?;
    let key = store::open_key(call, &record)?;
    request_for(call, &key, &record.id, false)
}

fn request_for(
    call: &mut Call<'_>,
    key: &PrivateKey,
    key_id: &str,
    is_shown: bool,
) -> Result<Response, Error> {
    let (subject, names) = names_of(call)?;
    let (bits, pss) = signature(call)?;
    let scheme = SignatureScheme::for_key(key.kind(), bits, pss).map_err(unusable)?;
    let asks_for_constraints = call.fields().boolean("add_basic_constraints")?.unwrap_or_default();
    let purposes =
        Purposes { constraints: asks_for_constraints.then_some((true, None)), ..Purposes::default() };
    let der = x509::request(key, scheme, subject.name()?, &names, &purposes).map_err(unusable)?;
    let format = Format::of(call)?;
    let csr = match format {
        Format::Der => strongroom_crypto::token::encode_base64(&der),
        Format::Pem | Format::PemBundle => pem::encode("CERTIFICATE REQUEST", &der).trim_end().to_owned(),
    };
    let mut data = Map::from_iter([("key_id".to_owned(), Value::from(key_id))]);
    if is_shown {
        let text = format.private_key(call, key)?;
        let csr = if format == Format::PemBundle { format!("{text}\n{csr}") } else { csr };
        data.extend([
            ("csr".to_owned(), Value::from(csr)),
            ("private_key".to_owned(), text.into()),
            ("private_key_type".to_owned(), issue::key_type(key.kind()).into()),
        ]);
    } else {
        data.insert("csr".to_owned(), csr.into());
    }
    with_url_warning(call, object(Value::Object(data)))
}

/// The authority that signs for others below it.
fn signing_authority(call: &mut Call<'_>) -> Result<Authority, Error> {
    let reference = match call.capture("issuer") {
        "" => call.fields().text("issuer_ref")?.unwrap_or_default(),
        named => named.to_owned(),
    };
    issue::issuing_authority(call, &Role { issuer_ref: reference, ..Role::default() })
}

pub(super) fn sign_intermediate(call: &mut Call<'_>) -> Result<Response, Error> {
    let authority = signing_authority(call)?;
    let request = issue::csr(call)?;
    let fields = call.fields();
    let length = match (path_length(call)?, authority.certificate.constraints().1) {
        (_, Some(0)) => {
            return Err(Error::invalid("the issuer's path length is 0: it may not sign other authorities"));
        }
        (asked, Some(own)) => Some(asked.unwrap_or(u8::MAX).min(own - 1)),
        (asked, None) => asked,
    };
    let permitted = fields.list("permitted_dns_domains")?.unwrap_or_default();
    let mut purposes = purposes::of_authority(length, permitted);
    let uses_request = fields.boolean("use_csr_values")?.unwrap_or_default();
    let (subject, names) = match uses_request {
        true => (Subject::default(), request.names().map_err(unusable)?),
        false => names_of(call)?,
    };
    if !uses_request {
        purposes.key_usage |= purposes::key_usages(&fields.list("key_usage")?.unwrap_or_default())?;
    }
    let (bits, use_pss) = signature(call)?;
    // An authority may outlive its issuer: whoever checks a chain sees to its times.
    let mut period = issue::period(call, &Role::default(), None)?;
    let enforces = fields.boolean("enforce_leaf_not_after_behavior")?.unwrap_or_default();
    if enforces {
        period = issue::period(call, &Role::default(), Some(&authority))?;
    } else if period.not_after > authority.certificate.not_after() {
        period.warnings.push(
            "The expiration time for the signed certificate is after the CA's expiration time. If the new certificate \
             is not treated as a root, validation paths with the certificate past the issuing CA's expiration time \
             will fail."
                .to_owned(),
        );
    }
    let warnings = std::mem::take(&mut period.warnings);
    let urls = settings::urls_of(call, &authority.record)?;
    let serial = issue::new_serial(call);
    let template = Template {
        serial: &serial,
        subject: if uses_request { request.subject().clone() } else { subject.name()? },
        names: &names,
        not_before: period.not_before,
        not_after: period.not_after,
        public_key: request.public_key().spki(),
        subject_key_id: skid(call)?,
        purposes: &purposes,
        urls: &urls,
        extra: Vec::new(),
    };
    let issuer = authority.issuer(bits, use_pss)?;
    let made = x509::certificate(template, &issuer)
        .and_then(|der| ReadCertificate::from_der(&der))
        .map_err(unusable)?;
    store::put_certificate(call, &made)?;
    let format = Format::of(call)?;
    let mut chain = vec![made.der().to_vec()];
    chain.extend(store::chain_of(call, &authority.record)?);
    let mut data = issue::shown(format, &made, &authority.record.der, &chain);
    if format == Format::PemBundle {
        let texts: Vec<_> = chain.iter().map(|der| format.certificate(der)).collect();
        data.insert("certificate".to_owned(), texts.join("\n").into());
    }
    let mut response = object(Value::Object(data));
    response.warnings = warnings;
    with_url_warning(call, response)
}

/// A subject key identifier of one's own, in hexadecimal digits.
fn skid(call: &Call<'_>) -> Result<Option<Vec<u8>>, Error> {
    let Some(text) = call.fields().text("skid")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | ' ')).collect();
    hex::decode(digits).map(Some).map_err(|_| Error::invalid("cannot parse requested SKID value as hex"))
}

/// Signs a self-signed certificate as it is: what a root's successor needs.
pub(super) fn sign_self_issued(call: &mut Call<'_>) -> Result<Response, Error> {
    let authority = signing_authority(call)?;
    let text = call.fields().required_text("certificate")?;
    let der = pem::decode_one(&text, "CERTIFICATE")
        .ok_or_else(|| Error::invalid("the certificate is no certificate in PEM"))?;
    let given = ReadCertificate::from_der(&der).map_err(unusable)?;
    if !given.constraints().0 {
        return Err(Error::invalid("given certificate is not a CA certificate"));
    }
    if !given.is_signed_by(&given) {
        return Err(Error::invalid("given certificate is not self-signed"));
    }
    let urls = settings::urls_of(call, &authority.record)?;
    let signed = x509::sign_again(&given, &authority.issuer(0, false)?, &urls).map_err(unusable)?;
    Ok(object(json!({
        "certificate": Format::Pem.certificate(&signed),
        "issuing_ca": Format::Pem.certificate(&authority.record.der),
    })))
}

/// What a bundle brought.
#[derive(Default)]
struct Imported {
    issuers: Vec<String>,
    keys: Vec<String>,
    known_issuers: Vec<String>,
    known_keys: Vec<String>,
    mapping: Map<String, Value>,
}

pub(super) fn set_signed(call: &mut Call<'_>) -> Result<Response, Error> {
    let text = call.fields().required_text("certificate")?;
    import(call, &text, Keys::Refused)
}

pub(super) fn import_bundle(call: &mut Call<'_>) -> Result<Response, Error> {
    let text = call.fields().required_text("pem_bundle")?;
    let keys = if call.path.as_str().ends_with("/cert") { Keys::Refused } else { Keys::Taken };
    import(call, &text, keys)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Taken,
    Refused,
}

fn import(call: &mut Call<'_>, text: &str, keys: Keys) -> Result<Response, Error> {
    let blocks =
        pem::decode_all(text).ok_or_else(|| Error::invalid("no PEM blocks were found in the bundle"))?;
    let mut imported = Imported::default();
    for (label, der) in &blocks {
        if label.ends_with("PRIVATE KEY") {
            if keys == Keys::Refused {
                return Err(Error::invalid(
                    "private keys found in the PEM bundle but not allowed by the path",
                ));
            }
            let key = PrivateKey::from_der(der)
                .map_err(|error| Error::invalid(format!("a private key: {error}")))?;
            let (id, is_new) = store::add_key(call, &key, "")?;
            if is_new { &mut imported.keys } else { &mut imported.known_keys }.push(id);
        }
    }
    for (label, der) in &blocks {
        if label == "CERTIFICATE" {
            let certificate = ReadCertificate::from_der(der)
                .map_err(|error| Error::invalid(format!("a certificate cannot be parsed: {error}")))?;
            if !certificate.constraints().0 {
                return Err(Error::invalid(format!(
                    "the certificate {} is not a CA certificate",
                    store::serial_text(certificate.serial())
                )));
            }
            let (record, is_new) = store::add_issuer(call, &certificate, "")?;
            if is_new { &mut imported.issuers } else { &mut imported.known_issuers }.push(record.id.clone());
            imported.mapping.insert(record.id, record.key_id.into());
        }
    }
    store::relink(call)?;
    let or_null = |ids: Vec<String>| if ids.is_empty() { Value::Null } else { ids.into() };
    let response = object(json!({
        "imported_issuers": or_null(imported.issuers),
        "imported_keys": or_null(imported.keys),
        "existing_issuers": or_null(imported.known_issuers),
        "existing_keys": or_null(imported.known_keys),
        "mapping": imported.mapping,
    }));
    with_url_warning(call, response)
}
