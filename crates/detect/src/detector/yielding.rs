//! Which findings give way to others of the same secret.

use super::Mode;
use crate::{Finding, Rule, RuleSet};
use std::cmp::Reverse;
use std::collections::HashMap;

/// In a line of more findings than that each is compared with those next to it alone.
const COMPARED_MAX: usize = 256;

/// Drops findings that yield, and puts the others into the order of the text.
pub(super) fn settle(findings: &mut Vec<Finding>, rules: &RuleSet, mode: Mode) {
    if findings.len() < 2 {
        return;
    }
    findings.sort_by_key(|finding| (finding.span.start, finding.rule, Reverse(finding.span.end)));
    let mut by_line: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, finding) in findings.iter().enumerate() {
        by_line.entry(finding.place.start_line).or_default().push(at);
    }
    let mut kept = vec![true; findings.len()];
    for line in by_line.values() {
        for (number, at) in line.iter().enumerate() {
            let (first, last) = match line.len() {
                0..=COMPARED_MAX => (0, line.len()),
                _ => (number.saturating_sub(COMPARED_MAX / 2), line.len().min(number + COMPARED_MAX / 2)),
            };
            let others = line.get(first..last).unwrap_or_default().iter().filter(|other| *other != at);
            let Some(finding) = findings.get(*at) else { continue };
            let others = others.filter_map(|other| findings.get(*other));
            if let Some(kept) = kept.get_mut(*at) {
                *kept = !yields(finding, others, rules, mode);
            }
        }
    }
    // The last one is looked at first by `pop`.
    kept.reverse();
    findings.retain(|_| kept.pop().unwrap_or(true));
}

/// Whether one of the others is a better rule's, and the secret is within its secret.
fn yields<'f>(
    finding: &Finding,
    mut others: impl Iterator<Item = &'f Finding>,
    rules: &RuleSet,
    mode: Mode,
) -> bool {
    let Some(rule) = rules.rule(finding.rule) else { return false };
    others.any(|other| {
        let Some(other_rule) = rules.rule(other.rule) else { return false };
        finding.rule != other.rule
            && yields_to(rule, other_rule, mode)
            && memchr::memmem::find(other.secret.expose(), finding.secret.expose()).is_some()
    })
}

fn yields_to(rule: &Rule, other: &Rule, mode: Mode) -> bool {
    let is_less_generic = rule.is_generic() && !other.is_generic();
    is_less_generic || (mode == Mode::Native && rule.specificity < other.specificity)
}
