use std::fmt;
use thiserror::Error;

/// Why a provider has no answer. Said to a person: what was wrong, where we looked, what to do. Never a value.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct ProviderError {
    pub kind: ErrorKind,
    pub message: String,
    /// Places that were looked at, in order: files, variables, addresses.
    pub looked: Vec<String>,
    pub hint: Option<String>,
}

/// What callers branch on: each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// What the manifest says of the provider, or the address, cannot work.
    Settings,
    /// There are no credentials, or they are refused or have expired.
    Authentication,
    /// The credentials are good, but this is not allowed to them.
    Denied,
    /// No connection, no answer in time, or too many requests.
    Unreachable,
    /// An answer or a file that is not what it should be.
    Malformed,
    /// Data that does not fit its checksum or its seal.
    Integrity,
    /// The service has no such operation.
    Unsupported,
}

impl ErrorKind {
    /// The exit code of `strongroom` when nothing worse has happened (docs: exit codes).
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Settings | Self::Unsupported => 2,
            Self::Malformed => 3,
            Self::Authentication | Self::Denied => 4,
            Self::Unreachable => 5,
            Self::Integrity => 6,
        }
    }
}

impl ProviderError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), looked: Vec::new(), hint: None }
    }

    pub fn settings(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Settings, message)
    }

    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Authentication, message)
    }

    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreachable, message)
    }

    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Adds a place that was looked at.
    #[must_use]
    pub fn looked(mut self, place: impl fmt::Display) -> Self {
        self.looked.push(place.to_string());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
