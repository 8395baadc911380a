//! Commits and tags, rewritten one after the other: parents before children.

use super::error::Error;
use super::find::id_words;
use super::graph::{Graph, Index};
use super::pack_writer::{Compressor, id_of};
use super::rewriting::{Outcome, Rewriting};
use super::trees::Worker;
use crate::git::database::{Number, Reader};
use crate::git::objects;
use crate::located::Watch;
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// What became of commits and tags.
pub(super) struct Rewritten {
    /// By place in the graph; nothing for those that stay.
    commits: Vec<Option<ObjectId>>,
    /// The places that were done: what comes later cannot be named by its new id.
    done: Vec<bool>,
    tags: HashMap<ObjectId, Outcome>,
    pub(super) summary: Summary,
}

/// What is said of commits and tags afterwards.
#[derive(Debug, Default, Clone)]
pub(super) struct Summary {
    pub(super) commits: u64,
    pub(super) commits_rewritten: u64,
    pub(super) messages: u64,
    pub(super) mentions: u64,
    pub(super) signatures: u64,
    pub(super) tags_rewritten: u64,
    pub(super) tag_signatures: u64,
    pub(super) counts: Vec<u64>,
}

/// Rewrites what depends on trees that are done.
pub(super) struct Committer<'a> {
    rewriting: &'a Rewriting<'a>,
    graph: &'a Graph,
    holders: &'a HashSet<Number>,
    reader: Reader,
    pub(super) rewritten: Rewritten,
}

impl<'a> Committer<'a> {
    pub(super) fn new(rewriting: &'a Rewriting<'a>, graph: &'a Graph, holders: &'a HashSet<Number>) -> Self {
        let counts = vec![0; rewriting.plan.replacements.sources().len()];
        let rewritten = Rewritten {
            commits: vec![None; graph.len()],
            done: vec![false; graph.len()],
            tags: HashMap::new(),
            summary: Summary { counts, ..Summary::default() },
        };
        Self { rewriting, graph, holders, reader: Reader::new(super::find::OBJECT_BYTES_MAX), rewritten }
    }

