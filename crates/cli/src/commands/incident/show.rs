//! `incident list` and `show`.

use super::desk::Desk;
use super::{IdArgs, PlaceArgs};
use crate::context::Context;
use crate::failure::Failure;
use serde_json::json;
use std::fmt::Write;
use std::process::ExitCode;
use strongroom_kernel::incident::{Incident, Leaked, Sighting, Step, StepState};
use strongroom_secret::Timestamp;

/// Rows of a list in a person's view.
const SHOWN_MAX: usize = 20;

pub fn list(context: &Context, place: &PlaceArgs) -> Result<ExitCode, Failure> {
    let all = Desk::all(context, place)?;
    if !context.output.is_table() {
        let list: Vec<_> = all
            .iter()
            .map(|(kept, incident)| {
                json!({
                    "id": incident.id,
                    "title": incident.title,
                    "state": incident.progress().as_str(),
                    "next": incident.next().map(|step| step.kind.as_str()),
                    "opened": incident.opened.rfc3339(),
                    "opened_by": incident.opened_by,
                    "kept_in": kept,
                    "revision": incident.revision,
                })
            })
            .collect();
        return context.output.structured(&list);
    }
    if all.is_empty() {
        return context.output.text("There are no incidents.\n");
    }
    let row = |(kept, incident): &(&'static str, Incident)| {
        let next = incident.next().map_or("-", |step| step.kind.as_str());
        let state = incident.progress().as_str();
        let texts = [&incident.id, state, next, &day(incident.opened), kept, &incident.title];
        texts.map(str::to_owned).to_vec()
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    context.output.table(&["Id", "State", "Next", "Opened", "Kept in", "Title"], &rows)
}

pub fn show(context: &Context, args: &IdArgs) -> Result<ExitCode, Failure> {
    let (_, incident) = Desk::find(context, &args.place, &args.id)?;
    shown(context, &incident)
}

/// The whole of an incident.
pub fn shown(context: &Context, incident: &Incident) -> Result<ExitCode, Failure> {
    match context.output.is_table() && context.output.field.is_none() {
        true => context.output.text(&text(incident)),
        false => as_data(context, incident),
    }
}

/// What a change came to: for people, the steps alone.
pub fn changed(context: &Context, incident: &Incident) -> Result<ExitCode, Failure> {
    match context.output.is_table() && context.output.field.is_none() {
        true => context.output.text(&steps(incident)),
        false => as_data(context, incident),
    }
}

fn as_data(context: &Context, incident: &Incident) -> Result<ExitCode, Failure> {
    let value = serde_json::to_value(incident).map_err(|error| Failure::other(error.to_string()))?;
    let serde_json::Value::Object(mut map) = value else { return Err(Failure::other("no object")) };
    map.insert("state".to_owned(), incident.progress().as_str().into());
    context.output.map(&map)
}

fn text(incident: &Incident) -> String {
    let mut text = format!(
        "{}  {}\n  {}, opened {} by {}\n",
        incident.id,
        incident.title,
        incident.progress().as_str(),
        incident.opened,
        incident.opened_by
    );
    let facts = &incident.facts;
    section(&mut text, "What got out", facts.secrets.iter().map(secret));
    if let Some(since) = incident.exposed_since() {
        let _ = writeln!(text, "\nIt could have been read since {since}");
    }
    section(&mut text, "Seen in", facts.findings.iter().map(sighting));
    let readers = facts.readers.iter().map(|reader| {
        let by = if reader.by.is_empty() { String::new() } else { format!(" ({})", reader.by) };
        format!("{} {}{by}", reader.kind, reader.name)
    });
    section(&mut text, "Who may read it", readers);
    let accesses = facts.accesses.iter().rev().map(|access| {
        let error =
            if access.error.is_empty() { String::new() } else { format!(" REFUSED: {}", access.error) };
        format!(
            "{} {} {} from {} {}{error}",
            access.time, access.who, access.operation, access.from, access.path
        )
    });
    section(&mut text, "Who did", accesses);
    section(&mut text, "Not known", facts.unknown.iter().cloned());
    text.push('\n');
    text.push_str(&steps(incident));
    let events = incident.events.iter().rev().map(|event| {
        let step = event.step.map(|step| format!("{}: ", step.as_str())).unwrap_or_default();
        format!("{} {} {step}{}", event.at, event.by, event.text)
    });
    section(&mut text, "History, the newest first", events);
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for line in lines.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "  {line}");
    }
    if lines.len() > SHOWN_MAX {
        let _ = writeln!(text, "  … and {} more (--json shows all)", lines.len() - SHOWN_MAX);
    }
}

/// A secret in a line.
pub fn secret(secret: &Leaked) -> String {
    let field = secret.field.as_ref().map(|field| format!("#{field}")).unwrap_or_default();
    let version = secret.version.map(|version| format!(" version {version}")).unwrap_or_default();
    let current = match (secret.version, secret.current) {
        (Some(version), Some(current)) if version != current => format!(", {current} is the current one"),
        _ => String::new(),
    };
    let kept =
        if secret.kept_by.is_empty() { String::new() } else { format!(", kept by {}", secret.kept_by) };
    let plan = if secret.has_plan { ", rotated by a plan" } else { "" };
    format!("{}{field}{version}: {}{current}{kept}{plan}", secret.name, secret.state.as_str())
}

/// A place in a line.
pub fn sighting(seen: &Sighting) -> String {
    let commit = match (seen.commit.get(..12), seen.date) {
        (Some(commit), Some(date)) => format!(", commit {commit} by {} of {date}", seen.author),
        (Some(commit), None) => format!(", commit {commit}"),
        (None, _) => String::new(),
    };
    let pushed = match seen.remotes.is_empty() {
        true => String::new(),
        false => format!(", on {}", seen.remotes.join(", ")),
    };
    format!("{}:{}{commit}{pushed}", seen.path, seen.line)
}

fn steps(incident: &Incident) -> String {
    let next = incident.next().map(|step| step.kind);
    let line = |step: &Step| {
        let mark = match step.state {
            StepState::Done => "[x]",
            StepState::Skipped => "[-]",
            StepState::Failed => "[!]",
            StepState::UnderWay => "[>]",
            StepState::Open => "[ ]",
        };
        let by = step.at.map(|at| format!(", {} {at}", step.by)).unwrap_or_default();
        let reason = if step.reason.is_empty() { String::new() } else { format!(": {}", step.reason) };
        let here = if next == Some(step.kind) { "  <- next" } else { "" };
        let mut text =
            format!("  {mark} {:<12} {}{reason}{by}{here}\n", step.kind.as_str(), step.state.as_str());
        for evidence in &step.evidence {
            let _ = writeln!(text, "        {}: {}", evidence.of, evidence.text);
        }
        text
    };
    let steps: String = incident.steps.iter().map(line).collect();
    format!("Steps of {}\n{steps}", incident.id)
}

fn day(time: Timestamp) -> String {
    time.rfc3339().get(..10).unwrap_or_default().to_owned()
}
