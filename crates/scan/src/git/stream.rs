//! Large objects, read piece by piece.

use super::inflate::Inflater;
use super::loose;
use super::pack::{Header, Pack};
use super::stored::Piece;
use std::io::{self, Read};

/// An entry of a pack that stands there whole.
pub(crate) struct EntryStream<'a> {
    pack: &'a Pack,
    at: u64,
    left: u64,
    inflater: &'a mut Inflater,
    piece: &'a mut Piece,
}

impl<'a> EntryStream<'a> {
    pub(crate) fn new(
        pack: &'a Pack,
        header: &Header,
        inflater: &'a mut Inflater,
        piece: &'a mut Piece,
    ) -> Self {
        inflater.begin();
        Self { pack, at: header.data, left: header.size, inflater, piece }
    }
}

impl Read for EntryStream<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        const STEP: u64 = 64 << 10;
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(target.len());
        let target = target.get_mut(..room).unwrap_or_default();
        while !target.is_empty() {
            let input = self
                .pack
                .compressed(self.at, self.at + STEP, self.piece)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let step = self.inflater.more(input, target).map_err(|_| damaged())?;
            self.at += step.consumed as u64;
            self.left -= step.written as u64;
            if step.written > 0 {
                return Ok(step.written);
            }
            if step.consumed == 0 || step.ended {
                return Err(damaged());
            }
        }
        Ok(0)
    }
}

impl Read for loose::Opened<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut bytes = Vec::new();
        self.read_up_to(target.len(), &mut bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        target.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
        Ok(bytes.len())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its compressed bytes are damaged")
}
