//! Trees and blobs, rewritten from the top down: each tree is read once, and written only if something below it changes.

use super::before::{Befores, Parsed};
use super::error::Error;
use super::find::{HELD_BYTES_MAX, OBJECT_BYTES_MAX};
use super::pack_writer::{Base, Compressor, Written, id_of};
use super::rewriting::{BinaryFiles, Outcome, Rewriting, Tally, Target};
use super::sample;
use super::sizes;
use crate::git::database::{Number, Reader};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Seek, Write};
use std::ops::Range;
use std::sync::Arc;

/// One thread's rewriting of trees.
pub(super) struct Worker<'a> {
    rewriting: &'a Rewriting<'a>,
    reader: Reader,
    pub(super) compressor: Compressor,
    /// What was written last at a path, for the next version to be a delta to.
    latest: HashMap<u64, Latest>,
    latest_bytes: usize,
    befores: Befores,
    /// What is said of names, where rules are about names.
    names: HashMap<Vec<u8>, NameRule>,
    /// Trees met a moment ago: looking them up in packs takes longer.
    recent: Vec<Option<(ObjectId, Outcome)>>,
    /// Blobs of which it was noted a moment ago that they stay, for the same reason.
    kept_lately: Vec<Option<ObjectId>>,
    pub(super) tally: Tally,
}

/// Versions of a path that the next one can be a delta to. Mostly that is the last one. Each 32nd is a delta to the one 32 before it,
/// and each 1024th is whole: so chains are short, and few versions are written whole.
#[derive(Default)]
struct Latest {
    count: u32,
    last: Option<Version>,
    milestone: Option<Version>,
}

#[derive(Clone)]
struct Version {
    content: Arc<Vec<u8>>,
    written: Written,
}

impl Latest {
    const STRETCH: u32 = 32;

    fn base(&self) -> Option<&Version> {
        match self.count {
            count if count.is_multiple_of(Self::STRETCH * Self::STRETCH) => None,
            count if count.is_multiple_of(Self::STRETCH) => self.milestone.as_ref(),
            _ => self.last.as_ref(),
        }
    }

    fn put(&mut self, version: Version) {
        if self.count.is_multiple_of(Self::STRETCH) {
            self.milestone = Some(version.clone());
        }
        self.last = Some(version);
        self.count = self.count.wrapping_add(1);
    }

    fn bytes(&self) -> usize {
        let both = [&self.last, &self.milestone];
        both.into_iter().flatten().map(|version| version.content.len()).sum()
    }
}

/// What rules about names say of one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NameRule {
    Keep,
    Rename(Vec<u8>),
}

/// What becomes of an entry of a tree.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) entry: RawEntry,
    name: Option<Vec<u8>>,
    outcome: Outcome,
    /// The mode of a file that says what stood here.
    trace: bool,
}

/// An entry of a tree, by where it stands in it.
#[derive(Debug, Clone)]
pub(super) struct RawEntry {
    pub(super) whole: Range<usize>,
    pub(super) name: Range<usize>,
    pub(super) id: Range<usize>,
    is_tree: bool,
    is_submodule: bool,
}

const LATEST_BYTES_MAX: usize = 48 << 20;
const NAMES_MAX: usize = 1 << 18;
const RECENT: usize = 1 << 13;
const KEPT_LATELY: usize = 1 << 16;
/// Folders within folders.
const DEPTH_MAX: usize = 1000;

impl<'a> Worker<'a> {
    pub(super) fn new(rewriting: &'a Rewriting<'a>) -> Self {
        let counts = vec![0; rewriting.plan.replacements.sources().len()];
        Self {
            rewriting,
            reader: Reader::new(OBJECT_BYTES_MAX),
            compressor: Compressor::new(),
            latest: HashMap::new(),
            latest_bytes: 0,
            befores: Befores::default(),
            names: HashMap::new(),
            recent: vec![None; RECENT],
            kept_lately: vec![None; if rewriting.kept.is_some() { KEPT_LATELY } else { 0 }],
            tally: Tally { counts, ..Tally::default() },
        }
    }

