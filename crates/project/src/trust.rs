//! Which manifests may run commands and reach hosts. A repository that was just cloned must not send our tokens to a host of
//! its choice because somebody typed `strongroom run` in it.
//!
//! What is trusted is a manifest's path together with what it reaches: if either changes, the question is asked again.

use crate::files::{self, FileError, Links};
use crate::manifest::{Environment, Manifest};
use crate::provider::Reach;
use crate::resolve::Opened;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a manifest's providers do beyond reading files, as `vault: reaches https://vault.test`.
pub fn reaches(environment: &Environment, opened: &Opened) -> Vec<String> {
    let reach = |(name, provider): (&str, &dyn crate::provider::Provider)| match provider.reach() {
        Reach::Local => None,
        Reach::Command(words) => Some(format!("{name}: runs {}", words.join(" "))),
        Reach::Host(host) => Some(format!("{name}: reaches {host}")),
    };
    opened.in_order(environment).filter_map(reach).collect()
}

/// The file that remembers: `$XDG_CONFIG_HOME/strongroom/trust.json`.
pub struct TrustStore {
    path: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// Hashes of what may be reached, by manifest.
    manifests: BTreeMap<String, Vec<String>>,
}

const FILE_BYTES_MAX: u64 = 16 << 20;

impl TrustStore {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this manifest may do all this. Reaching nothing needs no trust.
    pub fn trusts(&self, manifest: &Manifest, reaches: &[String]) -> Result<bool, FileError> {
        if reaches.is_empty() {
            return Ok(true);
        }
        let stored = match files::read(&self.path, FILE_BYTES_MAX) {
            Ok(bytes) => parse(bytes.expose()),
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        };
        let known = stored.manifests.get(&key(manifest));
        Ok(known.is_some_and(|known| reaches.iter().all(|reach| known.contains(&digest(reach)))))
    }

    /// Remembers that it may.
    pub fn trust(&self, manifest: &Manifest, reaches: &[String]) -> Result<(), FileError> {
        self.update(|stored| {
            let known = stored.manifests.entry(key(manifest)).or_default();
            known.extend(reaches.iter().map(|reach| digest(reach)));
            known.sort();
            known.dedup();
        })
    }

    /// Forgets a manifest.
    pub fn distrust(&self, manifest: &Manifest) -> Result<(), FileError> {
        self.update(|stored| drop(stored.manifests.remove(&key(manifest))))
    }

    fn update(&self, change: impl FnOnce(&mut Stored)) -> Result<(), FileError> {
        if let Some(folder) = self.path.parent() {
            let failed =
                |error| FileError::Io { doing: "cannot make the folder", path: folder.to_owned(), error };
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = files::change(&self.path, Links::Follow, FILE_BYTES_MAX)?;
        let mut stored = file.content().map(|bytes| parse(bytes.expose())).unwrap_or_default();
        change(&mut stored);
        stored.version = 1;
        // Texts and lists of them can always be written.
        let text = serde_json::to_vec_pretty(&stored).unwrap_or_default();
        file.replace(&text)
    }
}

/// A damaged file trusts nothing.
fn parse(bytes: &[u8]) -> Stored {
    serde_json::from_slice(bytes).ok().filter(|stored: &Stored| stored.version == 1).unwrap_or_default()
}

fn key(manifest: &Manifest) -> String {
    let path = manifest.path.canonicalize().unwrap_or_else(|_| manifest.path.clone());
    path.to_string_lossy().into_owned()
}

fn digest(reach: &str) -> String {
    hex::encode(Sha256::digest(reach.as_bytes()))
}
