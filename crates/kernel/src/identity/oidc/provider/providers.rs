//! Providers: issuers with their scopes and the clients they serve.

use super::super::super::shown::{data, listed};
use super::super::{address_of, check_issuer};
use super::clients::without_repetition;
use super::records::{DEFAULT_PROVIDER, PROVIDERS, Provider};
use super::records::{name_of, names, provider, remove, save};
use super::scopes;
use crate::call::Call;
use crate::error::Error;
use crate::request::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let wanted = call.fields().text("allowed_client_id")?.filter(|id| !id.is_empty());
    let mut all = names(&mut call.tx, call.namespace.id(), PROVIDERS)?;
    all.push(DEFAULT_PROVIDER.to_owned());
    let mut entries = BTreeMap::new();
    for name in all {
        let Some(record) = provider(call, &name)? else { continue };
        if wanted.as_deref().is_none_or(|client_id| record.allows(client_id)) {
            let shown = shown(call, &name, &record);
            entries.insert(name, shown);
        }
    }
    listed(call, entries)
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(provider(call, &name)?.is_some())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let record = provider(call, &name)?.ok_or_else(Error::not_found)?;
    Ok(data(shown(call, &name, &record)))
}

fn shown(call: &Call<'_>, name: &str, record: &Provider) -> Value {
    json!({
        "allowed_client_ids": record.allowed_client_ids,
        "issuer": issuer(call, name, record),
        "scopes_supported": record.scopes_supported,
    })
}

/// The `iss` of its ID tokens, below which its endpoints are.
pub(super) fn issuer(call: &Call<'_>, name: &str, record: &Provider) -> String {
    format!("{}/provider/{name}", address_of(call, &record.issuer, "v1", call.namespace))
}

/// Where browsers are sent: a page, which asks who they are.
pub(super) fn page(call: &Call<'_>, name: &str, record: &Provider) -> String {
    format!("{}/provider/{name}/authorize", address_of(call, &record.issuer, "ui/vault", call.namespace))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name_of(call)?;
    let mut record = match name.as_str() {
        DEFAULT_PROVIDER => provider(call, &name)?.unwrap_or_default(),
        _ => super::records::find(call, PROVIDERS, &name)?.unwrap_or_default(),
    };
    let mut response = Response::default();
    if let Some(issuer) = call.fields().text("issuer")? {
        check_issuer(&issuer)?;
        issuer.trim_end_matches('/').clone_into(&mut record.issuer);
    }
    if !record.issuer.is_empty() {
        response = response.with_warning(super::super::ISSUER_IS_SET);
    }
    if let Some(ids) = call.fields().list("allowed_client_ids")? {
        record.allowed_client_ids = without_repetition(ids);
    }
    if let Some(names) = call.fields().list("scopes_supported")? {
        record.scopes_supported = without_repetition(names);
    }
    for (claim, first, second) in scopes::conflicts(call, &record.scopes_supported)? {
        response = response.with_warning(format!(
            "Found scope templates with conflicting top-level keys: conflict {claim:?} in scopes {second:?}, {first:?}. \
             A client that asks for both is refused."
        ));
    }
    save(call, PROVIDERS, &name, &record)?;
    Ok(response)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    if name == DEFAULT_PROVIDER {
        return Err(Error::invalid(format!("deletion of OIDC provider {name:?} not allowed")));
    }
    remove(call, PROVIDERS, &name)?;
    Ok(Response::default())
}
