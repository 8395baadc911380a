//! The wire types of the Vault API, and (feature `client`) a typed, blocking client for it.

#[cfg(feature = "client")]
pub mod client;
mod response;
mod secret_text;
mod sys;

pub use response::{Auth, ErrorBody, Response, WrapInfo};
pub use sys::{Health, InitAnswer, InitRequest, Leader, SealStatus};
