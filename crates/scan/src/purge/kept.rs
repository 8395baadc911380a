//! The objects that references still lead to after a purge, and that stay as they are.

use crate::git::database::Number;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A bit for each object of a database.
#[derive(Debug)]
pub(super) struct Kept {
    bits: Vec<AtomicU64>,
    misses: AtomicBool,
}

impl Kept {
    pub(super) fn new(count: Number) -> Self {
        let words = count.div_ceil(u64::BITS) as usize;
        let bits = std::iter::repeat_with(AtomicU64::default).take(words).collect();
        Self { bits, misses: AtomicBool::new(false) }
    }

    pub(super) fn add(&self, number: Number) {
        if let Some(word) = self.bits.get((number / u64::BITS) as usize) {
            word.fetch_or(1 << (number % u64::BITS), Ordering::Relaxed);
        }
    }

    pub(super) fn has(&self, number: Number) -> bool {
        let word = self.bits.get((number / u64::BITS) as usize);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & 1 << (number % u64::BITS) != 0)
    }

    /// Something is led to that is not here: what is kept is not all.
    pub(super) fn miss(&self) {
        self.misses.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_whole(&self) -> bool {
        !self.misses.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum()
    }
}
