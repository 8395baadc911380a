//! Deltas between versions of a text (gitformat-pack(5), "Deltified representation"): what both begin and end with is copied,
//! and what lies between is looked for in blocks.

/// What one thread uses again and again: places in the base by what stands there, each one more than it is.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    places: Vec<u32>,
}

const BLOCK_BYTES: usize = 16;
/// So many blocks of a base are looked for, evenly over it if there are more.
const BLOCKS_MAX: usize = 1 << 16;
const COPY_BYTES_MAX: usize = 0xff_ffff;
const INSERT_BYTES_MAX: usize = 127;
/// Offsets within a delta have four bytes.
const BASE_BYTES_MAX: usize = u32::MAX as usize;

/// The delta that makes `target` of `base`, unless it is hardly shorter than the text itself.
pub(super) fn delta_between(base: &[u8], target: &[u8], scratch: &mut Scratch) -> Option<Vec<u8>> {
    if target.len() < 2 * BLOCK_BYTES || base.is_empty() || base.len() > BASE_BYTES_MAX {
        return None;
    }
    let most = target.len() / 2;
    let mut delta = Vec::with_capacity(64);
    size(base.len(), &mut delta);
    size(target.len(), &mut delta);
    let start = common_prefix(base, target);
    let (base_rest, target_rest) = (base.get(start..)?, target.get(start..)?);
    let end = common_suffix(base_rest, target_rest);
    let base_middle = start..base.len() - end;
    let target_middle = start..target.len() - end;
    copy(0, start, &mut delta);
    middle(base, base_middle, target.get(target_middle)?, &mut delta, most, scratch)?;
    copy(base.len() - end, end, &mut delta);
    (delta.len() < most).then_some(delta)
}

fn middle(
    base: &[u8],
    within: std::ops::Range<usize>,
    target: &[u8],
    delta: &mut Vec<u8>,
    most: usize,
    scratch: &mut Scratch,
) -> Option<()> {
    let places = &mut scratch.places;
    places.clear();
    if within.len() >= BLOCK_BYTES && target.len() >= BLOCK_BYTES {
        let step = BLOCK_BYTES * within.len().div_ceil(BLOCKS_MAX * BLOCK_BYTES).max(1);
        places.resize((within.len() / step * 2).next_power_of_two(), 0);
        for at in within.clone().step_by(step) {
            let slots = places.len();
            let slot = block_at(base, at).and_then(|block| places.get_mut(slot_of(block, slots)));
            if let Some(slot) = slot.filter(|slot| **slot == 0) {
                *slot = at as u32 + 1;
            }
        }
    }
    let (mut at, mut inserted) = (0, 0);
    while at < target.len() {
        let block = block_at(target, at);
        let place = block.and_then(|block| places.get(slot_of(block, places.len()))).copied().unwrap_or(0);
        let from = (place as usize).wrapping_sub(1);
        if place == 0 || block_at(base, from) != block {
            at += 1;
            continue;
        }
        // A match may have begun before the block.
        let back = target.get(inserted..at)?.iter().rev().zip(base.get(..from)?.iter().rev());
        let back = back.take_while(|(one, other)| one == other).count();
        let length = back + common_prefix(base.get(from..)?, target.get(at..)?);
        insert(target.get(inserted..at - back)?, delta);
        copy(from - back, length, delta);
        at = at - back + length;
        inserted = at;
        if delta.len() > most {
            return None;
        }
    }
    insert(target.get(inserted..)?, delta);
    Some(())
}

/// `slots` is a power of two, or there are none.
fn slot_of(block: u128, slots: usize) -> usize {
    let mixed = (block as u64 ^ (block >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize & slots.wrapping_sub(1)
}

fn block_at(text: &[u8], at: usize) -> Option<u128> {
    text.get(at..)?.first_chunk().map(|block| u128::from_le_bytes(*block))
}

pub(super) fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    const WORD: usize = 32;
    let words =
        one.chunks_exact(WORD).zip(other.chunks_exact(WORD)).take_while(|(one, other)| one == other).count();
    let one = one.get(words * WORD..).unwrap_or_default();
    let other = other.get(words * WORD..).unwrap_or_default();
    words * WORD + one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

pub(super) fn common_suffix(one: &[u8], other: &[u8]) -> usize {
    const WORD: usize = 32;
    let words = one
        .rchunks_exact(WORD)
        .zip(other.rchunks_exact(WORD))
        .take_while(|(one, other)| one == other)
        .count();
    let one = one.get(..one.len() - words * WORD).unwrap_or_default();
    let other = other.get(..other.len() - words * WORD).unwrap_or_default();
    let rest = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
    words * WORD + rest
}

fn size(size: usize, delta: &mut Vec<u8>) {
    let mut rest = size;
    while rest >= 0x80 {
        delta.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    delta.push(rest as u8);
}

fn copy(from: usize, length: usize, delta: &mut Vec<u8>) {
    let (mut from, mut length) = (from, length);
    while length > 0 {
        let now = length.min(COPY_BYTES_MAX);
        let at = delta.len();
        let mut code = 0x80;
        delta.push(code);
        for (bit, byte) in (from as u32).to_le_bytes().into_iter().enumerate() {
            if byte != 0 {
                code |= 1 << bit;
                delta.push(byte);
            }
        }
        for (bit, byte) in (now as u32).to_le_bytes().into_iter().take(3).enumerate() {
            // A length of 0x10000 is written as none.
            if byte != 0 && now != 0x10000 {
                code |= 0x10 << bit;
                delta.push(byte);
            }
        }
        if let Some(slot) = delta.get_mut(at) {
            *slot = code;
        }
        (from, length) = (from + now, length - now);
    }
}

fn insert(bytes: &[u8], delta: &mut Vec<u8>) {
    for piece in bytes.chunks(INSERT_BYTES_MAX) {
        delta.push(piece.len() as u8);
        delta.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::delta::Delta;
    use proptest_free::texts;

    fn check(base: &[u8], target: &[u8]) -> usize {
        let Some(delta) = delta_between(base, target, &mut Scratch::default()) else { return target.len() };
        let (mut result, mut changed) = (Vec::new(), Vec::new());
        Delta::parse(&delta).unwrap().apply(base, &mut result, &mut changed).unwrap();
        assert!(result == target);
        delta.len()
    }

    /// Texts that differ in a few places, drawn by a small generator.
    mod proptest_free {
        pub(super) fn texts(seed: u64) -> (Vec<u8>, Vec<u8>) {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let base: Vec<u8> = (0..next() % 5000).map(|_| (next() % 7) as u8 + b'a').collect();
            let mut target = base.clone();
            for _ in 0..next() % 6 {
                let at = (next() % (target.len() as u64 + 1)) as usize;
                let end = (at + (next() % 200) as usize).min(target.len());
                let put: Vec<u8> = (0..next() % 300).map(|_| (next() % 256) as u8).collect();
                target.splice(at..end, put);
            }
            (base, target)
        }
    }

    #[test]
    fn deltas_make_what_they_are_for() {
        let text = b"0123456789abcdefghijklmnopqrstuvwxyz".repeat(50);
        assert!(check(&text, &text) < 12);
        let mut moved = text.clone();
        moved.rotate_left(700);
        check(&text, &moved);
        for seed in 0..3000 {
            let (base, target) = texts(seed);
            check(&base, &target);
            check(&target, &base);
        }
        let large = b"x".repeat(0x100_0000 + 0x10000);
        assert!(check(&large, &[&large[..], b"end"].concat()) < 30);
        assert!(check(&large[..0x10000], &[&large[..0x10000], b"end"].concat()) < 20);
    }
}
