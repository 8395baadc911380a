//! The new objects, in one pack with its index (gitformat-pack(5)).
//!
//! gix-pack makes packs of objects that an object database can already find, and counts them first. Here each object is
//! written once, when it has been made, mostly as a delta to the version before it that is at hand anyway; so the writing is
//! ours.

use super::delta_writer::delta_between;
use super::error::Error;
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::Kind;
use sha1::Digest;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;
use zlib_rs::{Deflate, DeflateFlush, Status};

/// Where the new objects go: a pack, or nowhere if it is only tried.
pub(super) struct Output {
    pack: Option<Mutex<PackWriter>>,
    folder: PathBuf,
    pub(super) hash: HashKind,
}

/// Where an object stands in the new pack, and on how many deltas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    offset: u64,
    depth: u32,
}

impl Written {
    /// Nothing stands at the beginning of a pack.
    pub(super) fn is_there(&self) -> bool {
        self.offset > 0
    }
}

/// An object that another one can be a delta to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) content: &'a [u8],
    pub(super) written: Written,
}

/// git itself makes chains of 50, its `--aggressive` ones of 250 once.
const DEPTH_MAX: u32 = 80;

struct PackWriter {
    file: BufWriter<NamedTempFile>,
    offset: u64,
    entries: Vec<IndexEntry>,
    by_id: HashMap<ObjectId, Written>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct IndexEntry {
    id: ObjectId,
    offset: u64,
    crc: u32,
}

impl Output {
    /// A new pack in a repository's folder of objects.
    pub(super) fn begin(objects: &Path, hash: HashKind) -> Result<Self, Error> {
        let folder = objects.join("pack");
        let failed = |source| Error::write(&folder, source);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        // git removes what was left behind under such a name.
        let file = tempfile::Builder::new().prefix("tmp_pack_").tempfile_in(&folder).map_err(failed)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(b"PACK\0\0\0\x02\0\0\0\0").map_err(failed)?;
        let writer = PackWriter { file, offset: 12, entries: Vec::new(), by_id: HashMap::new() };
        Ok(Self { pack: Some(Mutex::new(writer)), folder, hash })
    }

    pub(super) fn nowhere(hash: HashKind, objects: &Path) -> Self {
        Self { pack: None, folder: objects.join("pack"), hash }
    }

    /// Writes an object unless it is there, whole or as a delta.
    pub(super) fn write(
        &self,
        id: ObjectId,
        kind: Kind,
        content: &[u8],
        base: Option<Base<'_>>,
        compressor: &mut Compressor,
    ) -> Result<Written, Error> {
        let Some(pack) = &self.pack else { return Ok(Written::default()) };
        if let Some(written) = lock(pack).by_id.get(&id) {
            return Ok(*written);
        }
        let base = base.filter(|base| base.written.is_there() && base.written.depth < DEPTH_MAX);
        let delta = base.and_then(|base| {
            let delta = delta_between(base.content, content, &mut compressor.delta)?;
            Some((base.written, delta))
        });
        let (form, raw) = match &delta {
            Some((written, delta)) => (EntryForm::DeltaTo(*written), delta.as_slice()),
            None => (EntryForm::Whole(kind), content),
        };
        let compressed = compressor.compress(raw).map_err(|source| Error::write(&self.folder, source))?;
        lock(pack)
            .append(id, form, raw.len() as u64, compressed)
            .map_err(|source| Error::write(&self.folder, source))
    }

    /// A file without a name, for what is too large to be held.
    pub(super) fn scratch_file(&self) -> Result<File, Error> {
        let made = tempfile::tempfile_in(&self.folder).or_else(|_| tempfile::tempfile());
        made.map_err(|source| Error::write(&self.folder, source))
    }

    /// Writes a blob that is too large to be held.
    pub(super) fn write_large(
        &self,
        source: &mut File,
        compressor: &mut Compressor,
    ) -> Result<ObjectId, Error> {
        let failed = |source| Error::write(&self.folder, source);
        let size = source.seek(SeekFrom::End(0)).map_err(failed)?;
        source.rewind().map_err(failed)?;
        let mut hasher = Hasher::new(self.hash);
        hasher.update(format!("blob {size}\0").as_bytes());
        let mut compressed = self.scratch_file()?;
        compressor
            .compress_stream(source, &mut compressed, &mut |piece| hasher.update(piece))
            .map_err(failed)?;
        let id = hasher.finish();
        compressed.rewind().map_err(failed)?;
        if let Some(pack) = &self.pack {
            let form = EntryForm::Whole(Kind::Blob);
            lock(pack).append_stream(id, form, size, &mut compressed).map_err(failed)?;
        }
        Ok(id)
    }

    /// Where an object stands in the new pack, if it was written.
    pub(super) fn written(&self, id: &ObjectId) -> Option<Written> {
        lock(self.pack.as_ref()?).by_id.get(id).copied()
    }

