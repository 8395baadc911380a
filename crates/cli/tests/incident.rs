//! `incident` and `honey` on the real program: without a server, and against one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

#[path = "incident/world.rs"]
mod world;

#[path = "incident/alone.rs"]
mod alone;
#[path = "incident/bad_input.rs"]
mod bad_input;
#[path = "incident/broken_off.rs"]
mod broken_off;
#[path = "incident/gate.rs"]
mod gate;
#[path = "incident/honey.rs"]
mod honey;
#[path = "incident/story.rs"]
mod story;
