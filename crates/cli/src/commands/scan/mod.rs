//! `scan`: looks for secrets that should not be where they are. What is looked at is in `sources`, with which rules in `rules`,
//! what becomes of the findings in `run`.

pub mod arguments;
mod audit;
mod baseline;
mod fingerprints;
mod known;
mod liveness;
pub mod progress;
pub mod rules;
mod rules_command;
pub mod run;
pub mod sources;

use crate::context::Context;
use crate::failure::Failure;
use arguments::{ScanArgs, ScanCommand};
use std::path::Path;
use std::process::ExitCode;

pub fn run(context: &Context, args: &ScanArgs) -> Result<ExitCode, Failure> {
    let Some(command) = &args.command else { return Err(no_command(&args.path)) };
    match command {
        ScanCommand::Dir(args) => sources::dir(context, args),
        ScanCommand::Git(args) => sources::git(context, args),
        ScanCommand::History(args) => sources::history(context, args),
        ScanCommand::Staged(args) => sources::staged(context, args),
        ScanCommand::Stdin(args) => sources::stdin(context, args),
        ScanCommand::Archive(args) => sources::archive(context, args),
        ScanCommand::Rules(command) => rules_command::run(context, command),
        ScanCommand::Baseline(command) => baseline::run(context, command),
        ScanCommand::Fingerprints(command) => fingerprints::run(context, command),
    }
}

/// `scan` listed paths of the API before it looked for leaks.
fn no_command(path: &[String]) -> Failure {
    let path = path.first().map(String::as_str).unwrap_or_default();
    let failure =
        Failure::usage(format!("{path:?} is no kind of scan: dir, git, history, staged, stdin, archive"));
    match Path::new(path).symlink_metadata() {
        Ok(_) => failure.hint(format!("to look for secrets in it: strongroom scan dir {path}")),
        Err(_) => failure.hint(format!(
            "to list what is below a path of the API: strongroom list --recursive {path}, or strongroom tree {path}"
        )),
    }
}
