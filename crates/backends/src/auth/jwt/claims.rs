//! What a token's claims must be for a role, and what they say of somebody. The times of a token are those of
//! RFC 7519, section 4.1, with the leeways that Vault gives them.

use super::config::Config;
use super::role::{ClaimsType, Role};
use crate::auth::{glob, jws};
use serde_json::{Map, Value, json};
use strongroom_kernel::Error;
use strongroom_secret::Timestamp;

type Claims = Map<String, Value>;

/// Seconds by which clocks may differ unless a role says otherwise.
const CLOCK_SKEW_DEFAULT: i64 = 60;

/// Somebody, as their token describes them.
pub(super) struct Described {
    pub name: String,
    pub groups: Vec<String>,
    pub metadata: Claims,
}

fn refused(reason: impl std::fmt::Display) -> Error {
    Error::invalid(format!("error validating token: {reason}"))
}

/// Checks times, issuer, subject and audience of a token whose signature is good.
pub(super) fn check_registered(
    claims: &Claims,
    config: &Config,
    role: &Role,
    now: Timestamp,
) -> Result<(), Error> {
    check_times(claims, role, now.seconds())?;
    if !config.bound_issuer.is_empty() && text(claims, "iss") != Some(&config.bound_issuer) {
        return Err(refused("invalid issuer (iss) claim"));
    }
    if !role.bound_subject.is_empty() && text(claims, "sub") != Some(&role.bound_subject) {
        return Err(refused("invalid subject (sub) claim"));
    }
    Ok(())
}

/// One of the role's audiences must be one of the token's. A token made for somebody is not for everybody: with an
/// audience it needs a role that names it.
pub(super) fn check_audience(claims: &Claims, role: &Role) -> Result<(), Error> {
    let audiences = texts(claims.get("aud"));
    if role.bound_audiences.is_empty() {
        return match audiences.is_empty() {
            true => Ok(()),
            false => Err(refused("audience claim found in JWT but no audiences bound to the role")),
        };
    }
    if role.bound_audiences.iter().any(|audience| audiences.contains(&audience.as_str())) {
        return Ok(());
    }
    Err(refused("invalid audience (aud) claim: audience claim does not match any bound audience"))
}

fn check_times(claims: &Claims, role: &Role, now: i64) -> Result<(), Error> {
    let skew = leeway(role.clock_skew_leeway, CLOCK_SKEW_DEFAULT);
    let [issued, not_before, expires] = ["iat", "nbf", "exp"].map(|name| seconds(claims, name));
    let (issued, not_before, expires) = (issued?, not_before?, expires?);
    let starts = issued.max(not_before);
    // A token without an end is taken only where the role says how long it is good.
    let end = match (expires, starts) {
        (Some(end), _) => end,
        (None, Some(start)) if role.expiration_leeway > 0 => start.saturating_add(role.expiration_leeway),
        (None, _) => {
            return Err(refused(
                "expiration time (exp) claim is missing, and the role has no expiration_leeway",
            ));
        }
    };
    if now.saturating_sub(skew) > end {
        return Err(refused("invalid expiration time (exp) claim: token is expired"));
    }
    let begin = match (not_before, issued) {
        (Some(begin), _) => begin,
        (None, Some(issued)) => issued.saturating_sub(role.not_before_leeway.max(0)),
        (None, None) => i64::MIN,
    };
    if now.saturating_add(skew) < begin {
        return Err(refused("invalid not before (nbf) claim: token not yet valid"));
    }
    if issued.is_some_and(|issued| now.saturating_add(skew) < issued) {
        return Err(refused("invalid issued at (iat) claim: token issued in the future"));
    }
    Ok(())
}

/// A leeway as a role has it: 0 is the default, negative is none.
fn leeway(seconds: i64, default: i64) -> i64 {
    match seconds {
        0 => default,
        ..0 => 0,
        seconds => seconds,
    }
}

/// A numeric date of a token.
pub(super) fn seconds(claims: &Claims, name: &str) -> Result<Option<i64>, Error> {
    jws::seconds(claims, name).map_err(refused)
}

/// Checks the claims that the role binds.
pub(super) fn check_bound(claims: &Claims, role: &Role) -> Result<(), Error> {
    for (name, expected) in &role.bound_claims {
        let found = claim(claims, name).ok_or_else(|| refused(format!("claim {name:?} is missing")))?;
        let expected = match expected {
            Value::Array(items) => items.iter().collect(),
            expected => vec![expected],
        };
        let found = match found {
            Value::Array(items) => items.iter().collect(),
            found => vec![found],
        };
        let is_met = expected
            .iter()
            .any(|expected| found.iter().any(|found| is_as_bound(role.bound_claims_type, expected, found)));
        if !is_met {
            return Err(refused(format!("claim {name:?} does not match any associated bound claim values")));
        }
    }
    Ok(())
}

fn is_as_bound(kind: ClaimsType, expected: &Value, found: &Value) -> bool {
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match (plain(expected), plain(found), kind) {
        (Some(expected), Some(found), ClaimsType::Glob) => glob::matches(&expected, &found),
        (Some(expected), Some(found), ClaimsType::String) => expected == found,
        _ => false,
    }
}

/// Who the token speaks of, by the role's rules.
pub(super) fn describe(claims: &Claims, role: &Role, role_name: &str) -> Result<Described, Error> {
    let user = match role.user_claim_json_pointer {
        true => claim(claims, &role.user_claim),
        false => claims.get(&role.user_claim),
    };
    let name = match user {
        Some(Value::String(name)) if !name.is_empty() => name.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => {
            return Err(Error::invalid(format!(
                "claim {:?} could not be converted to string",
                role.user_claim
            )));
        }
        None => return Err(Error::invalid(format!("claim {:?} not found in token", role.user_claim))),
    };
    let mut metadata = Claims::new();
    for (from, to) in &role.claim_mappings {
        let Some(to) = to.as_str() else { continue };
        match claim(claims, from) {
            None => {}
            Some(Value::String(text)) => drop(metadata.insert(to.to_owned(), json!(text))),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => {
                metadata.insert(to.to_owned(), json!(value.to_string()));
            }
            Some(_) => {
                return Err(Error::invalid(format!("error converting claim {from:?} to string")));
            }
        }
    }
    metadata.insert("role".to_owned(), json!(role_name));
    Ok(Described { name, groups: groups(claims, role)?, metadata })
}

fn groups(claims: &Claims, role: &Role) -> Result<Vec<String>, Error> {
    if role.groups_claim.is_empty() {
        return Ok(Vec::new());
    }
    match claim(claims, &role.groups_claim) {
        None => Err(Error::invalid(format!("{:?} claim not found in token", role.groups_claim))),
        Some(Value::Array(items)) if items.iter().any(|item| !item.is_string()) => Err(Error::invalid(
            format!("value of the claim {:?} could not be converted to a list of strings", role.groups_claim),
        )),
        found => Ok(texts(found).into_iter().map(str::to_owned).collect()),
    }
}

/// A claim by its name, or by a JSON pointer (RFC 6901) to it.
fn claim<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let mut parts = pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&parts.next()?)?;
    parts.try_fold(first, |value, part| match value {
        Value::Object(map) => map.get(&part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

pub(super) fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// A claim that is one text or several.
pub(super) fn texts(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
