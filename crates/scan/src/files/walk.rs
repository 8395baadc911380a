use super::{FilesOptions, GitFolders, Gitignore, IgnoreFiles, Links, inspect_path, shown_path};
use crate::content::Inspector;
use crate::located::{Located, Origin, SkipReason, Statistics, Watch};
use ignore::gitignore::{Gitignore as Matcher, GitignoreBuilder};
use ignore::{DirEntry, ParallelVisitor, ParallelVisitorBuilder, WalkBuilder, WalkState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use strongroom_detect::Detector;

/// Patterns of paths, as in a `.gitignore`, that keep files out of a scan.
const IGNORE_FILE: &str = ".strongroomignore";
/// ripsecrets': patterns of paths, and after `[secrets]` values.
pub(crate) const SECRETS_IGNORE_FILE: &str = ".secretsignore";
/// Progress is told every so many files of a thread.
const PROGRESS_FILES: u64 = 64;

/// Looks at everything below a folder. The order of what is found is that of the threads.
pub(super) fn scan_folder(
    detector: &Detector,
    root: &Path,
    options: &FilesOptions,
    watch: Watch<'_>,
) -> (Vec<Located>, Statistics) {
    let shared = Shared {
        detector,
        options,
        watch,
        files: AtomicU64::new(0),
        results: Mutex::new((Vec::new(), Statistics::default())),
    };
    walker(root, options).build_parallel().visit(&mut Builder(&shared));
    let results = shared.results.into_inner();
    let (found, mut statistics) = results.unwrap_or_else(PoisonError::into_inner);
    statistics.ended_early |= watch.is_cancelled();
    watch.tell("files", statistics.texts, statistics.texts);
    (found, statistics)
}

fn walker(root: &Path, options: &FilesOptions) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder.standard_filters(false).require_git(false).follow_links(options.links == Links::Followed);
    builder.threads(match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    });
    if options.gitignore == Gitignore::Honoured {
        builder.git_ignore(true).git_exclude(true).git_global(true).parents(true);
    }
    let mut secrets_ignore = Matcher::empty();
    if options.ignore_files == IgnoreFiles::Honoured {
        builder.add_custom_ignore_filename(IGNORE_FILE).parents(true);
        secrets_ignore = secrets_ignore_paths(root);
    }
    let git_folders = options.git_folders;
    builder.filter_entry(move |entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        let is_git = git_folders == GitFolders::Skipped && is_folder && entry.file_name() == ".git";
        !is_git && !secrets_ignore.matched(entry.path(), is_folder).is_ignore()
    });
    builder
}

/// The part of a `.secretsignore` that names paths. A pattern that is none is left out, as git does.
fn secrets_ignore_paths(root: &Path) -> Matcher {
    let Ok(text) = std::fs::read_to_string(root.join(SECRETS_IGNORE_FILE)) else {
        return Matcher::empty();
    };
    let mut builder = GitignoreBuilder::new(root);
    for line in text.lines().take_while(|line| line.trim_end() != "[secrets]") {
        if builder.add_line(None, line).is_err() {
            continue;
        }
    }
    builder.build().unwrap_or_else(|_| Matcher::empty())
}

/// What the threads have in common.
struct Shared<'a> {
    detector: &'a Detector,
    options: &'a FilesOptions,
    watch: Watch<'a>,
    files: AtomicU64,
    results: Mutex<(Vec<Located>, Statistics)>,
}

/// One thread's part; what it found joins the rest when the thread is done.
struct Visitor<'s, 'a> {
    shared: &'s Shared<'a>,
    inspector: Inspector<'a>,
    files: u64,
}

struct Builder<'s, 'a>(&'s Shared<'a>);

impl<'s, 'a: 's> ParallelVisitorBuilder<'s> for Builder<'s, 'a> {
    fn build(&mut self) -> Box<dyn ParallelVisitor + 's> {
        let inspector = Inspector::new(self.0.detector, &self.0.options.content, Origin::File);
        Box::new(Visitor { shared: self.0, inspector, files: 0 })
    }
}