    /// Rewrites commits in their order. `tree_of` says what becomes of a commit's tree. Compressing and writing is done
    /// by a thread of its own.
    pub(super) fn commits(
        &mut self,
        order: &[Index],
        watch: Watch<'_>,
        tree_of: &mut dyn FnMut(&ObjectId) -> Result<Outcome, Error>,
    ) -> Result<(), Error> {
        const WAITING_MAX: usize = 4096;
        let output = self.rewriting.output;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(WAITING_MAX);
            let writer = scope.spawn(move || write_all(output, &receiver));
            let result = self.one_by_one(order, watch, tree_of, &sender);
            drop(sender);
            let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.and(written)
        })
    }

    fn one_by_one(
        &mut self,
        order: &[Index],
        watch: Watch<'_>,
        tree_of: &mut dyn FnMut(&ObjectId) -> Result<Outcome, Error>,
        sender: &SyncSender<(ObjectId, Vec<u8>)>,
    ) -> Result<(), Error> {
        const EVERY: usize = 512;
        for (at, index) in order.iter().enumerate() {
            if at % EVERY == 0 {
                if watch.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                watch.tell("commits", at as u64, order.len() as u64);
            }
            let Some(commit) = self.graph.list.commits.get(*index as usize).copied() else { continue };
            let tree = tree_of(&commit.tree)?;
            let new = self.commit(*index, commit.number, tree)?;
            self.rewritten.summary.commits += 1;
            if let Some((id, content)) = new {
                self.rewritten.summary.commits_rewritten += 1;
                if let Some(slot) = self.rewritten.commits.get_mut(*index as usize) {
                    *slot = Some(id);
                }
                // A writer that is gone has failed, and says so.
                if sender.send((id, content)).is_err() {
                    return Ok(());
                }
            } else {
                self.rewriting.keep(commit.number);
            }
            if let Some(slot) = self.rewritten.done.get_mut(*index as usize) {
                *slot = true;
            }
        }
        Ok(())
    }

    /// The commit as it will be, if it changes.
    fn commit(
        &mut self,
        index: Index,
        number: Number,
        tree: Outcome,
    ) -> Result<Option<(ObjectId, Vec<u8>)>, Error> {
        let parents_change = self.graph.parents(index).any(|parent| self.new_at(parent).is_some());
        let holds = self.rewriting.plan.messages && self.holders.contains(&number);
        let mentions_change = self.graph.mentions(index).any(|word| self.renamed(word).is_some());
        if tree == Outcome::Same && !parents_change && !holds && !mentions_change {
            return Ok(None);
        }
        let id =
            self.rewriting.database.id(number).unwrap_or_else(|| ObjectId::null(self.rewriting.output.hash));
        let loaded = self.rewriting.database.load(number, &mut self.reader);
        let (_, content) = loaded.map_err(|error| Error::object(&id, error))?;
        let (header, message) = objects::halves(&content);
        let message = self.message(message, holds);
        if tree == Outcome::Same && !parents_change && message.is_none() {
            return Ok(None);
        }
        let mut new = Vec::with_capacity(content.len());
        self.header(header, tree, &mut new);
        if content.len() > header.len() {
            new.extend_from_slice(b"\n");
            new.extend_from_slice(message.as_deref().unwrap_or_else(|| objects::halves(&content).1));
        }
        self.rewritten.summary.messages += u64::from(message.is_some());
        let id = id_of(self.rewriting.output.hash, Kind::Commit, &new);
        Ok(Some((id, new)))
    }

    /// Signatures are of what was there before: they go. So do tags that a merge has taken in.
    fn header(&mut self, header: &[u8], tree: Outcome, target: &mut Vec<u8>) {
        let mut leaving_out = false;
        for line in header.split(|byte| *byte == b'\n') {
            if line.first() == Some(&b' ') {
                if !leaving_out {
                    push_line(target, line);
                }
                continue;
            }
            let (field, value) = split_at_space(line);
            leaving_out = matches!(field, b"gpgsig" | b"gpgsig-sha256" | b"mergetag");
            match (field, tree) {
                (b"gpgsig" | b"gpgsig-sha256", _) => self.rewritten.summary.signatures += 1,
                (b"mergetag", _) => {}
                (b"tree", Outcome::New(id)) => push_line(target, format!("tree {id}").as_bytes()),
                (b"parent", _) => {
                    let parent = ObjectId::from_hex(value).ok().and_then(|id| self.new_of(&id));
                    match parent {
                        Some(id) => push_line(target, format!("parent {id}").as_bytes()),
                        None => push_line(target, line),
                    }
                }
                _ => push_line(target, line),
            }
        }
    }

    /// The message without values and with new ids, if it changes.
    fn message(&mut self, message: &[u8], holds: bool) -> Option<Vec<u8>> {
        let counts = &mut self.rewritten.summary.counts;
        let replaced = holds.then(|| self.rewriting.plan.replacements.replace(message, counts)).flatten();
        let current = replaced.as_deref().unwrap_or(message);
        let renamed = self.with_new_ids(current);
        renamed.or(replaced)
    }

    fn with_new_ids(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut renamed: Option<Vec<u8>> = None;
        let base = message.as_ptr() as usize;
        let mut found = 0;
        for word in id_words(message, self.rewriting.output.hash.len_in_hex()) {
            let Some(new) = self.renamed(word) else { continue };
            let hex = new.to_string();
            let at = word.as_ptr() as usize - base;
            let text = renamed.get_or_insert_with(|| message.to_vec());
            if let (Some(slot), Some(new)) =
                (text.get_mut(at..at + word.len()), hex.as_bytes().get(..word.len()))
            {
                slot.copy_from_slice(new);
                found += 1;
            }
        }
        self.rewritten.summary.mentions += found;
        renamed
    }

    /// The new id of the commit that a word names.
    fn renamed(&self, word: &[u8]) -> Option<ObjectId> {
        let index = self.graph.starting_with(word)?;
        self.rewritten.done.get(index as usize).filter(|done| **done)?;
        self.new_at(index)
    }

    fn new_at(&self, index: Index) -> Option<ObjectId> {
        self.rewritten.commits.get(index as usize).copied().flatten()
    }

    /// A commit's old id, if it changed.
    pub(super) fn changed(&self, index: Index) -> Option<ObjectId> {
        self.new_at(index)?;
        self.rewriting.database.id(self.graph.list.commits.get(index as usize)?.number)
    }

    /// A commit's new id, if it changed.
    pub(super) fn new_of(&self, id: &ObjectId) -> Option<ObjectId> {
        self.new_at(self.graph.index_of(id)?)
    }

    /// What becomes of any object that a reference leads to.
    pub(super) fn object(&mut self, id: &ObjectId, worker: &mut Worker<'_>) -> Result<Outcome, Error> {
        if self.graph.index_of(id).is_some() {
            return Ok(self.new_of(id).map_or(Outcome::Same, Outcome::New));
        }
        if let Some(outcome) = self.rewritten.tags.get(id) {
            return Ok(*outcome);
        }
        let Some(number) = self.rewriting.database.find(id) else {
            self.rewriting.miss();
            return Ok(Outcome::Same);
        };
        let (kind, content) = self
            .rewriting
            .database
            .load(number, &mut self.reader)
            .map_err(|error| Error::object(id, error))?;
        match kind {
            Kind::Tag => {
                // A tag that leads to itself ends here.
                self.rewritten.tags.insert(*id, Outcome::Same);
                let outcome = self.tag(&content, self.holders.contains(&number), worker)?;
                if outcome == Outcome::Same {
                    self.rewriting.keep(number);
                }
                self.rewritten.tags.insert(*id, outcome);
                Ok(outcome)
            }
            Kind::Tree => worker.root(id),
            Kind::Blob => worker.lone_blob(id),
            Kind::Commit => Ok(Outcome::Same),
        }
    }

    fn tag(&mut self, content: &[u8], holds: bool, worker: &mut Worker<'_>) -> Result<Outcome, Error> {
        let Some(target) = objects::tagged(content, self.rewriting.output.hash) else {
            return Ok(Outcome::Same);
        };
        let target = self.object(&target, worker)?;
        if target == Outcome::Gone {
            return Ok(Outcome::Gone);
        }
        let (header, text) = objects::halves(content);
        let holds = holds && self.rewriting.plan.messages;
        let (message, signature) = text.split_at_checked(signature_at(text)).unwrap_or((text, &[]));
        let new_message = self.message(message, holds);
        if target == Outcome::Same && new_message.is_none() {
            return Ok(Outcome::Same);
        }
        let mut new = Vec::with_capacity(content.len());
        for line in header.split(|byte| *byte == b'\n') {
            match (target, line.strip_prefix(b"object ")) {
                (Outcome::New(id), Some(_)) => push_line(&mut new, format!("object {id}").as_bytes()),
                _ => push_line(&mut new, line),
            }
        }
        if content.len() > header.len() {
            new.push(b'\n');
            new.extend_from_slice(new_message.as_deref().unwrap_or(message));
        }
        self.rewritten.summary.tags_rewritten += 1;
        self.rewritten.summary.tag_signatures += u64::from(!signature.is_empty());
        let id = id_of(self.rewriting.output.hash, Kind::Tag, &new);
        self.rewriting.output.write(id, Kind::Tag, &new, None, &mut worker.compressor)?;
        Ok(Outcome::New(id))
    }

    /// Old and new ids of all that changed: commits, then tags.
    pub(super) fn map(&self) -> Vec<(ObjectId, Option<ObjectId>)> {
        let changed = self.rewritten.commits.iter().zip(&self.graph.list.commits);
        let commits = changed
            .filter_map(|(new, commit)| Some((self.rewriting.database.id(commit.number)?, Some((*new)?))));
        let mut map: Vec<(ObjectId, Option<ObjectId>)> = commits.collect();
        map.extend(self.rewritten.tags.iter().filter_map(|(old, outcome)| match outcome {
            Outcome::Same => None,
            Outcome::New(new) => Some((*old, Some(*new))),
            Outcome::Gone => Some((*old, None)),
        }));
        map.sort_unstable();
        map
    }
}

