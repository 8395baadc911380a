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
    Access, Closing, Event, Evidence, Facts, Incident, LeakState, Leaked, Progress, Reader, Sighting, Step,
    StepKind, StepState,
};
pub(crate) use routes::ROUTES;
pub(crate) use store::{note_told, read, save};

use strongroom_secret::{Entropy, Timestamp};

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
