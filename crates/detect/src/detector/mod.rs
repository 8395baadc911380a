//! Looks for rules in a text.

mod allowlists;
mod judge;
mod place;
mod scratch;
mod yielding;

#[cfg(test)]
mod tests;

pub use scratch::Scratch;

use crate::decode::{self, Layer};
use crate::filter::Subject;
use crate::known::{Matcher, RULE_ID, findings};
use crate::prefilter::{KeywordId, Prefilter, Standing};
use crate::window::{self, Plan};
use crate::{Finding, Fragment, Rule, RuleSet};
use allowlists::Joined;
use judge::Judge;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Around what changed, keywords are looked for so far: a match that has its keyword farther away was there before.
const CONTEXT_BYTES: usize = 1024;
/// Longer secrets may be lost where a caller cuts a text into pieces.
const OVERLAP_BYTES: usize = 16 * 1024;
/// More findings in one fragment are not looked for: it is a list of tokens, or made to keep us busy.
const FINDINGS_MAX: usize = 100_000;

/// Rules, made ready to be looked for. Shared by all threads.
///
/// Making one costs a fraction of a millisecond: expressions are compiled when a keyword of theirs is seen.
#[derive(Debug)]
pub struct Detector {
    rules: RuleSet,
    options: Options,
    prefilter: Prefilter,
    /// For each keyword, the rules that it arms.
    armed_by: Vec<Vec<usize>>,
    /// Rules without keywords.
    always: Vec<usize>,
    prepared: Vec<Prepared>,
    global: Joined,
    /// Tells scratches of other detectors apart.
    serial: u64,
}

/// What is made of a rule when it is first needed.
#[derive(Debug, Default)]
struct Prepared {
    plan: OnceLock<Plan>,
    allowlists: OnceLock<Joined>,
    required: OnceLock<Vec<usize>>,
}

/// How to look.
#[derive(Debug, Clone)]
pub struct Options {
    pub mode: Mode,
    /// How often what was decoded is decoded again; 0: nothing is decoded. gitleaks: 5.
    pub decode_depth_max: usize,
    pub inline_ignores: InlineIgnores,
    /// [`Mode::Compatible`] skips fragments of more megabytes (`--max-target-megabytes`); 0: none.
    pub megabytes_max: usize,
    /// Paths that are not looked at: the configuration itself, a baseline.
    pub skipped_paths: Vec<String>,
    /// Values to find exactly, beside what rules find.
    pub known: Vec<Arc<Matcher>>,
}

/// Whose behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Ours: columns that are right, confidence, betterleaks' filters, everything that lowers noise.
    Native,
    /// gitleaks', in every detail.
    Compatible,
}

/// Comments in a line that say that what stands there is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InlineIgnores {
    /// Those of the mode: gitleaks' alone, or of all scanners.
    Honoured,
    /// None: everything is reported (`--ignore-gitleaks-allow`).
    Disregarded,
}

impl Options {
    pub fn native() -> Self {
        Self {
            mode: Mode::Native,
            decode_depth_max: 5,
            inline_ignores: InlineIgnores::Honoured,
            megabytes_max: 0,
            skipped_paths: Vec::new(),
            known: Vec::new(),
        }
    }

    pub fn compatible() -> Self {
        Self { mode: Mode::Compatible, ..Self::native() }
    }
}

/// A place where a rule's expression matched, in the text of one pass.
#[derive(Debug, Clone)]
struct Matched {
    rule: usize,
    range: Range<usize>,
}

impl Detector {
    pub fn new(rules: RuleSet, options: Options) -> Self {
        Self::listening(rules, options, &[]).0
    }

