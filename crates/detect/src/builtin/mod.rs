//! The rules that come with the program. They are written in `rules/*.toml`, in the format that everybody can write theirs in
//! (docs/scan-rules.md); a build script makes constants of them, because reading them would take longer than a small scan.

mod check;
mod document;
#[cfg(test)]
mod tests;

pub use check::{Failed, Failure, check, check_examples};
pub use document::markdown;

use crate::assigned;
use crate::pattern::Pattern;
use crate::rule::{Allowlist, Origin, Rule, RuleSet, Severity, Target};
use crate::{Confidence, Structure};
use std::sync::Arc;

/// What a rule is made of when the program starts.
struct Entry {
    id: &'static str,
    description: &'static str,
    file: &'static str,
    severity: Severity,
    confidence: Confidence,
    keywords: &'static [&'static str],
    path: &'static str,
    regex: &'static str,
    names: &'static str,
    value: &'static str,
    entropy: f64,
    structure: &'static str,
    token_efficiency: bool,
    specificity: i64,
    remediation: &'static str,
    references: &'static [&'static str],
    allowlists: &'static [ListEntry],
}

struct ListEntry {
    description: &'static str,
    target: Target,
    paths: &'static [&'static str],
    regexes: &'static [&'static str],
    stopwords: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// The title of the set.
pub const TITLE: &str = "Strongroom's rules";

/// All rules that come with the program, without their examples.
pub fn rules() -> RuleSet {
    RuleSet {
        title: TITLE.to_owned(),
        rules: RULES.iter().map(Entry::rule).collect(),
        allowlists: GLOBAL_ALLOWLISTS.iter().map(ListEntry::allowlist).collect(),
        ..RuleSet::default()
    }
}

/// The files that the rules are written in: name and text. What is in them can be read as a configuration.
pub fn sources() -> &'static [(&'static str, &'static str)] {
    SOURCES
}

impl Entry {
    fn rule(&self) -> Rule {
        Rule {
            description: self.description.to_owned(),
            regex: self.pattern(),
            path: pattern(self.path),
            entropy: self.entropy,
            keywords: owned(self.keywords),
            allowlists: self.allowlists.iter().map(ListEntry::allowlist).collect(),
            specificity: self.specificity,
            token_efficiency: self.token_efficiency,
            severity: self.severity,
            confidence: Some(self.confidence),
            structure: Structure::named(self.structure),
            remediation: self.remediation.to_owned(),
            references: owned(self.references),
            origin: Origin { file: Arc::from(self.file), line: 0 },
            ..Rule::new(self.id)
        }
    }

    fn pattern(&self) -> Option<Pattern> {
        if self.value.is_empty() {
            return pattern(self.regex);
        }
        let keywords: Vec<&str> = self.keywords.to_vec();
        Some(Pattern::trusted(assigned::expression(self.names, &keywords, self.value)))
    }
}

impl ListEntry {
    fn allowlist(&self) -> Arc<Allowlist> {
        Arc::new(Allowlist {
            description: self.description.to_owned(),
            target: self.target,
            paths: self.paths.iter().map(|source| Pattern::trusted(*source)).collect(),
            regexes: self.regexes.iter().map(|source| Pattern::trusted(*source)).collect(),
            stopwords: owned(self.stopwords),
            ..Allowlist::default()
        })
    }
}

fn pattern(source: &str) -> Option<Pattern> {
    (!source.is_empty()).then(|| Pattern::trusted(source))
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
