//! What is looked at: files, histories, what is staged, streams, archives.

use super::arguments::{ArchiveArgs, DirArgs, GitArgs, HistoryArgs, HistorySelection, StagedArgs, StdinArgs};
use super::run::{Scope, perform};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::system::SystemClock;
use jiff::civil::{Date, DateTime};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_detect::Detector;
use strongroom_scan::files::{FilesError, Gitignore, Links};
use strongroom_scan::git::{
    self, Compared, GitOptions, Incremental, ObjectDirectories, Repository, Submodules, Unreachable,
};
use strongroom_scan::{
    ArchiveLimits, Binaries, ContentOptions, FilesOptions, Statistics, scan_files, scan_stream,
};
use strongroom_secret::{Clock, parse_duration};

pub fn dir(context: &Context, args: &DirArgs) -> Result<ExitCode, Failure> {
    let here = [PathBuf::from(".")];
    let roots = if args.paths.is_empty() { &here[..] } else { &args.paths };
    let mut options = FilesOptions {
        gitignore: if args.gitignore { Gitignore::Honoured } else { Gitignore::Disregarded },
        links: if args.follow_links { Links::Followed } else { Links::Skipped },
        file_bytes_max: args.max_megabytes.saturating_mul(1_000_000),
        ..FilesOptions::default()
    };
    options.content.archives = archives(args.archive_depth);
    if args.binary {
        options.content.binaries = Binaries::LookedAt;
    }
    let scope = if roots.iter().all(|root| root.is_dir()) { Scope::Everything } else { Scope::Part };
    perform(context, &args.common, root_of(roots), scope, &mut |detector, watch, sink| {
        scan_files(detector, roots, &options, watch, sink).map_err(files_failure)
    })
}

pub fn archive(context: &Context, args: &ArchiveArgs) -> Result<ExitCode, Failure> {
    let mut options = FilesOptions::default();
    options.content.archives = archives(args.archive_depth);
    perform(context, &args.common, Some(Path::new(".")), Scope::Part, &mut |detector, watch, sink| {
        scan_files(detector, &args.paths, &options, watch, sink).map_err(files_failure)
    })
}

pub fn stdin(context: &Context, args: &StdinArgs) -> Result<ExitCode, Failure> {
    let options = ContentOptions::default();
    perform(context, &args.common, Some(Path::new(".")), Scope::Part, &mut |detector, watch, sink| {
        Ok(scan_stream(detector, &mut std::io::stdin(), &args.name, &options, watch, sink))
    })
}

pub fn git(context: &Context, args: &GitArgs) -> Result<ExitCode, Failure> {
    let path = args.path.as_deref().unwrap_or(Path::new("."));
    let options = git_options(&args.history)?;
    let whole = options.revisions.is_empty() && options.since.is_none() && options.paths.is_empty();
    let scope = if whole { Scope::Everything } else { Scope::Part };
    perform(context, &args.common, Some(path), scope, &mut |detector, watch, sink| {
        git::scan_history(path, detector, &options, watch, sink).map_err(git_failure)
    })
}

