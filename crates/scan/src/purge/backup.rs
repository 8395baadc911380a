//! The state before a purge: a bare repository beside the purged one. Its objects are the same files by hard links, so it
//! takes no time and no room; it holds what was purged, and goes when it is not needed any more.

use super::error::Error;
use super::files;
use super::references::References;
use crate::git::HashKind;
use crate::git::repository::Repository;
use gix_hash::ObjectId;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files that say what references do not.
const BESIDE: [&str; 4] = ["HEAD", "shallow", "info/grafts", "logs/refs/stash"];

/// Where runs of a repository keep what they write.
pub(super) fn runs(common: &Path) -> PathBuf {
    common.join("strongroom/purge")
}

/// Makes the backup of a run, and answers where it is.
pub(super) fn make(
    repository: &Repository,
    references: &References,
    more: &[ObjectId],
    run: &Path,
) -> Result<PathBuf, Error> {
    let backup = run.join("backup.git");
    let made = fs::create_dir_all(backup.join("refs"));
    made.map_err(|source| Error::write(&backup, source))?;
    link_all(&repository.common_dir.join("objects"), &backup.join("objects"))?;
    let mut all = references.clone();
    let lone = references.detached.values().chain(more);
    for (number, id) in lone.enumerate() {
        all.ids.insert(format!("refs/strongroom/other/{number}").into_bytes(), *id);
    }
    let mut text = Vec::new();
    for (name, id) in &all.ids {
        text.extend_from_slice(format!("{id} ").as_bytes());
        text.extend_from_slice(name);
        text.push(b'\n');
    }
    files::replace(&backup.join("packed-refs"), &text)?;
    let format = match repository.hash {
        HashKind::Sha256 => {
            "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
        }
        _ => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
    };
    files::replace(&backup.join("config"), format.as_bytes())?;
    copy_beside(&repository.common_dir, &backup)?;
    Ok(backup)
}

fn copy_beside(from: &Path, to: &Path) -> Result<(), Error> {
    for name in BESIDE {
        let target = to.join(name);
        match fs::read(from.join(name)) {
            Ok(content) => {
                if let Some(folder) = target.parent() {
                    fs::create_dir_all(folder).map_err(|source| Error::write(folder, source))?;
                }
                files::replace(&target, &content)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::read(&from.join(name), source)),
        }
    }
    Ok(())
}

/// Puts objects and the files beside references back. References are moved by the caller.
pub(super) fn put_back(backup: &Path, common: &Path) -> Result<(), Error> {
    link_all(&backup.join("objects"), &common.join("objects"))?;
    for name in BESIDE.iter().filter(|name| **name != "HEAD") {
        if !backup.join(name).exists() && common.join(name).exists() {
            fs::remove_file(common.join(name)).map_err(|source| Error::write(&common.join(name), source))?;
        }
    }
    for name in BESIDE.iter().filter(|name| **name != "HEAD" && backup.join(name).exists()) {
        let content =
            fs::read(backup.join(name)).map_err(|source| Error::read(&backup.join(name), source))?;
        files::replace(&common.join(name), &content)?;
    }
    Ok(())
}

/// Links packs, their indexes and loose objects; copies them where that is not possible.
fn link_all(from: &Path, to: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(from).map_err(|source| Error::read(from, source))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_loose = name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_loose || name == "pack" {
            link_folder(&entry.path(), &to.join(&name), if is_loose { &[] } else { &["pack", "idx"] })?;
        }
    }
    Ok(())
}

fn link_folder(from: &Path, to: &Path, ends: &[&str]) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(|source| Error::write(to, source))?;
    let entries = fs::read_dir(from).map_err(|source| Error::read(from, source))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let end = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let is_temporary = entry.file_name().to_string_lossy().starts_with("tmp_");
        if is_temporary || !ends.is_empty() && !ends.contains(&end.as_str()) {
            continue;
        }
        let target = to.join(entry.file_name());
        let linked = match fs::hard_link(&path, &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(error),
            Err(_) => fs::copy(&path, &target).map(drop),
            Ok(()) => Ok(()),
        };
        linked.map_err(|source| Error::write(&target, source))?;
    }
    Ok(())
}
