//! What was committed lately, in memory.
//!
//! SQLite drops what a connection has cached when another connection commits, so that a reader on the newest commit
//! would begin anew after each one. Ours stay on the commit they saw first, and look here for what was committed since.
//!
//! Time is cut into eras. An era begins with a commit, its base, and knows every change after that. A snapshot belongs to
//! the era in which it was taken and reads, in this order:
//!
//! 1. the newest change of the key up to the snapshot's own index;
//! 2. the row as it was at the base, if it was read before: without a change in between it still is so;
//! 3. the database, on a view that lies between the base and the snapshot's index.
//!
//! Nothing is ever corrected: changes carry their index, and rows are of the base alone. Changes are noted before the
//! database takes them, so that a view of the database is never ahead of what is known here; until they are published no
//! snapshot has an index at which it would see them. When they reach their bound, the next commit begins a new era, and the
//! old one goes with its last snapshot.

use super::rows::{KeyHash, KeyHasher, Rows};
use crate::{CommitIndex, Write};
use hashbrown::HashTable;
use parking_lot::RwLock;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// What an entry costs beside its bytes, about.
pub(super) const ENTRY_BYTES: usize = 128;
/// Changes taken out at a time by a scan: the first time, and at most.
const TAKEN_FIRST: usize = 4;
const TAKEN_MAX: usize = 128;

/// How much an era may hold, in bytes; of changes at least one commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) changes: usize,
    pub(super) rows: usize,
}

/// The newest commit, and the era it is in.
pub(super) struct Timeline {
    bounds: Bounds,
    hasher: KeyHasher,
    now: RwLock<Moment>,
}

/// A commit, and the era in which it was the newest one.
#[derive(Clone)]
pub(super) struct Moment {
    /// None: everything is being replaced, and a snapshot must look at the database alone.
    pub(super) era: Option<Arc<Era>>,
    pub(super) index: CommitIndex,
}

/// See the module's text.
pub(super) struct Era {
    base: CommitIndex,
    hasher: KeyHasher,
    changes: RwLock<Changes>,
    rows: Rows,
}

#[derive(Default)]
struct Changes {
    hasher: KeyHasher,
    /// Hashes of the keys below: most keys that are read have not changed lately, and need not be sought among them.
    hashes: HashTable<u64>,
    by_key: BTreeMap<Box<[u8]>, Change>,
    bytes: usize,
}

/// What became of one key.
struct Change {
    newest: Version,
    /// Those before it, oldest first.
    older: Vec<Version>,
}

struct Version {
    index: CommitIndex,
    /// None: the key was removed.
    value: Option<Box<[u8]>>,
}

impl Timeline {
    pub(super) fn new(bounds: Bounds, index: CommitIndex) -> Self {
        let hasher = KeyHasher::default();
        Self { bounds, now: RwLock::new(Moment::first(index, bounds, &hasher)), hasher }
    }

    pub(super) fn index(&self) -> CommitIndex {
        self.now.read().index
    }

    /// The newest commit, at least what the database already shows: a view may be ahead of its writer, who has not been
    /// told yet that the commit is complete.
    pub(super) fn now(&self, view: Option<CommitIndex>) -> Moment {
        let is_ahead = |now: &Moment| now.era.is_some() && view.is_some_and(|view| view > now.index);
        let now = self.now.read();
        if !is_ahead(&now) {
            return now.clone();
        }
        drop(now);
        let mut now = self.now.write();
        if is_ahead(&now) {
            now.index = view.unwrap_or(now.index);
        }
        now.clone()
    }

    /// Notes what is about to be committed on top of `base`, the newest commit. Called by the writer alone.
    pub(super) fn announce(&self, base: CommitIndex, group: &[(CommitIndex, Vec<Write>)]) {
        let bytes = group.iter().flat_map(|(_, writes)| writes).map(bytes_of).sum();
        let era = self.now.read().era.clone().filter(|era| era.has_room(bytes, self.bounds));
        let era = era.or_else(|| self.begin(base).era);
        let Some(era) = era else { return };
        for (index, writes) in group {
            era.changes.write().add(*index, writes);
        }
    }

