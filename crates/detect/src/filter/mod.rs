//! betterleaks' filters: expressions over a finding, in the part of the Expr language that its rules use.
//!
//! `let`, `||`, `&&`, `!`, comparisons, `in`, `contains`, `startsWith`, `endsWith`, `matches`, `+`, `-`, `??`, `?:`, indices and
//! slices; `entropy`, `matchesAny`, `containsAny`, `findMatch`, `failsTokenEfficiency` (also as `filter.…`), `get`, `len`, `min`, `max`,
//! `lower`, `upper`, `trim`. Lists have to be written out, so that they are prepared once.

mod evaluate;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

use aho_corasick::AhoCorasick;
use std::sync::OnceLock;

/// Longer expressions are refused.
const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// An expression over a finding, or over the attributes of a fragment: true means that it is dropped.
#[derive(Debug)]
pub struct Filter {
    source: String,
    root: OnceLock<Option<parser::Expression>>,
}

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, in line {line} of the expression")]
pub struct FilterError {
    pub what: String,
    pub line: usize,
}

/// What an expression is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub path: &'a str,
    pub commit: &'a str,
    pub rule_id: &'a str,
    pub description: &'a str,
    pub secret: &'a [u8],
    pub matched: &'a [u8],
    pub line: &'a [u8],
    /// The text in which the match was found, decoded if it was.
    pub text: &'a [u8],
    pub start: usize,
    pub end: usize,
    pub entropy: f64,
}

impl<'a> Subject<'a> {
    /// Of a fragment, before anything was found in it.
    pub fn fragment(path: &'a str, commit: &'a str) -> Self {
        Self {
            path,
            commit,
            rule_id: "",
            description: "",
            secret: b"",
            matched: b"",
            line: b"",
            text: b"",
            start: 0,
            end: 0,
            entropy: 0.0,
        }
    }
}

impl Filter {
    /// # Errors
    /// It is not an expression of this language, or larger than it may be.
    pub fn new(source: &str) -> Result<Self, FilterError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(FilterError { what: format!("it is longer than {SOURCE_BYTES_MAX} bytes"), line: 1 });
        }
        let root = OnceLock::from(Some(parser::parse(source)?));
        Ok(Self { source: source.to_owned(), root })
    }

    /// An expression that was checked before: one that is wrong after all drops nothing.
    pub fn trusted(source: &str) -> Self {
        Self { source: source.to_owned(), root: OnceLock::new() }
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the subject is to be dropped. What cannot be computed (a number where a text should be) drops nothing.
    pub fn drops(&self, subject: &Subject<'_>) -> bool {
        let root = self.root.get_or_init(|| parser::parse(&self.source).ok());
        root.as_ref().is_some_and(|root| evaluate::evaluate(root, subject))
    }
}

/// Words to be looked for together, prepared when they are first needed.
#[derive(Debug)]
pub(crate) struct Words {
    words: Vec<String>,
    automaton: OnceLock<Option<AhoCorasick>>,
}

impl Words {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self { words, automaton: OnceLock::new() }
    }

    /// Whether one of them stands in the text.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let automaton = self.automaton.get_or_init(|| {
            AhoCorasick::builder()
                .kind(Some(aho_corasick::AhoCorasickKind::ContiguousNFA))
                .build(&self.words)
                .ok()
        });
        automaton.as_ref().is_some_and(|automaton| automaton.is_match(text))
    }
}
