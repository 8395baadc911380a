//! Carries what is kept over into the new pack, as it is stored: nothing that was compressed once is compressed again, and
//! deltas stay deltas where their base stays. `git gc` finds out by a walk of its own what is led to, and looks for new deltas: ten
//! times the work.

use super::error::Error;
use super::find::{HELD_BYTES_MAX, OBJECT_BYTES_MAX};
use super::kept::Kept;
use super::pack_writer::{Base, Compressor, EntryForm, Output, Written};
use super::sizes;
use crate::git::database::{CHAIN_MAX, Database, Number, Reader};
use crate::git::error::ObjectError;
use crate::git::forest::Order;
use crate::git::pack::{Form, Header, Pack};
use crate::git::stored::Piece;
use crate::located::Watch;
use gix_hash::ObjectId;
use std::collections::HashMap;
use std::io::{self, Read, Seek};
use std::sync::Arc;

/// Writes all that is kept.
pub(super) fn carry_over(
    database: &Database,
    kept: &Kept,
    output: &Output,
    watch: Watch<'_>,
) -> Result<(), Error> {
    let count = kept.count();
    output.reserve(usize::try_from(count).unwrap_or(0));
    let mut carrier = Carrier {
        database,
        kept,
        output,
        written: vec![Written::default(); database.count() as usize],
        reader: Reader::new(OBJECT_BYTES_MAX),
        piece: Piece::default(),
        compressor: Compressor::new(),
        remade: HashMap::new(),
        remade_bytes: 0,
        done: 0,
    };
    for (index, pack) in database.packs.iter().enumerate() {
        carrier.pack(pack, database.first_of_pack(index), count, watch)?;
    }
    carrier.loose()
}

struct Carrier<'a> {
    database: &'a Database,
    kept: &'a Kept,
    output: &'a Output,
    /// Where each object stands in the new pack; at its beginning none does.
    written: Vec<Written>,
    reader: Reader,
    piece: Piece,
    compressor: Compressor,
    /// What was made anew last of each tree of versions: mostly another version of the same file.
    remade: HashMap<(u32, u64), (Arc<Vec<u8>>, Written)>,
    remade_bytes: usize,
    done: u64,
}

const REMADE_BYTES_MAX: usize = 32 << 20;
/// Larger entries are copied piece by piece.
const ENTRY_BYTES_MAX: u64 = 1 << 20;

/// A pack whose entries are carried over.
struct Source<'a> {
    pack: &'a Pack,
    order: Order,
    first: Number,
}

impl Source<'_> {
    fn number(&self, at: usize) -> Number {
        self.first + self.order.position(at)
    }

    fn end(&self, at: usize) -> u64 {
        if at + 1 < self.order.count() { self.order.offset(at + 1) } else { self.pack.end() }
    }
}

/// What an entry is built on.
enum Ground {
    /// Nothing, or what the new pack has already.
    Ready(EntryForm),
    /// Another entry of its pack, which has to be written before.
    After(usize),
    /// What does not stay.
    Gone,
}

