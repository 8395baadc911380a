//! What is wrong with a project: said all at once, each thing with its place and what to do.

use super::place::Location;
use std::fmt::Write as _;
use std::path::Path;

/// One thing that is wrong. No text in it holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    pub severity: Severity,
    pub message: String,
    pub location: Option<Location>,
    /// The places that were looked at, in order.
    pub looked: Vec<String>,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// What kind of wrong: the exit code and the `code` of JSON output follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The manifest itself: syntax, unknown keys, cycles, references to nothing.
    Manifest,
    Missing,
    Invalid,
    Unused,
    Expired,
    RotationDue,
    Drifted,
    /// A file with values that git would take.
    NotIgnored,
    FileMode,
    /// A generated file that is not what the manifest says.
    Stale,
    Unreachable,
    Denied,
    Integrity,
    /// A provider failed otherwise: a file that cannot be parsed, a command that ended badly.
    Provider,
}

impl ProblemKind {
    /// The word in JSON output.
    pub fn code(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Unused => "unused",
            Self::Expired => "expired",
            Self::RotationDue => "rotation-due",
            Self::Drifted => "drifted",
            Self::NotIgnored => "not-ignored",
            Self::FileMode => "file-mode",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::Integrity => "integrity",
            Self::Provider => "provider",
        }
    }
}

impl Problem {
    pub fn error(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            severity: Severity::Error,
            message: message.into(),
            location: None,
            looked: Vec::new(),
            hint: None,
        }
    }

    pub fn warning(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(kind, message) }
    }

    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    #[must_use]
    pub fn looked(mut self, places: impl IntoIterator<Item = String>) -> Self {
        self.looked.extend(places);
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    pub fn make_error(&mut self) {
        self.severity = Severity::Error;
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    fn sort_key(&self) -> (Severity, Option<(&Path, usize, usize)>) {
        let place = self.location.as_ref();
        let place = place.map(|place| (place.path.as_path(), place.line, place.column));
        (self.severity, place)
    }

    /// `error: message`, then where, then what to do.
    pub fn render(&self) -> String {
        let word = if self.is_error() { "error" } else { "warning" };
        let mut text = format!("{word}: {}\n", self.message);
        if let Some(location) = &self.location {
            let (path, line, column) = (location.path.display(), location.line, location.column);
            let _ = writeln!(text, "  --> {path}:{line}:{column}");
            for line in location.snippet.iter().flat_map(|snippet| snippet.lines()) {
                let _ = writeln!(text, "   {line}");
            }
        }
        for place in &self.looked {
            let _ = writeln!(text, "  looked at: {place}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text
    }
}

/// In the order in which they stand in files, each of them once.
pub(crate) fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|one, other| one.sort_key().cmp(&other.sort_key()));
    problems.dedup();
    problems
}

/// The nearest of `known` to a word that is not among them, if one is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase().replace('_', "-");
    let near = known.into_iter().filter(|candidate| *candidate != word).map(|candidate| {
        (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase().replace('_', "-")), candidate)
    });
    let (edits, candidate) = near.min()?;
    (edits <= 2 && edits < word.chars().count()).then_some(candidate)
}

/// `did you mean "x"?`, else all that there is.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => Some(format!("did you mean {near:?}?")),
        None if known.is_empty() || known.len() > 40 => None,
        None => Some(format!("there is: {}", known.join(", "))),
    }
}
