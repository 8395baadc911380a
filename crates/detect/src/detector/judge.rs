//! From a match to a finding, or to nothing.

use super::allowlists::Asked;
use super::place::{Lines, Located};
use super::{Detector, Matched, Mode};
use crate::decode::{Kinds, Layer};
use crate::filter::Subject;
use crate::rule::Required;
use crate::structure::Verdict;
use crate::{Confidence, Finding, Fragment, Place, RequiredFinding, Rule, efficiency, entropy, ignores};
use std::ops::Range;
use strongroom_secret::SecretBytes;

/// Of a line without end so much before and after a match is kept.
const LINE_BYTES_MAX: usize = 4096;

pub(super) struct Judge<'a, 'f> {
    pub detector: &'a Detector,
    pub fragment: &'a Fragment<'f>,
    pub layers: &'a [Layer],
    /// What is looked at in this pass.
    pub text: &'a [u8],
    pub lines: &'a mut Lines,
}

/// Where a match comes from, and how.
struct Origin<'t> {
    /// In the fragment's text.
    range: Range<usize>,
    kinds: Kinds,
    /// The line as it is decoded.
    decoded_line: Option<&'t [u8]>,
}

impl<'a> Judge<'a, '_> {
    /// The findings of one rule in this pass, with what it requires.
    pub(super) fn rule<'m>(
        &mut self,
        index: usize,
        matches: impl Iterator<Item = &'m Matched>,
        findings: &mut Vec<Finding>,
    ) {
        let Some(rule) = self.detector.rules.rule(index) else { return };
        let mut found: Vec<Finding> =
            matches.filter_map(|found| self.finding(index, rule, &found.range)).collect();
        if !rule.required.is_empty() && !found.is_empty() {
            self.with_required(index, rule, &mut found);
        }
        findings.append(&mut found);
    }

    /// Keeps the findings for which each required rule found something nearby.
    fn with_required(&mut self, index: usize, rule: &Rule, found: &mut Vec<Finding>) {
        let mut others: Vec<(&Required, Vec<Finding>)> = Vec::new();
        let detector = self.detector;
        for (required, other) in rule.required.iter().zip(detector.required(index, rule)) {
            let other = self.all_of(*other);
            others.push((required, other));
        }
        found.retain_mut(|primary| {
            for (required, others) in &others {
                let near = others.iter().filter(|other| is_near(&primary.place, &other.place, required));
                let before = primary.required.len();
                primary.required.extend(near.map(as_required));
                if primary.required.len() == before {
                    return false;
                }
            }
            true
        });
    }

    /// All that a rule finds, whether or not its keywords are there.
    fn all_of(&mut self, index: usize) -> Vec<Finding> {
        let Some(rule) = self.detector.rules.rule(index) else { return Vec::new() };
        let Some(pattern) = &rule.regex else { return Vec::new() };
        if !self.detector.may_look(index, rule, self.fragment) {
            return Vec::new();
        }
        let matches = pattern.find_all(self.text);
        matches.iter().filter_map(|range| self.finding(index, rule, range)).collect()
    }

    fn finding(&mut self, index: usize, rule: &Rule, range: &Range<usize>) -> Option<Finding> {
        let mode = self.detector.options.mode;
        let whole = self.text.get(range.clone())?;
        let leading = whole.iter().take_while(|byte| **byte == b'\n').count();
        let matched = trim_newlines(whole);
        let origin = self.origin(range, matched, leading)?;
        let Located { place, line } =
            self.lines.locate(self.fragment.text, &origin.range, self.fragment.first_line, mode);
        let line = if mode == Mode::Native { clipped(line, &origin.range) } else { line };
        let line_text = self.fragment.text.get(line.clone()).unwrap_or_default();
        if self.is_ignored(line_text, line.start) {
            return None;
        }
        let secret_range = secret_in(rule, matched)?;
        let secret = matched.get(secret_range.clone())?;
        let entropy = entropy::of_text(secret);
        let asked = Asked {
            path: self.fragment.path_known(),
            commit: self.fragment.commit.unwrap_or_default(),
            secret,
            matched,
            line: origin.decoded_line.filter(|line| !line.is_empty()).unwrap_or(line_text),
        };
        if (rule.entropy != 0.0 && entropy <= rule.entropy)
            || self.detector.global.allows_finding(&asked)
            || self.detector.allowlists(index, rule).allows_finding(&asked)
        {
            return None;
        }
        let (confidence, notes) = match mode {
            Mode::Compatible => (Confidence::Medium, Vec::new()),
            Mode::Native => self.native(rule, &asked, range, entropy)?,
        };
        let secret_span = match self.layers.is_empty() {
            true => {
                let start = range.start + leading + secret_range.start;
                start..start + secret.len()
            }
            false => origin.range.clone(),
        };
        Some(Finding {
            rule: index,
            place,
            span: origin.range,
            secret_span,
            secret: SecretBytes::new(secret.to_vec()),
            matched: SecretBytes::new(matched.to_vec()),
            line: SecretBytes::new(line_text.to_vec()),
            entropy,
            confidence,
            decoded_from: origin.kinds.names().collect(),
            tags: self.tags(rule, origin.kinds),
            notes,
            known: None,
            required: Vec::new(),
        })
    }

    /// Where a match of this pass comes from. `None`: from what was looked at in an earlier pass.
    fn origin(&self, range: &Range<usize>, matched: &[u8], leading: usize) -> Option<Origin<'a>> {
        let Some((layer, outer)) = self.layers.split_last() else {
            // gitleaks cuts newlines in front off the match, but leaves its beginning where it was.
            let start = if self.detector.options.mode == Mode::Compatible {
                range.start
            } else {
                range.start + leading
            };
            let range = start..start + matched.len();
            return Some(Origin { range, kinds: Kinds::NONE, decoded_line: None });
        };
        let segments = layer.touched(range);
        if segments.is_empty() {
            return None;
        }
        let kinds = segments.iter().fold(Kinds::NONE, |kinds, segment| kinds | segment.kinds);
        let original = layer.original(range, outer);
        let length = self.fragment.text.len();
        let original = original.start.min(length)..original.end.min(length).max(original.start.min(length));
        Some(Origin { range: original, kinds, decoded_line: self.text.get(layer.line_of(segments)) })
    }

    fn is_ignored(&mut self, line: &[u8], start: usize) -> bool {
        let options = &self.detector.options;
        let before = match options.mode {
            Mode::Native => self.lines.before(self.fragment.text, start),
            Mode::Compatible => &[],
        };
        ignores::is_allowed(line, before, options.mode, options.inline_ignores)
    }

    /// What only we look at.
    fn native(
        &self,
        rule: &Rule,
        asked: &Asked<'_>,
        range: &Range<usize>,
        entropy: f64,
    ) -> Option<(Confidence, Vec<String>)> {
        let subject = Subject {
            path: asked.path,
            commit: asked.commit,
            rule_id: &rule.id,
            description: &rule.description,
            secret: asked.secret,
            matched: asked.matched,
            line: asked.line,
            text: self.text,
            start: range.start,
            end: range.end,
            entropy,
        };
        let filters = [self.detector.rules.filter.as_ref(), rule.filter.as_ref()];
        if filters.into_iter().flatten().any(|filter| filter.drops(&subject)) {
            return None;
        }
        if rule.token_efficiency && efficiency::is_wordlike(asked.secret) {
            return None;
        }
        structured(rule, asked.secret)
    }

    fn tags(&self, rule: &Rule, kinds: Kinds) -> Vec<String> {
        let mut tags = rule.tags.clone();
        if let Some(layer) = self.layers.last() {
            tags.extend(kinds.names().map(|name| format!("decoded:{name}")));
            tags.push(format!("decode-depth:{}", layer.depth));
        }
        tags
    }
}

