//! What is taken out of texts, and what is put there: values as they are, regular expressions and globs, as in the files of
//! git-filter-repo and the BFG (`literal:VALUE==>OTHER`).
//!
//! Values are applied one after the other to the whole text, first those that are literal, in the order of the file: so two
//! tools that read one file make the same text of it.

mod forms;
mod parse;
mod template;

pub(super) use parse::{Glob, compile, of_glob};
pub use parse::{Lines, ParseError, REPLACEMENT, read};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::memmem;
use parse::Bounds;
use regex::bytes::Regex;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;
use strongroom_secret::SecretBytes;
use template::Template;

/// What is to be replaced. Holds values: it prints none of them.
#[derive(Default)]
pub struct Replacements {
    literals: Vec<Literal>,
    expressions: Vec<Expression>,
    /// What people call the entries in the order in which they were given.
    sources: Vec<Source>,
    all_literals: Option<AhoCorasick>,
}

struct Literal {
    value: SecretBytes,
    finder: memmem::Finder<'static>,
    replacement: Vec<u8>,
    source: usize,
}

struct Expression {
    regex: Regex,
    replacement: Template,
    source: usize,
    /// How far from a change it can match, if there is a bound to that.
    reach: Option<usize>,
}

/// Where an entry comes from: `line 3 of secrets.txt`, `secret prod/database`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub weakness: Option<Weakness>,
}

/// Why an entry would hit more than was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    Short,
    Word,
    MatchesShort,
}

impl Weakness {
    /// What is wrong with it, behind "line 3".
    pub fn text(self) -> &'static str {
        match self {
            Self::Short => "has fewer than 8 characters",
            Self::Word => "is a common word",
            Self::MatchesShort => "also matches texts of fewer than 8 characters",
        }
    }
}

/// Values shorter than this stand in texts that have nothing to do with them.
pub(super) const VALUE_BYTES_MIN: usize = 8;
/// With so many literal values or fewer, each is looked for in turn when one of them is there.
const IN_TURN_MAX: usize = 64;

impl fmt::Debug for Replacements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replacements({} values, {} expressions)", self.literals.len(), self.expressions.len())
    }
}

impl Replacements {
    /// Adds a value to be found as it is.
    pub fn add_literal(&mut self, value: SecretBytes, replacement: &[u8], name: String) {
        let weakness = weakness(value.expose());
        let source = self.add_source(name, weakness);
        let finder = memmem::Finder::new(value.expose()).into_owned();
        self.literals.push(Literal { value, finder, replacement: replacement.to_vec(), source });
        self.all_literals = None;
    }

    fn add_expression(&mut self, regex: Regex, replacement: Template, name: String, bounds: Bounds) {
        let weakness = (bounds.length_min < VALUE_BYTES_MIN).then_some(Weakness::MatchesShort);
        let source = self.add_source(name, weakness);
        self.expressions.push(Expression { regex, replacement, source, reach: bounds.reach });
    }

    fn add_source(&mut self, name: String, weakness: Option<Weakness>) -> usize {
        self.sources.push(Source { name, weakness });
        self.sources.len() - 1
    }

    /// Adds the encoded forms of the literal values: base64, hex, escapes of JSON and URLs.
    pub fn add_encoded_forms(&mut self) {
        let mut added = Vec::new();
        for literal in &self.literals {
            for (encoding, value) in forms::encoded(literal.value.expose()) {
                let name = self.sources.get(literal.source).map(|source| source.name.as_str());
                added.push((
                    value,
                    literal.replacement.clone(),
                    format!("{}, as {encoding}", name.unwrap_or_default()),
                ));
            }
        }
        for (value, replacement, name) in added {
            self.add_literal(value, &replacement, name);
        }
    }

    /// The literal values and their encoded forms, to be looked for where nothing should be left.
    pub(super) fn for_proof(&self) -> Self {
        let mut proof = Self::default();
        for literal in &self.literals {
            let name = self.sources.get(literal.source).map(|source| source.name.clone()).unwrap_or_default();
            proof.add_literal(SecretBytes::new(literal.value.expose().to_vec()), b"", name);
        }
        proof.add_encoded_forms();
        for expression in &self.expressions {
            let name =
                self.sources.get(expression.source).map(|source| source.name.clone()).unwrap_or_default();
            let bounds = Bounds { length_min: usize::MAX, reach: expression.reach };
            proof.add_expression(expression.regex.clone(), Template::default(), name, bounds);
        }
        proof.prepare();
        proof
    }

