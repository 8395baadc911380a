//! Notes (git-notes(1)): trees whose paths are the ids of what the notes are about. Where those change, the paths do.

use super::commits::Committer;
use super::error::Error;
use super::pack_writer::id_of;
use super::rewriting::{Outcome, Rewriting};
use super::trees::Worker;
use crate::git::database::Reader;
use gix_hash::ObjectId;
use gix_object::{Kind, TreeRefIter};
use std::collections::BTreeMap;

/// A folder of notes as it will be.
#[derive(Debug, Default)]
struct Folder {
    folders: BTreeMap<Vec<u8>, Folder>,
    files: BTreeMap<Vec<u8>, (Vec<u8>, ObjectId)>,
}

/// Rewrites trees of notes.
pub(super) struct Notes<'a, 'b> {
    pub(super) rewriting: &'b Rewriting<'a>,
    pub(super) reader: &'b mut Reader,
    pub(super) worker: &'b mut Worker<'a>,
    pub(super) renamed: u64,
}

const DEPTH_MAX: usize = 64;

impl Notes<'_, '_> {
    /// What becomes of a tree of notes. `new_of` gives the new id of what a note is about.
    pub(super) fn tree(
        &mut self,
        id: &ObjectId,
        new_of: &dyn Fn(&ObjectId) -> Option<ObjectId>,
    ) -> Result<Outcome, Error> {
        let mut folder = Folder::default();
        let mut path = Vec::new();
        let mut trees = Vec::new();
        let changed = self.gather(id, &mut path, new_of, &mut folder, &mut trees)?;
        if !changed {
            trees.iter().for_each(|id| self.rewriting.keep_if_here(id));
            return Ok(Outcome::Same);
        }
        Ok(Outcome::New(self.write(&folder)?))
    }

    fn gather(
        &mut self,
        id: &ObjectId,
        path: &mut Vec<Vec<u8>>,
        new_of: &dyn Fn(&ObjectId) -> Option<ObjectId>,
        folder: &mut Folder,
        trees: &mut Vec<ObjectId>,
    ) -> Result<bool, Error> {
        trees.push(*id);
        let (kind, content) =
            self.rewriting.database.load_id(id, self.reader).map_err(|error| Error::object(id, error))?;
        if kind != Kind::Tree || path.len() > DEPTH_MAX {
            return Err(Error::object(id, "it is no tree of notes"));
        }
        let mut changed = false;
        for entry in TreeRefIter::from_bytes(&content, self.rewriting.output.hash) {
            let entry = entry.map_err(|_| Error::object(id, "the tree is damaged"))?;
            path.push(entry.filename.to_vec());
            if entry.mode.is_tree() {
                changed |= self.gather(&entry.oid.to_owned(), path, new_of, folder, trees)?;
            } else {
                let outcome = self.worker.lone_blob(&entry.oid.to_owned())?;
                let about = ObjectId::from_hex(&path.concat()).ok().and_then(|about| new_of(&about));
                self.renamed += u64::from(about.is_some());
                changed |= outcome != Outcome::Same || about.is_some();
                let target = match outcome {
                    Outcome::Same => Some(entry.oid.to_owned()),
                    Outcome::New(id) => Some(id),
                    Outcome::Gone => None,
                };
                let mode = format!("{:o}", entry.mode.value()).into_bytes();
                if let Some(target) = target {
                    put(folder, &renamed(path, about), (mode, target));
                }
            }
            path.pop();
        }
        Ok(changed)
    }

    fn write(&mut self, folder: &Folder) -> Result<ObjectId, Error> {
        let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let entry =
            |mode: &[u8], name: &[u8], id: &ObjectId| [mode, b" ", name, b"\0", id.as_bytes()].concat();
        for (name, inner) in &folder.folders {
            let id = self.write(inner)?;
            entries.push(([name.as_slice(), b"/"].concat(), entry(b"40000", name, &id)));
        }
        for (name, (mode, id)) in &folder.files {
            entries.push((name.clone(), entry(mode, name, id)));
        }
        entries.sort();
        let content: Vec<u8> = entries.into_iter().flat_map(|(_, bytes)| bytes).collect();
        let id = id_of(self.rewriting.output.hash, Kind::Tree, &content);
        self.rewriting.output.write(id, Kind::Tree, &content, None, &mut self.worker.compressor)?;
        Ok(id)
    }
}

/// The new id in as many folders as the old one was in.
fn renamed(path: &[Vec<u8>], about: Option<ObjectId>) -> Vec<Vec<u8>> {
    let Some(about) = about else { return path.to_vec() };
    let hex = about.to_string().into_bytes();
    let mut rest = hex.as_slice();
    let mut parts = Vec::new();
    for part in path {
        let (head, after) = rest.split_at_checked(part.len()).unwrap_or((rest, &[]));
        parts.push(head.to_vec());
        rest = after;
    }
    parts
}

fn put(folder: &mut Folder, path: &[Vec<u8>], file: (Vec<u8>, ObjectId)) {
    match path {
        [name] => {
            folder.files.insert(name.clone(), file);
        }
        [name, rest @ ..] => put(folder.folders.entry(name.clone()).or_default(), rest, file),
        [] => {}
    }
}

/// Rewrites a history of notes, after the commits that they are about.
pub(super) fn rewrite<'a>(
    committer: &mut Committer<'_>,
    order: &[super::graph::Index],
    rewriting: &Rewriting<'a>,
    worker: &mut Worker<'a>,
    watch: crate::located::Watch<'_>,
) -> Result<u64, Error> {
    let map: std::collections::HashMap<ObjectId, ObjectId> =
        committer.map().into_iter().filter_map(|(old, new)| Some((old, new?))).collect();
    let mut reader = Reader::new(super::find::OBJECT_BYTES_MAX);
    let mut renamed = 0;
    committer.commits(order, watch, &mut |tree| {
        let mut notes = Notes { rewriting, reader: &mut reader, worker, renamed: 0 };
        let outcome = notes.tree(tree, &|id| map.get(id).copied())?;
        renamed += notes.renamed;
        Ok(outcome)
    })?;
    Ok(renamed)
}