/// What the structure inside the secret makes of the rule's confidence, and what was read on the way. `None`: it is no secret.
fn structured(rule: &Rule, secret: &[u8]) -> Option<(Confidence, Vec<String>)> {
    let usual = confidence(rule, secret);
    let Some(structure) = rule.structure else { return Some((usual, Vec::new())) };
    let check = structure.check(secret);
    let confidence = match check.verdict {
        Verdict::Impossible => return None,
        Verdict::Unlikely => Confidence::Low,
        Verdict::Plausible => usual,
        Verdict::Verified => Confidence::Verified,
    };
    Some((confidence, check.note.into_iter().collect()))
}

/// What a rule's form says, when it says nothing itself: a token that has the rule's keyword in it is hardly anything else.
fn confidence(rule: &Rule, secret: &[u8]) -> Confidence {
    if let Some(confidence) = rule.confidence {
        return confidence;
    }
    if rule.is_generic() {
        return Confidence::Low;
    }
    let secret = secret.to_ascii_lowercase();
    let has_keyword = rule
        .keywords
        .iter()
        .any(|keyword| keyword.len() > 2 && memchr::memmem::find(&secret, keyword.as_bytes()).is_some());
    if has_keyword { Confidence::High } else { Confidence::Medium }
}

/// A file that is a finding by its name.
pub(super) fn of_path(index: usize, rule: &Rule, path: &str) -> Finding {
    Finding {
        rule: index,
        place: Place { start_line: 0, start_column: 0, end_line: 0, end_column: 0 },
        span: 0..0,
        secret_span: 0..0,
        secret: SecretBytes::default(),
        matched: SecretBytes::new(format!("file detected: {path}").into_bytes()),
        line: SecretBytes::default(),
        entropy: 0.0,
        confidence: rule.confidence.unwrap_or(Confidence::Medium),
        decoded_from: Vec::new(),
        tags: rule.tags.clone(),
        notes: Vec::new(),
        known: None,
        required: Vec::new(),
    }
}

/// Where in the match the secret is: the groups are matched once more, on the match alone.
fn secret_in(rule: &Rule, matched: &[u8]) -> Option<Range<usize>> {
    let whole = 0..matched.len();
    let groups = rule.regex.as_ref()?.groups(matched).unwrap_or_default();
    if groups.len() < 2 {
        return Some(whole);
    }
    if rule.secret_group > 0 {
        return Some(groups.get(rule.secret_group)?.clone().unwrap_or(0..0));
    }
    let first = groups.into_iter().skip(1).flatten().find(|group| !group.is_empty());
    Some(first.unwrap_or(whole))
}

fn trim_newlines(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| *byte != b'\n').unwrap_or(text.len());
    let end = text.iter().rposition(|byte| *byte != b'\n').map_or(start, |at| at + 1);
    text.get(start..end).unwrap_or_default()
}

fn clipped(line: Range<usize>, found: &Range<usize>) -> Range<usize> {
    line.start.max(found.start.saturating_sub(LINE_BYTES_MAX))
        ..line.end.min(found.end.saturating_add(LINE_BYTES_MAX))
}

fn is_near(one: &Place, other: &Place, required: &Required) -> bool {
    let lines = required.within_lines.is_none_or(|most| one.start_line.abs_diff(other.start_line) <= most);
    lines && required.within_columns.is_none_or(|most| one.start_column.abs_diff(other.start_column) <= most)
}

fn as_required(finding: &Finding) -> RequiredFinding {
    RequiredFinding {
        rule: finding.rule,
        place: finding.place,
        span: finding.span.clone(),
        secret: finding.secret.duplicate(),
        matched: finding.matched.duplicate(),
        line: finding.line.duplicate(),
    }
}
