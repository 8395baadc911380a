//! From a fingerprint back to what it is of: secret, versions, whether they are live, and who may read them.

use super::readers::Readers;
use super::rows::{self, Row};
use super::tags::rows_with;
use super::{Standing, VersionState, leaves};
use crate::call::Call;
use crate::error::Error;
use crate::mounts::Mount;
use crate::policy::{self, AccessRequest};
use crate::rotation;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use strongroom_fingerprint::{Form, ScanKey, Tag, fingerprints};
use strongroom_secret::Timestamp;

/// Places that one answer names.
const PLACES_MAX: usize = 10_000;

/// One text of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub mount: u64,
    pub path: String,
    /// The names within the secret that lead to the text, joined by dots.
    pub name: String,
}

/// A version that a text stands in.
pub(super) struct Seen {
    pub version: u64,
    pub created: Timestamp,
    pub form: Option<Form>,
}

/// Where tags were found.
#[derive(Default)]
pub(super) struct Found {
    pub places: HashMap<Tag, BTreeMap<Place, Vec<Seen>>>,
    pub count: usize,
}

impl Found {
    pub(super) fn add(&mut self, tag: Tag, place: Place, seen: Seen) {
        self.count += 1;
        self.places.entry(tag).or_default().entry(place).or_default().push(seen);
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= PLACES_MAX
    }
}

/// Looks for tags in the rows of a namespace.
pub(super) fn find(call: &mut Call<'_>, tags: &[Tag]) -> Result<Found, Error> {
    let mut found = Found { places: tags.iter().map(|tag| (*tag, BTreeMap::new())).collect(), count: 0 };
    let now = call.now;
    for (mount, state) in super::export::mounts(call)? {
        let mount_id = mount.record.id;
        call.tx.untracked(|tx| match rows_with(tx, &mount, (state.generation, now), &mut tags.iter())? {
            Some(ids) => {
                for id in ids {
                    rows::read(tx, &mount, &id, &mut |row| {
                        take(&mut found, mount_id, rows::time_of(&id), row);
                    })?;
                    if found.is_full() {
                        break;
                    }
                }
                Ok(())
            }
            None => rows::visit(tx, &mount, &[], &mut |id, row| {
                take(&mut found, mount_id, rows::time_of(id), row);
                if found.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }),
        })?;
    }
    Ok(found)
}

fn take(found: &mut Found, mount: u64, created: Timestamp, row: &Row<'_>) {
    for leaf in row.leaves() {
        for tag in leaf.tags() {
            if found.places.contains_key(&tag) {
                let place = Place { mount, path: row.path.to_owned(), name: leaf.name.to_owned() };
                found.add(tag, place, Seen { version: row.version, created, form: leaf.form(&tag) });
            }
        }
    }
}

/// Everything that an answer says of what was found.
pub(super) struct Teller<'c, 'a> {
    call: &'c mut Call<'a>,
    key: Arc<ScanKey>,
    /// For holders of sudo.
    readers: Option<Readers>,
    standings: HashMap<(u64, String), Option<Standing>>,
}

impl<'c, 'a> Teller<'c, 'a> {
    /// For callers with sudo on `own_path` everything; for others what they may know of anyway.
    pub(super) fn new(call: &'c mut Call<'a>, own_path: &str, key: Arc<ScanKey>) -> Result<Self, Error> {
        let wanted = AccessRequest::new(call.namespace.path(), own_path, policy::Operation::Update, call.now);
        let has_sudo = call.require_caller()?.acl.has_sudo(&wanted);
        let readers = if has_sudo { Some(Readers::of_namespace(call)?) } else { None };
        Ok(Self { call, key, readers, standings: HashMap::new() })
    }

    /// The places of one tag, and how many the caller may not know of.
    pub(super) fn places(
        &mut self,
        tag: &Tag,
        places: &BTreeMap<Place, Vec<Seen>>,
    ) -> Result<Map<String, Value>, Error> {
        let (mut shown, mut is_live, mut withheld) = (Vec::new(), false, 0_u64);
        let mut is_honey = self.is_honey(tag, places);
        for (place, seen) in places {
            let Some(mount) = crate::mounts::by_id(self.call.topology, self.call.namespace.id(), place.mount)
            else {
                continue;
            };
            let (about, live) = self.place(&mount, tag, place, seen)?;
            is_live |= live;
            is_honey &= about.get("honey").is_none_or(|honey| *honey == Value::Bool(true));
            match self.may_know(&mount, &place.path)? {
                true => shown.push(Value::Object(about)),
                false => withheld += 1,
            }
        }
        let mut answer = Map::from_iter([
            ("live".to_owned(), is_live.into()),
            ("places".to_owned(), shown.into()),
            ("withheld".to_owned(), withheld.into()),
        ]);
        if self.readers.is_some() {
            answer.insert("honey".to_owned(), is_honey.into());
        }
        Ok(answer)
    }

    /// Whether a value is planted, as far as its tag says: it stands in some place, or it is itself a fake.
    fn is_honey(&self, tag: &Tag, places: &BTreeMap<Place, Vec<Seen>>) -> bool {
        let (call, namespace) = (&self.call, self.call.namespace.id());
        !places.is_empty() || call.kernel.honey.is_value(call.tx.keys(), namespace, tag)
    }

