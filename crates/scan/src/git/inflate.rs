use zlib_rs::{Inflate, InflateFlush, Status};

/// A zlib decoder that is used again and again.
pub(crate) struct Inflater {
    inner: Inflate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InflateError {
    Damaged,
    OtherSize,
}

/// Deflate makes at most 1032 bytes of one.
const RATIO_MAX: u64 = 1032;

impl Inflater {
    pub(crate) fn new() -> Self {
        Self { inner: Inflate::new(true, 15) }
    }

    /// Puts the `size` bytes that `input` begins with into `output`, and says how many bytes of input that took.
    /// A size that `input` cannot hold is refused before anything is reserved for it.
    pub(crate) fn whole(
        &mut self,
        input: &[u8],
        size: usize,
        output: &mut Vec<u8>,
    ) -> Result<usize, InflateError> {
        let possible = (input.len() as u64).saturating_mul(RATIO_MAX).saturating_add(RATIO_MAX);
        if size as u64 > possible {
            return Err(InflateError::OtherSize);
        }
        // One byte more, so that a stream that is longer than it says is noticed.
        output.resize(size + 1, 0);
        self.inner.reset(true);
        let status = self.inner.decompress(input, output, InflateFlush::Finish);
        let read = self.inner.total_out();
        output.truncate(size);
        match status {
            Ok(Status::StreamEnd) if read == size as u64 => {
                usize::try_from(self.inner.total_in()).map_err(|_| InflateError::Damaged)
            }
            Ok(_) if read > size as u64 => Err(InflateError::OtherSize),
            Ok(Status::StreamEnd) => Err(InflateError::OtherSize),
            Ok(_) | Err(_) => Err(InflateError::Damaged),
        }
    }

    /// A new stream, to be read with [`Inflater::more`].
    pub(crate) fn begin(&mut self) {
        self.inner.reset(true);
    }

    pub(crate) fn more(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, InflateError> {
        let before = (self.inner.total_in(), self.inner.total_out());
        let status = self.inner.decompress(input, output, InflateFlush::NoFlush);
        let consumed = self.inner.total_in().saturating_sub(before.0);
        let written = self.inner.total_out().saturating_sub(before.1);
        let ended = match status {
            Ok(status) => status == Status::StreamEnd,
            Err(_) => return Err(InflateError::Damaged),
        };
        let size = |number| usize::try_from(number).map_err(|_| InflateError::Damaged);
        Ok(Step { consumed: size(consumed)?, written: size(written)?, ended })
    }
}

/// What one call read and wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) consumed: usize,
    pub(crate) written: usize,
    pub(crate) ended: bool,
}
