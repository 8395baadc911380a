//! Requests of the server to other servers over HTTP. The kernel has no network: what sends them comes in from outside.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::{SecretBytes, SecretString};
use thiserror::Error;

/// One request. It is never repeated, and redirects are not followed.
#[derive(Debug)]
pub struct OutboundRequest<'r> {
    /// `GET`, `POST`
    pub method: &'static str,
    /// Absolute: `https://…`, or `http://…` where the operator asked for that.
    pub url: &'r str,
    /// Values may be credentials.
    pub headers: &'r [(String, SecretString)],
    pub body: &'r [u8],
    /// For the whole exchange.
    pub timeout: Duration,
    /// The authorities to trust, in place of the system's.
    pub ca_file: Option<CaFile<'r>>,
    pub response_bytes_max: u64,
}

/// Authorities in PEM.
#[derive(Debug, Clone, Copy)]
pub enum CaFile<'r> {
    /// A file that the server's own configuration names.
    At(&'r Path),
    /// The text itself, as clients of the API send it.
    Text(&'r str),
}

/// Any answer, whatever its status.
#[derive(Debug)]
pub struct OutboundResponse {
    pub status: u16,
    pub body: SecretBytes,
}

/// Why there was no answer: where it was asked, and what went wrong. Never a credential.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct OutboundError(pub String);

/// Sends a request and waits for its answer.
pub type Outbound =
    Arc<dyn Fn(&OutboundRequest<'_>) -> Result<OutboundResponse, OutboundError> + Send + Sync>;

/// A server that reaches no other.
pub(crate) fn unreachable() -> Outbound {
    Arc::new(|_| Err(OutboundError("this server has no way to other servers".to_owned())))
}
