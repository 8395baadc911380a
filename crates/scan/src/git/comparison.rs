//! What a tree has that none of its parents has.

use super::database::{Database, Reader};
use super::forest;
use super::objects::{self, EntryKind};
use super::paths::PathFilter;
use super::trees::join;
use crate::located::{SkipReason, Statistics};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::BTreeMap;

/// A file that is new, or other than in each parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: String,
    pub(crate) blob: ObjectId,
    /// The file as it was in the parents that have it.
    pub(crate) before: Vec<ObjectId>,
}

#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) changes: Vec<Change>,
    /// Files that are not there any more: one of them may have got another name.
    pub(crate) removed: Vec<ObjectId>,
}

const DEPTH_MAX: usize = 512;
const REMOVED_MAX: usize = 256;

pub(crate) struct Comparer<'a> {
    pub(crate) database: &'a Database,
    pub(crate) reader: &'a mut Reader,
    pub(crate) statistics: &'a mut Statistics,
    pub(crate) paths: &'a PathFilter,
}

type Listing = BTreeMap<Vec<u8>, (EntryKind, ObjectId)>;

impl Comparer<'_> {
    pub(crate) fn compare(&mut self, tree: &ObjectId, parents: &[ObjectId]) -> Changes {
        let mut changes = Changes::default();
        let mut path = String::new();
        if !parents.contains(tree) {
            self.folder(tree, parents, &mut path, 0, &mut changes);
        }
        changes
    }

    fn folder(
        &mut self,
        tree: &ObjectId,
        parents: &[ObjectId],
        path: &mut String,
        depth: usize,
        changes: &mut Changes,
    ) {
        if depth > DEPTH_MAX {
            self.statistics.skip(path.clone(), SkipReason::TooDeep, "a folder");
            return;
        }
        let Some(listing) = self.list(tree, path) else { return };
        let before: Vec<Listing> = parents.iter().filter_map(|parent| self.list(parent, path)).collect();
        let length = path.len();
        for (name, (kind, id)) in &listing {
            let others: Vec<(EntryKind, ObjectId)> =
                before.iter().filter_map(|parent| parent.get(name).copied()).collect();
            if others.iter().any(|(_, other)| other == id) {
                continue;
            }
            join(path, name);
            let of_kind = |wanted: bool| {
                let same = others.iter().filter(move |(kind, _)| (*kind == EntryKind::Tree) == wanted);
                same.map(|(_, id)| *id).collect::<Vec<_>>()
            };
            match kind {
                EntryKind::Tree => self.folder(id, &of_kind(true), path, depth + 1, changes),
                EntryKind::Blob | EntryKind::Link if self.paths.admits(path) => {
                    changes.changes.push(Change { path: path.clone(), blob: *id, before: of_kind(false) });
                }
                _ => {}
            }
            path.truncate(length);
        }
        for (name, (kind, id)) in before.first().into_iter().flatten() {
            if !listing.contains_key(name) {
                self.removed(*kind, id, depth, changes);
            }
        }
    }

    fn removed(&mut self, kind: EntryKind, id: &ObjectId, depth: usize, changes: &mut Changes) {
        if changes.removed.len() >= REMOVED_MAX || depth > DEPTH_MAX {
            return;
        }
        match kind {
            EntryKind::Blob => changes.removed.push(*id),
            EntryKind::Tree => {
                for (kind, id) in self.list(id, "").unwrap_or_default().values() {
                    self.removed(*kind, id, depth + 1, changes);
                }
            }
            EntryKind::Link | EntryKind::Submodule => {}
        }
    }

    fn list(&mut self, tree: &ObjectId, path: &str) -> Option<Listing> {
        match self.database.load_id(tree, self.reader) {
            Ok((Kind::Tree, content)) => {
                let entries = objects::entries(&content, self.database.hash);
                Some(entries.map(|entry| (entry.name.to_vec(), (entry.kind, entry.id))).collect())
            }
            Ok(_) => {
                self.statistics.skip(
                    tree.to_string(),
                    SkipReason::Corrupt,
                    "it is said to be a tree, and is none",
                );
                None
            }
            Err(error) => {
                let detail = format!("the folder {path:?}: {error}");
                self.statistics.skip(tree.to_string(), forest::reason(&error), detail);
                None
            }
        }
    }

    /// All files of a tree, by path.
    pub(crate) fn files(&mut self, tree: &ObjectId) -> BTreeMap<String, ObjectId> {
        let mut files = BTreeMap::new();
        self.gather(tree, &mut String::new(), 0, &mut files);
        files
    }

    fn gather(
        &mut self,
        tree: &ObjectId,
        path: &mut String,
        depth: usize,
        files: &mut BTreeMap<String, ObjectId>,
    ) {
        if depth > DEPTH_MAX {
            return;
        }
        let length = path.len();
        for (name, (kind, id)) in self.list(tree, path).unwrap_or_default() {
            join(path, &name);
            match kind {
                EntryKind::Tree => self.gather(&id, path, depth + 1, files),
                EntryKind::Submodule => {}
                EntryKind::Blob | EntryKind::Link => drop(files.insert(path.clone(), id)),
            }
            path.truncate(length);
        }
    }
}
