//! A fingerprint in bytes, as it is stored and sent: form, classes, what follows the head (two bytes; 256 for nothing),
//! length, head, filter (four bytes each, big endian), and the tag or its first bytes.

use crate::{Fingerprint, Form, Head, TAG_BYTES, VALUE_BYTES_MAX};

/// Of a fingerprint with its whole tag.
pub const PACKED_BYTES: usize = PLAIN_BYTES + TAG_BYTES;
/// What stands before the tag.
const PLAIN_BYTES: usize = 16;
const NO_NEXT: u16 = 256;

/// Why bytes are no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PackedError(pub &'static str);

impl Fingerprint {
    /// The bytes of one whose tag is cut to so many bytes.
    pub fn packed_bytes(tag_bytes: usize) -> usize {
        PLAIN_BYTES + tag_bytes.min(TAG_BYTES)
    }

    /// Appends it, with so many bytes of its tag.
    pub fn pack(&self, tag_bytes: usize, out: &mut Vec<u8>) {
        let form = match self.form {
            Form::Whole => 1,
            Form::Decoded => 2,
            Form::Line => 3,
            Form::Password => 4,
        };
        out.extend_from_slice(&[form, self.classes]);
        out.extend_from_slice(&self.head.next.map_or(NO_NEXT, u16::from).to_be_bytes());
        for number in [self.length, self.head.run, self.filter] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(self.tag.get(..tag_bytes).unwrap_or(&self.tag));
    }

    /// Reads one; of a tag that was cut the rest is zero.
    pub fn unpack(packed: &[u8]) -> Result<Self, PackedError> {
        let (plain, tag_start) =
            packed.split_first_chunk::<PLAIN_BYTES>().ok_or(PackedError("it is too short"))?;
        if tag_start.len() > TAG_BYTES {
            return Err(PackedError("it is too long"));
        }
        let [form, classes, next @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *plain;
        let number = |at: usize| {
            plain.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        let next = match u16::from_be_bytes(next) {
            NO_NEXT => None,
            next => Some(u8::try_from(next).map_err(|_| PackedError("its head"))?),
        };
        let form = match form {
            1 => Form::Whole,
            2 => Form::Decoded,
            3 => Form::Line,
            4 => Form::Password,
            _ => return Err(PackedError("its form")),
        };
        let mut tag = [0; TAG_BYTES];
        tag.iter_mut().zip(tag_start).for_each(|(to, from)| *to = *from);
        let head = Head { run: number(8), next };
        Self { form, classes, length: number(4), head, filter: number(12), tag }.checked()
    }

    /// Refuses what no value has.
    pub fn checked(self) -> Result<Self, PackedError> {
        let Head { run, next } = self.head;
        if self.length as usize > VALUE_BYTES_MAX || self.length == 0 || run > self.length {
            return Err(PackedError("its length"));
        }
        if next.is_none() != (run == self.length) {
            return Err(PackedError("its head"));
        }
        Ok(self)
    }
}
