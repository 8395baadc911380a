//! The scan of a whole history: first all objects, wherever they lie; then, for what was found, the commits.

use super::commits::{CommitNode, Commits, Reach, Source};
use super::database::{Database, Number, Reader};
use super::error::ObjectError;
use super::forest::{self, Wanted};
use super::incremental::{LookedAt, Memory};
use super::look::Eye;
use super::loose;
use super::objects;
use super::options::{GitOptions, Unreachable};
use super::paths::PathFilter;
use super::repository::Repository;
use super::revisions::Tips;
use super::sightings::{Introductions, SecretKey, Sightings};
use super::trees::{Trees, tells_by_name};
use super::versions::Walk;
use crate::located::{SkipReason, Statistics, Watch};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use strongroom_detect::{Detector, Fragment, Scratch};

/// A repository that was opened, and what is asked.
pub(crate) struct History<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) database: &'a Database,
    pub(crate) detector: &'a Detector,
    pub(crate) options: &'a GitOptions,
    pub(crate) watch: Watch<'a>,
}

impl History<'_> {
    /// Looks at every object once.
    pub(crate) fn look_at_all(&self, memory: &Memory, statistics: &mut Statistics) -> (Sightings, LookedAt) {
        let over = AtomicBool::new(false);
        let done = AtomicU64::new(0);
        let copies = self.copies();
        let total = u64::from(self.database.count());
        let mut sightings = Sightings::default();
        let mut looked_at = LookedAt::default();
        let wanted = Wanted { blobs: true, messages: self.options.messages, trees: false };
        for (number, pack) in self.database.packs.iter().enumerate() {
            if memory.has_pack(pack) {
                statistics.known_before += u64::from(pack.index.count());
                looked_at.packs.insert(pack.number);
                continue;
            }
            let damage = damage(statistics);
            let forest = match forest::grow(pack, wanted, statistics) {
                Ok(forest) => forest,
                Err(error) => {
                    statistics.skip(
                        forest::name(pack, forest::NONE),
                        forest::reason(&error),
                        error.to_string(),
                    );
                    continue;
                }
            };
            let known = |number: Number| copies.contains(number);
            let walk = Walk {
                database: self.database,
                pack,
                forest: &forest,
                first: self.database.first_of_pack(number),
                known: &known,
                next_root: &AtomicUsize::new(0),
                done: &done,
                total,
                verification: self.options.verification,
            };
            self.on_all_threads(&over, statistics, &mut sightings, &|reader, eye| walk.run(reader, eye));
            if damage == self::damage(statistics) {
                looked_at.packs.insert(pack.number);
            }
        }
        let damage = damage(statistics);
        let next = AtomicUsize::new(0);
        if !self.database.loose.is_empty() {
            let run = |reader: &mut Reader, eye: &mut Eye<'_>| {
                self.look_at_loose(&next, &copies, memory, reader, eye)
            };
            self.on_all_threads(&over, statistics, &mut sightings, &run);
        }
        looked_at.loose = damage == self::damage(statistics);
        self.watch.tell("objects", total, total);
        (sightings, looked_at)
    }

    /// Objects in which something was seen by an earlier scan, seen again.
    pub(crate) fn look_at_holders(
        &self,
        holders: &[String],
        sightings: &mut Sightings,
        statistics: &mut Statistics,
    ) {
        let over = AtomicBool::new(false);
        let mut reader = Reader::new(self.options.blob_bytes_max);
        let mut eye = Eye::new(self.database, self.detector, &self.options.content, self.watch, &over);
        for hex in holders {
            let Some(number) = ObjectId::from_hex(hex.as_bytes()).ok().and_then(|id| self.database.find(&id))
            else {
                continue;
            };
            match self.database.load(number, &mut reader) {
                Ok((Kind::Blob, content)) => {
                    let class = eye.class(&content);
                    eye.look(number, &content, class, None, &mut |_, _| {});
                }
                Ok((_, content)) => eye.look_at_message(number, objects::halves(&content).1),
                Err(ObjectError::TooLarge(_)) => {
                    let eye = &mut eye;
                    let streamed =
                        self.database.stream(number, &mut reader, &mut |source| eye.inspect(number, source));
                    if let Err(error) = streamed {
                        eye.skip(hex.clone(), &error);
                    }
                }
                Err(error) => eye.skip(hex.clone(), &error),
            }
        }
        statistics.add(eye.statistics);
        sightings.merge(eye.sightings);
    }

    fn on_all_threads(
        &self,
        over: &AtomicBool,
        statistics: &mut Statistics,
        sightings: &mut Sightings,
        run: &(dyn Fn(&mut Reader, &mut Eye<'_>) + Sync),
    ) {
        let results = Mutex::new((statistics, sightings));
        let one = || {
            let mut reader = Reader::new(self.options.blob_bytes_max);
            let mut eye = Eye::new(self.database, self.detector, &self.options.content, self.watch, over);
            run(&mut reader, &mut eye);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.0.add(eye.statistics);
            results.1.merge(eye.sightings);
        };
        std::thread::scope(|scope| {
            for _ in 1..self.options.threads.clamp(1, 64) {
                scope.spawn(one);
            }
            one();
        });
    }

    fn look_at_loose(
        &self,
        next: &AtomicUsize,
        copies: &Bits,
        memory: &Memory,
        reader: &mut Reader,
        eye: &mut Eye<'_>,
    ) {
        let mut content = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(object) = self.database.loose.get(at) else { return };
            let number = self.database.first_loose() + u32::try_from(at).unwrap_or(u32::MAX);
            if eye.is_over() {
                return;
            }
            if copies.contains(number) {
                continue;
            }
            if memory.has_loose(&object.id) {
                eye.statistics.known_before += 1;
                continue;
            }
            let path = self.database.loose_path(object);
            let Reader { inflater, compressed, bytes_max, .. } = reader;
            match loose::read(&path, *bytes_max, inflater, compressed, &mut content) {
                Ok(Kind::Blob) => {
                    let class = eye.class(&content);
                    eye.look(number, &content, class, None, &mut |_, _| {});
                }
                Ok(Kind::Commit | Kind::Tag) if self.options.messages => {
                    eye.look_at_message(number, objects::halves(&content).1);
                }
                Ok(_) => {}
                Err(ObjectError::TooLarge(_)) => self.look_at_large(number, &path, reader, eye),
                Err(error) => eye.skip(object.id.to_string(), &error),
            }
        }
    }

    fn look_at_large(&self, number: Number, path: &Path, reader: &mut Reader, eye: &mut Eye<'_>) {
        let name = || self.database.id(number).map(|id| id.to_string()).unwrap_or_default();
        match loose::open(path, &mut reader.inflater, &mut reader.compressed) {
            Ok(mut opened) if opened.kind == Kind::Blob => eye.inspect(number, &mut opened),
            Ok(opened) => eye.skip(name(), &ObjectError::TooLarge(opened.size)),
            Err(error) => eye.skip(name(), &error),
        }
    }

    /// Objects that an earlier pack has too, or that are loose and packed.
    fn copies(&self) -> Bits {
        let mut copies = Bits::new(self.database.count());
        let packs = &self.database.packs;
        if packs.len() > 1 {
            let mut heap = BinaryHeap::new();
            let push = |heap: &mut BinaryHeap<_>, pack: usize, position: u32| {
                if let Some(id) = packs
                    .get(pack)
                    .filter(|pack| position < pack.index.count())
                    .and_then(|pack| pack.index.id(position))
                {
                    heap.push(Reverse((id, pack, position)));
                }
            };
            (0..packs.len()).for_each(|pack| push(&mut heap, pack, 0));
            let mut last = None;
            while let Some(Reverse((id, pack, position))) = heap.pop() {
                if last == Some(id) {
                    copies.insert(self.database.first_of_pack(pack) + position);
                }
                last = Some(id);
                push(&mut heap, pack, position + 1);
            }
        }
        if !packs.is_empty() {
            for (at, object) in self.database.loose.iter().enumerate() {
                let number = self.database.first_loose() + u32::try_from(at).unwrap_or(u32::MAX);
                if self.database.find(&object.id).is_some_and(|found| found != number) {
                    copies.insert(number);
                }
            }
        }
        copies
    }
}

