//! `guard`: what keeps secrets out of a repository. Hooks of git, the pre-commit framework, husky, jobs of GitHub and GitLab,
//! a server's hook; and for a project with a manifest what its .gitignore must have.

mod hooks;
mod jobs;
mod receive;
mod run;

use crate::commands::project;
use crate::context::Context;
use crate::failure::Failure;
use clap::{Args, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

#[derive(Subcommand)]
pub enum GuardCommand {
    /// Write hooks that look for secrets before they leave this machine, and what is missing in .gitignore
    Install(InstallArgs),
    /// Take away what `install` wrote
    Uninstall(InstallArgs),
    /// What a hook does: look at what is about to be committed or pushed
    Run(RunArgs),
    /// A server's pre-receive hook: refuse a push that brings secrets
    #[command(
        after_help = "As hooks/pre-receive of a bare repository:\n    #!/bin/sh\n    exec strongroom guard receive"
    )]
    Receive(ReceiveArgs),
}

/// In git's configuration: whose values hooks look for.
const KNOWN: &str = "strongroom.known";

/// Where to. Without any of these: hooks of git.
#[derive(Args)]
pub struct InstallArgs {
    /// Hooks of git, in .git/hooks or where core.hooksPath says
    #[arg(long)]
    git_hooks: bool,
    /// An entry in .pre-commit-config.yaml
    #[arg(long)]
    pre_commit: bool,
    /// Lines in the files of .husky
    #[arg(long)]
    husky: bool,
    /// A workflow of GitHub Actions
    #[arg(long)]
    github: bool,
    /// A job of GitLab CI
    #[arg(long)]
    gitlab: bool,
    /// Hooks stop a commit that holds a value of the store at this address; without one, of the server that is configured
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "server")]
    known: Option<String>,
    /// Only these hooks
    #[arg(long = "hook", value_enum, value_delimiter = ',', value_name = "NAME")]
    hooks: Vec<Hook>,
}

#[derive(Args)]
pub struct RunArgs {
    #[arg(value_enum)]
    hook: Hook,
    /// As git passes them to the hook
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Args)]
pub struct ReceiveArgs {
    /// Rules in gitleaks' format, instead of .gitleaks.toml and our own
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Findings to put up with, as `scan baseline create` writes them
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// The hooks that are of use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Hook {
    PreCommit,
    PrePush,
    CommitMsg,
}

impl Hook {
    const ALL: [Self; 3] = [Self::PreCommit, Self::PrePush, Self::CommitMsg];

    fn name(self) -> &'static str {
        match self {
            Self::PreCommit => "pre-commit",
            Self::PrePush => "pre-push",
            Self::CommitMsg => "commit-msg",
        }
    }
}

impl InstallArgs {
    fn hooks(&self) -> &[Hook] {
        if self.hooks.is_empty() { &Hook::ALL } else { &self.hooks }
    }

    /// Asked for, or in charge of the hooks of git that were: it writes its folder anew with every `npm install`.
    fn wants_husky(&self) -> Result<bool, Failure> {
        Ok(self.husky || self.wants_git_hooks() && hooks::are_of_husky()?)
    }

    fn wants_git_hooks(&self) -> bool {
        self.git_hooks || !(self.pre_commit || self.husky || self.github || self.gitlab)
    }
}

pub fn run(context: &Context, command: &GuardCommand) -> Result<ExitCode, Failure> {
    match command {
        GuardCommand::Install(args) => install(context, args),
        GuardCommand::Uninstall(args) => uninstall(context, args),
        GuardCommand::Run(args) => run::run(context, args.hook, &args.arguments),
        GuardCommand::Receive(args) => receive::run(context, args.rules.as_deref(), args.baseline.as_deref()),
    }
}

fn install(context: &Context, args: &InstallArgs) -> Result<ExitCode, Failure> {
    let code = match project::manifest_path(context) {
        Ok(_) => project::guard::keep_out(context)?,
        Err(_) => ExitCode::SUCCESS,
    };
    let say = |text: &str| note(context, text);
    let top = top()?;
    let husky = args.wants_husky()?;
    if husky {
        hooks::install_husky(&top, args.hooks(), &say)?;
    } else if args.wants_git_hooks() {
        hooks::install(args.hooks(), &say)?;
    }
    if let Some(known) = &args.known {
        git(&["config", "--local", KNOWN, known])?;
        say(&format!("git config {KNOWN} = {known}: hooks look for the values of this store"));
    }
    if args.pre_commit {
        jobs::install_pre_commit(&top, &say)?;
    }
    if args.github {
        jobs::install_github(&top, &say)?;
    }
    if args.gitlab {
        jobs::install_gitlab(&top, &say)?;
    }
    Ok(code)
}

fn uninstall(context: &Context, args: &InstallArgs) -> Result<ExitCode, Failure> {
    let say = |text: &str| note(context, text);
    let top = top()?;
    if args.wants_husky()? {
        hooks::uninstall_husky(&top, args.hooks(), &say)?;
    } else if args.wants_git_hooks() {
        hooks::uninstall(args.hooks(), &say)?;
    }
    // It fails where there is none.
    if git(&["config", "--local", "--unset-all", KNOWN]).is_ok() {
        say(&format!("git config {KNOWN} is gone"));
    }
    if args.pre_commit {
        jobs::uninstall_pre_commit(&top, &say)?;
    }
    if args.github {
        jobs::uninstall_github(&top, &say)?;
    }
    if args.gitlab {
        jobs::uninstall_gitlab(&top, &say)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn note(context: &Context, text: &str) {
    if !context.project().quiet {
        context.output.note(text);
    }
}

/// Whose values this repository's hooks look for.
fn known() -> Vec<String> {
    git(&["config", "--get", KNOWN]).into_iter().filter(|known| !known.is_empty()).collect()
}

/// The folder of the working tree.
fn top() -> Result<PathBuf, Failure> {
    Ok(PathBuf::from(git(&["rev-parse", "--show-toplevel"])?))
}

/// One line that git answers with.
fn git(words: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git").args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::other(format!("git: {error}")).hint("is git installed?"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::other(said.trim().trim_start_matches("fatal: ").to_owned())
        .doing(format!("asking git {}", words.join(" "))))
}