    /// Makes everything ready to be looked for. To be called before [`Replacements::contains`] and the rest.
    pub fn prepare(&mut self) {
        if self.literals.len() > 1 {
            let values = self.literals.iter().map(|literal| literal.value.expose());
            // What cannot be built is looked for value by value.
            self.all_literals = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .kind((self.literals.len() > 2000).then_some(AhoCorasickKind::ContiguousNFA))
                .build(values)
                .ok();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.expressions.is_empty()
    }

    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// How far around a change of a text a value can reach: nothing if that is not known.
    pub(super) fn reach(&self) -> Option<usize> {
        let of_literals = self.literals.iter().map(|literal| Some(literal.value.expose().len()));
        let of_expressions = self.expressions.iter().map(|expression| expression.reach);
        of_literals.chain(of_expressions).try_fold(0, |most, reach| Some(most.max(reach?)))
    }

    /// Whether something stands within a few bytes around one of these places.
    pub(super) fn contains_near(&self, text: &[u8], places: &[Range<usize>], reach: usize) -> bool {
        let near = |range: &Range<usize>| {
            let from = range.start.saturating_sub(reach);
            let to = range.end.saturating_add(reach).min(text.len());
            text.get(from..to).unwrap_or_default()
        };
        let found = places.iter().any(|range| self.contains(near(range)));
        // An expression may see the end of a word where only the stretch ends.
        found && (self.expressions.is_empty() || self.contains(text))
    }

    pub fn contains(&self, text: &[u8]) -> bool {
        let literal = match &self.all_literals {
            Some(all) => all.is_match(text),
            None => self.literals.iter().any(|literal| literal.finder.find(text).is_some()),
        };
        literal || self.expressions.iter().any(|expression| expression.regex.is_match(text))
    }

    /// Whether a name within these bytes of a tree could hold something: expressions may be anchored, so they always could.
    pub(super) fn can_stand_in(&self, tree: &[u8]) -> bool {
        !self.expressions.is_empty() || self.contains(tree)
    }

    /// A text with everything that is replaced covered up.
    pub(super) fn covered(&self, text: &[u8]) -> Vec<u8> {
        let mut covered = text.to_vec();
        for literal in &self.literals {
            let note = self.note(literal.source);
            let other = Literal {
                value: SecretBytes::new(literal.value.expose().to_vec()),
                finder: literal.finder.clone(),
                replacement: note,
                source: literal.source,
            };
            covered = replace_literal(&covered, &other, &mut []).unwrap_or(covered);
        }
        for expression in &self.expressions {
            let note = self.note(expression.source);
            covered = expression.regex.replace_all(&covered, regex::bytes::NoExpand(&note)).into_owned();
        }
        covered
    }

    fn note(&self, source: usize) -> Vec<u8> {
        let name = self.sources.get(source).map(|source| source.name.as_str()).unwrap_or_default();
        format!("[{name}]").into_bytes()
    }

    /// The sources of what stands in a text.
    pub(super) fn sources_in(&self, text: &[u8]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for literal in &self.literals {
            if literal.finder.find(text).is_some() {
                found.insert(literal.source);
            }
        }
        for expression in &self.expressions {
            if expression.regex.is_match(text) {
                found.insert(expression.source);
            }
        }
        found
    }

    /// The text without what is to be replaced, or nothing if it stays as it is. `counts` has a place for each source.
    pub fn replace(&self, text: &[u8], counts: &mut [u64]) -> Option<Vec<u8>> {
        let mut changed: Option<Vec<u8>> = None;
        let mut there = self.literals_in(text);
        for (index, literal) in self.literals.iter().enumerate() {
            let current = changed.as_deref().unwrap_or(text);
            if there.as_ref().is_some_and(|there| !there.contains(&index)) {
                continue;
            }
            if let Some(next) = replace_literal(current, literal, counts) {
                there = self.literals_in(&next);
                changed = Some(next);
            }
        }
        for expression in &self.expressions {
            let current = changed.as_deref().unwrap_or(text);
            if let Some(next) = replace_expression(current, expression, counts) {
                changed = Some(next);
            }
        }
        changed.filter(|changed| changed.as_slice() != text)
    }

    /// Which literal values stand in a text; nothing if all are to be tried.
    fn literals_in(&self, text: &[u8]) -> Option<BTreeSet<usize>> {
        let all = self.all_literals.as_ref().filter(|_| self.literals.len() > IN_TURN_MAX)?;
        Some(all.find_overlapping_iter(text).map(|found| found.pattern().as_usize()).collect())
    }

    /// Replaces in what is too large to be held: literal values exactly; expressions in stretches of a few megabytes that
    /// end at the ends of lines. Says whether anything changed.
    pub(super) fn replace_stream(
        &self,
        source: &mut dyn Read,
        target: &mut dyn Write,
        counts: &mut [u64],
    ) -> io::Result<bool> {
        const STRETCH_BYTES: usize = 8 << 20;
        let longest = self.literals.iter().map(|literal| literal.value.expose().len()).max().unwrap_or(0);
        let mut held = Vec::with_capacity(STRETCH_BYTES + longest);
        let mut changed = false;
        loop {
            let wanted = (STRETCH_BYTES + longest).saturating_sub(held.len()) as u64;
            let ended = (&mut *source).take(wanted).read_to_end(&mut held)? as u64 != wanted;
            let cut = if ended { held.len() } else { self.cut(&held, longest) };
            let (stretch, rest) = held.split_at_checked(cut).unwrap_or((&held, &[]));
            match self.replace(stretch, counts) {
                Some(replaced) => {
                    changed = true;
                    target.write_all(&replaced)?;
                }
                None => target.write_all(stretch)?,
            }
            held = rest.to_vec();
            if ended {
                return Ok(changed);
            }
        }
    }

    /// Where a text can be cut without cutting a literal value in two: at the end of a line, if one is near.
    fn cut(&self, text: &[u8], longest: usize) -> usize {
        const LINE_BYTES_MAX: usize = 1 << 20;
        let latest = text.len().saturating_sub(longest);
        let before = text.get(..latest).unwrap_or_default();
        let near = before.len().saturating_sub(LINE_BYTES_MAX);
        let line = memchr::memrchr(b'\n', before.get(near..).unwrap_or_default()).map(|at| near + at + 1);
        let mut cut = line.unwrap_or(latest);
        // A value that stands across the cut begins the next stretch; then another one may stand across.
        const TRIES_MAX: usize = 16;
        for _ in 0..TRIES_MAX {
            match self.literals.iter().find_map(|literal| across(text, literal, cut)) {
                Some(earlier) => cut = earlier,
                None => break,
            }
        }
        cut
    }
}

/// Where a value begins that stands across a cut.
fn across(text: &[u8], literal: &Literal, cut: usize) -> Option<usize> {
    let length = literal.value.expose().len();
    let from = cut.saturating_sub(length);
    let around = text.get(from..(cut + length).min(text.len()))?;
    let mut places = literal.finder.find_iter(around).map(|at| from + at);
    places.find(|at| *at < cut && cut < at + length)
}

fn replace_literal(text: &[u8], literal: &Literal, counts: &mut [u64]) -> Option<Vec<u8>> {
    let value = literal.value.expose();
    let mut places = literal.finder.find_iter(text).peekable();
    places.peek()?;
    let mut replaced = Vec::with_capacity(text.len());
    let mut copied = 0;
    for at in places {
        count(counts, literal.source);
        replaced.extend_from_slice(text.get(copied..at).unwrap_or_default());
        replaced.extend_from_slice(&literal.replacement);
        copied = at + value.len();
    }
    replaced.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(replaced)
}

fn replace_expression(text: &[u8], expression: &Expression, counts: &mut [u64]) -> Option<Vec<u8>> {
    let mut places = expression.regex.captures_iter(text).peekable();
    places.peek()?;
    let mut replaced = Vec::with_capacity(text.len());
    let mut copied = 0;
    for captures in places {
        let Some(whole) = captures.get(0) else { continue };
        count(counts, expression.source);
        replaced.extend_from_slice(text.get(copied..whole.start()).unwrap_or_default());
        expression.replacement.expand(&captures, &mut replaced);
        copied = whole.end();
    }
    replaced.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(replaced)
}

fn count(counts: &mut [u64], source: usize) {
    if let Some(count) = counts.get_mut(source) {
        *count += 1;
    }
}

/// Words that stand in every project: a purge of one of them destroys it.
const WORDS: [&str; 40] = [
    "administrator",
    "application",
    "authorization",
    "certificate",
    "changeme",
    "config",
    "configuration",
    "connection",
    "credentials",
    "database",
    "default",
    "description",
    "development",
    "document",
    "environment",
    "example",
    "function",
    "localhost",
    "password",
    "passphrase",
    "postgres",
    "postgresql",
    "private",
    "privatekey",
    "production",
    "repository",
    "resource",
    "response",
    "secret",
    "secretkey",
    "security",
    "service",
    "settings",
    "staging",
    "template",
    "undefined",
    "username",
    "variable",
    "version",
    "workspace",
];

fn weakness(value: &[u8]) -> Option<Weakness> {
    let length = std::str::from_utf8(value).map_or(value.len(), |text| text.chars().count());
    if length < VALUE_BYTES_MIN {
        return Some(Weakness::Short);
    }
    let lower = value.trim_ascii().to_ascii_lowercase();
    let letters: Vec<u8> =
        lower.iter().copied().filter(|byte| !matches!(byte, b'_' | b'-' | b' ' | b'.')).collect();
    let is_listed = WORDS.iter().any(|word| word.as_bytes() == letters);
    // One word in small letters, or with one capital in front, of no great length.
    let plain = value.iter().skip(1).all(u8::is_ascii_lowercase) && value.iter().all(u8::is_ascii_alphabetic);
    let is_word = plain && value.len() <= 14 && strongroom_detect::efficiency::is_wordlike(&lower);
    let repeated = value.windows(2).all(|pair| pair.first() == pair.last());
    (is_listed || is_word || repeated).then_some(Weakness::Word)
}

#[cfg(test)]
mod tests;
