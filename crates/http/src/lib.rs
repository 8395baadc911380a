//! The doors: bytes from the network become a typed request, once; the kernel's response becomes bytes. The only user
//! of the HTTP framework.
//!
//! [`Door::bind`] takes listeners and a [`Handler`] (the kernel), [`Door::serve`] runs until it is told to stop.

mod connection;
mod cors;
mod counters;
mod door;
mod forwarded;
mod listener;
mod request_id;
pub mod tls;
mod vault;

pub use cors::{CorsOrigins, CorsPolicy};
pub use counters::{Counters, CountersSnapshot};
pub use door::{Answer, Door, Handler, Options, PageHeaders};
pub use forwarded::ForwardedFor;
pub use listener::{Address, BindError, Listener};
/// The look at a body before it is parsed; for fuzzing.
pub use vault::json_limits;
