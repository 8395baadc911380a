use super::detect_secrets::DetectSecrets;
use super::foreign::{Allowed, Fingerprints, GitleaksReport, Values};
use super::kingfisher::Kingfisher;
use super::native::Baseline;
use super::{BaselineError, read};
use crate::located::Located;
use crate::report::{Record, Redaction};
use std::collections::BTreeSet;
use std::path::Path;
use strongroom_detect::RuleSet;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreKind {
    Strongroom,
    /// A report in JSON.
    GitleaksReport,
    /// `.gitleaksignore`, `.betterleaksignore`.
    Fingerprints,
    /// `.secrets.baseline`.
    DetectSecrets,
    /// kingfisher's `--baseline-file`.
    Kingfisher,
    /// `.gitallowed`.
    GitAllowed,
    /// `.secretsignore`.
    SecretsIgnore,
}

impl IgnoreKind {
    /// The names under which projects keep such files, at the root of what is scanned.
    pub const FILE_NAMES: &[&str] = &[
        ".strongroom-baseline",
        ".gitleaksignore",
        ".betterleaksignore",
        ".secrets.baseline",
        ".gitallowed",
        ".secretsignore",
    ];

    /// By what is in it, then by its name.
    pub fn of(name: &str, text: &str) -> Option<Self> {
        let start = text.trim_start();
        let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
        match () {
            () if start.starts_with("# strongroom baseline") => Some(Self::Strongroom),
            () if base == ".gitallowed" => Some(Self::GitAllowed),
            () if base == ".secretsignore" => Some(Self::SecretsIgnore),
            () if matches!(base, ".gitleaksignore" | ".betterleaksignore") => Some(Self::Fingerprints),
            () if start.starts_with('[') || start.starts_with("null") => Some(Self::GitleaksReport),
            () if start.starts_with('{') => Some(Self::DetectSecrets),
            () if Kingfisher::is_one(text) => Some(Self::Kingfisher),
            () if base == ".strongroom-baseline" => Some(Self::Strongroom),
            () => None,
        }
    }
}

#[derive(Debug)]
enum Entries {
    Strongroom(Baseline),
    GitleaksReport(GitleaksReport),
    Fingerprints(Fingerprints),
    DetectSecrets(DetectSecrets),
    Kingfisher(Kingfisher),
    GitAllowed(Allowed),
    SecretsIgnore(Values),
}

#[derive(Debug)]
struct Source {
    name: String,
    entries: Entries,
    used: BTreeSet<usize>,
}

/// Everything that is known of a project's findings, from all its files.
#[derive(Debug)]
pub struct Ignores {
    sources: Vec<Source>,
    redaction: Redaction,
}

/// An entry that no finding was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    pub file: String,
    /// 0 if it has none.
    pub line: usize,
    /// What it says; never a value.
    pub text: String,
}

impl Ignores {
    /// `redaction`: that of the report; gitleaks compares values only without one.
    pub fn new(redaction: Redaction) -> Self {
        Self { sources: Vec::new(), redaction }
    }

    /// Reads a file that the user named.
    pub fn add_file(&mut self, path: &Path) -> Result<IgnoreKind, BaselineError> {
        self.add(&path.display().to_string(), &read(path)?)
    }

    /// Reads the files that stand at the root of a project under the names that they usually have.
    pub fn add_usual(&mut self, root: &Path) -> Result<(), BaselineError> {
        for name in IgnoreKind::FILE_NAMES {
            let path = root.join(name);
            if path.is_file() {
                self.add_file(&path)?;
            }
        }
        Ok(())
    }

