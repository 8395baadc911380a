//! Our own JSON. Fields are added, never changed or taken away, while `version` is 1.

use super::record::date;
use super::redaction::hint;
use super::{Record, Redaction, Report, Summary};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use strongroom_detect::Finding;

#[derive(Serialize)]
pub(super) struct FindingJson<'a> {
    rule: &'a str,
    description: &'a str,
    severity: &'static str,
    confidence: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    link_path: &'a str,
    start_line: u64,
    start_column: u64,
    end_line: u64,
    end_column: u64,
    origin: String,
    /// A hint unless values are revealed.
    secret: String,
    #[serde(skip_serializing_if = "Option::is_none", rename = "match")]
    matched: Option<String>,
    entropy: f64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    decoded_from: &'a [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<KnownJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<CommitJson<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    object: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    link: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    further: u64,
    fingerprint: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    remediation: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    references: &'a [String],
}

/// A value of the store.
#[derive(Serialize)]
pub(super) struct KnownJson<'a> {
    tag: &'a str,
    form: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    /// What the server says of it.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    resolved: Option<&'a serde_json::Value>,
}

#[derive(Serialize)]
struct CommitJson<'a> {
    id: &'a str,
    author: &'a str,
    email: &'a str,
    date: String,
    message: String,
}

#[derive(Serialize)]
struct SkippedJson<'a> {
    what: &'a str,
    reason: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

#[derive(Serialize)]
struct SummaryJson<'a> {
    findings: u64,
    by_rule: BTreeMap<&'a str, u64>,
    texts: u64,
    bytes: u64,
    commits: u64,
    not_looked_at: &'a BTreeMap<&'static str, u64>,
    passed_over: &'a BTreeMap<&'static str, u64>,
    ended_early: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

pub(super) fn finding<'a>(record: &'a Record<'_>, redaction: Redaction) -> FindingJson<'a> {
    let located = record.located;
    let found = &located.finding;
    let (secret, matched) = match redaction {
        Redaction::WHOLE => (hint(found.secret.expose()), None),
        _ => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(record.secret.expose()), Some(text(record.matched.expose())))
        }
    };
    FindingJson {
        rule: record.rule_id,
        description: record.description,
        severity: record.rule.map_or("", |rule| rule.severity.name()),
        confidence: found.confidence.name(),
        path: &located.path,
        link_path: &located.link_path,
        start_line: found.place.start_line,
        start_column: found.place.start_column,
        end_line: found.place.end_line,
        end_column: found.place.end_column,
        origin: format!("{:?}", located.origin).to_lowercase(),
        secret,
        matched,
        entropy: (found.entropy * 1000.0).round() / 1000.0,
        decoded_from: &found.decoded_from,
        tags: &found.tags,
        notes: &found.notes,
        known: known(found),
        commit: located.commit.as_deref().map(|commit| CommitJson {
            id: &commit.id,
            author: &commit.author,
            email: &commit.email,
            date: date(commit),
            message: record.message(),
        }),
        object: &located.object,
        link: &located.link,
        further: located.further,
        fingerprint: &record.fingerprint,
        remediation: record.rule.map_or("", |rule| &rule.remediation),
        references: record.rule.map_or(&[], |rule| &rule.references),
    }
}

pub(super) fn known(found: &Finding) -> Option<KnownJson<'_>> {
    found.known.as_deref().map(|known| KnownJson {
        tag: &known.tag,
        form: known.form,
        server: known.server.as_deref(),
        resolved: known.resolved.as_ref(),
    })
}

pub(super) fn json_lines(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    for record in report.records() {
        serde_json::to_writer(&mut *out, &finding(&record, report.redaction))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

pub(super) fn json(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"{\"version\":1,\"findings\":[")?;
    for (index, record) in report.records().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &finding(&record, report.redaction))?;
    }
    let summary = Summary::new(report.findings, report.rules, report.statistics);
    let summary = SummaryJson {
        findings: summary.findings,
        by_rule: summary.by_rule.iter().map(|(rule, count)| (rule.as_str(), *count)).collect(),
        texts: summary.texts,
        bytes: summary.bytes,
        commits: summary.commits,
        not_looked_at: &summary.left_out,
        passed_over: &summary.passed_over,
        ended_early: summary.ended_early,
    };
    out.write_all(b"\n],\n\"summary\":")?;
    serde_json::to_writer(&mut *out, &summary)?;
    let skipped: Vec<_> = report
        .statistics
        .skipped()
        .iter()
        .map(|skipped| SkippedJson {
            what: &skipped.what,
            reason: skipped.reason.word(),
            detail: &skipped.detail,
        })
        .collect();
    out.write_all(b",\n\"skipped\":")?;
    serde_json::to_writer(&mut *out, &skipped)?;
    out.write_all(b"}\n")
}
