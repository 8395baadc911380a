//! The steps `purge` and `rescan`: the values go out of the history, and a look at everything shows that they are gone.

use super::history::{self, Searched};
use super::run::{Outcome, Run};
use super::{evidence, show};
use crate::commands::purge::{name_of_run, perform};
use crate::commands::scan::sources::threads;
use crate::failure::Failure;
use std::path::{Path, PathBuf};
use strongroom_kernel::incident::{Evidence, StepKind};
use strongroom_scan::Statistics;
use strongroom_scan::git::{ObjectDirectories, Repository};
use strongroom_scan::purge::{Force, Options, Plan, REPLACEMENT, Removals, Replacements};
use strongroom_secret::SecretBytes;

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
    take_out(run, &path, searched)
}

/// Rewrites the history without what was found, and what else is sought.
fn take_out(run: &mut Run<'_>, path: &Path, searched: Searched) -> Result<Outcome, Failure> {
    let mut replacements = Replacements::default();
    let known = run.sought.values.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in known.chain(searched.values.iter().map(|value| ("what was found", value))) {
        let value = SecretBytes::new(value.expose().trim_ascii().to_vec());
        replacements.add_literal(value, REPLACEMENT, name.to_owned());
    }
    replacements.add_encoded_forms();
    replacements.prepare();
    let plan =
        Plan { replacements, removals: Removals::default(), names: true, messages: true, ..Plan::default() };
    let options = Options {
        dry_run: false,
        force: Force::No,
        threads: threads(),
        name: name_of_run(),
        backup: true,
        clean: true,
    };
    let report = perform(path, &plan, &options, !run.context.project().quiet)?;
    let Some(proof) = report.proof.as_ref().filter(|proof| proof.holds()) else {
        return Ok(Outcome::failed(
            format!("the history of {} was rewritten, and something is left", path.display()),
            "strongroom purge says what; --undo brings the state before back",
        ));
    };
    let mut shown = vec![evidence(
        &format!("the history of {}", path.display()),
        &format!(
            "{} of {} commits and {} blobs rewritten; none of {} objects holds it",
            report.commits_rewritten, report.commits, report.blobs_rewritten, proof.objects
        ),
    )];
    let moved: Vec<&str> = report.references.iter().map(|moved| moved.name.as_str()).collect();
    if !moved.is_empty() {
        let text = format!("{}; everybody who has a clone clones anew", moved.join(", "));
        shown.push(evidence("to be force-pushed", &text));
    }
    if let Some(backup) = &report.backup {
        let text =
            format!("{}: it holds the value; strongroom purge --remove-backups removes it", backup.display());
        shown.push(evidence("backup of the state before", &text));
    }
    Ok(Outcome::Done(shown))
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
    (!remote.contains("://") && folder.is_dir()).then(|| folder.canonicalize().unwrap_or(folder))
}

fn work_tree(path: &Path) -> Option<PathBuf> {
    let repository =
        Repository::discover(path, &ObjectDirectories::default(), &mut Statistics::default()).ok()?;
    repository.work_tree
}
