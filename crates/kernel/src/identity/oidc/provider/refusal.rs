//! Refusals in the words of OAuth 2.0 and OpenID Connect: an answer of their form, whose transaction is committed.

use crate::error::Error;
use crate::request::Response;
use serde_json::{Map, Value, json};

/// Why a request goes no further.
pub(super) enum Stop {
    /// The client is told in the protocol's words.
    Refused(Refusal),
    /// The server's own error.
    Failed(Error),
}

/// An error code of the protocol, and a sentence for whoever set the client up. Never a value that somebody sent.
pub(super) struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub description: String,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// 400 with this code.
pub(super) fn refused(code: &'static str, description: impl Into<String>) -> Stop {
    refused_with(400, code, description)
}

pub(super) fn refused_with(status: u16, code: &'static str, description: impl Into<String>) -> Stop {
    Stop::Refused(Refusal { status, code, description: description.into() })
}

/// The answer: what `work` came to, or its refusal with what else belongs to it.
pub(super) fn answered(
    work: Result<Response, Stop>,
    complete: impl FnOnce(&Refusal, &mut Map<String, Value>) -> Vec<(&'static str, String)>,
) -> Result<Response, Error> {
    let refusal = match work {
        Ok(response) => return Ok(response),
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Refused(refusal)) => refusal,
    };
    let mut body = Map::from_iter([
        ("error".to_owned(), json!(refusal.code)),
        ("error_description".to_owned(), json!(refusal.description)),
    ]);
    let headers = complete(&refusal, &mut body);
    Ok(Response { status: Some(refusal.status), headers, ..Response::plain(Value::Object(body)) })
}
