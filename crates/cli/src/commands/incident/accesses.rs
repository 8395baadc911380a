//! Who read a secret, by the audit files.

use super::subject::Subject;
use crate::context::Context;
use crate::failure::Failure;
use serde_json::Value;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use strongroom_api::client::Client;
use strongroom_kernel::audit::{Match, Outcome, Query, RecordKind, Search};
use strongroom_kernel::incident::Access;

/// More accesses are counted and not kept: the newest stay.
const ACCESSES_MAX: usize = 500;

/// Looks in audit files for everything that was done with the subject's secrets.
pub fn gather(
    context: &Context,
    client: &Client,
    named: &[PathBuf],
    subject: &mut Subject,
) -> Result<(), Failure> {
    let names: Vec<String> = subject.facts.secrets.iter().map(|secret| secret.name.clone()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let files = if named.is_empty() { files_of(client, subject) } else { named.to_vec() };
    if files.is_empty() {
        subject.unknown(
            "who read it: no audit file can be read here; on the server's machine: \
             strongroom incident open … --audit FILE, or strongroom audit query --path …",
        );
        return Ok(());
    }
    for name in names {
        let mount = client.kv_mount(&name)?;
        let path = mount.api_path(&name, "data");
        let (found, omitted) = read(&files, &path)?;
        subject.facts.accesses.extend(found.into_iter().map(access));
        subject.facts.accesses_omitted += omitted;
    }
    let listed = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    if !context.project().quiet {
        let count = subject.facts.accesses.len();
        context.output.note(&format!("{count} accesses in {listed}"));
    }
    Ok(())
}

/// The files of the server's audit devices that can be read on this machine.
fn files_of(client: &Client, subject: &mut Subject) -> Vec<PathBuf> {
    let Ok(Some(answer)) = client.read("sys/audit", &[]) else {
        subject.unknown("which audit files the server writes: this token may not list them");
        return Vec::new();
    };
    let devices = answer.data.unwrap_or_default();
    let file = |device: &Value| {
        let path = device.get("options")?.get("file_path")?.as_str()?;
        Some(PathBuf::from(path)).filter(|path| path.is_file() && File::open(path).is_ok())
    };
    // One file has all: several devices are copies of each other.
    devices.values().find_map(file).into_iter().collect()
}

/// The newest accesses to a path, and how many older ones there are.
fn read(files: &[PathBuf], path: &str) -> Result<(Vec<Match>, u64), Failure> {
    let open = |file: &PathBuf| {
        let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
        Ok::<_, Failure>((file.display().to_string(), BufReader::new(opened)))
    };
    let logs = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // One line a request: the record of its answer says all that the one before it said.
    let query = Query {
        path_prefix: Some(path.to_owned()),
        kind: Some(RecordKind::Response),
        outcome: Outcome::Any,
        ..Query::default()
    };
    let mut found = std::collections::VecDeque::new();
    let mut omitted = 0;
    for entry in Search::new(query, logs) {
        let entry = entry.map_err(|error| Failure::other(format!("cannot read the audit files: {error}")))?;
        if entry.path != path {
            continue;
        }
        found.push_back(entry);
        if found.len() > ACCESSES_MAX {
            found.pop_front();
            omitted += 1;
        }
    }
    Ok((found.into(), omitted))
}

fn access(found: Match) -> Access {
    Access {
        time: found.time,
        who: found.display_name,
        entity: found.entity_id,
        accessor: found.accessor,
        from: found.remote_address,
        operation: found.operation,
        path: found.path,
        request: found.request_id,
        error: found.error,
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::other(format!("cannot read {}: {error}", file.display()))
}
