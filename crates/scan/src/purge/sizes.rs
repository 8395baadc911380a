//! How large objects are, without making them.

use super::error::Error;
use crate::git::database::{Database, Number, Place, Reader};
use crate::git::delta::Delta;
use crate::git::error::ObjectError;
use crate::git::forest::{self, Wanted};
use crate::git::loose;
use crate::git::pack::Form;
use crate::git::repository::{ObjectDirectories, Repository};
use crate::located::Statistics;
use gix_hash::ObjectId;
use gix_object::Kind;
use std::path::Path;

pub(super) fn size_of(database: &Database, number: Number, reader: &mut Reader) -> Result<u64, ObjectError> {
    match database.place(number).ok_or(ObjectError::Missing)? {
        Place::Packed { pack, position } => {
            let pack = database.packs.get(pack).ok_or(ObjectError::Missing)?;
            let offset = pack.index.offset(position).ok_or(ObjectError::Missing)?;
            let header = pack.header(offset, &mut reader.piece)?;
            if matches!(header.form, Form::Whole(_)) {
                return Ok(header.size);
            }
            // A delta says in its first bytes what it makes.
            const HEAD_BYTES: usize = 32;
            let mut head = [0; HEAD_BYTES];
            let compressed = pack.compressed(header.data, header.data + 256, &mut reader.piece)?;
            reader.inflater.begin();
            let step = reader.inflater.more(compressed, &mut head)?;
            let head = head.get(..step.written).unwrap_or_default();
            Ok(Delta::parse(head)?.result_size)
        }
        Place::Loose(at) => {
            let loose = database.loose.get(at).ok_or(ObjectError::Missing)?;
            let opened =
                loose::open(&database.loose_path(loose), &mut reader.inflater, &mut reader.compressed)?;
            Ok(opened.size)
        }
    }
}

/// Whether an object can be read piece by piece.
pub(super) fn is_whole(database: &Database, number: Number, reader: &mut Reader) -> bool {
    match database.place(number) {
        Some(Place::Packed { pack, position }) => database.packs.get(pack).is_some_and(|pack| {
            let offset = pack.index.offset(position).unwrap_or(0);
            pack.header(offset, &mut reader.piece).is_ok_and(|header| matches!(header.form, Form::Whole(_)))
        }),
        Some(Place::Loose(_)) => true,
        None => false,
    }
}

/// The ids of the so many largest blobs of the repository that `path` is in.
pub fn biggest_blobs(path: &Path, count: usize) -> Result<Vec<ObjectId>, Error> {
    let mut statistics = Statistics::default();
    let repository = Repository::discover(path, &ObjectDirectories::default(), &mut statistics)?;
    let database = Database::open(&repository, &mut statistics);
    let mut reader = Reader::new(super::find::OBJECT_BYTES_MAX);
    let mut sizes: Vec<(u64, ObjectId)> = Vec::new();
    let mut note = |number: Number, reader: &mut Reader| {
        let size = size_of(&database, number, reader).ok();
        sizes.extend(size.zip(database.id(number)));
    };
    let wanted = Wanted { blobs: true, messages: false, trees: false };
    for (index, pack) in database.packs.iter().enumerate() {
        let forest = forest::grow(pack, wanted, &mut statistics);
        let first = database.first_of_pack(index);
        for node in forest.iter().flat_map(|forest| &forest.nodes) {
            note(first + node.position, &mut reader);
        }
    }
    for (at, loose) in database.loose.iter().enumerate() {
        let opened = loose::open(&database.loose_path(loose), &mut reader.inflater, &mut reader.compressed);
        let is_blob = opened.is_ok_and(|opened| opened.kind == Kind::Blob);
        if is_blob && let Ok(at) = Number::try_from(at) {
            note(database.first_loose() + at, &mut reader);
        }
    }
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    sizes.dedup_by_key(|(_, id)| *id);
    Ok(sizes.into_iter().take(count).map(|(_, id)| id).collect())
}
