//! `issue/`, `sign/` and `sign-verbatim/`: certificates for others.

use super::names::{self, Asking, Subject};
use super::roles::{self, Role};
use super::store::{self, Authority, DEFAULT, LeafNotAfter, damaged, serial_text, unusable};
use super::{purposes, settings};
use crate::answer::object;
use crate::pem;
use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_crypto::keypair::{KeyKind, PrivateKey, PublicKey};
use strongroom_crypto::token::encode_base64;
use strongroom_crypto::x509::{
    self, AlternativeNames, Purposes, ReadCertificate, ReadRequest, Template, X509Error,
};
use strongroom_kernel::{Call, Error, LeaseGrant, Response};
use strongroom_secret::{Timestamp, format_duration};
use x509_cert::ext::Extension;

pub(super) const SERIAL_BYTES: usize = 20;

/// How an answer writes certificates and keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Pem,
    Der,
    PemBundle,
}

impl Format {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Error> {
        match call.fields().text("format")?.as_deref() {
            None | Some("pem" | "") => Ok(Self::Pem),
            Some("der") => Ok(Self::Der),
            Some("pem_bundle") => Ok(Self::PemBundle),
            Some(_) => Err(Error::invalid(
                "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
            )),
        }
    }

    /// A certificate as it stands in an answer.
    pub(super) fn certificate(self, der: &[u8]) -> String {
        match self {
            Self::Der => encode_base64(der),
            Self::Pem | Self::PemBundle => pem::encode("CERTIFICATE", der).trim_end().to_owned(),
        }
    }

    /// A private key, in its older form or, if the request says so, in PKCS #8.
    pub(super) fn private_key(self, call: &Call<'_>, key: &PrivateKey) -> Result<String, Error> {
        let broken = |error| damaged(X509Error::Key(error));
        let is_pkcs8 = match call.fields().text("private_key_format")?.as_deref() {
            None | Some("der" | "pem" | "") => false,
            Some("pkcs8") => true,
            Some(_) => return Err(Error::invalid("private_key_format must be der or pkcs8")),
        };
        let traditional = if is_pkcs8 { None } else { key.to_traditional_der().map_err(broken)? };
        let label = match (&traditional, key.kind()) {
            (None, _) => "PRIVATE KEY",
            (Some(_), KeyKind::Rsa(_)) => "RSA PRIVATE KEY",
            (Some(_), _) => "EC PRIVATE KEY",
        };
        let der = match traditional {
            Some(der) => der,
            None => key.to_pkcs8().map_err(broken)?,
        };
        Ok(match self {
            Self::Der => encode_base64(der.expose()),
            Self::Pem | Self::PemBundle => pem::encode(label, der.expose()).trim_end().to_owned(),
        })
    }
}

/// The type of a key as answers name it.
pub(super) fn key_type(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Rsa(_) => "rsa",
        KeyKind::Ed25519 => "ed25519",
        _ => "ec",
    }
}

/// The kind of key that a type and its bits name.
pub(super) fn key_kind(key_type: &str, bits: u32) -> Result<KeyKind, Error> {
    match (key_type, bits) {
        ("rsa", 0) => Ok(KeyKind::Rsa(2048)),
        ("rsa", bits @ (2048 | 3072 | 4096 | 8192)) => Ok(KeyKind::Rsa(bits)),
        ("ec", 0 | 256) => Ok(KeyKind::EcdsaP256),
        ("ec", 384) => Ok(KeyKind::EcdsaP384),
        ("ec", 521) => Ok(KeyKind::EcdsaP521),
        ("ed25519", _) => Ok(KeyKind::Ed25519),
        ("any", _) => {
            Err(Error::invalid("role key type \"any\" not allowed for issuing certificates, only signing"))
        }
        _ => Err(Error::invalid(
            "unsupported key: rsa of 2048 to 8192 bits, ec of 256, 384 or 521, or ed25519",
        )),
    }
}

/// A random positive number of 20 bytes (RFC 5280, section 4.1.2.2).
pub(super) fn new_serial(call: &Call<'_>) -> [u8; SERIAL_BYTES] {
    let mut serial = [0; SERIAL_BYTES];
    call.entropy().fill(&mut serial);
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f).max(1);
    }
    serial
}

