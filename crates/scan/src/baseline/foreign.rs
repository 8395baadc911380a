//! Other scanners' lists of known findings that are lines of text, and gitleaks' reports.

use super::BaselineError;
use crate::located::Located;
use crate::report::{Record, Redaction};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::HashMap;
use strongroom_secret::SecretString;

/// A line of a file, and where it stood.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
}

/// `.gitleaksignore` and `.betterleaksignore`: fingerprints, `commit:file:rule:line` or `file:rule:line`.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    pub(super) lines: Vec<Line>,
    by_text: HashMap<String, usize>,
}

impl Fingerprints {
    /// A line that is no fingerprint matches nothing, as in gitleaks; it comes out as not used.
    pub(super) fn parse(text: &str) -> Self {
        let mut fingerprints = Self::default();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut parts: Vec<String> = line.split(':').map(str::to_owned).collect();
            let path = match parts.len() {
                3 => parts.first_mut(),
                4 => parts.get_mut(1),
                _ => None,
            };
            if let Some(path) = path {
                *path = path.replace('\\', "/");
            }
            fingerprints.by_text.entry(parts.join(":")).or_insert(fingerprints.lines.len());
            fingerprints.lines.push(Line { number: index + 1, text: line.to_owned() });
        }
        fingerprints
    }

    pub(super) fn position(&self, located: &Located, rule_id: &str) -> Option<usize> {
        let anywhere = format!("{}:{rule_id}:{}", located.path, located.finding.place.start_line);
        let found = self.by_text.get(&anywhere);
        found.or_else(|| self.by_text.get(&located.fingerprint(rule_id))).copied()
    }
}

/// `.gitallowed` (git-secrets): each line an extended regular expression. One that matches `file:line:content` allows it.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) lines: Vec<Line>,
    patterns: Vec<Regex>,
}

impl Allowed {
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, BaselineError> {
        let mut allowed = Self { lines: Vec::new(), patterns: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            let first = line.split_whitespace().next().unwrap_or("#");
            if first.starts_with('#') {
                continue;
            }
            let pattern = RegexBuilder::new(line).unicode(false).size_limit(4 << 20).build();
            let pattern = pattern.map_err(|error| BaselineError::Malformed {
                file: name.to_owned(),
                line: index + 1,
                message: error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
                advice: "write an extended regular expression, without back references and look-around",
            })?;
            allowed.patterns.push(pattern);
            allowed.lines.push(Line { number: index + 1, text: line.to_owned() });
        }
        Ok(allowed)
    }

    pub(super) fn position(&self, located: &Located) -> Option<usize> {
        let first = located.finding.place.start_line;
        let lines = located.finding.line.expose().split(|byte| *byte == b'\n');
        for (number, line) in (first..).zip(lines) {
            let mut shown = format!("{}:{number}:", located.path).into_bytes();
            shown.extend_from_slice(line);
            if let Some(found) = self.patterns.iter().position(|pattern| pattern.is_match(&shown)) {
                return Some(found);
            }
        }
        None
    }
}

/// The values in a `.secretsignore` (ripsecrets), after the line `[secrets]`. What stands before it are paths, which the
/// walk of the files leaves out.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) lines: Vec<usize>,
    values: Vec<SecretString>,
}

impl Values {
    pub(super) fn parse(text: &str) -> Self {
        let mut values = Self::default();
        let lines = text.lines().enumerate().skip_while(|(_, line)| line.trim_end() != "[secrets]").skip(1);
        for (index, line) in lines {
            if !line.is_empty() && !line.starts_with('#') {
                values.lines.push(index + 1);
                values.values.push(SecretString::from(line));
            }
        }
        values
    }

    pub(super) fn position(&self, located: &Located) -> Option<usize> {
        let secret = located.finding.secret.expose();
        self.values.iter().position(|value| value.expose().as_bytes() == secret)
    }
}

/// An entry of a gitleaks report in JSON. Go takes what is missing as empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ReportEntry {
    #[serde(rename = "RuleID")]
    rule_id: String,
    #[serde(rename = "Description")]
    description: String,
    #[serde(rename = "StartLine")]
    start_line: u64,
    #[serde(rename = "EndLine")]
    end_line: u64,
    #[serde(rename = "StartColumn")]
    start_column: u64,
    #[serde(rename = "EndColumn")]
    end_column: u64,
    #[serde(rename = "Match")]
    matched: SecretText,
    #[serde(rename = "Secret")]
    secret: SecretText,
    #[serde(rename = "File")]
    file: String,
    #[serde(rename = "Commit")]
    commit: String,
    #[serde(rename = "Entropy")]
    entropy: f32,
    #[serde(rename = "Author")]
    author: String,
    #[serde(rename = "Email")]
    email: String,
    #[serde(rename = "Date")]
    date: String,
    #[serde(rename = "Message")]
    message: String,
}

#[derive(Default)]
struct SecretText(SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::new(text)))
    }
}

/// What is compared apart from the values: all that gitleaks compares, fingerprints left out.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity {
    rule_id: String,
    description: String,
    places: [u64; 4],
    file: String,
    commit: String,
    author: String,
    email: String,
    date: String,
    message: String,
    entropy: u32,
}

/// A gitleaks report, used as a baseline.
#[derive(Debug, Default)]
pub(super) struct GitleaksReport {
    by_identity: HashMap<Identity, Vec<usize>>,
    values: Vec<(SecretString, SecretString)>,
    pub(super) names: Vec<String>,
}

impl GitleaksReport {
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, BaselineError> {
        let entries: Option<Vec<ReportEntry>> = serde_json::from_str(text)
            .map_err(|error| super::malformed_json(&error, name, "a gitleaks report"))?;
        let mut report = Self::default();
        for entry in entries.unwrap_or_default() {
            let index = report.values.len();
            report.names.push(format!("{}:{}:{}", entry.file, entry.rule_id, entry.start_line));
            let identity = Identity {
                rule_id: entry.rule_id,
                description: entry.description,
                places: [entry.start_line, entry.end_line, entry.start_column, entry.end_column],
                file: entry.file,
                commit: entry.commit,
                author: entry.author,
                email: entry.email,
                date: entry.date,
                message: entry.message,
                entropy: entry.entropy.to_bits(),
            };
            report.by_identity.entry(identity).or_default().push(index);
            report.values.push((entry.matched.0, entry.secret.0));
        }
        Ok(report)
    }

    /// With a redaction, gitleaks does not compare values: the report may have been redacted too.
    pub(super) fn position(&self, record: &Record<'_>, redaction: Redaction) -> Option<usize> {
        let located = record.located;
        let place = located.finding.place;
        let identity = Identity {
            rule_id: record.rule_id.to_owned(),
            description: record.description.to_owned(),
            places: [place.start_line, place.end_line, place.start_column, place.end_column],
            file: located.path.clone(),
            commit: located.commit_id().to_owned(),
            author: record.author().to_owned(),
            email: record.email().to_owned(),
            date: record.date(),
            message: record.message(),
            entropy: (located.finding.entropy as f32).to_bits(),
        };
        let same = |text: &SecretString, bytes: &[u8]| text.expose() == String::from_utf8_lossy(bytes);
        self.by_identity.get(&identity)?.iter().copied().find(|index| {
            redaction != Redaction::Revealed
                || self.values.get(*index).is_some_and(|(matched, secret)| {
                    same(matched, located.finding.matched.expose())
                        && same(secret, located.finding.secret.expose())
                })
        })
    }
}
