//! Regular expressions as Go writes them, compiled when they are first needed.

mod go;
#[cfg(test)]
mod tests;

use regex_automata::Input;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind};
use std::ops::Range;
use std::sync::OnceLock;

/// Longer expressions are refused before they are looked at.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// About how many states an automaton may have.
const STATES_MAX: usize = 120_000;
const NFA_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a lazily built automaton may hold in memory, for each thread that searches at the same time.
const CACHE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A regular expression in Go's syntax (RE2). Compiled when it is first used, and shared by all threads.
#[derive(Debug)]
pub struct Pattern {
    source: String,
    parsed: OnceLock<Option<Hir>>,
    compiled: OnceLock<Option<Regex>>,
}

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error(
        "look-around, back-references and atomic groups are not supported (nor are they by Go's regular expressions)"
    )]
    LookAround,
    #[error("the regular expression is too large")]
    TooLarge,
    #[error("the regular expression is wrong: {0}")]
    Syntax(String),
}

impl Pattern {
    /// # Errors
    /// It is not valid, or too large.
    pub fn new(source: impl Into<String>) -> Result<Self, PatternError> {
        let source = source.into();
        let hir = parse(&source)?;
        let parsed = OnceLock::new();
        let _ = parsed.set(Some(hir));
        Ok(Self { source, parsed, compiled: OnceLock::new() })
    }

    /// An expression that was checked before: one that is wrong after all matches nothing.
    pub fn trusted(source: impl Into<String>) -> Self {
        Self { source: source.into(), parsed: OnceLock::new(), compiled: OnceLock::new() }
    }

    /// One that matches where one of several does. Each of them was checked.
    pub fn any_of<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Self {
        let parts: Vec<String> = patterns.map(|pattern| format!("(?:{})", pattern.source)).collect();
        Self::trusted(parts.join("|"))
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How many groups it captures, not counting the whole.
    pub fn group_count(&self) -> usize {
        self.hir().map_or(0, |hir| hir.properties().explicit_captures_len())
    }

    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }

    /// The first match.
    pub fn find(&self, text: &[u8]) -> Option<Range<usize>> {
        self.regex()?.find(text).map(|found| found.range())
    }

    /// All matches, as Go finds them: leftmost, not overlapping.
    pub fn find_all(&self, text: &[u8]) -> Vec<Range<usize>> {
        self.find_all_within(text, 0..text.len())
    }

    /// All matches in a part of a text. What stands around it is seen by `\b`, `^` and `$`.
    pub fn find_all_within(&self, text: &[u8], part: Range<usize>) -> Vec<Range<usize>> {
        let Some(regex) = self.regex() else { return Vec::new() };
        if part.start > part.end || part.end > text.len() {
            return Vec::new();
        }
        regex.find_iter(Input::new(text).range(part)).map(|found| found.range()).collect()
    }

    /// The groups of the first match, the whole match first.
    pub fn groups(&self, text: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
        let regex = self.regex()?;
        let mut captures = regex.create_captures();
        regex.captures(Input::new(text), &mut captures);
        captures.is_match().then(|| captures.iter().map(|group| group.map(|span| span.range())).collect())
    }

    /// What the expression means.
    pub(crate) fn hir(&self) -> Option<&Hir> {
        self.parsed.get_or_init(|| parse(&self.source).ok()).as_ref()
    }

    /// The compiled expression; `None` if it cannot be compiled.
    pub(crate) fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| self.hir().and_then(compile)).as_ref()
    }
}

/// Go's syntax to what it means.
fn parse(source: &str) -> Result<Hir, PatternError> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(PatternError::TooLarge);
    }
    let translated = go::translate(source)?;
    let hir = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(200)
        .build()
        .parse(&translated)
        .map_err(|error| PatternError::Syntax(reason(&error)))?;
    if states(&hir) > STATES_MAX {
        return Err(PatternError::TooLarge);
    }
    Ok(hir)
}

fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string().lines().last().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn compile(hir: &Hir) -> Option<Regex> {
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(NFA_BYTES_MAX))
        .hybrid_cache_capacity(CACHE_BYTES_MAX)
        .onepass(false)
        .dfa(false);
    Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build_from_hir(hir)
        .ok()
}

/// About how many states the automaton has, from above.
pub(crate) fn states(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(regex_syntax::hir::Class::Bytes(_)) => 1,
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => class.ranges().len().saturating_mul(3),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1) as usize;
            states(&repetition.sub).saturating_add(1).saturating_mul(times)
        }
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(1, |sum, part| sum.saturating_add(states(part)))
        }
    }
}
