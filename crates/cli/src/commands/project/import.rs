//! `import`: values from a file into a provider.

use super::Session;
use super::set::declare;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_project::change::Target;
use strongroom_project::discover::{Discovered, Source, read_source};
use strongroom_project::infer::is_placeholder;
use strongroom_secret::{SecretBytes, SecretString};

#[derive(Args)]
pub struct ImportArgs {
    /// A .env file, JSON, docker-compose, or what `heroku config` prints
    file: PathBuf,
    /// Declare what the manifest does not have yet, with guessed types
    #[arg(long)]
    declare: bool,
    /// The provider to write to [otherwise: the first of the environment that can be written to]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Say what would be written
    #[arg(long)]
    dry_run: bool,
}

pub fn run(context: &Context, args: &ImportArgs) -> Result<ExitCode, Failure> {
    let mut session = Session::open(context)?;
    session.insist_on_change(&session.environment)?;
    super::set::insist_on_provider(&session, args.provider.as_deref())?;
    let found = read_source(&args.file, Source::of(&args.file))
        .map_err(|error| Failure::missing(error.to_string()))?;
    let (known, new): (Vec<Discovered>, Vec<Discovered>) = found
        .into_iter()
        .filter(|found| found.value.as_ref().is_some_and(|value| !is_placeholder(value.expose())))
        .partition(|found| session.manifest.secret(&found.name).is_some());
    let mut chosen = known;
    if args.declare && !args.dry_run {
        for found in &new {
            declare(&session.manifest, &found.name, &bytes_of(found))?;
        }
        session = Session::open(context)?;
    }
    for found in &new {
        let what =
            if args.declare { "is declared now" } else { "is not declared: left out (--declare adds it)" };
        session.note(&format!("{} {what}", found.name));
    }
    if args.declare {
        chosen.extend(new);
    }
    let wrong = invalid(&session, &chosen);
    if !wrong.is_empty() {
        return Err(Failure::missing(wrong.join("\n       ")).hint("nothing was written"));
    }
    let opened = session.providers()?;
    let target = Target {
        manifest: &session.manifest,
        environment: &session.environment,
        opened: &opened,
        provider: args.provider.as_deref(),
    };
    for found in &chosen {
        if args.dry_run {
            session.note(&format!("{} would be written", found.name));
            continue;
        }
        let change = target.store(&found.name, &bytes_of(found))?;
        let origin = change.stored.map(|stored| stored.origin).unwrap_or(change.provider);
        session.note(&format!("{} is kept in {origin}", found.name));
    }
    Ok(ExitCode::SUCCESS)
}

fn bytes_of(found: &Discovered) -> SecretBytes {
    let text = found.value.as_ref().map(SecretString::expose).unwrap_or_default();
    SecretBytes::new(text.as_bytes().to_vec())
}

fn invalid(session: &Session<'_>, chosen: &[Discovered]) -> Vec<String> {
    let mut wrong = Vec::new();
    for found in chosen {
        let Some(secret) = session.manifest.secret(&found.name) else { continue };
        if secret.compose.is_some() {
            wrong.push(format!("{} ({}) is composed: it cannot be imported", found.name, found.origin));
            continue;
        }
        for problem in secret.value_type.problems(&secret.constraints, bytes_of(found).expose()) {
            wrong.push(format!("{} ({}) {problem}", found.name, found.origin));
        }
    }
    wrong
}
