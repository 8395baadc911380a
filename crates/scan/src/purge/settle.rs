//! What is around objects and references: the stash, reflogs, boundaries of shallow clones, what is checked out.

use super::error::Error;
use super::files;
use super::git_command::git;
use super::references::{git_dirs, work_tree_of};
use crate::git::repository::{Repository, small_file};
use gix_hash::ObjectId;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Old and new ids, sorted; nothing for what is gone.
pub(super) type Map = [(ObjectId, Option<ObjectId>)];

/// The stash: the reflog of one reference, of which every line is somebody's work.
#[derive(Debug, Default)]
pub(super) struct Stash {
    /// The new id of each line, and what follows it.
    lines: Vec<(ObjectId, Vec<u8>)>,
}

const STASH: &str = "logs/refs/stash";
const REFLOG_BYTES_MAX: u64 = 256 << 20;

impl Stash {
    pub(super) fn read(repository: &Repository) -> Result<Self, Error> {
        let path = repository.common_dir.join(STASH);
        let text = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(metadata) if metadata.len() > REFLOG_BYTES_MAX => {
                return Err(Error::read(&path, io::Error::other("it has more than 256 MiB")));
            }
            _ => fs::read(&path).map_err(|source| Error::read(&path, source))?,
        };
        let digits = repository.hash.len_in_hex();
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let id = ObjectId::from_hex(line.get(digits + 1..2 * digits + 1)?).ok()?;
            Some((id, line.get(2 * digits + 1..)?.to_vec()))
        });
        Ok(Self { lines: lines.collect() })
    }

    pub(super) fn tips(&self) -> impl Iterator<Item = &ObjectId> {
        self.lines.iter().map(|(id, _)| id)
    }

    pub(super) fn moved(&self, map: &Map) -> Self {
        let lines = self.lines.iter().map(|(id, rest)| (new_of(map, id).unwrap_or(*id), rest.clone()));
        Self { lines: lines.collect() }
    }

    /// The text of the reflog, and its lines' messages without values.
    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut before = self.lines.first().map(|(id, _)| ObjectId::null(id.kind()));
        for (id, rest) in &self.lines {
            let old = before.replace(*id).unwrap_or(*id);
            text.extend_from_slice(format!("{old} {id}").as_bytes());
            text.extend_from_slice(rest);
            text.push(b'\n');
        }
        text
    }
}

fn new_of(map: &Map, id: &ObjectId) -> Option<ObjectId> {
    let at = map.binary_search_by(|(old, _)| old.cmp(id)).ok()?;
    map.get(at).and_then(|(_, new)| *new)
}

/// Empties reflogs, which lead to what is old and say how commits began; writes the stash's anew. Removes names that git
/// leaves behind.
pub(super) fn forget(repository: &Repository, stash: &Stash) -> Result<(), Error> {
    let common = &repository.common_dir;
    for git_dir in git_dirs(repository) {
        empty_reflogs(&git_dir.join("logs"), 0)?;
        for name in ["ORIG_HEAD", "FETCH_HEAD", "COMMIT_EDITMSG", "MERGE_MSG", "SQUASH_MSG", "AUTO_MERGE"] {
            match fs::remove_file(git_dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::write(&git_dir.join(name), error));
                }
                _ => {}
            }
        }
    }
    if !stash.lines.is_empty() {
        files::replace(&common.join(STASH), &stash.text())?;
    }
    Ok(())
}

fn empty_reflogs(folder: &Path, depth: usize) -> Result<(), Error> {
    const DEPTH_MAX: usize = 64;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::read(folder, source)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth < DEPTH_MAX {
                empty_reflogs(&path, depth + 1)?;
            }
        } else if !path.ends_with(STASH) {
            fs::write(&path, b"").map_err(|source| Error::write(&path, source))?;
        }
    }
    Ok(())
}

const BOUNDARIES: [&str; 2] = ["shallow", "info/grafts"];

/// The commits that grafts name.
pub(super) fn graft_ids(repository: &Repository) -> Vec<ObjectId> {
    let text = small_file(&repository.common_dir.join("info/grafts")).unwrap_or_default();
    let words = text.split(|byte| byte.is_ascii_whitespace());
    words.filter_map(|word| ObjectId::from_hex(word).ok()).collect()
}

/// Adds the new ids to the old ones in the boundaries of shallow clones and in grafts: both are right while references move.
pub(super) fn widen_boundaries(repository: &Repository, map: &Map) -> Result<(), Error> {
    boundaries(
        repository,
        &|line, new| if new == line { line.to_vec() } else { [line, b"\n", new].concat() },
        map,
    )
}

/// Takes the old ones away.
pub(super) fn narrow_boundaries(repository: &Repository, map: &Map) -> Result<(), Error> {
    boundaries(repository, &|_, new| new.to_vec(), map)
}

