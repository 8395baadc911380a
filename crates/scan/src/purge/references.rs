//! References as they are written (gitrepository-layout(5), git-pack-refs(1)), and how they all move at once.
//!
//! All references are packed first, which changes nothing; then one new `packed-refs` takes the place of the old one: a
//! renamed file is there or it is not. gix-ref moves loose references one by one, each by a file of its own, and an
//! interruption between two of them would leave a history of which half is old.

use super::error::Error;
use super::files::{self, Locks};
use crate::git::repository::{Repository, small_file};
use gix_hash::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// All references of a repository at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct References {
    /// By whole name. Symbolic ones are not among them: they lead to others.
    pub(super) ids: BTreeMap<Vec<u8>, ObjectId>,
    /// Those of them that have a file.
    loose: BTreeSet<Vec<u8>>,
    /// HEADs that lead to a commit and no branch, by their files.
    pub(super) detached: BTreeMap<PathBuf, ObjectId>,
    /// What the peeled lines of packed-refs say, by the id of the tag.
    peeled: BTreeMap<ObjectId, ObjectId>,
}

/// A reference that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub name: String,
    pub old: String,
    /// Nothing if there is nothing left that it could lead to.
    pub new: Option<String>,
}

const REFERENCES_MAX: usize = 5_000_000;
const PACKED_BYTES_MAX: u64 = 1 << 30;
/// References of one worktree alone are not packed.
const OWN: [&[u8]; 3] = [b"refs/bisect/", b"refs/worktree/", b"refs/rewritten/"];

impl References {
    pub(super) fn read(repository: &Repository) -> Result<Self, Error> {
        let mut references = Self::default();
        let common = &repository.common_dir;
        references.read_packed(&common.join("packed-refs"))?;
        references.read_loose(&common.join("refs"), b"refs", 0)?;
        for folder in git_dirs(repository) {
            let path = folder.join("HEAD");
            let text = small_file(&path).map_err(|source| Error::read(&path, source))?;
            if let Ok(id) = ObjectId::from_hex(text.trim_ascii()) {
                references.detached.insert(path, id);
            }
        }
        Ok(references)
    }

