//! Honey: planted fakes, of which nobody who is honest makes any use. Who does raises an alarm.
//!
//! A request pays one look at a flag, and where there is honey a look into a set in memory by a keyed hash. A use is noted in
//! memory and stored by a thread of its own, so that whoever uses a fake waits no longer than for the real thing and sees
//! nothing else. What is stored goes on from there over any crash: the use, the incident, and the notices (`notices.rs`).

mod alarm;
mod record;
mod routes;
mod store;

pub(crate) use routes::ROUTES;
pub(crate) use store::note_told;

use crate::barrier::Keys;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::fingerprints;
use crate::kernel::Kernel;
use crate::request::Request;
use crate::rotation;
use crate::transaction::Tx;
use parking_lot::{Mutex, RwLock};
use record::Use;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use strongroom_secret::Timestamp;

/// Uses that wait to be stored; more are counted alone.
const WAITING_MAX: usize = 1024;

/// A keyed hash of a value, or of a place.
type Tag = [u8; 32];

/// Which honey: its namespace and its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub namespace: u64,
    pub name: String,
}

/// What a kernel has in memory of honey.
#[derive(Default)]
pub(crate) struct Honey {
    /// Most servers have none: their requests look no further.
    is_any: AtomicBool,
    known: RwLock<HashMap<Tag, Name>>,
    waiting: Mutex<Vec<(Name, Use)>>,
    /// For `sys/metrics`.
    pub(crate) uses: AtomicU64,
    pub(crate) lost: AtomicU64,
}

fn tag_of_value(keys: &Keys, value: &str) -> Tag {
    keys.handles.start().with(b"honey value\0").with(value.as_bytes()).finish()
}

fn tag_of_place(keys: &Keys, mount: u64, kind: &str, path: &str) -> Tag {
    let mount = mount.to_be_bytes();
    let start = keys.handles.start().with(b"honey place\0").with(&mount);
    start.with(kind.as_bytes()).with(b"\0").with(path.as_bytes()).finish()
}

/// Of a value that a scan found, by its fingerprint.
fn tag_of_fingerprint(keys: &Keys, namespace: u64, tag: &strongroom_fingerprint::Tag) -> Tag {
    let start = keys.handles.start().with(b"honey fingerprint\0").with(&namespace.to_be_bytes());
    start.with(tag).finish()
}

/// The tags of a value that is planted: by what is presented, and by what a scan of the namespace finds.
fn tags_of(keys: &Keys, namespace: u64, value: &str) -> [Tag; 2] {
    let found = keys.scan.of(keys, namespace).tag(value.trim().as_bytes());
    [tag_of_value(keys, value), tag_of_fingerprint(keys, namespace, &found)]
}

/// The tags of the texts of a fake's payload. What could be met by chance (a user's name) is no honey.
fn tags_of_texts(keys: &Keys, namespace: u64, payload: &[u8]) -> Vec<Tag> {
    let mut tags = Vec::new();
    fingerprints::visit_strong(&keys.scan.of(keys, namespace), payload, &mut |text| {
        tags.extend(tags_of(keys, namespace, text));
    });
    tags
}

/// A new version of a fake is a fake as well: its texts are known from this commit on.
pub(crate) fn follow(call: &mut Call<'_>, path: &str, payload: &[u8]) -> Result<(), Error> {
    let (mount, namespace) = (call.mount.record.id, call.namespace.id());
    let honey = &call.kernel.honey;
    let place = || tag_of_place(call.tx.keys(), mount, "kv", path.trim_matches('/'));
    let Some(name) = honey.find(place).filter(|name| name.namespace == namespace) else { return Ok(()) };
    let Some(mut planted) = store::read(&mut call.tx, &name)? else { return Ok(()) };
    let texts = tags_of_texts(call.tx.keys(), namespace, payload);
    store::add_texts(&mut call.tx, namespace, &mut planted, &texts)?;
    store::save(&mut call.tx, namespace, &planted)?;
    call.tx.after_commit(Effect::Honey);
    Ok(())
}

impl Honey {
    /// Reads anew what is planted.
    pub(crate) fn load(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let known = store::index(tx)?;
        self.is_any.store(!known.is_empty(), Relaxed);
        *self.known.write() = known;
        Ok(())
    }

    fn find(&self, tag: impl FnOnce() -> Tag) -> Option<Name> {
        if !self.is_any.load(Relaxed) {
            return None;
        }
        self.known.read().get(&tag()).cloned()
    }

    /// Whether a secret of a KV mount is a fake. For those alone who may know.
    pub(crate) fn is_planted(&self, keys: &Keys, mount: u64, path: &str) -> bool {
        self.find(|| tag_of_place(keys, mount, "kv", path)).is_some()
    }

    /// The same of a value that a scan found.
    pub(crate) fn is_value(&self, keys: &Keys, namespace: u64, tag: &strongroom_fingerprint::Tag) -> bool {
        self.find(|| tag_of_fingerprint(keys, namespace, tag)).is_some()
    }

