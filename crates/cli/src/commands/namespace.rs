//! `namespace …`.

use super::clean_path;
use super::generic::nothing_at;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::values;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum NamespaceCommand {
    /// The namespaces within the one in use
    List,
    /// Make a namespace
    Create(WriteArgs),
    /// What is known about a namespace
    Lookup(PathArgs),
    /// Remove a namespace with all that is in it
    Delete(PathArgs),
    /// Change the metadata of a namespace
    Patch(WriteArgs),
}

#[derive(Args)]
pub struct PathArgs {
    path: String,
}

#[derive(Args)]
pub struct WriteArgs {
    path: String,
    /// key=value; may be given often
    #[arg(long, value_name = "KEY=VALUE")]
    custom_metadata: Vec<String>,
    /// A key of the metadata to remove (patch alone)
    #[arg(long, value_name = "KEY")]
    remove_custom_metadata: Vec<String>,
}

pub fn run(context: &Context, command: NamespaceCommand) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let api_path = |path: &str| format!("sys/namespaces/{}", clean_path(path));
    match command {
        NamespaceCommand::List => {
            let found = client.list("sys/namespaces", &[]).while_doing(|| "listing namespaces".to_owned())?;
            context.output.keys(&found.ok_or_else(|| Failure::missing("No namespaces found"))?)
        }
        NamespaceCommand::Create(args) => {
            let body =
                json!({ "custom_metadata": values::parse(&args.custom_metadata, &mut std::io::empty())? });
            let made =
                client.write(&api_path(&args.path), &body).while_doing(|| "creating namespace".to_owned())?;
            context.output.response(&made.unwrap_or_default())
        }
        NamespaceCommand::Lookup(args) => {
            let found =
                client.read(&api_path(&args.path), &[]).while_doing(|| "looking up namespace".to_owned())?;
            context.output.response(&found.ok_or_else(|| nothing_at(&args.path))?)
        }
        NamespaceCommand::Delete(args) => {
            let path = clean_path(&args.path);
            let gone = client.delete(&api_path(path), &[]).while_doing(|| "deleting namespace".to_owned())?;
            if let Some(response) = gone {
                context.output.warnings(&response);
            }
            context.output.success(&format!("Namespace deletion scheduled: {path}/"))
        }
        NamespaceCommand::Patch(args) => {
            let mut metadata = values::parse(&args.custom_metadata, &mut std::io::empty())?;
            metadata.extend(args.remove_custom_metadata.iter().map(|key| (key.clone(), Value::Null)));
            let body = json!({ "custom_metadata": metadata });
            let patched =
                client.patch(&api_path(&args.path), &body).while_doing(|| "patching namespace".to_owned())?;
            context.output.response(&patched.unwrap_or_default())
        }
    }
}
