//! `strongroom.lock`: which versions an environment has, so that a deployment can insist on them and a change is noticed.
//!
//! It holds no values. What it says of a value is its provider's name of the version and a fingerprint: HMAC-SHA256 under
//! the project's key, over environment, name and value, cut to 128 bits. The key is a secret like the others
//! (`STRONGROOM_LOCK_KEY`), kept by the environment's own providers: who can read the values can check them, and to
//! everybody else a fingerprint says nothing, however weak the value is. Each environment has its own key.

use crate::manifest::{Environment, Manifest, Problem, ProblemKind};
use crate::resolve::{Candidate, Resolution, Resolved};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use strongroom_secret::{SecretBytes, Timestamp};
use thiserror::Error;

/// The secret under which the key is kept.
pub const KEY_NAME: &str = "STRONGROOM_LOCK_KEY";
/// Bytes of a new key.
pub const KEY_BYTES: usize = 32;
const FINGERPRINT_BYTES: usize = 16;
const LOCK_BYTES_MAX: u64 = 16 << 20;

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    #[serde(default)]
    pub env: BTreeMap<String, LockedEnvironment>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedEnvironment {
    /// Tells one key from another, and nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default)]
    pub secret: BTreeMap<String, Locked>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    pub provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the value was first seen to be this one, or was made.
    pub changed: String,
    /// The version before, for `lock --rollback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

#[derive(Debug, Error)]
pub enum LockError {
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    #[error("{}: {message}", .path.display())]
    Malformed { path: PathBuf, message: String },
}

/// The key of an environment's fingerprints.
pub struct Key(SecretBytes);

impl Key {
    pub fn new(bytes: SecretBytes) -> Self {
        Self(bytes)
    }

    /// Eight hexadecimal digits that differ for different keys.
    pub fn id(&self) -> String {
        hex::encode(self.mac(&[b"strongroom lock key id"]).get(..4).unwrap_or_default())
    }

    pub fn fingerprint(&self, environment: &str, name: &str, value: &SecretBytes) -> String {
        let mac = self.mac(&[b"strongroom lock v1", environment.as_bytes(), name.as_bytes(), value.expose()]);
        hex::encode(mac.get(..FINGERPRINT_BYTES).unwrap_or_default())
    }

    /// Every part with its length before it, so that no two lists of parts are the same bytes.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // Of any length: RFC 2104 hashes keys that are longer than a block.
        let key = Sha256::digest(self.0.expose());
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Beside the manifest.
pub fn path(manifest: &Manifest) -> PathBuf {
    manifest.path.with_extension("lock")
}

impl Lock {
    /// An empty one where there is no file.
    pub fn load(manifest: &Manifest) -> Result<Self, LockError> {
        let path = path(manifest);
        let bytes = match crate::files::read(&path, LOCK_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(Self { version: 1, env: BTreeMap::new() }),
            Err(error) => return Err(error.into()),
        };
        let malformed = |message: String| LockError::Malformed { path: path.clone(), message };
        let text = std::str::from_utf8(bytes.expose()).map_err(|_| malformed("not UTF-8 text".to_owned()))?;
        if text.contains("\n<<<<<<< ") || text.starts_with("<<<<<<< ") {
            return Err(malformed("a merge conflict: take either side, then `strongroom lock`".to_owned()));
        }
        let lock: Self = toml::from_str(text).map_err(|error| malformed(error.message().to_owned()))?;
        match lock.version {
            1 => Ok(lock),
            other => Err(malformed(format!("version {other} is of a newer program"))),
        }
    }

    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).unwrap_or_default();
        format!(
            "# Written by `strongroom lock`: versions and keyed fingerprints, no values. Commit it.\n{body}"
        )
    }

    pub fn save(&self, manifest: &Manifest) -> Result<(), LockError> {
        let path = path(manifest);
        let change = crate::files::change(&path, crate::files::Links::Follow, LOCK_BYTES_MAX)?;
        let is_new = change.content().is_none();
        change.replace(self.to_text().as_bytes())?;
        if is_new {
            crate::guard::make_public(&path)?;
        }
        Ok(())
    }

    /// Puts what an environment has now in place of what it had.
    pub fn update(
        &mut self,
        environment: &str,
        resolution: &Resolution,
        key: Option<&Key>,
        now: Timestamp,
    ) -> Vec<String> {
        let before = self.env.remove(environment).unwrap_or_default();
        let same_key = key.map(Key::id) == before.key;
        let mut after = LockedEnvironment { key: key.map(Key::id), secret: BTreeMap::new() };
        let mut changed = Vec::new();
        for (name, resolved) in &resolution.secrets {
            let Some(candidate) = lockable(resolved) else { continue };
            let version = candidate.found.version.clone();
            let fingerprint = key.map(|key| key.fingerprint(environment, name, &resolved.value));
            let old = before.secret.get(name);
            let same = old.is_some_and(|old| {
                old.provider == candidate.provider
                    && old.version == version
                    && (!same_key || old.fingerprint == fingerprint)
            });
            let since = candidate.found.created.unwrap_or(now);
            let (time, previous) = match old {
                Some(old) if same => (old.changed.clone(), old.previous.clone()),
                Some(old) => (day(since), old.version.clone()),
                None => (day(since), None),
            };
            if !same {
                changed.push(name.clone());
            }
            let provider = candidate.provider.clone();
            let locked = Locked { provider, version, fingerprint, changed: time, previous };
            after.secret.insert(name.clone(), locked);
        }
        changed.extend(before.secret.keys().filter(|name| !after.secret.contains_key(*name)).cloned());
        self.env.insert(environment.to_owned(), after);
        changed
    }

    /// The version to insist on.
    pub fn pin(&self, environment: &str, name: &str, provider: &str) -> Option<String> {
        let locked = self.env.get(environment)?.secret.get(name)?;
        (locked.provider == provider).then(|| locked.version.clone())?
    }

    /// Takes the version before for the one to insist on, and the other way round.
    pub fn roll_back(&mut self, environment: &str, name: &str) -> Option<String> {
        let locked = self.env.get_mut(environment)?.secret.get_mut(name)?;
        let previous = locked.previous.take()?;
        locked.previous = locked.version.replace(previous.clone());
        // Of the other value: the next `lock` writes the right one.
        locked.fingerprint = None;
        Some(previous)
    }

    /// How an environment differs from what was locked.
    pub fn drift(
        &self,
        manifest: &Manifest,
        environment: &Environment,
        resolution: &Resolution,
        key: Option<&Key>,
    ) -> Vec<Problem> {
        let Some(locked) = self.env.get(&environment.name) else { return Vec::new() };
        let comparable = key.filter(|key| Some(key.id()) == locked.key);
        let mut problems = Vec::new();
        let mut say = |name: &str, what: &str| {
            let message = format!("{name} {what} (environment {:?})", environment.name);
            let problem = Problem::error(ProblemKind::Drifted, message);
            let located = manifest.secret(name).map(|secret| manifest.location(secret.place));
            let problem = match located {
                Some(location) => problem.at(location),
                None => problem,
            };
            problems.push(problem.hint("`strongroom lock` takes what is there now for right"));
        };
        for (name, resolved) in &resolution.secrets {
            let Some(candidate) = lockable(resolved) else { continue };
            match locked.secret.get(name) {
                None => say(name, "is not in the lock"),
                Some(old) if old.provider != candidate.provider => {
                    say(name, "comes from another provider than the lock says")
                }
                Some(old) if old.version != candidate.found.version => {
                    say(name, "has another version than the lock says")
                }
                Some(old) => {
                    let now = comparable.map(|key| key.fingerprint(&environment.name, name, &resolved.value));
                    if now.is_some() && old.fingerprint.is_some() && now != old.fingerprint {
                        say(name, "has another value than the lock says");
                    }
                }
            }
        }
        for name in locked.secret.keys().filter(|name| !resolution.secrets.contains_key(*name)) {
            say(name, "is in the lock, and has no value any more");
        }
        problems
    }

    /// Values that are older than their `rotate` allows.
    pub fn rotation_due(
        &self,
        manifest: &Manifest,
        environment: &Environment,
        now: Timestamp,
    ) -> Vec<Problem> {
        let Some(locked) = self.env.get(&environment.name) else { return Vec::new() };
        let mut problems = Vec::new();
        for secret in &manifest.secrets {
            let every = secret.rotate.as_ref().and_then(|rotate| rotate.every);
            let (Some(every), Some(locked)) = (every, locked.secret.get(&secret.name)) else { continue };
            let Some(changed) = Timestamp::parse_rfc3339(&locked.changed) else { continue };
            if changed.plus(every) <= now {
                let days = now.since(changed).as_secs() / 86_400;
                let message =
                    format!("{} is due for rotation: it has been the same for {days} days", secret.name);
                let problem = Problem::warning(ProblemKind::RotationDue, message);
                let hint = match secret.generate {
                    Some(_) => format!("strongroom set {} --generate, then `strongroom lock`", secret.name),
                    None => format!("strongroom set {}, then `strongroom lock`", secret.name),
                };
                problems.push(problem.at(manifest.location(secret.place)).hint(hint));
            }
        }
        problems
    }
}

/// To the second, in UTC.
/// What a provider keeps. What it lends is another value each time.
fn lockable(resolved: &Resolved) -> Option<&Candidate> {
    resolved.candidate().filter(|candidate| candidate.found.lease.is_none())
}

fn day(time: Timestamp) -> String {
    Timestamp::from_seconds(time.seconds()).rfc3339()
}

#[cfg(test)]
mod tests;