    fn may_know(&self, mount: &Mount, path: &str) -> Result<bool, Error> {
        let Some(functions) = mount.backend.fingerprints else { return Ok(false) };
        let path = [mount.path(), &(functions.about_path)(path)].concat();
        let wanted =
            AccessRequest::new(self.call.namespace.path(), &path, policy::Operation::Read, self.call.now);
        Ok(self.readers.is_some() || self.call.require_caller()?.acl.check(&wanted).is_allowed())
    }

    fn place(
        &mut self,
        mount: &Arc<Mount>,
        tag: &Tag,
        place: &Place,
        seen: &[Seen],
    ) -> Result<(Map<String, Value>, bool), Error> {
        let Some(functions) = mount.backend.fingerprints else { return Ok((Map::new(), false)) };
        let now = self.call.now;
        let call = &mut *self.call;
        let at = (place.mount, place.path.clone());
        if !self.standings.contains_key(&at) {
            let standing = (functions.standing)(&mut call.tx, mount, &place.path, now)?;
            self.standings.insert(at.clone(), standing);
        }
        let standing = self.standings.get(&at).and_then(Option::as_ref);
        let rotation = match standing {
            Some(standing) => rotation::facts_of(call, mount, &place.path, standing.current)?,
            None => None,
        };
        let previous = rotation.as_ref().map(|facts| facts.labels.previous.clone()).unwrap_or_default();
        let mut versions: BTreeMap<u64, Value> = BTreeMap::new();
        let mut best = State::Removed;
        for seen in seen {
            let state = state_of(&self.key, standing, seen, tag, &previous);
            best = best.min(state);
            versions.insert(seen.version, shown_version(seen, state));
        }
        let form = seen.last().and_then(|seen| seen.form).map(Form::word);
        let mut about = Map::from_iter([
            ("mount".to_owned(), mount.path().into()),
            ("path".to_owned(), place.path.as_str().into()),
            ("secret".to_owned(), [mount.path(), &place.path].concat().into()),
            ("key".to_owned(), place.name.as_str().into()),
            ("form".to_owned(), json!(form)),
            ("versions".to_owned(), versions.into_values().rev().collect::<Vec<_>>().into()),
            ("current_version".to_owned(), standing.map_or(0, |standing| standing.current).into()),
            ("state".to_owned(), best.word().into()),
            ("live".to_owned(), best.is_live().into()),
            ("rotation".to_owned(), rotation.map_or(Value::Null, |facts| facts.plan.into())),
        ]);
        if let Some(readers) = &self.readers {
            let path = [mount.path(), &(functions.value_path)(&place.path)].concat();
            let shown = readers.shown(call.namespace.path(), &path, now);
            about.insert("readers".to_owned(), shown);
            // Who may not know all is not told which secrets are fakes.
            let is_honey = call.kernel.honey.is_planted(call.tx.keys(), place.mount, &place.path);
            about.insert("honey".to_owned(), is_honey.into());
        }
        Ok((about, best.is_live()))
    }
}

fn shown_version(seen: &Seen, state: State) -> Value {
    json!({
        "version": seen.version,
        // Of a value from before there was an index, nobody knows.
        "created_time": (seen.created > Timestamp::EPOCH).then(|| seen.created.rfc3339()),
        "state": state.word(),
        "live": state.is_live(),
    })
}

/// How a version stands, the most dangerous first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Current,
    /// Replaced by rotation, and still valid.
    Previous,
    Superseded,
    Deleted,
    Expired,
    Destroyed,
    /// Pushed out by newer versions.
    Dropped,
    /// The secret is gone, or was made anew.
    Removed,
}

impl State {
    pub(super) fn is_live(self) -> bool {
        matches!(self, Self::Current | Self::Previous)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Superseded => "superseded",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Destroyed => "destroyed",
            Self::Dropped => "dropped",
            Self::Removed => "removed",
        }
    }
}

fn state_of(key: &ScanKey, standing: Option<&Standing>, seen: &Seen, tag: &Tag, previous: &[u64]) -> State {
    let Some(standing) = standing else { return State::Removed };
    if let Some(value) = &standing.value {
        return if holds(key, value.expose(), tag) { State::Current } else { State::Superseded };
    }
    let kept = standing.versions.iter().find(|(number, ..)| *number == seen.version);
    let Some((_, created, state)) = kept else {
        return if seen.version < standing.current { State::Dropped } else { State::Removed };
    };
    // Under the same number, of a secret that stood here before.
    if rows::time_id(*created) != rows::time_id(seen.created) {
        return State::Removed;
    }
    match state {
        VersionState::Destroyed => State::Destroyed,
        VersionState::Deleted => State::Deleted,
        VersionState::Expired => State::Expired,
        VersionState::Readable if seen.version == standing.current => State::Current,
        VersionState::Readable if previous.contains(&seen.version) => State::Previous,
        VersionState::Readable => State::Superseded,
    }
}

/// Whether a value has a text with this tag.
fn holds(key: &ScanKey, payload: &[u8], tag: &Tag) -> bool {
    let mut holds = false;
    leaves::visit(payload, &mut |_, text| {
        let made = fingerprints(key, text.as_bytes()).unwrap_or_default();
        holds |= made.iter().any(|print| print.tag == *tag);
    });
    holds
}