/// The lifetimes of the mount: its default and its maximum.
fn mount_ttls(call: &Call<'_>) -> (Duration, Duration) {
    let or = |own: Duration, server: Duration| if own.is_zero() { server } else { own };
    let (config, server) = (&call.mount.record.config, call.kernel.settings());
    (or(config.default_lease_ttl, server.default_lease_ttl), or(config.max_lease_ttl, server.max_lease_ttl))
}

/// When a certificate begins and ends, and what is to be said of that.
pub(super) struct Period {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub warnings: Vec<String>,
}

/// From the request, the role and the mount; bounded by the issuer unless there is none.
pub(super) fn period(call: &Call<'_>, role: &Role, issuer: Option<&Authority>) -> Result<Period, Error> {
    let fields = call.fields();
    let now = Timestamp::from_seconds(call.now.seconds());
    let mut warnings = Vec::new();
    let (ttl_default, mount_max) = mount_ttls(call);
    let not_after = match fields.text("not_after")?.filter(|text| !text.is_empty()) {
        Some(text) => Some(text),
        None => Some(role.not_after.clone()).filter(|text| !text.is_empty()),
    };
    let wished = fields.duration("ttl")?.filter(|ttl| !ttl.is_zero());
    if not_after.is_some() && wished.is_some() {
        return Err(Error::invalid(
            "either ttl or not_after should be provided. Both should not be provided in the same request",
        ));
    }
    let mut not_after = match not_after {
        Some(text) => Timestamp::parse_rfc3339(&text)
            .ok_or_else(|| Error::invalid("not_after must be a time in RFC 3339, as 2026-01-31T12:00:00Z"))?,
        None => {
            let max = if role.max_ttl.is_zero() { mount_max } else { role.max_ttl };
            let own = Some(role.ttl).filter(|ttl| !ttl.is_zero());
            let ttl = wished.or(own).unwrap_or(ttl_default);
            if ttl > max && wished.or(own).is_some() {
                warnings.push(format!(
                    "TTL {:?} is longer than permitted maxTTL {:?}, so maxTTL is being used",
                    format_duration(ttl),
                    format_duration(max)
                ));
            }
            now.plus(ttl.min(max))
        }
    };
    let not_before = match fields.duration("not_before_duration")? {
        Some(duration) => now.minus(duration),
        None => now.minus(role.not_before_duration),
    };
    if let Some(issuer) = issuer {
        let end = issuer.certificate.not_after();
        match issuer.record.leaf_not_after {
            LeafNotAfter::Err if not_after > end => {
                return Err(Error::invalid(format!(
                    "cannot satisfy request, as TTL would result in notAfter of {not_after} that is beyond the \
                     expiration of the CA certificate at {end}"
                )));
            }
            LeafNotAfter::Truncate => not_after = not_after.min(end),
            LeafNotAfter::Err | LeafNotAfter::Permit => {}
        }
    }
    if not_after <= not_before {
        return Err(Error::invalid("the certificate would end before it begins"));
    }
    Ok(Period { not_before, not_after, warnings })
}

/// A certificate that is to be made for somebody.
pub(super) struct Order<'o> {
    pub subject: Subject,
    pub names: AlternativeNames,
    pub purposes: Purposes,
    pub public_key: &'o [u8],
    pub period: Period,
    pub extra: Vec<Extension>,
    pub signature_bits: u32,
    pub use_pss: bool,
}

/// Makes it, and keeps it unless told not to.
pub(super) fn make(
    call: &mut Call<'_>,
    authority: &Authority,
    order: Order<'_>,
    is_kept: bool,
) -> Result<ReadCertificate, Error> {
    let urls = settings::urls_of(call, &authority.record)?;
    let serial = new_serial(call);
    let template = Template {
        serial: &serial,
        subject: order.subject.name()?,
        names: &order.names,
        not_before: order.period.not_before,
        not_after: order.period.not_after,
        public_key: order.public_key,
        subject_key_id: None,
        purposes: &order.purposes,
        urls: &urls,
        extra: order.extra,
    };
    let issuer = authority.issuer(order.signature_bits, order.use_pss)?;
    let der = x509::certificate(template, &issuer).map_err(unusable)?;
    let made = ReadCertificate::from_der(&der).map_err(damaged)?;
    if is_kept {
        store::put_certificate(call, &made)?;
    }
    Ok(made)
}

