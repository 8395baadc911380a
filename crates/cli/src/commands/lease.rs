//! `lease …`.

use super::clean_path;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use clap::{Args, Subcommand};
use serde_json::{Map, json};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum LeaseCommand {
    /// The leases below a prefix
    List(PrefixArgs),
    /// What is known about a lease
    Lookup(IdArgs),
    /// Give a lease more time
    Renew(RenewArgs),
    /// End a lease, or all below a prefix
    Revoke(RevokeArgs),
}

#[derive(Args)]
pub struct PrefixArgs {
    #[arg(default_value = "")]
    prefix: String,
}

#[derive(Args)]
pub struct IdArgs {
    id: String,
}

#[derive(Args)]
pub struct RenewArgs {
    id: String,
    /// By how much, from now on
    #[arg(long, short, value_name = "DURATION")]
    increment: Option<String>,
}

#[derive(Args)]
pub struct RevokeArgs {
    id: String,
    /// ID is a prefix: end all below it
    #[arg(long)]
    prefix: bool,
    /// Forget the leases even if what they stand for cannot be ended
    #[arg(long, short, requires = "prefix")]
    force: bool,
    /// Wait until it is done
    #[arg(long)]
    sync: bool,
}

pub fn run(context: &Context, command: LeaseCommand) -> Result<ExitCode, Failure> {
    match command {
        LeaseCommand::List(args) => list(context, &args),
        LeaseCommand::Lookup(args) => lookup(context, &args),
        LeaseCommand::Renew(args) => renew(context, &args),
        LeaseCommand::Revoke(args) => revoke(context, &args),
    }
}

fn list(context: &Context, args: &PrefixArgs) -> Result<ExitCode, Failure> {
    let prefix = clean_path(&args.prefix);
    let path = format!("sys/leases/lookup/{prefix}");
    let found =
        context.client()?.list(&path, &[]).while_doing(|| format!("listing leases below {prefix:?}"))?;
    context.output.keys(&found.ok_or_else(|| super::generic::nothing_at(&path))?)
}

fn lookup(context: &Context, args: &IdArgs) -> Result<ExitCode, Failure> {
    let id = args.id.trim();
    let found = context.client()?.write("sys/leases/lookup", &json!({ "lease_id": id }));
    let found = found.while_doing(|| format!("looking up lease id {id}"))?;
    context.output.response(&found.unwrap_or_default())
}

fn renew(context: &Context, args: &RenewArgs) -> Result<ExitCode, Failure> {
    let id = args.id.trim();
    let mut body = Map::new();
    body.insert("lease_id".to_owned(), id.into());
    if let Some(increment) = &args.increment {
        body.insert("increment".to_owned(), increment.clone().into());
    }
    let renewed =
        context.client()?.write("sys/leases/renew", &body.into()).while_doing(|| format!("renewing {id}"))?;
    context.output.response(&renewed.unwrap_or_default())
}

fn revoke(context: &Context, args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let id = clean_path(&args.id);
    let client = context.client()?;
    let doing = || format!("revoking {} {id}", if args.prefix { "leases with prefix" } else { "lease" });
    if args.force {
        context.output.note("Warning! What the leases stand for (accounts, keys) may live on.");
        client.write(&format!("sys/leases/revoke-force/{id}"), &json!({})).while_doing(doing)?;
        return context.output.success(&format!("Force revoked any leases with prefix: {id}"));
    }
    if args.prefix {
        client
            .write(&format!("sys/leases/revoke-prefix/{id}"), &json!({ "sync": args.sync }))
            .while_doing(doing)?;
    } else {
        client
            .write("sys/leases/revoke", &json!({ "lease_id": id, "sync": args.sync }))
            .while_doing(doing)?;
    }
    match (args.sync, args.prefix) {
        (true, true) => context.output.success(&format!("Revoked any leases with prefix: {id}")),
        (true, false) => context.output.success(&format!("Revoked lease: {id}")),
        (false, _) if context.output.is_table() => {
            context.output.text("All revocation operations queued successfully!\n")
        }
        (false, _) => Ok(ExitCode::SUCCESS),
    }
}
