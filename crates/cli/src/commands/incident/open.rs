//! `incident open`: gathers what is known.

use super::OpenArgs;
use super::desk::Desk;
use super::subject::Subject;
use super::{accesses, history, show, store, values};
use crate::commands::clean_path;
use crate::commands::project::manifest_path;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::values::StandardInput;
use serde::Deserialize;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use strongroom_kernel::incident::Sighting;
use strongroom_project::manifest::Manifest;
use strongroom_secret::{SecretBytes, Timestamp};
use zeroize::Zeroizing;

const REPORT_BYTES_MAX: u64 = 256 << 20;
const VALUE_BYTES_MAX: u64 = 64 << 10;

pub fn run(context: &Context, args: &OpenArgs) -> Result<ExitCode, Failure> {
    if args.name.is_none() && args.value.is_none() && args.report.is_none() {
        return Err(Failure::usage("what got out? A secret's name, --value - or --report FILE says it")
            .hint("strongroom incident open secret/app/db#password"));
    }
    let desk = Desk::of(context, &args.place)?;
    let mut subject = Subject::default();
    if let Some(report) = &args.report
        && let Some(known) = take_report(report, args.finding.as_deref(), &mut subject)?
    {
        store::take_known(desk.client(), &known, &mut subject)?;
    }
    if let Some(name) = &args.name {
        take_name(context, &desk, args, name, &mut subject)?;
    }
    if let Some(value) = &args.value {
        subject.take_value(context, read_value(value)?)?;
    }
    if let Some(client) = desk.client() {
        store::ask(client, &mut subject)?;
    }
    subject.facts.leases.extend(args.leases.iter().cloned());
    subject.facts.accessors.extend(args.accessor.iter().cloned());
    look_around(context, &desk, args, &mut subject)?;
    let title = title(args, &subject);
    let incident = desk.open(&title, subject.facts)?;
    values::keep(context, &incident, &subject.values)?;
    if context.output.is_table() && !context.project().quiet {
        context
            .output
            .note(&format!("opened {}; next: strongroom incident run {}", incident.id, incident.id));
    }
    show::shown(context, &incident)
}

/// Where it was seen, and who read it.
fn look_around(
    context: &Context,
    desk: &Desk,
    args: &OpenArgs,
    subject: &mut Subject,
) -> Result<(), Failure> {
    match history::repository(args.repository.as_deref()) {
        _ if args.no_history => {}
        Some(path) if subject.values.is_empty() => {
            let mut found = std::mem::take(&mut subject.facts.findings);
            // The report may be of another repository.
            let located = history::locate(&path, &mut found);
            subject.facts.findings = found;
            if let Err(error) = located {
                subject.unknown(format!("which branches hold it: {}", error.message()));
            }
        }
        Some(path) => history::search(context, &path, subject)?,
        None => {
            subject.unknown("since when it could have been read: there is no repository here (--repository)")
        }
    }
    match desk.client() {
        Some(client) => accesses::gather(context, client, &args.audit, subject),
        None => {
            subject.unknown("who read it: there is no server that would have kept a record");
            Ok(())
        }
    }
}

/// A secret's name: the manifest's, where it declares one, else the server's.
fn take_name(
    context: &Context,
    desk: &Desk,
    args: &OpenArgs,
    name: &str,
    subject: &mut Subject,
) -> Result<(), Failure> {
    let (path, field) = match clean_path(name).split_once('#') {
        Some((path, field)) => (path, Some(field)),
        None => (clean_path(name), None),
    };
    if is_declared(context, path) {
        return subject.take_from_project(context, path);
    }
    match desk.client() {
        Some(client) => subject.take_from_server(client, path, field, args.version),
        None => {
            Err(Failure::missing(format!("no manifest here declares {path}, and there is no server to ask"))
                .hint("a token says that there is one: strongroom login, or STRONGROOM_TOKEN"))
        }
    }
}

fn is_declared(context: &Context, name: &str) -> bool {
    let manifest = manifest_path(context).ok().and_then(|path| Manifest::load(&path).ok());
    manifest.is_some_and(|manifest| manifest.secret(name).is_some())
}

