//! `.env` files.

use crate::provider::whole::{SecretTree, Whole};
use crate::provider::{Address, ProviderError};
use crate::surroundings::Surroundings;
use serde_json::{Map, Value};
use std::collections::HashMap;
use strongroom_formats::dotenv::{Dialect, Document, Precedence, SetOptions};
use strongroom_secret::{SecretBytes, SecretString};

/// A file's values. Variables in them mean the lines above, the files below, or the process environment.
pub(super) fn read(
    bytes: &SecretBytes,
    dialect: Dialect,
    name: &str,
    below: &[Whole],
    surroundings: &Surroundings,
) -> Result<Whole, ProviderError> {
    let document = parse(bytes, dialect, name)?;
    if let Some(line) = document.merge_conflict() {
        // Whichever side the dialect would take: nobody has decided.
        let message = format!("{name}:{line}: a merge conflict is in the file: take one side of it");
        return Err(ProviderError::malformed(message));
    }
    let of_files =
        |name: &str| below.iter().rev().find_map(|layer| layer.tree()?.as_map()?.get(name)?.as_str());
    let environment = |name: &str| of_files(name).or_else(|| surroundings.variables.text(name));
    let values = document
        .resolve(&environment, Precedence::File)
        .map_err(|error| ProviderError::malformed(format!("{name}: {error}")))?;
    let mut map = Map::new();
    for (name, value) in values.iter() {
        if let Some(value) = value {
            map.insert(name.to_owned(), Value::String(value.expose().to_owned()));
        }
    }
    let lines: HashMap<String, usize> = document
        .assignments()
        .map(|(entry, assignment)| (document.key(assignment).to_owned(), entry.line))
        .collect();
    let whole = Whole::of_tree(SecretTree::new(Value::Object(map)), name);
    Ok(whole.with_lines(lines))
}

pub(super) fn changed(
    old: Option<&SecretBytes>,
    dialect: Dialect,
    name: &str,
    key: &str,
    value: Option<&str>,
) -> Result<SecretBytes, ProviderError> {
    let empty = SecretBytes::default();
    let document = parse(old.unwrap_or(&empty), dialect, name)?;
    let failed = |error: &dyn std::fmt::Display| {
        ProviderError::settings(format!("{name}: {error}")).looked(Address::of_key("", key))
    };
    let edited = match value {
        Some(value) => Some(
            document
                .set(key, &SecretString::from(value), &SetOptions::default())
                .map_err(|error| failed(&error))?,
        ),
        None => document.unset(key).map_err(|error| failed(&error))?,
    };
    let text = edited.as_ref().map_or(document.text(), |edited| edited.text.expose());
    Ok(SecretBytes::new(text.as_bytes().to_vec()))
}

fn parse(bytes: &SecretBytes, dialect: Dialect, name: &str) -> Result<Document, ProviderError> {
    let document = Document::from_bytes(bytes.expose(), dialect)
        .map_err(|error| ProviderError::malformed(format!("{name} {error}")))?;
    // Which side counts would be chance.
    let marks = ["<<<<<<< ", ">>>>>>> "].iter().filter(|mark| document.text().contains(**mark));
    let cut =
        marks.filter_map(|mark| document.text().lines().enumerate().find(|(_, line)| line.starts_with(mark)));
    match cut.min() {
        Some((index, _)) => {
            Err(ProviderError::malformed(format!("{name}:{}: a merge conflict is not resolved", index + 1))
                .hint("choose one side, and take the lines with <<<<<<<, ======= and >>>>>>> out"))
        }
        None => Ok(document),
    }
}
