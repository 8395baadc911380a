//! Which logins need a second factor.

use super::super::shown::data;
use super::store::{self, Enforcement};
use crate::call::Call;
use crate::error::Error;
use crate::request::Response;
use serde_json::json;
use strongroom_crypto::token::uuid_v4;

const ENFORCEMENTS_MAX: usize = 1000;

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let rules = store::enforcements(&mut call.tx, call.namespace.id())?;
    let mut names: Vec<String> = rules.into_iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    Response::keys(crate::tokens::page(call.fields(), names)?)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let rule = store::enforcement(&mut call.tx, call.namespace.id(), &name)?.ok_or_else(Error::not_found)?;
    Ok(data(json!({
        "id": rule.id,
        "name": rule.name,
        "namespace_id": call.namespace.record.text_id,
        "namespace_path": call.namespace.path().as_str(),
        "mfa_method_ids": rule.method_ids,
        "auth_method_accessors": rule.accessors,
        "auth_method_types": rule.kinds,
        "identity_group_ids": rule.group_ids,
        "identity_entity_ids": rule.entity_ids,
    })))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let namespace = call.namespace.id();
    let known = store::enforcement(&mut call.tx, namespace, &name)?;
    if known.is_none() && store::enforcements(&mut call.tx, namespace)?.len() >= ENFORCEMENTS_MAX {
        return Err(Error::invalid(format!("a namespace has at most {ENFORCEMENTS_MAX} of these")));
    }
    let mut rule = known.unwrap_or_else(|| Enforcement {
        id: uuid_v4(call.kernel.entropy()),
        name: name.clone(),
        ..Enforcement::default()
    });
    let fields = call.fields();
    for (name, list) in [
        ("mfa_method_ids", &mut rule.method_ids),
        ("auth_method_accessors", &mut rule.accessors),
        ("auth_method_types", &mut rule.kinds),
        ("identity_group_ids", &mut rule.group_ids),
        ("identity_entity_ids", &mut rule.entity_ids),
    ] {
        if let Some(given) = fields.list(name)? {
            *list = given;
        }
    }
    if rule.method_ids.is_empty() {
        return Err(Error::invalid("missing method ids"));
    }
    let lists = [&rule.accessors, &rule.kinds, &rule.group_ids, &rule.entity_ids];
    if lists.iter().all(|list| list.is_empty()) {
        return Err(Error::invalid(
            "One of auth_method_accessors, auth_method_types, identity_group_ids, identity_entity_ids must be specified",
        ));
    }
    for id in &rule.method_ids {
        if store::method(&mut call.tx, namespace, id)?.is_none() {
            return Err(Error::invalid("one of the provided method ids doesn't exist"));
        }
    }
    store::save_enforcement(&mut call.tx, namespace, &rule)?;
    Ok(Response::default())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    store::delete_enforcement(&mut call.tx, call.namespace.id(), &name)?;
    Ok(Response::default())
}
