//! What providers have lent for a time: kept alive while a program uses it, and given back when the program ends.
//!
//! Time comes in: `now` counts on any clock that never goes back.

use crate::provider::{Lease, Provider, ProviderError};
use crate::resolve::{Opened, Resolution, Resolved, Source};
use std::collections::BTreeSet;
use std::time::Duration;
use strongroom_secret::format_duration;

/// The leases of one resolution, with the providers that gave them. Dropping this ends the providers' own logins, but no
/// lease: `give_back` does.
pub struct Leases {
    opened: Opened,
    held: Vec<Held>,
}

struct Held {
    provider: String,
    what: What,
    /// The secrets that live as long as this does.
    names: Vec<String>,
    ends: Duration,
    /// When to look at it again; none once it is over.
    due: Option<Duration>,
    state: State,
}

enum What {
    Lent(Lease),
    /// The provider's own login: all that is lent under it ends with it.
    Login(Lease),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It can be lengthened.
    Renewed,
    /// The last attempt failed, which was said.
    Failing,
    /// It runs out.
    Last,
}

/// No lease is looked at more often.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// A lease that gains less has reached its longest life.
const GAIN_MIN: Duration = Duration::from_secs(1);

impl Leases {
    pub fn new(opened: Opened, resolution: &Resolution, now: Duration) -> Self {
        let mut held: Vec<Held> = Vec::new();
        for (name, resolved) in &resolution.secrets {
            let Some((provider, lease)) = lent(resolved) else { continue };
            let is_same =
                |known: &&mut Held| matches!(&known.what, What::Lent(known) if known.id == lease.id);
            match held.iter_mut().find(is_same) {
                Some(known) => known.names.push(name.clone()),
                None => held.push(Held::new(provider, What::Lent(lease.clone()), vec![name.clone()], now)),
            }
        }
        let lenders: BTreeSet<String> = held.iter().map(|held| held.provider.clone()).collect();
        for provider in lenders {
            if let Some(login) = opened.provider(&provider).and_then(Provider::login) {
                held.push(Held::new(&provider, What::Login(login), Vec::new(), now));
            }
        }
        Self { opened, held }
    }

    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// When `renew` has something to do.
    pub fn due(&self) -> Option<Duration> {
        self.held.iter().filter_map(|held| held.due).min()
    }

    /// Whether something has run out, so that values are no longer good.
    pub fn has_ended(&self) -> bool {
        self.held.iter().any(|held| held.due.is_none())
    }

    /// Lengthens what is due, and says what a person should know.
    pub fn renew(&mut self, now: Duration) -> Vec<String> {
        let mut notes = Vec::new();
        for held in &mut self.held {
            if held.due.is_some_and(|due| due <= now)
                && let Some(provider) = self.opened.provider(&held.provider)
            {
                notes.extend(held.attend(provider, now));
            }
        }
        notes
    }

    /// Ends the leases and the logins that they were lent under, and says what could not be ended.
    pub fn give_back(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        let logins: BTreeSet<String> =
            self.held.iter().filter(|held| held.is_login()).map(|held| held.provider.clone()).collect();
        for held in std::mem::take(&mut self.held) {
            let Some(provider) = self.opened.provider(&held.provider) else { continue };
            let outcome = match &held.what {
                // It ends with the login, which may not have the right to end leases one by one.
                What::Lent(_) if logins.contains(&held.provider) => Ok(()),
                What::Lent(_) if held.due.is_none() => Ok(()),
                What::Lent(lease) => provider.revoke(lease),
                What::Login(_) => provider.log_out(),
            };
            if let Err(error) = outcome {
                notes.push(format!("warning: {} was not ended: {error}", held.shown()));
            }
        }
        notes
    }
}

/// The lease that a value comes with, and the provider that gave it.
fn lent(resolved: &Resolved) -> Option<(&str, &Lease)> {
    let candidate = resolved.candidate()?;
    Some((&candidate.provider, candidate.found.lease.as_ref()?))
}

