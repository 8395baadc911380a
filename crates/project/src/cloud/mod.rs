//! Three clouds from the client's side: their credential chains, their signatures, and the calls that providers and SOPS
//! keys make. One folder for each; all speak through `crate::web`.

pub mod aws;
pub mod azure;
pub mod google;
mod jwt;

use crate::provider::ProviderError;
use crate::web::Answer;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use strongroom_secret::{SecretString, Timestamp};

/// What proves who asks, for a time.
#[derive(Debug)]
pub(crate) struct AccessToken {
    pub(crate) token: SecretString,
    pub(crate) expires: Option<Timestamp>,
    /// Where it comes from, for people.
    pub(crate) source: String,
}

impl AccessToken {
    /// From an answer of OAuth 2.0 (RFC 6749, section 5.1): `access_token`, and `expires_in` in seconds (some say it as text).
    fn of_answer(answer: &Answer, now: Timestamp, source: &str) -> Result<Self, ProviderError> {
        if !answer.is_success() {
            return Err(refused(answer, source));
        }
        let body = answer.json()?;
        let token = body.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| {
            ProviderError::malformed(format!("{source}: the answer has no access_token"))
                .looked(&answer.request)
        })?;
        let seconds =
            body.get("expires_in").and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        let expires = seconds.map(|seconds| now.plus(Duration::from_secs(seconds)));
        Ok(Self { token: token.into(), expires, source: source.to_owned() })
    }
}

/// A refusal of a token: OAuth's `error` and `error_description`, in one line.
fn refused(answer: &Answer, source: &str) -> ProviderError {
    let body: Value = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (error, description) = (text("error"), text("error_description"));
    let description = description.lines().next().unwrap_or_default();
    let message = match (error, description) {
        ("", _) => format!("{source}: no token is given"),
        (error, "") => format!("{source}: no token is given: {error}"),
        (error, description) => format!("{source}: no token is given: {error}: {description}"),
    };
    let refusal = ProviderError::authentication(answer.refused(message)).looked(&answer.request);
    match error {
        "invalid_grant" => refusal.hint("the login has expired or was taken back: log in again"),
        _ => refusal,
    }
}

/// Something with an end (credentials, a token), kept until shortly before it.
pub(crate) struct Renewed<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Renewed<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

/// What ends sooner is fetched again.
const REMAINING_MIN: Duration = Duration::from_secs(60);

impl<T> Renewed<T> {
    /// The thing, found anew if there is none or its end is near. Many threads that ask at once cause one search.
    pub(crate) fn get(
        &self,
        now: Timestamp,
        end: impl Fn(&T) -> Option<Timestamp>,
        find: impl FnOnce() -> Result<T, ProviderError>,
    ) -> Result<Arc<T>, ProviderError> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = slot.as_ref()
            && end(kept).is_none_or(|end| end > now.plus(REMAINING_MIN))
        {
            return Ok(Arc::clone(kept));
        }
        let found = Arc::new(find()?);
        *slot = Some(Arc::clone(&found));
        Ok(found)
    }
}