    pub fn add(&mut self, name: &str, text: &str) -> Result<IgnoreKind, BaselineError> {
        let Some(kind) = IgnoreKind::of(name, text) else {
            return Err(BaselineError::Malformed {
                file: name.to_owned(),
                line: 1,
                message: "it is no baseline that is known".to_owned(),
                advice: "give one of Strongroom, gitleaks (JSON), detect-secrets or kingfisher, or a .gitleaksignore",
            });
        };
        let entries = match kind {
            IgnoreKind::Strongroom => Entries::Strongroom(Baseline::parse(text, name)?),
            IgnoreKind::GitleaksReport => Entries::GitleaksReport(GitleaksReport::parse(text, name)?),
            IgnoreKind::Fingerprints => Entries::Fingerprints(Fingerprints::parse(text)),
            IgnoreKind::DetectSecrets => Entries::DetectSecrets(DetectSecrets::parse(text, name)?),
            IgnoreKind::Kingfisher => Entries::Kingfisher(Kingfisher::parse(text, name)?),
            IgnoreKind::GitAllowed => Entries::GitAllowed(Allowed::parse(text, name)?),
            IgnoreKind::SecretsIgnore => Entries::SecretsIgnore(Values::parse(text)),
        };
        self.sources.push(Source { name: name.to_owned(), entries, used: BTreeSet::new() });
        Ok(kind)
    }

    /// Whether a finding is known; if so, by which file. All files are asked, so that each knows what it was used for.
    pub fn known(&mut self, located: &Located, rules: &RuleSet) -> Option<&str> {
        let rule = rules.rules.get(located.finding.rule);
        let record = Record::new(located, rule, Redaction::Revealed);
        let mut first = None;
        for (index, source) in self.sources.iter_mut().enumerate() {
            let found: Vec<usize> = match &source.entries {
                Entries::Strongroom(baseline) => {
                    baseline.position(located, record.rule_id).into_iter().collect()
                }
                Entries::GitleaksReport(report) => {
                    report.position(&record, self.redaction).into_iter().collect()
                }
                Entries::Fingerprints(lines) => lines.position(located, record.rule_id).into_iter().collect(),
                Entries::DetectSecrets(baseline) => baseline.positions(located),
                Entries::Kingfisher(baseline) => {
                    baseline.position(located, record.rule_id).into_iter().collect()
                }
                Entries::GitAllowed(allowed) => allowed.position(located).into_iter().collect(),
                Entries::SecretsIgnore(values) => values.position(located).into_iter().collect(),
            };
            if !found.is_empty() {
                first = first.or(Some(index));
                source.used.extend(found);
            }
        }
        self.sources.get(first?).map(|source| source.name.as_str())
    }

    /// Entries that no finding was: they can go, if everything was scanned.
    pub fn unused(&self) -> Vec<Unused> {
        self.sources.iter().flat_map(Source::unused).collect()
    }
}

impl Source {
    fn unused(&self) -> Vec<Unused> {
        let entries: Vec<(usize, String)> = match &self.entries {
            Entries::Strongroom(baseline) => {
                // The head has two lines.
                let entries = baseline.entries().enumerate();
                entries
                    .map(|(index, entry)| (index + 3, format!("{} in {}", entry.rule_id, entry.path)))
                    .collect()
            }
            Entries::GitleaksReport(report) => report.names.iter().map(|name| (0, name.clone())).collect(),
            Entries::Fingerprints(file) => {
                file.lines.iter().map(|line| (line.number, line.text.clone())).collect()
            }
            Entries::DetectSecrets(baseline) => {
                let known = baseline.known.iter();
                known.map(|known| (0, format!("{}:{} {}", known.path, known.line, known.kind))).collect()
            }
            Entries::Kingfisher(baseline) => {
                let known = baseline.known.iter();
                known
                    .map(|known| (known.number, format!("{}:{} {}", known.path, known.line, known.rule_id)))
                    .collect()
            }
            Entries::GitAllowed(file) => {
                file.lines.iter().map(|line| (line.number, line.text.clone())).collect()
            }
            Entries::SecretsIgnore(file) => {
                file.lines.iter().map(|line| (*line, "a value".to_owned())).collect()
            }
        };
        entries
            .into_iter()
            .enumerate()
            .filter(|(index, _)| !self.used.contains(index))
            .map(|(_, (line, text))| Unused { file: self.name.clone(), line, text })
            .collect()
    }
}
