//! Git repositories: every object once, bases whole, deltas by what they insert.

mod changes;
mod commits;
mod comparison;
mod containing;
#[cfg(test)]
mod crafted;
pub(crate) mod database;
pub mod delta;
pub(crate) mod error;
pub(crate) mod forest;
mod history;
mod incremental;
pub(crate) mod inflate;
mod link;
mod look;
pub(crate) mod loose;
pub(crate) mod objects;
mod options;
pub(crate) mod pack;
pub(crate) mod pack_index;
pub mod patch;
mod patches;
mod paths;
mod ranges;
mod rebuild;
mod refs;
mod report;
pub(crate) mod repository;
mod revisions;
mod sightings;
pub mod staging;
pub(crate) mod stored;
pub(crate) mod stream;
mod trees;
mod versions;

pub use containing::references_containing;
pub use error::Error;
pub use gix_hash::{Kind as HashKind, ObjectId};
pub use incremental::Incremental;
pub use link::WebAddress;
pub use options::{GitOptions, Submodules, Unreachable, Verification};
pub use patches::{Patches, scan_patches};
pub use paths::PathFilter;
pub use repository::{ObjectDirectories, Repository};

pub use changes::Compared;

use crate::located::{Sink, SkipReason, Statistics, Watch};
use changes::pushed;
use database::{Database, Reader};
use history::History;
use incremental::{Memory, references_hash};
use ranges::Period;
use refs::Reference;
use report::Reporter;
use revisions::Tips;
use std::ops::ControlFlow;
use std::path::Path;
use strongroom_detect::Detector;

/// Scans the history of the repository that `path` is in.
///
/// Without revisions and dates all objects are scanned, those that nothing leads to as well, and of each secret the
/// oldest commit is reported that holds it, once for each path. With a range or dates the commits in it are scanned, each
/// against its parents.
pub fn scan_history(
    path: &Path,
    detector: &Detector,
    options: &GitOptions,
    watch: Watch<'_>,
    sink: Sink<'_>,
) -> Result<Statistics, Error> {
    let mut statistics = Statistics::default();
    let repository = Repository::discover(path, &options.object_directories, &mut statistics)?;
    scan_repository(&repository, detector, options, watch, sink, &mut statistics)?;
    if options.submodules == Submodules::Entered {
        scan_submodules(&repository, detector, options, watch, sink, &mut statistics)?;
    }
    Ok(statistics)
}

/// Scans the repositories inside, each below its own name.
fn scan_submodules(
    repository: &Repository,
    detector: &Detector,
    options: &GitOptions,
    watch: Watch<'_>,
    sink: Sink<'_>,
    statistics: &mut Statistics,
) -> Result<(), Error> {
    // What is known of, or chosen in, the outer repository says nothing about the inner ones.
    let options = GitOptions {
        incremental: None,
        revisions: Vec::new(),
        object_directories: ObjectDirectories::default(),
        ..options.clone()
    };
    let modules = repository.common_dir.join("modules");
    for git_dir in repository.submodules() {
        if statistics.ended_early || watch.is_cancelled() {
            break;
        }
        let name = git_dir.strip_prefix(&modules).unwrap_or(&git_dir).display().to_string();
        let inner = match Repository::open(git_dir, None, &options.object_directories, statistics) {
            Ok(inner) => inner,
            Err(error) => {
                statistics.skip(name, SkipReason::Submodule, error.to_string());
                continue;
            }
        };
        scan_repository(
            &inner,
            detector,
            &options,
            watch,
            &mut |mut located| {
                located.path = format!("{name}/{}", located.path);
                sink(located)
            },
            statistics,
        )?;
    }
    Ok(())
}

fn scan_repository(
    repository: &Repository,
    detector: &Detector,
    options: &GitOptions,
    watch: Watch<'_>,
    sink: Sink<'_>,
    statistics: &mut Statistics,
) -> Result<(), Error> {
    let database = Database::open(repository, statistics);
    let history = History { repository, database: &database, detector, options, watch };
    let references = refs::references(repository, statistics);
    let mut reader = Reader::new(options.blob_bytes_max);
    let tips = revisions::tips(&history, &references, &mut reader)?;
    let period = Period { since: options.since, until: options.until };
    let flow = if tips.is_open() && period.is_open() {
        scan_objects(&history, &references, &tips, &mut reader, statistics, sink)?
    } else {
        Reporter::new(&history, &mut reader, statistics).report_commits(&tips, period, sink)
    };
    statistics.ended_early |= flow.is_break();
    Ok(())
}

