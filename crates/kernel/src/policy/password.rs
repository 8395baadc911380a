//! Password policies: what generated passwords consist of.
//!
//! Vault's language (<https://developer.hashicorp.com/vault/docs/concepts/password-policies>), in HCL or JSON:
//!
//! ```hcl
//! length = 20
//! rule "charset" {
//!   charset   = "abcdefghijklmnopqrstuvwxyz"
//!   min-chars = 1
//! }
//! ```

use super::problem::{PolicyError, Position, Problem, Problems, quoted};
use super::syntax::{self, Item, Node, Value};
use std::collections::BTreeSet;
use strongroom_secret::limits::POLICY_TEXT_BYTES_MAX;
use strongroom_secret::{Entropy, SecretString};
use zeroize::Zeroizing;

const LENGTH_MIN: usize = 4;
const LENGTH_MAX: usize = 100;
const RULES_MAX: usize = 100;

/// How long passwords are, and what stands in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    length: usize,
    rules: Vec<CharsetRule>,
    /// The characters of all rules, each once.
    characters: Vec<char>,
}

/// So many characters, at the least, out of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CharsetRule {
    characters: Vec<char>,
    count_min: usize,
}

impl PasswordPolicy {
    /// Reads a policy. Its rules can be met: their least numbers together are no more than the length.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut problems = Problems::default();
        let start = Position { line: 1, column: 1 };
        let (mut length, mut rules) = (None, Vec::new());
        if text.len() > POLICY_TEXT_BYTES_MAX {
            let message = format!("policy is too long: the limit is {POLICY_TEXT_BYTES_MAX} bytes");
            problems.push(Problem::new(start, message));
        } else {
            for item in &syntax::parse(text, &mut problems) {
                match item.key.text.as_str() {
                    "length" => length = whole_number(&item.node, LENGTH_MAX, &mut problems),
                    "rule" => read_rules(item, &mut rules, &mut problems),
                    other => problems.push(
                        Problem::new(item.key.position, format!("unknown key {}", quoted(other)))
                            .did_you_mean(other, ["length", "rule"]),
                    ),
                }
            }
        }
        let length = length.unwrap_or_default();
        let needed: usize = rules.iter().map(|rule| rule.count_min).sum();
        let refusal = if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
            Some(format!("passwords must be between {LENGTH_MIN} and {LENGTH_MAX} characters"))
        } else if rules.is_empty() || rules.len() > RULES_MAX {
            Some(format!(
                "no charset specified: one to {RULES_MAX} blocks rule \"charset\" {{ … }} are needed"
            ))
        } else if needed > length {
            Some(format!("specified rules require at least {needed} characters but {length} is specified"))
        } else {
            None
        };
        if let (Some(refusal), true) = (refusal, problems.is_empty()) {
            problems.push(Problem::new(start, refusal));
        }
        let all: BTreeSet<char> = rules.iter().flat_map(|rule| rule.characters.iter().copied()).collect();
        problems.or(Self { length, rules, characters: all.into_iter().collect() })
    }

    /// A new password: of every rule's characters as many as it wants, the rest out of all, in random order.
    pub fn generate(&self, entropy: &dyn Entropy) -> SecretString {
        let mut password = Zeroizing::new(Vec::with_capacity(self.length));
        for rule in &self.rules {
            password.extend((0..rule.count_min).filter_map(|_| pick(entropy, &rule.characters)));
        }
        while password.len() < self.length {
            match pick(entropy, &self.characters) {
                Some(character) => password.push(character),
                None => break,
            }
        }
        // Fisher and Yates: every order is equally likely.
        for last in (1..password.len()).rev() {
            password.swap(last, below(entropy, last + 1));
        }
        SecretString::new(password.iter().collect())
    }
}

