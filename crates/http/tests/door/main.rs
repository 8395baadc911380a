//! The door from outside: bytes in, bytes out, with a handler that stands in for the kernel.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod bad_input;
mod protocol;
mod stand_in;
mod timing;
mod tls;