impl ParallelVisitor for Visitor<'_, '_> {
    fn visit(&mut self, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        if self.shared.watch.is_cancelled() {
            return WalkState::Quit;
        }
        match entry {
            Ok(entry) => self.entry(&entry),
            Err(error) => {
                self.error(&error);
                WalkState::Continue
            }
        }
    }
}

impl Drop for Visitor<'_, '_> {
    fn drop(&mut self) {
        let mut results = self.shared.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.0.append(&mut self.inspector.found);
        results.1.add(std::mem::take(&mut self.inspector.statistics));
    }
}

impl Visitor<'_, '_> {
    fn entry(&mut self, entry: &DirEntry) -> WalkState {
        if let Some(error) = entry.error() {
            self.inspector.skip(&shown_path(entry.path()), SkipReason::Unreadable, &error.to_string());
        }
        let Some(kind) = entry.file_type() else {
            return WalkState::Continue;
        };
        if kind.is_dir() {
            let name = shown_path(entry.path());
            if entry.depth() > 0 && self.inspector.skips_path(&name) {
                self.inspector.skip(&name, SkipReason::Allowed, "");
                return WalkState::Skip;
            }
            return WalkState::Continue;
        }
        let options = self.shared.options;
        if kind.is_symlink() {
            self.link(entry.path());
        } else if entry.path_is_symlink() && options.links == Links::Followed {
            let target = std::fs::canonicalize(entry.path()).unwrap_or_else(|_| entry.path().to_owned());
            let link_path = shown_path(entry.path());
            inspect_path(&mut self.inspector, &target, kind, options, link_path);
        } else {
            inspect_path(&mut self.inspector, entry.path(), kind, options, String::new());
        }
        self.count();
        WalkState::Continue
    }

    /// A link that the walk itself does not follow.
    fn link(&mut self, path: &Path) {
        let name = shown_path(path);
        if self.shared.options.links == Links::Skipped {
            return self.inspector.skip(&name, SkipReason::Link, "");
        }
        let target = link_target(path);
        match std::fs::metadata(&target) {
            Ok(metadata) if metadata.is_file() => {
                inspect_path(&mut self.inspector, &target, metadata.file_type(), self.shared.options, name);
            }
            Ok(_) => self.inspector.skip(&name, SkipReason::Link, "it leads to a folder"),
            Err(error) => self.inspector.skip(&name, SkipReason::Link, &error.to_string()),
        }
    }

    fn error(&mut self, error: &ignore::Error) {
        let (path, detail) = parts(error);
        let name = path.map(|path| shown_path(&path)).unwrap_or_default();
        match error.io_error() {
            Some(error) => self.inspector.skip_rest(&name, error),
            None if is_loop(error) => self.inspector.skip(&name, SkipReason::Link, "it leads in a circle"),
            None => self.inspector.skip(&name, SkipReason::Unreadable, &detail),
        }
    }

    fn count(&mut self) {
        self.files += 1;
        if self.files.is_multiple_of(PROGRESS_FILES) {
            let done = self.shared.files.fetch_add(PROGRESS_FILES, Ordering::Relaxed) + PROGRESS_FILES;
            self.shared.watch.tell("files", done, 0);
        }
    }
}

/// Where a link leads, as a path like its own if its text is one; links to links are resolved whole.
fn link_target(path: &Path) -> PathBuf {
    let resolved = || std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Ok(text) = std::fs::read_link(path) else {
        return resolved();
    };
    let is_plain = text.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let target = path.parent().map_or_else(|| text.clone(), |folder| folder.join(&text));
    if is_plain && !target.is_symlink() { target } else { resolved() }
}

fn parts(error: &ignore::Error) -> (Option<PathBuf>, String) {
    match error {
        ignore::Error::WithPath { path, err } => (Some(path.clone()), err.to_string()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => parts(err),
        ignore::Error::Loop { child, .. } => (Some(child.clone()), String::new()),
        other => (None, other.to_string()),
    }
}

fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => is_loop(err),
        _ => false,
    }
}
