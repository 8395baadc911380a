//! Incidents: a secret that got out, from the first hit to the proof that it is over.
//!
//! [`Incident`] is pure: what is known, the checklist, and who did what when. The server keeps one in its store (`store.rs`,
//! `sys/incidents`), the command line one in a file where there is no server; both change it by [`Incident::apply`] alone.

mod change;
mod model;
mod routes;
mod store;

pub use change::{Act, By, Change, NAME_BYTES_MAX, Refusal, TEXT_BYTES_MAX, is_id};
pub use model::{
    Access, Closing, Event, Evidence, Facts, Incident, KEPT_AS_HONEY, KEPT_BY_SERVER, LeakState, Leaked,
    Progress, Reader, Sighting, Step, StepKind, StepState,
};
pub(crate) use routes::ROUTES;
pub(crate) use store::{note_told, read, save};

use strongroom_crypto::hash::sha256;
use strongroom_secret::{Entropy, Timestamp};

/// How a webhook is called in the history: its host, and a few digits by which two of one host differ. The rest of an address may
/// be a credential.
pub fn webhook_name(url: &str) -> String {
    let hash = hex::encode(sha256(url.as_bytes()));
    format!("webhook {} ({})", host_of(url), hash.get(..6).unwrap_or_default())
}

/// The host and port of an address, without what may be a credential of it.
pub(crate) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// An id that says the day and is nobody else's.
pub fn new_id(entropy: &dyn Entropy, now: Timestamp) -> String {
    let mut random = [0; 5];
    entropy.fill(&mut random);
    id_of(now, &hex::encode(random))
}

/// The id of a day and a name of that day.
pub(crate) fn id_of(now: Timestamp, name: &str) -> String {
    let text = now.rfc3339();
    let day = text.get(..10).unwrap_or_default();
    format!("{day}-{name}")
}