/// How much was left out because it could not be read.
fn damage(statistics: &Statistics) -> u64 {
    use SkipReason::{Corrupt, Missing, PermissionDenied, Unreadable};
    let counts = statistics.skipped_counts();
    [Corrupt, Missing, PermissionDenied, Unreadable].iter().filter_map(|reason| counts.get(reason)).sum()
}

/// A set of objects.
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn new(count: Number) -> Self {
        Self(vec![0; count as usize / 64 + 1])
    }

    pub(crate) fn contains(&self, number: Number) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(crate) fn insert(&mut self, number: Number) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }
}

/// Where secrets came in: for each object that holds some, commits and paths.
pub(crate) struct Attribution {
    pub(crate) introductions: Introductions,
    pub(crate) commits: Commits,
    /// Secrets in commits and tags themselves.
    pub(crate) messages: BTreeMap<Number, Vec<SecretKey>>,
    /// All objects in which something was seen.
    pub(crate) holders: Vec<Number>,
}

impl History<'_> {
    /// Walks through the commits, oldest first, until it is known where the objects that were seen came in.
    pub(crate) fn attribute(
        &self,
        sightings: &Sightings,
        tips: &Tips,
        remembered: &[ObjectId],
        reader: &mut Reader,
        statistics: &mut Statistics,
    ) -> Attribution {
        let mut objects: BTreeMap<Number, Vec<SecretKey>> = BTreeMap::new();
        let mut messages = BTreeMap::new();
        for (number, keys) in sightings.by_object() {
            // The same object in another pack is told by its first number.
            let number = self.database.id(number).and_then(|id| self.database.find(&id)).unwrap_or(number);
            objects.entry(number).or_default().extend(keys);
        }
        for (number, keys) in &mut objects {
            keys.sort_unstable();
            keys.dedup();
            if self.is_message(*number, reader) {
                messages.insert(*number, keys.clone());
            }
        }
        let holders = objects.keys().copied().collect();
        objects.retain(|number, _| !messages.contains_key(number));
        let mut tracer = Tracer {
            history: self,
            trees: Trees::new(self.database, self.detector, objects.keys().copied()),
            unmet: objects.keys().map(|number| (*number, ())).collect(),
            objects: &objects,
            scratch: Scratch::default(),
            attribution: Attribution {
                introductions: Introductions::default(),
                commits: Commits::default(),
                messages,
                holders,
            },
            paths: PathFilter::new(&self.options.paths),
        };
        tracer.trace(&tips.included, Reach::Reference, reader, statistics);
        if tips.everything && self.options.unreachable == Unreachable::Scanned {
            tracer.trace(remembered, Reach::Reflog, reader, statistics);
            if !tracer.unmet.is_empty() {
                let left = self.commits_left(&tracer.attribution.commits);
                tracer.trace(&left, Reach::Nothing, reader, statistics);
            }
            tracer.give_up();
        }
        for path in std::mem::take(&mut tracer.trees.submodules) {
            statistics.skip(path, SkipReason::Submodule, "another repository; scan it by itself");
        }
        statistics.commits += tracer.attribution.commits.nodes.len() as u64;
        tracer.attribution
    }

    fn is_message(&self, number: Number, reader: &mut Reader) -> bool {
        self.options.messages
            && matches!(self.database.load(number, reader), Ok((Kind::Commit | Kind::Tag, _)))
    }

    /// Commits that nothing leads to.
    fn commits_left(&self, known: &Commits) -> Vec<ObjectId> {
        let mut left = Vec::new();
        let wanted = Wanted { blobs: false, messages: true, trees: false };
        for (number, pack) in self.database.packs.iter().enumerate() {
            let first = self.database.first_of_pack(number);
            let Ok(forest) = forest::grow(pack, wanted, &mut Statistics::default()) else { continue };
            let commits = forest.nodes.iter().filter(|node| node.kind == Kind::Commit);
            let unknown = commits.filter(|node| known.find(first + node.position).is_none());
            left.extend(unknown.filter_map(|node| pack.index.id(node.position)));
        }
        let mut reader = Reader::new(0);
        for object in &self.database.loose {
            let path = self.database.loose_path(object);
            match loose::open(&path, &mut reader.inflater, &mut reader.compressed) {
                Ok(opened) if opened.kind == Kind::Commit => left.push(object.id),
                _ => {}
            }
        }
        left
    }
}

