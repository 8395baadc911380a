//! Audit: one line of JSON for each request and each response, in Vault's format, with values as keyed hashes; written
//! to every enabled device before the client is answered.
//!
//! * [`Record`] is what the kernel knows of a request; the broker formats it once per distinct [`FormatOptions`].
//! * [`Broker`] hands the lines to its devices. Each device has a thread, a bounded queue and a chain of its own. A
//!   device that hangs or fails is not waited for until it works again; with no working device a record is refused.
//! * Each line names the hash of the line before it, and signed checkpoints seal what is written so far.
//!   [`Verifier`] finds the first line that was altered, removed, inserted or moved; [`Search`] answers who did what, and
//!   [`search_piece`] both, a piece of a file at a time.

mod broker;
mod chain;
mod config;
mod device;
mod http_sink;
mod lines;
mod mask;
mod piece;
mod record;
mod search;
mod sink;
mod table;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use broker::{About, Prepared};
pub use broker::{Broker, BrokerOptions, Receipt};
pub use chain::{ChainPoint, CheckpointSigner};
pub use config::{
    AuditError, AuditTableEntry, DeviceConfig, FormatOptions, HttpTarget, Permissions, SocketTransport,
    Target,
};
pub use device::DeviceHealth;
pub use mask::hashed;
pub use piece::{Piece, Position, search_piece};
pub use record::{
    AuthFacts, CallerFacts, DataFacts, GrantingPolicy, HeaderFacts, MountFacts, Record, RequestFacts,
    ResponseFacts, WrapFacts,
};
pub use search::{Match, Outcome, Query, RecordKind, Search};
pub use sink::{AuditSink, SinkFactory, Tail};
pub use table::write_table;
pub use verify::{
    Break, BreakKind, CheckpointSeen, Report, Restart, SignatureState, Verifier, VerifyOptions,
    signed_store_index, verify,
};
