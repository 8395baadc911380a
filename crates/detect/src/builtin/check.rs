use super::sources;
use crate::config::{self, Problem, Reading, Wanted};
use crate::rule::RuleSet;
use crate::{Detector, Fragment, InlineIgnores, Options, Rule, Scratch};
use std::sync::Arc;

/// Taken out of examples: it keeps scanners (ours as well) from stopping at the file that they are written in.
const SEAM: &str = "<|>";

/// An example that does not come out as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub rule_id: String,
    /// From 0, among the rule's examples or counterexamples. The text itself is not given: it may be a secret.
    pub number: usize,
    pub failed: Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The rule finds nothing in an example.
    NotFound,
    /// The rule finds something in a counterexample.
    Found,
    /// The rule has no example at all.
    Missing,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.number + 1;
        match self.failed {
            Failed::NotFound => write!(f, "rule {}: example {number} is not found", self.rule_id),
            Failed::Found => {
                write!(f, "rule {}: something is found in counterexample {number}", self.rule_id)
            }
            Failed::Missing => write!(f, "rule {}: there is no example", self.rule_id),
        }
    }
}

/// Reads the rules that come with the program from their files, as anybody's are read, and runs all their examples.
///
/// # Errors
/// What is wrong with the files.
pub fn check() -> Result<Vec<Failure>, Problem> {
    let mut failures = Vec::new();
    for (name, text) in sources() {
        let refused = |wanted: Wanted<'_>| Err(format!("{wanted:?} is not there"));
        let loaded = config::read(text, name, Reading::Checked, &mut { refused })?;
        if let Some(problem) = loaded.problems.into_iter().next() {
            return Err(problem);
        }
        let allowlists = super::rules().allowlists;
        failures.extend(check_examples(RuleSet { allowlists, ..loaded.rules }));
    }
    Ok(failures)
}

/// Runs the examples of all rules of a set. Each rule is tried by itself, with the set's allowlists and the rules that it requires.
pub fn check_examples(mut rules: RuleSet) -> Vec<Failure> {
    let every = std::mem::take(&mut rules.rules);
    let mut failures = Vec::new();
    for rule in every {
        failures.extend(check_rule(rule, &rules));
    }
    failures
}

fn check_rule(mut rule: Rule, set: &RuleSet) -> Vec<Failure> {
    let examples = std::mem::take(&mut rule.examples);
    let counterexamples = std::mem::take(&mut rule.counterexamples);
    let failure = {
        let rule_id = rule.id.clone();
        move |number, failed| Failure { rule_id: rule_id.clone(), number, failed }
    };
    if examples.is_empty() {
        return vec![failure(0, Failed::Missing)];
    }
    let path = std::mem::take(&mut rule.example_path);
    let by_path_alone = rule.regex.is_none();
    let options =
        Options { inline_ignores: InlineIgnores::Disregarded, decode_depth_max: 0, ..Options::native() };
    let alone = RuleSet {
        rules: vec![rule],
        allowlists: set.allowlists.iter().map(Arc::clone).collect(),
        ..RuleSet::default()
    };
    let detector = Detector::new(alone, options);
    let finds = |example: &String| {
        let text = example.replace(SEAM, "");
        let fragment =
            if by_path_alone { Fragment::whole(b"", &text) } else { Fragment::whole(text.as_bytes(), &path) };
        !detector.scan(&fragment, &mut Scratch::default()).is_empty()
    };
    let missed = examples.iter().enumerate().filter(|(_, example)| !finds(example));
    let found = counterexamples.iter().enumerate().filter(|(_, example)| finds(example));
    missed
        .map(|(number, _)| failure(number, Failed::NotFound))
        .chain(found.map(|(number, _)| failure(number, Failed::Found)))
        .collect()
}
