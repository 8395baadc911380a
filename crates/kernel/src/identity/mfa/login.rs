//! A login that needs a second factor: with a code beside the credentials it goes on at once; without one it is kept for a
//! few minutes, until its code comes to `sys/mfa/validate`.

use super::super::groups_of;
use super::super::store as identities;
use super::store::{self, Constraint, HeldLogin};
use super::totp;
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::tokens::TokenEntry;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const HELD_FOR: Duration = Duration::from_secs(300);
const RANDOM_BYTES: usize = 20;
const HEADER: &str = "x-vault-mfa";
/// Codes of one request.
const CODES_MAX: usize = 32;

/// A login that may go on, with the mount that it came to.
pub(crate) struct Held {
    pub entry: TokenEntry,
    pub mount: u64,
}

/// What somebody presents: codes by the id, or the name, of their method.
type Codes = BTreeMap<String, String>;

/// None: the login of this token may go on. Otherwise what it must show, and it is kept.
pub(crate) fn demand(call: &mut Call<'_>, entry: &TokenEntry) -> Result<Option<Value>, Error> {
    let constraints = constraints(call, &entry.entity_id)?;
    if constraints.is_empty() {
        return Ok(None);
    }
    if entry.entity_id.is_empty() {
        return Err(Error::denied().with_detail("a second factor is needed, and the login has no entity"));
    }
    if let Some(codes) = codes_of_headers(call)? {
        satisfy(call, &constraints, &entry.entity_id, &codes)?;
        return Ok(None);
    }
    let until = call.now.plus(HELD_FOR);
    let mut handle = until.nanoseconds().to_be_bytes().to_vec();
    let mut random = [0; RANDOM_BYTES];
    call.kernel.entropy().fill(&mut random);
    handle.extend(random);
    let shown = requirement(call, &BASE64.encode(&handle), &constraints)?;
    let login = HeldLogin { until, mount: call.mount.record.id, entry: entry.clone(), constraints };
    store::hold(&mut call.tx, entry.namespace, &handle, &login, call.now)?;
    Ok(Some(shown))
}

/// A login that was kept, if what the request presents is enough. It cannot be had twice.
pub(crate) fn validate(call: &mut Call<'_>) -> Result<Held, Error> {
    let refused = || Error::invalid("invalid request ID, or the login took too long");
    let id = call.fields().required_text("mfa_request_id")?;
    let payload = call.fields().map("mfa_payload")?.unwrap_or_default();
    let handle = BASE64.decode(&id).map_err(|_| refused())?;
    let namespace = call.namespace.id();
    let held = store::held(&mut call.tx, namespace, &handle)?;
    let held = held.filter(|held| held.until > call.now).ok_or_else(refused)?;
    let codes = codes_of_payload(&payload)?;
    satisfy(call, &held.constraints, &held.entry.entity_id, &codes)?;
    store::release(&mut call.tx, namespace, &handle)?;
    Ok(Held { entry: held.entry, mount: held.mount })
}

/// The rules for this login, of its namespace and of those around it.
fn constraints(call: &mut Call<'_>, entity_id: &str) -> Result<Vec<Constraint>, Error> {
    let mut around = Vec::new();
    let mut path = call.namespace.path().clone();
    loop {
        around.extend(call.topology.namespace(&path).map(|namespace| namespace.id()));
        match path.parent() {
            Some(parent) => path = parent,
            None => break,
        }
    }
    let mut groups: Option<Vec<String>> = None;
    let mut found = Vec::new();
    for namespace in around {
        for rule in store::enforcements(&mut call.tx, namespace)? {
            let mount = &call.mount.record;
            let mut applies = rule.accessors.contains(&mount.accessor)
                || rule.kinds.contains(&mount.kind)
                || rule.entity_ids.iter().any(|id| !entity_id.is_empty() && id == entity_id);
            if !applies && !rule.group_ids.is_empty() {
                if groups.is_none() {
                    groups = Some(groups_of_login(call, entity_id)?);
                }
                applies = groups.iter().flatten().any(|id| rule.group_ids.contains(id));
            }
            if applies {
                let methods = rule.method_ids.into_iter().map(|id| (namespace, id)).collect();
                found.push(Constraint { name: rule.name, methods });
            }
        }
    }
    Ok(found)
}