/// The issuer that the path names, or the role.
pub(super) fn issuing_authority(call: &mut Call<'_>, role: &Role) -> Result<Authority, Error> {
    let reference = match call.capture("issuer") {
        "" => role.issuer_ref.clone(),
        named => named.to_owned(),
    };
    let record = store::find_issuer(call, &reference)?;
    if !record.usage.issuing {
        return Err(Error::invalid(format!(
            "the issuer {} may not issue certificates: its usage has no issuing-certificates",
            record.id
        )));
    }
    let authority = store::authority(call, record)?;
    if authority.certificate.not_after() < call.now {
        return Err(Error::invalid("the issuer's certificate has expired"));
    }
    Ok(authority)
}

fn role_of(call: &mut Call<'_>) -> Result<Role, Error> {
    let name = call.capture("role").to_owned();
    roles::find(call, &name)?.ok_or_else(|| Error::invalid(format!("unknown role: {name}")))
}

/// The signature of RSA issuers follows the role; of others, their curve.
pub(super) fn signature_bits(role: &Role, authority: &Authority) -> u32 {
    if authority.key_kind().is_rsa() { role.signature_bits } else { 0 }
}

pub(super) fn issue(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = role_of(call)?;
    let authority = issuing_authority(call, &role)?;
    let (kind, wished_type, wished_bits) = (
        key_kind(&role.key_type, role.key_bits),
        call.fields().text("key_type")?,
        call.fields().count("key_bits")?,
    );
    let kind = match (kind, wished_type) {
        // A role for any key leaves the choice to the request.
        (Err(_), Some(wished)) if role.key_type == "any" => {
            let bits = u32::try_from(wished_bits.unwrap_or(0)).unwrap_or(u32::MAX);
            key_kind(&wished, bits)?
        }
        (kind, _) => kind?,
    };
    let fields = call.fields();
    let common_name = fields.text("common_name")?.unwrap_or_default();
    let mut names = names::requested(fields)?;
    let subject = subject_of(call, &role, common_name, &mut names)?;
    let period = period(call, &role, Some(&authority))?;
    let key = PrivateKey::generate(kind, call.entropy()).map_err(|error| damaged(X509Error::Key(error)))?;
    let public = key.public().map_err(|error| damaged(X509Error::Key(error)))?;
    let order = Order {
        subject,
        names,
        purposes: purposes::of_role(&role)?,
        public_key: public.spki(),
        period,
        extra: Vec::new(),
        signature_bits: signature_bits(&role, &authority),
        use_pss: role.use_pss,
    };
    finish(call, &role, &authority, order, Some(&key))
}

/// The subject of a role's certificate, checked with all its names.
fn subject_of(
    call: &Call<'_>,
    role: &Role,
    common_name: String,
    names: &mut AlternativeNames,
) -> Result<Subject, Error> {
    let fields = call.fields();
    if common_name.is_empty() && role.require_cn {
        return Err(Error::invalid(
            "the common_name field is required, or must be provided in a CSR with \"use_csr_common_name\" set to true, \
             unless \"require_cn\" is set to false",
        ));
    }
    if !fields.boolean("exclude_cn_from_sans")?.unwrap_or_default()
        && (common_name.contains('@') || names::is_host_name(&common_name))
    {
        names::add(names, common_name.clone());
    }
    let asking = Asking { role, call };
    asking.check(&common_name, names)?;
    let mut subject = Subject { common_name, ..Subject::of_role(role) };
    subject.serial_number = fields.text("serial_number")?.unwrap_or_default();
    asking.check_serial_number(&subject.serial_number)?;
    subject.user_ids = fields.list("user_ids")?.unwrap_or_default();
    asking.check_user_ids(&subject.user_ids)?;
    Ok(subject)
}

/// Reads the request's CSR.
pub(super) fn csr(call: &Call<'_>) -> Result<ReadRequest, Error> {
    let text = call.fields().required_text("csr").map_err(|_| Error::invalid("\"csr\" is empty"))?;
    let blocks = pem::decode_all(&text);
    let der = blocks
        .into_iter()
        .flatten()
        .find(|(label, _)| label == "CERTIFICATE REQUEST" || label == "NEW CERTIFICATE REQUEST")
        .map(|(_, der)| der)
        .ok_or_else(|| Error::invalid("csr contains no PEM-encoded certificate request"))?;
    ReadRequest::from_der(&der).map_err(|error| match error {
        X509Error::Algorithm => Error::invalid("the certificate request's signature does not match its key"),
        error => Error::invalid(format!("the certificate request cannot be parsed: {error}")),
    })
}