    /// Rewrites the tree of a commit.
    pub(super) fn root(&mut self, id: &ObjectId) -> Result<Outcome, Error> {
        if !self.rewriting.reads_trees() {
            return Ok(Outcome::Same);
        }
        let mut path = Vec::new();
        match self.tree(id, &mut path, 0)? {
            Outcome::Gone => Ok(Outcome::New(self.write_tree(&[], &[])?)),
            other => Ok(other),
        }
    }

    fn tree(&mut self, id: &ObjectId, path: &mut Vec<u8>, depth: usize) -> Result<Outcome, Error> {
        let by_path =
            self.rewriting.plan.removals.by_path() && self.rewriting.plan.removals.reaches_below(path);
        let slot =
            usize::from(id.first_byte()) << 8 | id.as_bytes().get(1).map_or(0, |byte| usize::from(*byte));
        let slot = slot % RECENT;
        if !by_path
            && let Some(Some((recent, outcome))) = self.recent.get(slot)
            && recent == id
        {
            return Ok(*outcome);
        }
        let outcome = self.tree_outside_memory(id, path, depth, by_path)?;
        if !by_path && let Some(slot) = self.recent.get_mut(slot) {
            *slot = Some((*id, outcome));
        }
        Ok(outcome)
    }

    fn tree_outside_memory(
        &mut self,
        id: &ObjectId,
        path: &mut Vec<u8>,
        depth: usize,
        by_path: bool,
    ) -> Result<Outcome, Error> {
        if id.is_empty_tree() {
            self.rewriting.keep_if_here(id);
            return Ok(Outcome::Same);
        }
        let number = self.rewriting.database.find(id).ok_or_else(|| Error::object(id, "it is not here"))?;
        let key = hash(path);
        let known = if by_path { self.rewriting.tree_at(number, key) } else { self.rewriting.tree(number) };
        if let Some(outcome) = known {
            return Ok(outcome);
        }
        if depth > DEPTH_MAX {
            return Err(Error::object(id, "it stands in more folders than are followed"));
        }
        let outcome = self.read_tree(id, number, path, depth, by_path)?;
        if outcome == Outcome::Same {
            self.rewriting.keep(number);
        }
        if by_path {
            self.rewriting.settle_tree_at(number, key, outcome);
        } else {
            self.rewriting.settle_tree(number, outcome);
        }
        Ok(outcome)
    }

    fn read_tree(
        &mut self,
        id: &ObjectId,
        number: Number,
        path: &mut Vec<u8>,
        depth: usize,
        by_path: bool,
    ) -> Result<Outcome, Error> {
        let content = match self.rewriting.database.load(number, &mut self.reader) {
            Ok((Kind::Tree, content)) => content,
            Ok(_) => return Err(Error::object(id, "it is said to be a tree, and is none")),
            Err(error) => return Err(Error::object(id, error)),
        };
        let plan = self.rewriting.plan;
        let ask_names = plan.removals.by_name()
            || self.rewriting.changes_names() && plan.replacements.can_stand_in(&content);
        let before = self.befores.take(path);
        let mut parsed =
            Parsed::of(&content, before, id.as_bytes().len()).map_err(|what| Error::object(id, what))?;
        for edit in &parsed.edits {
            self.again(&content, edit, path)?;
        }
        let known = std::mem::take(&mut parsed.edits);
        let (mut edits, tail) = parsed.split(known);
        for entry in std::mem::take(&mut parsed.entries) {
            let id = entry.id.clone();
            let is_blob = !entry.is_tree && !entry.is_submodule;
            let edit = self.entry(&content, entry, path, depth, ask_names, by_path)?;
            if is_blob && edit.as_ref().is_none_or(|edit| edit.outcome == Outcome::Same) {
                self.keep_blob(content.get(id).unwrap_or_default());
            }
            edits.extend(edit);
        }
        edits.extend(tail);
        let count = parsed.count();
        self.befores.put(path, parsed.into_before(&content, &edits));
        if edits.is_empty() {
            return Ok(Outcome::Same);
        }
        if edits.len() == count && edits.iter().all(|edit| edit.outcome == Outcome::Gone && !edit.trace) {
            return Ok(Outcome::Gone);
        }
        self.tally.trees += 1;
        self.tally.replaced.insert(*id);
        let rebuilt = rebuild(&content, &edits);
        Ok(Outcome::New(self.write_tree(&rebuilt, path)?))
    }

