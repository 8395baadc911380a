//! Bytes from outside, at every parser that takes them. Each target takes anything and must not panic: the folder
//! `fuzz/` feeds them from libFuzzer, an ordinary test from seeded mutations of good examples.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::SeededEntropy;

#[cfg(feature = "server")]
mod database;
#[cfg(feature = "detect")]
pub mod detect;
#[cfg(feature = "formats")]
pub mod formats;
#[cfg(feature = "scan")]
pub mod git;
#[cfg(feature = "scan")]
pub mod purge;
#[cfg(feature = "scan")]
pub mod scan;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "server")]
pub use database::*;
#[cfg(feature = "server")]
pub use server::*;

/// A parser's name, good examples to begin with, and the parser.
pub struct Target {
    pub name: &'static str,
    pub examples: &'static [&'static str],
    pub run: fn(&[u8]),
}

/// A good example with some bytes changed, cut, repeated or put in.
pub fn mutated(random: &SeededEntropy, example: &[u8]) -> Vec<u8> {
    let mut bytes = example.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.next_u64() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at.max(1)),
            3 => {
                let end = (at + random.below(24) as usize).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = random.below(bytes.len() as u64 + 1) as usize;
                bytes.splice(to..to, part);
            }
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let odd: &[&[u8]] = &[
                    b"\0",
                    b"\"",
                    b"{",
                    b"}",
                    b"[",
                    b"*",
                    b"+",
                    b"/",
                    b"..",
                    b"\xff",
                    b"\xf0\x9f",
                    b"{{",
                    b"-1",
                    b"1e999",
                    b"\\u0000",
                ];
                let part = odd[random.below(odd.len() as u64) as usize];
                bytes.splice(at..at, part.iter().copied());
            }
        }
    }
    bytes
}
