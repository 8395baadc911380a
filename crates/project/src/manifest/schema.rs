//! The JSON Schema of manifests (draft 7, which editors' TOML plug-ins read), and the tables of the reference.

use super::keys;
use super::shape::{Key, Shape};
use crate::provider::{KINDS, Kind, Need, Shape as SettingShape};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The schema as pretty JSON with a last line break.
pub fn json_schema() -> String {
    let mut schema = table(keys::MANIFEST);
    schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".to_owned(), json!("strongroom.toml"));
    schema.insert("required".to_owned(), json!(["version"]));
    // A document of texts, numbers and maps can always be written.
    let text = serde_json::to_string_pretty(&Value::Object(schema)).unwrap_or_default();
    text + "\n"
}

fn table(table_keys: &[Key]) -> Map<String, Value> {
    let properties: Map<String, Value> = table_keys.iter().map(property).collect();
    object(properties)
}

fn object(properties: Map<String, Value>) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema
}

fn property(key: &Key) -> (String, Value) {
    let mut schema = shape(&key.shape);
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(key.doc));
    }
    (key.name.to_owned(), schema)
}

fn shape(of: &Shape) -> Value {
    match of {
        Shape::Text => json!({"type": "string"}),
        Shape::Name => json!({"type": "string", "minLength": 1}),
        Shape::Duration => json!({"type": "string", "pattern": "^([0-9]+|([0-9.]+(ns|us|ms|s|m|h|d))+)$"}),
        // A TOML date has no type in JSON Schema: editors take it for a text.
        Shape::Date => json!({"type": "string"}),
        Shape::Integer => json!({"type": "integer"}),
        Shape::Number => json!({"type": "number"}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Choice(words) => json!({"enum": words}),
        Shape::List(inner) => json!({"type": "array", "items": shape(inner)}),
        Shape::Table(inner) => Value::Object(table(inner)),
        Shape::Map(inner) => json!({"type": "object", "additionalProperties": shape(inner)}),
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(shape).collect::<Vec<_>>()}),
        Shape::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Shape::Provider => json!({"anyOf": KINDS.iter().map(kind).collect::<Vec<_>>()}),
    }
}

fn kind(kind: &Kind) -> Value {
    let names: Vec<&str> = std::iter::once(kind.name).chain(kind.aliases.iter().copied()).collect();
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({"enum": names, "description": kind.about}));
    for rule in kind.rules() {
        let mut schema = setting(rule.shape);
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), json!(rule.about));
        }
        properties.insert(rule.name.to_owned(), schema);
    }
    let needed = kind.rules().filter(|rule| rule.need == Need::Required).map(|rule| rule.name);
    let required: Vec<&str> = std::iter::once("type").chain(needed).collect();
    let mut schema = object(properties);
    schema.insert("required".to_owned(), json!(required));
    Value::Object(schema)
}

fn setting(shape: SettingShape) -> Value {
    match shape {
        SettingShape::Text => json!({"type": "string"}),
        SettingShape::Choice(words) => json!({"enum": words}),
        SettingShape::Texts => {
            json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
        }
        SettingShape::Number => json!({"type": "integer"}),
        SettingShape::Switch => json!({"type": "boolean"}),
        SettingShape::Duration => json!({"type": ["string", "integer"]}),
        SettingShape::Table => json!({"type": "object", "additionalProperties": {"type": "string"}}),
    }
}

/// The tables of docs/manifest.md, in Markdown: every key of every section, and every setting of every provider.
pub fn reference_tables() -> String {
    let mut text = String::new();
    section(&mut text, "The file", keys::MANIFEST);
    section(&mut text, "`[env.NAME]`", keys::ENVIRONMENT);
    section(&mut text, "`[secret.NAME]`", keys::SECRET);
    for (name, inner) in keys::SECRET.iter().filter_map(|key| Some((key.name, inner_table(&key.shape)?))) {
        section(&mut text, &format!("`{name}` of a secret"), inner);
    }
    section(&mut text, "`[group.NAME]`", keys::GROUP);
    section(&mut text, "`[generate]`", keys::GENERATED);
    section(&mut text, "`[guard]`", keys::GUARD);
    for kind in KINDS {
        let _ = writeln!(text, "### `type = \"{}\"`\n\n{}\n", kind.name, sentence(kind.about));
        if kind.rules().next().is_none() {
            continue;
        }
        text.push_str("| setting | what |\n|---|---|\n");
        for rule in kind.rules() {
            let need = if rule.need == Need::Required { " (required)" } else { "" };
            let _ = writeln!(text, "| `{}`{need} | {} |", rule.name, cell(rule.about));
        }
        text.push('\n');
    }
    text
}

fn inner_table(shape: &Shape) -> Option<&'static [Key]> {
    match shape {
        Shape::Table(keys) => Some(keys),
        Shape::Either(shapes) => shapes.iter().find_map(inner_table),
        _ => None,
    }
}

fn section(text: &mut String, title: &str, table_keys: &[Key]) {
    let _ = writeln!(text, "### {title}\n\n| key | what |\n|---|---|");
    for key in table_keys {
        let _ = writeln!(text, "| `{}` | {}{} |", key.name, cell(key.doc), words(&key.shape));
    }
    text.push('\n');
}

/// The words that a key may have, where they are few and fixed.
fn words(shape: &Shape) -> String {
    match shape {
        Shape::Choice(words) => format!(" One of `{}`.", words.join("` `")),
        _ => String::new(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str().trim_end_matches('.'))
}