    fn read_packed(&mut self, path: &Path) -> Result<(), Error> {
        let length = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(Error::read(path, source)),
        };
        if length > PACKED_BYTES_MAX {
            return Err(Error::read(path, io::Error::other("it has more than a gigabyte")));
        }
        let text = fs::read(path).map_err(|source| Error::read(path, source))?;
        let mut tag = None;
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(hex) = line.strip_prefix(b"^") {
                let peeled = ObjectId::from_hex(hex.trim_ascii()).ok();
                self.peeled.extend(tag.take().zip(peeled));
                continue;
            }
            let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
            let (hex, name) = line.split_at_checked(space).unwrap_or_default();
            let Ok(id) = ObjectId::from_hex(hex) else { continue };
            self.insert(name.trim_ascii().to_vec(), id)?;
            tag = Some(id);
        }
        Ok(())
    }

    fn insert(&mut self, name: Vec<u8>, id: ObjectId) -> Result<(), Error> {
        if self.ids.len() >= REFERENCES_MAX {
            return Err(Error::refused(format!("there are more than {REFERENCES_MAX} references"), ""));
        }
        self.ids.insert(name, id);
        Ok(())
    }

    fn read_loose(&mut self, folder: &Path, name: &[u8], depth: usize) -> Result<(), Error> {
        const DEPTH_MAX: usize = 64;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(Error::read(folder, source)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| Error::read(folder, source))?;
            let name = [name, b"/", entry.file_name().as_bytes()].concat();
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < DEPTH_MAX {
                    self.read_loose(&path, &name, depth + 1)?;
                }
                continue;
            }
            if name.ends_with(b".lock") || OWN.iter().any(|own| name.starts_with(own)) {
                continue;
            }
            let text = small_file(&path).map_err(|source| Error::read(&path, source))?;
            if let Ok(id) = ObjectId::from_hex(text.trim_ascii()) {
                self.loose.insert(name.clone());
                self.insert(name, id)?;
            }
        }
        Ok(())
    }

    /// Moves all references at once. `peel` says what a tag is of.
    pub(super) fn replace_by(
        &self,
        new: &Self,
        repository: &Repository,
        peel: &mut dyn FnMut(&ObjectId) -> Option<ObjectId>,
    ) -> Result<(), Error> {
        let common = &repository.common_dir;
        let packed = common.join("packed-refs");
        let mut locks = Locks::new(common)?;
        for folder in git_dirs(repository) {
            locks.take(&folder.join("HEAD"))?;
            locks.take(&folder.join("index"))?;
        }
        locks.take(&packed)?;
        for name in &self.loose {
            locks.take(&common.join(files::path_of(name)))?;
        }
        if Self::read(repository)? != *self {
            return Err(Error::refused(
                "somebody else changed references meanwhile: nothing was moved",
                "let nobody commit, fetch or push there, and start again",
            ));
        }
        if !self.loose.is_empty() {
            files::replace(&packed, &self.packed(peel))?;
            for name in &self.loose {
                let path = common.join(files::path_of(name));
                fs::remove_file(&path).map_err(|source| Error::write(&path, source))?;
            }
        }
        files::replace(&packed, &new.packed(peel))?;
        for (path, id) in &new.detached {
            if self.detached.get(path) != Some(id) {
                files::replace(path, format!("{id}\n").as_bytes())?;
            }
        }
        Ok(())
    }

    fn packed(&self, peel: &mut dyn FnMut(&ObjectId) -> Option<ObjectId>) -> Vec<u8> {
        let mut text = b"# pack-refs with: peeled fully-peeled sorted \n".to_vec();
        for (name, id) in &self.ids {
            text.extend_from_slice(format!("{id} ").as_bytes());
            text.extend_from_slice(name);
            text.push(b'\n');
            let peeled = self.peeled.get(id).copied().or_else(|| peel(id));
            if let Some(peeled) = peeled {
                text.extend_from_slice(format!("^{peeled}\n").as_bytes());
            }
        }
        text
    }

    /// What moves, by name.
    pub(super) fn moved(&self, new: &Self) -> Vec<Moved> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut moved = Vec::new();
        for (name, id) in &self.ids {
            let after = new.ids.get(name);
            if after != Some(id) {
                moved.push(Moved {
                    name: text(name),
                    old: id.to_string(),
                    new: after.map(ObjectId::to_string),
                });
            }
        }
        for (path, id) in &self.detached {
            let after = new.detached.get(path);
            if after != Some(id) {
                moved.push(Moved {
                    name: path.display().to_string(),
                    old: id.to_string(),
                    new: after.map(ObjectId::to_string),
                });
            }
        }
        moved
    }
}

/// The folders with a HEAD and an index: the repository's own, and those of its worktrees.
pub(super) fn git_dirs(repository: &Repository) -> Vec<PathBuf> {
    let mut folders = vec![repository.common_dir.clone()];
    if let Ok(entries) = fs::read_dir(repository.common_dir.join("worktrees")) {
        folders
            .extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.join("HEAD").is_file()));
    }
    folders.sort();
    folders
}

/// The files that are checked out for a git folder: nothing for a bare repository, and for worktrees that are gone.
pub(super) fn work_tree_of(repository: &Repository, git_dir: &Path) -> Option<PathBuf> {
    if git_dir == repository.common_dir {
        if git_dir == repository.git_dir {
            return repository.work_tree.clone();
        }
        // Opened from a linked worktree: the main one is the folder around `.git`.
        let is_dot_git = git_dir.file_name().is_some_and(|name| name == ".git");
        return git_dir.parent().filter(|_| is_dot_git).map(Path::to_owned);
    }
    let text = small_file(&git_dir.join("gitdir")).ok()?;
    let dot_git = PathBuf::from(std::ffi::OsString::from_vec(text.trim_ascii().to_vec()));
    dot_git.parent().filter(|folder| folder.join(".git").exists()).map(Path::to_owned)
}
