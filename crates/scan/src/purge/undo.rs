//! Back to the state before a purge, and the end of what keeps that state.

use super::backup::{put_back, runs};
use super::cleaning;
use super::error::Error;
use super::files::OnePurge;
use super::preflight::check_changeable;
use super::references::{Moved, References};
use super::settle;
use crate::git::database::{Database, Reader};
use crate::git::objects;
use crate::git::repository::{ObjectDirectories, Repository, small_file};
use crate::located::Statistics;
use gix_hash::ObjectId;
use gix_object::Kind;
use std::fs;
use std::path::{Path, PathBuf};

/// What an undoing did.
#[derive(Debug, Clone)]
pub struct Undone {
    pub backup: PathBuf,
    pub references: Vec<Moved>,
}

/// The runs that have a backup, the oldest first.
pub fn backups(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let repository = open(path)?;
    let entries = fs::read_dir(runs(&repository.common_dir)).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|run| run.join("backup.git").is_dir()).collect();
    found.sort();
    Ok(found)
}

/// Removes a backup, and with it the last copy of what was purged.
pub fn remove_backup(run: &Path) -> Result<(), Error> {
    let backup = run.join("backup.git");
    fs::remove_dir_all(&backup).map_err(|source| Error::write(&backup, source))
}

/// Puts the state before a run back: objects, all references, HEADs, the stash, what is checked out.
pub fn undo(path: &Path, run: &Path) -> Result<Undone, Error> {
    let repository = open(path)?;
    let _one = OnePurge::begin(&repository.common_dir)?;
    settle::resume_check_out(&repository)?;
    cleaning::resume(&repository)?;
    check_changeable(&repository)?;
    let backup = run.join("backup.git");
    let kept =
        Repository::open(backup.clone(), None, &ObjectDirectories::default(), &mut Statistics::default())?;
    let before = References::read(&kept)?;
    let now = References::read(&repository)?;
    put_back(&backup, &repository.common_dir)?;
    let mut target = before;
    target.ids.retain(|name, _| !name.starts_with(b"refs/strongroom/"));
    target.detached = now.detached.clone();
    let head = small_file(&backup.join("HEAD")).unwrap_or_default();
    if let Ok(id) = ObjectId::from_hex(head.trim_ascii()) {
        target.detached.insert(repository.common_dir.join("HEAD"), id);
    }
    let database = Database::open(&repository, &mut Statistics::default());
    let mut reader = Reader::new(super::find::OBJECT_BYTES_MAX);
    let mut peel = |id: &ObjectId| {
        let mut id = *id;
        for depth in 0..16 {
            let (kind, content) = database.load_id(&id, &mut reader).ok()?;
            if kind != Kind::Tag {
                return (depth > 0).then_some(id);
            }
            id = objects::tagged(&content, database.hash)?;
        }
        None
    };
    let references = now.moved(&target);
    settle::begin_check_out(&repository)?;
    now.replace_by(&target, &repository, &mut peel)?;
    settle::end_check_out(&repository)?;
    Ok(Undone { backup, references })
}

fn open(path: &Path) -> Result<Repository, Error> {
    Ok(Repository::discover(path, &ObjectDirectories::default(), &mut Statistics::default())?)
}
