//! What a report says, in the order in which it says it; the forms only set it.

use super::super::show;
use std::fmt::Write;
use strongroom_kernel::incident::{Access, Event, Incident, Sighting, Step, StepKind, StepState};
use strongroom_secret::Timestamp;

/// Rows of one table.
pub const ROWS_MAX: usize = 100;

/// A table: its title, its columns, its rows, and what is said where there are no rows.
pub struct Table {
    pub title: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
    pub without: &'static str,
    /// Rows that are not shown.
    pub more: u64,
}

/// One sentence on where it stands.
pub fn standing(incident: &Incident) -> String {
    let rotated = done(incident, StepKind::Rotate);
    let proven = done(incident, StepKind::Rescan);
    let value = match rotated {
        Some(at) => format!("The value was replaced at {at}."),
        None => "The value has not been replaced by this incident's steps.".to_owned(),
    };
    let gone = match proven {
        Some(at) => format!(" A search of everything at {at} found it nowhere."),
        None => " That it is gone from where it was seen has not been shown.".to_owned(),
    };
    value + &gone
}

/// From when to when the value could have been read and used.
pub fn window(incident: &Incident) -> (Option<Timestamp>, Option<Timestamp>) {
    (incident.exposed_since(), done(incident, StepKind::Rotate).or_else(|| done(incident, StepKind::Revoke)))
}

fn done(incident: &Incident, kind: StepKind) -> Option<Timestamp> {
    incident.step(kind).filter(|step| step.state == StepState::Done).and_then(|step| step.at)
}

/// The head of a report.
pub fn summary(incident: &Incident) -> Vec<(&'static str, String)> {
    let (since, until) = window(incident);
    let or_unknown =
        |time: Option<Timestamp>| time.map_or_else(|| "not known".to_owned(), |time| time.to_string());
    let in_window = |time: Timestamp| since.is_some_and(|since| time >= since);
    let accesses = &incident.facts.accesses;
    let exposed = accesses.iter().filter(|access| in_window(access.time)).count();
    let mut rows = vec![
        ("Incident", incident.id.clone()),
        ("State", incident.progress().as_str().to_owned()),
        ("Opened", format!("{} by {}", incident.opened, incident.opened_by)),
        ("Could have been read since", or_unknown(since)),
        ("Replaced or ended", or_unknown(until)),
        (
            "Accesses on record",
            format!(
                "{}, {exposed} of them since then",
                accesses.len() as u64 + incident.facts.accesses_omitted
            ),
        ),
    ];
    if let Some(closing) = &incident.closed {
        let forced = if closing.is_forced { " although steps were open" } else { "" };
        rows.push(("Closed", format!("{} by {}{forced}", closing.at, closing.by)));
        if !closing.note.is_empty() {
            rows.push(("What came of it", closing.note.clone()));
        }
    }
    rows
}

pub fn tables(incident: &Incident) -> Vec<Table> {
    let facts = &incident.facts;
    let readers =
        facts.readers.iter().map(|reader| vec![reader.kind.clone(), reader.name.clone(), reader.by.clone()]);
    let secrets = facts.secrets.iter().map(|secret| vec![show::secret(secret)]);
    let unknown = facts.unknown.iter().map(|text| vec![text.clone()]);
    let mut accesses = table(
        "Who read it",
        &["Time", "Who", "From", "What", "Outcome"],
        facts.accesses.iter().rev().map(access),
        "No record of an access was found.",
    );
    accesses.more += facts.accesses_omitted;
    vec![
        table("What got out", &["Secret"], secrets, "It is not known which secret it is."),
        table(
            "Where it was seen",
            &["Place", "Commit", "By", "Date", "Reachable from"],
            facts.findings.iter().map(sighting),
            "In no place that was looked at.",
        ),
        table("Who may read it", &["Kind", "Name", "By"], readers, "It is not known who may."),
        accesses,
        table("What is not known", &["Question"], unknown, "Nothing was left open."),
        table(
            "What was done",
            &["Step", "State", "By", "At", "What shows it"],
            incident.steps.iter().map(step),
            "",
        ),
        table("History", &["Time", "By", "What"], incident.events.iter().map(event), ""),
    ]
}

fn access(access: &Access) -> Vec<String> {
    let outcome = match access.error.as_str() {
        "" => "answered".to_owned(),
        error => format!("refused: {error}"),
    };
    let what = format!("{} {}", access.operation, access.path);
    vec![access.time.to_string(), access.who.clone(), access.from.clone(), what, outcome]
}

fn sighting(seen: &Sighting) -> Vec<String> {
    vec![
        format!("{}:{}", seen.path, seen.line),
        seen.commit.clone(),
        seen.author.clone(),
        seen.date.map(|date| date.to_string()).unwrap_or_default(),
        [seen.remotes.as_slice(), seen.refs.as_slice()].concat().join(", "),
    ]
}

fn event(event: &Event) -> Vec<String> {
    let step = event.step.map(|step| format!("{}: ", step.as_str())).unwrap_or_default();
    vec![event.at.to_string(), event.by.clone(), format!("{step}{}", event.text)]
}

fn table(
    title: &'static str,
    columns: &'static [&'static str],
    rows: impl Iterator<Item = Vec<String>>,
    without: &'static str,
) -> Table {
    let mut rows: Vec<Vec<String>> = rows.collect();
    let more = rows.len().saturating_sub(ROWS_MAX) as u64;
    rows.truncate(ROWS_MAX);
    Table { title, columns, rows, without, more }
}

fn step(step: &Step) -> Vec<String> {
    let shown: Vec<String> = step.evidence.iter().map(|one| format!("{}: {}", one.of, one.text)).collect();
    let reason = if step.reason.is_empty() { shown.join("; ") } else { step.reason.clone() };
    vec![
        step.kind.as_str().to_owned(),
        step.state.as_str().to_owned(),
        step.by.clone(),
        step.at.map(|at| at.to_string()).unwrap_or_default(),
        reason,
    ]
}

/// The text of a mail to those who are concerned.
pub fn mail(incident: &Incident) -> String {
    let mut text = format!("Subject: [incident {}] {}\n\n", incident.id, incident.title);
    let _ =
        writeln!(text, "A secret got out. This is what is known, as of revision {}.\n", incident.revision);
    for secret in &incident.facts.secrets {
        let _ = writeln!(text, "  * {}", show::secret(secret));
    }
    let (since, until) = window(incident);
    if let Some(since) = since {
        let _ = writeln!(text, "\nIt could have been read since {since}.");
    }
    match until {
        Some(until) => drop(writeln!(text, "It was replaced or ended at {until}.")),
        None => text.push_str("It has not been replaced yet.\n"),
    }
    text.push_str("\nWhat is done about it:\n");
    for step in &incident.steps {
        let reason = if step.reason.is_empty() { String::new() } else { format!(" ({})", step.reason) };
        let _ = writeln!(text, "  {:<12} {}{reason}", step.kind.as_str(), step.state.as_str());
    }
    if done(incident, StepKind::Purge).is_some() {
        text.push_str(
            "\nThe history of the repository was rewritten: clone it anew, do not push from an old clone.\n",
        );
    }
    text.push_str(
        "\nIf you use this secret, fetch it again. If you saw somebody else use it, answer this mail.\n",
    );
    text
}
