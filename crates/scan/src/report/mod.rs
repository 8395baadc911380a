//! Reports: what was found, for people and for programs.

mod github;
mod gitleaks;
mod go_text;
mod html;
mod human;
mod native;
mod record;
mod redaction;
mod summary;
mod template;

use crate::located::{Located, Statistics};
pub(crate) use record::Record;
pub use record::date as date_of;
pub use redaction::Redaction;
use std::io::{self, Write};
use strongroom_detect::{Confidence, RuleSet};
use strongroom_secret::Timestamp;
pub use summary::{Exit, Summary};
pub use template::{Template, TemplateError};

/// Everything that a report can say.
#[derive(Debug)]
pub struct Report<'a> {
    pub findings: &'a [Located],
    pub rules: &'a RuleSet,
    pub statistics: &'a Statistics,
    pub redaction: Redaction,
    pub tool: Tool<'a>,
}

/// Under whose name a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool<'a> {
    /// As gitleaks writes it, byte for byte.
    Gitleaks,
    Strongroom {
        version: &'a str,
    },
}

impl Tool<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Gitleaks => "gitleaks",
            Self::Strongroom { .. } => "strongroom",
        }
    }

    /// gitleaks gives the same one in all versions.
    fn version(&self) -> &str {
        match self {
            Self::Gitleaks => "v8.0.0",
            Self::Strongroom { version } => version,
        }
    }

    fn address(&self) -> &str {
        match self {
            Self::Gitleaks => "https://github.com/gitleaks/gitleaks",
            Self::Strongroom { .. } => "",
        }
    }
}

/// The form of a report.
#[derive(Debug)]
pub enum Format<'a> {
    /// For a terminal; the caller says whether it shows colours.
    Human(Colour),
    /// One document: findings, counts, what was skipped.
    Json,
    /// One finding a line.
    JsonLines,
    /// gitleaks' JSON, which is also its baseline.
    GitleaksJson,
    /// gitleaks' columns.
    Csv,
    Junit,
    Sarif,
    /// One file for a browser, which loads nothing else.
    Html,
    /// Workflow commands of GitHub Actions, shown beside the lines of a change.
    GithubAnnotations,
    /// A user's template, with the time that its `now` is.
    Template(&'a Template, Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Plain,
    Ansi,
}

/// Writes a report.
pub fn write(report: &Report<'_>, format: &Format<'_>, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Human(colour) => human::write(report, *colour, out),
        Format::Json => native::json(report, out),
        Format::JsonLines => native::json_lines(report, out),
        Format::GitleaksJson => gitleaks::json(report, out),
        Format::Csv => gitleaks::csv(report, out),
        Format::Junit => gitleaks::junit(report, out),
        Format::Sarif => gitleaks::sarif(report, out),
        Format::Html => html::write(report, out),
        Format::GithubAnnotations => github::write(report, out),
        Format::Template(template, now) => template.write(report, *now, out),
    }
}

/// The three levels that SARIF and GitHub know.
fn level(record: &Record<'_>) -> &'static str {
    match record.located.finding.confidence {
        Confidence::Low => "note",
        Confidence::Medium => "warning",
        Confidence::High | Confidence::Verified => "error",
    }
}

#[cfg(test)]
mod tests;
