//! Bounds that a rule sets on a request beyond its path: parameters, wrapping, page size.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// Values by lower-cased parameter name. No values means any value; the name `*` means every parameter.
pub(super) type ParameterValues = BTreeMap<Box<str>, Vec<Value>>;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Constraints {
    pub(super) allowed: ParameterValues,
    pub(super) denied: ParameterValues,
    pub(super) required: Vec<Box<str>>,
    pub(super) wrapping_ttl_min: Option<Duration>,
    pub(super) wrapping_ttl_max: Option<Duration>,
    pub(super) page_limit_max: Option<u64>,
}

/// Which bound a request broke. Parameters by name; their values may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Breach {
    WrappingTtl,
    ParameterMissing(Box<str>),
    ParameterDenied(Box<str>),
    ParameterNotAllowed(Box<str>),
    PageLimit,
}

impl Constraints {
    /// Adds the bounds of another rule of the same path, as Vault does: names and values of parameters unite,
    /// of the other bounds the smaller counts.
    pub(super) fn merge(&mut self, other: &Self) {
        merge_values(&mut self.allowed, &other.allowed);
        merge_values(&mut self.denied, &other.denied);
        for name in &other.required {
            if !self.required.contains(name) {
                self.required.push(name.clone());
            }
        }
        self.wrapping_ttl_min = smaller(self.wrapping_ttl_min, other.wrapping_ttl_min);
        self.wrapping_ttl_max = smaller(self.wrapping_ttl_max, other.wrapping_ttl_max);
        self.page_limit_max = smaller(self.page_limit_max, other.page_limit_max);
    }

    pub(super) fn check_wrapping(&self, ttl: Option<Duration>) -> Result<(), Breach> {
        let below = self.wrapping_ttl_min.is_some_and(|min| ttl.is_none_or(|ttl| ttl < min));
        let above = self.wrapping_ttl_max.is_some_and(|max| ttl.is_none_or(|ttl| ttl > max));
        if below || above { Err(Breach::WrappingTtl) } else { Ok(()) }
    }

    pub(super) fn check_parameters(&self, parameters: Option<&Map<String, Value>>) -> Result<(), Breach> {
        let given = |name: &str| parameters.is_some_and(|parameters| parameters.contains_key(name));
        if let Some(name) = self.required.iter().find(|name| !given(name)) {
            return Err(Breach::ParameterMissing(name.clone()));
        }
        let Some(parameters) = parameters else { return Ok(()) };
        for (name, value) in parameters {
            if self.denies(name, value) {
                return Err(Breach::ParameterDenied(name.as_str().into()));
            }
            if !self.allows(name, value) {
                return Err(Breach::ParameterNotAllowed(name.as_str().into()));
            }
        }
        Ok(())
    }

    fn denies(&self, name: &str, value: &Value) -> bool {
        if self.denied.is_empty() {
            return false;
        }
        if self.denied.contains_key("*") {
            return true;
        }
        let values = self.denied.get(name.to_lowercase().as_str());
        values.is_some_and(|values| {
            values.is_empty() || values.iter().any(|denied| denied_matches(denied, value))
        })
    }

    fn allows(&self, name: &str, value: &Value) -> bool {
        if self.allowed.is_empty() {
            return true;
        }
        match self.allowed.get(name.to_lowercase().as_str()) {
            Some(values) => values.is_empty() || values.iter().any(|allowed| matches(allowed, value)),
            None => self.allowed.contains_key("*"),
        }
    }

    /// Bounds the `limit` of a list. The answer is the page size to use, if the rule bounds it.
    pub(super) fn check_page(&self, parameters: Option<&Map<String, Value>>) -> Result<Option<u64>, Breach> {
        let Some(max) = self.page_limit_max else { return Ok(None) };
        let limit = match parameters.and_then(|parameters| parameters.get("limit")) {
            None if self.required.iter().any(|name| &**name == "limit") => {
                return Err(Breach::ParameterMissing("limit".into()));
            }
            None => return Ok(Some(max)),
            Some(Value::String(text)) if text == "max" => return Ok(Some(max)),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
        };
        match limit {
            Some(0) => Ok(Some(max)),
            Some(limit) if limit <= max => Ok(Some(limit)),
            _ => Err(Breach::PageLimit),
        }
    }
}

fn smaller<T: Ord>(left: Option<T>, right: Option<T>) -> Option<T> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

fn merge_values(existing: &mut ParameterValues, added: &ParameterValues) {
    for (name, values) in added {
        match existing.get_mut(name) {
            None => {
                existing.insert(name.clone(), values.clone());
            }
            Some(merged) if merged.is_empty() || values.is_empty() => merged.clear(),
            Some(merged) => {
                let new: Vec<Value> =
                    values.iter().filter(|value| !merged.contains(value)).cloned().collect();
                merged.extend(new);
            }
        }
    }
}

/// Whether a request's value is the one in the rule; texts may begin or end with `*`.
fn matches(rule: &Value, value: &Value) -> bool {
    match (rule, value) {
        (Value::String(pattern), Value::String(text)) => glob_matches(pattern, text),
        (Value::Number(left), Value::Number(right)) if left.is_f64() || right.is_f64() => {
            left.as_f64() == right.as_f64()
        }
        _ => rule == value,
    }
}

/// As `matches`, and also where a text and a number or truth value are written alike: what reads the parameter
/// would take either.
fn denied_matches(rule: &Value, value: &Value) -> bool {
    if matches(rule, value) {
        return true;
    }
    match (rule, value) {
        (Value::String(pattern), Value::Number(_) | Value::Bool(_)) => {
            glob_matches(pattern, &value.to_string())
        }
        (Value::Number(_) | Value::Bool(_), Value::String(text)) => {
            let written = rule.to_string();
            written == *text
        }
        _ => false,
    }
}

/// `*` at the start, the end or both; alone it is a literal, as in Vault.
fn glob_matches(pattern: &str, text: &str) -> bool {
    if pattern.len() < 2 {
        return pattern == text;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), Some(_)) => text.contains(end.strip_suffix('*').unwrap_or(end)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => pattern == text,
    }
}
