//! `status`: 0 unsealed, 2 sealed.

use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::persona::Face;
use serde_json::{Map, Value};
use std::process::ExitCode;
use strongroom_api::client::{Client, ServerErrorKind};
use strongroom_api::{Leader, SealStatus};

pub fn run(context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let status = client.seal_status().while_doing(|| "checking seal status".to_owned());
    let status = status.map_err(|failure| for_status(context, failure))?;
    print(context, &client, &status)?;
    Ok(if status.sealed { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

/// `vault status` says 1 where other commands say 2.
fn for_status(context: &Context, failure: Failure) -> Failure {
    match context.output.face {
        Face::Vault => failure.exit_code(1),
        Face::Native => failure,
    }
}

/// The state of the seal with that of the cluster, as `status` and `operator unseal` print it.
pub fn print(context: &Context, client: &Client, status: &SealStatus) -> Result<ExitCode, Failure> {
    let leader = match client.leader() {
        Ok(leader) => leader,
        Err(error) if error.kind() == Some(ServerErrorKind::Sealed) => {
            Leader { ha_enabled: true, ..Leader::default() }
        }
        Err(_) => Leader::default(),
    };
    if context.output.is_table() && context.output.field.is_none() {
        return context.output.table(&["Key", "Value"], &rows(status, &leader));
    }
    let mut merged = Map::new();
    for part in [serde_json::to_value(status), serde_json::to_value(&leader)] {
        if let Ok(Value::Object(fields)) = part {
            merged.extend(fields);
        }
    }
    context.output.map(&merged)
}

fn rows(status: &SealStatus, leader: &Leader) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut add = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    add("Seal Type", status.seal_type.clone());
    let recovery = if status.recovery_seal { "Recovery " } else { "" };
    add("Initialized", status.initialized.to_string());
    add("Sealed", status.sealed.to_string());
    add(&format!("Total {recovery}Shares"), status.n.to_string());
    add("Threshold", status.t.to_string());
    if status.sealed {
        add("Unseal Progress", format!("{}/{}", status.progress, status.t));
        add("Unseal Nonce", status.nonce.clone());
    }
    if status.migration {
        add("Seal Migration in Progress", "true".to_owned());
    }
    for (name, value) in [
        ("Version", &status.version),
        ("Build Date", &status.build_date),
        ("Storage Type", &status.storage_type),
        ("Cluster Name", &status.cluster_name),
        ("Cluster ID", &status.cluster_id),
    ] {
        if !value.is_empty() {
            add(name, value.clone());
        }
    }
    add("HA Enabled", leader.ha_enabled.to_string());
    if leader.ha_enabled && !status.sealed {
        add("HA Cluster", leader.leader_cluster_address.clone());
        add("HA Mode", if leader.is_self { "active" } else { "standby" }.to_owned());
        if leader.is_self && !leader.active_time.is_empty() {
            add("Active Since", leader.active_time.clone());
        }
        if !leader.is_self && !leader.leader_address.is_empty() {
            add("Active Node Address", leader.leader_address.clone());
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_server_shows_its_progress() {
        let status = SealStatus {
            seal_type: "shamir".to_owned(),
            initialized: true,
            sealed: true,
            t: 3,
            n: 5,
            progress: 1,
            version: "1.14.8".to_owned(),
            storage_type: "memory".to_owned(),
            ..SealStatus::default()
        };
        let text = crate::output::columns(&["Key", "Value"], &rows(&status, &Leader::default()));
        insta::assert_snapshot!(text, @"
        Key                Value
        ---                -----
        Seal Type          shamir
        Initialized        true
        Sealed             true
        Total Shares       5
        Threshold          3
        Unseal Progress    1/3
        Unseal Nonce       n/a
        Version            1.14.8
        Storage Type       memory
        HA Enabled         false
        ");
    }
}
