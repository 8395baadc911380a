//! Which findings give way to others of the same secret.

use super::Mode;
use crate::{Finding, Rule, RuleSet};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Drops findings that yield, and puts the others into the order of the text.
pub(super) fn settle(findings: &mut Vec<Finding>, rules: &RuleSet, mode: Mode) {
    if findings.len() < 2 {
        return;
    }
    let mut by_line: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, finding) in findings.iter().enumerate() {
        by_line.entry(finding.place.start_line).or_default().push(at);
    }
    let yields = |at: usize, finding: &Finding| {
        let rule = rules.rule(finding.rule)?;
        let others = by_line.get(&finding.place.start_line)?;
        let better =
            others.iter().filter_map(|other| findings.get(*other).filter(|_| *other != at)).any(|other| {
                let Some(other_rule) = rules.rule(other.rule) else { return false };
                finding.rule != other.rule
                    && yields_to(rule, other_rule, mode)
                    && memchr::memmem::find(other.secret.expose(), finding.secret.expose()).is_some()
            });
        Some(better)
    };
    let mut kept: Vec<bool> =
        findings.iter().enumerate().map(|(at, finding)| !yields(at, finding).unwrap_or(false)).collect();
    // The last one is looked at first by `pop`.
    kept.reverse();
    findings.retain(|_| kept.pop().unwrap_or(true));
    findings.sort_by_key(|finding| (finding.span.start, finding.rule, Reverse(finding.span.end)));
}

fn yields_to(rule: &Rule, other: &Rule, mode: Mode) -> bool {
    let is_less_generic = rule.is_generic() && !other.is_generic();
    is_less_generic || (mode == Mode::Native && rule.specificity < other.specificity)
}
