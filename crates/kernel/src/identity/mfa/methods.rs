//! The methods, and the keys of people for them.

use super::super::shown::data;
use super::super::store as identities;
use super::store::{self, Method, Secret};
use super::totp;
use crate::call::Call;
use crate::error::Error;
use crate::request::Response;
use serde_json::json;
use std::time::Duration;
use strongroom_crypto::otp::OtpHash;
use strongroom_crypto::token::uuid_v4;

const METHODS_MAX: usize = 1000;

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let methods = store::methods(&mut call.tx, call.namespace.id())?;
    let mut ids: Vec<String> = methods.into_iter().map(|method| method.id).collect();
    ids.sort_unstable();
    Response::keys(crate::tokens::page(call.fields(), ids)?)
}

/// The method that the route, or the request, names.
fn named(call: &mut Call<'_>) -> Result<Method, Error> {
    let id = match call.capture("method_id") {
        "" => call.fields().required_text("method_id")?,
        id => id.to_owned(),
    };
    store::method(&mut call.tx, call.namespace.id(), &id)?.ok_or_else(Error::not_found)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let method = named(call)?;
    Ok(data(json!({
        "id": method.id,
        "name": method.name,
        "type": "totp",
        "namespace_id": call.namespace.record.text_id,
        "namespace_path": call.namespace.path().as_str(),
        "issuer": method.issuer,
        "period": method.period.as_secs(),
        "key_size": method.key_bytes,
        "qr_size": 200,
        "algorithm": method.algorithm,
        "digits": method.digits,
        "skew": method.skew,
        "max_validation_attempts": method.attempts_max,
    })))
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    let namespace = call.namespace.id();
    if store::methods(&mut call.tx, namespace)?.len() >= METHODS_MAX {
        return Err(Error::invalid(format!("a namespace has at most {METHODS_MAX} methods")));
    }
    let mut method = Method {
        id: uuid_v4(call.kernel.entropy()),
        namespace,
        name: String::new(),
        issuer: String::new(),
        period: Duration::from_secs(30),
        key_bytes: 20,
        algorithm: "SHA1".to_owned(),
        digits: 6,
        skew: 1,
        attempts_max: 5,
    };
    change(call, &mut method)?;
    store::save_method(&mut call.tx, &method)?;
    Ok(data(json!({ "method_id": method.id })))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut method = named(call)?;
    change(call, &mut method)?;
    store::save_method(&mut call.tx, &method)?;
    Ok(Response::default())
}

fn change(call: &mut Call<'_>, method: &mut Method) -> Result<(), Error> {
    let fields = call.fields();
    if let Some(name) = fields.text("method_name")? {
        method.name = name;
    }
    if let Some(issuer) = fields.text("issuer")? {
        method.issuer = issuer;
    }
    if let Some(period) = fields.duration("period")? {
        method.period = period;
    }
    if let Some(bytes) = fields.count("key_size")? {
        method.key_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    if let Some(algorithm) = fields.text("algorithm")? {
        method.algorithm = algorithm;
    }
    if let Some(digits) = fields.count("digits")? {
        method.digits = u32::try_from(digits).unwrap_or(u32::MAX);
    }
    if let Some(skew) = fields.count("skew")? {
        method.skew = skew;
    }
    if let Some(attempts) = fields.count("max_validation_attempts")? {
        method.attempts_max = u32::try_from(attempts).unwrap_or(u32::MAX);
    }
    check(method)?;
    let others = store::methods(&mut call.tx, method.namespace)?;
    if !method.name.is_empty()
        && others.iter().any(|other| other.name == method.name && other.id != method.id)
    {
        return Err(Error::invalid(format!("a method with the name {:?} already exists", method.name)));
    }
    Ok(())
}

fn check(method: &Method) -> Result<(), Error> {
    let wrong = |text: &str| Err(Error::invalid(text));
    if method.issuer.is_empty() || method.issuer.len() > 200 {
        return wrong("issuer must be set");
    }
    if method.period.as_secs() == 0 || method.period > Duration::from_secs(3600) {
        return wrong("period must be from one second to one hour");
    }
    if !(16..=128).contains(&method.key_bytes) {
        return wrong("key_size must be from 16 to 128");
    }
    if !OtpHash::ALL.iter().any(|hash| hash.name() == method.algorithm) {
        return wrong("algorithm must be SHA1, SHA256 or SHA512");
    }
    if ![6, 8].contains(&method.digits) {
        return wrong("digits can only be 6 or 8");
    }
    if method.skew > 1 {
        return wrong("skew must be 0 or 1");
    }
    if !(1..=100).contains(&method.attempts_max) {
        return wrong("max_validation_attempts must be from 1 to 100");
    }
    Ok(())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let method = named(call)?;
    let rules = store::enforcements(&mut call.tx, call.namespace.id())?;
    if let Some(rule) = rules.iter().find(|rule| rule.method_ids.contains(&method.id)) {
        return Err(Error::invalid(format!(
            "methodID is still used by an enforcement configuration with ID: {}",
            rule.id
        )));
    }
    // Keys without their method are found by nothing; they go with their entities.
    store::delete_method(&mut call.tx, method.namespace, &method.id)?;
    Ok(Response::default())
}

/// For the caller's own entity.
pub(super) fn generate(call: &mut Call<'_>) -> Result<Response, Error> {
    let caller = call.require_caller()?;
    let entity_id = match &caller.identity {
        Some(identity) => identity.entity_id.clone(),
        None => return Err(Error::invalid("no entity associated with the request's token")),
    };
    make(call, &entity_id)
}

pub(super) fn admin_generate(call: &mut Call<'_>) -> Result<Response, Error> {
    let entity_id = call.fields().required_text("entity_id")?;
    make(call, &entity_id)
}

fn make(call: &mut Call<'_>, entity_id: &str) -> Result<Response, Error> {
    let method = named(call)?;
    let entity =
        identities::shared_entity_around(&mut call.tx, call.topology, call.namespace.id(), entity_id)?
            .ok_or_else(|| Error::invalid("invalid entity ID"))?;
    if store::secret(&mut call.tx, &method, &entity.id)?.is_some() {
        return Ok(Response::default()
            .with_warning(format!("Entity already has a secret for MFA method {:?}", method.name)));
    }
    let mut key = vec![0; method.key_bytes];
    call.kernel.entropy().fill(&mut key);
    let url = totp::url(&method, &entity.id, &key);
    store::save_secret(&mut call.tx, &method, &entity.id, &Secret { key, last_step: None })?;
    Ok(data(json!({ "barcode": "", "url": url })))
}

pub(super) fn admin_destroy(call: &mut Call<'_>) -> Result<Response, Error> {
    let method = named(call)?;
    let entity_id = call.fields().required_text("entity_id")?;
    store::delete_secret(&mut call.tx, &method, &entity_id)?;
    call.kernel.mfa_attempts.forgive(&method.id, &entity_id);
    Ok(Response::default())
}