    /// Adds an object as another pack stores it: an entry without its header, whole or a delta. It must not be there yet.
    pub(super) fn carry(
        &self,
        id: ObjectId,
        form: EntryForm,
        size: u64,
        compressed: &[u8],
    ) -> Result<Written, Error> {
        let Some(pack) = &self.pack else { return Ok(Written::default()) };
        lock(pack)
            .append_entry(id, form, size, compressed)
            .map_err(|source| Error::write(&self.folder, source))
    }

    /// The same for an entry that is too large to be held.
    pub(super) fn carry_stream(
        &self,
        id: ObjectId,
        form: EntryForm,
        size: u64,
        compressed: &mut dyn Read,
    ) -> Result<Written, Error> {
        let Some(pack) = &self.pack else { return Ok(Written::default()) };
        lock(pack)
            .append_stream(id, form, size, compressed)
            .map_err(|source| Error::write(&self.folder, source))
    }

    /// Makes room for the index of so many more objects at once.
    pub(super) fn reserve(&self, objects: usize) {
        if let Some(pack) = &self.pack {
            lock(pack).entries.reserve_exact(objects);
        }
    }

    /// Ends the pack, and makes it part of the repository. Answers with its name, or nothing if no object was written.
    pub(super) fn finish(self) -> Result<Option<PathBuf>, Error> {
        let Some(pack) = self.pack else { return Ok(None) };
        let pack = pack.into_inner().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder;
        pack.finish(&folder, self.hash).map_err(|source| Error::write(&folder, source))
    }
}

fn lock(pack: &Mutex<PackWriter>) -> std::sync::MutexGuard<'_, PackWriter> {
    pack.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the new pack has an object.
#[derive(Clone, Copy)]
pub(super) enum EntryForm {
    Whole(Kind),
    DeltaTo(Written),
}

impl PackWriter {
    fn append(&mut self, id: ObjectId, form: EntryForm, size: u64, compressed: &[u8]) -> io::Result<Written> {
        if let Some(written) = self.by_id.get(&id) {
            return Ok(*written);
        }
        let written = self.append_entry(id, form, size, compressed)?;
        self.by_id.insert(id, written);
        Ok(written)
    }

    fn append_entry(
        &mut self,
        id: ObjectId,
        form: EntryForm,
        size: u64,
        compressed: &[u8],
    ) -> io::Result<Written> {
        let (written, header) = self.begin(form, size);
        let crc = zlib_rs::crc32::crc32(zlib_rs::crc32::crc32(0, &header), compressed);
        self.file.write_all(&header)?;
        self.file.write_all(compressed)?;
        self.offset += (header.len() + compressed.len()) as u64;
        self.entries.push(IndexEntry { id, offset: written.offset, crc });
        Ok(written)
    }

    fn append_stream(
        &mut self,
        id: ObjectId,
        form: EntryForm,
        size: u64,
        compressed: &mut dyn Read,
    ) -> io::Result<Written> {
        if let Some(written) = self.by_id.get(&id) {
            return Ok(*written);
        }
        let (written, header) = self.begin(form, size);
        let mut crc = zlib_rs::crc32::crc32(0, &header);
        self.file.write_all(&header)?;
        self.offset += header.len() as u64;
        let mut piece = vec![0; 1 << 20];
        loop {
            let read = compressed.read(&mut piece)?;
            let bytes = piece.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            crc = zlib_rs::crc32::crc32(crc, bytes);
            self.file.write_all(bytes)?;
            self.offset += read as u64;
        }
        self.entries.push(IndexEntry { id, offset: written.offset, crc });
        self.by_id.insert(id, written);
        Ok(written)
    }

    /// Where the next entry stands, and the header that it begins with.
    fn begin(&self, form: EntryForm, size: u64) -> (Written, Vec<u8>) {
        let mut header = Vec::with_capacity(24);
        let depth = match form {
            EntryForm::Whole(kind) => {
                entry_header(number_of(kind), size, &mut header);
                0
            }
            EntryForm::DeltaTo(base) => {
                const OFS_DELTA: u8 = 6;
                entry_header(OFS_DELTA, size, &mut header);
                distance(self.offset - base.offset, &mut header);
                base.depth + 1
            }
        };
        (Written { offset: self.offset, depth }, header)
    }

