//! For tests: rules that find planted words.

use strongroom_detect::pattern::Pattern;
use strongroom_detect::{Rule, RuleSet};

pub(crate) fn rules() -> RuleSet {
    let mut rule = Rule::new("planted");
    rule.description = "A planted word".to_owned();
    rule.remediation = "Pull it out.".to_owned();
    rule.keywords = vec!["zqz".to_owned()];
    rule.regex = Some(Pattern::new("zqz_needle[0-9]{10}").unwrap());
    RuleSet { rules: vec![rule], ..RuleSet::default() }
}
