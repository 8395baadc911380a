//! Typed settings in the languages of programs. Each reads the variables that `run` sets, and says all that is missing.

use super::{NOTE, always_has_value, injected, one_line};
use crate::manifest::{Delivery, Manifest, Secret};
use crate::value_type::ValueType;
use std::fmt::Write as _;

/// A class of pydantic-settings.
pub(super) fn python(manifest: &Manifest) -> String {
    let mut fields = String::new();
    let mut kinds: Vec<&str> = Vec::new();
    for secret in injected(manifest) {
        let kind = python_type(secret);
        kinds.push(kind);
        let doc = secret.doc.as_deref().map(|doc| format!(", description={}", quoted(&one_line(doc))));
        let (kind, default) = match always_has_value(secret) {
            true => (kind.to_owned(), "..."),
            false => (format!("{kind} | None"), "None"),
        };
        let (field, alias) = (secret.name.to_lowercase(), &secret.name);
        // Writing to a String does not fail.
        let _ = writeln!(
            fields,
            "    {field}: {kind} = Field(default={default}, validation_alias={}{})",
            quoted(alias),
            doc.unwrap_or_default()
        );
    }
    let has = |word: &str| kinds.iter().any(|kind| kind.contains(word));
    let mut text = format!("# {NOTE}\n");
    for (word, line) in
        [("timedelta", "from datetime import timedelta\n"), ("Path", "from pathlib import Path\n")]
    {
        text.push_str(if has(word) { line } else { "" });
    }
    for (word, line) in [("Literal", "from typing import Literal\n"), ("UUID", "from uuid import UUID\n")] {
        text.push_str(if has(word) { line } else { "" });
    }
    let mut pydantic = vec!["Field"];
    pydantic.extend(["Json", "SecretStr"].into_iter().filter(|word| has(word)));
    let _ = write!(text, "\nfrom pydantic import {}\n", pydantic.join(", "));
    text.push_str(
        "from pydantic_settings import BaseSettings, SettingsConfigDict\n\n\nclass Settings(BaseSettings):\n",
    );
    text.push_str("    model_config = SettingsConfigDict(extra=\"ignore\", case_sensitive=True)\n\n");
    text + &fields
}

fn python_type(secret: &Secret) -> &'static str {
    match secret.value_type {
        _ if secret.delivery == Delivery::File => "Path",
        ValueType::Int | ValueType::Port => "int",
        ValueType::Float => "float",
        ValueType::Bool => "bool",
        ValueType::Uuid if !secret.sensitive => "UUID",
        ValueType::Path => "Path",
        _ if secret.sensitive => "SecretStr",
        _ => "str",
    }
}

/// A module with one function, without dependencies.
pub(super) fn typescript(manifest: &Manifest) -> String {
    let (mut fields, mut reads) = (String::new(), String::new());
    for secret in injected(manifest) {
        let (kind, parse) = match secret.value_type {
            _ if secret.delivery == Delivery::File => ("string".to_owned(), "text"),
            ValueType::Int | ValueType::Port | ValueType::Float => ("number".to_owned(), "number"),
            ValueType::Bool => ("boolean".to_owned(), "truth"),
            ValueType::Enum => {
                let words: Vec<String> = secret.constraints.values.iter().map(|word| quoted(word)).collect();
                (words.join(" | "), "text")
            }
            _ => ("string".to_owned(), "text"),
        };
        if let Some(doc) = &secret.doc {
            let _ = writeln!(fields, "  /** {} */", one_line(doc).replace("*/", "* /"));
        }
        let name = &secret.name;
        let (mark, required) = if always_has_value(secret) { ("", "true") } else { ("?", "false") };
        let _ = writeln!(fields, "  readonly {name}{mark}: {kind};");
        let _ = writeln!(reads, "    {name}: read(\"{name}\", {parse}, {required}) as Settings[\"{name}\"],");
    }
    format!(
        "// {NOTE}\n\nexport interface Settings {{\n{fields}}}\n\n\
         type Variables = Readonly<Record<string, string | undefined>>;\n\n\
         const text = (value: string): string => value;\n\
         const number = (value: string): number | undefined => {{\n  const parsed = Number(value);\n  \
         return value.trim() === \"\" || Number.isNaN(parsed) ? undefined : parsed;\n}};\n\
         const truth = (value: string): boolean | undefined => {{\n  const lower = value.toLowerCase();\n  \
         if ([\"true\", \"1\", \"yes\", \"on\"].includes(lower)) return true;\n  \
         return [\"false\", \"0\", \"no\", \"off\"].includes(lower) ? false : undefined;\n}};\n\n\
         /** Reads all settings, or throws one error that names all that is wrong. It shows no values. */\n\
         export function settings(variables: Variables = process.env): Settings {{\n  const wrong: string[] = [];\n  \
         const read = <T>(name: string, parse: (value: string) => T | undefined, required: boolean): T | undefined => {{\n    \
         const value = variables[name];\n    \
         if (value === undefined) {{\n      if (required) wrong.push(`${{name}} is missing`);\n      return undefined;\n    }}\n    \
         const parsed = parse(value);\n    if (parsed === undefined) wrong.push(`${{name}} is not valid`);\n    return parsed;\n  }};\n  \
         const found: Settings = {{\n{reads}  }};\n  \
         if (wrong.length > 0) throw new Error(wrong.join(\", \"));\n  return found;\n}}\n"
    )
}

