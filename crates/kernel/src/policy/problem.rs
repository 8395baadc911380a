use serde::Serialize;
use std::fmt;
use thiserror::Error;

/// Where something stands in a policy's text; both count from one, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// One thing that is wrong with a policy's text, or (as a warning) probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(flatten)]
    pub position: Position,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Why a text is not a policy: everything that is wrong with it, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct PolicyError {
    problems: Vec<Problem>,
}

const PROBLEMS_MAX: usize = 50;
const QUOTED_CHARACTERS_MAX: usize = 100;

impl PolicyError {
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = self.problems.as_slice() {
            return write!(f, "failed to parse policy: {problem}");
        }
        f.write_str("failed to parse policy:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

impl Problem {
    pub(super) fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: message.into(), hint: None }
    }

    #[must_use]
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the nearest of the words that would have been right, if one is near.
    #[must_use]
    pub(super) fn did_you_mean<'a>(self, written: &str, words: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(written, words) {
            Some(word) => self.with_hint(format!("did you mean {word:?}?")),
            None => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.position.line, self.position.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The problems found so far, bounded.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(problem);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= PROBLEMS_MAX
    }

    /// The error that these problems are; `value` if there are none.
    pub(super) fn or<T>(mut self, value: T) -> Result<T, PolicyError> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by_key(|problem| problem.position);
        Err(PolicyError { problems: self.0 })
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

/// A text in quotes for a message, shortened if it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARACTERS_MAX) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

fn nearest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let written = written.to_lowercase();
    let distance_max = (written.chars().count() / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written, word), word))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, word)| word)
}
