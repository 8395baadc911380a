//! A request's view of the store through the barrier: plain keys and values here, ciphertext below.

use crate::barrier::{Keys, reveal_in};
use crate::effect::Effect;
use crate::error::Error;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use strongroom_crypto::aead::NONCE_BYTES;
use strongroom_secret::{Entropy, SecretBytes};
use strongroom_storage::{CommitIndex, Read, Snapshot, Storage, Transaction, Write, prefix_end};

/// Keys below the barrier start with this byte; the few that must be readable while sealed do not.
const BARRIER_PREFIX: u8 = 1;
/// A name's hidden form comes in units of this many bytes.
const NAME_UNIT_BYTES: usize = 16;
/// For a transaction's writes at once.
const DRAWN_BYTES_MAX: usize = 4096;
/// A list goes on reading through this many entries of one folder before it seeks past them.
const FOLDER_ENTRIES_READ_THROUGH: usize = 16;

/// The owner of a part of the store: a namespace and a mount in it. Both stand in every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Space {
    pub namespace: u64,
    pub mount: u64,
}

/// A kind of record within a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table(pub u8);

/// A storage key, or the common start of several. Names in it are encrypted, so it is safe to log and to store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: Vec<u8>,
}

/// What a stored record must say about itself.
pub trait Record: Serialize + DeserializeOwned {
    /// Stands before the record. Grows when an older program could not read the record.
    const VERSION: u8 = 1;
}

/// A transaction: reads see its own writes; nothing is stored until the kernel commits.
pub struct Tx<'s> {
    snapshot: Box<dyn Snapshot + 's>,
    keys: Arc<Keys>,
    writable: bool,
    /// A write was tried that is not allowed.
    refused_write: bool,
    is_tracking: bool,
    reads: Vec<Read>,
    writes: BTreeMap<Vec<u8>, Option<SecretBytes>>,
    /// Written as they are: what must be readable while sealed.
    bare: Vec<Write>,
    effects: Vec<Effect>,
    marks: Marks,
}

/// The writes of a transaction at some moment.
pub(crate) struct SavePoint {
    writes: BTreeMap<Vec<u8>, Option<SecretBytes>>,
    effects: Vec<Effect>,
}

/// How far each cache had come before the snapshot was taken: what is read from the snapshot may be cached only while
/// its cache has not moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    pub tokens: u64,
    pub policies: u64,
    pub identity: u64,
}

/// Whether a transaction may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    Write,
}

impl<'s> Tx<'s> {
    pub(crate) fn new(
        storage: &'s dyn Storage,
        keys: Arc<Keys>,
        intent: Intent,
        marks: Marks,
    ) -> Result<Self, Error> {
        let snapshot = storage.snapshot()?;
        let writable = intent == Intent::Write;
        Ok(Self {
            snapshot,
            keys,
            writable,
            refused_write: false,
            is_tracking: writable,
            reads: Vec::new(),
            writes: BTreeMap::new(),
            bare: Vec::new(),
            effects: Vec::new(),
            marks,
        })
    }

    /// Goes on with a later keyring of the same server.
    pub(crate) fn renew_keys(&mut self, keys: &Arc<Keys>) {
        self.keys = keys.clone();
    }

    pub(crate) fn marks(&self) -> Marks {
        self.marks
    }

    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether something tried to write on a snapshot.
    pub(crate) fn has_refused_write(&self) -> bool {
        self.refused_write
    }

    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    pub fn index(&self) -> CommitIndex {
        self.snapshot.index()
    }

    /// The start of all keys of a table.
    pub fn table(&self, space: Space, table: Table) -> Key {
        let mut bytes = Vec::with_capacity(96);
        bytes.push(BARRIER_PREFIX);
        bytes.extend_from_slice(&space.namespace.to_be_bytes());
        bytes.extend_from_slice(&space.mount.to_be_bytes());
        bytes.push(table.0);
        Key { bytes }
    }

    /// A key that continues `parent` by bytes that give nothing away: an id, a keyed hash, a time.
    #[must_use]
    pub fn id_key(&self, parent: &Key, id: &[u8]) -> Key {
        let mut bytes = parent.bytes.clone();
        bytes.extend_from_slice(id);
        Key { bytes }
    }