pub fn history(context: &Context, args: &HistoryArgs) -> Result<ExitCode, Failure> {
    let path = args.path.as_deref().unwrap_or(Path::new("."));
    let mut statistics = Statistics::default();
    let repository =
        Repository::discover(path, &ObjectDirectories::default(), &mut statistics).map_err(git_failure)?;
    let file = args.cache.clone().unwrap_or_else(|| repository.common_dir.join("strongroom/scanned.json"));
    if args.fresh && file.exists() {
        std::fs::remove_file(&file)
            .map_err(|error| Failure::other(format!("{}: {error}", file.display())))?;
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |error| Failure::other(format!("cannot make {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    perform(context, &args.common, Some(path), Scope::Everything, &mut |detector, watch, sink| {
        let incremental = Incremental { file: file.clone(), fingerprint: fingerprint(detector) };
        let options =
            GitOptions { threads: threads(), incremental: Some(incremental), ..GitOptions::default() };
        git::scan_history(path, detector, &options, watch, sink).map_err(git_failure)
    })
}

/// Other rules, or another program, may find something else in what was looked at.
fn fingerprint(detector: &Detector) -> String {
    let mut hasher = DefaultHasher::new();
    // The words of all rules, in order; nothing of it is secret.
    format!("{:?}", detector.rules()).hash(&mut hasher);
    let known = detector.options().known.iter().flat_map(|known| known.secrets());
    known.for_each(|secret| secret.id.hash(&mut hasher));
    format!("{} {:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
}

pub fn staged(context: &Context, args: &StagedArgs) -> Result<ExitCode, Failure> {
    let path = args.path.as_deref().unwrap_or(Path::new("."));
    let compared = if args.unstaged { Compared::WorkingTree } else { Compared::Staged };
    perform(context, &args.common, Some(path), Scope::Part, &mut |detector, watch, sink| {
        git::scan_uncommitted(path, compared, detector, &of_hook(context), watch, sink).map_err(git_failure)
    })
}

/// Where git tells a hook that objects and the index are: a push that is not accepted yet lies in quarantine, and a commit of
/// some files has an index of its own.
pub fn of_hook(context: &Context) -> GitOptions {
    let variable = |name: &str| context.environment.variable(name).map(|value| value.expose().to_owned());
    let alternates = variable("GIT_ALTERNATE_OBJECT_DIRECTORIES").unwrap_or_default();
    GitOptions {
        object_directories: ObjectDirectories {
            objects: variable("GIT_OBJECT_DIRECTORY").map(PathBuf::from),
            alternates: alternates.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect(),
        },
        index_file: variable("GIT_INDEX_FILE").map(PathBuf::from),
        threads: threads(),
        ..GitOptions::default()
    }
}

/// Files of rules and baselines stand in the folder that is scanned; for several, and for single files, in the one we are in.
fn root_of(roots: &[PathBuf]) -> Option<&Path> {
    match roots {
        [only] if only.is_dir() => Some(only),
        _ => Some(Path::new(".")),
    }
}

fn archives(depth: usize) -> ArchiveLimits {
    match depth {
        0 => ArchiveLimits::NONE,
        depth => ArchiveLimits { depth, ..ArchiveLimits::default() },
    }
}

pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn git_options(args: &HistorySelection) -> Result<GitOptions, Failure> {
    let now = SystemClock::new().now().seconds();
    let time = |text: &Option<String>| text.as_deref().map(|text| seconds(text, now)).transpose();
    let mut revisions = args.range.clone();
    revisions.extend(args.branch.iter().cloned());
    Ok(GitOptions {
        revisions,
        since: time(&args.since)?,
        until: time(&args.until)?,
        paths: args.paths.clone(),
        messages: !args.no_messages,
        unreachable: if args.no_unreachable { Unreachable::LeftOut } else { Unreachable::Scanned },
        submodules: if args.submodules { Submodules::Entered } else { Submodules::Named },
        threads: threads(),
        ..GitOptions::default()
    })
}

/// A day, a day with its time, or how long ago.
fn seconds(text: &str, now: i64) -> Result<i64, Failure> {
    if let Ok(ago) = parse_duration(text) {
        return Ok(now.saturating_sub(i64::try_from(ago.as_secs()).unwrap_or(i64::MAX)));
    }
    let utc =
        |time: DateTime| time.to_zoned(jiff::tz::TimeZone::UTC).map(|time| time.timestamp().as_second());
    let parsed = text
        .parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_second)
        .or_else(|_| text.parse::<DateTime>().and_then(utc))
        .or_else(|_| text.parse::<Date>().and_then(|day| utc(day.at(0, 0, 0, 0))));
    parsed.map_err(|_| {
        Failure::usage(format!("{text:?} is no time: write 2026-01-31, 2026-01-31T08:00:00Z, or 30d"))
    })
}

pub fn files_failure(error: FilesError) -> Failure {
    let FilesError::Root { path, source } = &error;
    let failure = Failure::new(Kind::Missing, error.to_string());
    match source.kind() {
        std::io::ErrorKind::NotFound => failure.hint(format!("is {} spelt right?", path.display())),
        _ => failure,
    }
}

pub fn git_failure(error: git::Error) -> Failure {
    let message = error.to_string();
    match error {
        git::Error::NotARepository { .. } => {
            Failure::missing(message).hint("strongroom scan dir looks at the files of a folder")
        }
        git::Error::UnknownRevision { .. } => Failure::usage(message),
        git::Error::Damaged { .. } => Failure::new(Kind::Integrity, message),
        _ => Failure::other(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(seconds("2026-01-31", 0).unwrap(), 1_769_817_600);
        assert_eq!(seconds("2026-01-31T08:00:00Z", 0).unwrap(), 1_769_846_400);
        assert_eq!(seconds("1h", 10_000).unwrap(), 6400);
        assert!(seconds("yesterday", 0).unwrap_err().native_text().contains("2026-01-31"));
    }
}
