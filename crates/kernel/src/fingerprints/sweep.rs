//! The rows of versions whose values are gone: kept for a time, so that an old leak is still told by name, and not for ever. Once a day
//! every row is looked at, in pieces: one whose value is gone notes since when that was seen; one that noted it long ago goes, and so
//! does one of which the secret has had many versions since.

use super::missing;
use super::rows::{self, Row};
use super::{Standing, VersionState, leaves};
use crate::error::Error;
use crate::mounts::Mount;
use crate::removal::Removal;
use crate::transaction::Tx;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_fingerprint::{ScanKey, Tag, fingerprints};
use strongroom_secret::Timestamp;

/// What is kept where a mount says nothing else.
const KEPT_FOR_DEFAULT: Duration = Duration::from_secs(366 * 24 * 3600);
const VERSIONS_DEFAULT: u64 = 100;
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// Rows that one piece looks at.
const ROWS_AT_ONCE: usize = 256;

/// How far the look at each mount's rows has come, in memory: what was cut off begins anew.
#[derive(Default)]
pub(crate) struct Sweeps(Mutex<HashMap<(u64, u64), Sweep>>);

#[derive(Default, Clone)]
struct Sweep {
    after: Vec<u8>,
    /// None: the store has to be asked.
    next: Option<Timestamp>,
}

impl Sweeps {
    pub(crate) fn is_due(&self, mount: &Mount, now: Timestamp) -> bool {
        let sweeps = self.0.lock();
        let next = sweeps.get(&(mount.namespace, mount.record.id)).and_then(|sweep| sweep.next);
        // A clock that was ahead once must not put it off for years.
        next.is_none_or(|next| next <= now || next.since(now) > EVERY)
    }

    fn get(&self, mount: &Mount) -> Sweep {
        self.0.lock().get(&(mount.namespace, mount.record.id)).cloned().unwrap_or_default()
    }

    fn set(&self, mount: &Mount, sweep: Sweep) {
        self.0.lock().insert((mount.namespace, mount.record.id), sweep);
    }
}

/// What becomes of a row.
enum Fate {
    Stays,
    /// It is gone since now, or is back.
    Noted(Option<Timestamp>),
    Goes,
}

struct Seen {
    id: Vec<u8>,
    path: String,
    version: u64,
    created: Timestamp,
    gone_since: Option<Timestamp>,
    tags: Vec<Tag>,
}

/// Looks at some rows of a mount.
pub(crate) fn sweep(
    tx: &mut Tx<'_>,
    mount: &Mount,
    sweeps: &Sweeps,
    now: Timestamp,
) -> Result<Removal, Error> {
    // Rows change by this alone: what is read need not hold the commit back.
    tx.untracked(|tx| {
        let mut sweep = sweeps.get(mount);
        if sweep.next.is_none() {
            let swept = missing::state(tx, mount)?.swept;
            sweep.next = Some(Timestamp::from_seconds(swept).plus(EVERY));
            sweeps.set(mount, sweep.clone());
            if !sweeps.is_due(mount, now) {
                return Ok(Removal::Done);
            }
        }
        let seen = seen(tx, mount, &sweep.after)?;
        decide(tx, mount, &seen, now)?;
        match seen.last().filter(|_| seen.len() >= ROWS_AT_ONCE) {
            Some(last) => {
                sweep.after.clone_from(&last.id);
                sweeps.set(mount, sweep);
                Ok(Removal::More)
            }
            None => {
                missing::note_swept(tx, mount, now)?;
                tx.keys().tags.forget(mount);
                sweeps.set(mount, Sweep { after: Vec::new(), next: Some(now.plus(EVERY)) });
                Ok(Removal::Done)
            }
        }
    })
}

fn seen(tx: &mut Tx<'_>, mount: &Mount, after: &[u8]) -> Result<Vec<Seen>, Error> {
    let mut all = Vec::new();
    rows::visit(tx, mount, after, &mut |id, row: &Row<'_>| {
        all.push(Seen {
            id: id.to_vec(),
            path: row.path.to_owned(),
            version: row.version,
            created: rows::time_of(id),
            gone_since: row.gone_since,
            tags: row.leaves().filter_map(|leaf| leaf.whole()).collect(),
        });
        if all.len() >= ROWS_AT_ONCE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(all)
}

fn decide(tx: &mut Tx<'_>, mount: &Mount, all: &[Seen], now: Timestamp) -> Result<(), Error> {
    let Some(functions) = mount.backend.fingerprints else { return Ok(()) };
    let key = tx.keys().scan.of(tx.keys(), mount.namespace);
    let mut standings: HashMap<&str, Option<Standing>> = HashMap::new();
    for seen in all {
        if !standings.contains_key(seen.path.as_str()) {
            standings.insert(&seen.path, (functions.standing)(tx, mount, &seen.path, now)?);
        }
        let standing = standings.get(seen.path.as_str()).and_then(Option::as_ref);
        match fate(mount, &key, seen, standing, now) {
            Fate::Stays => {}
            Fate::Noted(gone_since) => rows::note_gone(tx, mount, &seen.id, gone_since)?,
            Fate::Goes => rows::remove(tx, mount, &seen.id)?,
        }
    }
    Ok(())
}

fn fate(mount: &Mount, key: &ScanKey, seen: &Seen, standing: Option<&Standing>, now: Timestamp) -> Fate {
    let config = &mount.record.config;
    if standing.is_some_and(|standing| is_kept(key, seen, standing)) {
        return if seen.gone_since.is_some() { Fate::Noted(None) } else { Fate::Stays };
    }
    let versions = match config.fingerprints_versions {
        0 => VERSIONS_DEFAULT,
        versions => versions,
    };
    let kept_for = match config.fingerprints_kept_for {
        Duration::ZERO => KEPT_FOR_DEFAULT,
        kept_for => kept_for,
    };
    let newer = standing.map_or(0, |standing| standing.current.saturating_sub(seen.version));
    match seen.gone_since {
        _ if seen.version > 0 && newer > versions => Fate::Goes,
        Some(since) if now.since(since) > kept_for => Fate::Goes,
        Some(_) => Fate::Stays,
        None => Fate::Noted(Some(now)),
    }
}

/// Whether the version's value is there: a deleted one too, for it can be brought back.
fn is_kept(key: &ScanKey, seen: &Seen, standing: &Standing) -> bool {
    if let Some(value) = &standing.value {
        let mut tags = HashSet::new();
        leaves::visit(value.expose(), &mut |_, text| {
            let made = fingerprints(key, text.as_bytes()).unwrap_or_default();
            tags.extend(made.first().map(|print| print.tag));
        });
        return seen.tags.iter().any(|tag| tags.contains(tag));
    }
    standing.versions.iter().any(|(number, created, state)| {
        *number == seen.version
            && rows::time_id(*created) == rows::time_id(seen.created)
            && *state != VersionState::Destroyed
    })
}
