//! `issuers/` and `issuer/`: the authorities of the mount.

use super::issue::Format;
use super::store::{self, IssuerRecord, LeafNotAfter, Usage, damaged, serial_text};
use super::{revocation, roles, settings};
use crate::answer::object;
use serde_json::{Map, json};
use strongroom_crypto::x509::{ReadCertificate, SignatureScheme};
use strongroom_kernel::{Call, Error, Response};

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let default = settings::defaults(call)?.issuer;
    let issuers = store::issuers(call)?;
    if issuers.is_empty() {
        return Err(Error::not_found());
    }
    let mut info = Map::new();
    for issuer in &issuers {
        let certificate = ReadCertificate::from_der(&issuer.der).map_err(damaged)?;
        info.insert(
            issuer.id.clone(),
            json!({
                "issuer_name": issuer.name,
                "is_default": issuer.id == default,
                "key_id": issuer.key_id,
                "serial_number": serial_text(certificate.serial()),
            }),
        );
    }
    let ids: Vec<_> = issuers.into_iter().map(|issuer| issuer.id).collect();
    Ok(object(json!({ "keys": ids, "key_info": info })))
}

/// The issuer that the path names.
pub(super) fn of_path(call: &mut Call<'_>) -> Result<IssuerRecord, Error> {
    let reference = call.capture("issuer").to_owned();
    store::find_issuer(call, &reference)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let record = of_path(call)?;
    shown(call, &record)
}

fn shown(call: &mut Call<'_>, record: &IssuerRecord) -> Result<Response, Error> {
    let chain: Vec<_> =
        store::chain_of(call, record)?.iter().map(|der| Format::Pem.certificate(der) + "\n").collect();
    let urls = record.urls.clone().unwrap_or_default();
    let scheme = match record.revocation_scheme.as_str() {
        "" => default_scheme(call, record)?,
        name => name.to_owned(),
    };
    let manual_chain = Some(&record.manual_chain).filter(|chain| !chain.is_empty());
    let mut data = json!({
        "issuer_id": record.id,
        "issuer_name": record.name,
        "key_id": record.key_id,
        "certificate": Format::Pem.certificate(&record.der) + "\n",
        "manual_chain": manual_chain,
        "ca_chain": chain,
        "leaf_not_after_behavior": record.leaf_not_after.word(),
        "usage": record.usage.words(),
        "revocation_signature_algorithm": scheme,
        "revoked": record.revoked.is_some(),
        "issuing_certificates": urls.issuing_certificates,
        "crl_distribution_points": urls.crl_distribution_points,
        "delta_crl_distribution_points": urls.delta_crl_distribution_points,
        "ocsp_servers": urls.ocsp_servers,
        "enable_aia_url_templating": urls.enable_templating,
    });
    if let (Some(at), Some(data)) = (record.revoked, data.as_object_mut()) {
        data.insert("revocation_time".to_owned(), at.seconds().into());
        data.insert("revocation_time_rfc3339".to_owned(), at.rfc3339().into());
    }
    Ok(object(data))
}

fn default_scheme(call: &mut Call<'_>, record: &IssuerRecord) -> Result<String, Error> {
    if record.key_id.is_empty() {
        return Ok(String::new());
    }
    let authority = store::authority(call, record.clone())?;
    let scheme = SignatureScheme::for_key(authority.key_kind(), 0, false).map_err(damaged)?;
    Ok(scheme.name().to_owned())
}

