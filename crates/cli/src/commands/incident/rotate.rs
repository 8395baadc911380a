//! The step `rotate`: a new value comes into use.

use super::run::{Outcome, Run};
use super::{evidence, subject};
use crate::commands::project::Session;
use crate::commands::rotate::watch;
use crate::failure::{Doing, Failure};
use serde_json::{Map, Value, json};
use strongroom_api::client::Client;
use strongroom_kernel::incident::{KEPT_AS_HONEY, KEPT_BY_SERVER, LeakState, Leaked, StepKind};
use strongroom_project::resolve::Selection;

pub fn plan(run: &Run<'_>) -> String {
    let parts: Vec<String> = run
        .incident
        .facts
        .secrets
        .iter()
        .map(|secret| match (secret.has_plan, run.client()) {
            (true, Some(_)) => format!("reports the leak of {}, which rotates it by its plan", secret.name),
            _ => format!("looks whether {} has a new value", secret.name),
        })
        .collect();
    if parts.is_empty() { "no secret is known that could be rotated".to_owned() } else { parts.join("; ") }
}

pub fn rotate(run: &mut Run<'_>) -> Result<Outcome, Failure> {
    let secrets = run.incident.facts.secrets.clone();
    if secrets.is_empty() {
        return Ok(Outcome::failed(
            "which secret it is, is not known",
            "give it a new value where it is used, and say so: strongroom incident step ID rotate --done \"…\"",
        ));
    }
    let mut old = Vec::new();
    for secret in &secrets {
        let failed = match secret.kept_by.as_str() {
            KEPT_BY_SERVER => of_the_server(run, secret)?,
            KEPT_AS_HONEY => {
                let said = "a planted fake: nobody has to be given another";
                run.progress(StepKind::Rotate, evidence(&secret.name, said))?;
                None
            }
            _ => of_the_project(run, secret)?,
        };
        old.extend(failed);
    }
    match old.is_empty() {
        true => Ok(Outcome::Done(Vec::new())),
        false => Ok(Outcome::failed(
            old.join("; "),
            "write a new value (strongroom set NAME, strongroom kv put), or make a plan (strongroom rotate plan), and run \
             this again",
        )),
    }
}

/// Whether the value of a secret of the project is another one by now.
fn of_the_project(run: &mut Run<'_>, secret: &Leaked) -> Result<Option<String>, Failure> {
    if run.sought.matchers.is_empty() {
        return Ok(Some(format!(
            "whether {} has a new value cannot be seen: give the old one (--value -)",
            secret.name
        )));
    }
    let names = [secret.name.clone()];
    let session = Session::open(run.context)?;
    let resolution = session.values(Selection::Names(&names))?;
    let value = resolution.value(&secret.name);
    let is_old = value.is_some_and(|value| {
        run.sought.matchers.iter().any(|matcher| !matcher.search(value.expose().trim_ascii()).is_empty())
    });
    if is_old {
        return Ok(Some(format!("{} has its old value still", secret.name)));
    }
    let said = if value.is_some() { "has a new value" } else { "has no value any more" };
    run.progress(StepKind::Rotate, evidence(&secret.name, said))?;
    Ok(None)
}

