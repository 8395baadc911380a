//! What all threads of a rewriting share: what is asked, which blobs are meant, and what became of trees and blobs so far.

use super::kept::Kept;
use super::pack_writer::Output;
use super::removals::Removals;
use super::replacements::Replacements;
use crate::git::database::{Database, Number};
use gix_hash::ObjectId;
use regex::bytes::Regex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is taken out, and where.
#[derive(Debug, Default)]
pub struct Plan {
    pub replacements: Replacements,
    pub removals: Removals,
    pub content: ContentRules,
    /// Names of files and folders are changed as well where they hold a value.
    pub names: bool,
    /// Messages of commits and tags are changed as well.
    pub messages: bool,
    /// Revisions whose files stay as they are: the BFG's protection.
    pub protected: Vec<String>,
}

/// In which files' content values are replaced.
#[derive(Debug, Default)]
pub struct ContentRules {
    /// Only in files of these names, if there are any.
    pub including: Vec<Regex>,
    pub excluding: Vec<Regex>,
    /// Not in larger ones.
    pub bytes_max: Option<u64>,
    pub binaries: BinaryFiles,
}

/// Files with a NUL among their first 8,192 bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum BinaryFiles {
    #[default]
    Rewritten,
    /// As git-filter-repo and the BFG do.
    LeftAlone,
}

impl ContentRules {
    /// Adds a glob of names in which values are replaced, or are not.
    pub fn add_glob(&mut self, glob: &str, kind: GlobKind) -> Result<(), String> {
        let regex = super::removals::anchored(glob)?;
        match kind {
            GlobKind::Including => self.including.push(regex),
            GlobKind::Excluding => self.excluding.push(regex),
        }
        Ok(())
    }

    pub(super) fn admits(&self, name: &[u8]) -> bool {
        let any = |list: &[Regex]| list.iter().any(|regex| regex.is_match(name));
        (self.including.is_empty() || any(&self.including)) && !any(&self.excluding)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobKind {
    Including,
    Excluding,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Same,
    New(ObjectId),
    Gone,
}

/// Why a blob is looked at when a tree names it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Target {
    pub(super) number: Number,
    /// It goes, by its size or its id.
    pub(super) stripped: bool,
    /// It holds a value.
    pub(super) holder: bool,
}

/// The blobs that are meant.
#[derive(Debug)]
pub(super) struct Targets {
    /// By the first two bytes of ids: most are not.
    filter: Vec<bool>,
    by_id: HashMap<ObjectId, Target>,
}

impl Targets {
    pub(super) fn new() -> Self {
        Self { filter: vec![false; 1 << 16], by_id: HashMap::new() }
    }

    pub(super) fn entry(&mut self, id: ObjectId, number: Number) -> &mut Target {
        if let Some(slot) = self.filter.get_mut(bucket(id.as_bytes())) {
            *slot = true;
        }
        self.by_id.entry(id).or_insert(Target { number, ..Target::default() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn get(&self, id: &[u8]) -> Option<(ObjectId, Target)> {
        if self.filter.get(bucket(id)) != Some(&true) {
            return None;
        }
        let id = ObjectId::try_from(id).ok()?;
        self.by_id.get(&id).map(|target| (id, *target))
    }
}

fn bucket(id: &[u8]) -> usize {
    match id {
        [first, second, ..] => usize::from(*first) << 8 | usize::from(*second),
        _ => 0,
    }
}

/// What was done, added up.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    /// How often each source was replaced, in blobs, names and messages.
    pub(super) counts: Vec<u64>,
    pub(super) blobs: u64,
    pub(super) trees: u64,
    pub(super) names: u64,
    pub(super) binaries_left: u64,
    pub(super) touched: BTreeMap<Vec<u8>, Touched>,
    pub(super) lfs: HashSet<String>,
    pub(super) samples: Vec<super::sample::Sample>,
    /// Blobs that nothing should name any more, with a path that they had.
    pub(super) gone: HashMap<ObjectId, Vec<u8>>,
    /// Blobs and trees that were replaced.
    pub(super) replaced: HashSet<ObjectId>,
}

/// What happened to a path.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Touched {
    /// How many versions were rewritten.
    pub rewritten: u64,
    /// How many versions were taken out.
    pub removed: u64,
}

/// So many paths are named.
const TOUCHED_MAX: usize = 10_000;

impl Tally {
    pub(super) fn touch(&mut self, path: &[u8], touch: impl FnOnce(&mut Touched)) {
        if let Some(touched) = self.touched.get_mut(path) {
            touch(touched);
        } else if self.touched.len() < TOUCHED_MAX {
            touch(self.touched.entry(path.to_vec()).or_default());
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.blobs += other.blobs;
        self.trees += other.trees;
        self.names += other.names;
        self.binaries_left += other.binaries_left;
        for (path, touched) in other.touched {
            self.touch(&path, |all| {
                all.rewritten += touched.rewritten;
                all.removed += touched.removed;
            });
        }
        self.lfs.extend(other.lfs);
        self.samples.extend(other.samples);
        self.gone.extend(other.gone);
        self.replaced.extend(other.replaced);
    }
}

/// One rewriting of a repository.
pub(super) struct Rewriting<'a> {
    pub(super) database: &'a Database,
    pub(super) plan: &'a Plan,
    pub(super) targets: Targets,
    /// Ids that stay, whatever is in them.
    pub(super) protected: HashSet<ObjectId>,
    pub(super) output: &'a Output,
    pub(super) samples: bool,
    /// Which objects stay as they are and are still led to, if that is wanted.
    pub(super) kept: Option<Kept>,
    states: Vec<AtomicU8>,
    outcomes: Mutex<HashMap<Number, Outcome>>,
    by_path: Mutex<HashMap<(Number, u64), Outcome>>,
    blobs: Mutex<HashMap<ObjectId, Outcome>>,
}

const UNKNOWN: u8 = 0;
const SAME: u8 = 1;
const OTHER: u8 = 2;

impl<'a> Rewriting<'a> {
    pub(super) fn new(database: &'a Database, plan: &'a Plan, targets: Targets, output: &'a Output) -> Self {
        let states =
            std::iter::repeat_with(|| AtomicU8::new(UNKNOWN)).take(database.count() as usize).collect();
        Self {
            database,
            plan,
            targets,
            protected: HashSet::new(),
            output,
            samples: false,
            kept: None,
            states,
            outcomes: Mutex::default(),
            by_path: Mutex::default(),
            blobs: Mutex::default(),
        }
    }