fn write_all(
    output: &super::pack_writer::Output,
    receiver: &Receiver<(ObjectId, Vec<u8>)>,
) -> Result<(), Error> {
    let mut compressor = Compressor::new();
    for (id, content) in receiver {
        output.write(id, Kind::Commit, &content, None, &mut compressor)?;
    }
    Ok(())
}

fn push_line(target: &mut Vec<u8>, line: &[u8]) {
    target.extend_from_slice(line);
    target.push(b'\n');
}

fn split_at_space(line: &[u8]) -> (&[u8], &[u8]) {
    let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default())
}

/// Where a tag's signature begins, or its end.
fn signature_at(text: &[u8]) -> usize {
    const BEGINNINGS: [&[u8]; 4] = [
        b"-----BEGIN PGP SIGNATURE-----",
        b"-----BEGIN PGP MESSAGE-----",
        b"-----BEGIN SSH SIGNATURE-----",
        b"-----BEGIN SIGNED MESSAGE-----",
    ];
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if BEGINNINGS.iter().any(|beginning| line.starts_with(beginning)) {
            return at;
        }
        at += line.len();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_tags() {
        let text = b"v1\n\n-----BEGIN PGP SIGNATURE-----\nxx\n-----END PGP SIGNATURE-----\n";
        assert_eq!(signature_at(text), 4);
        assert_eq!(signature_at(b"v1\n"), 3);
    }
}