fn groups_of_login(call: &mut Call<'_>, entity_id: &str) -> Result<Vec<String>, Error> {
    let entity = match entity_id {
        "" => None,
        id => identities::shared_entity_around(&mut call.tx, call.topology, call.namespace.id(), id)?,
    };
    match entity {
        Some(entity) => Ok(groups_of(&mut call.tx, &entity)?.into_iter().map(|group| group.id).collect()),
        None => Ok(Vec::new()),
    }
}

/// What a client is told: an id, and the methods of which each rule wants one.
fn requirement(call: &mut Call<'_>, id: &str, constraints: &[Constraint]) -> Result<Value, Error> {
    let mut shown = Map::new();
    for constraint in constraints {
        let mut any = Vec::new();
        for (namespace, id) in &constraint.methods {
            let Some(method) = store::method(&mut call.tx, *namespace, id)? else { continue };
            any.push(json!({"type": "totp", "id": method.id, "uses_passcode": true, "name": method.name}));
        }
        shown.insert(constraint.name.clone(), json!({ "any": any }));
    }
    Ok(json!({ "mfa_request_id": id, "mfa_constraints": shown }))
}

/// Each rule is met by the code of one of its methods. A code that was good for one rule is for the next as well.
fn satisfy(
    call: &mut Call<'_>,
    constraints: &[Constraint],
    entity_id: &str,
    codes: &Codes,
) -> Result<(), Error> {
    let mut satisfied: Vec<String> = Vec::new();
    for constraint in constraints {
        if constraint.methods.iter().any(|(_, id)| satisfied.contains(id)) {
            continue;
        }
        let mut presented = None;
        for (namespace, id) in &constraint.methods {
            let Some(method) = store::method(&mut call.tx, *namespace, id)? else { continue };
            let code =
                codes.get(&method.id).or_else(|| codes.get(&method.name).filter(|_| !method.name.is_empty()));
            if let Some(code) = code {
                presented = Some((method, code));
                break;
            }
        }
        let Some((method, code)) = presented else {
            return Err(Error::new(
                ErrorKind::Denied,
                format!(
                    "login MFA validation failed for {:?}: no code for one of its methods",
                    constraint.name
                ),
            ));
        };
        totp::check(call, &method, entity_id, code)?;
        satisfied.push(method.id);
    }
    Ok(())
}

/// `X-Vault-MFA: METHOD:CODE`, as often as there are methods.
fn codes_of_headers(call: &Call<'_>) -> Result<Option<Codes>, Error> {
    let values: Vec<&str> = call
        .request
        .headers
        .iter()
        .filter(|(name, _)| name == HEADER)
        .flat_map(|(_, value)| value.split(','))
        .collect();
    if values.is_empty() {
        return Ok(None);
    }
    let malformed = || Error::invalid("X-Vault-MFA must be METHOD:CODE");
    let codes: Option<Codes> = values
        .iter()
        .take(CODES_MAX)
        .map(|value| {
            let (method, code) = value.trim().split_once(':')?;
            Some((method.trim().to_owned(), passcode(code)))
        })
        .collect();
    codes.map(Some).ok_or_else(malformed)
}

/// `{"METHOD": ["CODE"]}`
fn codes_of_payload(payload: &Map<String, Value>) -> Result<Codes, Error> {
    let code = |value: &Value| match value {
        Value::Array(values) => values.first().and_then(Value::as_str).map(passcode),
        Value::String(text) => Some(passcode(text)),
        _ => None,
    };
    payload
        .iter()
        .take(CODES_MAX)
        .map(|(method, value)| Some((method.clone(), code(value)?)))
        .collect::<Option<Codes>>()
        .filter(|codes| !codes.is_empty())
        .ok_or_else(|| Error::invalid("mfa_payload must be an object of lists: {\"METHOD\": [\"CODE\"]}"))
}

/// Vault's clients may write `passcode=CODE`.
fn passcode(text: &str) -> String {
    text.trim().trim_start_matches("passcode=").to_owned()
}