    /// Looks for more keywords, that are no rule's, in the same pass: they are among [`Scratch::hits`] then. Their numbers come with
    /// it, in their order.
    pub(crate) fn listening(mut rules: RuleSet, options: Options, more: &[&str]) -> (Self, Vec<KeywordId>) {
        if !options.known.is_empty() {
            findings::add_rule(&mut rules);
        }
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let more_keywords = more.iter().map(|keyword| (*keyword, Standing::Anywhere));
        let (prefilter, ids) = Prefilter::new(more_keywords.chain(keywords(&rules)));
        let heard = more.iter().filter_map(|keyword| ids.get(keyword).copied()).collect();
        let mut armed_by = vec![Vec::new(); prefilter.keyword_count()];
        let mut always = Vec::new();
        for (index, rule) in rules.rules.iter().enumerate() {
            if rule.id == RULE_ID {
                continue;
            }
            // An empty keyword stands in every text; one that did not fit may.
            let known = |keyword: &String| ids.contains_key(keyword.as_str());
            if rule.keywords.is_empty() || !rule.keywords.iter().all(known) {
                always.push(index);
                continue;
            }
            for keyword in &rule.keywords {
                let armed = ids.get(keyword.as_str()).and_then(|id| armed_by.get_mut(*id as usize));
                if let Some(armed) = armed.filter(|armed| armed.last() != Some(&index)) {
                    armed.push(index);
                }
            }
        }
        let prepared = rules.rules.iter().map(|_| Prepared::default()).collect();
        let global = Joined::new(&rules.allowlists);
        drop(ids);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        (Self { rules, options, prefilter, armed_by, always, prepared, global, serial }, heard)
    }

    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether nothing in a file of this path is looked at, so that it need not be read.
    pub fn skips_path(&self, path: &str) -> bool {
        self.skips_fragment(&Fragment::whole(b"", path))
    }

    fn skips_fragment(&self, fragment: &Fragment<'_>) -> bool {
        let path = fragment.path_known();
        if !path.is_empty() && self.options.skipped_paths.iter().any(|skipped| skipped == path) {
            return true;
        }
        if self.global.allows_fragment(path, fragment.commit.unwrap_or_default()) {
            return true;
        }
        let subject = Subject::fragment(path, fragment.commit.unwrap_or_default());
        self.options.mode == Mode::Native
            && self.rules.prefilter.as_ref().is_some_and(|filter| filter.drops(&subject))
    }

    /// Two pieces of a text that is too large for one fragment have to share this many bytes, so that nothing is lost at the seam
    /// that is no longer than that. A finding within what they share comes twice, with the same place.
    pub fn overlap(&self) -> usize {
        OVERLAP_BYTES
    }

    /// All findings in a fragment, in the order of the text.
    pub fn scan(&self, fragment: &Fragment<'_>, scratch: &mut Scratch) -> Vec<Finding> {
        if self.skips_fragment(fragment) {
            return Vec::new();
        }
        scratch.begin(self.serial, self.rules.rules.len());
        let mut findings = Vec::new();
        let mut layers: Vec<Layer> = Vec::new();
        loop {
            self.pass(fragment, &layers, scratch, &mut findings);
            if layers.len() >= self.options.decode_depth_max || findings.len() > FINDINGS_MAX {
                break;
            }
            let Some(layer) = self.decode(fragment, &layers) else { break };
            layers.push(layer);
        }
        yielding::settle(&mut findings, &self.rules, self.options.mode);
        findings.extend(self.known_values(fragment));
        findings
    }

    /// What [`Options::known`] finds in a fragment.
    fn known_values(&self, fragment: &Fragment<'_>) -> Vec<Finding> {
        match self.rules.index_of(RULE_ID).filter(|_| !self.options.known.is_empty()) {
            Some(rule) => findings::findings(&self.options.known, fragment, rule),
            None => Vec::new(),
        }
    }

    fn decode(&self, fragment: &Fragment<'_>, layers: &[Layer]) -> Option<Layer> {
        let mode = self.options.mode;
        let Some(last) = layers.last() else {
            return decode::decode(fragment.text, layers, mode, fragment.changed);
        };
        // What could be decoded in the pass before is decoded: only there is something new.
        let new: Vec<Range<usize>> = last.segments.iter().map(|segment| segment.decoded.clone()).collect();
        let new = (mode == Mode::Native).then_some(new);
        decode::decode(&last.text, layers, mode, new.as_deref())
    }

