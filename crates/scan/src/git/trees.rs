use super::database::{Database, Number, Reader};
use super::error::ObjectError;
use super::forest;
use super::objects::{self, Entry, EntryKind};
use crate::located::{SkipReason, Statistics};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use strongroom_detect::{Detector, Fragment, Scratch};

/// Finds the paths of a few blobs. Every tree is read once; those that hold something of interest once for each path.
pub(crate) struct Trees<'a> {
    database: &'a Database,
    wanted: HashMap<ObjectId, Number>,
    /// By the first two bytes of an id: most blobs are not wanted, and that should cost nothing.
    filter: Vec<bool>,
    visited: Vec<u64>,
    /// Trees with something wanted in or under them.
    holding: HashSet<Number>,
    /// Such trees, and a hash of the path at which they were read.
    read_at: HashSet<(Number, u64)>,
    missing: HashSet<ObjectId>,
    /// Wanted blobs, and hashes of the paths at which they were met.
    met: HashSet<(Number, u64)>,
    /// A detector with rules for paths alone.
    telling: Option<&'a Detector>,
    scratch: Scratch,
    /// Hashes of paths that it was asked about.
    told: HashSet<u64>,
    pub(crate) submodules: HashSet<String>,
}

const DEPTH_MAX: usize = 512;
const SUBMODULES_NAMED_MAX: usize = 10_000;

/// A wanted blob was met.
pub(crate) struct Met<'a> {
    pub(crate) path: &'a str,
    pub(crate) object: Number,
    /// For its path alone, whatever is in it.
    pub(crate) by_name: bool,
}

impl<'a> Trees<'a> {
    pub(crate) fn new(
        database: &'a Database,
        detector: &'a Detector,
        wanted: impl IntoIterator<Item = Number>,
    ) -> Self {
        let mut trees = Self {
            database,
            wanted: HashMap::new(),
            filter: vec![false; 1 << 16],
            visited: vec![0; database.count() as usize / 64 + 1],
            holding: HashSet::new(),
            read_at: HashSet::new(),
            missing: HashSet::new(),
            met: HashSet::new(),
            telling: tells_by_name(detector).then_some(detector),
            scratch: Scratch::default(),
            told: HashSet::new(),
            submodules: HashSet::new(),
        };
        for number in wanted {
            let Some(id) = database.id(number) else { continue };
            if let Some(slot) = trees.filter.get_mut(bucket(&id)) {
                *slot = true;
            }
            trees.wanted.insert(id, number);
        }
        trees
    }

    /// Reads a tree, and all in it that was not read before.
    pub(crate) fn read(
        &mut self,
        tree: &ObjectId,
        reader: &mut Reader,
        statistics: &mut Statistics,
        met: &mut dyn FnMut(Met<'_>),
    ) {
        let mut path = String::new();
        self.enter(tree, &mut path, 0, &mut Walk { reader, statistics, met });
    }

    /// Whether a commit's tree was read already, so that nothing new is in it.
    fn was_read(&self, number: Number) -> bool {
        let word = self.visited.get(number as usize / 64).copied().unwrap_or(0);
        word >> (number % 64) & 1 == 1
    }

    /// Says whether the tree holds something wanted.
    fn enter(&mut self, tree: &ObjectId, path: &mut String, depth: usize, walk: &mut Walk<'_>) -> bool {
        let Some(number) = self.database.find(tree) else {
            if !self.missing.insert(*tree) {
                return false;
            }
            walk.statistics.skip(
                tree.to_string(),
                SkipReason::Missing,
                format!("the folder {path:?} of a commit"),
            );
            return false;
        };
        if self.was_read(number) {
            if !self.holding.contains(&number) {
                return false;
            }
            if !self.read_at.insert((number, hash(path))) {
                return true;
            }
        } else if let Some(word) = self.visited.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
        let Some(content) = self.content(number, path, depth, walk) else { return false };
        let mut holds = false;
        let length = path.len();
        for entry in objects::entries(&content, self.database.hash) {
            match entry.kind {
                EntryKind::Blob | EntryKind::Link => holds |= self.file(&entry, path, walk),
                EntryKind::Tree => {
                    join(path, entry.name);
                    holds |= self.enter(&entry.id, path, depth + 1, walk);
                }
                EntryKind::Submodule => {
                    join(path, entry.name);
                    if self.submodules.len() < SUBMODULES_NAMED_MAX {
                        self.submodules.insert(path.clone());
                    }
                }
            }
            path.truncate(length);
        }
        if holds {
            self.holding.insert(number);
            self.read_at.insert((number, hash(path)));
        }
        holds
    }

    fn content(&self, number: Number, path: &str, depth: usize, walk: &mut Walk<'_>) -> Option<Arc<Vec<u8>>> {
        let error = match self.database.load(number, walk.reader) {
            Ok((Kind::Tree, content)) if depth <= DEPTH_MAX => return Some(content),
            Ok((Kind::Tree, _)) => ObjectError::TooDeep,
            Ok(_) => ObjectError::Corrupt("it is said to be a tree, and is none"),
            Err(error) => error,
        };
        let name = self.database.id(number).map(|id| id.to_string()).unwrap_or_default();
        walk.statistics.skip(name, forest::reason(&error), format!("the folder {path:?}: {error}"));
        None
    }

    /// Says whether the file is wanted for what is in it.
    fn file(&mut self, entry: &Entry<'_>, path: &mut String, walk: &mut Walk<'_>) -> bool {
        let bucket_is_wanted = self.filter.get(bucket(&entry.id)) == Some(&true);
        let wanted = self.wanted.get(&entry.id).filter(|_| bucket_is_wanted).copied();
        if wanted.is_none() && self.telling.is_none() {
            return false;
        }
        let length = path.len();
        join(path, entry.name);
        // A tree changes with each of its files: a blob is met once at each path, by the oldest tree that names it there.
        if let Some(object) = wanted.filter(|object| self.met.insert((*object, hash(path)))) {
            (walk.met)(Met { path, object, by_name: false });
        }
        if let Some(detector) = self.telling
            && self.told.insert(hash(path))
            && !detector.scan(&Fragment::whole(b"", path), &mut self.scratch).is_empty()
            && let Some(object) = self.database.find(&entry.id)
        {
            (walk.met)(Met { path, object, by_name: true });
        }
        path.truncate(length);
        wanted.is_some()
    }
}

struct Walk<'a> {
    reader: &'a mut Reader,
    statistics: &'a mut Statistics,
    met: &'a mut dyn FnMut(Met<'_>),
}

/// Whether there are rules that look at paths alone: then all paths are needed.
pub(crate) fn tells_by_name(detector: &Detector) -> bool {
    detector.rules().rules.iter().any(|rule| rule.regex.is_none() && rule.path.is_some())
}

fn bucket(id: &ObjectId) -> usize {
    match id.as_bytes() {
        [first, second, ..] => usize::from(*first) << 8 | usize::from(*second),
        _ => 0,
    }
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn join(path: &mut String, name: &[u8]) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(&String::from_utf8_lossy(name));
}