    /// Whether trees can change at all.
    pub(super) fn changes_trees(&self) -> bool {
        let removals = &self.plan.removals;
        !self.targets.is_empty() || removals.by_name() || removals.by_path() || self.changes_names()
    }

    pub(super) fn changes_names(&self) -> bool {
        self.plan.names && !self.plan.replacements.is_empty()
    }

    /// Whether trees have to be read: to be changed, or to see what they lead to.
    pub(super) fn reads_trees(&self) -> bool {
        self.changes_trees() || self.kept.is_some()
    }

    /// Notes that an object stays.
    pub(super) fn keep(&self, number: Number) {
        if let Some(kept) = &self.kept {
            kept.add(number);
        }
    }

    /// Notes that a blob stays.
    pub(super) fn keep_blob(&self, id: &[u8]) {
        let Some(kept) = &self.kept else { return };
        match ObjectId::try_from(id).ok().and_then(|id| self.database.find(&id)) {
            Some(number) => kept.add(number),
            None => kept.miss(),
        }
    }

    /// Notes that something is led to that is not here.
    pub(super) fn miss(&self) {
        if let Some(kept) = &self.kept {
            kept.miss();
        }
    }

    /// Notes that an object stays which git needs not have.
    pub(super) fn keep_if_here(&self, id: &ObjectId) {
        if let Some(kept) = &self.kept
            && let Some(number) = self.database.find(id)
        {
            kept.add(number);
        }
    }

    /// What became of a tree, wherever it stands.
    pub(super) fn tree(&self, number: Number) -> Option<Outcome> {
        match self.states.get(number as usize)?.load(Ordering::Acquire) {
            SAME => Some(Outcome::Same),
            OTHER => locked(&self.outcomes).get(&number).copied(),
            _ => None,
        }
    }

    pub(super) fn settle_tree(&self, number: Number, outcome: Outcome) {
        let state = match outcome {
            Outcome::Same => SAME,
            Outcome::New(_) | Outcome::Gone => {
                locked(&self.outcomes).insert(number, outcome);
                OTHER
            }
        };
        if let Some(slot) = self.states.get(number as usize) {
            slot.store(state, Ordering::Release);
        }
    }

    /// What became of a tree at a path, where that makes a difference.
    pub(super) fn tree_at(&self, number: Number, path: u64) -> Option<Outcome> {
        locked(&self.by_path).get(&(number, path)).copied()
    }

    pub(super) fn settle_tree_at(&self, number: Number, path: u64, outcome: Outcome) {
        locked(&self.by_path).insert((number, path), outcome);
    }

    pub(super) fn blob(&self, id: &ObjectId) -> Option<Outcome> {
        locked(&self.blobs).get(id).copied()
    }

    pub(super) fn settle_blob(&self, id: ObjectId, outcome: Outcome) {
        locked(&self.blobs).insert(id, outcome);
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