/// Rotates by the plan, waits until the new value is proven and in use, and ends what got out.
fn of_the_server(run: &mut Run<'_>, secret: &Leaked) -> Result<Option<String>, Failure> {
    let name = &secret.name;
    let Some(client) = run.client() else { return Ok(Some(format!("{name}: there is no server to ask"))) };
    let now = subject::look_up(client, name, secret.field.as_deref(), secret.version)?;
    if !now.has_plan {
        let said = match (now.state, now.current) {
            (LeakState::Live | LeakState::Unknown, _) => {
                return Ok(Some(format!(
                    "{name} has no plan, and its current version is the one that got out"
                )));
            }
            (_, Some(current)) => format!("version {current} is the current one"),
            (_, None) => "has no version any more".to_owned(),
        };
        run.progress(StepKind::Rotate, evidence(name, &said))?;
        return Ok(None);
    }
    let said = match now.state {
        LeakState::Replaced | LeakState::Deleted | LeakState::Destroyed => {
            let current = now.current.unwrap_or_default();
            format!(
                "version {current} is the current one; version {} is not valid",
                secret.version.unwrap_or_default()
            )
        }
        _ => match begin(client, &run.incident.id, &now)? {
            Begun::Ended => "its grace was ended".to_owned(),
            Begun::Rotation(id) => {
                let past = watch(run.context, client, name, &id)?;
                let error = past.get("error").and_then(Value::as_str).unwrap_or_default();
                if past.get("outcome").and_then(Value::as_str) != Some("promoted") {
                    return Ok(Some(format!("{name} was not rotated: {error}")));
                }
                let version = past.get("version").and_then(Value::as_u64).unwrap_or_default();
                format!("rotation {id}: version {version} is proven and in use")
            }
        },
    };
    run.progress(StepKind::Rotate, evidence(name, &said))?;
    Ok(None)
}

enum Begun {
    Rotation(String),
    /// The version that got out had been replaced, and is not valid any more.
    Ended,
}

/// Reports the leak; goes on with a rotation that is under way (of an earlier run, perhaps).
fn begin(client: &Client, incident: &str, secret: &Leaked) -> Result<Begun, Failure> {
    let name = &secret.name;
    let status = client
        .read(&format!("sys/rotation/status/{name}"), &[])
        .while_doing(|| format!("looking at the rotation of {name}"))?;
    let status = status.and_then(|status| status.data).unwrap_or_default();
    let note = format!("incident {incident}");
    let active = status.get("rotation").and_then(Value::as_object);
    if let Some(id) =
        active.filter(|active| is_ours(active, &note)).and_then(|active| active.get("id")?.as_str())
    {
        return Ok(Begun::Rotation(id.to_owned()));
    }
    if let Some(id) = rotated_before(client, secret, &note)? {
        return Ok(Begun::Rotation(id));
    }
    let mut body = json!({ "note": note });
    if secret.state == LeakState::Grace
        && let Some(body) = body.as_object_mut()
    {
        body.insert("version".to_owned(), secret.version.into());
    }
    let asked = client.write(&format!("sys/rotation/leak/{name}"), &body);
    let begun = match asked {
        // A plan may not want to rotate by itself on a leak: then it is asked for.
        Err(error) if error.server().is_some_and(|refusal| refusal.status == 400) => {
            let path = format!("sys/rotation/rotate/{name}");
            client.write(&path, &json!({ "note": note })).while_doing(|| format!("rotating {name}"))?
        }
        other => other.while_doing(|| format!("reporting the leak of {name}"))?,
    };
    let begun = begun.and_then(|begun| begun.data).unwrap_or_default();
    match begun.get("rotation").and_then(Value::as_str) {
        Some(id) => Ok(Begun::Rotation(id.to_owned())),
        None => Ok(Begun::Ended),
    }
}

/// The rotation by which an earlier run replaced the version: a grace that it left is not cut short.
fn rotated_before(client: &Client, secret: &Leaked, note: &str) -> Result<Option<String>, Failure> {
    let name = &secret.name;
    let past = client
        .read(&format!("sys/rotation/history/{name}"), &[])
        .while_doing(|| format!("looking at the rotations of {name}"))?;
    let past = past.and_then(|past| past.data).unwrap_or_default();
    let entries = past.get("rotations").and_then(Value::as_array);
    let of_this = |entry: &&Value| {
        entry.get("note").and_then(Value::as_str) == Some(note)
            && entry.get("outcome").and_then(Value::as_str) == Some("promoted")
            && entry.get("replaced_version").and_then(Value::as_u64) == secret.version
    };
    let found = entries.and_then(|entries| entries.iter().find(of_this)?.get("id")?.as_str());
    Ok(found.map(str::to_owned))
}

fn is_ours(active: &Map<String, Value>, note: &str) -> bool {
    active.get("note").and_then(Value::as_str) == Some(note)
}
