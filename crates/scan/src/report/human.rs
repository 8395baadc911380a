use super::record::date;
use super::redaction::hint;
use super::{Colour, Record, Redaction, Report, Summary};
use std::collections::BTreeMap;
use std::io::{self, Write};
use strongroom_detect::Confidence;

const BOLD: &str = "1";
const RED: &str = "31";
const YELLOW: &str = "33";
const CYAN: &str = "36";
const DIM: &str = "2";
/// So much of a value is shown, when it is.
const VALUE_CHARACTERS_MAX: usize = 200;
const SKIPPED_SHOWN_MAX: usize = 20;

pub(super) fn write(report: &Report<'_>, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    let paint = |code: &str, text: &str| match colour {
        Colour::Plain => text.to_owned(),
        Colour::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
    };
    let mut advice: BTreeMap<&str, &str> = BTreeMap::new();
    for record in report.records() {
        finding(report, &record, &paint, out)?;
        if let Some(rule) = record.rule.filter(|rule| !rule.remediation.is_empty()) {
            advice.insert(rule.id.as_str(), rule.remediation.as_str());
        }
    }
    if !advice.is_empty() {
        writeln!(out, "{}", paint(BOLD, "What to do"))?;
        for (rule, text) in advice {
            writeln!(out, "  {}: {}", paint(CYAN, &printable(rule)), printable(text))?;
        }
        writeln!(out)?;
    }
    let summary = Summary::new(report.findings, report.rules, report.statistics);
    not_looked_at(report, out)?;
    if summary.by_rule.len() > 1 {
        for (rule, count) in &summary.by_rule {
            writeln!(out, "{count:>6}  {}", printable(rule))?;
        }
    }
    let code = if summary.findings == 0 { BOLD } else { RED };
    writeln!(out, "{}", paint(code, &summary.to_string()))
}

fn finding(
    report: &Report<'_>,
    record: &Record<'_>,
    paint: &dyn Fn(&str, &str) -> String,
    out: &mut dyn Write,
) -> io::Result<()> {
    let located = record.located;
    let found = &located.finding;
    let place = format!("{}:{}:{}", place_name(located), found.place.start_line, found.place.start_column);
    let code = match found.confidence {
        Confidence::Low => DIM,
        Confidence::Medium => YELLOW,
        Confidence::High | Confidence::Verified => RED,
    };
    writeln!(
        out,
        "{}  {}  {}",
        paint(BOLD, &printable(&place)),
        paint(CYAN, &printable(record.rule_id)),
        paint(code, found.confidence.name())
    )?;
    let value = match report.redaction {
        Redaction::WHOLE => hint(found.secret.expose()),
        _ => String::from_utf8_lossy(record.secret.expose()).chars().take(VALUE_CHARACTERS_MAX).collect(),
    };
    write!(out, "    {}", paint(YELLOW, &printable(&value)))?;
    if !found.decoded_from.is_empty() {
        write!(out, ", decoded from {}", found.decoded_from.join(" in "))?;
    }
    writeln!(out)?;
    if !record.description.is_empty() {
        writeln!(out, "    {}", printable(record.description))?;
    }
    if !found.notes.is_empty() {
        writeln!(out, "    {}", printable(&found.notes.join(", ")))?;
    }
    if let Some(commit) = located.commit.as_deref() {
        let title = record.message();
        let title = title.lines().next().unwrap_or_default();
        let short = commit.id.get(..12).unwrap_or(&commit.id);
        let who = printable(&format!("{} <{}>  {title}", commit.author, commit.email));
        writeln!(out, "    commit {short}  {}  {who}", date(commit))?;
    }
    if !located.link.is_empty() {
        writeln!(out, "    {}", printable(&located.link))?;
    }
    if located.further > 0 {
        writeln!(out, "    and at {} more places", located.further)?;
    }
    writeln!(out)
}

/// A stream and an object without a path need a name.
fn place_name(located: &crate::Located) -> &str {
    match (located.path.as_str(), located.object.as_str()) {
        ("", "") => "(stream)",
        ("", object) => object,
        (path, _) => path,
    }
}

fn not_looked_at(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    use crate::SkipReason::{Allowed, Binary, Link};
    let skipped: Vec<_> = report
        .statistics
        .skipped()
        .iter()
        .filter(|skipped| !matches!(skipped.reason, Allowed | Binary | Link))
        .collect();
    for skipped in skipped.iter().take(SKIPPED_SHOWN_MAX) {
        let what = printable(&format!("{}: {} {}", skipped.what, skipped.reason, skipped.detail));
        writeln!(out, "not looked at: {}", what.trim_end())?;
    }
    if skipped.len() > SKIPPED_SHOWN_MAX {
        writeln!(out, "not looked at: and {} more", skipped.len() - SKIPPED_SHOWN_MAX)?;
    }
    Ok(())
}

/// Names come from outside: a terminal must not be told anything by them.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(' '),
            control if control.is_control() => out.push('\u{fffd}'),
            // Marks that turn the direction of writing make one name look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
