//! From the structure of a policy's text to its rules. Every problem is collected.

use super::capability::{Capability, CapabilitySet};
use super::parameters::{Constraints, ParameterValues};
use super::pattern::{Effect, PathTemplate};
use super::problem::{Position, Problem, Problems, quoted};
use super::syntax::{Item, Key, Node, Value};
use std::time::Duration;
use strongroom_secret::{Timestamp, parse_duration};

/// One `path "…" { … }`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PathRule {
    /// As written, without a leading slash.
    pub(super) path: Box<str>,
    pub(super) position: Position,
    pub(super) template: PathTemplate,
    pub(super) capabilities: CapabilitySet,
    pub(super) constraints: Constraints,
    /// After this moment the rule does not count.
    pub(super) expiration: Option<Timestamp>,
}

const RULES_MAX: usize = 10_000;

const TOP_LEVEL_KEYS: [&str; 2] = ["name", "path"];

const RULE_KEYS: [&str; 10] = [
    "allowed_parameters",
    "capabilities",
    "comment",
    "denied_parameters",
    "expiration",
    "max_wrapping_ttl",
    "min_wrapping_ttl",
    "pagination_limit",
    "policy",
    "required_parameters",
];

/// Keys that Vault or OpenBao know and that bound what a rule grants: to pass over them would grant more.
const UNSUPPORTED_KEYS: [&str; 4] =
    ["control_group", "list_scan_response_keys_filter_path", "mfa_methods", "subscribe_event_types"];

impl PathRule {
    pub(super) fn effect(&self) -> Effect {
        if self.capabilities.is_deny() { Effect::Denies } else { Effect::Grants }
    }
}

pub(super) struct Reader {
    pub(super) rules: Vec<PathRule>,
    pub(super) problems: Problems,
    pub(super) warnings: Problems,
}

impl Reader {
    pub(super) fn read(&mut self, items: &[Item]) {
        for item in items {
            match item.key.text.as_str() {
                "path" => self.read_paths(item),
                "name" => match &item.node.value {
                    Value::Text(_) | Value::Null if item.labels.is_empty() => {}
                    _ => self.problems.push(Problem::new(item.node.position, "name must be a text")),
                },
                key => self.problems.push(unknown_top_level_key(key, item.key.position)),
            }
        }
    }

    fn read_paths(&mut self, item: &Item) {
        match (item.labels.as_slice(), &item.node.value) {
            ([], Value::Object(paths)) => self.read_path_items(paths),
            ([], Value::List(nodes)) => {
                for node in nodes {
                    match &node.value {
                        Value::Object(paths) => self.read_path_items(paths),
                        _ => self.problems.push(Problem::new(node.position, "expected an object of paths")),
                    }
                }
            }
            ([path], Value::Object(body)) => self.read_rule(path, body),
            ([_, second, ..], _) => {
                let hint = "one block is one path";
                self.problems.push(Problem::new(second.position, "unexpected second path").with_hint(hint));
            }
            _ => {
                let hint = "write path \"secret/data/app\" { capabilities = [\"read\"] }";
                self.problems.push(Problem::new(item.node.position, "path must be a block").with_hint(hint));
            }
        }
    }

    /// The JSON form: an object with a path as each key; the same path may have several rules.
    fn read_path_items(&mut self, items: &[Item]) {
        for item in items {
            match (&item.node.value, item.labels.is_empty()) {
                (Value::Object(body), true) => self.read_rule(&item.key, body),
                (Value::List(nodes), true) => {
                    for node in nodes {
                        match &node.value {
                            Value::Object(body) => self.read_rule(&item.key, body),
                            _ => self.problems.push(Problem::new(node.position, "expected an object")),
                        }
                    }
                }
                _ => {
                    let message = format!("path {} must be an object", quoted(&item.key.text));
                    self.problems.push(Problem::new(item.node.position, message));
                }
            }
        }
    }

    fn read_rule(&mut self, key: &Key, body: &[Item]) {
        if self.rules.len() >= RULES_MAX {
            return self
                .problems
                .push(Problem::new(key.position, format!("too many paths: the limit is {RULES_MAX}")));
        }
        let path = key.text.strip_prefix('/').unwrap_or(&key.text);
        let template = PathTemplate::parse(path)
            .map_err(|error| {
                self.problems.push(Problem::new(key.position, format!("path {}: {error}", quoted(&key.text))))
            })
            .ok();
        let mut draft = Draft::default();
        let mut seen: Vec<&Key> = Vec::new();
        for item in body {
            if let Some(first) = seen.iter().find(|first| first.text == item.key.text) {
                let message =
                    format!("{:?} is set twice; first on line {}", item.key.text, first.position.line);
                self.problems.push(Problem::new(item.key.position, message));
                continue;
            }
            seen.push(&item.key);
            if let Err(problem) = draft.set(item, &mut self.problems) {
                self.problems.push(problem);
            }
        }
        if let Err(message) = draft.check() {
            self.problems.push(Problem::new(key.position, format!("path {}: {message}", quoted(&key.text))));
        }
        let Some(template) = template else { return };
        self.warn(path, key.position, &template);
        self.rules.push(PathRule {
            path: path.into(),
            position: key.position,
            template,
            capabilities: draft.capabilities(),
            constraints: draft.constraints,
            expiration: draft.expiration,
        });
    }