    /// Looks for all rules in the fragment's text, or in what was decoded of it last.
    fn pass(
        &self,
        fragment: &Fragment<'_>,
        layers: &[Layer],
        scratch: &mut Scratch,
        findings: &mut Vec<Finding>,
    ) {
        let text = layers.last().map_or(fragment.text, |layer| &layer.text);
        let is_large = self.options.megabytes_max > 0 && text.len() / 1_000_000 > self.options.megabytes_max;
        if is_large && self.options.mode == Mode::Compatible {
            self.find_paths(fragment, layers, findings);
            return;
        }
        let changed = self.changed(fragment, layers);
        let matches = self.matches(fragment, text, changed.as_deref(), scratch);
        let mut judge = Judge { detector: self, fragment, layers, text, lines: &mut scratch.lines };
        let mut at = 0;
        while let Some(first) = matches.get(at) {
            let count = matches
                .get(at..)
                .unwrap_or_default()
                .iter()
                .take_while(|other| other.rule == first.rule)
                .count();
            let of_rule = matches.get(at..at + count).unwrap_or_default();
            let wanted = of_rule.iter().filter(|found| {
                layers.last().is_some()
                    || fragment.changed.is_none_or(|changed| overlaps(changed, &found.range))
            });
            judge.rule(first.rule, wanted, findings);
            at += count;
        }
        self.find_paths(fragment, layers, findings);
    }

    /// Rules without an expression: the path is the finding.
    fn find_paths(&self, fragment: &Fragment<'_>, layers: &[Layer], findings: &mut Vec<Finding>) {
        if !layers.is_empty() || fragment.path_known().is_empty() {
            return;
        }
        for index in &self.always {
            let Some(rule) = self.rules.rule(*index) else { continue };
            let matches_path = rule.path.as_ref().is_some_and(|path| path.is_match(fragment.path.as_bytes()));
            if rule.regex.is_none()
                && !rule.skip_report
                && matches_path
                && !self.rule_skips(*index, rule, fragment)
            {
                findings.push(judge::of_path(*index, rule, fragment.path));
            }
        }
    }

    /// What is to be looked at in this pass, sorted; `None`: everything.
    fn changed(&self, fragment: &Fragment<'_>, layers: &[Layer]) -> Option<Vec<Range<usize>>> {
        match layers.last() {
            // What was not decoded was looked at in the passes before.
            Some(layer) => Some(layer.segments.iter().map(|segment| segment.decoded.clone()).collect()),
            None => fragment.changed.map(<[Range<usize>]>::to_vec),
        }
    }

    /// All matches of all rules that are armed, by rule and place.
    fn matches(
        &self,
        fragment: &Fragment<'_>,
        text: &[u8],
        changed: Option<&[Range<usize>]>,
        scratch: &mut Scratch,
    ) -> Vec<Matched> {
        let windows = windows(changed, text.len());
        let Scratch { hits, states, .. } = scratch;
        hits.clear();
        for window in &windows {
            self.prefilter.hits(text, window.clone(), &mut |keyword, at| hits.push((at, keyword)));
        }
        // They come nearly in order.
        hits.sort_unstable();
        let mut matches = Vec::new();
        let mut whole: Vec<usize> = self.always.clone();
        states.iter_mut().for_each(scratch::RuleState::next_text);
        let mut limits = windows.iter().map(|window| window.end).peekable();
        for (at, keyword) in hits.iter() {
            // The end of the window that the keyword stands in.
            while limits.next_if(|limit| limit <= at).is_some() {}
            let limit = limits.peek().copied().unwrap_or(text.len());
            for index in self.armed_by.get(*keyword as usize).into_iter().flatten() {
                let (Some(rule), Some(state)) = (self.rules.rule(*index), states.get_mut(*index)) else {
                    continue;
                };
                if *at < state.progress.from || !state.is_wanted(|| self.wants(*index, rule, fragment)) {
                    continue;
                }
                let Some(pattern) = &rule.regex else { continue };
                match self.plan(*index, rule) {
                    // A keyword in what stands around a change, too far from it for any match.
                    Plan::Around(around)
                        if changed.is_some_and(|changed| !decode::touches(changed, &around.reach(*at))) => {}
                    Plan::Around(around) => {
                        if let Some(range) = around.search(pattern, text, *at, limit, &mut state.progress) {
                            matches.push(Matched { rule: *index, range });
                        }
                    }
                    Plan::Whole => {
                        state.progress.from = usize::MAX;
                        whole.push(*index);
                    }
                }
            }
        }
        for index in whole {
            let (Some(rule), Some(state)) = (self.rules.rule(index), states.get_mut(index)) else { continue };
            if state.is_wanted(|| self.wants(index, rule, fragment)) {
                self.whole(index, rule, text, &windows, &mut matches);
            }
        }
        matches.sort_by_key(|found| (found.rule, found.range.start));
        matches
    }

