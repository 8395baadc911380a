//! Settings in JSON, YAML, TOML and INI.

use crate::provider::ProviderError;
use crate::provider::whole::{SecretTree, Whole};
use serde_json::{Map, Number, Value as Json};
use strongroom_formats::document::{Document, Kind, Limits, Node, Scalar, ScalarKind, Step, Syntax, Value};
use strongroom_secret::{SecretBytes, SecretString};

pub(super) fn read(bytes: &SecretBytes, syntax: Syntax, name: &str) -> Result<Whole, ProviderError> {
    let document = parse(bytes, syntax, name)?;
    let value = match document.root(0) {
        None => Json::Object(Map::new()),
        Some(root) => match root.value() {
            Ok(value) => json_of(&value),
            Err(error) => {
                return Err(ProviderError::malformed(format!("{name}: {error}")));
            }
        },
    };
    Ok(Whole::of_tree(SecretTree::new(value), name))
}

/// A number stays a number only if its text comes back: no digit is lost.
fn json_of(value: &Value) -> Json {
    match value {
        Value::Scalar(Scalar::Null) => Json::Null,
        Value::Scalar(Scalar::Bool(value)) => Json::Bool(*value),
        Value::Scalar(Scalar::Int(number) | Scalar::Float(number)) => {
            let text = number.expose();
            let parsed: Option<Number> = text.parse().ok();
            match parsed.filter(|parsed| parsed.to_string() == text) {
                Some(number) => Json::Number(number),
                None => Json::String(text.to_owned()),
            }
        }
        Value::Scalar(scalar @ (Scalar::String(_) | Scalar::Timestamp(_))) => {
            Json::String(scalar.expose().to_owned())
        }
        Value::List(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.clone(), json_of(value))).collect())
        }
    }
}

pub(super) fn changed(
    old: Option<&SecretBytes>,
    syntax: Syntax,
    name: &str,
    key: &str,
    value: Option<&str>,
) -> Result<SecretBytes, ProviderError> {
    let empty = SecretBytes::new(if syntax == Syntax::Json { b"{}\n".to_vec() } else { Vec::new() });
    let mut document = parse(old.unwrap_or(&empty), syntax, name)?;
    let failed = |error: &dyn std::fmt::Display| ProviderError::settings(format!("{name}: {error}"));
    let steps = steps_to(&document, key);
    let found = document.find(0, &steps);
    match (value, found.map(|node| node.id())) {
        (None, None) => {}
        (None, Some(id)) => document.remove(id).map_err(|error| failed(&error))?,
        (Some(text), _) => {
            let scalar = scalar_like(found, text);
            document.set(0, &steps, &Value::Scalar(scalar)).map_err(|error| failed(&error))?;
        }
    }
    Ok(SecretBytes::new(document.expose().as_bytes().to_vec()))
}

/// What was a number or a yes-or-no stays one, if the new text is one.
fn scalar_like(old: Option<Node<'_>>, text: &str) -> Scalar {
    match old.map(|node| node.kind()) {
        Some(Kind::Scalar(ScalarKind::Int)) => {
            text.parse().map_or_else(|_| Scalar::string(text), Scalar::int)
        }
        Some(Kind::Scalar(ScalarKind::Bool)) if text == "true" => Scalar::Bool(true),
        Some(Kind::Scalar(ScalarKind::Bool)) if text == "false" => Scalar::Bool(false),
        _ => Scalar::String(SecretString::from(text)),
    }
}

/// The key as it is written, if it is there or is not to be found by its parts; else its parts between dots.
pub(super) fn steps_to(document: &Document, key: &str) -> Vec<Step> {
    let whole = vec![Step::Key(key.to_owned())];
    let parts: Vec<Step> = key.split('.').map(step).collect();
    let parent = parts.split_last().map(|(_, parent)| parent).unwrap_or_default();
    if document.find(0, &whole).is_some() || parts.len() < 2 || document.find(0, parent).is_none() {
        return whole;
    }
    parts
}

fn step(part: &str) -> Step {
    part.parse().map_or_else(|_| Step::Key(part.to_owned()), Step::Index)
}

fn parse(bytes: &SecretBytes, syntax: Syntax, name: &str) -> Result<Document, ProviderError> {
    let text = std::str::from_utf8(bytes.expose())
        .map_err(|_| ProviderError::malformed(format!("{name} is not UTF-8")))?;
    Document::parse(syntax, text, &Limits::default())
        .map_err(|error| ProviderError::malformed(format!("{name}: {error}")))
}
