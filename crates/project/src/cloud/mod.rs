//! Three clouds from the client's side: their credential chains, their signatures, and the calls that providers and SOPS
//! keys make. One folder for each; all speak through `crate::web`.

pub mod aws;

use crate::provider::ProviderError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use strongroom_secret::Timestamp;

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

    /// Forgets what is kept: the service refused it.
    #[expect(dead_code, reason = "for the other services")]
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