    fn keep_blob(&mut self, id: &[u8]) {
        let slot = id.first_chunk().map_or(0, |start| usize::from(u16::from_be_bytes(*start)));
        let Some(slot) = self.kept_lately.get_mut(slot) else { return };
        if slot.as_ref().is_none_or(|kept| kept.as_bytes() != id) {
            self.rewriting.keep_blob(id);
            *slot = ObjectId::try_from(id).ok();
        }
    }

    /// What an edit that was settled with the version before is counted as.
    fn again(&mut self, content: &[u8], edit: &Edit, path: &mut Vec<u8>) -> Result<(), Error> {
        if edit.outcome != Outcome::Gone && !edit.trace {
            return Ok(());
        }
        let part = |range: &Range<usize>| content.get(range.clone()).unwrap_or_default();
        let Ok(id) = ObjectId::try_from(part(&edit.entry.id)) else { return Ok(()) };
        let length = path.len();
        join(path, part(&edit.entry.name));
        let removed = self.remove(&id, &edit.entry, path);
        path.truncate(length);
        removed
    }

    fn write_tree(&mut self, content: &[u8], path: &[u8]) -> Result<ObjectId, Error> {
        let id = id_of(self.rewriting.output.hash, Kind::Tree, content);
        self.write(id, Kind::Tree, content, hash(path))?;
        Ok(id)
    }

    /// Writes an object as a delta to one that was written before for the same path.
    fn write(&mut self, id: ObjectId, kind: Kind, content: &[u8], key: u64) -> Result<(), Error> {
        let latest = self.latest.get(&key);
        let base = latest.and_then(|latest| latest.base());
        let base = base.map(|version| Base { content: &version.content, written: version.written });
        let written = self.rewriting.output.write(id, kind, content, base, &mut self.compressor)?;
        if content.len() > LATEST_BYTES_MAX / 8 {
            return Ok(());
        }
        if self.latest_bytes + content.len() > LATEST_BYTES_MAX {
            self.latest.clear();
            self.latest_bytes = 0;
        }
        let version = Version { content: Arc::new(content.to_vec()), written };
        let latest = self.latest.entry(key).or_default();
        self.latest_bytes -= latest.bytes();
        latest.put(version);
        self.latest_bytes += latest.bytes();
        Ok(())
    }