/// A write names everything; a patch what changes. Both change what is named alone: names and usages that a write leaves
/// out stay, for taking them away by silence helps nobody.
pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut record = of_path(call)?;
    let fields = call.fields();
    if let Some(usage) = fields.list("usage")? {
        record.usage = Usage::parse(&usage)?;
        if record.revoked.is_some() && record.usage.issuing {
            return Err(Error::invalid("a revoked issuer may not issue certificates"));
        }
    }
    if let Some(word) = fields.text("leaf_not_after_behavior")? {
        record.leaf_not_after = LeafNotAfter::parse(&word)?;
    }
    if let Some(scheme) = fields.text("revocation_signature_algorithm")?.filter(|text| !text.is_empty()) {
        let known = SignatureScheme::from_name(&scheme);
        record.revocation_scheme =
            known.ok_or_else(|| Error::invalid("unknown revocation_signature_algorithm"))?.name().to_owned();
    }
    let mut urls = record.urls.clone().unwrap_or_default();
    urls.change(call)?;
    urls.enable_templating =
        call.fields().boolean("enable_aia_url_templating")?.unwrap_or(urls.enable_templating);
    record.urls = Some(urls).filter(|urls| *urls != settings::Urls::default());
    rename(call, &mut record)?;
    if let Some(references) = call.fields().list("manual_chain")? {
        record.manual_chain = references
            .iter()
            .map(|reference| store::find_issuer(call, reference).map(|issuer| issuer.id))
            .collect::<Result<_, _>>()?;
        if record.manual_chain.first().is_some_and(|first| *first != record.id) {
            return Err(Error::invalid("the manual chain must start with the issuer itself"));
        }
    }
    store::save_issuer(call, &record)?;
    store::relink(call)?;
    let record = of_path_id(call, &record.id)?;
    shown(call, &record)
}

fn of_path_id(call: &mut Call<'_>, id: &str) -> Result<IssuerRecord, Error> {
    store::issuer_by_id(call, id)?.ok_or_else(|| Error::internal("an issuer just written is gone"))
}

fn rename(call: &mut Call<'_>, record: &mut IssuerRecord) -> Result<(), Error> {
    let Some(name) = call.fields().text("issuer_name")? else { return Ok(()) };
    let known = store::issuers(call)?;
    let others = known.iter().filter(|issuer| issuer.id != record.id).map(|issuer| issuer.name.as_str());
    store::check_name(&name, others, "issuer")?;
    record.name = name;
    Ok(())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let reference = call.capture("issuer").to_owned();
    let record = of_path(call)?;
    store::remove_issuer(call, &record.id)?;
    store::relink(call)?;
    let mut response = Response::default();
    let mut defaults = settings::defaults(call)?;
    if defaults.issuer == record.id {
        defaults.issuer.clear();
        settings::set_defaults(call, &defaults)?;
        response = response.with_warning(format!(
            "Deleted issuer {} (via issuer_ref {reference}); this was configured as the default issuer. Operations \
             without an explicit issuer will not work until a new default is configured.",
            record.id
        ));
    }
    let roles = roles::all(call)?;
    let users =
        roles.iter().filter(|role| [&record.id, &record.name, &reference].contains(&&role.issuer_ref));
    match users.count() {
        0 => Ok(response),
        count => Ok(response.with_warning(format!("{count} roles reference {reference}"))),
    }
}

pub(super) fn revoke(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut record = of_path(call)?;
    if record.revoked.is_none() {
        record.revoked = Some(call.now);
        record.usage.issuing = false;
        store::save_issuer(call, &record)?;
        let certificate = ReadCertificate::from_der(&record.der).map_err(damaged)?;
        revocation::revoke_issuer(call, &certificate)?;
    }
    let certificate = ReadCertificate::from_der(&record.der).map_err(damaged)?;
    let response = shown(call, &record)?;
    Ok(match certificate.is_signed_by(&certificate) {
        true => response.with_warning(
            "This issuer is a self-signed (potentially root) certificate. This means it may not be considered revoked \
             if there is not an external, cross-signed variant of this certificate. This issuer's serial number will \
             not appear on its own CRL.",
        ),
        false => response,
    })
}

/// A certificate as `issuer/…/json` and its kin give it.
pub(super) fn json(call: &mut Call<'_>) -> Result<Response, Error> {
    let record = of_path(call)?;
    let chain: Vec<_> =
        store::chain_of(call, &record)?.iter().map(|der| Format::Pem.certificate(der) + "\n").collect();
    Ok(object(json!({
        "certificate": Format::Pem.certificate(&record.der) + "\n",
        "ca_chain": chain,
        "issuer_id": record.id,
        "issuer_name": record.name,
        "key_id": record.key_id,
    })))
}
