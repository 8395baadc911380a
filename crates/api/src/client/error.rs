use super::Method;
use crate::Response;
use std::path::PathBuf;
use thiserror::Error;

/// Why a request had no useful answer.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error("the address {address:?} is not usable: {reason}")]
    Address { address: String, reason: String },
    #[error("no answer from {address}: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("no answer from {address} within {seconds} seconds")]
    Timeout { address: String, seconds: u64 },
    #[error("no trusted connection to {address}: {reason}")]
    Tls { address: String, reason: String },
    #[error("cannot use the TLS file {path}: {reason}", path = path.display())]
    TlsFile { path: PathBuf, reason: String },
    #[error("the {what} has a character that cannot be sent in an HTTP header")]
    Header { what: &'static str },
    #[error("{url} answered with more than {limit_bytes} bytes")]
    TooLarge { url: String, limit_bytes: u64 },
    #[error("{url} does not answer as a Vault server does: {reason}")]
    BadResponse { url: String, reason: String },
    #[error("{0}")]
    Server(Box<ServerError>),
    #[error("cannot read or write the data to send or receive: {0}")]
    Io(#[from] std::io::Error),
}

impl ClientError {
    /// The same without the query in its address: for requests whose query is not to be shown.
    #[must_use]
    pub fn without_query(mut self) -> Self {
        let url = match &mut self {
            Self::TooLarge { url, .. } | Self::BadResponse { url, .. } => url,
            Self::Server(error) => &mut error.url,
            _ => return self,
        };
        url.truncate(url.find('?').unwrap_or(url.len()));
        self
    }
}

/// An answer that says no.
#[derive(Debug, Error)]
#[error("{}", if messages.is_empty() { format!("status {status}") } else { messages.join("; ") })]
pub struct ServerError {
    pub method: Method,
    pub url: String,
    pub status: u16,
    /// `errors` of the body.
    pub messages: Vec<String>,
    /// `hint` of the body: what would have to change. Only Strongroom says it.
    pub hint: Option<String>,
    /// What else a body with `errors` held.
    pub response: Option<Response>,
}

/// What callers branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerErrorKind {
    Sealed,
    Uninitialized,
    PermissionDenied,
    NotFound,
    /// Check-and-set, or another writer was first.
    Conflict,
    RateLimited,
    BadRequest,
    Internal,
}

impl ServerError {
    pub fn kind(&self) -> ServerErrorKind {
        let says = |text: &str| self.messages.iter().any(|message| message.contains(text));
        match self.status {
            403 => ServerErrorKind::PermissionDenied,
            404 => ServerErrorKind::NotFound,
            429 => ServerErrorKind::RateLimited,
            _ if says("permission denied") || says("missing client token") => {
                ServerErrorKind::PermissionDenied
            }
            400 | 412 if says("check-and-set") => ServerErrorKind::Conflict,
            503 if says("sealed") => ServerErrorKind::Sealed,
            501 | 503 | 400 if says("not initialized") || says("not yet initialized") => {
                ServerErrorKind::Uninitialized
            }
            400..=499 => ServerErrorKind::BadRequest,
            _ => ServerErrorKind::Internal,
        }
    }
}

impl ClientError {
    /// The server's refusal, if the server answered.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    pub fn kind(&self) -> Option<ServerErrorKind> {
        self.server().map(ServerError::kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_from_status_and_text() {
        let kind = |status, message: &str| {
            let messages = vec![message.to_owned()];
            ServerError {
                method: Method::Get,
                url: String::new(),
                status,
                messages,
                hint: None,
                response: None,
            }
            .kind()
        };
        assert_eq!(kind(503, "Vault is sealed"), ServerErrorKind::Sealed);
        assert_eq!(kind(403, "permission denied"), ServerErrorKind::PermissionDenied);
        assert_eq!(kind(400, "missing client token"), ServerErrorKind::PermissionDenied);
        assert_eq!(
            kind(400, "check-and-set parameter did not match the current version"),
            ServerErrorKind::Conflict
        );
        assert_eq!(kind(400, "server is not yet initialized"), ServerErrorKind::Uninitialized);
        assert_eq!(kind(404, ""), ServerErrorKind::NotFound);
        assert_eq!(kind(500, "internal error"), ServerErrorKind::Internal);
    }
}
