//! The spine: barrier, seal, namespaces, mounts, policy, tokens, identity, leases and audit. Bytes come in as a typed
//! [`Request`] from a door and leave as a [`Response`]; nothing here knows of HTTP or of any one secrets engine.

mod error;
mod fields;
mod kernel;
mod request;
pub mod policy;
pub mod tokens;

pub use error::{Error, ErrorKind};
pub use kernel::Kernel;
pub use request::{
    Auth, Body, Client, Data, Fields, LeaseGrant, LoginGrant, Operation, Request, Response, WrapInfo,
};
