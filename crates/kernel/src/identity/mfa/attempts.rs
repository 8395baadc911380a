//! Wrong codes are counted, by method and entity. A try is counted before it is looked at, so that many at once are no
//! way around the count.

use crate::error::{Error, ErrorKind};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// How long somebody is refused after too many wrong codes, and how long wrong codes are remembered.
const WINDOW: Duration = Duration::from_secs(300);
const REMEMBERED_MAX: usize = 100_000;

/// In memory: a restart forgives.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<HashMap<(String, String), Tries>>);

#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    last: Duration,
}

impl Attempts {
    /// Counts a try, or refuses it.
    pub(super) fn take(&self, method: &str, entity: &str, max: u32, now: Duration) -> Result<(), Error> {
        let mut tries = self.0.lock();
        if tries.len() >= REMEMBERED_MAX {
            tries.retain(|_, tries| now.saturating_sub(tries.last) < WINDOW);
        }
        let known =
            tries.entry((method.to_owned(), entity.to_owned())).or_insert(Tries { count: 0, last: now });
        if now.saturating_sub(known.last) >= WINDOW {
            known.count = 0;
        }
        if known.count >= max {
            let wait = WINDOW.saturating_sub(now.saturating_sub(known.last)).as_secs().max(1);
            return Err(Error::new(
                ErrorKind::Denied,
                format!(
                    "maximum TOTP validation attempts {max} exceeded. Please try again in {wait} seconds"
                ),
            ));
        }
        *known = Tries { count: known.count + 1, last: now };
        Ok(())
    }

    /// A right code forgives the wrong ones before it.
    pub(super) fn forgive(&self, method: &str, entity: &str) {
        self.0.lock().remove(&(method.to_owned(), entity.to_owned()));
    }
}
