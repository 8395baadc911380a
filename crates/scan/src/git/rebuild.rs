//! An index for a pack whose own one is missing or damaged, made from the pack.

use super::database::{Database, Reader};
use super::error::ObjectError;
use super::inflate::Inflater;
use super::pack::Pack;
use super::pack_index::{PackIndex, PackIndexError};
use super::stored::Piece;
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::compute_hash;

/// Larger objects are left out of the new index: their ids cannot be computed without holding them.
const OBJECT_BYTES_MAX: u64 = 64 << 20;
/// Deltas to objects by their id: so often are those looked at again whose base had no id yet.
const ROUNDS_MAX: usize = 64;

/// Gives `pack` an index, and says how many of its objects are lost.
pub(crate) fn rebuild(pack: &mut Pack, declared: u32) -> Result<u32, PackIndexError> {
    let mut waiting = offsets(pack, declared);
    let database = Database::without_objects(pack.hash);
    let mut reader = Reader::new(OBJECT_BYTES_MAX);
    let mut found: Vec<(ObjectId, u64)> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let before = found.len();
        let mut left = Vec::new();
        for offset in waiting {
            match database.load_packed(pack, offset, &mut reader) {
                Ok((kind, content)) => {
                    found.extend(compute_hash(pack.hash, kind, &content).map(|id| (id, offset)))
                }
                Err(ObjectError::Missing) => left.push(offset),
                Err(_) => {}
            }
        }
        waiting = left;
        pack.index = table(&mut found, pack.hash)?;
        if waiting.is_empty() || found.len() == before {
            break;
        }
    }
    Ok(declared.saturating_sub(pack.index.count()))
}

/// Where objects begin, one after the other, up to the first that is damaged.
fn offsets(pack: &Pack, declared: u32) -> Vec<u64> {
    let mut inflater = Inflater::new();
    let mut piece = Piece::default();
    let mut ignored = vec![0; 64 << 10];
    let mut offsets = Vec::new();
    let mut at = 12;
    while offsets.len() < declared as usize {
        let Ok(header) = pack.header(at, &mut piece) else { break };
        let Some(next) = end_of(pack, header.data, header.size, &mut inflater, &mut piece, &mut ignored)
        else {
            break;
        };
        offsets.push(at);
        at = next;
    }
    offsets
}

fn end_of(
    pack: &Pack,
    data: u64,
    size: u64,
    inflater: &mut Inflater,
    piece: &mut Piece,
    ignored: &mut [u8],
) -> Option<u64> {
    const STEP: u64 = 64 << 10;
    inflater.begin();
    let (mut at, mut written) = (data, 0);
    loop {
        let input = pack.compressed(at, at + STEP, piece).ok()?;
        let step = inflater.more(input, ignored).ok()?;
        at += step.consumed as u64;
        written += step.written as u64;
        if step.ended {
            return (written == size).then_some(at);
        }
        if step.consumed == 0 && step.written == 0 || written > size {
            return None;
        }
    }
}

/// An index of version 2 in memory, without checksums.
pub(crate) fn table(found: &mut Vec<(ObjectId, u64)>, hash: HashKind) -> Result<PackIndex, PackIndexError> {
    found.sort_unstable();
    found.dedup_by_key(|(id, _)| *id);
    let mut bytes = vec![0xff, b't', b'O', b'c', 0, 0, 0, 2];
    for first in 0..=u8::MAX {
        let count = found.partition_point(|(id, _)| id.first_byte() <= first);
        bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }
    found.iter().for_each(|(id, _)| bytes.extend(id.as_bytes()));
    bytes.resize(bytes.len() + found.len() * 4, 0);
    let mut large: Vec<u64> = Vec::new();
    for (_, offset) in found.iter() {
        let small = u32::try_from(*offset).ok().filter(|offset| offset & 0x8000_0000 == 0);
        let entry = small.unwrap_or_else(|| {
            large.push(*offset);
            0x8000_0000 | u32::try_from(large.len() - 1).unwrap_or(0)
        });
        bytes.extend(entry.to_be_bytes());
    }
    large.iter().for_each(|offset| bytes.extend(offset.to_be_bytes()));
    bytes.resize(bytes.len() + 2 * hash.len_in_bytes(), 0);
    PackIndex::new(bytes, hash)
}

/// An index of nothing, to begin with.
pub(crate) fn empty(hash: HashKind) -> Result<PackIndex, PackIndexError> {
    table(&mut Vec::new(), hash)
}