    fn finish(self, folder: &Path, hash: HashKind) -> io::Result<Option<PathBuf>> {
        let Self { file, mut entries, by_id, .. } = self;
        drop(by_id);
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        if entries.is_empty() {
            return Ok(None);
        }
        let count = u32::try_from(entries.len()).map_err(io::Error::other)?;
        file.as_file_mut().seek(SeekFrom::Start(8))?;
        file.write_all(&count.to_be_bytes())?;
        let checksum = checksum_of(file.as_file_mut(), hash)?;
        file.as_file_mut().seek(SeekFrom::End(0))?;
        file.write_all(checksum.as_bytes())?;
        entries.sort_unstable();
        let index = index_of(&entries, &checksum, hash);
        let mut index_file = tempfile::Builder::new().prefix("tmp_idx_").tempfile_in(folder)?;
        index_file.write_all(&index)?;
        for written in [&file, &index_file] {
            written.as_file().set_permissions(std::fs::Permissions::from_mode(0o444))?;
            written.as_file().sync_all()?;
        }
        let name = folder.join(format!("pack-{checksum}"));
        // The index comes last: without one nobody reads the pack.
        file.persist(name.with_extension("pack")).map_err(|error| error.error)?;
        index_file.persist(name.with_extension("idx")).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()?;
        Ok(Some(name.with_extension("pack")))
    }
}

fn number_of(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    }
}