fn read_rules(item: &Item, rules: &mut Vec<CharsetRule>, problems: &mut Problems) {
    let (labels, node) = (item.labels.as_slice(), &item.node);
    match (labels, &node.value) {
        ([kind], Value::Object(body)) => read_rule(&kind.text, kind.position, body, rules, problems),
        // JSON: {"rule": {"charset": {…}}} or {"rule": [{"charset": {…}}, …]}.
        ([], Value::Object(kinds)) => read_nested(kinds, rules, problems),
        ([], Value::List(nodes)) => {
            for node in nodes {
                match &node.value {
                    Value::Object(kinds) => read_nested(kinds, rules, problems),
                    _ => problems.push(Problem::new(node.position, "a rule must be a block")),
                }
            }
        }
        _ => problems.push(
            Problem::new(node.position, "a rule must be a block")
                .with_hint("write rule \"charset\" { charset = \"…\" }"),
        ),
    }
}

fn read_nested(kinds: &[Item], rules: &mut Vec<CharsetRule>, problems: &mut Problems) {
    for kind in kinds {
        let (name, position) = (kind.key.text.as_str(), kind.key.position);
        match &kind.node.value {
            Value::Object(body) => read_rule(name, position, body, rules, problems),
            Value::List(nodes) => {
                for node in nodes {
                    match &node.value {
                        Value::Object(body) => read_rule(name, position, body, rules, problems),
                        _ => problems.push(Problem::new(node.position, "a rule must be a block")),
                    }
                }
            }
            _ => problems.push(Problem::new(kind.node.position, "a rule must be a block")),
        }
    }
}

fn read_rule(
    kind: &str,
    position: Position,
    body: &[Item],
    rules: &mut Vec<CharsetRule>,
    problems: &mut Problems,
) {
    if kind != "charset" {
        let problem = Problem::new(position, format!("unrecognized rule type {}", quoted(kind)));
        problems.push(problem.with_hint("\"charset\" is the only one"));
        return;
    }
    let mut rule = CharsetRule { characters: Vec::new(), count_min: 0 };
    for item in body {
        match item.key.text.as_str() {
            "charset" => rule.characters = characters(&item.node, problems),
            "min-chars" => {
                rule.count_min = whole_number(&item.node, LENGTH_MAX, problems).unwrap_or_default();
            }
            other => problems.push(
                Problem::new(item.key.position, format!("unknown key {}", quoted(other)))
                    .did_you_mean(other, ["charset", "min-chars"]),
            ),
        }
    }
    if rule.characters.is_empty() && problems.is_empty() {
        problems.push(Problem::new(position, "no charset specified"));
    }
    rules.push(rule);
}

/// The characters of a text, each once.
fn characters(node: &Node, problems: &mut Problems) -> Vec<char> {
    let Value::Text(text) = &node.value else {
        problems.push(Problem::new(node.position, "charset must be a text"));
        return Vec::new();
    };
    if text.chars().any(char::is_control) {
        problems.push(Problem::new(node.position, "non-printable character in charset"));
    }
    text.chars().collect::<BTreeSet<_>>().into_iter().collect()
}

fn whole_number(node: &Node, max: usize, problems: &mut Problems) -> Option<usize> {
    let number = match &node.value {
        Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        _ => None,
    };
    if number.is_none_or(|number| number > max) {
        let message = format!("expected a whole number from 0 to {max}");
        problems.push(Problem::new(node.position, message));
        return None;
    }
    number
}

fn pick(entropy: &dyn Entropy, characters: &[char]) -> Option<char> {
    match characters {
        [] => None,
        characters => characters.get(below(entropy, characters.len())).copied(),
    }
}

/// Uniform below `count`: draws that would favour some numbers are thrown away.
fn below(entropy: &dyn Entropy, count: usize) -> usize {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let accepted = u32::MAX - u32::MAX % count;
    loop {
        let mut bytes = Zeroizing::new([0; 4]);
        entropy.fill(&mut *bytes);
        let number = u32::from_be_bytes(*bytes);
        if number < accepted {
            return usize::try_from(number % count).unwrap_or_default();
        }
    }
}
