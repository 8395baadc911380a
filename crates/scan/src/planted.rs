//! For tests: a detector that finds planted words, and what it found, as lines.

use crate::located::{Located, Statistics};
use std::ops::ControlFlow;
use strongroom_detect::detector::Options;
use strongroom_detect::pattern::Pattern;
use strongroom_detect::{Detector, Rule, RuleSet};

pub(crate) const NEEDLE: &str = "zqz_needle0123456789";

pub(crate) fn rules() -> RuleSet {
    let mut rule = Rule::new("planted");
    rule.description = "A planted word".to_owned();
    rule.remediation = "Pull it out.".to_owned();
    rule.keywords = vec!["zqz".to_owned()];
    rule.regex = Some(Pattern::new("zqz_needle[0-9]{10}").unwrap());
    RuleSet { rules: vec![rule], ..RuleSet::default() }
}

pub(crate) fn detector() -> Detector {
    Detector::new(rules(), Options::native())
}

/// Runs a scan and gives back all it handed over.
pub(crate) fn collected(scan: impl FnOnce(crate::Sink<'_>) -> Statistics) -> (Vec<Located>, Statistics) {
    let mut found = Vec::new();
    let statistics = scan(&mut |located| {
        found.push(located);
        ControlFlow::Continue(())
    });
    (found, statistics)
}

/// `path:line:column` of each finding, then `reason what` of what was skipped.
pub(crate) fn told(found: &[Located], statistics: &Statistics) -> Vec<String> {
    let places = found.iter().map(|located| {
        let place = located.finding.place;
        format!("{}:{}:{}", located.path, place.start_line, place.start_column)
    });
    let skipped = statistics.skipped().iter().map(|skipped| format!("{} {}", skipped.reason, skipped.what));
    places.chain(skipped).collect()
}