    /// What becomes of an entry; nothing if it stays as it is.
    fn entry(
        &mut self,
        content: &[u8],
        entry: RawEntry,
        path: &mut Vec<u8>,
        depth: usize,
        ask_names: bool,
        by_path: bool,
    ) -> Result<Option<Edit>, Error> {
        let name = content.get(entry.name.clone()).unwrap_or_default();
        let id = content.get(entry.id.clone()).unwrap_or_default();
        let target = if entry.is_tree || entry.is_submodule { None } else { self.rewriting.targets.get(id) };
        if target.is_none() && !entry.is_tree && !ask_names && !by_path {
            return Ok(None);
        }
        let length = path.len();
        join(path, name);
        let edit = self.entry_at(name, id, target, entry, path, depth, ask_names, by_path);
        path.truncate(length);
        edit
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one entry, borrowed from several places")]
    fn entry_at(
        &mut self,
        name: &[u8],
        id: &[u8],
        target: Option<(ObjectId, Target)>,
        entry: RawEntry,
        path: &mut Vec<u8>,
        depth: usize,
        ask_names: bool,
        by_path: bool,
    ) -> Result<Option<Edit>, Error> {
        let object = ObjectId::try_from(id)
            .map_err(|_| Error::object(&ObjectId::null(self.rewriting.output.hash), "an odd id"))?;
        let plan = self.rewriting.plan;
        let gone = by_path && plan.removals.takes_path(path)
            || entry.is_tree && plan.removals.takes_folder(name)
            || !entry.is_tree && !entry.is_submodule && plan.removals.takes_file(name);
        if gone && !self.rewriting.protected.contains(&object) {
            self.remove(&object, &entry, path)?;
            return Ok(Some(Edit { entry, name: None, outcome: Outcome::Gone, trace: false }));
        }
        let outcome = match target {
            _ if entry.is_tree => self.tree(&object, path, depth + 1)?,
            Some((id, target)) => self.target(&id, target, name, path)?,
            None => Outcome::Same,
        };
        let is_stripped = outcome == Outcome::Gone && target.is_some();
        if is_stripped {
            self.remove(&object, &entry, path)?;
            if plan.removals.trace == super::removals::Trace::File {
                return Ok(Some(self.trace(&object, name, entry)?));
            }
        }
        let renamed = if ask_names { self.renamed(name) } else { None };
        if outcome == Outcome::Same && renamed.is_none() {
            return Ok(None);
        }
        Ok(Some(Edit { entry, name: renamed, outcome, trace: false }))
    }

    /// A small file that says what stood there.
    fn trace(&mut self, id: &ObjectId, name: &[u8], entry: RawEntry) -> Result<Edit, Error> {
        let text = id.to_string().into_bytes();
        let trace = id_of(self.rewriting.output.hash, Kind::Blob, &text);
        self.rewriting.output.write(trace, Kind::Blob, &text, None, &mut self.compressor)?;
        let name = [name, b".REMOVED.git-id"].concat();
        Ok(Edit { entry, name: Some(name), outcome: Outcome::New(trace), trace: true })
    }

    fn remove(&mut self, id: &ObjectId, entry: &RawEntry, path: &[u8]) -> Result<(), Error> {
        self.tally.touch(path, |touched| touched.removed += 1);
        if entry.is_tree || entry.is_submodule || self.tally.gone.contains_key(id) {
            return Ok(());
        }
        self.tally.gone.insert(*id, path.to_vec());
        const POINTER_BYTES_MAX: u64 = 1024;
        let Some(number) = self.rewriting.database.find(id) else { return Ok(()) };
        let size = sizes::size_of(self.rewriting.database, number, &mut self.reader).unwrap_or(u64::MAX);
        if size < POINTER_BYTES_MAX
            && let Ok((Kind::Blob, content)) = self.rewriting.database.load(number, &mut self.reader)
        {
            self.tally.lfs.extend(lfs_object(&content));
        }
        Ok(())
    }

    /// What becomes of a blob that is meant.
    fn target(&mut self, id: &ObjectId, target: Target, name: &[u8], path: &[u8]) -> Result<Outcome, Error> {
        if self.rewriting.protected.contains(id) {
            return Ok(Outcome::Same);
        }
        if target.stripped {
            return Ok(Outcome::Gone);
        }
        if !target.holder || !self.rewriting.plan.content.admits(name) {
            return Ok(Outcome::Same);
        }
        if let Some(known) = self.rewriting.blob(id) {
            return Ok(known);
        }
        let outcome = self.rewrite_blob(id, target.number, path)?;
        self.rewriting.settle_blob(*id, outcome);
        if matches!(outcome, Outcome::New(_)) {
            self.tally.blobs += 1;
            self.tally.replaced.insert(*id);
            self.tally.touch(path, |touched| touched.rewritten += 1);
        }
        Ok(outcome)
    }

    fn rewrite_blob(&mut self, id: &ObjectId, number: Number, path: &[u8]) -> Result<Outcome, Error> {
        let rules = &self.rewriting.plan.content;
        let size = sizes::size_of(self.rewriting.database, number, &mut self.reader)
            .map_err(|error| Error::object(id, error))?;
        if rules.bytes_max.is_some_and(|most| size > most) {
            return Ok(Outcome::Same);
        }
        if size > HELD_BYTES_MAX && sizes::is_whole(self.rewriting.database, number, &mut self.reader) {
            return self.rewrite_large(id, number);
        }
        let (_, content) = self
            .rewriting
            .database
            .load(number, &mut self.reader)
            .map_err(|error| Error::object(id, error))?;
        if rules.binaries == BinaryFiles::LeftAlone && is_binary(&content) {
            self.tally.binaries_left += 1;
            return Ok(Outcome::Same);
        }
        let Some(replaced) = self.rewriting.plan.replacements.replace(&content, &mut self.tally.counts)
        else {
            return Ok(Outcome::Same);
        };
        if self.rewriting.samples && self.tally.samples.len() < sample::SAMPLES_MAX && !is_binary(&content) {
            let replacements = &self.rewriting.plan.replacements;
            self.tally.samples.extend(sample::Sample::of(path, id, &content, replacements));
        }
        let new = id_of(self.rewriting.output.hash, Kind::Blob, &replaced);
        self.write(new, Kind::Blob, &replaced, hash(path) ^ 1)?;
        Ok(Outcome::New(new))
    }

    /// A blob that is too large to be held, by way of a file.
    fn rewrite_large(&mut self, id: &ObjectId, number: Number) -> Result<Outcome, Error> {
        let replacements = &self.rewriting.plan.replacements;
        let failed = |source| Error::write(std::path::Path::new("a temporary file"), source);
        let mut file = self.rewriting.output.scratch_file()?;
        let counts = &mut self.tally.counts;
        let mut result = Ok(false);
        let streamed = self.rewriting.database.stream(number, &mut self.reader, &mut |source| {
            result = replacements.replace_stream(source, &mut file, counts);
        });
        streamed.map_err(|error| Error::object(id, error))?;
        let changed = result.map_err(failed)?;
        file.flush().and_then(|()| file.rewind()).map_err(failed)?;
        if !changed {
            return Ok(Outcome::Same);
        }
        Ok(Outcome::New(self.rewriting.output.write_large(&mut file, &mut self.compressor)?))
    }

    /// The name that an entry gets where its own one holds a value.
    fn renamed(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        if !self.rewriting.changes_names() {
            return None;
        }
        if let Some(rule) = self.names.get(name) {
            return match rule {
                NameRule::Keep => None,
                NameRule::Rename(other) => Some(other.clone()),
            };
        }
        let replaced = self.rewriting.plan.replacements.replace(name, &mut self.tally.counts).map(as_name);
        self.tally.names += u64::from(replaced.is_some());
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        self.names.insert(name.to_vec(), replaced.clone().map_or(NameRule::Keep, NameRule::Rename));
        replaced
    }

    /// A blob that something else than a tree leads to.
    pub(super) fn lone_blob(&mut self, id: &ObjectId) -> Result<Outcome, Error> {
        let outcome = match self.rewriting.targets.get(id.as_bytes()) {
            Some((id, target)) => self.target(&id, target, b"", b"")?,
            None => Outcome::Same,
        };
        if outcome == Outcome::Same {
            self.rewriting.keep_blob(id.as_bytes());
        }
        Ok(outcome)
    }
}

/// Adds a name to a path.
fn join(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// What git takes as the name of a file.
fn as_name(replaced: Vec<u8>) -> Vec<u8> {
    let mut name: Vec<u8> =
        replaced.into_iter().map(|byte| if matches!(byte, b'/' | 0) { b'_' } else { byte }).collect();
    let forbidden = name.is_empty() || name == b"." || name == b".." || name.eq_ignore_ascii_case(b".git");
    if forbidden {
        name.splice(0..0, *b"REMOVED");
    }
    name
}

/// git's test for text.
fn is_binary(content: &[u8]) -> bool {
    const HEAD_BYTES: usize = 8192;
    memchr::memchr(0, content.get(..HEAD_BYTES).unwrap_or(content)).is_some()
}

/// The object that a pointer of git-lfs names.
pub(super) fn lfs_object(content: &[u8]) -> Option<String> {
    if !content.starts_with(b"version https://git-lfs.github.com/spec/v1") {
        return None;
    }
    let text = std::str::from_utf8(content).ok()?;
    let hex = text.lines().find_map(|line| line.strip_prefix("oid sha256:"))?;
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| hex.to_owned())
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path);
    hasher.finish()
}

