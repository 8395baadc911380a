//! `identity …` and `quota …`: collections of named things, all with the same four verbs.

use super::generic::{nothing_at, written};
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::values;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum IdentityCommand {
    /// People and programs
    #[command(subcommand)]
    Entity(NamedVerb),
    #[command(subcommand)]
    Group(NamedVerb),
    /// How an entity logs in at a mount
    #[command(subcommand)]
    EntityAlias(IdVerb),
    #[command(subcommand)]
    GroupAlias(IdVerb),
}

#[derive(Subcommand)]
pub enum QuotaCommand {
    /// Requests per interval
    #[command(subcommand)]
    RateLimit(QuotaVerb),
    /// Leases at a time
    #[command(subcommand)]
    LeaseCount(QuotaVerb),
}

#[derive(Subcommand)]
pub enum NamedVerb {
    List(ByArgs),
    Read(NamedArgs),
    /// Make one, or change it
    Write(NamedWriteArgs),
    Delete(NamedArgs),
}

#[derive(Subcommand)]
pub enum IdVerb {
    List,
    Read(IdArgs),
    /// Make one
    Create(DataArgs),
    /// Change one
    Write(IdWriteArgs),
    Delete(IdArgs),
}

#[derive(Subcommand)]
pub enum QuotaVerb {
    List,
    Read(IdArgs),
    Write(IdWriteArgs),
    Delete(IdArgs),
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum By {
    #[default]
    Name,
    Id,
}

#[derive(Args)]
pub struct ByArgs {
    /// What to call them by
    #[arg(long, value_enum, default_value = "name")]
    by: By,
}

#[derive(Args)]
pub struct NamedArgs {
    name: String,
    /// What NAME is
    #[arg(long, value_enum, default_value = "name")]
    by: By,
}

#[derive(Args)]
pub struct NamedWriteArgs {
    name: String,
    /// What NAME is
    #[arg(long, value_enum, default_value = "name")]
    by: By,
    /// As of the command `write`
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
}

#[derive(Args)]
pub struct IdArgs {
    #[arg(value_name = "NAME|ID")]
    id: String,
}

#[derive(Args)]
pub struct IdWriteArgs {
    #[arg(value_name = "NAME|ID")]
    id: String,
    /// As of the command `write`
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
}

#[derive(Args)]
pub struct DataArgs {
    /// As of the command `write`
    #[arg(required = true, value_name = "KEY=VALUE")]
    data: Vec<String>,
}

pub fn identity(context: &Context, command: IdentityCommand) -> Result<ExitCode, Failure> {
    match command {
        IdentityCommand::Entity(verb) => named(context, "identity/entity", verb),
        IdentityCommand::Group(verb) => named(context, "identity/group", verb),
        IdentityCommand::EntityAlias(verb) => by_id(context, "identity/entity-alias", verb),
        IdentityCommand::GroupAlias(verb) => by_id(context, "identity/group-alias", verb),
    }
}

pub fn quota(context: &Context, command: QuotaCommand) -> Result<ExitCode, Failure> {
    let (folder, verb) = match command {
        QuotaCommand::RateLimit(verb) => ("sys/quotas/rate-limit", verb),
        QuotaCommand::LeaseCount(verb) => ("sys/quotas/lease-count", verb),
    };
    match verb {
        QuotaVerb::List => list(context, folder),
        QuotaVerb::Read(args) => read(context, &below(folder, &args.id)?),
        QuotaVerb::Write(args) => write(context, &below(folder, &args.id)?, &args.data),
        QuotaVerb::Delete(args) => delete(context, &below(folder, &args.id)?),
    }
}

fn named(context: &Context, folder: &str, verb: NamedVerb) -> Result<ExitCode, Failure> {
    let within = |by: By| format!("{folder}/{}", if by == By::Name { "name" } else { "id" });
    match verb {
        NamedVerb::List(args) => list(context, &within(args.by)),
        NamedVerb::Read(args) => read(context, &below(&within(args.by), &args.name)?),
        NamedVerb::Write(args) => write(context, &below(&within(args.by), &args.name)?, &args.data),
        NamedVerb::Delete(args) => delete(context, &below(&within(args.by), &args.name)?),
    }
}

fn by_id(context: &Context, folder: &str, verb: IdVerb) -> Result<ExitCode, Failure> {
    let within = format!("{folder}/id");
    match verb {
        IdVerb::List => list(context, &within),
        IdVerb::Read(args) => read(context, &below(&within, &args.id)?),
        IdVerb::Create(args) => write(context, folder, &args.data),
        IdVerb::Write(args) => write(context, &below(&within, &args.id)?, &args.data),
        IdVerb::Delete(args) => delete(context, &below(&within, &args.id)?),
    }
}

/// A name is one segment: anything else would be another place.
fn below(folder: &str, name: &str) -> Result<String, Failure> {
    let name = name.trim();
    if name.is_empty() || name.contains('/') {
        return Err(Failure::usage(format!("{name:?} is not a name")));
    }
    Ok(format!("{folder}/{name}"))
}

fn list(context: &Context, path: &str) -> Result<ExitCode, Failure> {
    let found = context.client()?.list(path, &[]).while_doing(|| format!("listing {path}"))?;
    context.output.keys(&found.ok_or_else(|| nothing_at(path))?)
}

fn read(context: &Context, path: &str) -> Result<ExitCode, Failure> {
    let found = context.client()?.read(path, &[]).while_doing(|| format!("reading {path}"))?;
    context.output.response(&found.ok_or_else(|| nothing_at(path))?)
}

fn write(context: &Context, path: &str, data: &[String]) -> Result<ExitCode, Failure> {
    let body = Value::Object(values::parse(data, &mut values::StandardInput::new())?);
    written(context, path, context.client()?.write(path, &body))
}

fn delete(context: &Context, path: &str) -> Result<ExitCode, Failure> {
    context.client()?.delete(path, &[]).while_doing(|| format!("deleting {path}"))?;
    context.output.success(&format!("Data deleted (if it existed) at: {path}"))
}
