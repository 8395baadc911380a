//! `strongroom sops`: encrypted files that sops reads too. The persona `sops` runs the same verbs in sops' words.

pub mod arguments;
mod crypt;
mod edit;
mod exec;
mod git;
pub mod keygen;
mod keys;
mod many;
mod publish;
mod restrict;
pub mod session;

use crate::context::Context;
use crate::failure::Failure;
use arguments::{SopsCommand, SopsGlobals};
use clap::Args;
use session::{Session, Voice};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub struct SopsArgs {
    /// The file with the rules, instead of the nearest .sops.yaml
    #[arg(long, global = true, env = "SOPS_CONFIG", hide_env = true, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    globals: SopsGlobals,
    #[command(subcommand)]
    command: SopsCommand,
}

pub fn run(context: &Context, args: SopsArgs) -> Result<ExitCode, Failure> {
    let globals = SopsGlobals { rules: args.rules, ..args.globals };
    let session = Session::new(Voice::Ours, globals, &context.environment)?;
    perform(&session, &args.command)
}

/// One verb, in either voice.
pub fn perform(session: &Session, command: &SopsCommand) -> Result<ExitCode, Failure> {
    let file = match command {
        SopsCommand::Edit(args) => Some(&args.file),
        SopsCommand::Set(args) => Some(&args.file),
        SopsCommand::Unset(args) => Some(&args.file),
        SopsCommand::ExecEnv(args) => Some(&args.file),
        SopsCommand::ExecFile(args) => Some(&args.file),
        SopsCommand::Restrict(args) => Some(&args.file),
        _ => None,
    };
    let result = perform_verb(session, command);
    match file {
        Some(file) => result.map_err(|failure| session.of_file(file, failure)),
        None => result,
    }
}

fn perform_verb(session: &Session, command: &SopsCommand) -> Result<ExitCode, Failure> {
    match command {
        SopsCommand::Encrypt(args) => crypt::encrypt(session, args),
        SopsCommand::Decrypt(args) => crypt::decrypt(session, args),
        SopsCommand::Edit(args) => edit::edit(session, args),
        SopsCommand::Set(args) => crypt::set(session, args),
        SopsCommand::Unset(args) => crypt::unset(session, args),
        SopsCommand::Rotate(args) => crypt::rotate(session, args),
        SopsCommand::Updatekeys(args) => keys::update(session, args),
        SopsCommand::Filestatus(args) => keys::status(session, args),
        SopsCommand::Groups(command) => keys::groups(session, command),
        SopsCommand::Publish(args) => publish::publish(session, args),
        SopsCommand::ExecEnv(args) => exec::with_variables(session, args),
        SopsCommand::ExecFile(args) => exec::with_file(session, args),
        SopsCommand::Keygen(args) => keygen::generate(session, args),
        SopsCommand::Recipients(command) => keys::recipients(session, command),
        SopsCommand::Restrict(args) => restrict::run(session, args),
        SopsCommand::Git(command) => git::run(session, command),
    }
}
