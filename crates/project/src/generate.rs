//! Files that are made from the manifest, so that they cannot say something else: `.env.example`, and typed settings for
//! programs. They hold no values.

mod accessors;

use crate::manifest::{Delivery, Manifest, Secret, json_schema};
use crate::value_type::ValueType;
use std::fmt::Write as _;
use std::path::PathBuf;

/// A file as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    pub path: PathBuf,
    pub text: String,
}

/// All files of `[generate]`.
pub fn all(manifest: &Manifest) -> Vec<Generated> {
    let make =
        |(what, path): &(String, PathBuf)| Generated { path: path.clone(), text: text_of(manifest, what) };
    manifest.generated.iter().map(make).collect()
}

/// One file by its key in `[generate]`; empty for a key that there is not.
pub fn text_of(manifest: &Manifest, what: &str) -> String {
    match what {
        "env-example" => env_example(manifest),
        "python" => accessors::python(manifest),
        "typescript" => accessors::typescript(manifest),
        "go" => accessors::go(manifest),
        "rust" => accessors::rust(manifest),
        "schema" => json_schema(),
        _ => String::new(),
    }
}

const NOTE: &str = "Made by `strongroom generate` from the manifest: change it there.";

/// Secrets that a program gets.
fn injected(manifest: &Manifest) -> impl Iterator<Item = &Secret> {
    manifest.secrets.iter().filter(|secret| secret.delivery != Delivery::Internal)
}

/// What a file of values would be: composed secrets are left out, their parts are in.
fn env_example(manifest: &Manifest) -> String {
    let mut text = format!("# {NOTE}\n");
    for secret in manifest.secrets.iter().filter(|secret| secret.compose.is_none()) {
        text.push('\n');
        // Writing to a String does not fail.
        if let Some(doc) = &secret.doc {
            let _ = writeln!(text, "# {}", one_line(doc));
        }
        let optional = if always_has_value(secret) { "" } else { ", optional" };
        let default = match &secret.default {
            crate::manifest::Default::Everywhere(_) => ", has a default",
            _ => "",
        };
        let _ = writeln!(text, "# {}{optional}{default}", described(secret));
        let example = secret.example.as_deref().filter(|example| !example.contains(['\n', '\'']));
        match example {
            Some(example) if example.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:@".contains(c)) => {
                let _ = writeln!(text, "{}={example}", secret.name);
            }
            Some(example) => {
                let _ = writeln!(text, "{}='{example}'", secret.name);
            }
            None => {
                let _ = writeln!(text, "{}=", secret.name);
            }
        }
    }
    text
}

/// `url (postgres)`, `enum (debug, info)`, `string, at least 24 characters`.
fn described(secret: &Secret) -> String {
    let constraints = &secret.constraints;
    let mut text = secret.value_type.word().to_owned();
    let words = if constraints.values.is_empty() { &constraints.schemes } else { &constraints.values };
    if !words.is_empty() {
        let _ = write!(text, " ({})", words.join(", "));
    }
    let unit = match secret.value_type {
        kind if kind.is_numeric() => "",
        ValueType::List => " items",
        _ => " characters",
    };
    if let Some(min) = constraints.min {
        let _ = write!(text, ", at least {min}{unit}");
    }
    if let Some(max) = constraints.max {
        let _ = write!(text, ", at most {max}{unit}");
    }
    text
}

/// Whether a program can count on a value in every environment.
fn always_has_value(secret: &Secret) -> bool {
    secret.required == crate::manifest::Required::Always
        || matches!(secret.default, crate::manifest::Default::Everywhere(_))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
