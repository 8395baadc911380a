//! Revoking certificates, and the lists of what is revoked.

use super::certificates::raw;
use super::issuers;
use super::settings::{self, CrlSettings};
use super::store::{self, DEFAULT, IssuerRecord, LISTS, RevokedRecord, damaged, parse_serial, unusable};
use crate::answer::object;
use crate::pem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_crypto::keypair::PrivateKey;
use strongroom_crypto::x509::{self, ReadCertificate, RevocationList, Revoked};
use strongroom_kernel::{Call, Error, Key, LeaseRecord, Record, Response};
use strongroom_secret::Timestamp;

const DER_TYPE: &str = "application/pkix-crl";
const PEM_TYPE: &str = "application/x-pem-file";

/// The lists of one issuer, as they were last made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ListRecord {
    /// Of the newest list, complete or delta.
    number: u64,
    /// Of the newest complete list.
    complete_number: u64,
    made: Timestamp,
    ends: Timestamp,
    #[serde(with = "hex")]
    complete: Vec<u8>,
    delta_made: Timestamp,
    #[serde(with = "hex")]
    delta: Vec<u8>,
}

impl Record for ListRecord {}

fn list_key(call: &Call<'_>, issuer: &str) -> Key {
    call.tx.name_key(&call.table(LISTS), issuer)
}

// Revoking.

pub(super) fn revoke(call: &mut Call<'_>) -> Result<Response, Error> {
    let certificate = certificate_asked(call)?;
    revoke_certificate(call, &certificate)
}

/// Revokes for whoever has the certificate's private key, and shows it.
pub(super) fn revoke_with_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let text = call.fields().required_text("private_key")?;
    let certificate = certificate_asked(call)?;
    let key = pem::decode_all(&text)
        .into_iter()
        .flatten()
        .find(|(label, _)| label.ends_with("PRIVATE KEY"))
        .and_then(|(_, der)| PrivateKey::from_der(&der).ok())
        .ok_or_else(|| Error::invalid("private_key is no private key in PEM"))?;
    let public = key.public().map_err(|error| Error::invalid(error.to_string()))?;
    if public != certificate.public_key().map_err(unusable)? {
        return Err(Error::invalid("the private key does not belong to the certificate"));
    }
    revoke_certificate(call, &certificate)
}

/// The certificate that a request names by its number, or brings.
fn certificate_asked(call: &mut Call<'_>) -> Result<ReadCertificate, Error> {
    let fields = call.fields();
    let serial = fields.text("serial_number")?.filter(|text| !text.is_empty());
    let certificate = fields.text("certificate")?.filter(|text| !text.is_empty());
    match (serial, certificate) {
        (Some(serial), None) => {
            let number = parse_serial(&serial)?;
            store::certificate(call, &number)?
                .ok_or_else(|| Error::invalid(format!("certificate with serial {serial} not found.")))
        }
        (None, Some(text)) => {
            let der = pem::decode_one(&text, "CERTIFICATE").ok_or_else(|| {
                Error::invalid("certificate field did not contain a PEM-encoded certificate")
            })?;
            ReadCertificate::from_der(&der).map_err(unusable)
        }
        (None, None) => Err(Error::invalid("The serial number or certificate to revoke must be provided.")),
        (Some(_), Some(_)) => {
            Err(Error::invalid("Must provide either the certificate or the serial to revoke; not both."))
        }
    }
}

pub(super) fn revoke_certificate(
    call: &mut Call<'_>,
    certificate: &ReadCertificate,
) -> Result<Response, Error> {
    let serial = certificate.serial().to_vec();
    let record = match store::revocation(call, &serial)? {
        Some(known) => known,
        None => {
            let is_over = certificate.not_after() < call.now;
            if is_over && !settings::crl(call)?.allow_expired_cert_revocation {
                return Ok(Response::default().with_warning(format!(
                    "certificate with serial {} already expired; refusing to add to CRL",
                    store::serial_text(&serial)
                )));
            }
            let issuer = issuer_of(call, certificate)?
                .ok_or_else(|| Error::invalid("the certificate was not made by an issuer of this mount"))?;
            if issuer.der == certificate.der() {
                return Err(Error::invalid(format!(
                    "adding issuer (id: {}) to its own CRL is not allowed",
                    issuer.id
                )));
            }
            let issuers = store::issuers(call)?;
            if let Some(own) = issuers.iter().find(|own| own.der == certificate.der()) {
                return Err(Error::invalid(format!(
                    "the certificate is the issuer {}: use issuer/{}/revoke",
                    own.id, own.id
                )));
            }
            record_revocation(call, certificate, &issuer)?
        }
    };
    Ok(object(json!({
        "revocation_time": record.at.seconds(),
        "revocation_time_rfc3339": record.at.rfc3339(),
        "state": "revoked",
    })))
}

