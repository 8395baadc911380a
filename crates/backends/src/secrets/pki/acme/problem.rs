//! How ACME says that something is wrong (RFC 8555, section 6.7; RFC 7807).

use serde_json::{Value, json};
use strongroom_kernel::{Error, ErrorKind};

/// Why a request is not served.
#[derive(Debug)]
pub(super) enum Problem {
    /// The client is told in ACME's words.
    Told(Told),
    /// Something that is no matter of ACME's.
    Failed(Error),
}

#[derive(Debug)]
pub(super) struct Told {
    pub kind: Kind,
    pub detail: String,
    /// An account's address, where a key is taken already.
    pub location: Option<String>,
}

/// The names of RFC 8555, section 6.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    AccountDoesNotExist,
    AlreadyRevoked,
    BadCsr,
    BadNonce,
    BadPublicKey,
    BadRevocationReason,
    BadSignatureAlgorithm,
    Conflict,
    Disabled,
    ExternalAccountRequired,
    InvalidContact,
    Malformed,
    NotFound,
    OrderNotReady,
    RateLimited,
    RejectedIdentifier,
    Unauthorized,
    UnsupportedIdentifier,
}

impl Kind {
    /// The end of its URN, and the HTTP status.
    fn words(self) -> (&'static str, u16) {
        match self {
            Self::AccountDoesNotExist => ("accountDoesNotExist", 400),
            Self::AlreadyRevoked => ("alreadyRevoked", 400),
            Self::BadCsr => ("badCSR", 400),
            Self::BadNonce => ("badNonce", 400),
            Self::BadPublicKey => ("badPublicKey", 400),
            Self::BadRevocationReason => ("badRevocationReason", 400),
            Self::BadSignatureAlgorithm => ("badSignatureAlgorithm", 400),
            Self::Conflict => ("malformed", 409),
            Self::Disabled => ("unauthorized", 403),
            Self::ExternalAccountRequired => ("externalAccountRequired", 403),
            Self::InvalidContact => ("invalidContact", 400),
            Self::Malformed => ("malformed", 400),
            Self::NotFound => ("malformed", 404),
            Self::OrderNotReady => ("orderNotReady", 403),
            Self::RateLimited => ("rateLimited", 429),
            Self::RejectedIdentifier => ("rejectedIdentifier", 400),
            Self::Unauthorized => ("unauthorized", 403),
            Self::UnsupportedIdentifier => ("unsupportedIdentifier", 400),
        }
    }

    pub(super) fn told(self, detail: impl Into<String>) -> Problem {
        Problem::Told(Told { kind: self, detail: detail.into(), location: None })
    }

    /// In place of a refusal in Vault's words; what is no refusal stays what it is.
    pub(super) fn of(self, error: Error) -> Problem {
        match error.kind {
            ErrorKind::Invalid | ErrorKind::NotFound => self.told(error.messages.join("; ")),
            _ => Problem::Failed(error),
        }
    }
}

impl Told {
    pub(super) fn status(&self) -> u16 {
        self.kind.words().1
    }

    pub(super) fn document(&self) -> Value {
        let (name, status) = self.kind.words();
        json!({ "type": urn(name), "detail": self.detail, "status": status })
    }
}

/// The full name of an error.
pub(super) fn urn(name: &str) -> String {
    format!("urn:ietf:params:acme:error:{name}")
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Kind::Malformed.of(error)
    }
}