    fn whole(
        &self,
        index: usize,
        rule: &Rule,
        text: &[u8],
        windows: &[Range<usize>],
        matches: &mut Vec<Matched>,
    ) {
        let Some(pattern) = &rule.regex else { return };
        for window in windows {
            let part = pattern.find_all_within(text, window.clone());
            matches.extend(part.into_iter().map(|range| Matched { rule: index, range }));
        }
    }

    /// Whether a rule looks into this fragment at all, and reports by itself.
    fn wants(&self, index: usize, rule: &Rule, fragment: &Fragment<'_>) -> bool {
        !rule.skip_report && rule.regex.is_some() && self.may_look(index, rule, fragment)
    }

    /// Whether a rule may look into this fragment, if only as a part of another.
    fn may_look(&self, index: usize, rule: &Rule, fragment: &Fragment<'_>) -> bool {
        let path = rule.path.as_ref();
        path.is_none_or(|path| fragment.is_path_unknown() || path.is_match(fragment.path.as_bytes()))
            && !self.rule_skips(index, rule, fragment)
    }

    fn rule_skips(&self, index: usize, rule: &Rule, fragment: &Fragment<'_>) -> bool {
        self.allowlists(index, rule)
            .allows_fragment(fragment.path_known(), fragment.commit.unwrap_or_default())
    }

    fn plan(&self, index: usize, rule: &Rule) -> &Plan {
        static WHOLE: Plan = Plan::Whole;
        let Some((prepared, pattern)) = self.prepared.get(index).zip(rule.regex.as_ref()) else {
            return &WHOLE;
        };
        prepared.plan.get_or_init(|| Plan::new(pattern, &rule.keywords))
    }

    fn allowlists(&self, index: usize, rule: &Rule) -> &Joined {
        static NONE: Joined = Joined::none();
        match self.prepared.get(index) {
            Some(prepared) if !rule.allowlists.is_empty() => {
                prepared.allowlists.get_or_init(|| Joined::new(&rule.allowlists))
            }
            _ => &NONE,
        }
    }

    /// The rules that have to find something as well, in the order in which they are named.
    fn required(&self, index: usize, rule: &Rule) -> &[usize] {
        let Some(prepared) = self.prepared.get(index).filter(|_| !rule.required.is_empty()) else {
            return &[];
        };
        prepared.required.get_or_init(|| {
            let ids = rule.required.iter().map(|required| &required.rule_id);
            ids.map(|id| self.rules.index_of(id).unwrap_or(usize::MAX)).collect()
        })
    }
}

/// All keywords. The shortest ones stand everywhere: if all rules that they arm want them at the beginning of words, only
/// those count.
fn keywords(rules: &RuleSet) -> BTreeMap<&str, Standing> {
    let mut keywords = BTreeMap::new();
    for rule in &rules.rules {
        let is_short = |keyword: &String| keyword.len() <= 2;
        let begins_words = rule.keywords.iter().any(is_short)
            && rule.regex.as_ref().is_some_and(|regex| window::begins_words(regex, &rule.keywords));
        for keyword in &rule.keywords {
            let standing =
                if begins_words && is_short(keyword) { Standing::AtWordStart } else { Standing::Anywhere };
            let known = keywords.entry(keyword.as_str()).or_insert(standing);
            *known = standing.min(*known);
        }
    }
    keywords
}

/// What changed with what is around it, without overlaps; the whole text if nothing is said.
fn windows(changed: Option<&[Range<usize>]>, length: usize) -> Vec<Range<usize>> {
    let Some(changed) = changed else { return std::iter::once(0..length).collect() };
    let mut windows: Vec<Range<usize>> = Vec::new();
    for range in changed {
        let start = range.start.saturating_sub(CONTEXT_BYTES).min(length);
        let end = range.end.saturating_add(CONTEXT_BYTES).min(length);
        match windows.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => windows.push(start..end),
        }
    }
    windows
}

/// Whether a range has something in common with one of the sorted ranges.
fn overlaps(ranges: &[Range<usize>], range: &Range<usize>) -> bool {
    let at = ranges.partition_point(|other| other.end <= range.start);
    ranges.get(at).is_some_and(|other| other.start < range.end)
}
