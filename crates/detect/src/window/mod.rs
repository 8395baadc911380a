//! Where a rule's expression has to be tried: around its keywords, if each of its matches contains one.
//!
//! Most expressions are `before keyword after`, with a bounded `before`. A match that contains the keyword found at `hit` then
//! begins no earlier than `hit - before`, and `keyword after` matches from `hit` on. So an automaton for `keyword after`, tried at
//! that one place, rules out nearly all hits after a few bytes; only where it agrees the whole expression is searched. What is found
//! is the same as in a search of the whole text ([`tests`] compare them).

use crate::pattern::Pattern;
use memchr::memmem::Finder;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look};
use std::ops::Range;

/// Expressions whose `before` can be longer are searched for in the whole text.
const BEFORE_MAX: usize = 4096;
/// Of an expression longer than that the end of its matches is not known beforehand.
const LENGTH_MAX: usize = 64 * 1024;
/// What an automaton may hold in memory, for each thread; it begins anew when that is full.
const CACHE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// So many bytes after a keyword are looked at before the whole expression is.
const TAIL_BYTES_MAX: usize = 256;
/// Parts of an expression that are looked at for a keyword.
const PARTS_MAX: usize = 64;
/// So many texts at most are looked for after a keyword, and none shorter than that.
const LITERALS_AFTER_MAX: usize = 8;
const LITERAL_AFTER_MIN: usize = 3;

/// How a rule is searched for.
#[derive(Debug)]
pub(crate) enum Plan {
    /// In the whole text, once a keyword was seen.
    Whole,
    /// Around each keyword.
    Around(Box<Around>),
}

#[derive(Debug)]
pub(crate) struct Around {
    /// A match begins at most so far before the keyword in it.
    before: usize,
    /// A match is at most so long; `None`: of any length.
    length: Option<usize>,
    /// What matches from the keyword on, and how far before the keyword it begins.
    tail: Option<(DFA, usize)>,
    /// One of these stands after the keyword in each match; empty: nothing is known.
    after: Vec<Finder<'static>>,
}

/// A part of an expression in which the keyword is: what stands before it, at most, and where in the part it begins.
struct Located {
    before: usize,
    offset: Option<usize>,
    tail: Hir,
    after: Vec<Vec<u8>>,
}

impl Plan {
    pub(crate) fn new(pattern: &Pattern, keywords: &[String]) -> Self {
        let Some(hir) = pattern.hir() else { return Plan::Whole };
        let keywords: Vec<&[u8]> =
            keywords.iter().map(String::as_bytes).filter(|keyword| !keyword.is_empty()).collect();
        if keywords.is_empty() || hir.properties().minimum_len() == Some(0) {
            return Plan::Whole;
        }
        let Some(located) = locate(hir, &keywords) else { return Plan::Whole };
        if located.before > BEFORE_MAX {
            return Plan::Whole;
        }
        let length = hir.properties().maximum_len().filter(|length| *length <= LENGTH_MAX);
        let tail = located.offset.and_then(|offset| Some((automaton(&located.tail)?, offset)));
        let after = located
            .after
            .iter()
            .filter(|_| length.is_some())
            .map(|literal| Finder::new(literal).into_owned())
            .collect();
        Plan::Around(Box::new(Around { before: located.before, length, tail, after }))
    }
}

/// Whether each match has a keyword at the beginning of a word.
pub(crate) fn begins_words(pattern: &Pattern, keywords: &[String]) -> bool {
    let keywords: Vec<&[u8]> = keywords.iter().map(String::as_bytes).collect();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let Some(hir) =
        pattern.hir().filter(|_| keywords.iter().all(|keyword| keyword.first().is_some_and(is_word)))
    else {
        return false;
    };
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    let boundary = |part: &Hir| matches!(part.kind(), HirKind::Look(Look::WordAscii | Look::WordStartAscii));
    let at = parts.iter().position(boundary).map_or(0, |at| at + 1);
    let tail: Vec<Hir> = parts.iter().skip(at).map(fold).collect();
    at > 0 && matches!(keyword_in_prefix(&tail, &keywords), Some((0, _)))
}

/// What is known of a rule while a text is gone through.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Where the next match may begin.
    pub from: usize,
    /// Bytes that were searched without a match.
    spent: usize,
    cache: Option<Cache>,
}

impl Progress {
    pub(crate) fn restart(&mut self) {
        self.from = 0;
        self.spent = 0;
    }

