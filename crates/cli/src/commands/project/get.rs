//! `get`: the value of one secret.

use super::Session;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use strongroom_project::resolve::Selection;

#[derive(Args)]
pub struct GetArgs {
    /// The name of the secret
    name: String,
    /// Put the value into JSON output
    #[arg(long)]
    reveal: bool,
}

pub fn run(context: &Context, args: &GetArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    let secret = session.declared(&args.name)?;
    let names = [args.name.clone()];
    let resolution = session.values(Selection::Names(&names))?;
    let Some(resolved) = resolution.secrets.get(&args.name) else {
        let environment = &session.environment.name;
        return Err(Failure::missing(format!(
            "{} has no value in the environment {environment:?}",
            args.name
        )));
    };
    if context.output.is_table() {
        context.output.bytes(resolved.value.expose())?;
        return if context.output.stdout_is_terminal {
            context.output.text("\n")
        } else {
            Ok(ExitCode::SUCCESS)
        };
    }
    let mut answer = json!({
        "version": 1,
        "name": args.name,
        "environment": session.environment.name,
        "type": secret.value_type.word(),
        "origin": resolved.origin(),
    });
    if args.reveal
        && let Some(fields) = answer.as_object_mut()
    {
        fields.insert("value".to_owned(), String::from_utf8_lossy(resolved.value.expose()).into());
    }
    context.output.structured(&answer)
}
