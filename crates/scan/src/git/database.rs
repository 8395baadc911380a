//! All objects of a repository, by number: those of the packs in the order of their ids, then the loose ones.

use super::delta::Delta;
use super::error::ObjectError;
use super::inflate::Inflater;
use super::loose::{self, Loose};
use super::pack::{Form, Header, Pack, PackError};
use super::pack_index::{PackIndex, PackIndexError};
use super::rebuild;
use super::repository::Repository;
use super::stored::Piece;
use super::stream::EntryStream;
use crate::located::{SkipReason, Statistics};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::Kind;
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An object of this repository, counted through.
pub(crate) type Number = u32;

pub(crate) struct Database {
    pub(crate) packs: Vec<Pack>,
    /// The number of each pack's first object, and of the first loose one.
    firsts: Vec<Number>,
    /// Sorted by id, each once.
    pub(crate) loose: Vec<Loose>,
    folders: Vec<PathBuf>,
    pub(crate) hash: HashKind,
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Position in the index of a pack.
    Packed {
        pack: usize,
        position: u32,
    },
    Loose(usize),
}

/// So much of packs and indexes is held in memory; the rest is read as it is needed.
const MEMORY_BYTES: u64 = 96 << 20;
const PACKS_MAX: usize = 50_000;
/// git makes chains of at most 4095 deltas.
pub(crate) const CHAIN_MAX: usize = 5000;

impl Database {
    pub(crate) fn open(repository: &Repository, statistics: &mut Statistics) -> Self {
        let mut database = Self {
            packs: Vec::new(),
            firsts: Vec::new(),
            loose: Vec::new(),
            folders: repository.object_dirs.clone(),
            hash: repository.hash,
        };
        let mut memory = MEMORY_BYTES;
        let mut next: Number = 0;
        for folder in &repository.object_dirs {
            for path in pack_paths(&folder.join("pack"), statistics) {
                let number = u32::try_from(database.packs.len()).unwrap_or(u32::MAX);
                let Some(pack) = open_pack(&path, repository.hash, number, &mut memory, statistics) else {
                    continue;
                };
                let Some(after) =
                    next.checked_add(pack.index.count()).filter(|_| database.packs.len() < PACKS_MAX)
                else {
                    statistics.skip(
                        path.display().to_string(),
                        SkipReason::TooLarge,
                        "more objects than can be counted",
                    );
                    continue;
                };
                database.firsts.push(next);
                database.packs.push(pack);
                next = after;
            }
        }
        database.firsts.push(next);
        for (number, folder) in repository.object_dirs.iter().enumerate() {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            loose::list(folder, number, repository.hash, &mut database.loose, statistics);
        }
        if repository.partial {
            let detail = "a partial clone: objects that were promised and not fetched are not scanned";
            statistics.skip(repository.common_dir.display().to_string(), SkipReason::Missing, detail);
        }
        database.loose.sort_unstable();
        database.loose.dedup_by(|one, other| one.id == other.id);
        database
    }

    pub(crate) fn without_objects(hash: HashKind) -> Self {
        Self { packs: Vec::new(), firsts: vec![0], loose: Vec::new(), folders: Vec::new(), hash }
    }

    #[cfg(test)]
    pub(crate) fn of_pack(pack: Pack) -> Self {
        let firsts = vec![0, pack.index.count()];
        Self { firsts, packs: vec![pack], ..Self::without_objects(HashKind::Sha1) }
    }

