//! `generate`: files that follow from the manifest.

use super::Session;
use crate::context::Context;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::process::ExitCode;
use strongroom_project::files::{Links, change};
use strongroom_project::generate::{Generated, all, text_of};
use strongroom_project::guard::make_public;
use strongroom_project::manifest::{Manifest, Problem, ProblemKind};

#[derive(Args)]
pub struct GenerateArgs {
    /// Print this one, instead of writing the files of [generate]
    #[arg(value_enum)]
    what: Option<What>,
    /// Write nothing, and fail if a file is not what it should be
    #[arg(long, conflicts_with = "what")]
    check: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    EnvExample,
    /// A class of pydantic-settings
    Python,
    Typescript,
    Go,
    Rust,
    /// The JSON Schema of manifests
    Schema,
}

impl What {
    fn key(self) -> &'static str {
        match self {
            Self::EnvExample => "env-example",
            Self::Python => "python",
            Self::Typescript => "typescript",
            Self::Go => "go",
            Self::Rust => "rust",
            Self::Schema => "schema",
        }
    }
}

/// A file that is larger is not one of ours.
const FILE_BYTES_MAX: u64 = 16 << 20;

pub fn run(context: &Context, args: &GenerateArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    if let Some(what) = args.what {
        return context.output.text(&text_of(&session.manifest, what.key()));
    }
    if session.manifest.generated.is_empty() {
        return Err(Failure::usage(format!("{} has no [generate]", session.manifest.path.display()))
            .hint("env-example = \".env.example\" in [generate], or `strongroom generate env-example`"));
    }
    if args.check {
        let stale = stale(&session.manifest);
        return if stale.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(stale.into()) };
    }
    for generated in all(&session.manifest) {
        write(&session, &generated)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(session: &Session<'_>, generated: &Generated) -> Result<(), Failure> {
    let path = &generated.path;
    if let Some(folder) = path.parent() {
        let failed = |error| Failure::other(format!("cannot make the folder {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let change = change(path, Links::Follow, FILE_BYTES_MAX)?;
    let is_new = change.content().is_none();
    change.replace(generated.text.as_bytes())?;
    if is_new {
        make_public(path)?;
    }
    session.note(&format!("wrote {}", path.display()));
    Ok(())
}

/// Generated files that are not what the manifest says.
pub fn stale(manifest: &Manifest) -> Vec<Problem> {
    let mut problems = Vec::new();
    for generated in all(manifest) {
        let path = generated.path.display();
        let message = match std::fs::read_to_string(&generated.path) {
            Ok(text) if text == generated.text => continue,
            Ok(_) => format!("{path} is not what the manifest says"),
            Err(_) => format!("{path} is not there"),
        };
        problems.push(Problem::error(ProblemKind::Stale, message).hint("strongroom generate"));
    }
    problems
}
