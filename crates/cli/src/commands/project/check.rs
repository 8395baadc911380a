//! `check`: all that is wrong with the project's secrets, at once.

use super::{Session, problems_json};
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use strongroom_project::check::{Report, of_declarations, of_files};
use strongroom_project::lock::Lock;
use strongroom_project::manifest::{Manifest, Problem};
use strongroom_project::resolve::{Depth, Selection};

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 nothing is wrong, 1 a generated file or a guard is, 2 the manifest is, 3 a secret is \
    missing or not valid, 4 not permitted, 5 a provider cannot be reached, 6 something does not fit the lock."
)]
pub struct CheckArgs {
    /// Every environment, not only the one of -E
    #[arg(long)]
    all: bool,
    /// Look at the manifest and at files alone: no provider is asked
    #[arg(long)]
    manifest_only: bool,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// Also insist that generated files are what the manifest says
    #[arg(long)]
    frozen: bool,
}

pub fn run(context: &Context, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let path = super::manifest_path(context)?;
    if let Err(problems) = Manifest::load(&path) {
        return finish(context, args, &[], problems);
    }
    let session = Session::open(context)?;
    let mut problems = session.manifest.warnings.clone();
    let report = Report { manifest: &session.manifest, now: session.now() };
    problems.extend(of_declarations(&report));
    problems.extend(of_files(&report));
    if args.frozen {
        problems.extend(super::generate::stale(&session.manifest));
    }
    let names: Vec<String> = if args.all {
        session.manifest.environments.keys().cloned().collect()
    } else {
        vec![session.environment.name.clone()]
    };
    if !args.manifest_only {
        for name in &names {
            problems.extend(of_environment(context, name)?);
        }
    }
    finish(context, args, &names, problems)
}

/// The manifest and files alone, with nothing said unless something is wrong: for hooks.
pub fn manifest_only(context: &Context) -> Result<(), Failure> {
    let session = Session::open(context)?;
    let report = Report { manifest: &session.manifest, now: session.now() };
    let mut problems = session.manifest.warnings.clone();
    problems.extend(of_declarations(&report));
    problems.extend(of_files(&report));
    match problems.iter().any(Problem::is_error) {
        true => Err(Failure::of_problems(&problems)),
        false => Ok(()),
    }
}

fn of_environment(context: &Context, name: &str) -> Result<Vec<Problem>, Failure> {
    let session = Session::open_in(context, Some(name))?;
    let opened = session.providers()?;
    let resolution = session.resolve(&opened, Selection::All, Depth::First);
    let lock = Lock::load(&session.manifest)?;
    let mut problems = super::lock::against(&session, &lock, &session.environment, &opened, &resolution)?;
    problems.extend(resolution.problems);
    problems.extend(strongroom_project::check::unused(&session.manifest, &session.environment, &opened));
    session.take_back(&opened, &session.environment);
    Ok(problems)
}

fn finish(
    context: &Context,
    args: &CheckArgs,
    environments: &[String],
    mut problems: Vec<Problem>,
) -> Result<ExitCode, Failure> {
    let mut seen: Vec<Problem> = Vec::new();
    problems.retain(|problem| {
        let new = !seen.contains(problem);
        seen.extend(new.then(|| problem.clone()));
        new
    });
    if args.strict {
        problems.iter_mut().for_each(Problem::make_error);
    }
    let failed = problems.iter().any(Problem::is_error);
    if !context.output.is_table() {
        context.output.structured(&json!({
            "version": 1,
            "ok": !failed,
            "environments": environments,
            "problems": problems_json(&problems),
        }))?;
        return match failed {
            true => Ok(ExitCode::from(Failure::of_problems(&problems).native_code())),
            false => Ok(ExitCode::SUCCESS),
        };
    }
    if failed {
        return Err(Failure::of_problems(&problems));
    }
    if !context.project().quiet {
        problems.iter().for_each(|problem| context.output.note(problem.render().trim_end()));
        let names = environments.join(", ");
        context.output.note(&format!("nothing is wrong ({names})"));
    }
    Ok(ExitCode::SUCCESS)
}
