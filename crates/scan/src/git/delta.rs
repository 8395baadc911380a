//! Git's deltas: a version, said as copies of another one and bytes that are put in (gitformat-pack(5), "Deltified
//! representation").

use std::ops::Range;

/// A delta that was taken apart as far as its sizes.
#[derive(Debug, Clone, Copy)]
pub struct Delta<'a> {
    pub base_size: u64,
    pub result_size: u64,
    instructions: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    #[error("the delta ends too early")]
    Truncated,
    #[error("the delta has an instruction 0, which is reserved")]
    Reserved,
    #[error("the delta copies what its base does not have")]
    OutsideBase,
    #[error("the delta is for a base of another size")]
    OtherBase,
    #[error("the delta makes more or less than it says")]
    OtherResult,
}

/// A step of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction<'a> {
    Copy { from: usize, length: usize },
    Insert(&'a [u8]),
}

impl<'a> Delta<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DeltaError> {
        let (base_size, rest) = size(bytes)?;
        let (result_size, instructions) = size(rest)?;
        Ok(Self { base_size, result_size, instructions })
    }

    pub fn instructions(&self) -> Instructions<'a> {
        Instructions { rest: self.instructions }
    }

    /// Makes the new version in `result`, and puts into `changed` what of it was not there before: what is inserted,
    /// and the seams between copies of places that did not follow each other, each with a byte on both sides: a character
    /// before a token can make it one. Sorted, not overlapping.
    pub fn apply(
        &self,
        base: &[u8],
        result: &mut Vec<u8>,
        changed: &mut Vec<Range<usize>>,
    ) -> Result<(), DeltaError> {
        result.clear();
        changed.clear();
        if self.base_size != base.len() as u64 {
            return Err(DeltaError::OtherBase);
        }
        let size = usize::try_from(self.result_size).map_err(|_| DeltaError::OtherResult)?;
        result.reserve(size);
        let mut copied_to = 0;
        for instruction in self.instructions() {
            let at = result.len();
            match instruction? {
                Instruction::Copy { from, length } => {
                    let end = from.checked_add(length).ok_or(DeltaError::OutsideBase)?;
                    result.extend_from_slice(base.get(from..end).ok_or(DeltaError::OutsideBase)?);
                    if copied_to != usize::MAX && from != copied_to {
                        add(changed, at.saturating_sub(1)..at + 1);
                    }
                    copied_to = end;
                }
                Instruction::Insert(bytes) => {
                    result.extend_from_slice(bytes);
                    add(changed, at.saturating_sub(1)..at + bytes.len() + 1);
                    // The range that was added covers the seam with what follows.
                    copied_to = usize::MAX;
                }
            }
            if result.len() > size {
                return Err(DeltaError::OtherResult);
            }
        }
        if result.len() != size {
            return Err(DeltaError::OtherResult);
        }
        if copied_to != usize::MAX && copied_to != base.len() && size > 0 {
            add(changed, size - 1..size);
        }
        if let Some(last) = changed.last_mut() {
            last.end = last.end.min(size);
        }
        Ok(())
    }

    /// Where a stretch of the base stands in the result, if one copy (or several in a row) brings all of it.
    pub fn carried(&self, stretch: &Range<usize>) -> Option<Range<usize>> {
        let mut at = 0_usize;
        // A run of copies that follow each other in base and result: where it begins in the base, and in the result.
        let mut run: Option<(Range<usize>, usize)> = None;
        for instruction in self.instructions() {
            match instruction.ok()? {
                Instruction::Copy { from, length } => {
                    let end = from.checked_add(length)?;
                    match &mut run {
                        Some((copied, _)) if copied.end == from => copied.end = end,
                        _ => run = Some((from..end, at)),
                    }
                    at = at.checked_add(length)?;
                }
                Instruction::Insert(bytes) => {
                    run = None;
                    at = at.checked_add(bytes.len())?;
                }
            }
            if let Some((copied, target)) = &run
                && copied.start <= stretch.start
                && stretch.end <= copied.end
            {
                let start = target + (stretch.start - copied.start);
                return Some(start..start + stretch.len());
            }
        }
        None
    }
}

fn add(changed: &mut Vec<Range<usize>>, range: Range<usize>) {
    match changed.last_mut() {
        Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
        _ => changed.push(range),
    }
}

