//! What the server knows of a value: which secret and versions it is, in what state, and who may read it.

use super::subject::{Subject, look_up};
use crate::failure::Failure;
use serde_json::{Map, Value, json};
use strongroom_api::client::Client;
use strongroom_kernel::incident::Reader;
use strongroom_secret::SecretBytes;

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
        let withheld = answer.get("withheld").and_then(Value::as_u64).unwrap_or_default();
        if withheld > 0 {
            subject.unknown(format!(
                "{withheld} more secrets with this value, which this token may not know of"
            ));
        }
    }
    Ok(())
}

fn take(client: &Client, place: &Value, subject: &mut Subject) -> Result<(), Failure> {
    let text = |name: &str| place.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, field) = (text("secret"), text("key"));
    if name.is_empty() {
        return Ok(());
    }
    let field = (!field.is_empty()).then_some(field);
    for version in place.get("versions").and_then(Value::as_array).into_iter().flatten() {
        let number = version.get("version").and_then(Value::as_u64).filter(|number| *number > 0);
        let is_known =
            subject.facts.secrets.iter().any(|known| known.name == name && known.version == number);
        if !is_known {
            let secret = look_up(client, name, field, number)?;
            subject.facts.unknown.retain(|what| what != super::subject::WHICH);
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