impl Carrier<'_> {
    fn pack(&mut self, pack: &Pack, first: Number, total: u64, watch: Watch<'_>) -> Result<(), Error> {
        const EVERY: u64 = 4096;
        let order = Order::of(pack).map_err(|error| unreadable(pack, &error))?;
        let source = Source { pack, order, first };
        for at in 0..source.order.count() {
            if self.kept.has(source.number(at)) {
                self.entry(&source, at)?;
                self.done += 1;
                if self.done.is_multiple_of(EVERY) {
                    watch.tell("kept objects", self.done, total);
                    if watch.is_cancelled() {
                        return Err(Error::Cancelled);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes an entry, after those that it is built on.
    fn entry(&mut self, source: &Source<'_>, at: usize) -> Result<(), Error> {
        let mut waiting = vec![at];
        while let Some(&at) = waiting.last() {
            if waiting.len() > CHAIN_MAX {
                return Err(unreadable(source.pack, &ObjectError::TooDeep));
            }
            let number = source.number(at);
            if self.at(number).is_some() {
                waiting.pop();
                continue;
            }
            let id = self.id(number)?;
            let written = match self.output.written(&id) {
                // What was rewritten became the same as what was there.
                Some(written) => written,
                None => {
                    let failed = |error: ObjectError| Error::object(&id, error);
                    let header =
                        source.pack.header(source.order.offset(at), &mut self.piece).map_err(failed)?;
                    match self.ground(source, &header).map_err(failed)? {
                        Ground::After(base) => {
                            waiting.push(base);
                            continue;
                        }
                        Ground::Ready(form) => self.copy(source, at, &id, &header, form)?,
                        Ground::Gone => self.remake(source, at, &id)?,
                    }
                }
            };
            if let Some(slot) = self.written.get_mut(number as usize) {
                *slot = written;
            }
            waiting.pop();
        }
        Ok(())
    }

    fn at(&self, number: Number) -> Option<Written> {
        self.written.get(number as usize).copied().filter(Written::is_there)
    }

    fn id(&self, number: Number) -> Result<ObjectId, Error> {
        let missing = || Error::object(&ObjectId::null(self.output.hash), ObjectError::Missing);
        self.database.id(number).ok_or_else(missing)
    }

    fn ground(&self, source: &Source<'_>, header: &Header) -> Result<Ground, ObjectError> {
        let offset = match header.form {
            Form::Whole(kind) => return Ok(Ground::Ready(EntryForm::Whole(kind))),
            Form::DeltaAt(offset) => offset,
            Form::DeltaOf(id) => match source.pack.index.find(&id) {
                Some(position) => source.pack.index.offset(position).ok_or(ObjectError::Missing)?,
                None => return Ok(self.elsewhere(&id)),
            },
        };
        let base = source.order.find(offset).ok_or(ObjectError::Corrupt("its base is no entry"))?;
        let number = source.number(base);
        if let Some(written) = self.at(number) {
            return Ok(Ground::Ready(EntryForm::DeltaTo(written)));
        }
        if self.kept.has(number) {
            return Ok(Ground::After(base));
        }
        let id = source.pack.index.id(source.order.position(base)).ok_or(ObjectError::Missing)?;
        Ok(self.elsewhere(&id))
    }

    /// What is in several packs is kept where it is found first.
    fn elsewhere(&self, id: &ObjectId) -> Ground {
        let found = self.database.find(id).and_then(|number| self.at(number));
        match found.or_else(|| self.output.written(id)) {
            Some(written) => Ground::Ready(EntryForm::DeltaTo(written)),
            None => Ground::Gone,
        }
    }

    /// Copies what is compressed. Its checksum is compared first: what is damaged is not handed on.
    fn copy(
        &mut self,
        source: &Source<'_>,
        at: usize,
        id: &ObjectId,
        header: &Header,
        form: EntryForm,
    ) -> Result<Written, Error> {
        let (pack, offset, end) = (source.pack, source.order.offset(at), source.end(at));
        let expected = pack.index.crc32(source.order.position(at));
        let damaged = || Error::object(id, "its checksum in the pack's index is another one");
        if end - offset > ENTRY_BYTES_MAX {
            let mut crc = 0;
            let mut entry = EntryBytes { pack, at: offset, end, piece: &mut self.piece };
            let mut piece = vec![0; 1 << 20];
            loop {
                let read = entry.read(&mut piece).map_err(|error| Error::object(id, error))?;
                if read == 0 {
                    break;
                }
                crc = zlib_rs::crc32::crc32(crc, piece.get(..read).unwrap_or_default());
            }
            if expected.is_some_and(|expected| expected != crc) {
                return Err(damaged());
            }
            let mut entry = EntryBytes { pack, at: header.data, end, piece: &mut self.piece };
            return self.output.carry_stream(*id, form, header.size, &mut entry);
        }
        let entry =
            pack.compressed(offset, end, &mut self.piece).map_err(|error| Error::object(id, error))?;
        if expected.is_some_and(|expected| expected != zlib_rs::crc32::crc32(0, entry)) {
            return Err(damaged());
        }
        let header_bytes = usize::try_from(header.data - offset).unwrap_or(usize::MAX);
        self.output.carry(*id, form, header.size, entry.get(header_bytes..).unwrap_or_default())
    }

    /// Makes an object whose base does not stay, and writes it as a delta to another version that was made so.
    fn remake(&mut self, source: &Source<'_>, at: usize, id: &ObjectId) -> Result<Written, Error> {
        let failed = |error: ObjectError| Error::object(id, error);
        let pack = source.pack;
        let (kind, content) =
            self.database.load_packed(pack, source.order.offset(at), &mut self.reader).map_err(failed)?;
        let root = (pack.number, self.root_of(source, at).map_err(failed)?);
        let base = self.remade.get(&root).map(|(content, written)| Base { content, written: *written });
        let written = self.output.write(*id, kind, &content, base, &mut self.compressor)?;
        if content.len() < REMADE_BYTES_MAX / 4 {
            if self.remade_bytes + content.len() > REMADE_BYTES_MAX {
                self.remade.clear();
                self.remade_bytes = 0;
            }
            self.remade_bytes += content.len();
            let before = self.remade.insert(root, (content, written));
            self.remade_bytes -= before.map_or(0, |(content, _)| content.len());
        }
        Ok(written)
    }

    /// Where the chain of deltas of an entry ends.
    fn root_of(&mut self, source: &Source<'_>, at: usize) -> Result<u64, ObjectError> {
        let mut offset = source.order.offset(at);
        for _ in 0..CHAIN_MAX {
            offset = match source.pack.header(offset, &mut self.piece)?.form {
                Form::Whole(_) => return Ok(offset),
                Form::DeltaAt(base) => base,
                Form::DeltaOf(id) => match source.pack.index.find(&id) {
                    Some(position) => source.pack.index.offset(position).ok_or(ObjectError::Missing)?,
                    None => return Ok(offset),
                },
            };
        }
        Err(ObjectError::TooDeep)
    }

    fn loose(&mut self) -> Result<(), Error> {
        for (at, loose) in self.database.loose.iter().enumerate() {
            let number = self.database.first_loose() + u32::try_from(at).unwrap_or(u32::MAX);
            if !self.kept.has(number) {
                continue;
            }
            let failed = |error: ObjectError| Error::object(&loose.id, error);
            let size = sizes::size_of(self.database, number, &mut self.reader).map_err(failed)?;
            if size > HELD_BYTES_MAX {
                self.large(number, &loose.id)?;
                continue;
            }
            let (kind, content) = self.database.load(number, &mut self.reader).map_err(failed)?;
            self.output.write(loose.id, kind, &content, None, &mut self.compressor)?;
        }
        Ok(())
    }

    /// A loose blob that is too large to be held.
    fn large(&mut self, number: Number, id: &ObjectId) -> Result<(), Error> {
        let mut file = self.output.scratch_file()?;
        let mut copied = Ok(0);
        let streamed = self.database.stream(number, &mut self.reader, &mut |source| {
            copied = io::copy(source, &mut file);
        });
        streamed.map_err(|error| Error::object(id, error))?;
        let written = copied.and_then(|_| file.rewind());
        written.map_err(|source| Error::write(std::path::Path::new("a temporary file"), source))?;
        self.output.write_large(&mut file, &mut self.compressor)?;
        Ok(())
    }
}

fn unreadable(pack: &Pack, error: &ObjectError) -> Error {
    Error::read(&pack.path, io::Error::other(error.to_string()))
}

/// A stretch of a pack, read piece by piece.
struct EntryBytes<'a> {
    pack: &'a Pack,
    at: u64,
    end: u64,
    piece: &'a mut Piece,
}

impl Read for EntryBytes<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let end = self.end.min(self.at + target.len() as u64);
        let bytes = self.pack.compressed(self.at, end, self.piece);
        let bytes = bytes.map_err(|error| io::Error::other(error.to_string()))?;
        if let Some(target) = target.get_mut(..bytes.len()) {
            target.copy_from_slice(bytes);
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
