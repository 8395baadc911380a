//! Since when a value could have been read: the commits that brought it in, and where they were pushed to.

use super::subject::Subject;
use crate::commands::scan::progress::ProgressLine;
use crate::commands::scan::sources::{files_failure, git_failure, threads};
use crate::context::Context;
use crate::failure::Failure;
use crate::system::{SystemClock, SystemEntropy};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use strongroom_detect::known::{Builder, Matcher, RULE_ID};
use strongroom_detect::{Detector, InlineIgnores, Options, RuleSet};
use strongroom_kernel::incident::Sighting;
use strongroom_scan::git::{self, GitOptions, ObjectDirectories, Repository};
use strongroom_scan::{FilesOptions, Located, Origin, Statistics, Watch, scan_files};
use strongroom_secret::{SecretBytes, Timestamp};

/// More places are counted and not kept.
const SIGHTINGS_MAX: usize = 200;

/// What a search came to.
pub struct Searched {
    pub found: Vec<Sighting>,
    /// What stands there: as long as it is to be taken out.
    pub values: Vec<SecretBytes>,
    pub omitted: u64,
    pub statistics: Statistics,
}

/// Values made ready to be searched for. Those that are too short are named.
pub fn matcher(values: &[(String, SecretBytes)]) -> (Matcher, Vec<String>) {
    let mut builder = Builder::for_search(&SystemEntropy);
    let mut left_out = Vec::new();
    for (name, value) in values {
        if builder.add(name, None, "", value).is_err() {
            left_out.push(name.clone());
        }
    }
    (Matcher::new(builder.build()), left_out)
}

/// Looks for the subject's values in the history of a repository, and notes what it finds.
pub fn search(context: &Context, path: &Path, subject: &mut Subject) -> Result<(), Failure> {
    let (matcher, left_out) = matcher(&subject.values);
    for name in left_out {
        subject.unknown(format!("where {name} is: it is too short to be told from chance"));
    }
    if matcher.secrets().is_empty() {
        return Ok(());
    }
    let searched = in_history(context, path, vec![Arc::new(matcher)])?;
    if searched.omitted > 0 {
        subject.unknown(format!("{} more places in the history", searched.omitted));
    }
    if searched.statistics.shallow_commits > 0 {
        subject.unknown("what is in the history before this shallow clone begins");
    }
    if searched.found.is_empty() {
        let commits = searched.statistics.commits;
        subject.unknown(format!("how it got out: no object of this repository ({commits} commits) holds it"));
    }
    subject.facts.findings.extend(searched.found);
    Ok(())
}

/// Every object of a repository.
pub fn in_history(context: &Context, path: &Path, matchers: Vec<Arc<Matcher>>) -> Result<Searched, Failure> {
    let mut searched = perform(context, matchers, &mut |detector, watch, sink| {
        let options = GitOptions { threads: threads(), ..GitOptions::default() };
        git::scan_history(path, detector, &options, watch, sink).map_err(git_failure)
    })?;
    locate(path, &mut searched.found)?;
    Ok(searched)
}

/// The files of a folder.
pub fn in_files(context: &Context, path: &Path, matchers: Vec<Arc<Matcher>>) -> Result<Searched, Failure> {
    let roots = [path.to_owned()];
    perform(context, matchers, &mut |detector, watch, sink| {
        scan_files(detector, &roots, &FilesOptions::default(), watch, sink).map_err(files_failure)
    })
}

type Scan<'s> =
    &'s mut dyn FnMut(&Detector, Watch<'_>, strongroom_scan::Sink<'_>) -> Result<Statistics, Failure>;

fn perform(context: &Context, known: Vec<Arc<Matcher>>, scan: Scan<'_>) -> Result<Searched, Failure> {
    // No other rules: what is looked for is known.
    let options = Options { known, inline_ignores: InlineIgnores::Disregarded, ..Options::native() };
    let detector = Detector::new(RuleSet::default(), options);
    let clock = SystemClock::new();
    let progress = ProgressLine::new(&clock, !context.project().quiet);
    let show = |now| progress.show(now);
    let watch = Watch { progress: Some(&show), cancelled: None };
    let (mut found, mut values, mut omitted) = (Vec::new(), Vec::new(), 0);
    let statistics = scan(&detector, watch, &mut |located| {
        let value = SecretBytes::new(located.finding.secret.expose().to_vec());
        if values.len() < SIGHTINGS_MAX && !values.contains(&value) {
            values.push(value);
        }
        match found.len() < SIGHTINGS_MAX {
            true => found.push(sighting(&located)),
            false => omitted += 1,
        }
        ControlFlow::Continue(())
    })?;
    drop(progress);
    found.sort_by(|a: &Sighting, b| (a.date, &a.path, a.line).cmp(&(b.date, &b.path, b.line)));
    Ok(Searched { found, values, omitted, statistics })
}

fn sighting(located: &Located) -> Sighting {
    let commit = located.commit.as_deref();
    Sighting {
        path: located.path.clone(),
        line: located.finding.place.start_line,
        rule: RULE_ID.to_owned(),
        fingerprint: located.fingerprint(RULE_ID),
        commit: located.commit_id().to_owned(),
        author: commit.map(|commit| format!("{} <{}>", commit.author, commit.email)).unwrap_or_default(),
        date: commit.map(|commit| Timestamp::from_seconds(commit.seconds)),
        origin: origin(located.origin).to_owned(),
        object: located.object.clone(),
        ..Sighting::default()
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "file",
        Origin::Stream => "stream",
        Origin::History => "history",
        Origin::Reflog => "reflog",
        Origin::Unreachable => "unreachable",
        Origin::CommitMessage => "commit message",
        Origin::TagMessage => "tag message",
        Origin::Staged => "staged",
        Origin::WorkingTree => "working tree",
    }
}

/// From which branches, tags and remotes the commits can be reached.
pub fn locate(path: &Path, found: &mut [Sighting]) -> Result<(), Failure> {
    let mut commits: Vec<String> = found.iter().map(|seen| seen.commit.clone()).collect();
    commits.retain(|commit| !commit.is_empty());
    commits.sort();
    commits.dedup();
    if commits.is_empty() {
        return Ok(());
    }
    let names = git::references_containing(path, &commits, Watch::default()).map_err(git_failure)?;
    for seen in found {
        let names = names.get(&seen.commit).map(Vec::as_slice).unwrap_or_default();
        let is_remote = |name: &&String| name.starts_with("refs/remotes/");
        let short = |name: &String| {
            let prefixes = ["refs/remotes/", "refs/heads/", "refs/"];
            prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
        };
        seen.remotes = names.iter().filter(is_remote).map(short).collect();
        seen.refs = names.iter().filter(|name| !is_remote(name)).map(short).collect();
    }
    Ok(())
}

/// The repository that is meant: the one that is named, or the one that we are in.
pub fn repository(named: Option<&Path>) -> Option<PathBuf> {
    let path = named.unwrap_or(Path::new("."));
    let found = Repository::discover(path, &ObjectDirectories::default(), &mut Statistics::default());
    // Whole: it stands in reports, which are read elsewhere.
    (named.is_some() || found.is_ok()).then(|| path.canonicalize().unwrap_or_else(|_| path.to_owned()))
}
