//! What a text itself shows to be a secret: by rules, by names, and private keys of several lines.

use super::names::{Looking, Names};
use super::span::{Kind, Label, Span};
use crate::{Confidence, Detector, Fragment, InlineIgnores, Options, RuleSet, Scratch};
use std::ops::Range;

/// Rules and names by which secrets are known that nobody has listed.
pub struct Patterns {
    names: Names,
    rules: Option<Rules>,
    confidence_min: Confidence,
}

struct Rules {
    detector: Detector,
    /// For each keyword of the detector, its number among those of names: it looks for both in one pass.
    heard: Vec<Option<usize>>,
}

impl Rules {
    fn new(rules: RuleSet) -> Self {
        let options =
            Options { decode_depth_max: 0, inline_ignores: InlineIgnores::Disregarded, ..Options::native() };
        let (detector, ids) = Detector::listening(rules, options, &Names::keywords());
        let mut heard = vec![None; ids.iter().max().map_or(0, |id| *id as usize + 1)];
        for (name, id) in ids.into_iter().enumerate() {
            if let Some(heard) = heard.get_mut(id as usize) {
                *heard = Some(name);
            }
        }
        Self { detector, heard }
    }
}

impl Patterns {
    /// Names, and rules with findings of at least this confidence. Comments that allow a secret in a file allow nothing here.
    pub fn new(rules: RuleSet, confidence_min: Confidence) -> Self {
        Self { names: Names::new(), rules: Some(Rules::new(rules)), confidence_min }
    }

    /// Names alone: nothing to make ready.
    pub fn of_names() -> Self {
        Self { names: Names::new(), rules: None, confidence_min: Confidence::Medium }
    }

    pub(super) fn rule_id(&self, rule: u32) -> &str {
        let rules = self.rules.as_ref().map(|rules| rules.detector.rules());
        rules.and_then(|rules| rules.rule(rule as usize)).map_or("", |rule| &rule.id)
    }

    /// Adds what ends after `from`, in no order.
    pub(super) fn search(&self, text: &[u8], from: usize, scratch: &mut Scratch, spans: &mut Vec<Span>) {
        let Some(Rules { detector, heard }) = &self.rules else {
            return self.names.search(text, from, spans);
        };
        scratch.hits.clear();
        let changed = std::slice::from_ref(&(from..text.len())).to_vec();
        let fragment = Fragment { changed: (from > 0).then_some(&changed), ..Fragment::whole(text, "") };
        for finding in detector.scan(&fragment, scratch) {
            let range = finding.secret_span;
            if finding.confidence >= self.confidence_min && range.end > from && !range.is_empty() {
                let label = Label::Rule(u32::try_from(finding.rule).unwrap_or(u32::MAX));
                spans.push(Span::new(range.start, range.end, label));
            }
        }
        // Of a text that is looked at in part, or not at all, only some keywords were seen.
        if from > 0 || detector.skips_path("") {
            return self.names.search(text, from, spans);
        }
        let mut looking = Looking::new(text, from, spans);
        for (at, keyword) in &scratch.hits {
            if let Some(Some(name)) = heard.get(*keyword as usize) {
                looking.look(*name, *at);
            }
        }
    }
}

/// The bodies of private keys in PEM: what stands between the line that begins one and the line that ends it.
pub(super) struct KeyBodies(Vec<Range<usize>>);

const BEGIN: &[u8] = b"-----BEGIN ";
const LABEL_BYTES_MAX: usize = 64;
const LINE_BYTES_MAX: usize = 128;
/// Lines of a key that are neither base64 nor its end.
const HEADERS: [&[u8]; 5] = [b"Proc-Type:", b"DEK-Info:", b"Comment:", b"Version:", b"Hash:"];

impl KeyBodies {
    /// `is_inside`: whether the text begins within one.
    pub(super) fn of(text: &[u8], is_inside: bool) -> Self {
        let mut bodies = Vec::new();
        let mut at = 0;
        if is_inside {
            at = body_end(text, 0);
            bodies.push(0..at);
        }
        while let Some(begin) = text.get(at..).and_then(|rest| memchr::memmem::find(rest, BEGIN)) {
            let label = at + begin + BEGIN.len();
            at = label;
            let Some(start) = label_end(text, label) else { continue };
            at = if is_line_end(text.get(start)) { body_end(text, start) } else { end_in_line(text, start) };
            bodies.push(start..at);
        }
        Self(bodies)
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.0.iter().any(|body| body.start < place && place <= body.end && body.end > 0)
    }

    /// The lines of all bodies, each without what is around it.
    pub(super) fn add_spans(&self, text: &[u8], from: usize, spans: &mut Vec<Span>) {
        for body in &self.0 {
            let mut start = body.start;
            for line in text.get(body.clone()).unwrap_or_default().split(|byte| *byte == b'\n') {
                let before = line.len() - line.trim_ascii_start().len();
                let trimmed = line.trim_ascii();
                let place = start + before;
                let span = Span::new(place, place + trimmed.len(), Label::Name(Kind::PrivateKey));
                if span.end > from && !trimmed.is_empty() && !super::style::is_replacement(trimmed) {
                    spans.push(span);
                }
                start += line.len() + 1;
            }
        }
    }
}

fn is_line_end(byte: Option<&u8>) -> bool {
    matches!(byte, None | Some(b'\n' | b'\r'))
}

/// Where the line that begins a private key ends; `None`: it begins something else.
fn label_end(text: &[u8], label: usize) -> Option<usize> {
    let rest = text.get(label..)?;
    let rest = rest.get(..LABEL_BYTES_MAX).unwrap_or(rest);
    let length = memchr::memmem::find(rest, b"-----")?;
    let label_text = rest.get(..length)?;
    let is_private = memchr::memmem::find(label_text, b"PRIVATE KEY").is_some();
    is_private.then_some(label + length + 5)
}

/// A key in one line, its line breaks escaped.
fn end_in_line(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = rest.get(..line).unwrap_or_default();
    start + memchr::memmem::find(line, b"-----END").unwrap_or(line.len())
}

/// Where the lines of a key end that begin at `start`, or go on there.
fn body_end(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest.get(..length).unwrap_or_default().trim_ascii();
        let is_code = line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=*".contains(byte));
        let is_header = HEADERS.iter().any(|header| line.starts_with(header));
        if line.len() > LINE_BYTES_MAX || !(is_code || is_header) {
            return at;
        }
        at += length;
    }
    at
}