pub(super) fn sign(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = role_of(call)?;
    let authority = issuing_authority(call, &role)?;
    let request = csr(call)?;
    check_key(&role, request.public_key())?;
    let fields = call.fields();
    let wished = fields.text("common_name")?.unwrap_or_default();
    let in_request = names::common_name_of(request.subject());
    let mut warnings = Vec::new();
    if role.use_csr_common_name && !wished.is_empty() {
        warnings.push(
            "the common_name field was provided but the role is set with \"use_csr_common_name\" set to true"
                .to_owned(),
        );
    }
    let common_name = match role.use_csr_common_name && !in_request.is_empty() {
        true => in_request,
        false => wished,
    };
    let mut names = match role.use_csr_sans {
        true => request.names().map_err(unusable)?,
        false => names::requested(fields)?,
    };
    let subject = subject_of(call, &role, common_name, &mut names)?;
    let mut period = period(call, &role, Some(&authority))?;
    period.warnings.extend(warnings);
    let order = Order {
        subject,
        names,
        purposes: purposes::of_role(&role)?,
        public_key: request.public_key().spki(),
        period,
        extra: Vec::new(),
        signature_bits: signature_bits(&role, &authority),
        use_pss: role.use_pss,
    };
    finish(call, &role, &authority, order, None)
}

/// The key of a request is what the role wants.
pub(super) fn check_key(role: &Role, key: &PublicKey) -> Result<(), Error> {
    if role.key_type == "any" {
        return Ok(());
    }
    let given = key.kind();
    let wanted = key_kind(&role.key_type, role.key_bits)?;
    let fits = match (given, wanted) {
        (KeyKind::Rsa(given), KeyKind::Rsa(wanted)) => given >= wanted,
        (given, wanted) => given == wanted,
    };
    if !fits {
        return Err(Error::invalid(format!(
            "role requires a key of type {} ({wanted:?}), the request has {given:?}",
            role.key_type
        )));
    }
    Ok(())
}

pub(super) fn sign_verbatim(call: &mut Call<'_>) -> Result<Response, Error> {
    let named = call.capture("role").to_owned();
    let mut role = match named.as_str() {
        "" => Role::default(),
        name => roles::find(call, name)?.unwrap_or_default(),
    };
    // A role gives lifetimes, leases and the issuer; what stands in the request is taken as it is.
    if named.is_empty() {
        role.generate_lease = false;
        DEFAULT.clone_into(&mut role.issuer_ref);
    }
    let authority = issuing_authority(call, &role)?;
    let request = csr(call)?;
    let fields = call.fields();
    let mut purposes = Purposes {
        key_usage: purposes::key_usages(&match fields.list("key_usage")? {
            Some(usages) => usages,
            None => Role::default().key_usage,
        })?,
        extended: purposes::extended_usages(&fields.list("ext_key_usage")?.unwrap_or_default())?,
        ..Purposes::default()
    };
    purposes.extended.extend(purposes::oids(&fields.list("ext_key_usage_oids")?.unwrap_or_default())?);
    let period = period(call, &role, Some(&authority))?;
    let subject = request.subject();
    let subject = Subject {
        common_name: names::common_name_of(subject),
        serial_number: names::serial_number_of(subject),
        user_ids: names::user_ids_of(subject),
        ..Subject::default()
    };
    // An authority is made by sign-intermediate alone, and who signed a certificate is not for its owner to say.
    let is_own = |extension: &&Extension| !RESERVED.contains(&extension.extn_id.to_string().as_str());
    let order = Order {
        subject,
        names: AlternativeNames::default(),
        purposes,
        public_key: request.public_key().spki(),
        period,
        extra: request.extensions().iter().filter(is_own).cloned().collect(),
        signature_bits: u32::try_from(fields.count("signature_bits")?.unwrap_or(0)).unwrap_or(0),
        use_pss: fields.boolean("use_pss")?.unwrap_or_default(),
    };
    let verbatim = request.subject().clone();
    finish_verbatim(call, &role, &authority, order, verbatim)
}

/// Basic constraints, name constraints, authority key identifier, and the addresses of the issuer.
const RESERVED: [&str; 5] = ["2.5.29.19", "2.5.29.30", "2.5.29.35", "1.3.6.1.5.5.7.1.1", "2.5.29.31"];

