//! Workflow commands of GitHub Actions: `::error file=…,line=…::message`
//! (docs.github.com, "Workflow commands for GitHub Actions").

use super::redaction::hint;
use super::{Record, Report, level};
use std::fmt::Write as _;
use std::io::{self, Write};

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    for record in report.records() {
        out.write_all(command(&record).as_bytes())?;
    }
    Ok(())
}

/// A value is never shown: logs of workflows are public, often.
fn command(record: &Record<'_>) -> String {
    let located = record.located;
    let place = located.finding.place;
    let name = match level(record) {
        "note" => "notice",
        other => other,
    };
    let mut text = format!("::{name} file={}", property(&located.path));
    let _ = write!(text, ",line={},endLine={}", place.start_line, place.end_line);
    // Columns are taken only for places within one line.
    if place.start_line == place.end_line {
        let _ = write!(text, ",col={},endColumn={}", place.start_column, place.end_column + 1);
    }
    let _ = write!(text, ",title={}::", property(record.rule_id));
    let mut message = format!("{} {}", record.description, hint(located.finding.secret.expose()));
    if !located.commit_id().is_empty() {
        let _ = write!(message, ", in commit {}", located.commit_id());
    }
    if let Some(rule) = record.rule.filter(|rule| !rule.remediation.is_empty()) {
        let _ = write!(message, "\n{}", rule.remediation);
    }
    text.push_str(&data(message.trim()));
    text.push('\n');
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