pub(super) struct RawEntries<'a> {
    pub(super) content: &'a [u8],
    pub(super) at: usize,
    pub(super) id_bytes: usize,
}

impl RawEntries<'_> {
    pub(super) fn next_entry(&mut self) -> Result<Option<RawEntry>, &'static str> {
        let rest = self.content.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        const DAMAGED: &str = "the tree is damaged";
        let space = rest.iter().take(8).position(|byte| *byte == b' ').ok_or(DAMAGED)?;
        let end = space + memchr::memchr(0, rest.get(space..).unwrap_or_default()).ok_or(DAMAGED)?;
        let mode = rest.get(..space).unwrap_or_default();
        let (start, id) = (self.at, self.at + end + 1);
        let next = id + self.id_bytes;
        if next > self.content.len() {
            return Err(DAMAGED);
        }
        self.at = next;
        Ok(Some(RawEntry {
            whole: start..next,
            name: start + space + 1..start + end,
            id: id..next,
            is_tree: matches!(mode, b"40000" | b"040000"),
            is_submodule: mode == b"160000",
        }))
    }
}

/// The tree with its edits. Without new names the entries stay in their order.
fn rebuild(content: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut rebuilt = Vec::with_capacity(content.len() + 64);
    let mut copied = 0;
    let renamed = edits.iter().any(|edit| edit.name.is_some());
    if renamed {
        return rebuild_in_order(content, edits);
    }
    for edit in edits {
        rebuilt.extend_from_slice(content.get(copied..edit.entry.whole.start).unwrap_or_default());
        push(&mut rebuilt, content, edit);
        copied = edit.entry.whole.end;
    }
    rebuilt.extend_from_slice(content.get(copied..).unwrap_or_default());
    rebuilt
}