fn boundaries(
    repository: &Repository,
    join: &dyn Fn(&[u8], &[u8]) -> Vec<u8>,
    map: &Map,
) -> Result<(), Error> {
    for name in BOUNDARIES {
        let path = repository.common_dir.join(name);
        let Ok(text) = small_file(&path) else { continue };
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut written: Vec<Vec<u8>> = lines.map(|line| join(line, &with_new_ids(line, map))).collect();
        let mut seen = std::collections::HashSet::new();
        written.retain(|line| seen.insert(line.clone()));
        let mut text = written.join(&b'\n');
        text.push(b'\n');
        files::replace(&path, &text)?;
    }
    Ok(())
}

fn with_new_ids(line: &[u8], map: &Map) -> Vec<u8> {
    let words = line.split(|byte| *byte == b' ').map(|word| {
        let new = ObjectId::from_hex(word).ok().and_then(|id| new_of(map, &id));
        new.map_or_else(|| word.to_vec(), |id| id.to_string().into_bytes())
    });
    words.collect::<Vec<_>>().join(&b' ')
}

/// Brings index and files of every worktree to what its HEAD is now.
fn check_out(repository: &Repository) -> Result<(), Error> {
    for git_dir in git_dirs(repository) {
        let Some(work_tree) = work_tree_of(repository, &git_dir) else { continue };
        if git(&git_dir, Some(&work_tree), &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).is_ok() {
            git(&git_dir, Some(&work_tree), &["read-tree", "--reset", "-u", "HEAD"])?;
        }
    }
    Ok(())
}

/// Where it is written down what is checked out while references move.
const UNFINISHED: &str = "strongroom/purge/unfinished";

/// Writes down which commit every worktree shows, for a run that is killed before it could check out the new ones.
pub(super) fn begin_check_out(repository: &Repository) -> Result<(), Error> {
    let mut text = Vec::new();
    for git_dir in git_dirs(repository) {
        let Some(work_tree) = work_tree_of(repository, &git_dir) else { continue };
        let head = git(&git_dir, Some(&work_tree), &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        if let Ok(head) = head {
            text.extend_from_slice(head.trim().as_bytes());
            text.push(b' ');
            text.extend_from_slice(git_dir.as_os_str().as_bytes());
            text.push(b'\n');
        }
    }
    files::replace(&repository.common_dir.join(UNFINISHED), &text)
}

/// Brings every worktree to what its HEAD is now, and notes that this is done.
pub(super) fn end_check_out(repository: &Repository) -> Result<(), Error> {
    check_out(repository)?;
    let path = repository.common_dir.join(UNFINISHED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::write(&path, error)),
        _ => Ok(()),
    }
}

/// Does what a run that was killed left undone. Worktrees that were changed since are not touched.
pub(super) fn resume_check_out(repository: &Repository) -> Result<(), Error> {
    let path = repository.common_dir.join(UNFINISHED);
    let Ok(text) = fs::read(&path) else { return Ok(()) };
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (id, rest) = line.split_at_checked(space).unwrap_or_default();
        let git_dir = files::path_of(rest.get(1..).unwrap_or_default());
        let Some(work_tree) = work_tree_of(repository, &git_dir) else { continue };
        let lock = git_dir.join("index.lock");
        if lock.exists() {
            return Err(Error::refused(
                format!("a purge was ended while it checked out, and {} is there", lock.display()),
                format!("if no git is running there, start again after: rm {}", lock.display()),
            ));
        }
        let id = String::from_utf8_lossy(id).into_owned();
        let at = |arguments: &[&str]| git(&git_dir, Some(&work_tree), arguments).is_ok();
        git(&git_dir, Some(&work_tree), &["update-index", "-q", "--refresh"]).ok();
        let is_as_before =
            at(&["diff-index", "--quiet", "--cached", &id, "--"]) && at(&["diff-files", "--quiet"]);
        let is_as_now = at(&["diff-index", "--quiet", "--cached", "HEAD", "--"]);
        if !is_as_before && !is_as_now {
            return Err(Error::refused(
                format!(
                    "a purge was ended before {} could be checked out anew, and it was changed since",
                    work_tree.display()
                ),
                format!(
                    "save your changes elsewhere, then: git read-tree --reset -u HEAD && rm {}",
                    path.display()
                ),
            ));
        }
    }
    end_check_out(repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_lines() {
        let id = |digit: char| ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap();
        let map = [(id('1'), Some(id('a'))), (id('2'), None)];
        let line = format!("{} {} {}", id('1'), id('2'), id('3'));
        let expected = format!("{} {} {}", id('a'), id('2'), id('3'));
        assert_eq!(with_new_ids(line.as_bytes(), &map), expected.into_bytes());
    }
}
