//! `certs/`, `cert/`, `ca`, `ca_chain`: certificates as they are kept, in JSON and raw.

use super::issue::Format;
use super::store::{self, DEFAULT, parse_serial};
use super::{issuers, revocation};
use crate::answer::object;
use crate::listing::page;
use crate::pem;
use serde_json::json;
use strongroom_kernel::{Call, Data, Error, Response};

pub(super) const DER_TYPE: &str = "application/pkix-cert";
pub(super) const PEM_TYPE: &str = "application/pem-certificate-chain";

/// An answer of these bytes alone.
pub(super) fn raw(content_type: &'static str, body: Vec<u8>) -> Response {
    Response { data: Data::Bytes { content_type, body }, ..Response::default() }
}

/// What a raw endpoint says where there is nothing yet.
fn nothing(content_type: &'static str) -> Response {
    Response { status: Some(204), ..raw(content_type, Vec::new()) }
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let serials = store::serials(call)?;
    page(call, serials)
}

pub(super) fn list_revoked(call: &mut Call<'_>) -> Result<Response, Error> {
    let serials = store::revoked_serials(call)?;
    page(call, serials)
}

/// The DER that a path names: a serial number, or one of the words for the authority and its lists.
fn named(call: &mut Call<'_>) -> Result<Vec<u8>, Error> {
    let serial = parse_serial(call.capture("serial"))?;
    let certificate = store::certificate(call, &serial)?.ok_or_else(Error::not_found)?;
    Ok(certificate.der().to_vec())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    match call.capture("serial") {
        "ca" => return read_ca(call),
        "ca_chain" => return read_ca_chain(call),
        "crl" | "delta-crl" => return revocation::read_json(call),
        _ => {}
    }
    let der = named(call)?;
    let serial = parse_serial(call.capture("serial"))?;
    let revoked = store::revocation(call, &serial)?;
    let mut data = json!({
        "certificate": Format::Pem.certificate(&der) + "\n",
        "revocation_time": revoked.as_ref().map_or(0, |revoked| revoked.at.seconds()),
        "revocation_time_rfc3339": revoked.as_ref().map_or_else(String::new, |revoked| revoked.at.rfc3339()),
    });
    if let (Some(revoked), Some(data)) = (revoked, data.as_object_mut()) {
        data.insert("issuer_id".to_owned(), revoked.issuer.into());
    }
    Ok(object(data))
}

fn read_ca(call: &mut Call<'_>) -> Result<Response, Error> {
    let record = store::find_issuer(call, DEFAULT)?;
    Ok(object(json!({
        "certificate": Format::Pem.certificate(&record.der) + "\n",
        "revocation_time": 0,
        "revocation_time_rfc3339": "",
    })))
}

fn read_ca_chain(call: &mut Call<'_>) -> Result<Response, Error> {
    let text = chain_text(call)?;
    Ok(object(json!({ "ca_chain": text, "certificate": text, "revocation_time": 0 })))
}

pub(super) fn read_raw(call: &mut Call<'_>) -> Result<Response, Error> {
    named(call).map(|der| raw(DER_TYPE, der))
}

pub(super) fn read_pem(call: &mut Call<'_>) -> Result<Response, Error> {
    named(call).map(|der| raw(PEM_TYPE, pem::encode("CERTIFICATE", &der).into_bytes()))
}

/// The authority's own certificate; nothing where there is none yet.
fn default_der(call: &mut Call<'_>) -> Option<Vec<u8>> {
    store::find_issuer(call, DEFAULT).ok().map(|record| record.der)
}

pub(super) fn ca(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(default_der(call).map_or_else(|| nothing(DER_TYPE), |der| raw(DER_TYPE, der)))
}

pub(super) fn ca_pem(call: &mut Call<'_>) -> Result<Response, Error> {
    let pem = default_der(call).map(|der| pem::encode("CERTIFICATE", &der));
    Ok(pem.map_or_else(|| nothing(PEM_TYPE), |text| raw(PEM_TYPE, text.into_bytes())))
}

pub(super) fn ca_chain(call: &mut Call<'_>) -> Result<Response, Error> {
    let text = chain_text(call)?;
    Ok(if text.is_empty() { nothing(PEM_TYPE) } else { raw(PEM_TYPE, text.into_bytes()) })
}

fn chain_text(call: &mut Call<'_>) -> Result<String, Error> {
    let Ok(record) = store::find_issuer(call, DEFAULT) else { return Ok(String::new()) };
    let chain = store::chain_of(call, &record)?;
    Ok(chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect())
}

pub(super) fn issuer_der(call: &mut Call<'_>) -> Result<Response, Error> {
    issuers::of_path(call).map(|record| raw(DER_TYPE, record.der))
}

pub(super) fn issuer_pem(call: &mut Call<'_>) -> Result<Response, Error> {
    let record = issuers::of_path(call)?;
    let chain = store::chain_of(call, &record)?;
    let text: String = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
    Ok(raw(PEM_TYPE, text.into_bytes()))
}