/// Whether a program with these values has to stay under our eyes.
pub fn has_leases(resolution: &Resolution) -> bool {
    resolution.secrets.values().any(|resolved| lent(resolved).is_some())
}

/// The secrets whose values are lent to one run, and those composed of them: asked for again, they are other ones.
pub fn lent_names(resolution: &Resolution) -> BTreeSet<String> {
    let secrets = &resolution.secrets;
    let mut names: BTreeSet<String> = secrets
        .iter()
        .filter(|(_, resolved)| lent(resolved).is_some())
        .map(|(name, _)| name.clone())
        .collect();
    loop {
        let is_made_of = |resolved: &Resolved| match &resolved.source {
            Source::Composed(parts) => parts.iter().any(|part| names.contains(part)),
            _ => false,
        };
        let more: Vec<String> = secrets
            .iter()
            .filter(|(name, resolved)| !names.contains(*name) && is_made_of(resolved))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return names;
        }
        names.extend(more);
    }
}

impl Held {
    fn new(provider: &str, what: What, names: Vec<String>, now: Duration) -> Self {
        let lease = what.lease();
        let ends = now.saturating_add(lease.duration);
        let state = if lease.renewable { State::Renewed } else { State::Last };
        let due = Some(if lease.renewable { two_thirds(lease.duration, now) } else { ends });
        Self { provider: provider.to_owned(), what, names, ends, due, state }
    }

    fn is_login(&self) -> bool {
        matches!(self.what, What::Login(_))
    }

    fn shown(&self) -> String {
        match &self.what {
            What::Login(lease) => format!("the login of {} ({})", self.provider, lease.id),
            What::Lent(_) => format!("the lease of {} from {}", self.names.join(", "), self.provider),
        }
    }

    /// Its time has come: it is lengthened, or it is over.
    fn attend(&mut self, provider: &dyn Provider, now: Duration) -> Option<String> {
        if self.state == State::Last || now >= self.ends {
            self.due = None;
            return Some(format!("warning: {} has ended: what it gave is no longer valid", self.shown()));
        }
        let renewed = match &self.what {
            What::Lent(lease) => provider.renew(lease),
            What::Login(_) => provider.renew_login(),
        };
        match renewed {
            Ok(lease) => self.lengthened(lease, now),
            Err(error) => self.not_lengthened(&error, now),
        }
    }

    fn lengthened(&mut self, lease: Lease, now: Duration) -> Option<String> {
        let ends = now.saturating_add(lease.duration);
        let has_gained = ends >= self.ends.saturating_add(GAIN_MIN.min(lease.duration / 4));
        self.ends = ends;
        if lease.renewable && has_gained {
            self.due = Some(two_thirds(lease.duration, now));
            self.state = State::Renewed;
            return None;
        }
        (self.state, self.due) = (State::Last, Some(ends));
        let left = format_duration(Duration::from_secs(lease.duration.as_secs()));
        Some(format!("warning: {} cannot be lengthened any more: it ends in {left}", self.shown()))
    }

    /// Tried again while there is time, and said once.
    fn not_lengthened(&mut self, error: &ProviderError, now: Duration) -> Option<String> {
        let pause = (self.ends.saturating_sub(now) / 4).max(PAUSE_MIN);
        self.due = Some(now.saturating_add(pause).min(self.ends.max(now.saturating_add(PAUSE_MIN))));
        let was_said = std::mem::replace(&mut self.state, State::Failing) == State::Failing;
        (!was_said).then(|| {
            let left = format_duration(Duration::from_secs(self.ends.saturating_sub(now).as_secs()));
            format!("warning: {} was not lengthened, and ends in {left}: {error}", self.shown())
        })
    }
}

impl What {
    fn lease(&self) -> &Lease {
        match self {
            Self::Lent(lease) | Self::Login(lease) => lease,
        }
    }
}

fn two_thirds(duration: Duration, now: Duration) -> Duration {
    now.saturating_add((duration / 3 * 2).max(PAUSE_MIN))
}
