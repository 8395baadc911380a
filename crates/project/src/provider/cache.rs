//! What a service said, kept for a time: in memory, and encrypted on disk under a key that only this user can read. A service
//! that refuses takes its values out of the cache; one that does not answer leaves them, marked with their age.

use super::whole::SecretTree;
use super::{Address, ErrorKind, Found, Freshness, Lease, Outcome, Provider, ProviderError, Reach, Stored};
use crate::files::{self, FileError, Links};
use crate::surroundings::Surroundings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use strongroom_crypto::aead::AeadKey;
use strongroom_crypto::hash::sha256;
use strongroom_crypto::{KEY_BYTES, Key};
use strongroom_secret::{SecretBytes, Timestamp};

/// How long values may be served.
#[derive(Debug, Clone, Copy)]
pub(super) struct CachePolicy {
    /// Without asking the service.
    pub(super) fresh: Duration,
    /// Beyond that, where the service does not answer (or `STRONGROOM_OFFLINE` says not to ask).
    pub(super) stale: Duration,
}

/// A provider with a cache before it.
pub(super) struct Cached {
    inner: Box<dyn Provider>,
    policy: CachePolicy,
    surroundings: Arc<Surroundings>,
    /// Names the file, and is bound to its content.
    id: String,
    entries: OnceLock<Mutex<Entries>>,
    /// Why what is on disk is not used.
    refused: OnceLock<String>,
}

type Entries = HashMap<Address, Entry>;

struct Entry {
    found: Found,
    fetched: Timestamp,
}

const FILE_BYTES_MAX: u64 = 64 << 20;
const VERSION: u64 = 1;

impl Cached {
    /// `identity` is what makes the provider this one: its kind and settings.
    pub(super) fn new(
        inner: Box<dyn Provider>,
        policy: CachePolicy,
        identity: &str,
        surroundings: &Arc<Surroundings>,
    ) -> Self {
        let id = hex::encode(sha256(format!("{identity}\n{}", inner.place()).as_bytes()));
        let (entries, refused) = (OnceLock::new(), OnceLock::new());
        Self { inner, policy, surroundings: Arc::clone(surroundings), id, entries, refused }
    }

    fn now(&self) -> Timestamp {
        self.surroundings.clock.now()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        let entries = self.entries.get_or_init(|| Mutex::new(self.load().unwrap_or_default()));
        entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry of an address that is not older than `age_max`, and has not expired.
    fn kept(&self, entries: &Entries, address: &Address, age_max: Duration) -> Option<Found> {
        let entry = entries.get(address)?;
        let (now, age) = (self.now(), self.now().since(entry.fetched));
        // A clock that was set back makes ages worthless.
        let is_sound = entry.fetched <= now && entry.found.expires.is_none_or(|end| end > now);
        if !is_sound || age > age_max {
            return None;
        }
        let is_fresh = age <= self.policy.fresh;
        let freshness = if is_fresh { Freshness::Cached { age } } else { Freshness::Stale { age } };
        Some(Found { freshness, ..entry.found.duplicate() })
    }

    fn offline(&self, addresses: &[Address]) -> Vec<Outcome> {
        let entries = self.entries();
        let age_max = self.policy.fresh.saturating_add(self.policy.stale);
        let of = |address: &Address| match self.kept(&entries, address, age_max) {
            Some(found) => Ok(Some(found)),
            None => Err(self.nothing_kept(address)),
        };
        addresses.iter().map(of).collect()
    }

    fn nothing_kept(&self, address: &Address) -> ProviderError {
        let place = self.inner.place();
        let mut error = ProviderError::unreachable(format!(
            "offline, and the cache of {place} has no value that is new enough"
        ))
        .looked(format!("{address} in the cache"));
        if let Some(why) = self.refused.get() {
            error = error.looked(why);
        }
        error.hint(
            "the same command fills the cache when it is not offline; `cache` and `stale` of the provider say how long \
             it counts",
        )
    }

    /// What the service says goes into the cache, or takes out what is there.
    fn learn(&self, entries: &mut Entries, address: &Address, outcome: Outcome) -> Outcome {
        match outcome {
            Ok(Some(found)) => {
                // What is lent belongs to one run.
                if found.lease.is_none() {
                    let entry = Entry { found: found.duplicate(), fetched: self.now() };
                    entries.insert(address.clone(), entry);
                }
                Ok(Some(found))
            }
            Err(error) if error.kind == ErrorKind::Unreachable => {
                let age_max = self.policy.fresh.saturating_add(self.policy.stale);
                self.kept(entries, address, age_max).map(|found| Ok(Some(found))).unwrap_or(Err(error))
            }
            other => {
                entries.remove(address);
                other
            }
        }
    }

    fn forget(&self, path: &str) {
        let mut entries = self.entries();
        entries.retain(|address, _| address.path != path);
        // A cache that cannot be written is one that is not used next time.
        let _ = self.save(&entries);
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.surroundings.state_folder()?.join("cache"))
    }

    /// Whether a file or folder is this user's alone, so that nobody else has put it there or reads it.
    fn is_sound(&self, path: &Path) -> bool {
        let Ok(metadata) = std::fs::symlink_metadata(path) else { return true };
        let why = match () {
            () if metadata.is_symlink() => "is a link",
            () if metadata.uid() != rustix::process::geteuid().as_raw() => "belongs to another user",
            () if metadata.mode() & 0o077 != 0 => "can be read or written by others",
            () => return true,
        };
        let _ =
            self.refused.set(format!("{}, which {why}: it is not used, and may be removed", path.display()));
        false
    }

