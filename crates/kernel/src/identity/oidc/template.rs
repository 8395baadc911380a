//! The template of a role: JSON with `{{…}}` where the caller's identity belongs. What stands for a value is written as
//! JSON, so that no name can break out of its place.

use crate::error::Error;
use crate::policy::{AliasContext, TemplateContext};
use serde_json::{Map, Value, json};
use strongroom_secret::{NamespacePath, Timestamp, parse_duration};

/// Claims that the server sets.
const RESERVED: [&str; 10] =
    ["iat", "aud", "exp", "iss", "sub", "namespace", "nonce", "auth_time", "at_hash", "c_hash"];

/// The claims that a template adds for somebody. An empty template adds none.
pub(super) fn claims(
    template: &str,
    context: &TemplateContext,
    namespace: &NamespacePath,
    now: Timestamp,
) -> Result<Map<String, Value>, Error> {
    if template.trim().is_empty() {
        return Ok(Map::new());
    }
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (variable, after) = after
            .split_once("}}")
            .ok_or_else(|| Error::invalid("the template has a \"{{\" without its end"))?;
        text.push_str(before);
        let value = resolve(variable.trim(), context, namespace, now)
            .ok_or_else(|| Error::invalid("the template has a parameter that there is not"))?;
        text.push_str(&value.to_string());
        rest = after;
    }
    text.push_str(rest);
    let claims: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|_| Error::invalid("error parsing template JSON: it is not an object"))?;
    match RESERVED.iter().find(|name| claims.contains_key(**name)) {
        Some(name) => Err(Error::invalid(format!(
            "top level key {name:?} not allowed. Restricted keys: {}",
            RESERVED.join(", ")
        ))),
        None => Ok(claims),
    }
}

/// Whether a template would work, for somebody of whom nothing is known.
pub(super) fn check(template: &str) -> Result<(), Error> {
    claims(template, &TemplateContext::default(), &NamespacePath::root(), Timestamp::EPOCH).map(drop)
}

/// The value of a parameter, empty where the caller has none. None: there is no such parameter.
fn resolve(
    variable: &str,
    context: &TemplateContext,
    namespace: &NamespacePath,
    now: Timestamp,
) -> Option<Value> {
    if let Some(time) = variable.strip_prefix("time.now") {
        return moment(time, now);
    }
    let groups = || context.groups.iter().filter(|group| group.namespace == *namespace);
    match variable {
        "identity.entity.groups.ids" => return Some(groups().map(|group| json!(group.id)).collect()),
        "identity.entity.groups.names" => return Some(groups().map(|group| json!(group.name)).collect()),
        _ => {}
    }
    let field = variable.strip_prefix("identity.entity.")?;
    let entity = context.entity.clone().unwrap_or_default();
    if let Some(rest) = field.strip_prefix("aliases.") {
        let (accessor, field) = rest.split_once('.')?;
        let alias = entity.aliases.into_iter().find(|alias| alias.mount_accessor == accessor);
        return alias_field(&alias.unwrap_or_default(), field);
    }
    match field {
        "id" => Some(json!(entity.id)),
        "name" => Some(json!(entity.name)),
        "metadata" => Some(json!(entity.metadata)),
        _ => {
            let key = field.strip_prefix("metadata.")?;
            Some(json!(entity.metadata.get(key).map_or("", String::as_str)))
        }
    }
}

fn alias_field(alias: &AliasContext, field: &str) -> Option<Value> {
    let (maps, key) = match field {
        "id" => return Some(json!(alias.id)),
        "name" => return Some(json!(alias.name)),
        "metadata" => return Some(json!(alias.metadata)),
        "custom_metadata" => return Some(json!(alias.custom_metadata)),
        _ => match field.strip_prefix("metadata.") {
            Some(key) => (&alias.metadata, key),
            None => (&alias.custom_metadata, field.strip_prefix("custom_metadata.")?),
        },
    };
    Some(json!(maps.get(key).map_or("", String::as_str)))
}

/// Seconds since 1970, now or some time from it.
fn moment(rest: &str, now: Timestamp) -> Option<Value> {
    let at = if rest.is_empty() {
        now
    } else if let Some(text) = rest.strip_prefix(".plus.") {
        now.plus(parse_duration(text).ok()?)
    } else {
        now.minus(parse_duration(rest.strip_prefix(".minus.")?).ok()?)
    };
    Some(json!(at.seconds()))
}