struct Tracer<'a, 'b> {
    history: &'a History<'b>,
    trees: Trees<'a>,
    objects: &'a BTreeMap<Number, Vec<SecretKey>>,
    /// Objects that no tree was found to name yet.
    unmet: HashMap<Number, ()>,
    scratch: Scratch,
    attribution: Attribution,
    paths: PathFilter,
}

impl Tracer<'_, '_> {
    fn trace(&mut self, tips: &[ObjectId], reach: Reach, reader: &mut Reader, statistics: &mut Statistics) {
        let from = u32::try_from(self.attribution.commits.nodes.len()).unwrap_or(u32::MAX);
        let mut source = Source {
            database: self.history.database,
            reader,
            shallow: &self.history.repository.shallow,
            watch: self.history.watch,
        };
        for tip in tips {
            self.attribution.commits.gather(tip, reach, &mut source, statistics);
        }
        if self.objects.is_empty() && !tells_by_name(self.history.detector) {
            return;
        }
        for index in self.attribution.commits.oldest_first(from) {
            let Some(CommitNode { tree, .. }) = self.attribution.commits.nodes.get(index as usize) else {
                continue;
            };
            let tree = *tree;
            self.read(&tree, Some(index), reader, statistics);
            if self.history.watch.is_cancelled() {
                return;
            }
        }
        for (kind, id) in std::mem::take(&mut self.attribution.commits.bare) {
            match kind {
                Kind::Tree => self.read(&id, None, reader, statistics),
                _ => {
                    if let Some(number) = self.history.database.find(&id)
                        && self.objects.contains_key(&number)
                    {
                        self.meet("", number, None);
                    }
                }
            }
        }
    }