/// The steps, one by one; it ends at the first error.
#[derive(Debug, Clone, Copy)]
pub struct Instructions<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Result<Instruction<'a>, DeltaError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&code, rest) = self.rest.split_first()?;
        let taken = if code & 0x80 != 0 { copy(code, rest) } else { insert(code, rest) };
        match taken {
            Ok((instruction, rest)) => {
                self.rest = rest;
                Some(Ok(instruction))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

fn copy(code: u8, mut rest: &[u8]) -> Result<(Instruction<'_>, &[u8]), DeltaError> {
    let (mut from, mut length) = (0_u32, 0_u32);
    for bit in 0..7 {
        if code & (1 << bit) == 0 {
            continue;
        }
        let (&byte, after) = rest.split_first().ok_or(DeltaError::Truncated)?;
        rest = after;
        match bit {
            0..4 => from |= u32::from(byte) << (8 * bit),
            _ => length |= u32::from(byte) << (8 * (bit - 4)),
        }
    }
    let length = if length == 0 { 0x10000 } else { length };
    let from = usize::try_from(from).map_err(|_| DeltaError::OutsideBase)?;
    let length = usize::try_from(length).map_err(|_| DeltaError::OutsideBase)?;
    Ok((Instruction::Copy { from, length }, rest))
}

fn insert(code: u8, rest: &[u8]) -> Result<(Instruction<'_>, &[u8]), DeltaError> {
    if code == 0 {
        return Err(DeltaError::Reserved);
    }
    let (bytes, rest) = rest.split_at_checked(usize::from(code)).ok_or(DeltaError::Truncated)?;
    Ok((Instruction::Insert(bytes), rest))
}

/// A number in groups of seven bits, the least first.
fn size(bytes: &[u8]) -> Result<(u64, &[u8]), DeltaError> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate() {
        let shift = 7 * u32::try_from(index).map_err(|_| DeltaError::Truncated)?;
        if shift > 56 {
            return Err(DeltaError::OtherResult);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    Err(DeltaError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, delta: &[u8]) -> Result<(String, String), DeltaError> {
        let (mut result, mut changed) = (Vec::new(), Vec::new());
        Delta::parse(delta)?.apply(base.as_bytes(), &mut result, &mut changed)?;
        Ok((String::from_utf8(result).unwrap(), format!("{changed:?}")))
    }

    #[test]
    fn what_is_inserted_is_changed() {
        // Copy 0..4, insert "xy", copy 4..8.
        let delta = b"\x08\x0a\x90\x04\x02xy\x91\x04\x04";
        assert_eq!(check("abcdefgh", delta), Ok(("abcdxyefgh".to_owned(), "[3..7]".to_owned())));
        let delta = Delta::parse(delta).unwrap();
        assert_eq!(delta.carried(&(1..3)), Some(1..3));
        assert_eq!(delta.carried(&(5..8)), Some(7..10));
        assert_eq!(delta.carried(&(3..5)), None);
    }

    #[test]
    fn a_seam_where_something_was_taken_out_is_changed() {
        // Copy 0..2, copy 4..8: the text around the seam may be a secret that was not there before.
        assert_eq!(
            check("abcdefgh", b"\x08\x06\x90\x02\x91\x04\x04"),
            Ok(("abefgh".to_owned(), "[1..3]".to_owned()))
        );
        // Only the end is kept; only the beginning is kept.
        assert_eq!(check("abcd", b"\x04\x02\x91\x02\x02"), Ok(("cd".to_owned(), "[0..1]".to_owned())));
        assert_eq!(check("abcd", b"\x04\x02\x90\x02"), Ok(("ab".to_owned(), "[1..2]".to_owned())));
    }

    #[test]
    fn copies_that_follow_each_other_are_one() {
        let delta = b"\x04\x04\x90\x02\x91\x02\x02";
        assert_eq!(check("abcd", delta), Ok(("abcd".to_owned(), "[]".to_owned())));
        assert_eq!(Delta::parse(delta).unwrap().carried(&(1..3)), Some(1..3));
    }

    #[test]
    fn damaged_deltas_are_refused() {
        assert_eq!(check("abcd", b"\x04"), Err(DeltaError::Truncated));
        assert_eq!(check("abcd", b"\x05\x02\x90\x02"), Err(DeltaError::OtherBase));
        assert_eq!(check("abcd", b"\x04\x02\x00"), Err(DeltaError::Reserved));
        assert_eq!(check("abcd", b"\x04\x05\x90\x05"), Err(DeltaError::OutsideBase));
        assert_eq!(check("abcd", b"\x04\x09\x90\x02"), Err(DeltaError::OtherResult));
        assert_eq!(check("abcd", b"\x04\x01\x90\x02"), Err(DeltaError::OtherResult));
        assert_eq!(check("abcd", b"\x04\x02\x05a"), Err(DeltaError::Truncated));
        assert_eq!(check("", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Err(DeltaError::OtherResult));
    }
}
