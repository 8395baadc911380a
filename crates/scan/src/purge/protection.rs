//! Files that stay as they are because a revision has them: the BFG's rule for HEAD.

use super::error::Error;
use super::references::References;
use super::rewriting::Rewriting;
use crate::git::database::{Database, Reader};
use crate::git::objects::{self, EntryKind};
use crate::git::repository::{Repository, small_file};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::HashSet;

/// The blobs of all files of revisions: names of references, HEAD, whole ids.
pub(super) fn protected(
    revisions: &[String],
    references: &References,
    repository: &Repository,
    database: &Database,
) -> Result<HashSet<ObjectId>, Error> {
    let mut blobs = HashSet::new();
    let mut reader = Reader::new(super::find::OBJECT_BYTES_MAX);
    for revision in revisions {
        let found = resolve(revision, references, repository);
        // A repository without a commit has no HEAD to protect.
        let Some(mut id) = found else {
            if revision == "HEAD" {
                continue;
            }
            return Err(Error::refused(
                format!("{revision:?} names no revision that could be protected"),
                "",
            ));
        };
        const STEPS_MAX: usize = 16;
        for _ in 0..STEPS_MAX {
            let (kind, content) =
                database.load_id(&id, &mut reader).map_err(|error| Error::object(&id, error))?;
            id = match kind {
                Kind::Tag => objects::tagged(&content, database.hash).unwrap_or(id),
                Kind::Commit => objects::links(&content, database.hash).map_or(id, |links| links.tree),
                Kind::Tree => {
                    gather(&id, database, &mut reader, &mut HashSet::new(), &mut blobs)?;
                    break;
                }
                Kind::Blob => break,
            };
        }
    }
    Ok(blobs)
}

/// Protected blobs that hold what is to be purged.
pub(super) fn told(rewriting: &Rewriting<'_>) -> Vec<String> {
    let dirty = rewriting.protected.iter().filter(|id| rewriting.targets.get(id.as_bytes()).is_some());
    let mut ids: Vec<String> = dirty.map(ObjectId::to_string).collect();
    ids.sort();
    ids
}

fn resolve(revision: &str, references: &References, repository: &Repository) -> Option<ObjectId> {
    if revision == "HEAD" {
        let text = small_file(&repository.git_dir.join("HEAD")).ok()?;
        let text = text.trim_ascii();
        return match text.strip_prefix(b"ref:") {
            Some(name) => references.ids.get(name.trim_ascii()).copied(),
            None => ObjectId::from_hex(text).ok(),
        };
    }
    let names = ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];
    let by_name =
        names.iter().find_map(|prefix| references.ids.get(format!("{prefix}{revision}").as_bytes()));
    by_name.copied().or_else(|| ObjectId::from_hex(revision.as_bytes()).ok())
}

fn gather(
    tree: &ObjectId,
    database: &Database,
    reader: &mut Reader,
    seen: &mut HashSet<ObjectId>,
    blobs: &mut HashSet<ObjectId>,
) -> Result<(), Error> {
    if tree.is_empty_tree() || !seen.insert(*tree) {
        return Ok(());
    }
    let (_, content) = database.load_id(tree, reader).map_err(|error| Error::object(tree, error))?;
    for entry in objects::entries(&content, database.hash) {
        match entry.kind {
            EntryKind::Tree => gather(&entry.id, database, reader, seen, blobs)?,
            EntryKind::Blob | EntryKind::Link => {
                blobs.insert(entry.id);
            }
            EntryKind::Submodule => {}
        }
    }
    Ok(())
}
