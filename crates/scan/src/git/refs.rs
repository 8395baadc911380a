use super::repository::{Repository, small_file};
use crate::located::{SkipReason, Statistics};
use gix_hash::ObjectId;
use std::fs;
use std::path::{Path, PathBuf};

/// A name, and the object that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// `HEAD`, `refs/heads/main`, `worktrees/NAME/HEAD`.
    pub(crate) name: String,
    pub(crate) id: ObjectId,
}

const REFERENCES_MAX: usize = 5_000_000;
const FOLDERS_DEPTH_MAX: usize = 64;
const SYMBOLIC_DEPTH_MAX: usize = 5;
/// Names beside HEAD that lead to commits for a while (gitrevisions(7)).
const PASSING: [&str; 7] =
    ["AUTO_MERGE", "BISECT_HEAD", "CHERRY_PICK_HEAD", "FETCH_HEAD", "MERGE_HEAD", "ORIG_HEAD", "REVERT_HEAD"];

/// All references: branches, tags, remotes, notes, stash, replacements, HEAD of each worktree.
pub(crate) fn references(repository: &Repository, statistics: &mut Statistics) -> Vec<Reference> {
    let common = &repository.common_dir;
    if repository.reftable {
        let detail = "reftable is not read: all objects are scanned, and are said to be unreachable";
        statistics.skip(common.join("reftable").display().to_string(), SkipReason::Unsupported, detail);
    }
    let mut found = Vec::new();
    // Loose ones first: they win over packed ones of the same name.
    gather_loose(&common.join("refs"), "refs", 0, &mut found, statistics);
    found.sort();
    let loose_count = found.len();
    for reference in packed(common, statistics) {
        let (loose, _) = found.split_at(loose_count);
        if loose.binary_search_by(|other| other.name.cmp(&reference.name)).is_err()
            && found.len() < REFERENCES_MAX
        {
            found.push(reference);
        }
    }
    let mut heads = vec![("HEAD".to_owned(), common.join("HEAD"))];
    if repository.git_dir != *common {
        heads.push(("HEAD".to_owned(), repository.git_dir.join("HEAD")));
        gather_loose(&repository.git_dir.join("refs"), "worktree/refs", 0, &mut found, statistics);
    }
    for worktree in folders(&common.join("worktrees")) {
        let name = worktree.file_name().unwrap_or_default().to_string_lossy().into_owned();
        heads.push((format!("worktrees/{name}/HEAD"), worktree.join("HEAD")));
        gather_loose(&worktree.join("refs"), &format!("worktrees/{name}/refs"), 0, &mut found, statistics);
    }
    found.sort();
    for (name, path) in heads {
        if let Some(id) = resolve(common, &path, &found, 0) {
            found.push(Reference { name, id });
        }
    }
    found.sort();
    found.dedup();
    found
}

/// What HEAD leads to in the worktree that was opened.
pub(crate) fn head(repository: &Repository, references: &[Reference]) -> Option<ObjectId> {
    resolve(&repository.common_dir, &repository.git_dir.join("HEAD"), references, 0)
}

/// What reflogs and passing names (ORIG_HEAD, …) still lead to.
pub(crate) fn remembered(repository: &Repository, statistics: &mut Statistics) -> Vec<ObjectId> {
    let mut found = Vec::new();
    let mut roots = vec![repository.common_dir.clone(), repository.git_dir.clone()];
    roots.extend(folders(&repository.common_dir.join("worktrees")));
    roots.sort();
    roots.dedup();
    for root in roots {
        gather_reflogs(&root.join("logs"), 0, &mut found, statistics);
        for name in PASSING {
            let text = small_file(&root.join(name)).unwrap_or_default();
            found.extend(text.split(|byte| *byte == b'\n').filter_map(leading_id));
        }
    }
    found.sort_unstable();
    found.dedup();
    found.retain(|id| !id.is_null());
    found
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn gather_loose(
    folder: &Path,
    name: &str,
    depth: usize,
    found: &mut Vec<Reference>,
    statistics: &mut Statistics,
) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            statistics.skip(folder.display().to_string(), SkipReason::Unreadable, error.to_string());
            return;
        }
    };
    for entry in entries.flatten() {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if found.len() >= REFERENCES_MAX || depth > FOLDERS_DEPTH_MAX {
            statistics.skip(name, SkipReason::TooDeep, "more references than are read");
            return;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            gather_loose(&path, &name, depth + 1, found, statistics);
        } else if let Ok(text) = small_file(&path)
            && let Some(id) = leading_id(&text)
        {
            // A symbolic reference leads to one that is found by itself.
            found.push(Reference { name, id });
        }
    }
}

