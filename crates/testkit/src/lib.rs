//! What tests and simulations pass in place of the real world: a clock that moves only when told, and randomness
//! that repeats from a seed. Development only; no product crate depends on it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is test code: what fails here shall fail the test"
)]

mod clock;
mod entropy;
pub mod hostile;
#[cfg(feature = "server")]
pub mod outbound;
pub mod peers;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod simulation;
#[cfg(feature = "server")]
mod streams;

pub use clock::FakeClock;
pub use entropy::SeededEntropy;