    /// Nothing was found there; in all that is left of the text, if `is_whole`.
    fn in_vain(&mut self, range: Range<usize>, is_whole: bool) {
        self.spent = self.spent.saturating_add(range.len());
        if is_whole {
            self.from = usize::MAX;
        }
    }
}

impl Around {
    /// Where a match that contains the keyword at `hit` can be.
    pub(crate) fn reach(&self, hit: usize) -> Range<usize> {
        let end = self.length.map_or(usize::MAX, |length| hit.saturating_add(length));
        hit.saturating_sub(self.before)..end
    }

    /// The next match after [`Progress::from`], if it contains the keyword at `hit` (or, of an expression without an end, begins later).
    /// Keywords are to be given in their order. What goes beyond `limit` is not wanted.
    pub(crate) fn search(
        &self,
        pattern: &Pattern,
        text: &[u8],
        hit: usize,
        limit: usize,
        progress: &mut Progress,
    ) -> Option<Range<usize>> {
        if hit < progress.from || !self.agrees(text, hit, progress) {
            return None;
        }
        let mut start = hit.saturating_sub(self.before).max(progress.from);
        // Where much was searched in vain, one search of all that is left is cheaper than many windows.
        let is_tired = progress.spent > text.len().saturating_mul(2).max(64 * 1024);
        let end = match self.length {
            Some(length) if !is_tired => text.len().min(hit.saturating_add(length)),
            _ => text.len(),
        };
        let end = end.min(limit);
        let is_whole = end == text.len();
        let window = text.get(start..end).unwrap_or_default();
        if !self.after.is_empty() && self.after.iter().all(|finder| finder.find(window).is_none()) {
            progress.in_vain(start..end, is_whole);
            return None;
        }
        let regex = pattern.regex()?;
        while let Some(found) = regex.search(&Input::new(text).range(start..end)).map(|found| found.range()) {
            // It contains a keyword that was passed over, and not this one.
            if found.end <= hit && found.end > start {
                start = found.end;
                continue;
            }
            if found.start <= hit || is_whole {
                progress.from = found.end;
                return Some(found);
            }
            progress.in_vain(start..end, false);
            return None;
        }
        progress.in_vain(start..end, is_whole);
        None
    }

    /// Whether a match can contain the keyword at `hit`, as far as a few bytes say.
    fn agrees(&self, text: &[u8], hit: usize, progress: &mut Progress) -> bool {
        let Some((automaton, offset)) = &self.tail else { return true };
        let Some(start) = hit.checked_sub(*offset) else { return false };
        let cache = progress.cache.get_or_insert_with(|| automaton.create_cache());
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        // An automaton that gives up has not ruled anything out.
        let Ok(mut state) = automaton.start_state_forward(cache, &input) else { return true };
        let tail = text.get(start..).unwrap_or_default();
        for byte in tail.iter().take(TAIL_BYTES_MAX) {
            let Ok(next) = automaton.next_state(cache, state, *byte) else { return true };
            state = next;
            if state.is_tagged() {
                if state.is_dead() {
                    return false;
                }
                if state.is_match() || state.is_quit() {
                    return true;
                }
            }
        }
        if tail.len() > TAIL_BYTES_MAX {
            return true;
        }
        automaton.next_eoi_state(cache, state).map_or(true, |state| state.is_match())
    }
}

fn automaton(hir: &Hir) -> Option<DFA> {
    let config = thompson::Config::new()
        .utf8(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(32 * 1024 * 1024));
    let nfa = NFA::compiler().configure(config).build_from_hir(hir).ok()?;
    let config = Config::new().cache_capacity(CACHE_BYTES_MAX).skip_cache_capacity_check(true);
    DFA::builder().configure(config).build_from_nfa(nfa).ok()
}

/// The earliest part of an expression that contains a keyword in each of its matches.
fn locate(hir: &Hir, keywords: &[&[u8]]) -> Option<Located> {
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    if let [only] = parts.as_slice()
        && let HirKind::Alternation(branches) = only.kind()
    {
        return locate_in_branches(branches, keywords);
    }
    let folded: Vec<Hir> = parts.iter().map(fold).collect();
    let mut before = 0_usize;
    for at in 0..parts.len().min(PARTS_MAX) {
        let tail = folded.get(at..).unwrap_or_default();
        if let Some((extra, offset)) = keyword_in_prefix(tail, keywords) {
            let tail = parts.get(at..).unwrap_or_default().to_vec();
            let after = literals_after(tail.get(1..).unwrap_or_default());
            let before = before.checked_add(extra)?;
            return Some(Located { before, offset, tail: Hir::concat(tail), after });
        }
        before = before.checked_add(parts.get(at)?.properties().maximum_len()?)?;
    }
    None
}