fn packed(common: &Path, statistics: &mut Statistics) -> Vec<Reference> {
    let path = common.join("packed-refs");
    const BYTES_MAX: u64 = 512 << 20;
    match fs::metadata(&path) {
        Err(_) => return Vec::new(),
        Ok(metadata) if metadata.len() > BYTES_MAX => {
            statistics.skip(path.display().to_string(), SkipReason::TooLarge, "");
            return Vec::new();
        }
        Ok(_) => {}
    }
    match fs::read(&path) {
        Ok(text) => packed_lines(&text),
        Err(error) => {
            statistics.skip(path.display().to_string(), SkipReason::Unreadable, error.to_string());
            Vec::new()
        }
    }
}

fn packed_lines(text: &[u8]) -> Vec<Reference> {
    let lines =
        text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#") && !line.starts_with(b"^"));
    let parsed = lines.filter_map(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let (id, name) = line.split_at_checked(space)?;
        let name = String::from_utf8_lossy(name.get(1..)?).trim().to_owned();
        Some(Reference { name, id: ObjectId::from_hex(id).ok()? })
    });
    parsed.take(REFERENCES_MAX).collect()
}

fn resolve(common: &Path, path: &Path, references: &[Reference], depth: usize) -> Option<ObjectId> {
    let text = small_file(path).ok()?;
    if let Some(id) = leading_id(&text) {
        return Some(id);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let name = text.trim().strip_prefix("ref:")?.trim();
    let found = references.iter().find(|reference| reference.name == name).map(|reference| reference.id);
    let plain = !name.split('/').any(|part| part == "..") && !name.starts_with('/');
    found.or_else(|| {
        (plain && depth < SYMBOLIC_DEPTH_MAX)
            .then(|| resolve(common, &common.join(name), references, depth + 1))?
    })
}

/// The id that a line begins with.
fn leading_id(line: &[u8]) -> Option<ObjectId> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    ObjectId::from_hex(line.get(..end)?).ok()
}

fn gather_reflogs(folder: &Path, depth: usize, found: &mut Vec<ObjectId>, statistics: &mut Statistics) {
    const BYTES_MAX: u64 = 256 << 20;
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth < FOLDERS_DEPTH_MAX {
                gather_reflogs(&path, depth + 1, found, statistics);
            }
            continue;
        }
        if entry.metadata().is_ok_and(|metadata| metadata.len() > BYTES_MAX) {
            statistics.skip(path.display().to_string(), SkipReason::TooLarge, "a reflog");
            continue;
        }
        let text = fs::read(&path).unwrap_or_default();
        for line in text.split(|byte| *byte == b'\n') {
            let Some(old) = leading_id(line) else { continue };
            found.push(old);
            let rest = line.get(old.as_bytes().len() * 2 + 1..).unwrap_or_default();
            found.extend(leading_id(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_references_without_peeled_lines() {
        let text = b"# pack-refs with: peeled fully-peeled sorted \n\
            1111111111111111111111111111111111111111 refs/heads/main\n\
            2222222222222222222222222222222222222222 refs/tags/v1\n\
            ^3333333333333333333333333333333333333333\nnonsense\n";
        let names: Vec<String> = packed_lines(text).into_iter().map(|reference| reference.name).collect();
        assert_eq!(names, ["refs/heads/main", "refs/tags/v1"]);
    }
}