/// The issuer of the mount that signed a certificate.
pub(super) fn issuer_of(
    call: &mut Call<'_>,
    certificate: &ReadCertificate,
) -> Result<Option<IssuerRecord>, Error> {
    for issuer in store::issuers(call)? {
        let own = ReadCertificate::from_der(&issuer.der).map_err(damaged)?;
        if certificate.is_signed_by(&own) {
            return Ok(Some(issuer));
        }
    }
    Ok(None)
}

fn record_revocation(
    call: &mut Call<'_>,
    certificate: &ReadCertificate,
    issuer: &IssuerRecord,
) -> Result<RevokedRecord, Error> {
    let record = RevokedRecord {
        serial: certificate.serial().to_vec(),
        at: Timestamp::from_seconds(call.now.seconds()),
        expires: certificate.not_after(),
        issuer: issuer.id.clone(),
    };
    // The certificate is kept even if its role keeps none: what is revoked must be known.
    store::put_certificate(call, certificate)?;
    store::put_revocation(call, &record)?;
    let settings = settings::crl(call)?;
    if !settings.auto_rebuild && !settings.disable {
        rebuild(call, issuer, &settings)?;
    }
    Ok(record)
}

/// An issuer that is revoked stands on the list of the one above it, if that is here.
pub(super) fn revoke_issuer(call: &mut Call<'_>, certificate: &ReadCertificate) -> Result<(), Error> {
    match issuer_of(call, certificate)? {
        Some(above) if above.der != certificate.der() => {
            record_revocation(call, certificate, &above).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// A lease's end revokes its certificate.
pub(super) fn end_lease(call: &mut Call<'_>, lease: &LeaseRecord) -> Result<(), Error> {
    let serial = lease.internal.get("serial_number").and_then(Value::as_str).unwrap_or_default();
    let number = parse_serial(serial)?;
    let Some(certificate) = store::certificate(call, &number)? else { return Ok(()) };
    if certificate.not_after() <= call.now || store::revocation(call, &number)?.is_some() {
        return Ok(());
    }
    let Some(issuer) = issuer_of(call, &certificate)? else { return Ok(()) };
    record_revocation(call, &certificate, &issuer).map(|_| ())
}

// Lists.

/// Makes a new complete list of an issuer, and an empty delta to it. None for one that signs no lists.
fn rebuild(
    call: &mut Call<'_>,
    issuer: &IssuerRecord,
    settings: &CrlSettings,
) -> Result<Option<ListRecord>, Error> {
    if issuer.key_id.is_empty() || !issuer.usage.crl_signing {
        return Ok(None);
    }
    let revoked = if settings.disable { Vec::new() } else { revoked_by(call, issuer, Timestamp::EPOCH)? };
    let key = list_key(call, &issuer.id);
    let number = call.tx.record::<ListRecord>(&key)?.map_or(1, |list| list.number + 1);
    let made = Timestamp::from_seconds(call.now.seconds());
    let ends = made.plus(settings.lifetime());
    let authority = store::authority(call, issuer.clone())?;
    let list = |number, base, revoked: &[Revoked]| {
        let list = RevocationList { number, base, this_update: made, next_update: ends, revoked };
        x509::revocation_list(&list, &authority.revocation_issuer()?).map_err(damaged)
    };
    let record = ListRecord {
        number: number + 1,
        complete_number: number,
        made,
        ends,
        complete: list(number, None, &revoked)?,
        delta_made: made,
        delta: list(number + 1, Some(number), &[])?,
    };
    call.tx.put_record(&key, &record)?;
    Ok(Some(record))
}

/// Makes a new delta to the newest complete list.
fn rebuild_delta(
    call: &mut Call<'_>,
    issuer: &IssuerRecord,
    settings: &CrlSettings,
    mut record: ListRecord,
) -> Result<ListRecord, Error> {
    let revoked = revoked_by(call, issuer, record.made)?;
    let made = Timestamp::from_seconds(call.now.seconds());
    let authority = store::authority(call, issuer.clone())?;
    let list = RevocationList {
        number: record.number + 1,
        base: Some(record.complete_number),
        this_update: made,
        next_update: made.plus(settings.delta_interval().max(std::time::Duration::from_secs(60))),
        revoked: &revoked,
    };
    record.delta = x509::revocation_list(&list, &authority.revocation_issuer()?).map_err(damaged)?;
    record.delta_made = made;
    record.number += 1;
    let key = list_key(call, &issuer.id);
    call.tx.put_record(&key, &record)?;
    Ok(record)
}

/// What an issuer's list names: revoked since a time, and not yet over by themselves.
fn revoked_by(call: &mut Call<'_>, issuer: &IssuerRecord, since: Timestamp) -> Result<Vec<Revoked>, Error> {
    let now = call.now;
    Ok(store::revocations(call)?
        .into_iter()
        .filter(|record| record.issuer == issuer.id && record.at >= since && record.expires > now)
        .map(|record| Revoked { serial: record.serial, at: record.at })
        .collect())
}

/// Makes the lists of all issuers anew.
pub(super) fn rebuild_all(call: &mut Call<'_>) -> Result<(), Error> {
    let settings = settings::crl(call)?;
    for issuer in store::issuers(call)? {
        rebuild(call, &issuer, &settings)?;
    }
    Ok(())
}

/// The lists of an issuer, made anew if they are missing or about to end.
fn current(call: &mut Call<'_>, issuer: &IssuerRecord) -> Result<Option<ListRecord>, Error> {
    let settings = settings::crl(call)?;
    let key = list_key(call, &issuer.id);
    let grace = if settings.auto_rebuild { settings.grace() } else { std::time::Duration::ZERO };
    let is_good = |list: &ListRecord| list.ends > call.now.plus(grace);
    match call.tx.record::<ListRecord>(&key)?.filter(is_good) {
        None => rebuild(call, issuer, &settings),
        Some(list)
            if settings.enable_delta && list.delta_made.plus(settings.delta_interval()) <= call.now =>
        {
            rebuild_delta(call, issuer, &settings, list).map(Some)
        }
        Some(list) => Ok(Some(list)),
    }
}

/// Keeps the lists of all issuers current: what the maintenance does for `auto_rebuild`.
pub(super) fn keep_current(call: &mut Call<'_>) -> Result<(), Error> {
    if !settings::crl(call)?.auto_rebuild {
        return Ok(());
    }
    for issuer in store::issuers(call)? {
        current(call, &issuer)?;
    }
    Ok(())
}

pub(super) fn rotate(call: &mut Call<'_>) -> Result<Response, Error> {
    rebuild_all(call)?;
    Ok(object(json!({ "success": true })))
}

pub(super) fn rotate_delta(call: &mut Call<'_>) -> Result<Response, Error> {
    let settings = settings::crl(call)?;
    if !settings.enable_delta {
        return Err(Error::invalid("delta CRLs are disabled: set enable_delta in config/crl"));
    }
    for issuer in store::issuers(call)? {
        let key = list_key(call, &issuer.id);
        if let Some(list) = call.tx.record::<ListRecord>(&key)? {
            rebuild_delta(call, &issuer, &settings, list)?;
        }
    }
    Ok(object(json!({ "success": true })))
}

/// The list that a path names, in DER; None where nobody can make one.
fn named(call: &mut Call<'_>) -> Result<Option<Vec<u8>>, Error> {
    let issuer = match call.capture("issuer") {
        "" => store::find_issuer(call, DEFAULT).ok(),
        _ => Some(issuers::of_path(call)?),
    };
    let Some(issuer) = issuer else { return Ok(None) };
    let is_delta = call.path.as_str().contains("delta");
    Ok(current(call, &issuer)?.map(|list| if is_delta { list.delta } else { list.complete }))
}

pub(super) fn read_der(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(match named(call)? {
        Some(der) => raw(DER_TYPE, der),
        None => Response { status: Some(204), ..raw(DER_TYPE, Vec::new()) },
    })
}

pub(super) fn read_pem(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(match named(call)? {
        Some(der) => raw(PEM_TYPE, pem::encode("X509 CRL", &der).into_bytes()),
        None => Response { status: Some(204), ..raw(PEM_TYPE, Vec::new()) },
    })
}

pub(super) fn read_json(call: &mut Call<'_>) -> Result<Response, Error> {
    let der = named(call)?.ok_or_else(Error::not_found)?;
    let text = pem::encode("X509 CRL", &der);
    Ok(object(
        json!({ "crl": text, "certificate": text, "revocation_time": 0, "revocation_time_rfc3339": "" }),
    ))
}