    fn read(
        &mut self,
        tree: &ObjectId,
        commit: Option<u32>,
        reader: &mut Reader,
        statistics: &mut Statistics,
    ) {
        let Self { trees, objects, unmet, attribution, paths, history, scratch, .. } = self;
        trees.read(tree, reader, statistics, &mut |met| {
            if !paths.admits(met.path) {
                return;
            }
            if met.by_name {
                for finding in history.detector.scan(&Fragment::whole(b"", met.path), scratch) {
                    attribution.introductions.add(met.path, SecretKey::of(&finding), met.object, commit);
                }
            } else {
                unmet.remove(&met.object);
                for key in objects.get(&met.object).into_iter().flatten() {
                    attribution.introductions.add(met.path, *key, met.object, commit);
                }
            }
        });
    }

    fn meet(&mut self, path: &str, object: Number, commit: Option<u32>) {
        self.unmet.remove(&object);
        if self.paths.admits(path) {
            for key in self.objects.get(&object).into_iter().flatten() {
                self.attribution.introductions.add(path, *key, object, commit);
            }
        }
    }

    /// What no tree names is told by its id alone.
    fn give_up(&mut self) {
        let mut left: Vec<Number> = self.unmet.keys().copied().collect();
        left.sort_unstable();
        for number in left {
            self.meet("", number, None);
        }
    }
}
