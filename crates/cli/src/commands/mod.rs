//! The commands. Each module holds its flags and what it does with them.

pub mod audit;
pub mod collection;
pub mod dotenv;
pub mod generic;
pub mod kv;
pub mod lease;
pub mod login;
pub mod manual;
pub mod mounts;
pub mod namespace;
pub mod operator;
pub mod policy;
pub mod run;
pub mod status;
pub mod token;
pub mod tree;

use crate::arguments::Command;
use crate::context::Context;
use crate::failure::Failure;
use crate::persona::{Face, vault};
use crate::server;
use std::process::ExitCode;

pub fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(args) => run::run(context, &args),
        Command::Status => status::run(context),
        Command::Login(args) => login::run(context, &args),
        Command::Kv(command) => kv::run(context, command),
        Command::Tree(args) => tree::run(context, &args),
        Command::Read(args) => generic::read(context, &args),
        Command::Write(args) => generic::write(context, &args),
        Command::Patch(args) => generic::patch(context, &args),
        Command::List(args) => generic::list(context, &args),
        Command::Scan(args) => generic::scan(context, &args),
        Command::Delete(args) => generic::delete(context, &args),
        Command::Unwrap(args) => generic::unwrap(context, &args),
        Command::PathHelp(args) => generic::path_help(context, &args),
        Command::Secrets(command) => mounts::secrets(context, command),
        Command::Auth(command) => mounts::auth(context, command),
        Command::Policy(command) => policy::run(context, command),
        Command::Lease(command) => lease::run(context, command),
        Command::Identity(command) => collection::identity(context, command),
        Command::Namespace(command) => namespace::run(context, command),
        Command::Quota(command) => collection::quota(context, command),
        Command::Dotenv(command) => dotenv::run(context, command),
        Command::Audit(command) => audit::run(context, command),
        Command::Token(command) => token::run(context, command),
        Command::Server(args) => server::run(&args, &context.environment, context.output.face),
        Command::Print(command) => token::print(context, &command),
        Command::Operator(command) => operator::run(context, command),
        Command::Completions(args) => manual::completions(context, &args),
        Command::Man(args) => manual::man(context, &args),
        Command::Version => version(context),
    }
}

fn version(context: &Context) -> Result<ExitCode, Failure> {
    let text = match context.output.face {
        Face::Vault => vault::VERSION.to_owned(),
        Face::Native => {
            format!("strongroom {} (answers to the Vault API of 1.14.8)", env!("CARGO_PKG_VERSION"))
        }
    };
    context.output.text(&(text + "\n"))
}

/// A path of the API without slashes at its ends.
pub fn clean_path(path: &str) -> &str {
    path.trim().trim_matches('/')
}
