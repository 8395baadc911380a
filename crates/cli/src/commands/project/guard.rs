//! `guard`: what keeps values out of the repository. `trust`: which manifests may reach hosts and run commands.

use super::{Session, ask};
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use std::path::Path;
use std::process::ExitCode;
use strongroom_project::check::{Tracked, plain_files, tracked};
use strongroom_project::guard::write_gitignore;
use strongroom_project::trust::reaches;

#[derive(Args)]
pub struct TrustArgs {
    /// Forget that this manifest was trusted
    #[arg(long)]
    remove: bool,
}

/// Writes what is missing in .gitignore, and says which files with values are in the repository already.
pub fn keep_out(context: &Context) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    let folder = match session.manifest.folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => &session.manifest.folder,
    };
    let added = write_gitignore(folder)?;
    match added.is_empty() {
        true => session.note(".gitignore has all it needs"),
        false => session.note(&format!(".gitignore now has {}", added.join(", "))),
    }
    let files = plain_files(&session.manifest);
    let committed: Vec<_> = files.iter().filter(|file| tracked(folder, file) == Tracked::Yes).collect();
    for file in &committed {
        let name = file.display();
        context.output.note(&format!(
            "{name} is in the repository already: git rm --cached {name}, and change its values: what was pushed is known"
        ));
    }
    Ok(if committed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

pub fn trust(context: &Context, args: &TrustArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    let store =
        session.trust_store().ok_or_else(|| Failure::other("there is no home folder to remember it in"))?;
    let path = session.manifest.path.display();
    if args.remove {
        store.distrust(&session.manifest)?;
        session.note(&format!("{path} is not trusted any more"));
        return Ok(ExitCode::SUCCESS);
    }
    // Of all environments: who trusts a manifest should not be asked again for the next one.
    let mut wanted = vec![HOOK_REACH.to_owned()];
    for environment in session.manifest.environments.values() {
        let opened = session.opened(environment)?;
        wanted.extend(reaches(environment, &opened));
    }
    wanted.dedup();
    let list: String = wanted.iter().map(|reach| format!("\n  {reach}")).collect();
    if !context.project().yes
        && context.may_ask()
        && !ask(&format!("{path} wants to:{list}\nMay it, from now on?"))?
    {
        return Err(Failure::usage("nothing was changed"));
    }
    store.trust(&session.manifest, &wanted)?;
    session.note(&format!("{path} is trusted:{list}"));
    Ok(ExitCode::SUCCESS)
}

/// What the shell hook does with a manifest: its values become variables of the shell.
pub const HOOK_REACH: &str = "shell hook: sets variables of your shell";
