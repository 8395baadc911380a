//! Rotation on whole servers, against a world outside that knows which credentials work.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "rotation/world.rs"]
mod world;

#[path = "rotation/clocks.rs"]
mod clocks;
#[path = "rotation/crashes.rs"]
mod crashes;
#[path = "rotation/grace.rs"]
mod grace;
#[path = "rotation/plans.rs"]
mod plans;
#[path = "rotation/steps.rs"]
mod steps;