fn locate_in_branches(branches: &[Hir], keywords: &[&[u8]]) -> Option<Located> {
    let located: Vec<Located> =
        branches.iter().map(|branch| locate(branch, keywords)).collect::<Option<_>>()?;
    let before = located.iter().map(|branch| branch.before).max()?;
    let offset = located.first()?.offset;
    let offset = located.iter().all(|branch| branch.offset == offset).then_some(offset).flatten();
    Some(Located {
        before,
        offset,
        tail: Hir::alternation(located.into_iter().map(|branch| branch.tail).collect()),
        after: Vec::new(),
    })
}

/// A few texts of which one is in whatever matches these parts, if there are some: they are looked for before an expression that can
/// reach far is.
fn literals_after(parts: &[Hir]) -> Vec<Vec<u8>> {
    for at in 0..parts.len().min(PARTS_MAX) {
        let mut extractor = Extractor::new();
        extractor
            .kind(ExtractKind::Prefix)
            .limit_class(2)
            .limit_literal_len(16)
            .limit_total(LITERALS_AFTER_MAX);
        let rest = parts.get(at..).unwrap_or_default().iter().take(4).cloned().collect();
        let prefixes = extractor.extract(&Hir::concat(rest));
        let Some(literals) = prefixes.literals().filter(|literals| !literals.is_empty()) else { continue };
        if literals.iter().all(|literal| literal.len() >= LITERAL_AFTER_MIN) {
            return literals.iter().map(|literal| literal.as_bytes().to_vec()).collect();
        }
    }
    Vec::new()
}

/// If all that the parts can begin with contains a keyword: how far from the beginning it is at most, and where exactly if it is
/// always at the same place.
fn keyword_in_prefix(parts: &[Hir], keywords: &[&[u8]]) -> Option<(usize, Option<usize>)> {
    let first = parts.first()?;
    if !matches!(
        first.kind(),
        HirKind::Literal(_) | HirKind::Class(_) | HirKind::Alternation(_) | HirKind::Concat(_)
    ) {
        return None;
    }
    let mut extractor = Extractor::new();
    extractor
        .kind(ExtractKind::Prefix)
        .limit_class(12)
        .limit_repeat(12)
        .limit_literal_len(64)
        .limit_total(600);
    let prefixes: Seq = extractor.extract(&Hir::concat(parts.iter().take(24).cloned().collect()));
    let literals = prefixes.literals()?;
    if literals.is_empty() {
        return None;
    }
    let mut offsets = Vec::new();
    for literal in literals {
        let at =
            keywords.iter().filter_map(|keyword| memchr::memmem::find(literal.as_bytes(), keyword)).min()?;
        offsets.push(at);
    }
    let farthest = offsets.iter().copied().max()?;
    let nearest = offsets.iter().copied().min()?;
    Some((farthest, (nearest == farthest).then_some(nearest)))
}

/// The parts of a concatenation, without groups around them.
fn flatten(hir: &Hir, parts: &mut Vec<Hir>) {
    match hir.kind() {
        HirKind::Concat(items) => items.iter().for_each(|item| flatten(item, parts)),
        HirKind::Capture(capture) => flatten(&capture.sub, parts),
        _ => parts.push(hir.clone()),
    }
}

/// What the expression becomes when the text is in small letters: it matches at least as much.
fn fold(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(look) => Hir::look(*look),
        HirKind::Literal(literal) => Hir::literal(literal.0.to_ascii_lowercase()),
        HirKind::Class(Class::Bytes(class)) => Hir::class(Class::Bytes(fold_class(class))),
        HirKind::Class(class) => Hir::class(class.clone()),
        HirKind::Repetition(repetition) => {
            let mut folded = repetition.clone();
            folded.sub = Box::new(fold(&repetition.sub));
            Hir::repetition(folded)
        }
        HirKind::Capture(capture) => fold(&capture.sub),
        HirKind::Concat(items) => Hir::concat(items.iter().map(fold).collect()),
        HirKind::Alternation(items) => Hir::alternation(items.iter().map(fold).collect()),
    }
}

fn fold_class(class: &ClassBytes) -> ClassBytes {
    let mut folded = ClassBytes::empty();
    for range in class.ranges() {
        for byte in range.start()..=range.end() {
            let small = byte.to_ascii_lowercase();
            folded.push(ClassBytesRange::new(small, small));
        }
    }
    folded
}

#[cfg(test)]
mod tests;