    /// A key that continues `parent` by the segments of a path, each encrypted. Slashes at the ends do not count.
    #[must_use]
    pub fn path_key(&self, parent: &Key, path: &str) -> Key {
        let mut key = parent.clone();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            self.push_name(&mut key.bytes, segment);
        }
        key
    }

    /// A key that continues `parent` by one encrypted name, which may contain slashes.
    #[must_use]
    pub fn name_key(&self, parent: &Key, name: &str) -> Key {
        let mut key = parent.clone();
        self.push_name(&mut key.bytes, name);
        key
    }

    fn push_name(&self, bytes: &mut Vec<u8>, name: &str) {
        // Names are bounded (1 KiB), so that the length in units fits a byte.
        let length = |bytes: usize| u8::try_from(bytes / NAME_UNIT_BYTES).unwrap_or(u8::MAX);
        self.keys.hidden.push(bytes, name, length, |before, name| self.keys.names.hide(before, name));
    }

    /// The value, decrypted. In a write transaction the commit will fail if it changes meanwhile.
    pub fn get(&mut self, key: &Key) -> Result<Option<SecretBytes>, Error> {
        if let Some(written) = self.writes.get(&key.bytes) {
            return Ok(written.as_ref().map(SecretBytes::duplicate));
        }
        if self.is_tracking {
            self.reads.push(Read::Key(key.bytes.clone()));
        }
        match self.snapshot.read(&key.bytes)? {
            Some(sealed) => self.keys.open(&key.bytes, &sealed).map(Some),
            None => Ok(None),
        }
    }

    /// Makes the commit fail if the entry changes meanwhile, without reading it.
    pub fn depend_on(&mut self, key: &Key) {
        if self.is_tracking {
            self.reads.push(Read::Key(key.bytes.clone()));
        }
    }

    /// Runs `work` without noting what it reads: the commit does not fail when that changes meanwhile. For what nobody
    /// else uses any longer.
    pub(crate) fn untracked<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.is_tracking, false);
        let result = work(self);
        self.is_tracking = before;
        result
    }

    /// Remembers what has been written so far, to be restored by [`Self::restore`].
    pub(crate) fn save_point(&self) -> SavePoint {
        let duplicate = |(key, value): (&Vec<u8>, &Option<SecretBytes>)| {
            (key.clone(), value.as_ref().map(SecretBytes::duplicate))
        };
        SavePoint { writes: self.writes.iter().map(duplicate).collect(), effects: self.effects.clone() }
    }

    /// Forgets what was written since.
    pub(crate) fn restore(&mut self, point: SavePoint) {
        self.writes = point.writes;
        self.effects = point.effects;
    }

    pub fn put(&mut self, key: &Key, value: Vec<u8>) -> Result<(), Error> {
        self.write(key, Some(SecretBytes::new(value)))
    }

    pub fn delete(&mut self, key: &Key) -> Result<(), Error> {
        self.write(key, None)
    }

    fn write(&mut self, key: &Key, value: Option<SecretBytes>) -> Result<(), Error> {
        if !self.writable {
            self.refused_write = true;
            return Err(Error::internal("a handler declared as a read tried to write"));
        }
        self.writes.insert(key.bytes.clone(), value);
        Ok(())
    }

    /// Reads a record.
    pub fn record<T: Record>(&mut self, key: &Key) -> Result<Option<T>, Error> {
        match self.get(key)? {
            Some(bytes) => decode(bytes.expose()).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a record that is read often and holds no secrets: as long as its row stays the same, it is decrypted and
    /// parsed once.
    pub fn shared_record<T: Record + Send + Sync + 'static>(
        &mut self,
        key: &Key,
    ) -> Result<Option<Arc<T>>, Error> {
        if self.writes.contains_key(&key.bytes) {
            return Ok(self.record(key)?.map(Arc::new));
        }
        self.depend_on(key);
        let Some(sealed) = self.snapshot.read(&key.bytes)? else { return Ok(None) };
        if let Some(record) = self.keys.decoded.find(&key.bytes, &sealed) {
            return Ok(Some(record));
        }
        let record = Arc::new(decode(self.keys.open(&key.bytes, &sealed)?.expose())?);
        self.keys.decoded.keep(&key.bytes, sealed, &record);
        Ok(Some(record))
    }

    pub fn put_record<T: Record>(&mut self, key: &Key, record: &T) -> Result<(), Error> {
        self.put(key, encode(record)?)
    }

    /// Replaces a row that is readable while sealed. The value is ciphertext already.
    pub(crate) fn put_bare(&mut self, name: &str, value: Vec<u8>) {
        let key = crate::seal::bare_key(name);
        self.reads.push(Read::Key(key.clone()));
        self.bare.push(Write { key, value: Some(value) });
    }

    /// Something to be done in memory once the commit is durable.
    pub(crate) fn after_commit(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    /// Visits the entries whose keys continue `prefix`, in the order of their keys, decrypted, until `visit` breaks.
    /// `visit` gets the part of the key after the prefix.
    pub fn entries(
        &mut self,
        prefix: &Key,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let keys = self.keys.clone();
        self.scan(&prefix.bytes.clone(), &mut |key, value| {
            let rest = key.get(prefix.bytes.len()..).unwrap_or_default();
            match value {
                Stored::Sealed(sealed) => visit(rest, keys.open(key, sealed)?.expose()),
                Stored::Plain(plain) => visit(rest, plain),
            }
        })
    }

    /// The same, of the entries after one of the table: `after` is what `visit` was given of its key.
    pub fn entries_after(
        &mut self,
        prefix: &Key,
        after: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let keys = self.keys.clone();
        let mut start = self.id_key(prefix, after).bytes;
        if !after.is_empty() {
            start.push(0);
        }
        self.scan_from(&start, prefix_end(&prefix.bytes), &mut |key, value| {
            let rest = key.get(prefix.bytes.len()..).unwrap_or_default();
            match value {
                Stored::Sealed(sealed) => visit(rest, keys.open(key, sealed)?.expose()),
                Stored::Plain(plain) => visit(rest, plain),
            }
        })
    }

    /// How many entries there are whose keys continue `prefix`. Nothing is decrypted.
    pub fn count_entries(&mut self, prefix: &Key) -> Result<u64, Error> {
        let mut count = 0;
        self.scan(&prefix.bytes.clone(), &mut |_, _| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// All records whose keys continue `prefix`.
    pub fn records<T: Record>(&mut self, prefix: &Key) -> Result<Vec<T>, Error> {
        let mut records = Vec::new();
        self.entries(prefix, &mut |_, value| {
            records.push(decode(value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(records)
    }

    /// The key of the entry that `entries` visited under `prefix` with this rest.
    #[must_use]
    pub fn entry_key(&self, prefix: &Key, rest: &[u8]) -> Key {
        self.id_key(prefix, rest)
    }

    /// The names directly below a folder, sorted; those with more below them end in a slash. A name that is both an
    /// entry and a folder is there twice.
    pub fn children(&mut self, folder: &Key) -> Result<Vec<String>, Error> {
        let keys = self.keys.clone();
        let mut names = Vec::new();
        let start_length = folder.bytes.len();
        let mut start = folder.bytes.clone();
        let mut hidden_names = keys.names.folder(&folder.bytes);
        loop {
            let mut seek = None;
            let mut last: Vec<u8> = Vec::new();
            let mut read_through = 0;
            self.scan_from(&start, prefix_end(&folder.bytes), &mut |key, _| {
                let Some(end) = name_end(key, start_length) else { return Ok(ControlFlow::Continue(())) };
                let Some(hidden) = key.get(start_length + 1..end) else {
                    return Ok(ControlFlow::Continue(()));
                };
                let is_folder = end < key.len();
                if is_folder && hidden == last {
                    read_through += 1;
                    if read_through > FOLDER_ENTRIES_READ_THROUGH {
                        seek = key.get(..end).and_then(prefix_end);
                        return Ok(ControlFlow::Break(()));
                    }
                    return Ok(ControlFlow::Continue(()));
                }
                let mut name = reveal_in(&mut hidden_names, hidden)?;
                if is_folder {
                    name.push('/');
                    last = hidden.to_vec();
                    read_through = 0;
                }
                names.push(name);
                Ok(ControlFlow::Continue(()))
            })?;
            if let Some(next) = seek {
                start = next;
                continue;
            }
            // Hidden names come in any order: sorted once at the end, a million of them cost a third.
            let mut names = sorted(names);
            names.dedup();
            return Ok(names);
        }
    }

    /// The paths of all entries below a folder, at any depth, sorted, at most `limit`.
    pub fn descendants(&mut self, folder: &Key, limit: usize) -> Result<Vec<String>, Error> {
        let keys = self.keys.clone();
        let start_length = folder.bytes.len();
        let mut paths = Vec::new();
        self.scan(&folder.bytes.clone(), &mut |key, _| {
            paths.push(reveal_path(&keys, key, start_length)?);
            Ok(if paths.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(sorted(paths))
    }

    /// The path that a key's encrypted names spell, after `folder`.
    pub fn reveal(&self, folder: &Key, rest: &[u8]) -> Result<String, Error> {
        let mut bytes = folder.bytes.clone();
        bytes.extend_from_slice(rest);
        reveal_path(&self.keys, &bytes, folder.bytes.len())
    }

    /// Whether anything is stored below a folder.
    pub fn has_entries(&mut self, folder: &Key) -> Result<bool, Error> {
        let mut found = false;
        self.scan(&folder.bytes.clone(), &mut |_, _| {
            found = true;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// Removes up to `limit` entries whose keys continue `prefix`; says how many there were.
    pub fn delete_entries(&mut self, prefix: &Key, limit: usize) -> Result<usize, Error> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        self.scan(&prefix.bytes.clone(), &mut |key, _| {
            found.push(key.to_vec());
            Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let count = found.len();
        for key in found {
            self.writes.insert(key, None);
        }
        Ok(count)
    }

    /// The start of all keys of a mount, whatever the table.
    pub fn space(&self, space: Space) -> Key {
        let mut key = self.table(space, Table(0));
        key.bytes.pop();
        key
    }

    /// The start of all keys of a namespace.
    pub fn namespace_space(&self, namespace: u64) -> Key {
        let mut bytes = vec![BARRIER_PREFIX];
        bytes.extend_from_slice(&namespace.to_be_bytes());
        Key { bytes }
    }

    fn scan(&mut self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.scan_from(prefix, prefix_end(prefix), visit)
    }

    /// Merges the snapshot with this transaction's own writes.
    fn scan_from(&mut self, start: &[u8], end: Option<Vec<u8>>, visit: &mut Visit<'_>) -> Result<(), Error> {
        if self.is_tracking {
            self.reads.push(Read::Range { start: start.to_vec(), end: end.clone() });
        }
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut own = self.writes.range::<[u8], _>((Bound::Included(start), upper)).peekable();
        let mut failure = None;
        let mut broken = false;
        let mut step = |key: &[u8], value: Stored<'_>| match visit(key, value) {
            Ok(flow) => flow,
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        };
        self.snapshot.scan(start, end.as_deref(), &mut |key, sealed| {
            while let Some((own_key, own_value)) = own.next_if(|(own_key, _)| own_key.as_slice() <= key) {
                let replaced = own_key.as_slice() == key;
                if let Some(plain) = own_value
                    && step(own_key, Stored::Plain(plain.expose())).is_break()
                {
                    broken = true;
                    return ControlFlow::Break(());
                }
                if replaced {
                    return ControlFlow::Continue(());
                }
            }
            let flow = step(key, Stored::Sealed(sealed));
            broken = flow.is_break();
            flow
        })?;
        if !broken {
            for (key, value) in own {
                if let Some(plain) = value
                    && step(key, Stored::Plain(plain.expose())).is_break()
                {
                    break;
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Whether anything would be written.
    pub fn is_changed(&self) -> bool {
        !self.writes.is_empty() || !self.bare.is_empty()
    }

    /// Encrypts what was written, ready for the store.
    pub(crate) fn finish(self, entropy: &dyn Entropy) -> (Transaction, Vec<Effect>) {
        let keys = self.keys;
        let nonces = DrawnAtOnce::new(entropy, self.writes.len() * NONCE_BYTES);
        let writes = self
            .writes
            .into_iter()
            .map(|(key, value)| {
                let value = value.map(|plain| keys.seal(&nonces, &key, plain.expose()));
                Write { key, value }
            })
            .chain(self.bare)
            .collect();
        (Transaction { base: self.snapshot.index(), reads: self.reads, writes }, self.effects)
    }
}

/// Randomness for several nonces, which are no secrets, drawn in one call to the system.
struct DrawnAtOnce<'e> {
    entropy: &'e dyn Entropy,
    drawn: Mutex<std::vec::IntoIter<u8>>,
}

impl<'e> DrawnAtOnce<'e> {
    fn new(entropy: &'e dyn Entropy, bytes: usize) -> Self {
        let mut drawn = vec![0; bytes.min(DRAWN_BYTES_MAX)];
        entropy.fill(&mut drawn);
        Self { entropy, drawn: Mutex::new(drawn.into_iter()) }
    }
}

impl Entropy for DrawnAtOnce<'_> {
    fn fill(&self, out: &mut [u8]) {
        let mut drawn = self.drawn.lock();
        if drawn.len() < out.len() {
            return self.entropy.fill(out);
        }
        out.iter_mut().zip(drawn.by_ref()).for_each(|(out, byte)| *out = byte);
    }
}

enum Stored<'v> {
    Sealed(&'v [u8]),
    Plain(&'v [u8]),
}

type Visit<'v> = dyn FnMut(&[u8], Stored<'_>) -> Result<ControlFlow<()>, Error> + 'v;

/// Sorts names by the eight bytes with which they begin to differ, which stand beside each other in memory, and looks at
/// the names themselves only where these are equal.
fn sorted(names: Vec<String>) -> Vec<String> {
    let common = |one: &str, other: &str| one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let first = names.first().cloned().unwrap_or_default();
    let prefix = names.iter().fold(first.len(), |length, name| length.min(common(&first, name)));
    let start_of = |name: &String| {
        let mut start = [0; 8];
        let rest = name.bytes().skip(prefix);
        start.iter_mut().zip(rest).for_each(|(start, byte)| *start = byte);
        u64::from_be_bytes(start)
    };
    let mut keyed: Vec<(u64, String)> = names.into_iter().map(|name| (start_of(&name), name)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, name)| name).collect()
}

/// Where the name that starts at `start` ends: one byte of length in units, then the name.
fn name_end(key: &[u8], start: usize) -> Option<usize> {
    let units = usize::from(*key.get(start)?);
    let end = start + 1 + units * NAME_UNIT_BYTES;
    (units > 0 && end <= key.len()).then_some(end)
}

fn reveal_path(keys: &Keys, key: &[u8], start: usize) -> Result<String, Error> {
    let mut path = String::new();
    let mut at = start;
    while let Some(end) = name_end(key, at) {
        if !path.is_empty() {
            path.push('/');
        }
        let hidden = key.get(at + 1..end).unwrap_or_default();
        path.push_str(&keys.reveal(key.get(..at).unwrap_or_default(), hidden)?);
        at = end;
    }
    Ok(path)
}

impl Key {
    /// The bytes as they are stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn encode<T: Record>(record: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![T::VERSION];
    serde_json::to_writer(&mut bytes, record)
        .map_err(|error| Error::internal(format!("a record cannot be written: {error}")))?;
    Ok(bytes)
}

/// Reads a record; the error names the type and never the content.
pub(crate) fn decode<T: Record>(bytes: &[u8]) -> Result<T, Error> {
    let kind = std::any::type_name::<T>();
    match bytes.split_first() {
        Some((version, _)) if *version > T::VERSION => Err(Error::internal(format!(
            "a {kind} of version {version} was written by a newer program; this one knows version {}",
            T::VERSION
        ))),
        Some((_, json)) => serde_json::from_slice(json).map_err(|error| {
            Error::internal(format!(
                "a {kind} cannot be read: line {} column {}",
                error.line(),
                error.column()
            ))
        }),
        None => Err(Error::internal(format!("a {kind} is empty"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_texts_are() {
        let mut state = 7_u64;
        let mut names = Vec::new();
        for number in 0..2000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            names.push(format!("app-{}", state >> (number % 60)));
            names.push(format!("app-{}\u{0}", number % 50));
            names.push(format!("app-{}/é{number}", number % 50));
        }
        for count in [0, 1, 2, names.len()] {
            let mut expected = names.get(..count).unwrap_or_default().to_vec();
            let found = sorted(expected.clone());
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}
