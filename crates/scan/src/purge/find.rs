//! Which objects hold what is looked for: each object of each pack once, versions where they differ from what they grow on.

use super::replacements::Replacements;
use super::walk::Walk;
use crate::git::database::{Database, Number, Reader};
use crate::git::error::ObjectError;
use crate::git::forest::{self, Wanted};
use crate::git::loose;
use crate::git::objects;
use crate::git::pack::{Header, Pack};
use crate::git::stream::EntryStream;
use crate::located::{Statistics, Watch};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::io::Read;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is looked for, and in what.
pub(super) struct Search<'a> {
    pub(super) database: &'a Database,
    pub(super) replacements: &'a Replacements,
    /// Blobs of more bytes are wanted too.
    pub(super) larger_than: Option<u64>,
    pub(super) wanted: Wanted,
    /// Commits are taken down, with what they lead to.
    pub(super) commits: bool,
    pub(super) watch: Watch<'a>,
    pub(super) counted: &'static str,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Objects of any kind that hold something.
    pub(super) holders: Vec<(Number, Kind)>,
    /// Blobs that are too large.
    pub(super) large: Vec<(Number, u64)>,
    pub(super) commits: CommitList,
    /// Objects that could not be read are in it, with a reason.
    pub(super) statistics: Statistics,
}

/// Commits with what they lead to, by number.
#[derive(Debug, Default)]
pub(super) struct CommitList {
    pub(super) commits: Vec<ListedCommit>,
    /// The parents of all of them, one after the other.
    pub(super) parents: Vec<Number>,
    /// Words in messages that look like ids: the commit, and the word.
    pub(super) mentions: Vec<(Number, Box<[u8]>)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ListedCommit {
    pub(super) number: Number,
    pub(super) first_parent: u32,
    pub(super) parents: u32,
    pub(super) tree: ObjectId,
    pub(super) seconds: i64,
}

/// Blobs that stand whole in a pack and are larger are looked at piece by piece.
pub(super) const HELD_BYTES_MAX: u64 = 32 << 20;
/// What is stored as a delta is held whole; git makes none of files of more than half a gigabyte.
pub(super) const OBJECT_BYTES_MAX: u64 = 1 << 30;

impl Search<'_> {
    /// Looks through all objects, wherever they lie.
    pub(super) fn run(&self, threads: usize) -> Found {
        let found = Mutex::new(Found::default());
        let done = AtomicU64::new(0);
        let total = u64::from(self.database.count());
        for (number, pack) in self.database.packs.iter().enumerate() {
            let mut statistics = Statistics::default();
            let forest = match forest::grow(pack, self.wanted, &mut statistics) {
                Ok(forest) => forest,
                Err(error) => {
                    statistics.skip(
                        forest::name(pack, forest::NONE),
                        forest::reason(&error),
                        error.to_string(),
                    );
                    add(&found, Found { statistics, ..Found::default() });
                    continue;
                }
            };
            add(&found, Found { statistics, ..Found::default() });
            let first = self.database.first_of_pack(number);
            let walk = Walk::new(self.database, pack, &forest, first);
            on_threads(threads, &|| {
                let mut finder = Finder::new(self, &done, total);
                walk.run(&mut finder);
                add(&found, finder.found);
            });
        }
        let next = AtomicUsize::new(0);
        on_threads(if self.database.loose.is_empty() { 0 } else { threads }, &|| {
            let mut finder = Finder::new(self, &done, total);
            finder.loose(&next);
            add(&found, finder.found);
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.commits.settle();
        found.holders.sort_unstable_by_key(|(number, _)| *number);
        found
    }
}

/// Runs the same on several threads.
pub(super) fn on_threads(threads: usize, run: &(dyn Fn() + Sync)) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        if threads > 0 {
            run();
        }
    });
}

fn add(all: &Mutex<Found>, more: Found) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.holders.extend(more.holders);
    all.large.extend(more.large);
    all.commits.extend(more.commits);
    all.statistics.add(more.statistics);
}

impl CommitList {
    fn extend(&mut self, more: Self) {
        let shift = u32::try_from(self.parents.len()).unwrap_or(u32::MAX);
        self.parents.extend(more.parents);
        let shifted = more
            .commits
            .into_iter()
            .map(|commit| ListedCommit { first_parent: commit.first_parent.saturating_add(shift), ..commit });
        self.commits.extend(shifted);
        self.mentions.extend(more.mentions);
    }

    fn settle(&mut self) {
        self.commits.sort_unstable_by_key(|commit| commit.number);
        self.mentions.sort_unstable();
    }
}

/// One thread's search.
pub(super) struct Finder<'a> {
    search: &'a Search<'a>,
    pub(super) reader: Reader,
    pub(super) found: Found,
    done: &'a AtomicU64,
    total: u64,
    /// How far around a change a value can reach.
    reach: Option<usize>,
}

/// An object, and where it differs from what it grows on.
pub(super) struct Met<'a> {
    pub(super) number: Number,
    pub(super) kind: Kind,
    pub(super) content: &'a [u8],
    /// Nothing if all of it is to be looked at.
    pub(super) changed: Option<&'a [Range<usize>]>,
}

impl<'a> Finder<'a> {
    fn new(search: &'a Search<'a>, done: &'a AtomicU64, total: u64) -> Self {
        let reach = search.replacements.reach();
        Self { search, reader: Reader::new(OBJECT_BYTES_MAX), found: Found::default(), done, total, reach }
    }

    pub(super) fn is_over(&self) -> bool {
        self.search.watch.is_cancelled()
    }

