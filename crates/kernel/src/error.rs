use strongroom_secret::NameError;
use strongroom_storage::{CommitError, StorageError};
use thiserror::Error;

/// Why a request was not served: what the client is told, and apart from it what the log is told.
#[derive(Debug, Error)]
#[error("{kind:?}: {}", self.messages.join("; "))]
pub struct Error {
    pub kind: ErrorKind,
    /// For the client. Never a secret, never a value that the client sent.
    pub messages: Vec<String>,
    pub warnings: Vec<String>,
    /// For the client, if it may see it: which rule decided.
    pub hint: Option<String>,
    /// For the log alone.
    pub detail: Option<String>,
}

/// What kind of refusal it is. The doors map it to their own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// 400
    Invalid,
    /// 401: the proof of identity itself is wrong, at the few routes where Vault says so.
    Unauthenticated,
    /// 403
    Denied,
    /// 404
    NotFound,
    /// 405
    UnsupportedOperation,
    /// 412
    PreconditionFailed,
    /// 413
    TooLarge,
    /// 429
    RateLimited,
    /// 500
    Internal,
    /// 501: the server has no keys yet.
    NotInitialized,
    /// 503
    Sealed,
    /// 503: try again.
    Unavailable,
    /// 507
    StorageFull,
}

impl ErrorKind {
    /// The HTTP status of Vault's API.
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::UnsupportedOperation => 405,
            Self::PreconditionFailed => 412,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::NotInitialized => 501,
            Self::Sealed | Self::Unavailable => 503,
            Self::StorageFull => 507,
        }
    }
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, messages: vec![message.into()], warnings: Vec::new(), hint: None, detail: None }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub fn denied() -> Self {
        Self::new(ErrorKind::Denied, "permission denied")
    }

    /// Not found, without a word: Vault answers a missing entry with an empty list of errors.
    pub fn not_found() -> Self {
        Self {
            kind: ErrorKind::NotFound,
            messages: Vec::new(),
            warnings: Vec::new(),
            hint: None,
            detail: None,
        }
    }

    pub fn unsupported_operation() -> Self {
        Self::new(ErrorKind::UnsupportedOperation, "unsupported operation")
    }

    pub fn sealed() -> Self {
        Self::new(ErrorKind::Sealed, "Vault is sealed")
    }

    /// A fault of the server's own: the client learns that there was one, the log learns which.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Internal,
            messages: vec!["internal error: the server's log has the details under this request's id".into()],
            warnings: Vec::new(),
            hint: None,
            detail: Some(detail.into()),
        }
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        Self::new(ErrorKind::Unavailable, "storage is unavailable").with_detail(error.to_string())
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        let detail = error.to_string();
        match error {
            CommitError::Full => Self::new(ErrorKind::StorageFull, detail.clone()),
            CommitError::TooLarge => Self::new(ErrorKind::TooLarge, "the entry is too large to be stored"),
            CommitError::Conflict => {
                Self::new(ErrorKind::Unavailable, "too many concurrent changes of the same entry: try again")
            }
            CommitError::Unknown(_) => Self::new(
                ErrorKind::Unavailable,
                "the outcome of this change is unknown: read the entry before you try again",
            ),
            CommitError::Closed | CommitError::Failed(_) => {
                Self::new(ErrorKind::Unavailable, "storage is unavailable")
            }
        }
        .with_detail(detail)
    }
}
