//! What the server knows of a value: which secret and versions it is, in what state, and who may read it.

use super::open::KnownJson;
use super::subject::{Subject, WHICH, look_up, value_of_version};
use crate::failure::Failure;
use serde_json::{Map, Value, json};
use strongroom_api::client::Client;
use strongroom_kernel::incident::{KEPT_AS_HONEY, KEPT_BY_SERVER, LeakState, Leaked, Reader};
use strongroom_secret::{SecretBytes, Timestamp};

/// Asks which secrets hold the values, and who may read those. A server or a token that does not tell is noted.
pub fn ask(client: &Client, subject: &mut Subject) -> Result<(), Failure> {
    let values: Vec<SecretBytes> =
        subject.values.iter().map(|(_, value)| SecretBytes::new(value.expose().to_vec())).collect();
    for value in &values {
        let Ok(text) = std::str::from_utf8(value.expose()) else { continue };
        let answer = match client.write("sys/fingerprints/lookup", &json!({ "value": text })) {
            Ok(answer) => answer.and_then(|answer| answer.data).unwrap_or_default(),
            Err(error) if error.server().is_some() => {
                subject.unknown(
                    "who may read it: this token may not ask (update and sudo on sys/fingerprints/lookup)",
                );
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for place in answer.get("places").and_then(Value::as_array).into_iter().flatten() {
            take(client, place, subject)?;
        }
        withheld(answer.get("withheld"), subject);
    }
    Ok(())
}

/// Takes in what a scan found of the store: what the server says of it now; without one, what it said to the scan.
pub fn take_known(client: Option<&Client>, known: &KnownJson, subject: &mut Subject) -> Result<(), Failure> {
    let Some(client) = client else {
        for place in &known.places {
            take_as_told(place, subject);
        }
        subject.unknown("how it stands now: no server was asked");
        return Ok(());
    };
    let answer = match client.write("sys/fingerprints/resolve", &json!({ "tags": [known.tag] })) {
        Ok(answer) => answer.and_then(|answer| answer.data).unwrap_or_default(),
        Err(error) if error.server().is_some() => {
            known.places.iter().for_each(|place| take_as_told(place, subject));
            subject.unknown("how it stands now: this token may not ask (update on sys/fingerprints/resolve)");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let about = answer.get("fingerprints").and_then(|all| all.get(&known.tag));
    let places = about.and_then(|about| about.get("places")?.as_array()).map_or(&[][..], Vec::as_slice);
    if places.is_empty() {
        let server = if known.server.is_empty() { "a server" } else { &known.server };
        subject.unknown(format!("{WHICH}: {server} named it, and {} does not", client.address()));
    }
    for place in places {
        take(client, place, subject)?;
    }
    values(client, subject)?;
    withheld(about.and_then(|about| about.get("withheld")), subject);
    Ok(())
}

/// The values of the versions that are known, to be looked for.
fn values(client: &Client, subject: &mut Subject) -> Result<(), Failure> {
    for secret in subject.facts.secrets.clone() {
        let Some(version) = secret.version else { continue };
        match value_of_version(client, &secret.name, secret.field.as_deref(), version)? {
            found if found.is_empty() => subject.unknown(format!(
                "the value of {} version {version}: it cannot be read, so that nothing was searched for it",
                secret.name
            )),
            found => subject.values.extend(found),
        }
    }
    Ok(())
}

fn withheld(count: Option<&Value>, subject: &mut Subject) {
    let count = count.and_then(Value::as_u64).unwrap_or_default();
    if count > 0 {
        subject.unknown(format!("{count} more secrets with this value, which this token may not know of"));
    }
}

/// What a place in an answer says of one version of its secret.
fn told(place: &Value, version: &Value) -> Leaked {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64).filter(|number| *number > 0);
    // Another secret may stand under its name and number by now: nothing is to be done to that.
    let is_gone = text(version, "state") == "removed";
    let is_honey = place.get("honey").and_then(Value::as_bool) == Some(true);
    let state = match text(version, "state").as_str() {
        "current" => LeakState::Live,
        "previous" => LeakState::Grace,
        "superseded" | "expired" | "dropped" => LeakState::Replaced,
        "deleted" => LeakState::Deleted,
        "destroyed" | "removed" => LeakState::Destroyed,
        _ => LeakState::Unknown,
    };
    Leaked {
        name: text(place, "secret"),
        field: Some(text(place, "key")).filter(|field| !field.is_empty()),
        version: number(version, "version").filter(|_| !is_gone),
        current: number(place, "current_version"),
        state,
        has_plan: place.get("rotation").is_some_and(|rotation| !rotation.is_null()),
        kept_by: if is_honey { KEPT_AS_HONEY } else { KEPT_BY_SERVER }.to_owned(),
        created: Timestamp::parse_rfc3339(&text(version, "created_time")),
    }
}

fn take_as_told(place: &Value, subject: &mut Subject) {
    let versions = place.get("versions").and_then(Value::as_array).into_iter().flatten();
    let told = versions.map(|version| told(place, version)).filter(|secret| !secret.name.is_empty());
    subject.facts.secrets.extend(told);
    if let Some(readers) = place.get("readers").and_then(Value::as_object) {
        let name = place.get("secret").and_then(Value::as_str).unwrap_or_default();
        take_readers(name, readers, subject);
    }
}

fn take(client: &Client, place: &Value, subject: &mut Subject) -> Result<(), Failure> {
    let text = |name: &str| place.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, field) = (text("secret"), text("key"));
    if name.is_empty() {
        return Ok(());
    }
    let field = (!field.is_empty()).then_some(field);
    for version in place.get("versions").and_then(Value::as_array).into_iter().flatten() {
        let told = told(place, version);
        let is_known =
            subject.facts.secrets.iter().any(|known| known.name == name && known.version == told.version);
        if !is_known {
            // What is gone cannot be looked up, and whoever may not is told as much as the answer has.
            let can_be = told.kept_by == KEPT_BY_SERVER && told.state != LeakState::Destroyed;
            let looked_up = can_be.then(|| look_up(client, name, field, told.version));
            let secret = looked_up.and_then(Result::ok).unwrap_or(told);
            subject.facts.unknown.retain(|what| what != WHICH);
            subject.facts.secrets.push(secret);
        }
    }
    match place.get("readers").and_then(Value::as_object) {
        Some(readers) => take_readers(name, readers, subject),
        None => subject.unknown(format!(
            "who may read {name}: only a token with sudo on sys/fingerprints/lookup is told"
        )),
    }
    Ok(())
}

fn take_readers(name: &str, readers: &Map<String, Value>, subject: &mut Subject) {
    let list = |of: &str| readers.get(of).and_then(Value::as_array).into_iter().flatten();
    let mut add = |kind: &str, reader: &str, by: String| {
        subject.facts.readers.push(Reader { kind: kind.to_owned(), name: reader.to_owned(), by });
    };
    for policy in list("policies").filter_map(Value::as_str) {
        add("policy", policy, format!("it allows reading {name}"));
    }
    for entity in list("entities").filter_map(Value::as_str) {
        add("entity", entity, "by its policies".to_owned());
    }
    for holder in list("holders") {
        let text = |of: &str| holder.get(of).and_then(Value::as_str).unwrap_or_default();
        let tokens = holder.get("tokens").and_then(Value::as_u64).unwrap_or_default();
        let policies = holder.get("policies").and_then(Value::as_array).into_iter().flatten();
        let policies: Vec<&str> = policies.filter_map(Value::as_str).collect();
        add(
            "token",
            text("display_name"),
            format!("{tokens} of {}, with {}", text("path"), policies.join(", ")),
        );
    }
    if readers.get("is_complete").and_then(Value::as_bool) == Some(false) {
        subject.unknown(format!("all who may read {name}: there are more than the server looked at"));
    }
}
