use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use thiserror::Error;

/// How far archives are opened. What is beyond a limit is not looked at, and counted.
#[derive(Debug, Clone)]
pub struct ArchiveLimits {
    /// Archives within archives; 0: none is opened.
    pub depth: usize,
    /// Members of one archive on disk, those of archives inside it too.
    pub entries: u64,
    /// What one archive on disk may unpack to in all.
    pub bytes: u64,
    /// How many bytes may come out of one, beyond the first 64 MiB.
    pub ratio: u64,
}

impl ArchiveLimits {
    pub const NONE: Self = Self { depth: 0, entries: 0, bytes: 0, ratio: 0 };
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { depth: 5, entries: 1_000_000, bytes: 16 << 30, ratio: 250 }
    }
}

/// Compressed zeros are found in ordinary files: a stream may be this long whatever its ratio.
const RATIO_FREE_BYTES: u64 = 64 << 20;

/// Why the rest of an archive is not unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Exceeded {
    #[error("it unpacks to more than {0} bytes")]
    Bytes(u64),
    #[error("it has more than {0} members")]
    Entries(u64),
    #[error("it unpacks to more than {0} times its size")]
    Ratio(u64),
    #[error("a zip within another archive may have {0} bytes")]
    InnerZip(u64),
}

/// What has come out of one archive on disk so far.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: ArchiveLimits,
    bytes: Cell<u64>,
    entries: Cell<u64>,
    exceeded: Cell<Option<Exceeded>>,
}

impl Budget {
    pub(crate) fn new(limits: ArchiveLimits) -> Rc<Self> {
        Rc::new(Self { limits, bytes: Cell::new(0), entries: Cell::new(0), exceeded: Cell::new(None) })
    }

    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded.get()
    }

    /// A member of its own was too dense; the others may still be looked at.
    pub(super) fn forgive_ratio(&self) {
        if matches!(self.exceeded.get(), Some(Exceeded::Ratio(_))) {
            self.exceeded.set(None);
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.get()
    }

    /// Counts one more member.
    pub(super) fn entry(&self) -> Result<(), Exceeded> {
        self.entries.set(self.entries.get() + 1);
        if self.entries.get() > self.limits.entries {
            return Err(self.exceed(Exceeded::Entries(self.limits.entries)));
        }
        Ok(())
    }

    fn exceed(&self, what: Exceeded) -> Exceeded {
        self.exceeded.set(Some(what));
        what
    }
}

/// Counts what goes into a decompressor.
#[derive(Debug)]
pub(super) struct Counted<R> {
    source: R,
    count: Rc<Cell<u64>>,
}

impl<R> Counted<R> {
    pub(super) fn new(source: R) -> (Self, Rc<Cell<u64>>) {
        let count = Rc::new(Cell::new(0));
        (Self { source, count: Rc::clone(&count) }, count)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// Bounds what comes out of a decompressor.
#[derive(Debug)]
pub(super) struct Metered<R> {
    source: R,
    input: Rc<Cell<u64>>,
    output: u64,
    budget: Rc<Budget>,
}

impl<R> Metered<R> {
    pub(super) fn new(source: R, input: Rc<Cell<u64>>, budget: &Rc<Budget>) -> Self {
        Self { source, input, output: 0, budget: Rc::clone(budget) }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(exceeded) = self.budget.exceeded() {
            return Err(io::Error::other(exceeded));
        }
        let count = self.source.read(out)?;
        self.output += count as u64;
        let limits = &self.budget.limits;
        let total = self.budget.bytes.get() + count as u64;
        self.budget.bytes.set(total);
        if total > limits.bytes {
            return Err(io::Error::other(self.budget.exceed(Exceeded::Bytes(limits.bytes))));
        }
        if self.output > RATIO_FREE_BYTES && self.output > limits.ratio.saturating_mul(self.input.get()) {
            return Err(io::Error::other(self.budget.exceed(Exceeded::Ratio(limits.ratio))));
        }
        Ok(count)
    }
}
