//! User lockout: after some failed logins in a row, further ones are refused for a while without being looked at.

use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::mounts::UserLockoutConfig;
use crate::request::Response;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// Users remembered; beyond it those whose time is over are dropped, and then the oldest.
const USERS_MAX: usize = 100_000;

/// Counts failures by mount and canonical user name. In memory: a restart forgives.
#[derive(Default)]
pub(crate) struct Lockouts {
    users: Mutex<HashMap<(String, String), Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u64,
    last: Duration,
}

impl Lockouts {
    /// Refuses a login of a locked user, in the words of any failed login.
    pub(crate) fn check(&self, call: &Call<'_>, name: &str) -> Result<(), Error> {
        let config = config_of(call);
        if config.is_disabled {
            return Ok(());
        }
        let now = call.kernel.clock.monotonic();
        let users = self.users.lock();
        match users.get(&user(call, name)) {
            Some(failures)
                if failures.count >= config.threshold
                    && now.saturating_sub(failures.last) < config.duration =>
            {
                Err(Error::denied().with_detail("the user is locked after failed logins"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn count(&self, call: &Call<'_>, name: &str, answered: &Result<Response, Error>) {
        let config = config_of(call);
        if config.is_disabled {
            return;
        }
        let now = call.kernel.clock.monotonic();
        let mut users = self.users.lock();
        match answered {
            Ok(response) if response.login.is_some() => {
                users.remove(&user(call, name));
            }
            Err(Error {
                kind: ErrorKind::Invalid | ErrorKind::Denied | ErrorKind::Unauthenticated, ..
            }) => {
                make_room(&mut users, now, config.counter_reset.max(config.duration));
                let failures = users.entry(user(call, name)).or_insert(Failures { count: 0, last: now });
                if now.saturating_sub(failures.last) >= config.counter_reset {
                    failures.count = 0;
                }
                *failures = Failures { count: failures.count + 1, last: now };
            }
            _ => {}
        }
    }

    /// The locked users of an auth mount, by name.
    pub(crate) fn locked(&self, accessor: &str, config: &UserLockoutConfig, now: Duration) -> Vec<String> {
        let users = self.users.lock();
        let is_locked = |failures: &Failures| {
            !config.is_disabled
                && failures.count >= config.threshold
                && now.saturating_sub(failures.last) < config.duration
        };
        let mut locked: Vec<_> = users
            .iter()
            .filter(|((of, _), failures)| of == accessor && is_locked(failures))
            .map(|((_, name), _)| name.clone())
            .collect();
        locked.sort_unstable();
        locked
    }

    /// Forgives a user.
    pub(crate) fn unlock(&self, accessor: &str, name: &str) {
        self.users.lock().remove(&(accessor.to_owned(), name.to_owned()));
    }
}

fn config_of(call: &Call<'_>) -> UserLockoutConfig {
    call.mount.record.config.user_lockout.unwrap_or_default()
}

fn user(call: &Call<'_>, name: &str) -> (String, String) {
    (call.mount.record.accessor.clone(), name.to_owned())
}

fn make_room(users: &mut HashMap<(String, String), Failures>, now: Duration, window: Duration) {
    if users.len() < USERS_MAX {
        return;
    }
    users.retain(|_, failures| now.saturating_sub(failures.last) < window);
    while users.len() >= USERS_MAX {
        let oldest = users.iter().min_by_key(|(_, failures)| failures.last).map(|(user, _)| user.clone());
        let Some(oldest) = oldest else { return };
        users.remove(&oldest);
    }
}
