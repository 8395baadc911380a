//! `audit …`: devices on the server; `verify` and `query` on the files they wrote.

use super::clean_path;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::{audit_files, values};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum AuditCommand {
    /// The audit devices
    List(ListArgs),
    /// Start an audit device
    Enable(EnableArgs),
    /// Stop an audit device
    Disable(PathArgs),
    /// Check that audit files are whole: no record changed, removed or added
    Verify(audit_files::VerifyArgs),
    /// Who did what, when, from where: search audit files
    Query(audit_files::QueryArgs),
}

#[derive(Args)]
pub struct ListArgs {
    #[arg(long)]
    detailed: bool,
}

#[derive(Args)]
pub struct EnableArgs {
    /// file, syslog or socket
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Options of the device, as file_path=/var/log/audit.log
    #[arg(value_name = "KEY=VALUE")]
    options: Vec<String>,
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Under which name, if not the type's
    #[arg(long)]
    path: Option<String>,
    /// Keep it on this cluster
    #[arg(long)]
    local: bool,
}

#[derive(Args)]
pub struct PathArgs {
    path: String,
}

pub fn run(context: &Context, command: AuditCommand) -> Result<ExitCode, Failure> {
    match command {
        AuditCommand::List(args) => list(context, &args),
        AuditCommand::Enable(args) => enable(context, &args),
        AuditCommand::Disable(args) => disable(context, &args),
        AuditCommand::Verify(args) => audit_files::verify(context, &args),
        AuditCommand::Query(args) => audit_files::query(context, &args),
    }
}

fn list(context: &Context, args: &ListArgs) -> Result<ExitCode, Failure> {
    let response = context.client()?.read("sys/audit", &[]).while_doing(|| "listing audits".to_owned())?;
    let devices = response.and_then(|response| response.data).unwrap_or_default();
    if !context.output.is_table() {
        return context.output.map(&devices);
    }
    if devices.is_empty() {
        context.output.text("No audit devices are enabled.\n")?;
        return Ok(ExitCode::from(2));
    }
    let text =
        |device: &Value, name: &str| device.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let rows: Vec<_> = devices
        .iter()
        .map(|(path, device)| {
            let mut row = vec![path.clone(), text(device, "type"), text(device, "description")];
            if args.detailed {
                let local = device.get("local").and_then(Value::as_bool).unwrap_or_default();
                row.push(if local { "local" } else { "replicated" }.to_owned());
                let options = device.get("options").and_then(Value::as_object);
                let options = options.into_iter().flatten();
                let options =
                    options.map(|(name, value)| format!("{name}={}", crate::output::show("", value)));
                row.push(options.collect::<Vec<_>>().join(" "));
            }
            row
        })
        .collect();
    let header = ["Path", "Type", "Description", "Replication", "Options"];
    let shown = if args.detailed { header.as_slice() } else { header.split_at(3).0 };
    context.output.table(shown, &rows)
}

fn enable(context: &Context, args: &EnableArgs) -> Result<ExitCode, Failure> {
    let kind = args.kind.trim();
    let path = clean_path(args.path.as_deref().unwrap_or(kind));
    let body = json!({
        "type": kind,
        "description": args.description.clone().unwrap_or_default(),
        "options": values::parse(&args.options, &mut values::StandardInput::new())?,
        "local": args.local,
    });
    context
        .client()?
        .write(&format!("sys/audit/{path}"), &body)
        .while_doing(|| "enabling audit device".to_owned())?;
    context.output.success(&format!("Enabled the {kind} audit device at: {path}/"))
}

fn disable(context: &Context, args: &PathArgs) -> Result<ExitCode, Failure> {
    let path = clean_path(&args.path);
    context
        .client()?
        .delete(&format!("sys/audit/{path}"), &[])
        .while_doing(|| "disabling audit device".to_owned())?;
    context.output.success(&format!("Disabled audit device (if it was enabled) at: {path}/"))
}