    /// Looks at an object, and says whether it holds something.
    pub(super) fn look(&mut self, met: &Met<'_>) -> bool {
        if met.kind == Kind::Blob
            && self.search.larger_than.is_some_and(|most| met.content.len() as u64 > most)
        {
            self.found.large.push((met.number, met.content.len() as u64));
        }
        if met.kind == Kind::Commit && self.search.commits {
            self.take_down(met.number, met.content);
        }
        let replacements = self.search.replacements;
        let holds = !replacements.is_empty()
            && match (met.changed, self.reach) {
                (Some(changed), Some(reach)) => replacements.contains_near(met.content, changed, reach),
                _ => replacements.contains(met.content),
            };
        if holds {
            self.found.holders.push((met.number, met.kind));
        }
        holds
    }

    /// Looks at what is too large to be held.
    pub(super) fn look_at_stream(
        &mut self,
        number: Number,
        size: u64,
        source: &mut dyn Read,
    ) -> Result<(), ObjectError> {
        if self.search.larger_than.is_some_and(|most| size > most) {
            self.found.large.push((number, size));
        }
        if stream_contains(self.search.replacements, source)? {
            self.found.holders.push((number, Kind::Blob));
        }
        Ok(())
    }

    pub(super) fn look_at_entry(
        &mut self,
        number: Number,
        pack: &Pack,
        header: &Header,
    ) -> Result<(), ObjectError> {
        let Reader { mut inflater, mut piece, .. } =
            std::mem::replace(&mut self.reader, Reader::new(OBJECT_BYTES_MAX));
        let mut stream = EntryStream::new(pack, header, &mut inflater, &mut piece);
        self.look_at_stream(number, header.size, &mut stream)
    }

    fn take_down(&mut self, number: Number, content: &[u8]) {
        let Some(links) = objects::links(content, self.search.database.hash) else {
            let name = self.search.database.id(number).map(|id| id.to_string()).unwrap_or_default();
            self.skip(name, &ObjectError::Corrupt("a commit without a tree"));
            return;
        };
        let list = &mut self.found.commits;
        let first_parent = u32::try_from(list.parents.len()).unwrap_or(u32::MAX);
        let before = list.parents.len();
        list.parents.extend(links.parents.iter().filter_map(|id| self.search.database.find(id)));
        let parents = u32::try_from(list.parents.len() - before).unwrap_or(0);
        let (tree, seconds) = (links.tree, links.seconds);
        list.commits.push(ListedCommit { number, first_parent, parents, tree, seconds });
        let words = id_words(objects::halves(content).1, self.search.database.hash.len_in_hex());
        list.mentions.extend(words.map(|word| (number, Box::from(word))));
    }

    fn loose(&mut self, next: &AtomicUsize) {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(loose) = self.search.database.loose.get(at) else { return };
            if self.is_over() {
                return;
            }
            let number = self.search.database.first_loose() + u32::try_from(at).unwrap_or(u32::MAX);
            if let Err(error) = self.loose_one(number, &self.search.database.loose_path(loose)) {
                self.skip(loose.id.to_string(), &error);
            }
            self.tell();
        }
    }

    fn loose_one(&mut self, number: Number, path: &std::path::Path) -> Result<(), ObjectError> {
        let mut reader = std::mem::replace(&mut self.reader, Reader::new(OBJECT_BYTES_MAX));
        let result = self.loose_with(number, path, &mut reader);
        self.reader = reader;
        result
    }

    fn loose_with(
        &mut self,
        number: Number,
        path: &std::path::Path,
        reader: &mut Reader,
    ) -> Result<(), ObjectError> {
        let mut opened = loose::open(path, &mut reader.inflater, &mut reader.compressed)?;
        let (kind, size) = (opened.kind, opened.size);
        if kind == Kind::Blob && size > HELD_BYTES_MAX {
            return self.look_at_stream(number, size, &mut opened);
        }
        drop(opened);
        let is_wanted = match kind {
            Kind::Blob => self.search.wanted.blobs,
            Kind::Tree => self.search.wanted.trees,
            Kind::Commit | Kind::Tag => self.search.wanted.messages,
        };
        if is_wanted {
            let mut content = Vec::new();
            loose::read(path, OBJECT_BYTES_MAX, &mut reader.inflater, &mut reader.compressed, &mut content)?;
            self.look(&Met { number, kind, content: &content, changed: None });
        }
        Ok(())
    }

    pub(super) fn skip(&mut self, what: String, error: &ObjectError) {
        self.found.statistics.skip(what, forest::reason(error), error.to_string());
    }

    pub(super) fn tell(&self) {
        const EVERY: u64 = 1024;
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(EVERY) {
            self.search.watch.tell(self.search.counted, done, self.total);
        }
    }
}

/// Pieces overlap by what a value can be long; expressions are found where they match within a piece.
fn stream_contains(replacements: &Replacements, source: &mut dyn Read) -> Result<bool, ObjectError> {
    const PIECE_BYTES: u64 = 4 << 20;
    const EXPRESSION_BYTES: usize = 256 << 10;
    if replacements.is_empty() {
        return Ok(false);
    }
    let overlap = replacements.reach().unwrap_or(EXPRESSION_BYTES);
    let mut held = Vec::new();
    loop {
        let read = (&mut *source).take(PIECE_BYTES).read_to_end(&mut held);
        let read = read.map_err(|error| ObjectError::Unreadable(error.kind()))?;
        if replacements.contains(&held) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        held.drain(..held.len().saturating_sub(overlap));
    }
}

/// Words of a message that are the beginning of an id: seven small hex digits or more.
pub(super) fn id_words(message: &[u8], digits_max: usize) -> impl Iterator<Item = &[u8]> {
    const DIGITS_MIN: usize = 7;
    message.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').filter(move |word| {
        (DIGITS_MIN..=digits_max).contains(&word.len())
            && word.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}
