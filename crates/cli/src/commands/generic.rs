//! `read`, `write`, `patch`, `list`, `scan`, `delete`, `unwrap`, `path-help`: any path of the API.

use super::clean_path;
use crate::arguments::Format;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::persona::Face;
use crate::values;
use clap::Args;
use serde_json::{Map, Value};
use std::process::ExitCode;
use strongroom_api::Response;
use strongroom_api::client::{Client, ClientError, Method, Request};
use strongroom_secret::SecretString;

#[derive(Args)]
pub struct ReadArgs {
    path: String,
    /// key=value pairs for the query
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
}

#[derive(Args)]
pub struct WriteArgs {
    path: String,
    /// key=value, key=@file, key=- (standard input), @file.json, or - (JSON from standard input)
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
    /// Write without any data
    #[arg(long, short)]
    force: bool,
}

#[derive(Args)]
pub struct PatchArgs {
    path: String,
    /// As of `write`
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
    /// Send no data
    #[arg(long, short)]
    force: bool,
}

#[derive(Args)]
pub struct ListArgs {
    /// A path of the API; without it: the secrets of the project
    path: Option<String>,
    /// Everything below the path, at all depths
    #[arg(long, requires = "path")]
    recursive: bool,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    project: super::project::list::ProjectListArgs,
}

#[derive(Args)]
pub struct PathArgs {
    path: String,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Args)]
struct Paging {
    /// Begin after this name
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// At most this many names
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Show what is known about each name
    #[arg(long)]
    detailed: bool,
}

#[derive(Args)]
pub struct DeleteArgs {
    path: String,
    /// key=value pairs for the query
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
}

#[derive(Args)]
pub struct UnwrapArgs {
    /// The wrapping token; - reads it from standard input; without it, the token in use is one
    token: Option<String>,
}

#[derive(Args)]
pub struct PathHelpArgs {
    path: String,
}

pub fn read(context: &Context, args: &ReadArgs) -> Result<ExitCode, Failure> {
    let path = clean_path(&args.path);
    let query = values::parse_query(&args.data, &mut values::StandardInput::new())?;
    let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let client = context.client()?;
    let doing = || format!("reading {path}");
    if context.output.format == Format::Raw && context.output.field.is_none() {
        let request = Request { method: Method::Get, path, query: &query, body: None };
        let reply = client.send(&request).while_doing(doing)?;
        return context.output.bytes(reply.body.expose());
    }
    let found =
        client.read(path, &query).while_doing(doing).or_else(|failure| or_nothing(context, failure))?;
    context.output.response(&found.ok_or_else(|| nothing_at(path))?)
}

pub fn write(context: &Context, args: &WriteArgs) -> Result<ExitCode, Failure> {
    let path = clean_path(&args.path);
    let body = body(&args.data, args.force)?;
    let outcome = context.client()?.write(path, &body);
    written(context, path, outcome)
}

pub fn patch(context: &Context, args: &PatchArgs) -> Result<ExitCode, Failure> {
    let path = clean_path(&args.path);
    let body = body(&args.data, args.force)?;
    let outcome = context.client()?.patch(path, &body);
    written(context, path, outcome)
}

fn body(data: &[String], force: bool) -> Result<Value, Failure> {
    if data.is_empty() && !force {
        return Err(Failure::usage("Must supply data or use -force").hint("--force writes without data"));
    }
    Ok(Value::Object(values::parse(data, &mut values::StandardInput::new())?))
}

/// Prints what a write gave.
pub fn written(
    context: &Context,
    path: &str,
    outcome: Result<Option<Response>, ClientError>,
) -> Result<ExitCode, Failure> {
    match outcome.while_doing(|| format!("writing data to {path}"))? {
        None => context.output.success(&format!("Data written to: {path}")),
        Some(response) => context.output.response(&response),
    }
}

pub fn list(context: &Context, args: &ListArgs) -> Result<ExitCode, Failure> {
    match &args.path {
        Some(path) if args.recursive => enumerate(context, path, &args.paging, Client::scan, "scanning"),
        Some(path) => enumerate(context, path, &args.paging, Client::list, "listing"),
        None if context.output.face == Face::Vault => Err(Failure::usage("which path?")),
        None => super::project::list::run(context, &args.project),
    }
}

pub fn scan(context: &Context, args: &PathArgs) -> Result<ExitCode, Failure> {
    enumerate(context, &args.path, &args.paging, Client::scan, "scanning")
}

