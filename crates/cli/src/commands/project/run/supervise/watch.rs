//! What changes while a program runs: files at once, services when they are asked again.

use crate::commands::project::Session;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use strongroom_project::leases::lent_names;
use strongroom_project::provider::Reach;
use strongroom_project::resolve::{Opened, Resolution, Selection};
use tokio::time::Instant;

pub struct Watch {
    seen: BTreeMap<PathBuf, State>,
    asked: Instant,
    /// None where no provider is elsewhere.
    ask_every: Option<Duration>,
}

type State = Option<(SystemTime, u64)>;

pub enum Changes {
    Nothing,
    /// Of all that is not lent to one run.
    Values(Resolution),
}

impl Watch {
    pub fn new(session: &Session<'_>, opened: &Opened, ask_every: Duration) -> Self {
        let is_elsewhere =
            opened.in_order(&session.environment).any(|(_, provider)| provider.reach() != Reach::Local);
        Self {
            seen: states(&watched(session)),
            asked: Instant::now(),
            ask_every: is_elsewhere.then_some(ask_every),
        }
    }

    /// New values, if files changed or services were not asked for a while, and the values are other ones. What cannot be
    /// read now leaves the program with what it has.
    pub fn changed(
        &mut self,
        session: &mut Session<'_>,
        selection: Selection<'_>,
        current: &Resolution,
    ) -> Changes {
        let now = states(&watched(session));
        let have_files = now != self.seen;
        if !have_files && self.ask_every.is_none_or(|every| self.asked.elapsed() < every) {
            return Changes::Nothing;
        }
        self.asked = Instant::now();
        if have_files {
            self.seen = now;
            // The manifest may be among them.
            match Session::open_in(session.context, Some(&session.environment.name)) {
                Ok(newer) => *session = newer,
                Err(failure) => {
                    session.context.output.note(failure.native_text().trim_end());
                    return Changes::Nothing;
                }
            }
        }
        let lent = lent_names(current);
        let is_wanted =
            |name: &String| current.secrets.contains_key(name) || is_selected(session, selection, name);
        let declared = session.manifest.secrets.iter().map(|secret| &secret.name);
        let names: Vec<String> =
            declared.filter(|name| !lent.contains(*name) && is_wanted(name)).cloned().collect();
        match session.values(Selection::Names(&names)) {
            Ok(newer) if is_same(&newer, current, &lent) => Changes::Nothing,
            Ok(newer) => Changes::Values(newer),
            Err(failure) => {
                session.context.output.note(failure.native_text().trim_end());
                Changes::Nothing
            }
        }
    }
}

fn is_selected(session: &Session<'_>, selection: Selection<'_>, name: &str) -> bool {
    match selection {
        Selection::All => true,
        Selection::Scope(scope) => session.manifest.in_scope(scope, name),
        Selection::Names(names) => names.iter().any(|known| known == name),
    }
}

/// Whether all that is not lent is there and not there in the same way, with the same values.
fn is_same(newer: &Resolution, current: &Resolution, lent: &BTreeSet<String>) -> bool {
    let names = newer.secrets.keys().chain(current.secrets.keys());
    names.filter(|name| !lent.contains(*name)).all(|name| newer.value(name) == current.value(name))
}

/// The manifest's files, and whatever of its providers' settings names a file.
fn watched(session: &Session<'_>) -> Vec<PathBuf> {
    let mut files = session.manifest.files();
    files.extend(strongroom_project::check::named_files(&session.manifest, &session.environment));
    files
}

fn states(files: &[PathBuf]) -> BTreeMap<PathBuf, State> {
    let state = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(|file| (file.clone(), state(file))).collect()
}