fn finish_verbatim(
    call: &mut Call<'_>,
    role: &Role,
    authority: &Authority,
    mut order: Order<'_>,
    subject: x509_cert::name::Name,
) -> Result<Response, Error> {
    let urls = settings::urls_of(call, &authority.record)?;
    let serial = new_serial(call);
    let warnings = std::mem::take(&mut order.period.warnings);
    let template = Template {
        serial: &serial,
        subject,
        names: &order.names,
        not_before: order.period.not_before,
        not_after: order.period.not_after,
        public_key: order.public_key,
        subject_key_id: None,
        purposes: &order.purposes,
        urls: &urls,
        extra: order.extra,
    };
    let bits = if authority.key_kind().is_rsa() { order.signature_bits } else { 0 };
    let issuer = authority.issuer(bits, order.use_pss)?;
    let der = x509::certificate(template, &issuer).map_err(unusable)?;
    let made = ReadCertificate::from_der(&der).map_err(damaged)?;
    if !role.no_store {
        store::put_certificate(call, &made)?;
    }
    answer(call, role, authority, &made, None, warnings)
}

fn finish(
    call: &mut Call<'_>,
    role: &Role,
    authority: &Authority,
    mut order: Order<'_>,
    key: Option<&PrivateKey>,
) -> Result<Response, Error> {
    let warnings = std::mem::take(&mut order.period.warnings);
    let made = make(call, authority, order, !role.no_store)?;
    answer(call, role, authority, &made, key, warnings)
}

fn answer(
    call: &mut Call<'_>,
    role: &Role,
    authority: &Authority,
    made: &ReadCertificate,
    key: Option<&PrivateKey>,
    warnings: Vec<String>,
) -> Result<Response, Error> {
    let format = Format::of(call)?;
    let chain = store::chain_of(call, &authority.record)?;
    let mut data = shown(format, made, &authority.record.der, &chain);
    if let Some(key) = key {
        add_private_key(&mut data, call, format, key, made, &chain)?;
    } else if format == Format::PemBundle {
        data.insert("certificate".into(), bundle(None, made, &chain).into());
    }
    let mut response = object(Value::Object(data));
    response.warnings = warnings;
    if role.generate_lease {
        response.lease = Some(LeaseGrant {
            ttl: Some(made.not_after().since(call.now)),
            ttl_max: None,
            renewable: false,
            internal: json!({ "serial_number": serial_text(made.serial()) }),
        });
    }
    Ok(response)
}

/// What every answer says of a certificate.
pub(super) fn shown(
    format: Format,
    made: &ReadCertificate,
    issuing: &[u8],
    chain: &[Vec<u8>],
) -> Map<String, Value> {
    let chain: Vec<_> = chain.iter().map(|der| format.certificate(der)).collect();
    Map::from_iter([
        ("certificate".to_owned(), Value::from(format.certificate(made.der()))),
        ("issuing_ca".to_owned(), format.certificate(issuing).into()),
        ("ca_chain".to_owned(), chain.into()),
        ("serial_number".to_owned(), serial_text(made.serial()).into()),
        ("expiration".to_owned(), made.not_after().seconds().into()),
    ])
}

/// Adds the private key; in a bundle it stands before the certificate.
pub(super) fn add_private_key(
    data: &mut Map<String, Value>,
    call: &Call<'_>,
    format: Format,
    key: &PrivateKey,
    made: &ReadCertificate,
    chain: &[Vec<u8>],
) -> Result<(), Error> {
    let text = format.private_key(call, key)?;
    if format == Format::PemBundle {
        data.insert("certificate".into(), bundle(Some(&text), made, chain).into());
    }
    data.insert("private_key".into(), text.into());
    data.insert("private_key_type".into(), key_type(key.kind()).into());
    Ok(())
}

/// Key, certificate and chain in one text; roots are left out, for who has them need not be told.
fn bundle(key: Option<&str>, made: &ReadCertificate, chain: &[Vec<u8>]) -> String {
    let mut texts: Vec<String> = key.map(str::to_owned).into_iter().collect();
    texts.push(Format::Pem.certificate(made.der()));
    texts.extend(chain.iter().filter(|der| *der != made.der()).map(|der| Format::Pem.certificate(der)));
    texts.join("\n")
}
