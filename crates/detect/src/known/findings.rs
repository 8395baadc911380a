//! Hits as findings, beside those of rules.

use super::{Form, Hit, Matcher};
use crate::{Confidence, Finding, Fragment, KnownValue, Place, Rule, RuleSet, Severity};
use std::ops::Range;
use std::sync::Arc;
use strongroom_secret::SecretBytes;

/// The rule that hits are findings of.
pub const RULE_ID: &str = "known-secret";
/// Of a line without end, this much before and after the value is kept.
const LINE_BYTES_MAX: usize = 2048;

/// Puts the rule for hits beside the others.
pub(crate) fn add_rule(rules: &mut RuleSet) {
    if rules.index_of(RULE_ID).is_none() {
        rules.rules.push(Rule {
            description: "A value that is in use".to_owned(),
            severity: Severity::Critical,
            confidence: Some(Confidence::Verified),
            tags: vec!["known".to_owned()],
            remediation: "It is the very value: rotate it where it is kept, and take it out of here."
                .to_owned(),
            ..Rule::new(RULE_ID)
        });
    }
}

/// Everything in a fragment that an index knows.
pub(crate) fn findings(matchers: &[Arc<Matcher>], fragment: &Fragment<'_>, rule: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    for matcher in matchers {
        for hit in matcher.search(fragment.text) {
            let touches =
                |changed: &Range<usize>| changed.start < hit.span.end && hit.span.start < changed.end;
            if fragment.changed.is_none_or(|changed| changed.iter().any(touches)) {
                findings.extend(finding(matcher, fragment, rule, &hit));
            }
        }
    }
    findings
}

fn finding(matcher: &Matcher, fragment: &Fragment<'_>, rule: usize, hit: &Hit) -> Option<Finding> {
    let secret = matcher.secrets().get(hit.secret)?;
    let text = fragment.text;
    let matched = text.get(hit.span.clone())?;
    let (start, end) = (hit.span.start, hit.span.end);
    let line_start = memchr::memrchr(b'\n', text.get(..start)?).map_or(0, |at| at + 1);
    let line_end = memchr::memchr(b'\n', text.get(end..)?).map_or(text.len(), |at| end + at);
    let kept = line_start.max(start.saturating_sub(LINE_BYTES_MAX))..line_end.min(end + LINE_BYTES_MAX);
    let version = secret.version.as_deref().map(|version| format!(" version {version}")).unwrap_or_default();
    let part = match hit.form {
        Form::Whole => "",
        Form::Decoded => ", decoded",
        Form::Line => ", a line of it",
        Form::Password => ", the password in it",
    };
    Some(Finding {
        rule,
        place: place(fragment, hit.span.clone(), line_start)?,
        span: hit.span.clone(),
        secret_span: hit.span.clone(),
        secret: SecretBytes::new(matched.to_vec()),
        matched: SecretBytes::new(matched.to_vec()),
        line: SecretBytes::new(text.get(kept)?.to_vec()),
        entropy: strongroom_fingerprint::shannon(matched),
        confidence: Confidence::Verified,
        decoded_from: hit.decoded_from.clone(),
        tags: vec!["known".to_owned()],
        notes: vec![format!("{}{version}{part} ({}, {})", secret.name, secret.origin, secret.id)],
        known: Some(Box::new(KnownValue {
            tag: data_encoding::HEXLOWER.encode(&hit.tag),
            form: hit.form.word(),
            server: matcher.server().map(str::to_owned),
            is_cut: matcher.is_cut(),
            resolved: None,
        })),
        required: Vec::new(),
    })
}

fn place(fragment: &Fragment<'_>, span: Range<usize>, line_start: usize) -> Option<Place> {
    let lines_before =
        |end: usize| Some(memchr::memchr_iter(b'\n', fragment.text.get(..end)?).count() as u64);
    let last = span.end.saturating_sub(1);
    let last_line_start = memchr::memrchr(b'\n', fragment.text.get(..last)?).map_or(0, |at| at + 1);
    Some(Place {
        start_line: fragment.first_line + lines_before(span.start)?,
        start_column: (span.start - line_start + 1) as u64,
        end_line: fragment.first_line + lines_before(last)?,
        end_column: (last - last_line_start + 1) as u64,
    })
}