/// A package with a struct. Optional fields are pointers.
pub(super) fn go(manifest: &Manifest) -> String {
    let (mut fields, mut reads) = (String::new(), String::new());
    let mut converts = false;
    for secret in injected(manifest) {
        let (kind, parse) = match secret.value_type {
            _ if secret.delivery == Delivery::File => ("string", "text"),
            ValueType::Int | ValueType::Port => ("int64", "integer"),
            ValueType::Float => ("float64", "fraction"),
            ValueType::Bool => ("bool", "truth"),
            _ => ("string", "text"),
        };
        converts |= parse != "text";
        let field = camel(&secret.name);
        if let Some(doc) = &secret.doc {
            let _ = writeln!(fields, "\t// {field}: {}", one_line(doc));
        }
        let name = &secret.name;
        if always_has_value(secret) {
            let _ = writeln!(fields, "\t{field} {kind}");
            let _ = writeln!(
                reads,
                "\tif value := read({name:?}, {parse}, true, &wrong); value != nil {{\n\t\ts.{field} = *value\n\t}}"
            );
        } else {
            let _ = writeln!(fields, "\t{field} *{kind}");
            let _ = writeln!(reads, "\ts.{field} = read({name:?}, {parse}, false, &wrong)");
        }
    }
    let _ = converts;
    format!(
        "// {NOTE}\n\npackage settings\n\nimport (\n\t\"errors\"\n\t\"os\"\n\t\"strconv\"\n\t\"strings\"\n)\n\n\
         // Settings are the variables that the program is started with.\ntype Settings struct {{\n{fields}}}\n\n\
         // Load reads all settings, or returns one error that names all that is wrong. It shows no values.\n\
         func Load() (*Settings, error) {{\n\ts := &Settings{{}}\n\tvar wrong []string\n{reads}\
         \tif len(wrong) > 0 {{\n\t\treturn nil, errors.New(strings.Join(wrong, \", \"))\n\t}}\n\treturn s, nil\n}}\n\n\
         func read[T any](name string, parse func(string) (T, error), required bool, wrong *[]string) *T {{\n\
         \ttext, found := os.LookupEnv(name)\n\tif !found {{\n\t\tif required {{\n\t\t\t*wrong = append(*wrong, name+\" is missing\")\n\t\t}}\n\t\treturn nil\n\t}}\n\
         \tvalue, err := parse(text)\n\tif err != nil {{\n\t\t*wrong = append(*wrong, name+\" is not valid\")\n\t\treturn nil\n\t}}\n\treturn &value\n}}\n\n\
         func text(value string) (string, error) {{ return value, nil }}\n\n\
         func integer(value string) (int64, error) {{ return strconv.ParseInt(value, 10, 64) }}\n\n\
         func fraction(value string) (float64, error) {{ return strconv.ParseFloat(value, 64) }}\n\n\
         func truth(value string) (bool, error) {{\n\tswitch strings.ToLower(value) {{\n\
         \tcase \"true\", \"1\", \"yes\", \"on\":\n\t\treturn true, nil\n\
         \tcase \"false\", \"0\", \"no\", \"off\":\n\t\treturn false, nil\n\t}}\n\
         \treturn false, errors.New(\"not true or false\")\n}}\n\n\
         // All readers are kept, whichever types the manifest has today.\nvar _, _, _ = integer, fraction, truth\n"
    )
}