fn push(target: &mut Vec<u8>, content: &[u8], edit: &Edit) {
    let part = |range: Range<usize>| content.get(range).unwrap_or_default();
    let id = match &edit.outcome {
        Outcome::Gone => return,
        Outcome::New(id) => id.as_bytes(),
        Outcome::Same => part(edit.entry.id.clone()),
    };
    if edit.trace {
        target.extend_from_slice(b"100644 ");
    } else {
        target.extend_from_slice(part(edit.entry.whole.start..edit.entry.name.start));
    }
    match &edit.name {
        Some(name) => target.extend_from_slice(name),
        None => target.extend_from_slice(part(edit.entry.name.clone())),
    }
    target.push(0);
    target.extend_from_slice(id);
}

/// New names come to other places. Of two entries of one name the later gets a number.
fn rebuild_in_order(content: &[u8], edits: &[Edit]) -> Vec<u8> {
    let id_bytes = edits.first().map_or(20, |edit| edit.entry.id.len());
    let mut entries: Vec<(Vec<u8>, Vec<u8>, bool)> = Vec::new();
    let mut raw = RawEntries { content, at: 0, id_bytes };
    let mut edits = edits.iter().peekable();
    while let Ok(Some(entry)) = raw.next_entry() {
        let mut bytes = Vec::new();
        let edit = edits.next_if(|edit| edit.entry.whole == entry.whole);
        match edit {
            Some(edit) => push(&mut bytes, content, edit),
            None => bytes.extend_from_slice(content.get(entry.whole.clone()).unwrap_or_default()),
        }
        let whole = 0..bytes.len();
        let Ok(Some(made)) = (RawEntries { content: &bytes, at: 0, id_bytes }).next_entry() else { continue };
        debug_assert!(whole == made.whole);
        let name = bytes.get(made.name.clone()).unwrap_or_default().to_vec();
        entries.push((name, bytes, edit.is_some_and(|edit| edit.name.is_some())));
    }
    // Old names win over new ones.
    entries.sort_by_key(|(_, _, is_new)| *is_new);
    let mut taken: std::collections::BTreeMap<Vec<u8>, Vec<u8>> = std::collections::BTreeMap::new();
    for (name, bytes, _) in entries {
        let mut free = name.clone();
        let mut number = 2;
        while taken.contains_key(&free) {
            free = [name.as_slice(), format!("-{number}").as_bytes()].concat();
            number += 1;
        }
        let bytes = if free == name { bytes } else { renamed_to(&bytes, &name, &free, id_bytes) };
        taken.insert(free, bytes);
    }
    let mut sorted: Vec<(Vec<u8>, Vec<u8>)> = taken
        .into_iter()
        .map(|(mut name, bytes)| {
            // git sorts a folder as if its name ended with a slash.
            if bytes.starts_with(b"40000 ") {
                name.push(b'/');
            }
            (name, bytes)
        })
        .collect();
    sorted.sort();
    sorted.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

fn renamed_to(bytes: &[u8], name: &[u8], free: &[u8], id_bytes: usize) -> Vec<u8> {
    let mode = bytes.len().saturating_sub(id_bytes + 1 + name.len());
    let id = bytes.len().saturating_sub(id_bytes);
    [bytes.get(..mode).unwrap_or_default(), free, b"\0", bytes.get(id..).unwrap_or_default()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &str, u8)]) -> Vec<u8> {
        entries
            .iter()
            .flat_map(|(mode, name, id)| [mode.as_bytes(), b" ", name.as_bytes(), &[0], &[*id; 20]].concat())
            .collect()
    }

    fn edits(
        content: &[u8],
        edit: &dyn Fn(&[u8], &RawEntry) -> Option<(Option<&'static str>, Outcome)>,
    ) -> Vec<Edit> {
        let mut entries = RawEntries { content, at: 0, id_bytes: 20 };
        let mut edits = Vec::new();
        while let Some(entry) = entries.next_entry().unwrap() {
            if let Some((name, outcome)) = edit(&content[entry.name.clone()], &entry) {
                let name = name.map(|name| name.as_bytes().to_vec());
                edits.push(Edit { entry, name, outcome, trace: false });
            }
        }
        edits
    }

    #[test]
    fn trees_with_edits() {
        let content = tree(&[("100644", "a", 1), ("40000", "b", 2), ("100755", "c", 3)]);
        let id = ObjectId::from_bytes_or_panic(&[9; 20]);
        let changed = edits(&content, &|name, _| match name {
            b"a" => Some((None, Outcome::Gone)),
            b"c" => Some((None, Outcome::New(id))),
            _ => None,
        });
        assert_eq!(rebuild(&content, &changed), tree(&[("40000", "b", 2), ("100755", "c", 9)]));
    }

    #[test]
    fn new_names_are_sorted_and_do_not_collide() {
        let content =
            tree(&[("100644", "one", 1), ("40000", "three", 3), ("100644", "two", 2), ("100644", "x", 4)]);
        let renamed = edits(&content, &|name, _| match name {
            b"one" | b"two" => Some((Some("x"), Outcome::Same)),
            b"three" => Some((Some("x.d"), Outcome::Same)),
            _ => None,
        });
        let expected =
            tree(&[("100644", "x", 4), ("100644", "x-2", 1), ("100644", "x-3", 2), ("40000", "x.d", 3)]);
        assert_eq!(rebuild(&content, &renamed), expected);
        assert_eq!(as_name(b"a/b\0".to_vec()), b"a_b_");
        assert_eq!(as_name(b".git".to_vec()), b"REMOVED.git");
        assert_eq!(as_name(Vec::new()), b"REMOVED");
    }

    #[test]
    fn pointers_of_lfs() {
        let hex = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{hex}\nsize 12345\n");
        assert_eq!(lfs_object(text.as_bytes()).as_deref(), Some(hex));
        assert_eq!(lfs_object(b"version 1"), None);
    }
}