    fn note(&self, name: Name, used: Use) {
        let mut waiting = self.waiting.lock();
        // A handler may run again for the same request.
        let is_known = |(known, other): &(Name, Use)| *known == name && other.request == used.request;
        if waiting.iter().any(is_known) {
            return;
        }
        self.uses.fetch_add(1, Relaxed);
        match waiting.len() < WAITING_MAX {
            true => waiting.push((name, used)),
            false => drop(self.lost.fetch_add(1, Relaxed)),
        }
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.is_any.load(Relaxed) && !self.waiting.lock().is_empty()
    }

    fn take(&self) -> Vec<(Name, Use)> {
        std::mem::take(&mut *self.waiting.lock())
    }

    fn give_back(&self, uses: Vec<(Name, Use)>) {
        let mut waiting = self.waiting.lock();
        let room = WAITING_MAX.saturating_sub(waiting.len());
        let lost = uses.len().saturating_sub(room) as u64;
        self.lost.fetch_add(lost, Relaxed);
        waiting.splice(..0, uses.into_iter().take(room));
    }
}

impl Call<'_> {
    /// A value of this mount was given out.
    pub fn note_read(&self, path: &str) {
        self.note_place(self.mount.record.id, path, "read");
    }

    fn note_place(&self, mount: u64, path: &str, how: &str) {
        if let Some(name) = self.kernel.honey.find(|| tag_of_place(self.tx.keys(), mount, "kv", path)) {
            self.note_honey(name, how);
        }
    }

    /// Somebody asked whether a value is that of a secret. Whoever has the value of a fake has read it, whatever they ask about.
    pub(crate) fn note_validated(&self, place: &rotation::Place, value: &str, fits: bool) {
        self.note_presented(value, "validate");
        if fits {
            self.note_place(place.mount, &place.path, "validate");
        }
    }

    /// Somebody presented a value that nobody was given by this server: a secret-id, a password, a value to be validated.
    pub fn note_presented(&self, value: &str, how: &str) {
        if let Some(name) = self.kernel.honey.find(|| tag_of_value(self.tx.keys(), value)) {
            self.note_honey(name, how);
        }
    }

    /// Somebody tried to log in to this mount under a name that is nobody's.
    pub fn note_login(&self, user: &str) {
        let mount = self.mount.record.id;
        if let Some(name) = self.kernel.honey.find(|| tag_of_place(self.tx.keys(), mount, "user", user)) {
            self.note_honey(name, "login");
        }
    }

    fn note_honey(&self, name: Name, how: &str) {
        let mut used = use_of(self.request, how, self.now);
        used.path = self.path.as_str().to_owned();
        self.namespace.path().as_str().clone_into(&mut used.namespace);
        if let Some(caller) = &self.caller {
            let token = &caller.token;
            (used.who, used.accessor, used.entity) =
                (token.display_name.clone(), token.accessor.clone(), token.entity_id.clone());
        }
        self.kernel.honey.note(name, used);
    }
}

impl Kernel {
    /// A request was refused: by a token that nobody was given, perhaps.
    pub(crate) fn note_refused(&self, request: &Request) {
        let Some(token) = request.token.as_ref().filter(|_| self.honey.is_any.load(Relaxed)) else { return };
        let Ok(open) = self.opened() else { return };
        if let Some(name) = self.honey.find(|| tag_of_value(&open.keys, token.expose())) {
            let mut used = use_of(request, "token", self.now());
            request.path.as_str().clone_into(&mut used.path);
            request.namespace.as_str().clone_into(&mut used.namespace);
            self.honey.note(name, used);
        }
    }

    pub(crate) fn reload_honey(&self) {
        let Ok(open) = self.opened() else { return };
        let loaded = self
            .begin(&open.keys, crate::transaction::Intent::Read)
            .and_then(|mut tx| self.honey.load(&mut tx));
        if let Err(error) = loaded {
            tracing::error!(?error, "what honey is planted cannot be read again");
        }
    }

    /// Has uses that wait stored, by a thread that nobody waits for.
    pub(crate) fn hand_on_honey(self: &Arc<Self>) {
        if !self.honey.has_waiting() {
            return;
        }
        let kernel = self.clone();
        let lane = crate::outbox::Lane { name: "honey".to_owned(), width: 1 };
        // Where too much waits already, maintenance comes by within a second.
        self.outward.run_in_background((0, lane), move || kernel.store_honey(), |()| ());
    }
}

fn use_of(request: &Request, how: &str, now: Timestamp) -> Use {
    Use {
        time: now,
        how: how.to_owned(),
        operation: request.operation.as_str().to_owned(),
        from: request.client.address.map(|address| address.to_string()).unwrap_or_default(),
        request: request.id.clone(),
        ..Use::default()
    }
}
