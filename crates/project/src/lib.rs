//! A project and its secrets: the manifest that declares them, the providers that hold them, and what is made of both:
//! checked values for a program, files for other tools, a lock.
//!
//! Nothing here reads the process environment, a clock or the system's randomness: they come in from the binary.

mod at_once;
pub mod change;
pub mod check;
pub mod cloud;
pub mod compose;
pub mod discover;
pub mod export;
pub mod files;
pub mod generate;
pub mod guard;
pub mod infer;
pub mod leases;
pub mod liveness;
pub mod lock;
pub mod manifest;
pub mod program;
pub mod provider;
pub mod resolve;
pub mod sops;
mod surroundings;
#[cfg(test)]
mod testing;
pub mod trust;
pub mod value_type;
mod web;

pub use at_once::at_once;
pub use surroundings::{Surroundings, Variables};