    fn warn(&mut self, path: &str, position: Position, template: &PathTemplate) {
        let name = quoted(path);
        if template.has_unknown_variable() {
            let message =
                format!("path {name} has a template variable that is not known, so its rule never applies");
            let hint = "known are identity.entity.{id,name,metadata.KEY,aliases.ACCESSOR.…} and \
                        identity.groups.{ids,names}.SELECTOR.{id,name,metadata.KEY}";
            self.warnings.push(Problem::new(position, message).with_hint(hint));
        }
        if template.has_literal_wildcard() {
            let message = format!("path {name} has a '*' or '+' that stands for itself");
            let hint = "'*' is a wildcard only at the end, '+' only as a whole segment";
            self.warnings.push(Problem::new(position, message).with_hint(hint));
        }
        let no_request =
            path.starts_with('/') || path.contains("//") || path.split('/').any(|s| s == "." || s == "..");
        if no_request || path.chars().any(char::is_control) {
            let message = format!("path {name} can match no request");
            let hint = "requests have no empty segments, no \".\" or \"..\" and no control characters";
            self.warnings.push(Problem::new(position, message).with_hint(hint));
        }
    }
}

fn unknown_top_level_key(key: &str, position: Position) -> Problem {
    let problem = Problem::new(position, format!("invalid key {}", quoted(key)));
    if RULE_KEYS.contains(&key) {
        return problem.with_hint("it belongs into a path block");
    }
    problem.did_you_mean(key, TOP_LEVEL_KEYS)
}

/// A rule while its keys are read.
#[derive(Default)]
struct Draft {
    old_form: Option<CapabilitySet>,
    listed: CapabilitySet,
    constraints: Constraints,
    expiration: Option<Timestamp>,
}

impl Draft {
    fn set(&mut self, item: &Item, problems: &mut Problems) -> Result<(), Problem> {
        let (key, node) = (item.key.text.as_str(), &item.node);
        if UNSUPPORTED_KEYS.contains(&key) {
            let hint = "the rule would grant more without it, so the policy is refused";
            return Err(Problem::new(item.key.position, format!("{key:?} is not supported")).with_hint(hint));
        }
        if !RULE_KEYS.contains(&key) {
            let problem = Problem::new(item.key.position, format!("invalid key {}", quoted(key)));
            return Err(problem.did_you_mean(key, RULE_KEYS));
        }
        if let Some(label) = item.labels.first() {
            return Err(Problem::new(label.position, format!("{key:?} takes no label")));
        }
        if matches!(node.value, Value::Null) {
            return Ok(());
        }
        match key {
            "capabilities" => self.listed = capabilities(node, problems)?,
            "policy" => self.old_form = Some(old_form(node)?),
            "allowed_parameters" => self.constraints.allowed = parameter_values(key, node)?,
            "denied_parameters" => self.constraints.denied = parameter_values(key, node)?,
            "required_parameters" => {
                let names = texts(key, node)?.into_iter().map(|(name, _)| name.to_lowercase().into());
                self.constraints.required = names.collect();
            }
            "min_wrapping_ttl" => self.constraints.wrapping_ttl_min = duration(key, node)?,
            "max_wrapping_ttl" => self.constraints.wrapping_ttl_max = duration(key, node)?,
            "pagination_limit" => self.constraints.page_limit_max = page_limit(node)?,
            "expiration" => self.expiration = expiration(node)?,
            _ => {
                text(key, node)?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), &'static str> {
        match (self.constraints.wrapping_ttl_min, self.constraints.wrapping_ttl_max) {
            (Some(min), Some(max)) if max < min => {
                Err("max_wrapping_ttl cannot be less than min_wrapping_ttl")
            }
            _ => Ok(()),
        }
    }

    fn capabilities(&self) -> CapabilitySet {
        let all = self.listed.union(self.old_form.unwrap_or_default());
        if all.is_deny() { CapabilitySet::DENY } else { all }
    }
}

fn text<'a>(key: &str, node: &'a Node) -> Result<&'a str, Problem> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(Problem::new(node.position, format!("{key:?} must be a text"))),
    }
}

