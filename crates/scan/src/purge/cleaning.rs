//! The end of the old objects.
//!
//! Where the new pack holds all that is led to, the files of what was there before are removed. Elsewhere `git gc` packs anew: it
//! also makes deltas of what lies in files of its own, and knows of everything that can lead to an object.

use super::error::Error;
use super::files;
use super::git_command::git;
use super::references::{git_dirs, work_tree_of};
use crate::git::database::Database;
use crate::git::repository::Repository;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Who packs what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// The new pack holds everything.
    Ours,
    /// `git gc` does it.
    Gits,
    /// The old objects stay.
    None,
}

/// With more loose objects or packs git's search for deltas is worth its time.
const LOOSE_MAX: usize = 256;
const PACKS_MAX: usize = 50;
/// References of one worktree alone: what they lead to is not looked at.
const OWN_REFERENCES: [&str; 3] = ["refs/bisect", "refs/worktree", "refs/rewritten"];

/// Whether the references that are rewritten, and what is checked out of them, are all that can lead to an object.
pub(super) fn is_plain(repository: &Repository, database: &Database) -> bool {
    let few = database.loose.len() <= LOOSE_MAX && database.packs.len() <= PACKS_MAX;
    few && git_dirs(repository).iter().all(|git_dir| {
        let own = OWN_REFERENCES.iter().any(|name| has_files(&git_dir.join(name), 0));
        // The index of a worktree that is gone is not brought to what its branch is now.
        let lone_index = git_dir.join("index").exists() && work_tree_of(repository, git_dir).is_none();
        !own && !lone_index
    })
}

fn has_files(folder: &Path, depth: usize) -> bool {
    const DEPTH_MAX: usize = 16;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        !is_folder || depth >= DEPTH_MAX || has_files(&entry.path(), depth + 1)
    })
}

/// Removes the files of all objects that a database has, but for the new pack, and what is made of packs and commits to find
/// them faster.
pub(super) fn remove_old(
    repository: &Repository,
    database: &Database,
    new_pack: Option<&Path>,
) -> Result<(), Error> {
    let objects = repository.common_dir.join("objects");
    let had_list = objects.join("info/packs").exists() || repository.common_dir.join("info/refs").exists();
    remove_graph(repository)?;
    remove_temporary_files(&objects);
    remove_starting(&objects.join("pack"), "multi-pack-index")?;
    let packs = database.packs.iter().map(|pack| pack.path.as_path());
    let old: Vec<&Path> = packs.filter(|path| Some(*path) != new_pack).collect();
    let list = repository.common_dir.join(REMOVED_PACKS);
    files::replace(
        &list,
        &old.iter().map(|path| path.as_os_str().as_bytes()).collect::<Vec<_>>().join(&b'\n'),
    )?;
    old.iter().try_for_each(|path| remove_pack(path))?;
    remove(&list)?;
    for loose in &database.loose {
        let path = database.loose_path(loose);
        remove(&path)?;
        // A folder in which something else is stays.
        let _ = path.parent().map(fs::remove_dir);
    }
    if had_list {
        git(&repository.common_dir, None, &["update-server-info"])?;
    }
    write_graph(repository)
}

/// Without its index nobody reads a pack: so that goes first.
fn remove_pack(path: &Path) -> Result<(), Error> {
    ["idx", "pack", "rev", "bitmap", "mtimes"].iter().try_for_each(|end| remove(&path.with_extension(end)))
}

/// Which packs are being removed.
const REMOVED_PACKS: &str = "strongroom/purge/removed-packs";

/// Ends what a run that was killed began to clean up: packs that have lost their index, and git's graph of commits.
pub(super) fn resume(repository: &Repository) -> Result<(), Error> {
    let list = repository.common_dir.join(REMOVED_PACKS);
    let text = fs::read(&list).unwrap_or_default();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let pack = files::path_of(line);
        // One that has its index is a pack like others, whoever made it.
        if pack.starts_with(repository.common_dir.join("objects")) && !pack.with_extension("idx").exists() {
            remove_pack(&pack)?;
        }
    }
    remove(&list)?;
    write_graph(repository)
}

/// Where it is noted that the graph of commits is to be written anew.
const GRAPH_WANTED: &str = "strongroom/purge/commit-graph-wanted";

/// Removes git's list of commits with what they lead to, if there is one, and notes that it was there.
fn remove_graph(repository: &Repository) -> Result<(), Error> {
    let info = repository.common_dir.join("objects/info");
    let (graph, graphs) = (info.join("commit-graph"), info.join("commit-graphs"));
    if graph.exists() || graphs.exists() {
        files::replace(&repository.common_dir.join(GRAPH_WANTED), b"")?;
    }
    remove(&graph)?;
    remove_folder(&graphs)
}

/// Writes the graph anew if it is noted that there was one: also for a run that was killed before it could.
fn write_graph(repository: &Repository) -> Result<(), Error> {
    let wanted = repository.common_dir.join(GRAPH_WANTED);
    if !wanted.exists() {
        return Ok(());
    }
    // Left behind by a git that was killed with such a run.
    remove(&repository.common_dir.join("objects/info/commit-graph.lock"))?;
    git(&repository.common_dir, None, &["commit-graph", "write", "--reachable"])?;
    remove(&wanted)
}

/// What git was writing when it was killed, as `git prune` removes it. What cannot be removed is found by the next `git gc`.
fn remove_temporary_files(objects: &Path) {
    let mut folders = vec![objects.to_owned(), objects.join("pack")];
    folders.extend((0..=u8::MAX).map(|first| objects.join(format!("{first:02x}"))));
    for entry in folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
        let is_temporary = entry.file_name().as_encoded_bytes().starts_with(b"tmp_");
        if is_temporary && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn remove_starting(folder: &Path, start: &str) -> Result<(), Error> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(start.as_bytes()))
        .map(|entry| entry.path())
        .collect();
    found.iter().try_for_each(|path| remove(path))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::remove(path, error)),
        _ => Ok(()),
    }
}

fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::remove(path, error)),
        _ => Ok(()),
    }
}

/// Has git pack anew what references lead to, and remove the rest. References are packed and reflogs empty already, and the graph
/// is written afterwards: a gc that is killed leaves no locks of these behind.
pub(super) fn collect(repository: &Repository) -> Result<(), Error> {
    const SETTINGS: [&str; 7] = [
        "gc.worktreePruneExpire=never",
        "gc.bigPackThreshold=0",
        "gc.cruftPacks=false",
        "gc.packRefs=false",
        "gc.reflogExpire=never",
        "gc.reflogExpireUnreachable=never",
        "gc.writeCommitGraph=false",
    ];
    remove_graph(repository)?;
    // What a killed one left behind: git waits for a process that nobody has waited for.
    drop(files::PackingLock::take(&repository.common_dir)?);
    let mut arguments: Vec<&str> = SETTINGS.iter().flat_map(|setting| ["-c", setting]).collect();
    arguments.extend(["gc", "--quiet", "--prune=now"]);
    git(&repository.common_dir, None, &arguments)?;
    write_graph(repository)
}