pub fn read_value(word: &str) -> Result<SecretBytes, Failure> {
    if word != "-" {
        return Err(Failure::usage("a value is given on standard input alone: --value -").hint(
            "what stands on a command line can be seen by others, and stays in the shell's history: change that value",
        ));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    StandardInput::new()
        .take(VALUE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::other(format!("cannot read the value: {error}")))?;
    if bytes.len() as u64 > VALUE_BYTES_MAX {
        return Err(Failure::usage(format!("the value has more than {VALUE_BYTES_MAX} bytes")));
    }
    match bytes.trim_ascii() {
        [] => Err(Failure::usage("the value on standard input is empty")),
        value => Ok(SecretBytes::new(value.to_vec())),
    }
}

/// The members of our own reports that are looked at.
#[derive(Deserialize)]
struct ReportJson {
    version: u64,
    findings: Vec<FindingJson>,
}

#[derive(Deserialize)]
struct FindingJson {
    rule: String,
    path: String,
    #[serde(default)]
    start_line: u64,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    object: String,
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    known: Option<KnownJson>,
    #[serde(default)]
    commit: Option<CommitJson>,
}

/// What a scan with `--known` says of a value of a server's store.
#[derive(Deserialize)]
pub struct KnownJson {
    pub tag: String,
    #[serde(default)]
    pub server: String,
    /// What the server said when it was scanned.
    #[serde(default)]
    pub places: Vec<Value>,
}

#[derive(Deserialize)]
struct CommitJson {
    id: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    date: String,
}

fn take_report(
    path: &Path,
    wanted: Option<&str>,
    subject: &mut Subject,
) -> Result<Option<KnownJson>, Failure> {
    let bytes = strongroom_project::files::read(path, REPORT_BYTES_MAX)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let shown = path.display();
    let report: ReportJson = serde_json::from_slice(bytes.expose()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::usage(format!("{shown} is no report of ours: line {line} column {column}"))
            .hint("strongroom scan … --format json writes one")
    })?;
    if report.version != 1 {
        return Err(Failure::usage(format!(
            "{shown} is of version {}: this program knows 1",
            report.version
        )));
    }
    let finding = pick(report.findings, wanted).map_err(|error| error.prefixed(&shown.to_string()))?;
    let known = finding.known.filter(|known| !known.server.is_empty());
    if known.is_none() {
        // An index that no server made names what it knows.
        for note in &finding.notes {
            subject.unknown(format!("what was found was said to be {note}"));
        }
    }
    let commit = finding.commit;
    subject.facts.findings.push(Sighting {
        path: finding.path,
        line: finding.start_line,
        rule: finding.rule,
        fingerprint: finding.fingerprint,
        author: commit
            .as_ref()
            .map(|commit| format!("{} <{}>", commit.author, commit.email))
            .unwrap_or_default(),
        date: commit.as_ref().and_then(|commit| Timestamp::parse_rfc3339(&commit.date)),
        commit: commit.map(|commit| commit.id).unwrap_or_default(),
        origin: finding.origin,
        object: finding.object,
        ..Sighting::default()
    });
    Ok(known)
}

/// Findings that are named where none was chosen.
const LISTED_MAX: usize = 10;

fn pick(mut findings: Vec<FindingJson>, wanted: Option<&str>) -> Result<FindingJson, Failure> {
    let count = findings.len();
    let position = match wanted {
        None => match only_one(&findings) {
            Some(position) => Some(position),
            None if count == 0 => return Err(Failure::missing("there is no finding in it")),
            None => return Err(which_one(&findings)),
        },
        Some(wanted) => {
            let by_name = findings.iter().position(|finding| finding.fingerprint == wanted);
            by_name.or_else(|| wanted.parse::<usize>().ok()?.checked_sub(1).filter(|number| *number < count))
        }
    };
    match position {
        Some(position) => Ok(findings.swap_remove(position)),
        None => {
            Err(Failure::new(Kind::Missing, format!("there is no finding {}", wanted.unwrap_or_default())))
        }
    }
}

/// The one that there is; of several of one line the one that names a secret of a store, if one does.
fn only_one(findings: &[FindingJson]) -> Option<usize> {
    let first = findings.first()?;
    let is_there = |finding: &FindingJson| {
        (&finding.path, finding.start_line, finding.commit.as_ref().map(|commit| &commit.id))
            == (&first.path, first.start_line, first.commit.as_ref().map(|commit| &commit.id))
    };
    let mut known = (0..).zip(findings).filter(|(_, finding)| finding.known.is_some());
    match (findings.len(), known.next(), known.next()) {
        (1, ..) => Some(0),
        (_, Some((position, _)), None) if findings.iter().all(is_there) => Some(position),
        _ => None,
    }
}

fn which_one(findings: &[FindingJson]) -> Failure {
    let mut listed = String::new();
    for (number, finding) in (1..).zip(findings).take(LISTED_MAX) {
        let FindingJson { rule, path, start_line, .. } = finding;
        listed.push_str(&format!("; {number} is {rule} in {path}:{start_line}"));
    }
    if findings.len() > LISTED_MAX {
        listed.push_str(&format!("; and {} more", findings.len() - LISTED_MAX));
    }
    Failure::usage(format!("there are {} findings: which one? --finding NUMBER{listed}", findings.len()))
}

fn title(args: &OpenArgs, subject: &Subject) -> String {
    if let Some(title) = &args.title {
        return title.clone();
    }
    let names: Vec<&str> = subject.facts.secrets.iter().map(|secret| secret.name.as_str()).collect();
    let what = if names.is_empty() { "a secret".to_owned() } else { names.join(", ") };
    match subject.facts.findings.first() {
        Some(seen) if !seen.path.is_empty() => format!("{what} got out in {}", seen.path),
        _ => format!("{what} got out"),
    }
}