fn texts<'a>(key: &str, node: &'a Node) -> Result<Vec<(&'a str, Position)>, Problem> {
    let problem = |position| {
        Problem::new(position, format!("{key:?} must be a list of texts"))
            .with_hint("write [\"one\", \"two\"]")
    };
    let Value::List(nodes) = &node.value else { return Err(problem(node.position)) };
    let element = |node: &'a Node| match &node.value {
        Value::Text(text) => Ok((text.as_str(), node.position)),
        _ => Err(problem(node.position)),
    };
    nodes.iter().map(element).collect()
}

fn capabilities(node: &Node, problems: &mut Problems) -> Result<CapabilitySet, Problem> {
    let mut set = CapabilitySet::EMPTY;
    for (name, position) in texts("capabilities", node)? {
        match Capability::parse(name) {
            Some(capability) => set = set.with(capability),
            None => problems.push(invalid_capability(name, position)),
        }
    }
    Ok(set)
}

fn invalid_capability(name: &str, position: Position) -> Problem {
    let problem = Problem::new(position, format!("invalid capability {}", quoted(name)));
    match name {
        "write" => problem.with_hint("writing is \"create\" and \"update\""),
        "root" => problem.with_hint("only the built-in root policy grants everything"),
        _ => problem.did_you_mean(name, Capability::writable().map(Capability::name)),
    }
}

fn old_form(node: &Node) -> Result<CapabilitySet, Problem> {
    use Capability::{Create, Delete, List, Read, Sudo, Update};
    let written = text("policy", node)?;
    Ok(match written {
        "" => CapabilitySet::EMPTY,
        "deny" => CapabilitySet::DENY,
        "read" => [Read, List].into_iter().collect(),
        "write" => [Create, Read, Update, Delete, List].into_iter().collect(),
        "sudo" => [Create, Read, Update, Delete, List, Sudo].into_iter().collect(),
        _ => {
            let problem = Problem::new(node.position, format!("invalid policy {}", quoted(written)));
            return Err(problem.with_hint("it is one of \"deny\", \"read\", \"write\", \"sudo\""));
        }
    })
}

fn parameter_values(key: &str, node: &Node) -> Result<ParameterValues, Problem> {
    let mut values = ParameterValues::new();
    let objects = match &node.value {
        Value::Object(items) => vec![items],
        Value::List(nodes) => nodes.iter().filter_map(as_object).collect(),
        _ => Vec::new(),
    };
    if objects.is_empty() && !matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
        let problem = Problem::new(node.position, format!("{key:?} must be an object of lists"));
        return Err(problem.with_hint("write { \"name\" = [\"value\"] }"));
    }
    for item in objects.into_iter().flatten() {
        let Value::List(nodes) = &item.node.value else {
            let problem = Problem::new(
                item.node.position,
                format!("values of {} must be a list", quoted(&item.key.text)),
            );
            return Err(problem.with_hint("write [] for any value"));
        };
        let list = nodes.iter().map(Node::to_json).collect();
        if values.insert(item.key.text.to_lowercase().into(), list).is_some() {
            let message = format!("parameter {} is listed twice", quoted(&item.key.text));
            return Err(Problem::new(item.key.position, message));
        }
    }
    Ok(values)
}

fn as_object(node: &Node) -> Option<&Vec<Item>> {
    match &node.value {
        Value::Object(items) => Some(items),
        _ => None,
    }
}

/// Seconds or a text with a unit. Zero is no bound.
fn duration(key: &str, node: &Node) -> Result<Option<Duration>, Problem> {
    let problem = |message: String| Problem::new(node.position, message);
    let parsed = match &node.value {
        Value::Number(number) => parse_duration(&number.to_string()),
        Value::Text(text) => parse_duration(text),
        _ => return Err(problem(format!("{key:?} must be a duration")).with_hint("write 300 or \"5m\"")),
    };
    let parsed = parsed.map_err(|error| problem(format!("error parsing {key}: {error}")))?;
    Ok(Some(parsed).filter(|duration| !duration.is_zero()))
}

fn page_limit(node: &Node) -> Result<Option<u64>, Problem> {
    let limit = match &node.value {
        Value::Number(number) => number.as_u64(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    let problem = || Problem::new(node.position, "\"pagination_limit\" must be a number of entries");
    limit.map(|limit| Some(limit).filter(|limit| *limit > 0)).ok_or_else(problem)
}

fn expiration(node: &Node) -> Result<Option<Timestamp>, Problem> {
    let written = text("expiration", node)?;
    if written.is_empty() {
        return Ok(None);
    }
    let problem = || {
        Problem::new(node.position, format!("invalid expiration time {}", quoted(written)))
            .with_hint("write it as \"2030-01-02T15:04:05Z\"")
    };
    Timestamp::parse_rfc3339(written).map(Some).ok_or_else(problem)
}