    /// How many objects there are; some may be in several packs.
    pub(crate) fn count(&self) -> Number {
        let packed = self.firsts.last().copied().unwrap_or(0);
        packed.saturating_add(u32::try_from(self.loose.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn first_of_pack(&self, pack: usize) -> Number {
        self.firsts.get(pack).copied().unwrap_or(0)
    }

    pub(crate) fn first_loose(&self) -> Number {
        self.firsts.last().copied().unwrap_or(0)
    }

    pub(crate) fn find(&self, id: &ObjectId) -> Option<Number> {
        for (pack, first) in self.packs.iter().zip(&self.firsts) {
            if let Some(position) = pack.index.find(id) {
                return Some(first + position);
            }
        }
        let at = self.loose.binary_search_by(|loose| loose.id.cmp(id)).ok()?;
        Some(self.first_loose() + u32::try_from(at).ok()?)
    }

    pub(crate) fn place(&self, number: Number) -> Option<Place> {
        let after = self.firsts.partition_point(|first| *first <= number);
        let pack = after.checked_sub(1)?;
        let position = number - self.firsts.get(pack)?;
        if pack == self.packs.len() {
            return Some(Place::Loose(usize::try_from(position).ok()?));
        }
        Some(Place::Packed { pack, position })
    }

    pub(crate) fn id(&self, number: Number) -> Option<ObjectId> {
        match self.place(number)? {
            Place::Packed { pack, position } => self.packs.get(pack)?.index.id(position),
            Place::Loose(at) => Some(self.loose.get(at)?.id),
        }
    }

    pub(crate) fn loose_path(&self, loose: &Loose) -> PathBuf {
        let folder = self.folders.get(usize::from(loose.folder)).cloned().unwrap_or_default();
        loose::path_of(&folder, &loose.id)
    }

    /// Ids that begin with these hex digits, at most two of them.
    pub(crate) fn starting_with(&self, prefix: &str) -> Vec<ObjectId> {
        let mut found = Vec::new();
        for pack in &self.packs {
            found.extend(pack.index.starting_with(prefix, 2));
        }
        let loose = self.loose.iter().map(|loose| loose.id);
        found.extend(loose.filter(|id| id.to_string().starts_with(prefix)).take(2));
        found.sort_unstable();
        found.dedup();
        found.truncate(2);
        found
    }

    /// The whole object.
    pub(crate) fn load(
        &self,
        number: Number,
        reader: &mut Reader,
    ) -> Result<(Kind, Arc<Vec<u8>>), ObjectError> {
        match self.place(number).ok_or(ObjectError::Missing)? {
            Place::Packed { pack, position } => {
                let pack = self.packs.get(pack).ok_or(ObjectError::Missing)?;
                let offset = pack.index.offset(position).ok_or(ObjectError::Missing)?;
                self.load_packed(pack, offset, reader)
            }
            Place::Loose(at) => {
                let loose = self.loose.get(at).ok_or(ObjectError::Missing)?;
                let path = self.loose_path(loose);
                let mut content = Vec::new();
                let Reader { inflater, compressed, bytes_max, .. } = reader;
                let kind = loose::read(&path, *bytes_max, inflater, compressed, &mut content)?;
                Ok((kind, Arc::new(content)))
            }
        }
    }

    /// Hands a blob that is too large to be held to `take`, piece by piece. One that is stored as a delta cannot be.
    pub(crate) fn stream(
        &self,
        number: Number,
        reader: &mut Reader,
        take: &mut dyn FnMut(&mut dyn Read),
    ) -> Result<(), ObjectError> {
        let Reader { inflater, compressed, piece, .. } = reader;
        match self.place(number).ok_or(ObjectError::Missing)? {
            Place::Packed { pack, position } => {
                let pack = self.packs.get(pack).ok_or(ObjectError::Missing)?;
                let offset = pack.index.offset(position).ok_or(ObjectError::Missing)?;
                let header = pack.header(offset, piece)?;
                if !matches!(header.form, Form::Whole(_)) {
                    return Err(ObjectError::TooLarge(header.size));
                }
                take(&mut EntryStream::new(pack, &header, inflater, piece));
            }
            Place::Loose(at) => {
                let loose = self.loose.get(at).ok_or(ObjectError::Missing)?;
                take(&mut loose::open(&self.loose_path(loose), inflater, compressed)?);
            }
        }
        Ok(())
    }

    pub(crate) fn load_id(
        &self,
        id: &ObjectId,
        reader: &mut Reader,
    ) -> Result<(Kind, Arc<Vec<u8>>), ObjectError> {
        self.load(self.find(id).ok_or(ObjectError::Missing)?, reader)
    }

    /// The object of an entry: down the chain of deltas to something whole, then up again.
    pub(crate) fn load_packed(
        &self,
        pack: &Pack,
        offset: u64,
        reader: &mut Reader,
    ) -> Result<(Kind, Arc<Vec<u8>>), ObjectError> {
        let mut chain: Vec<(u64, Header)> = Vec::new();
        let mut offset = offset;
        let (kind, mut content) = loop {
            if chain.len() > CHAIN_MAX {
                return Err(ObjectError::TooDeep);
            }
            if let Some(cached) = reader.cache.find((pack.number, offset)) {
                break cached;
            }
            let header = pack.header(offset, &mut reader.piece)?;
            match header.form {
                Form::Whole(kind) => {
                    let mut content = Vec::new();
                    reader.inflate(pack, &header, &mut content)?;
                    let content = Arc::new(content);
                    reader.cache.keep((pack.number, offset), kind, &content);
                    break (kind, content);
                }
                Form::DeltaAt(base) => {
                    chain.push((offset, header));
                    offset = base;
                }
                Form::DeltaOf(id) => {
                    chain.push((offset, header));
                    match pack.index.find(&id) {
                        Some(position) => offset = pack.index.offset(position).ok_or(ObjectError::Missing)?,
                        None => break self.load_outside(pack, &id, reader)?,
                    }
                }
            }
        };
        let mut delta = std::mem::take(&mut reader.delta);
        for (offset, header) in chain.into_iter().rev() {
            reader.inflate(pack, &header, &mut delta)?;
            let parsed = Delta::parse(&delta)?;
            reader.check_size(parsed.result_size)?;
            let mut result = Vec::new();
            parsed.apply(&content, &mut result, &mut reader.changed)?;
            content = Arc::new(result);
            reader.cache.keep((pack.number, offset), kind, &content);
        }
        reader.delta = delta;
        Ok((kind, content))
    }

    /// The base of a thin pack's delta, from anywhere else.
    fn load_outside(
        &self,
        thin: &Pack,
        id: &ObjectId,
        reader: &mut Reader,
    ) -> Result<(Kind, Arc<Vec<u8>>), ObjectError> {
        if reader.outside >= OUTSIDE_MAX {
            return Err(ObjectError::TooDeep);
        }
        let number = self.find(id).ok_or(ObjectError::Missing)?;
        if let Some(Place::Packed { pack, .. }) = self.place(number)
            && self.packs.get(pack).is_some_and(|pack| pack.number == thin.number)
        {
            return Err(ObjectError::Missing);
        }
        reader.outside += 1;
        let loaded = self.load(number, reader);
        reader.outside -= 1;
        loaded
    }
}

/// Thin packs on thin packs: each on a pack before it. More is a circle.
const OUTSIDE_MAX: usize = 8;

fn pack_paths(folder: &Path, statistics: &mut Statistics) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                statistics.skip(
                    folder.display().to_string(),
                    loose::reason_of(error.kind()),
                    "the folder of packs",
                );
            }
            return Vec::new();
        }
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut packs: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "pack")).collect();
    // Larger ones first: they hold most of what is looked for.
    packs.sort_by_cached_key(|path| {
        (std::cmp::Reverse(fs::metadata(path).map_or(0, |data| data.len())), path.clone())
    });
    packs
}