type Enumerate =
    fn(&Client, &str, &strongroom_api::client::Query<'_>) -> Result<Option<Response>, ClientError>;

fn enumerate(
    context: &Context,
    path: &str,
    args: &Paging,
    ask: Enumerate,
    verb: &str,
) -> Result<ExitCode, Failure> {
    let path = clean_path(path);
    let mut query = Vec::new();
    if let Some(after) = &args.after {
        query.push(("after", after.clone()));
    }
    if let Some(limit) = args.limit {
        query.push(("limit", limit.to_string()));
    }
    let response = ask(&context.client()?, path, &query).while_doing(|| format!("{verb} {path}"));
    let response = response.or_else(|failure| or_nothing(context, failure))?;
    if let Some(response) = response.as_ref().filter(|_| context.output.is_table()) {
        context.output.warnings(response);
    }
    let found = response.filter(|response| response.field("keys").is_some());
    let Some(response) = found else {
        if !context.output.is_table() {
            context.output.structured(&Map::new())?;
        }
        return Err(nothing_at(&format!("{path}/")));
    };
    match response.field("key_info").and_then(Value::as_object).filter(|_| args.detailed) {
        Some(info) if context.output.is_table() => detailed(context, &response, info),
        Some(_) => context.output.response(&response),
        None => context.output.keys(&response),
    }
}

/// One row a name, one column for everything that is known about any of them.
fn detailed(context: &Context, response: &Response, info: &Map<String, Value>) -> Result<ExitCode, Failure> {
    let mut names: Vec<&str> = response.keys();
    names.sort_unstable();
    let mut titles: Vec<&str> = Vec::new();
    for fields in info.values().filter_map(Value::as_object) {
        titles.extend(fields.keys().map(String::as_str));
    }
    titles.sort_unstable();
    titles.dedup();
    let row = |name: &str| {
        let mut row = vec![name.to_owned()];
        for title in &titles {
            let value = info.get(name).and_then(|fields| fields.get(title));
            row.push(value.map_or_else(|| "n/a".to_owned(), |value| crate::output::show(title, value)));
        }
        row
    };
    let rows: Vec<_> = names.into_iter().map(row).collect();
    let header: Vec<&str> = std::iter::once("Keys").chain(titles.iter().copied()).collect();
    context.output.table(&header, &rows)
}

pub fn delete(context: &Context, args: &DeleteArgs) -> Result<ExitCode, Failure> {
    let path = clean_path(&args.path);
    let query = values::parse_query(&args.data, &mut values::StandardInput::new())?;
    let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let outcome = context.client()?.delete(path, &query).while_doing(|| format!("deleting {path}"))?;
    match outcome {
        Some(response) => context.output.response(&response),
        None => context.output.success(&format!("Data deleted (if it existed) at: {path}")),
    }
}

pub fn unwrap(context: &Context, args: &UnwrapArgs) -> Result<ExitCode, Failure> {
    let token = match args.token.as_deref() {
        Some("-") => Some(super::login::line_from_stdin()?),
        Some(token) => Some(SecretString::from(token)),
        None => None,
    };
    let client = context.client()?;
    let response = client.unwrap_response(token.as_ref()).while_doing(|| "unwrapping".to_owned())?;
    match response {
        Some(response) => context.output.response(&response),
        None => context.output.text("Successfully unwrapped. There was no data in the wrapped secret.\n"),
    }
}

pub fn path_help(context: &Context, args: &PathHelpArgs) -> Result<ExitCode, Failure> {
    help_for(context, clean_path(&args.path))
}

pub fn help_for(context: &Context, path: &str) -> Result<ExitCode, Failure> {
    let answer = context.client()?.read(path, &[("help", "1".to_owned())]);
    let answer = answer.while_doing(|| format!("retrieving help for {path}"))?;
    let help = answer.as_ref().and_then(|answer| answer.text("help")).ok_or_else(|| nothing_at(path))?;
    context.output.text(&format!("{}\n", help.trim_end()))
}

/// The `vault` command takes every 404 for an empty place, even that of a path without a mount.
fn or_nothing(context: &Context, failure: Failure) -> Result<Option<Response>, Failure> {
    match (context.output.face, failure.status()) {
        (Face::Vault, Some(404)) => Ok(None),
        _ => Err(failure),
    }
}

/// An empty place.
pub fn nothing_at(path: &str) -> Failure {
    Failure::missing(format!("No value found at {path}"))
}
