//! Who read a secret, by the audit log.

use super::subject::Subject;
use crate::context::Context;
use crate::failure::Failure;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use strongroom_api::client::Client;
use strongroom_kernel::audit::{Match, Outcome, Query, RecordKind, Search};
use strongroom_kernel::incident::Access;
use strongroom_secret::Timestamp;

/// More accesses are counted and not kept: the newest stay.
const ACCESSES_MAX: usize = 500;
/// Pieces of a log that are asked for, of 16 MiB each.
const PIECES_MAX: u32 = 4096;

/// Looks for everything that was done with the subject's secrets: in files that are named, else by the server in its own audit file,
/// else in that file, where it can be read here.
pub fn gather(
    context: &Context,
    client: &Client,
    named: &[PathBuf],
    subject: &mut Subject,
) -> Result<(), Failure> {
    let names: Vec<String> = subject.facts.secrets.iter().map(|secret| secret.name.clone()).collect();
    let mut paths = Vec::new();
    for name in &names {
        paths.push(client.kv_mount(name)?.api_path(name, "data"));
    }
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        return Ok(());
    }
    let place = match named {
        [] => match by_server(client, &paths, subject)? {
            Some(device) => format!("the server's audit device {device}"),
            None => match files_of(client) {
                Some(file) => by_files(&[file], &paths, subject)?,
                None => {
                    subject.unknown(
                        "who read it: this token may not search the audit log (update and sudo on sys/audit-search), or the \
                         server writes no file; copies of its files: strongroom incident open … --audit FILE",
                    );
                    return Ok(());
                }
            },
        },
        files => by_files(files, &paths, subject)?,
    };
    if !context.project().quiet {
        let count = subject.facts.accesses.len();
        context.output.note(&format!("{count} accesses in {place}"));
    }
    Ok(())
}

fn by_files(files: &[PathBuf], paths: &[String], subject: &mut Subject) -> Result<String, Failure> {
    for path in paths {
        let (found, omitted) = read(files, path)?;
        subject.facts.accesses.extend(found.into_iter().map(access));
        subject.facts.accesses_omitted += omitted;
    }
    Ok(files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "))
}

/// An answer of `sys/audit-search`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Searched {
    device: String,
    matches: Vec<Record>,
    chain: Chain,
    cursor: String,
    more: bool,
    /// The file was rotated meanwhile.
    begin_again: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chain {
    broken: Option<String>,
    records_dropped: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    time: String,
    request_id: String,
    operation: String,
    path: String,
    display_name: String,
    entity_id: String,
    accessor: String,
    remote_address: String,
    error: String,
}

/// Asks the server; says which device it looked at. None where it does not do it for this token.
fn by_server(client: &Client, paths: &[String], subject: &mut Subject) -> Result<Option<String>, Failure> {
    let mut device = String::new();
    for path in paths {
        let (mut found, mut omitted) = (VecDeque::new(), 0);
        let (mut cursor, mut pieces) = (String::new(), 0_u32);
        loop {
            let body = json!({ "path": path, "kind": "response", "device": device, "cursor": cursor });
            let answer = match client.write("sys/audit-search", &body) {
                Ok(answer) => answer.and_then(|answer| answer.data).unwrap_or_default(),
                Err(error) if error.server().is_some() => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let answer: Searched = serde_json::from_value(Value::Object(answer))
                .map_err(|_| Failure::other("the server's answer is no search: is it of another version?"))?;
            device = answer.device;
            if answer.begin_again {
                (cursor, found, omitted) = (String::new(), VecDeque::new(), 0);
            } else {
                note_chain(&device, &answer.chain, subject);
                for record in answer.matches.into_iter().filter(|record| record.path == *path) {
                    found.extend(of_record(record));
                    if found.len() > ACCESSES_MAX {
                        found.pop_front();
                        omitted += 1;
                    }
                }
                cursor = answer.cursor;
            }
            pieces += 1;
            if pieces >= PIECES_MAX {
                subject.unknown(format!(
                    "who read it after that: the log of {device} is longer than was searched"
                ));
            }
            if pieces >= PIECES_MAX || !(answer.more || answer.begin_again) {
                break;
            }
        }
        subject.facts.accesses.extend(found);
        subject.facts.accesses_omitted += omitted;
    }
    Ok(Some(device))
}

fn note_chain(device: &str, chain: &Chain, subject: &mut Subject) {
    if let Some(broken) = &chain.broken {
        subject.unknown(format!("whether the audit log {device} says all: its chain is broken: {broken}"));
    }
    if chain.records_dropped > 0 {
        let count = chain.records_dropped;
        subject.unknown(format!("{count} records that the audit device {device} could not take"));
    }
}

fn of_record(record: Record) -> Option<Access> {
    Some(Access {
        time: Timestamp::parse_rfc3339(&record.time)?,
        who: record.display_name,
        entity: record.entity_id,
        accessor: record.accessor,
        from: record.remote_address,
        operation: record.operation,
        path: record.path,
        request: record.request_id,
        error: record.error,
    })
}

/// The file of one of the server's audit devices, if it can be read on this machine. One has all: several are copies of each other.
fn files_of(client: &Client) -> Option<PathBuf> {
    let devices = client.read("sys/audit", &[]).ok().flatten()?.data?;
    let file = |device: &Value| {
        let path = device.get("options")?.get("file_path")?.as_str()?;
        Some(PathBuf::from(path)).filter(|path| path.is_file() && File::open(path).is_ok())
    };
    devices.values().find_map(file)
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
    let mut found = VecDeque::new();
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