/// Scans all objects, but for those that are known from an earlier scan.
fn scan_objects(
    history: &History<'_>,
    references: &[Reference],
    tips: &Tips,
    reader: &mut Reader,
    statistics: &mut Statistics,
    sink: Sink<'_>,
) -> Result<ControlFlow<()>, Error> {
    let remembered = refs::remembered(history.repository, statistics);
    let incremental = history.options.incremental.as_ref();
    let memory = incremental.map(|incremental| Memory::read(incremental, history)).unwrap_or_default();
    let references = incremental.map(|_| references_hash(references, &remembered)).unwrap_or_default();
    if memory.covers(history, &references) {
        statistics.known_before += u64::from(history.database.count());
        statistics.commits += memory.commits;
        return Ok(Reporter::new(history, reader, statistics).report_places(&memory.places, sink));
    }
    let (mut sightings, looked_at) = history.look_at_all(&memory, statistics);
    history.look_at_holders(&memory.holders, &mut sightings, statistics);
    let attribution = history.attribute(&sightings, tips, &remembered, reader, statistics);
    let mut reporter = Reporter::new(history, reader, statistics);
    let flow = reporter.report(&attribution, sink);
    let places = std::mem::take(&mut reporter.places);
    if let Some(incremental) = incremental
        && flow.is_continue()
        && !statistics.ended_early
    {
        let fingerprint = incremental::fingerprint(incremental, history);
        let memory = Memory::after(fingerprint, references, history, &looked_at, &attribution, places);
        memory.write(&incremental.file)?;
    }
    Ok(flow)
}

/// Scans what would be committed (`Compared::Staged`), or what is changed and not staged.
pub fn scan_uncommitted(
    path: &Path,
    compared: Compared,
    detector: &Detector,
    options: &GitOptions,
    watch: Watch<'_>,
    sink: Sink<'_>,
) -> Result<Statistics, Error> {
    on_repository(path, detector, options, watch, |history, reader, statistics| {
        let references = refs::references(history.repository, statistics);
        let head = refs::head(history.repository, &references);
        Reporter::new(history, reader, statistics).report_uncommitted(compared, head, sink)
    })
}

/// Scans the commits that a push brings. `lines` is what git writes to the standard input of a `pre-push` hook
/// (`local-name local-id remote-name remote-id`) or a `pre-receive` hook (`old-id new-id name`); what references lead to
/// already is not scanned again in a `pre-receive` hook, and what remote-tracking references lead to in a `pre-push` hook.
pub fn scan_push(
    path: &Path,
    lines: &str,
    push: Push,
    detector: &Detector,
    options: &GitOptions,
    watch: Watch<'_>,
    sink: Sink<'_>,
) -> Result<Statistics, Error> {
    on_repository(path, detector, options, watch, |history, reader, statistics| {
        let mut references = refs::references(history.repository, statistics);
        if push == Push::Outgoing {
            references.retain(|reference| reference.name.starts_with("refs/remotes/"));
        }
        let tips = pushed(lines, push, &references)?;
        Ok(Reporter::new(history, reader, statistics).report_commits(&tips, Period::default(), sink))
    })
}

/// Which side of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// A `pre-push` hook, in the repository that is pushed from.
    Outgoing,
    /// A `pre-receive` hook, in the repository that is pushed to.
    Incoming,
}

fn on_repository(
    path: &Path,
    detector: &Detector,
    options: &GitOptions,
    watch: Watch<'_>,
    run: impl FnOnce(&History<'_>, &mut Reader, &mut Statistics) -> Result<ControlFlow<()>, Error>,
) -> Result<Statistics, Error> {
    let mut statistics = Statistics::default();
    let repository = Repository::discover(path, &options.object_directories, &mut statistics)?;
    let database = Database::open(&repository, &mut statistics);
    let history = History { repository: &repository, database: &database, detector, options, watch };
    let mut reader = Reader::new(options.blob_bytes_max);
    let flow = run(&history, &mut reader, &mut statistics)?;
    statistics.ended_early |= flow.is_break();
    Ok(statistics)
}