/// Kind and size: four bits of it, then groups of seven.
fn entry_header(kind: u8, size: u64, target: &mut Vec<u8>) {
    let mut byte = kind << 4 | (size & 0x0f) as u8;
    let mut rest = size >> 4;
    while rest > 0 {
        target.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    target.push(byte);
}

/// How far back the base is: groups of seven bits, the greatest first, each but the last one less than it says.
fn distance(distance: u64, target: &mut Vec<u8>) {
    let mut groups = vec![(distance & 0x7f) as u8];
    let mut rest = distance >> 7;
    while rest > 0 {
        rest -= 1;
        groups.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    target.extend(groups.iter().rev());
}

fn checksum_of(file: &mut File, hash: HashKind) -> io::Result<ObjectId> {
    file.rewind()?;
    let mut hasher = Hasher::new(hash);
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// An index of version 2.
fn index_of(entries: &[IndexEntry], pack: &ObjectId, hash: HashKind) -> Vec<u8> {
    let mut bytes = vec![0xff, b't', b'O', b'c', 0, 0, 0, 2];
    for first in 0..=u8::MAX {
        let count = entries.partition_point(|entry| entry.id.first_byte() <= first);
        bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }
    entries.iter().for_each(|entry| bytes.extend(entry.id.as_bytes()));
    entries.iter().for_each(|entry| bytes.extend(entry.crc.to_be_bytes()));
    let mut large: Vec<u64> = Vec::new();
    for entry in entries {
        let small = u32::try_from(entry.offset).ok().filter(|offset| offset & 0x8000_0000 == 0);
        let word = small.unwrap_or_else(|| {
            large.push(entry.offset);
            0x8000_0000 | u32::try_from(large.len() - 1).unwrap_or(0)
        });
        bytes.extend(word.to_be_bytes());
    }
    large.iter().for_each(|offset| bytes.extend(offset.to_be_bytes()));
    bytes.extend(pack.as_bytes());
    let mut hasher = Hasher::new(hash);
    hasher.update(&bytes);
    bytes.extend(hasher.finish().as_bytes());
    bytes
}

/// The id of an object. gix's own hashing also looks for forged collisions, at a third of the speed; what is hashed here is
/// made of objects that git has let in.
pub(super) fn id_of(hash: HashKind, kind: Kind, content: &[u8]) -> ObjectId {
    let mut hasher = Hasher::new(hash);
    hasher.update(kind.as_bytes());
    hasher.update(format!(" {}\0", content.len()).as_bytes());
    hasher.update(content);
    hasher.finish()
}

enum Hasher {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Hasher {
    fn new(hash: HashKind) -> Self {
        match hash {
            HashKind::Sha256 => Self::Sha256(sha2::Sha256::new()),
            _ => Self::Sha1(sha1::Sha1::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> ObjectId {
        match self {
            Self::Sha1(hasher) => ObjectId::Sha1(hasher.finalize().into()),
            Self::Sha256(hasher) => ObjectId::Sha256(hasher.finalize().into()),
        }
    }
}

/// One thread's compression.
pub(super) struct Compressor {
    deflate: Deflate,
    target: Vec<u8>,
    delta: super::delta_writer::Scratch,
}

/// Shorter texts are stored as they are: compressing them takes longer than it spares.
const STORED_BYTES_MAX: usize = 96;

impl Compressor {
    pub(super) fn new() -> Self {
        // Most of what is written are small deltas, which a higher level makes hardly smaller.
        const LEVEL: i32 = 1;
        Self {
            deflate: Deflate::new(LEVEL, true, 15),
            target: Vec::new(),
            delta: super::delta_writer::Scratch::default(),
        }
    }

    fn compress(&mut self, raw: &[u8]) -> io::Result<&[u8]> {
        if raw.len() <= STORED_BYTES_MAX {
            self.target.clear();
            self.store(raw);
            return Ok(&self.target);
        }
        self.deflate.reset();
        let room = zlib_rs::compress_bound(raw.len()) + 64;
        if self.target.len() < room {
            self.target.resize(room, 0);
        }
        let status = self.deflate.compress(raw, &mut self.target, DeflateFlush::Finish);
        if !matches!(status, Ok(Status::StreamEnd)) {
            return Err(io::Error::other("compressing failed"));
        }
        let length = usize::try_from(self.deflate.total_out()).map_err(io::Error::other)?;
        self.target.get(..length).ok_or_else(|| io::Error::other("compressing failed"))
    }

    /// A stream of one stored block (RFC 1950, RFC 1951 3.2.4).
    fn store(&mut self, raw: &[u8]) {
        let length = raw.len() as u16;
        self.target.extend([0x78, 0x01, 0x01]);
        self.target.extend(length.to_le_bytes());
        self.target.extend((!length).to_le_bytes());
        self.target.extend_from_slice(raw);
        self.target.extend(zlib_rs::adler32::adler32(1, raw).to_be_bytes());
    }

    fn compress_stream(
        &mut self,
        source: &mut dyn Read,
        target: &mut dyn Write,
        each: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        self.deflate.reset();
        let mut piece = vec![0; 1 << 20];
        let mut room = vec![0; 1 << 20];
        loop {
            let read = source.read(&mut piece)?;
            let mut input = piece.get(..read).unwrap_or_default();
            each(input);
            let flush = if read == 0 { DeflateFlush::Finish } else { DeflateFlush::NoFlush };
            loop {
                let before = (self.deflate.total_in(), self.deflate.total_out());
                let status = self.deflate.compress(input, &mut room, flush);
                let status = status.map_err(|_| io::Error::other("compressing failed"))?;
                let taken = usize::try_from(self.deflate.total_in() - before.0).map_err(io::Error::other)?;
                let made = usize::try_from(self.deflate.total_out() - before.1).map_err(io::Error::other)?;
                input = input.get(taken..).unwrap_or_default();
                target.write_all(room.get(..made).unwrap_or_default())?;
                if status == Status::StreamEnd {
                    return Ok(());
                }
                if input.is_empty() && flush == DeflateFlush::NoFlush {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::HashKind;
    use crate::git::database::{Database, Reader};
    use crate::git::pack::Pack;
    use crate::git::pack_index::PackIndex;

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::begin(folder.path(), HashKind::Sha1).unwrap();
        let mut compressor = Compressor::new();
        let mut texts: Vec<Vec<u8>> = vec![Vec::new(), b"short".to_vec()];
        let mut text = b"line of a text that is long enough\n".repeat(400);
        for number in 0..200 {
            text.splice(number * 40..number * 40 + 3, format!("<{number}>").into_bytes());
            texts.push(text.clone());
        }
        let mut base: Option<(Vec<u8>, Written)> = None;
        for text in &texts {
            let id = id_of(HashKind::Sha1, Kind::Blob, text);
            let on = base.as_ref().map(|(content, written)| Base { content, written: *written });
            let written = output.write(id, Kind::Blob, text, on, &mut compressor).unwrap();
            assert_eq!(output.write(id, Kind::Blob, text, None, &mut compressor).unwrap(), written);
            base = Some((text.clone(), written));
        }
        let mut large = tempfile::tempfile().unwrap();
        large.write_all(&b"0123456789abcdef".repeat(200_000)).unwrap();
        let large_id = output.write_large(&mut large, &mut compressor).unwrap();
        let path = output.finish().unwrap().unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 200_000, "deltas are small");
        let mut memory = u64::MAX;
        let index = PackIndex::open(&path.with_extension("idx"), HashKind::Sha1, &mut memory).unwrap();
        let (pack, count) = Pack::open(&path, index, HashKind::Sha1, 0, &mut memory).unwrap();
        assert_eq!(count, 203);
        let database = Database::of_pack(pack);
        let mut reader = Reader::new(1 << 30);
        for text in &texts {
            let (kind, content) =
                database.load_id(&id_of(HashKind::Sha1, Kind::Blob, text), &mut reader).unwrap();
            assert_eq!((kind, content.as_slice()), (Kind::Blob, text.as_slice()));
        }
        assert_eq!(database.load_id(&large_id, &mut reader).unwrap().1.len(), 3_200_000);
    }

    #[test]
    fn distances_and_headers_are_read_back() {
        for value in [1, 127, 128, 129, 16_511, 16_512, 1 << 20, 1 << 40] {
            let mut bytes = Vec::new();
            entry_header(6, value, &mut bytes);
            distance(value, &mut bytes);
            let header = crate::git::pack::header(&bytes, value + 12, HashKind::Sha1).unwrap();
            assert_eq!((header.form, header.size), (crate::git::pack::Form::DeltaAt(12), value));
        }
    }
}
