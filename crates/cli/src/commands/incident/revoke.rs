//! The step `revoke`: versions, leases and tokens end.

use super::run::{Outcome, Run};
use super::{evidence, subject};
use crate::failure::{Doing, Failure};
use serde_json::json;
use strongroom_api::client::KvVersion;
use strongroom_kernel::incident::{LeakState, Leaked, StepKind};

pub fn plan(run: &Run<'_>) -> String {
    let facts = &run.incident.facts;
    let mut parts = Vec::new();
    if run.client().is_some() {
        let verb = if run.args.destroy { "destroys" } else { "deletes" };
        let old = facts.secrets.iter().filter_map(|secret| Some((secret, secret.version?)));
        parts.extend(old.map(|(secret, version)| {
            format!("{verb} version {version} of {}, unless it is the current one", secret.name)
        }));
        parts.extend(facts.leases.iter().map(|prefix| format!("ends the leases below {prefix}")));
        parts.extend(facts.accessors.iter().map(|accessor| format!("ends the token of {accessor}")));
    }
    if parts.is_empty() { "nothing that could be revoked here is known".to_owned() } else { parts.join("; ") }
}

pub fn revoke(run: &mut Run<'_>) -> Result<Outcome, Failure> {
    let facts = run.incident.facts.clone();
    if run.client().is_none() {
        return Ok(Outcome::failed(
            "there is no server that could end anything",
            "end the value where it is used, and say so: strongroom incident step ID revoke --done \"…\"",
        ));
    }
    let mut kept = Vec::new();
    let mut is_any = false;
    for prefix in &facts.leases {
        is_any = true;
        leases(run, prefix)?;
    }
    for accessor in &facts.accessors {
        is_any = true;
        token(run, accessor)?;
    }
    for secret in facts.secrets.iter().filter(|secret| secret.version.is_some()) {
        is_any = true;
        kept.extend(version(run, secret)?);
    }
    if !is_any {
        return Ok(Outcome::Nothing("no version, lease or token is known that could end".to_owned()));
    }
    match kept.is_empty() {
        true => Ok(Outcome::Done(Vec::new())),
        false => Ok(Outcome::failed(
            kept.join("; "),
            "rotate first: strongroom incident run ID --only rotate; or --revoke-current takes it from those who use it",
        )),
    }
}

/// Ends a version; says why not, where it is the one that is in use.
fn version(run: &mut Run<'_>, secret: &Leaked) -> Result<Option<String>, Failure> {
    let destroy = run.args.destroy;
    let Some(number) = secret.version else { return Ok(None) };
    let Some(client) = run.client() else { return Ok(None) };
    let now = subject::look_up(client, &secret.name, secret.field.as_deref(), Some(number))?;
    let mount = client.kv_mount(&secret.name)?;
    if mount.version == KvVersion::One {
        return Ok(Some(format!("{} keeps no versions: write a new value", secret.name)));
    }
    let said = match now.state {
        LeakState::Destroyed => "was destroyed before",
        LeakState::Deleted if !destroy => "was deleted before",
        LeakState::Live if !run.args.revoke_current => {
            return Ok(Some(format!("version {number} of {} is the current one", secret.name)));
        }
        LeakState::Unknown => "is not kept any more",
        _ => {
            let section = if destroy { "destroy" } else { "delete" };
            client
                .write(&mount.api_path(&secret.name, section), &json!({ "versions": [number] }))
                .while_doing(|| format!("ending version {number} of {}", secret.name))?;
            if destroy { "destroyed" } else { "deleted; undelete would bring it back" }
        }
    };
    run.progress(StepKind::Revoke, evidence(&format!("{} version {number}", secret.name), said))?;
    Ok(None)
}

fn leases(run: &mut Run<'_>, prefix: &str) -> Result<(), Failure> {
    let Some(client) = run.client() else { return Ok(()) };
    let path = format!("sys/leases/revoke-prefix/{}", prefix.trim_matches('/'));
    client
        .write(&path, &json!({ "sync": true }))
        .while_doing(|| format!("ending the leases below {prefix}"))?;
    run.progress(StepKind::Revoke, evidence(&format!("leases below {prefix}"), "ended"))
}

fn token(run: &mut Run<'_>, accessor: &str) -> Result<(), Failure> {
    let Some(client) = run.client() else { return Ok(()) };
    let ended = client.write("auth/token/revoke-accessor", &json!({ "accessor": accessor }));
    let said = match ended {
        Ok(_) => "ended, with all that was made under it",
        // Of a token that is gone the accessor is unknown.
        Err(error) if error.server().is_some_and(|refusal| matches!(refusal.status, 400 | 404)) => {
            "was gone before"
        }
        Err(error) => return Err(Failure::from(error).doing(format!("ending the token of {accessor}"))),
    };
    run.progress(StepKind::Revoke, evidence(&format!("token of {accessor}"), said))
}
