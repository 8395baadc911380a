//! `scan dir`: folders and single files, on all cores.

mod walk;

use crate::content::{ContentOptions, Inspector, Opened};
use crate::located::{Located, Origin, Sink, SkipReason, Statistics, Watch};
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use strongroom_detect::Detector;
use thiserror::Error;

/// What belongs to a scan of files.
#[derive(Debug, Clone)]
pub struct FilesOptions {
    pub content: ContentOptions,
    pub links: Links,
    pub gitignore: Gitignore,
    /// `.strongroomignore` and the paths in a `.secretsignore` (ripsecrets).
    pub ignore_files: IgnoreFiles,
    pub git_folders: GitFolders,
    /// Larger files are skipped and counted; 0: none is too large.
    pub file_bytes_max: u64,
    /// 0: as many as the machine has cores.
    pub threads: usize,
}

impl Default for FilesOptions {
    fn default() -> Self {
        Self {
            content: ContentOptions::default(),
            links: Links::Skipped,
            gitignore: Gitignore::Disregarded,
            ignore_files: IgnoreFiles::Honoured,
            git_folders: GitFolders::Skipped,
            file_bytes_max: 0,
            threads: 0,
        }
    }
}

/// What happens to symbolic links below a root. A root that is a link is always followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Skipped,
    /// To files, not to folders: as gitleaks does with `--follow-symlinks`.
    ToFiles,
    Followed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gitignore {
    Disregarded,
    Honoured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreFiles {
    Honoured,
    Disregarded,
}

/// Folders with the name `.git`: a history is scanned by `scan git`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitFolders {
    Skipped,
    LookedAt,
}

/// Why nothing was scanned.
#[derive(Debug, Error)]
pub enum FilesError {
    #[error("{}: {source}", path.display())]
    Root { path: PathBuf, source: io::Error },
}

/// Scans folders and files. Findings come in the order of path and place, whatever the threads did.
pub fn scan_files(
    detector: &Detector,
    roots: &[PathBuf],
    options: &FilesOptions,
    watch: Watch<'_>,
    sink: Sink<'_>,
) -> Result<Statistics, FilesError> {
    let mut statistics = Statistics::default();
    let mut found = Vec::new();
    for root in roots {
        let source = |source| FilesError::Root { path: root.clone(), source };
        let metadata = std::fs::metadata(root).map_err(source)?;
        if metadata.is_dir() {
            let (more, counted) = walk::scan_folder(detector, root, options, watch);
            found.extend(more);
            statistics.add(counted);
        } else {
            let mut inspector = Inspector::new(detector, &options.content, Origin::File);
            inspect_path(&mut inspector, root, metadata.file_type(), options, String::new());
            found.append(&mut inspector.found);
            statistics.add(inspector.statistics);
        }
    }
    hand_over(found, sink, &mut statistics);
    Ok(statistics)
}

fn hand_over(mut found: Vec<Located>, sink: Sink<'_>, statistics: &mut Statistics) {
    found.sort_by(|one, other| {
        let key = |located: &Located| (located.finding.place, located.finding.rule);
        one.path.cmp(&other.path).then_with(|| key(one).cmp(&key(other)))
    });
    for located in found {
        if let ControlFlow::Break(()) = sink(located) {
            statistics.ended_early = true;
            return;
        }
    }
}

/// So many findings wait for a slow reader of them before the scan does.
const WAITING_MAX: usize = 64;

/// Scans a stream as it comes; what is found is handed over, on the thread that called, when its piece has been read.
///
/// The name is a path for the rules and the report; empty for standard input.
pub fn scan_stream(
    detector: &Detector,
    source: &mut (dyn Read + Send),
    name: &str,
    options: &ContentOptions,
    watch: Watch<'_>,
    sink: Sink<'_>,
) -> Statistics {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let looking = scope.spawn(move || {
            let mut inspector = Inspector::new(detector, options, Origin::Stream).handing_over(sender, watch);
            inspector.inspect_outermost(Opened::stream(source), name.to_owned());
            inspector.statistics
        });
        for located in &receiver {
            if sink(located) == ControlFlow::Break(()) {
                break;
            }
        }
        // Whoever sends to a receiver that is gone knows that nobody wants more.
        drop(receiver);
        looking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens a path and looks at it. Only ordinary files are opened: reading a pipe may never end, a device has effects.
fn inspect_path(
    inspector: &mut Inspector<'_>,
    path: &Path,
    kind: std::fs::FileType,
    options: &FilesOptions,
    link_path: String,
) {
    let name = shown_path(path);
    if !kind.is_file() {
        return inspector.skip(&name, SkipReason::Unsupported, "not an ordinary file");
    }
    if inspector.skips_path(&name) {
        return inspector.skip(&name, SkipReason::Allowed, "");
    }
    let opened = File::open(path).and_then(|file| match options.file_bytes_max {
        0 => Ok((file, None)),
        limit => {
            let bytes = file.metadata()?.len();
            Ok((file, (bytes > limit).then_some(bytes)))
        }
    });
    match opened {
        Ok((file, None)) => inspector.inspect_file(&file, name, link_path),
        Ok((_, Some(bytes))) => {
            let detail = format!("{bytes} bytes, more than {}", options.file_bytes_max);
            inspector.skip(&name, SkipReason::TooLarge, &detail);
        }
        Err(error) => inspector.skip_rest(&name, &error),
    }
}

/// A path for people and rules: with `/`, without `./` before it. Bytes that are no UTF-8 become U+FFFD.
pub fn shown_path(path: &Path) -> String {
    let mut text = path.to_string_lossy().into_owned();
    if std::path::MAIN_SEPARATOR == '\\' {
        text = text.replace('\\', "/");
    }
    while let Some(rest) = text.strip_prefix("./") {
        text = rest.trim_start_matches('/').to_owned();
    }
    text
}

#[cfg(test)]
mod tests;