    /// The key of this user's cache; made if `create`.
    fn key(&self, folder: &Path, create: bool) -> Result<Option<AeadKey>, FileError> {
        let path = folder.join("key");
        if !self.is_sound(&path) && (!create || std::fs::remove_file(&path).is_err()) {
            return Ok(None);
        }
        let bytes = match files::read(&path, KEY_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() && create => {
                let key = Key::generate(self.surroundings.entropy.as_ref());
                files::change(&path, Links::Refuse, KEY_BYTES as u64)?.replace(key.expose())?;
                return Ok(Some(AeadKey::new(&key)));
            }
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Key::try_from(bytes.expose()).ok().map(|key| AeadKey::new(&key)))
    }

    /// What is on disk; nothing if it is not there, not ours, or damaged.
    fn load(&self) -> Option<Entries> {
        let folder = self.folder()?;
        let path = folder.join(format!("{}.sealed", self.id));
        if !self.is_sound(&folder) || !self.is_sound(&path) {
            return None;
        }
        let key = self.key(&folder, false).ok()??;
        let sealed = files::read(&path, FILE_BYTES_MAX).ok()?;
        let plain = key.open_random(self.id.as_bytes(), sealed.expose()).ok()?;
        let tree = SecretTree::parse(plain.expose())?;
        if tree.expose().get("version").and_then(Value::as_u64) != Some(VERSION) {
            return None;
        }
        let entries = tree.expose().get("entries")?.as_array()?;
        Some(entries.iter().filter_map(entry_of_json).collect())
    }

    fn save(&self, entries: &Entries) -> Result<(), FileError> {
        let Some(folder) = self.folder() else { return Ok(()) };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        if !self.is_sound(&folder) {
            return Ok(());
        }
        let Some(key) = made.ok().map(|()| self.key(&folder, true)).transpose()?.flatten() else {
            return Ok(());
        };
        let list: Vec<Value> = entries.iter().map(|(address, entry)| json_of_entry(address, entry)).collect();
        let tree = SecretTree::new(json!({ "version": VERSION, "entries": list }));
        let sealed =
            key.seal_random(self.surroundings.entropy.as_ref(), self.id.as_bytes(), tree.to_bytes().expose());
        let path = folder.join(format!("{}.sealed", self.id));
        if !self.is_sound(&path) && std::fs::remove_file(&path).is_err() {
            return Ok(());
        }
        files::change(&path, Links::Refuse, FILE_BYTES_MAX)?.replace(&sealed)
    }
}

impl Provider for Cached {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn reach(&self) -> Reach {
        self.inner.reach()
    }

    fn address_of(&self, name: &str) -> Address {
        self.inner.address_of(name)
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        if self.surroundings.is_offline() {
            return self.offline(addresses);
        }
        let mut outcomes: Vec<Option<Outcome>> = {
            let entries = self.entries();
            let fresh =
                |address| self.kept(&entries, address, self.policy.fresh).map(|found| Ok(Some(found)));
            addresses.iter().map(fresh).collect()
        };
        let missing =
            |(address, outcome): (&Address, &Option<Outcome>)| outcome.is_none().then(|| address.clone());
        let missing: Vec<Address> = addresses.iter().zip(&outcomes).filter_map(missing).collect();
        if !missing.is_empty() {
            let mut answers = missing.iter().zip(self.inner.fetch(&missing));
            let mut entries = self.entries();
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
                let answer = answers.next();
                *outcome = answer.map(|(address, answer)| self.learn(&mut entries, address, answer));
            }
            let _ = self.save(&entries);
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Ok(None))).collect()
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        self.forget(&address.path);
        self.inner.store(address, value)
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        self.forget(&address.path);
        self.inner.remove(address)
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        self.inner.list(path)
    }

    fn renew(&self, lease: &Lease) -> Result<Lease, ProviderError> {
        self.inner.renew(lease)
    }

    fn revoke(&self, lease: &Lease) -> Result<(), ProviderError> {
        self.inner.revoke(lease)
    }

    fn login(&self) -> Option<Lease> {
        self.inner.login()
    }

    fn renew_login(&self) -> Result<Lease, ProviderError> {
        self.inner.renew_login()
    }

    fn log_out(&self) -> Result<(), ProviderError> {
        self.inner.log_out()
    }

    fn take_back(&self) -> Result<(), ProviderError> {
        self.inner.take_back()
    }
}

fn json_of_entry(address: &Address, entry: &Entry) -> Value {
    json!({
        "path": address.path, "key": address.key, "asked": address.version,
        "value": BASE64.encode(entry.found.value.expose()),
        "found": entry.found.version,
        "origin": entry.found.origin,
        "created": entry.found.created.map(Timestamp::nanoseconds),
        "expires": entry.found.expires.map(Timestamp::nanoseconds),
        "fetched": entry.fetched.nanoseconds(),
    })
}

fn entry_of_json(entry: &Value) -> Option<(Address, Entry)> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| entry.get(name).and_then(Value::as_i64).map(Timestamp::from_nanoseconds);
    let address = Address { path: text("path")?, key: text("key"), version: text("asked") };
    let value = SecretBytes::new(BASE64.decode(entry.get("value")?.as_str()?).ok()?);
    let mut found = Found::new(value, text("origin")?);
    found.version = text("found");
    (found.created, found.expires) = (time("created"), time("expires"));
    Some((address, Entry { found, fetched: time("fetched")? }))
}
