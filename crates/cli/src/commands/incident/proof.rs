//! The steps `purge` and `rescan`: the values go out of the history, and a look at everything shows that they are gone.

use super::history::{self, Searched};
use super::run::{Outcome, Run};
use super::{evidence, show};
use crate::failure::Failure;
use std::path::{Path, PathBuf};
use strongroom_kernel::incident::{Evidence, StepKind};
use strongroom_scan::Statistics;
use strongroom_scan::git::{ObjectDirectories, Repository};

/// Places that are named where something is left.
const NAMED_MAX: usize = 5;

pub fn purge(run: &mut Run<'_>) -> Result<Outcome, Failure> {
    let Some(path) = run.repository.clone() else {
        return Ok(Outcome::Nothing("there is no repository here".to_owned()));
    };
    if let Some(outcome) = nothing_to_look_for(run) {
        return Ok(outcome);
    }
    let searched = history::in_history(run.context, &path, run.sought.matchers.clone())?;
    if searched.found.is_empty() {
        return Ok(Outcome::Done(vec![looked_at(&path, "the history of", &searched.statistics)]));
    }
    Ok(Outcome::failed(
        format!("the history of {} holds it in {}", path.display(), places(&searched)),
        "strongroom purge takes values out of a history; then run this again",
    ))
}

pub fn rescan(run: &mut Run<'_>) -> Result<Outcome, Failure> {
    if let Some(outcome) = nothing_to_look_for(run) {
        return Ok(outcome);
    }
    let mut left = Vec::new();
    let repositories: Vec<PathBuf> =
        run.repository.iter().chain(&run.args.also).cloned().chain(origin(run)).collect();
    if repositories.is_empty() {
        return Ok(Outcome::failed(
            "there is no repository to look at",
            "--repository FOLDER, or --also FOLDER",
        ));
    }
    for path in repositories {
        let searched = history::in_history(run.context, &path, run.sought.matchers.clone())?;
        match searched.found.is_empty() {
            true => {
                let shown = looked_at(&path, "the history of", &searched.statistics);
                run.progress(StepKind::Rescan, shown)?;
            }
            false => left.push(format!("the history of {} in {}", path.display(), places(&searched))),
        }
    }
    if let Some(tree) = run.repository.as_deref().and_then(work_tree) {
        let searched = history::in_files(run.context, &tree, run.sought.matchers.clone())?;
        match searched.found.is_empty() {
            true => {
                let shown = looked_at(&tree, "the files of", &searched.statistics);
                run.progress(StepKind::Rescan, shown)?;
            }
            false => left.push(format!("the files of {} in {}", tree.display(), places(&searched))),
        }
    }
    match left.is_empty() {
        true => Ok(Outcome::Done(Vec::new())),
        false => Ok(Outcome::failed(
            format!("the value is still in {}", left.join("; ")),
            "strongroom purge takes it out of a history; force-push what was rewritten, and run this again",
        )),
    }
}

/// A proof that looked for nothing would be none.
fn nothing_to_look_for(run: &Run<'_>) -> Option<Outcome> {
    if run.sought.matchers.is_empty() {
        let mut why = "there is no value to look for".to_owned();
        for missing in &run.sought.missing {
            why = format!("{why}; {missing}");
        }
        return Some(Outcome::failed(
            why,
            "give it on standard input: strongroom incident run ID --yes --value -",
        ));
    }
    let missing = run.sought.missing.join("; ");
    (!missing.is_empty()).then(|| {
        Outcome::failed(
            format!("not all that got out can be looked for: {missing}"),
            "give the value on standard input: strongroom incident run ID --yes --value -",
        )
    })
}

fn looked_at(path: &Path, what: &str, statistics: &Statistics) -> Evidence {
    let Statistics { texts, commits, .. } = statistics;
    let mut text = match commits {
        0 => format!("{texts} texts, and it is in none"),
        _ => format!("{texts} texts in {commits} commits, unreachable ones too, and it is in none"),
    };
    let skipped: u64 = statistics.skipped_counts().values().sum();
    if skipped > 0 {
        text.push_str(&format!("; {skipped} could not be looked at"));
    }
    if statistics.shallow_commits > 0 {
        text.push_str("; older commits are not in this shallow clone");
    }
    evidence(&format!("{what} {}", path.display()), &text)
}

fn places(searched: &Searched) -> String {
    let mut named: Vec<String> = searched.found.iter().take(NAMED_MAX).map(show::sighting).collect();
    let more = searched.found.len().saturating_sub(NAMED_MAX) as u64 + searched.omitted;
    if more > 0 {
        named.push(format!("{more} more places"));
    }
    named.join("; ")
}

/// Where the repository was pushed to, if that is a folder of this machine.
fn origin(run: &Run<'_>) -> Option<PathBuf> {
    let path = run.repository.as_deref()?;
    let repository =
        Repository::discover(path, &ObjectDirectories::default(), &mut Statistics::default()).ok()?;
    let remote = repository.remote?;
    let remote = remote.strip_prefix("file://").unwrap_or(&remote);
    let folder = repository.work_tree.unwrap_or(repository.git_dir).join(remote);
    (!remote.contains("://") && folder.is_dir()).then_some(folder)
}

fn work_tree(path: &Path) -> Option<PathBuf> {
    let repository =
        Repository::discover(path, &ObjectDirectories::default(), &mut Statistics::default()).ok()?;
    repository.work_tree
}