/// A module with a struct. Secret fields do not print.
pub(super) fn rust(manifest: &Manifest) -> String {
    let (mut fields, mut reads) = (String::new(), String::new());
    for secret in injected(manifest) {
        let (kind, parse) = match secret.value_type {
            _ if secret.delivery == Delivery::File => ("std::path::PathBuf", "parse"),
            ValueType::Int => ("i64", "parse"),
            ValueType::Port => ("u16", "parse"),
            ValueType::Float => ("f64", "parse"),
            ValueType::Bool => ("bool", "truth"),
            ValueType::Path => ("std::path::PathBuf", "parse"),
            _ if secret.sensitive => ("Secret", "parse"),
            _ => ("String", "parse"),
        };
        if let Some(doc) = &secret.doc {
            let _ = writeln!(fields, "    /// {}", one_line(doc));
        }
        let (field, name) = (rust_field(&secret.name), &secret.name);
        if always_has_value(secret) {
            let _ = writeln!(fields, "    pub {field}: {kind},");
            let _ = writeln!(reads, "        let {field} = reader.required({name:?}, {parse});");
        } else {
            let _ = writeln!(fields, "    pub {field}: Option<{kind}>,");
            let _ = writeln!(reads, "        let {field} = reader.optional({name:?}, {parse});");
        }
    }
    let names: Vec<String> = injected(manifest).map(|secret| rust_field(&secret.name)).collect();
    let built: String = injected(manifest)
        .map(|secret| {
            let field = rust_field(&secret.name);
            match always_has_value(secret) {
                true => format!("            {field}: {field}?,\n"),
                false => format!("            {field},\n"),
            }
        })
        .collect();
    let _ = names;
    format!(
        "// {NOTE}\n\n#![allow(dead_code)]\n\nuse std::str::FromStr;\n\n\
         /// The variables that the program is started with.\n#[derive(Debug, Clone)]\npub struct Settings {{\n{fields}}}\n\n\
         impl Settings {{\n    /// Reads all settings, or names all that is wrong. It shows no values.\n    \
         pub fn from_environment() -> Result<Self, String> {{\n        \
         Self::read(|name| std::env::var(name).ok())\n    }}\n\n    \
         pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {{\n        \
         let mut reader = Reader {{ variable, wrong: Vec::new() }};\n        \
         let settings = reader.settings();\n        \
         if reader.wrong.is_empty() {{\n            \
         if let Some(settings) = settings {{\n                return Ok(settings);\n            }}\n        }}\n        \
         Err(reader.wrong.join(\", \"))\n    }}\n}}\n\n\
         /// A text that does not print.\n#[derive(Clone, PartialEq, Eq)]\npub struct Secret(String);\n\n\
         impl Secret {{\n    pub fn expose(&self) -> &str {{\n        &self.0\n    }}\n}}\n\n\
         impl FromStr for Secret {{\n    type Err = std::convert::Infallible;\n\n    \
         fn from_str(text: &str) -> Result<Self, Self::Err> {{\n        Ok(Self(text.to_owned()))\n    }}\n}}\n\n\
         impl std::fmt::Debug for Secret {{\n    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        \
         f.write_str(\"[redacted]\")\n    }}\n}}\n\n\
         struct Reader<V> {{\n    variable: V,\n    wrong: Vec<String>,\n}}\n\n\
         impl<V: Fn(&str) -> Option<String>> Reader<V> {{\n    fn settings(&mut self) -> Option<Settings> {{\n        \
         let reader = self;\n{reads}        Some(Settings {{\n{built}        }})\n    }}\n\n    \
         fn required<T>(&mut self, name: &str, parse: fn(&str) -> Option<T>) -> Option<T> {{\n        \
         if (self.variable)(name).is_none() {{\n            self.wrong.push(format!(\"{{name}} is missing\"));\n        }}\n        \
         self.optional(name, parse)\n    }}\n\n    \
         fn optional<T>(&mut self, name: &str, parse: fn(&str) -> Option<T>) -> Option<T> {{\n        \
         let text = (self.variable)(name)?;\n        let parsed = parse(&text);\n        \
         if parsed.is_none() {{\n            self.wrong.push(format!(\"{{name}} is not valid\"));\n        }}\n        parsed\n    }}\n}}\n\n\
         fn parse<T: FromStr>(text: &str) -> Option<T> {{\n    text.parse().ok()\n}}\n\n\
         fn truth(text: &str) -> Option<bool> {{\n    match text.to_ascii_lowercase().as_str() {{\n        \
         \"true\" | \"1\" | \"yes\" | \"on\" => Some(true),\n        \
         \"false\" | \"0\" | \"no\" | \"off\" => Some(false),\n        _ => None,\n    }}\n}}\n"
    )
}

/// A field cannot have the name of a keyword.
fn rust_field(name: &str) -> String {
    const KEYWORDS: [&str; 14] = [
        "type", "use", "match", "mod", "ref", "self", "super", "in", "as", "fn", "let", "move", "loop",
        "static",
    ];
    let lower = name.to_lowercase();
    if KEYWORDS.contains(&lower.as_str()) { format!("{lower}_") } else { lower }
}

/// `DATABASE_URL` as `DatabaseUrl`.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut characters = word.chars();
        let first = characters.next().map(|first| first.to_ascii_uppercase().to_string()).unwrap_or_default();
        first + &characters.as_str().to_ascii_lowercase()
    };
    let joined: String = name.split('_').filter(|part| !part.is_empty()).map(word).collect();
    if joined.starts_with(|c: char| c.is_ascii_alphabetic()) { joined } else { format!("V{joined}") }
}

/// A text in double quotes, as all these languages read it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
