//! Scopes: templates of claims, and what they come to for somebody.

use super::super::super::shown::data;
use super::super::{decoded, template};
use super::records::{OPENID, PROVIDERS, Provider, SCOPES, Scope};
use super::records::{find, name_of, names, remove, save};
use super::refusal::{Stop, refused};
use crate::call::Call;
use crate::error::Error;
use crate::policy::TemplateContext;
use crate::request::Response;
use serde_json::{Map, Value, json};

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let all = names(&mut call.tx, call.namespace.id(), SCOPES)?;
    Response::keys(crate::tokens::page(call.fields(), all)?)
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(find::<Scope>(call, SCOPES, &name)?.is_some())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let scope = find::<Scope>(call, SCOPES, &name)?.ok_or_else(Error::not_found)?;
    Ok(data(json!({ "description": scope.description, "template": scope.template })))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name_of(call)?;
    if name == OPENID {
        return Err(Error::invalid(format!("the {name:?} scope name is reserved")));
    }
    let mut scope = find::<Scope>(call, SCOPES, &name)?.unwrap_or_default();
    if let Some(description) = call.fields().text("description")? {
        scope.description = description;
    }
    if let Some(text) = call.fields().text("template")? {
        scope.template = decoded(text);
        template::check(&scope.template)?;
    }
    save(call, SCOPES, &name, &scope)?;
    Ok(Response::default())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let mut users = Vec::new();
    for provider in names(&mut call.tx, call.namespace.id(), PROVIDERS)? {
        let record = find::<Provider>(call, PROVIDERS, &provider)?;
        if record.is_some_and(|record| record.scopes_supported.contains(&name)) {
            users.push(provider);
        }
    }
    if !users.is_empty() {
        return Err(Error::invalid(format!(
            "unable to delete scope {name:?} because it is currently referenced by these providers: {}",
            users.join(", ")
        )));
    }
    remove(call, SCOPES, &name)?;
    Ok(Response::default())
}

/// The scopes of a request that the provider has; others are not heard (OpenID Connect Core 1.0, section 3.1.2.1). None:
/// `openid` is not among those asked for.
pub(super) fn asked_for(text: &str, provider: &Provider) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for name in text.split(' ') {
        if provider.scopes_supported.iter().any(|scope| scope == name)
            && !found.iter().any(|scope| scope == name)
        {
            found.push(name.to_owned());
        }
    }
    text.split(' ').any(|name| name == OPENID).then_some(found)
}

/// The claims of these scopes for somebody. Two scopes that speak of the same claim are refused.
pub(super) fn claims(
    call: &mut Call<'_>,
    scopes: &[String],
    context: &TemplateContext,
) -> Result<Map<String, Value>, Stop> {
    let mut all = Map::new();
    for name in scopes {
        // Whoever removed the scope since the request wants it heard no longer.
        let Some(scope) = find::<Scope>(call, SCOPES, name)? else { continue };
        for (claim, value) in template::claims(&scope.template, context, call.namespace.path(), call.now)? {
            if all.contains_key(&claim) {
                return Err(refused(
                    "invalid_request",
                    format!(
                        "found scopes with conflicting top-level claim: claim {claim:?} in scope {name:?} and another"
                    ),
                ));
            }
            all.insert(claim, value);
        }
    }
    Ok(all)
}

/// Scopes of which two speak of the same claim: the claim and their names.
pub(super) fn conflicts(
    call: &mut Call<'_>,
    scopes: &[String],
) -> Result<Vec<(String, String, String)>, Error> {
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut found = Vec::new();
    for name in scopes {
        let scope = find::<Scope>(call, SCOPES, name)?
            .ok_or_else(|| Error::invalid(format!("scope {name:?} does not exist")))?;
        let nobody = TemplateContext::default();
        for (claim, _) in template::claims(&scope.template, &nobody, call.namespace.path(), call.now)? {
            match seen.iter().find(|(other, _)| *other == claim) {
                Some((_, before)) => found.push((claim, before.clone(), name.clone())),
                None => seen.push((claim, name.clone())),
            }
        }
    }
    Ok(found)
}
