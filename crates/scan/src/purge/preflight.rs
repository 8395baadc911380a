//! What has to be so before anything is changed.

use super::error::Error;
use super::files::PackingLock;
use super::git_command::git;
use super::references::{git_dirs, work_tree_of};
use crate::git::repository::Repository;
use std::fs;
use std::path::Path;

/// Whether what can be forced is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// Checks what would make even a look incomplete.
pub(super) fn check_readable(repository: &Repository, force: Force) -> Result<(), Error> {
    if repository.reftable {
        return Err(Error::refused(
            "its references are in the reftable format, which is not read yet",
            "git refs migrate --ref-format=files changes that",
        ));
    }
    if repository.partial {
        return Err(Error::refused(
            "it is a partial clone: objects that are not here may hold what is to be purged",
            "clone it whole: git clone --mirror URL",
        ));
    }
    if !repository.shallow.is_empty() && force == Force::No {
        return Err(Error::unless_forced(
            "it is a shallow clone: what lies before its oldest commits is not here and would stay as it is",
            "git fetch --unshallow gets the rest; --force purges what is here",
        ));
    }
    Ok(())
}

/// Checks what would make changes unsafe or incomplete.
pub(super) fn check_changeable(repository: &Repository) -> Result<(), Error> {
    if repository.object_dirs.len() > 1 {
        return Err(Error::refused(
            "it borrows objects of another repository (objects/info/alternates), which would keep them",
            "git repack -a -d, then remove objects/info/alternates: the repository then has all of its objects",
        ));
    }
    let common = &repository.common_dir;
    check_packs(common)?;
    PackingLock::check(common)?;
    if repository.precious {
        return Err(Error::refused(
            "its settings say that no object may be removed (extensions.preciousObjects)",
            "another repository borrows from it, mostly; if none does: git config --unset extensions.preciousObjects",
        ));
    }
    for git_dir in git_dirs(repository) {
        check_git_dir(repository, &git_dir)?;
    }
    Ok(())
}

/// Git never removes what is in these packs.
fn check_packs(common: &Path) -> Result<(), Error> {
    for path in fs::read_dir(common.join("objects/pack")).into_iter().flatten().flatten() {
        let path = path.path();
        match path.extension().and_then(|end| end.to_str()) {
            Some("keep") => {
                return Err(Error::refused(
                    format!("{} says that a pack is to be kept as it is", path.display()),
                    "remove that file if nothing else needs it",
                ));
            }
            // A copy of a partial clone has them without its settings.
            Some("promisor") => {
                return Err(Error::refused(
                    format!(
                        "{} says that its pack comes from a partial clone, and git keeps all of it",
                        path.display()
                    ),
                    "clone it whole: git clone --mirror URL; or, if git fsck finds nothing missing, remove that file",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_git_dir(repository: &Repository, git_dir: &Path) -> Result<(), Error> {
    const UNDER_WAY: [(&str, &str); 7] = [
        ("MERGE_HEAD", "a merge"),
        ("CHERRY_PICK_HEAD", "a cherry-pick"),
        ("REVERT_HEAD", "a revert"),
        ("rebase-merge", "a rebase"),
        ("rebase-apply", "a rebase or git am"),
        ("BISECT_LOG", "a bisection"),
        ("sequencer", "a sequence of cherry-picks"),
    ];
    if let Some((_, what)) = UNDER_WAY.iter().find(|(name, _)| git_dir.join(name).exists()) {
        return Err(Error::refused(
            format!("{what} is under way in {}", git_dir.display()),
            "finish it or abort it first",
        ));
    }
    for name in ["index.lock", "HEAD.lock", "packed-refs.lock"] {
        let lock = git_dir.join(name);
        if lock.exists() {
            return Err(Error::refused(
                format!("the repository is in use: {} is there", lock.display()),
                "wait until git is done; if no git is running there, a killed one left the file behind: remove it",
            ));
        }
    }
    let Some(work_tree) = work_tree_of(repository, git_dir) else { return Ok(()) };
    let arguments = ["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"];
    let status = git(git_dir, Some(&work_tree), &arguments)?;
    match status.lines().count() {
        0 => Ok(()),
        count => Err(Error::refused(
            format!("{} has {count} changed files that are not committed", work_tree.display()),
            "commit or stash them: a purge checks out what becomes of the branch",
        )),
    }
}