    /// What was announced up to here is committed.
    pub(super) fn publish(&self, index: CommitIndex) {
        let mut now = self.now.write();
        now.index = now.index.max(index);
    }

    /// Begins an era at the newest commit. What was announced and not published is forgotten.
    pub(super) fn begin(&self, index: CommitIndex) -> Moment {
        self.set(Moment::first(index, self.bounds, &self.hasher))
    }

    /// From now on something is committed that is not announced, until an era begins.
    pub(super) fn suspend(&self) {
        self.set(Moment { era: None, index: self.index() });
    }

    fn set(&self, moment: Moment) -> Moment {
        let last = std::mem::replace(&mut *self.now.write(), moment.clone());
        // Not under the lock: there may be much to free.
        drop(last);
        moment
    }
}

impl Moment {
    fn first(index: CommitIndex, bounds: Bounds, hasher: &KeyHasher) -> Self {
        let changes = RwLock::new(Changes { hasher: hasher.clone(), ..Changes::default() });
        let era = Era { base: index, hasher: hasher.clone(), changes, rows: Rows::new(bounds.rows) };
        Self { era: Some(Arc::new(era)), index }
    }

    /// Whether a view of the database, and what is in memory, make a snapshot.
    pub(super) fn is_served_by(&self, view: Option<CommitIndex>) -> bool {
        self.era.as_ref().zip(view).is_some_and(|(era, view)| era.base <= view)
    }
}

impl Era {
    /// The rows as they were at the base, those that were read.
    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    fn has_room(&self, bytes: usize, bounds: Bounds) -> bool {
        self.changes.read().bytes + bytes <= bounds.changes
    }

    /// For the look-ups of this era.
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        self.hasher.hash(key)
    }

    /// What the last change of a key up to `index` made of it; None if there was none.
    pub(super) fn change(&self, hash: KeyHash, key: &[u8], index: CommitIndex) -> Option<Option<Vec<u8>>> {
        let changes = self.changes.read();
        changes.hashes.find(hash.0, |other| *other == hash.0)?;
        let version = changes.by_key.get(key)?.at(index)?;
        Some(version.value.as_deref().map(<[u8]>::to_vec))
    }

    /// The changes of `start <= key < end` as they stood at `index`, in ascending order of keys.
    pub(super) fn changes<'e>(
        &'e self,
        start: &[u8],
        end: Option<&'e [u8]>,
        index: CommitIndex,
    ) -> ChangesInRange<'e> {
        ChangesInRange {
            era: self,
            index,
            next: Bound::Included(start.into()),
            end,
            taken: VecDeque::new(),
            take: TAKEN_FIRST,
            is_over: end.is_some_and(|end| end <= start),
        }
    }
}

fn bytes_of(write: &Write) -> usize {
    write.key.len() + write.value.as_ref().map_or(0, Vec::len) + ENTRY_BYTES
}

impl Changes {
    fn add(&mut self, index: CommitIndex, writes: &[Write]) {
        for write in writes {
            self.bytes += bytes_of(write);
            let version = Version { index, value: write.value.as_deref().map(Box::from) };
            match self.by_key.get_mut(write.key.as_slice()) {
                Some(change) => change.add(version),
                None => {
                    let change = Change { newest: version, older: Vec::new() };
                    let KeyHash(hash) = self.hasher.hash(&write.key);
                    self.hashes.insert_unique(hash, hash, |hash| *hash);
                    self.by_key.insert(Box::from(write.key.as_slice()), change);
                }
            }
        }
    }
}

impl Change {
    fn add(&mut self, version: Version) {
        let before = std::mem::replace(&mut self.newest, version);
        // The later write of a key within one transaction wins.
        if before.index < self.newest.index {
            self.older.push(before);
        }
    }

