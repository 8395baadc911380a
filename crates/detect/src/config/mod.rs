//! Rules from TOML: gitleaks' format whole, betterleaks' additions, and our own keys.
//!
//! In two steps: [`raw`] takes the document apart, [`resolve`] makes rules of it and puts the configurations together that extend
//! each other. What gitleaks' own reader accepts is accepted here: keys in any case, a text where a list is expected, numbers in
//! quotes.

mod raw;
mod resolve;
#[cfg(test)]
mod tests;

use crate::RuleSet;

/// Larger configurations are refused.
pub const BYTES_MAX: usize = 8 * 1024 * 1024;
/// So many rules at most, after extension.
pub const RULES_MAX: usize = 20_000;
/// The `minVersion` of gitleaks' format up to which everything is known.
const GITLEAKS_VERSION: [u64; 3] = [8, 30, 999];

/// What a configuration wants to have read. `detect` reads no files itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The default configuration (`extend.useDefault`).
    Default,
    /// A file (`extend.path`), as it is written there: relative to the working folder.
    Path(&'a str),
}

/// How a configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Patterns are tried out; what is wrong is told.
    Checked,
    /// For the rules that we bring along, which tests check: patterns are looked at when they are first used.
    Trusted,
}

/// Rules, and all that was wrong or odd with them.
#[derive(Debug)]
pub struct Loaded {
    pub rules: RuleSet,
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// The first problem for which a rule, or a part of one, was left out: for those who want all or nothing.
    pub fn loss(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.weight > Weight::Note)
    }
}

/// Something wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    pub weight: Weight,
    /// The name that the configuration was read under.
    pub file: String,
    /// From 1; 0 if not known.
    pub line: u32,
    /// The rule it is about; empty: none.
    pub rule_id: String,
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if !self.rule_id.is_empty() {
            write!(f, "rule {}: ", self.rule_id)?;
        }
        f.write_str(&self.what)
    }
}

/// What follows from a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing, but it should be known.
    Note,
    /// An allowlist or a filter was left out; the rules work, with more noise.
    PartLost,
    /// A rule was left out; the others work.
    RuleLost,
    /// Nothing can be done with the configuration.
    Fatal,
}

/// Reads a configuration, and the ones that it extends. The answer's problems name the rules that had to be left out; a caller
/// that wants all or nothing asks for [`Loaded::loss`].
///
/// `load` answers with a text, or with what kept it from that.
///
/// # Errors
/// No TOML, or something wrong that concerns no single rule.
pub fn read(
    text: &str,
    file: &str,
    reading: Reading,
    load: &mut dyn FnMut(Wanted<'_>) -> Result<String, String>,
) -> Result<Loaded, Problem> {
    let mut resolver = resolve::Resolver { reading, load, problems: Vec::new() };
    let rules = resolver.whole(text, file)?;
    Ok(Loaded { rules, problems: resolver.problems })
}
