//! The commands. Each module holds its flags and what it does with them.

pub mod audit;
pub mod collection;
pub mod dotenv;
pub mod generic;
pub mod guard;
pub mod honey;
pub mod incident;
pub mod kv;
pub mod lease;
pub mod login;
pub mod manual;
pub mod mounts;
pub mod namespace;
pub mod operator;
pub mod policy;
pub mod project;
pub mod purge;
pub mod redact;
pub mod rotate;
pub mod run;
pub mod scan;
pub mod sops;
pub mod status;
pub mod token;
pub mod tree;

use crate::arguments::{Command, EagerCommand};
use crate::context::Context;
use crate::failure::Failure;
use crate::persona::{Face, vault};
use crate::server;
use std::process::ExitCode;

pub fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(args) => run::run(context, &args),
        Command::Init(args) => project::init::run(context, &args),
        Command::Check(args) => project::check::run(context, &args),
        Command::Get(args) => project::get::run(context, &args),
        Command::Set(args) => project::set::run(context, &args),
        Command::Unset(args) => project::set::unset(context, &args),
        Command::Explain(args) => project::explain::run(context, &args),
        Command::Diff(args) => project::diff::run(context, &args),
        Command::Edit(args) => project::edit::run(context, &args),
        Command::Export(args) => project::export::run(context, &args),
        Command::Import(args) => project::import::run(context, &args),
        Command::Template(args) => project::template::run(context, &args),
        Command::Lock(args) => project::lock::run(context, &args),
        Command::Generate(args) => project::generate::run(context, &args),
        Command::Doctor(args) => project::doctor::run(context, &args),
        Command::Guard(group) => guard::run(context, &group.command),
        Command::Redact(args) => redact::run(context, &args),
        Command::Scan(args) => scan::run(context, &args),
        Command::Purge(args) => purge::run(context, &args),
        Command::Hook(args) => project::hook::run(context, &args),
        Command::HookEnv(args) => project::hook::hook_env(context, &args),
        Command::KeepFolder(args) => Ok(project::run::files::keep(&args.folder)),
        Command::Trust(args) => project::guard::trust(context, &args),
        Command::Status => status::run(context),
        Command::Login(args) => login::run(context, &args),
        Command::Kv(group) => kv::run(context, group.command),
        Command::Tree(args) => tree::run(context, &args),
        Command::Read(args) => generic::read(context, &args),
        Command::Write(args) => generic::write(context, &args),
        Command::Patch(args) => generic::patch(context, &args),
        Command::List(args) => generic::list(context, &args),
        Command::ScanPath(args) => generic::scan(context, &args),
        Command::Delete(args) => generic::delete(context, &args),
        Command::Unwrap(args) => generic::unwrap(context, &args),
        Command::PathHelp(args) => generic::path_help(context, &args),
        Command::Secrets(group) => mounts::secrets(context, group.command),
        Command::Auth(group) => mounts::auth(context, group.command),
        Command::Policy(group) => policy::run(context, group.command),
        Command::Lease(group) => lease::run(context, group.command),
        Command::Rotate(args) => rotate::run(context, args),
        Command::Validate(args) => rotate::validate(context, &args),
        Command::Honey(group) => honey::run(context, group.command),
        Command::Incident(group) => incident::run(context, group.command),
        Command::Identity(group) => collection::identity(context, group.command),
        Command::Namespace(group) => namespace::run(context, group.command),
        Command::Quota(group) => collection::quota(context, group.command),
        Command::Dotenv(group) => dotenv::run(context, group.command),
        Command::Audit(group) => audit::run(context, group.command),
        Command::Token(group) => token::run(context, group.command),
        Command::Sops(args) => sops::run(context, *args),
        Command::Eager(EagerCommand::Server(args)) => {
            server::run(&args, &context.environment, context.output.face)
        }
        Command::Print(group) => token::print(context, &group.command),
        Command::Operator(group) => operator::run(context, group.command),
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
