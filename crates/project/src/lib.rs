//! A project and its secrets: the manifest that declares them, the providers that hold them, and what is made of both:
//! checked values for a program, files for other tools, a lock.
//!
//! Nothing here reads the process environment, a clock or the system's randomness: they come in from the binary.

pub mod compose;
pub mod files;
pub mod manifest;
pub mod provider;
pub mod sops;
mod surroundings;
pub mod value_type;

pub use surroundings::{Surroundings, Variables};