    fn at(&self, index: CommitIndex) -> Option<&Version> {
        if self.newest.index <= index {
            return Some(&self.newest);
        }
        self.older.iter().rev().find(|version| version.index <= index)
    }
}

/// A changed key, and its value; None: it was removed.
type Taken = (Box<[u8]>, Option<Vec<u8>>);

/// Changes for a scan, taken out a few at a time: the visitor may take its time, and may read.
pub(super) struct ChangesInRange<'e> {
    era: &'e Era,
    index: CommitIndex,
    next: Bound<Box<[u8]>>,
    end: Option<&'e [u8]>,
    taken: VecDeque<Taken>,
    take: usize,
    is_over: bool,
}

impl ChangesInRange<'_> {
    /// The key of the next change.
    pub(super) fn peek(&mut self) -> Option<&[u8]> {
        while self.taken.is_empty() && !self.is_over {
            self.take_some();
        }
        self.taken.front().map(|(key, _)| &**key)
    }

    /// Takes the next change whose key is below `bound`, or any without a bound.
    pub(super) fn next_below(&mut self, bound: Option<&[u8]>) -> Option<Taken> {
        let key = self.peek()?;
        if bound.is_some_and(|bound| key >= bound) {
            return None;
        }
        self.taken.pop_front()
    }

    /// Takes the change of this key, if it is the next one.
    pub(super) fn next_of(&mut self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        if self.peek()? != key {
            return None;
        }
        self.taken.pop_front().map(|(_, value)| value)
    }

    fn take_some(&mut self) {
        let changes = self.era.changes.read();
        let start = match &self.next {
            Bound::Included(key) => Bound::Included(&**key),
            Bound::Excluded(key) => Bound::Excluded(&**key),
            Bound::Unbounded => Bound::Unbounded,
        };
        let end = self.end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        let mut looked_at = 0;
        for (key, change) in changes.by_key.range::<[u8], _>((start, end)).take(self.take) {
            looked_at += 1;
            last = Some(key);
            if let Some(version) = change.at(self.index) {
                self.taken.push_back((key.clone(), version.value.as_deref().map(<[u8]>::to_vec)));
            }
        }
        self.is_over = looked_at < self.take;
        if let Some(key) = last {
            self.next = Bound::Excluded(key.clone());
        }
        self.take = (self.take * 4).min(TAKEN_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Write {
        Write { key: key.into(), value: Some(value.into()) }
    }

    fn removed(key: &str) -> Write {
        Write { key: key.into(), value: None }
    }

    /// At commit 10.
    fn timeline(changes: usize) -> Timeline {
        Timeline::new(Bounds { changes, rows: 1000 }, CommitIndex(10))
    }

    fn commit(timeline: &Timeline, index: u64, writes: Vec<Write>) {
        timeline.announce(timeline.index(), &[(CommitIndex(index), writes)]);
        timeline.publish(CommitIndex(index));
    }

    fn now(timeline: &Timeline) -> (Arc<Era>, u64) {
        let Moment { era, index } = timeline.now(None);
        (era.unwrap(), index.0)
    }

    fn change(era: &Era, key: &str, index: u64) -> Option<Option<Vec<u8>>> {
        era.change(era.hash(key.as_bytes()), key.as_bytes(), CommitIndex(index))
    }

    fn text(value: &str) -> Option<Option<Vec<u8>>> {
        Some(Some(value.into()))
    }

    #[test]
    fn a_change_is_seen_from_its_commit_on() {
        let timeline = timeline(10_000);
        commit(&timeline, 11, vec![put("a", "1"), put("a", "2")]);
        commit(&timeline, 12, vec![removed("a"), put("b", "1")]);
        commit(&timeline, 13, vec![put("a", "3")]);
        let (era, index) = now(&timeline);
        assert_eq!((era.base, index), (CommitIndex(10), 13));
        let at = |key: &str, index| change(&era, key, index);
        assert_eq!(
            [at("a", 10), at("a", 11), at("a", 12), at("a", 13)],
            [None, text("2"), Some(None), text("3")]
        );
        assert_eq!([at("b", 11), at("b", 12), at("c", 13)], [None, text("1"), None]);
    }

    #[test]
    fn what_is_announced_is_not_seen_before_it_is_published() {
        let timeline = timeline(10_000);
        timeline.announce(CommitIndex(10), &[(CommitIndex(11), vec![put("a", "1")])]);
        let (era, index) = now(&timeline);
        assert_eq!((change(&era, "a", index), index), (None, 10));
        // The commit failed.
        timeline.begin(CommitIndex(10));
        commit(&timeline, 11, vec![put("b", "1")]);
        let (era, index) = now(&timeline);
        assert_eq!((change(&era, "a", 11), index), (None, 11));
        // It did not: a view of the database is told of it before we are.
        timeline.announce(CommitIndex(11), &[(CommitIndex(12), vec![put("a", "2")])]);
        assert_eq!(timeline.now(Some(CommitIndex(12))).index, CommitIndex(12));
        assert_eq!(now(&timeline).1, 12, "no snapshot goes back behind another");
        timeline.publish(CommitIndex(12));
        assert_eq!(change(&now(&timeline).0, "a", 12), text("2"));
    }

    #[test]
    fn a_full_era_is_followed_by_an_empty_one() {
        let timeline = timeline(2 * (ENTRY_BYTES + 2));
        commit(&timeline, 11, vec![put("a", "1")]);
        commit(&timeline, 12, vec![put("b", "1")]);
        let (old, _) = now(&timeline);
        commit(&timeline, 13, vec![put("b", "2")]);
        let (new, index) = now(&timeline);
        assert_eq!((old.base, new.base, index), (CommitIndex(10), CommitIndex(12), 13));
        assert_eq!(change(&old, "b", 12), text("1"));
        assert_eq!(change(&new, "b", 13), text("2"));
        assert_eq!(change(&new, "a", 13), None, "it is in the database");
        let is_served = |view| timeline.now(None).is_served_by(Some(CommitIndex(view)));
        assert!(is_served(12) && !is_served(11));
    }

    #[test]
    fn while_all_is_replaced_no_memory_serves() {
        let timeline = timeline(1000);
        timeline.suspend();
        let moment = timeline.now(Some(CommitIndex(20)));
        assert!(moment.era.is_none() && !moment.is_served_by(Some(CommitIndex(20))));
        timeline.begin(CommitIndex(20));
        assert!(timeline.now(None).is_served_by(Some(CommitIndex(20))));
    }

    #[test]
    fn a_scan_takes_all_in_range_in_order() {
        let timeline = timeline(1 << 20);
        let names: Vec<String> = (0..300).map(|number| format!("k{number:03}")).collect();
        commit(&timeline, 11, names.iter().map(|name| put(name, "v")).collect());
        commit(&timeline, 12, vec![removed("k007"), put("k0075", "later")]);
        let (era, _) = now(&timeline);
        let keys = |start: &str, end: Option<&str>, index| {
            let mut range = era.changes(start.as_bytes(), end.map(str::as_bytes), CommitIndex(index));
            std::iter::from_fn(|| range.next_below(None)).collect::<Vec<Taken>>()
        };
        assert_eq!(keys("", None, 11).len(), 300);
        let found = keys("k005", Some("k009"), 12);
        let found: Vec<(&[u8], bool)> = found.iter().map(|(key, value)| (&**key, value.is_some())).collect();
        assert_eq!(
            found,
            [(&b"k005"[..], true), (b"k006", true), (b"k007", false), (b"k0075", true), (b"k008", true)]
        );
        assert_eq!(keys("k005", Some("k009"), 11).len(), 4);
        assert_eq!((keys("x", None, 12).len(), keys("k9", Some("k1"), 12).len()), (0, 0));
    }
}