fn open_pack(
    path: &Path,
    hash: HashKind,
    number: u32,
    memory: &mut u64,
    statistics: &mut Statistics,
) -> Option<Pack> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (index, mut problem) = match PackIndex::open(&path.with_extension("idx"), hash, memory) {
        Ok(index) => (index, None),
        Err(error) => (rebuild::empty(hash).ok()?, Some(error)),
    };
    let (mut pack, declared) = match Pack::open(path, index, hash, number, memory) {
        Ok(opened) => opened,
        Err(error) => {
            let reason = match &error {
                PackError::Io(error) => loose::reason_of(error.kind()),
                PackError::Damaged(_) => SkipReason::Corrupt,
            };
            statistics.skip(name, reason, error.to_string());
            return None;
        }
    };
    if problem.is_none() && pack.index.count() != declared {
        problem = Some(PackIndexError::Damaged("it is for another number of objects".to_owned()));
    }
    let Some(problem) = problem else { return Some(pack) };
    let reason = match &problem {
        PackIndexError::Io(error) => loose::reason_of(error.kind()),
        PackIndexError::Damaged(_) => SkipReason::Corrupt,
    };
    let lost = rebuild::rebuild(&mut pack, declared).unwrap_or(declared);
    let detail = format!(
        "its index: {problem}; the pack was read without it, and {lost} of {declared} objects are lost \
         (`git index-pack` makes a new one)"
    );
    statistics.skip(name, reason, detail);
    (pack.index.count() > 0).then_some(pack)
}

/// What one thread needs while it reads objects.
pub(crate) struct Reader {
    pub(crate) inflater: Inflater,
    pub(crate) piece: Piece,
    pub(crate) compressed: Vec<u8>,
    delta: Vec<u8>,
    changed: Vec<Range<usize>>,
    cache: Cache,
    /// Larger objects are refused before anything is reserved for them.
    pub(crate) bytes_max: u64,
    outside: usize,
}

impl Reader {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            inflater: Inflater::new(),
            piece: Piece::default(),
            compressed: Vec::new(),
            delta: Vec::new(),
            changed: Vec::new(),
            cache: Cache::default(),
            bytes_max,
            outside: 0,
        }
    }

    fn check_size(&self, size: u64) -> Result<usize, ObjectError> {
        if size > self.bytes_max {
            return Err(ObjectError::TooLarge(size));
        }
        usize::try_from(size).map_err(|_| ObjectError::TooLarge(size))
    }

    /// What an entry holds: an object or a delta.
    pub(crate) fn inflate(
        &mut self,
        pack: &Pack,
        header: &Header,
        target: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        let size = self.check_size(header.size)?;
        // Deflate adds a few bytes to what cannot be compressed.
        let end = header.data + header.size + header.size / 64 + 1024;
        let compressed = pack.compressed(header.data, end, &mut self.piece)?;
        self.inflater.whole(compressed, size, target)?;
        Ok(())
    }
}

/// Objects by pack and offset, those used last: two generations, the older one dropped when the younger one is full.
#[derive(Default)]
struct Cache {
    young: HashMap<(u32, u64), (Kind, Arc<Vec<u8>>)>,
    old: HashMap<(u32, u64), (Kind, Arc<Vec<u8>>)>,
    young_bytes: usize,
}

const GENERATION_BYTES: usize = 12 << 20;

impl Cache {
    fn find(&mut self, key: (u32, u64)) -> Option<(Kind, Arc<Vec<u8>>)> {
        if let Some((kind, content)) = self.young.get(&key) {
            return Some((*kind, Arc::clone(content)));
        }
        let (kind, content) = self.old.remove(&key)?;
        self.keep(key, kind, &content);
        Some((kind, content))
    }

    fn keep(&mut self, key: (u32, u64), kind: Kind, content: &Arc<Vec<u8>>) {
        const OVERHEAD: usize = 128;
        let bytes = content.capacity() + OVERHEAD;
        if bytes > GENERATION_BYTES / 4 {
            return;
        }
        if self.young_bytes + bytes > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, (kind, Arc::clone(content)));
    }
}
