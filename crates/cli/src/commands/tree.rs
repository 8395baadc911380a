//! `tree`: every secret below a path. One SCAN where the server has it, else a walk of LISTs.

use super::clean_path;
use super::generic::nothing_at;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use clap::Args;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::process::ExitCode;
use strongroom_api::client::{Client, ClientError, KvVersion, ServerErrorKind};

#[derive(Args)]
pub struct TreeArgs {
    /// A mount, or a folder below one: secret, secret/team
    path: String,
    /// One name a line, with its whole path
    #[arg(long, conflicts_with = "json")]
    flat: bool,
}

/// Names at most, and folders within folders at most: more is not a tree to look at.
const NAMES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 64;

pub fn run(context: &Context, args: &TreeArgs) -> Result<ExitCode, Failure> {
    let path = clean_path(&args.path);
    let client = context.client()?;
    let mount = client.kv_mount(path).while_doing(|| format!("asking which engine serves {path}"))?;
    let folder = match mount.version {
        KvVersion::Two => mount.api_path_once(path, "metadata"),
        KvVersion::One => path.to_owned(),
    };
    let names = collect(&client, &folder).map_err(|failure| failure.doing(format!("listing {folder}")))?;
    if names.is_empty() {
        return Err(nothing_at(&format!("{folder}/")));
    }
    if !context.output.is_table() {
        return context.output.text(&format!("{}\n", pretty(&names)?));
    }
    if args.flat {
        let lines: String = names.iter().map(|name| format!("{path}/{name}\n")).collect();
        return context.output.text(&lines);
    }
    context.output.text(&format!("{path}/\n{}", draw(&names)))
}

fn pretty(names: &BTreeSet<String>) -> Result<String, Failure> {
    serde_json::to_string_pretty(names).map_err(|error| Failure::other(error.to_string()))
}

/// All names below `folder`, relative to it.
fn collect(client: &Client, folder: &str) -> Result<BTreeSet<String>, Failure> {
    match client.scan(folder, &[]) {
        Ok(Some(response)) if response.field("keys").is_some() => {
            let names = response.keys().into_iter().filter(|name| !name.ends_with('/'));
            Ok(names.map(str::to_owned).collect())
        }
        Ok(_) => walk(client, folder),
        Err(error) if has_no_scan(&error) => walk(client, folder),
        Err(error) => Err(error.into()),
    }
}

fn has_no_scan(error: &ClientError) -> bool {
    use ServerErrorKind::{BadRequest, NotFound, PermissionDenied};
    matches!(error.kind(), Some(BadRequest | NotFound | PermissionDenied))
}

fn walk(client: &Client, folder: &str) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    let mut open = vec![(String::new(), 0)];
    while let Some((inner, depth)) = open.pop() {
        let Some(response) = client.list(&format!("{folder}/{inner}"), &[])? else { continue };
        for key in response.keys() {
            let name = format!("{inner}{key}");
            if key.ends_with('/') && depth < DEPTH_MAX {
                open.push((name, depth + 1));
            } else if !key.ends_with('/') {
                names.insert(name);
            }
        }
        if names.len() > NAMES_MAX {
            return Err(Failure::other(format!("there are more than {NAMES_MAX} names")));
        }
    }
    Ok(names)
}

/// Names as branches.
fn draw(names: &BTreeSet<String>) -> String {
    let mut root = Map::new();
    for name in names {
        let mut folder = &mut root;
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                folder.entry(part.to_owned()).or_insert(Value::Null);
                break;
            }
            let entry = folder.entry(format!("{part}/")).or_insert_with(|| Value::Object(Map::new()));
            match entry {
                Value::Object(inner) => folder = inner,
                _ => break,
            }
        }
    }
    let mut text = String::new();
    branches(&root, "", &mut text);
    text
}

fn branches(folder: &Map<String, Value>, indent: &str, text: &mut String) {
    let count = folder.len();
    for (index, (name, inner)) in folder.iter().enumerate() {
        let is_last = index + 1 == count;
        text.push_str(&format!("{indent}{}{name}\n", if is_last { "└── " } else { "├── " }));
        if let Value::Object(inner) = inner {
            branches(inner, &format!("{indent}{}", if is_last { "    " } else { "│   " }), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_branches() {
        let names = ["app", "app/db", "app/web/key", "team/x"].map(str::to_owned).into();
        insta::assert_snapshot!(draw(&names), @"
        ├── app
        ├── app/
        │   ├── db
        │   └── web/
        │       └── key
        └── team/
            └── x
        ");
    }
}
