//! `.secrets.baseline` (detect-secrets): known secrets by file, SHA-1 of the value, and type.

use super::BaselineError;
use crate::located::Located;
use serde::Deserialize;
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, HashMap};

#[derive(Deserialize)]
struct File {
    /// By path; 0.x wrote the path there alone, later versions in each entry too.
    results: BTreeMap<String, Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default, rename = "type")]
    kind: String,
    hashed_secret: String,
    #[serde(default)]
    line_number: u64,
}

/// One known secret.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) line: u64,
}

#[derive(Debug, Default)]
pub(super) struct DetectSecrets {
    pub(super) known: Vec<Known>,
    by_hash: HashMap<String, Vec<usize>>,
}

impl DetectSecrets {
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, BaselineError> {
        let file: File = serde_json::from_str(text)
            .map_err(|error| super::malformed_json(&error, name, "a baseline of detect-secrets"))?;
        let mut baseline = Self::default();
        for (path, items) in file.results {
            for item in items {
                let hash = item.hashed_secret.to_ascii_lowercase();
                baseline.by_hash.entry(hash).or_default().push(baseline.known.len());
                let path = path.replace('\\', "/");
                baseline.known.push(Known { path, kind: item.kind, line: item.line_number });
            }
        }
        Ok(baseline)
    }

    /// All entries of a finding: the types are those of detect-secrets' plugins, which our rules do not have, so file and
    /// value decide, and one value may be known under several types.
    pub(super) fn positions(&self, located: &Located) -> Vec<usize> {
        let path = located.path.trim_start_matches("./");
        let secret = located.finding.secret.expose();
        let hashes = [Some(secret), key_title(secret)];
        let hashes = hashes.into_iter().flatten().map(|value| hex::encode(Sha1::digest(value)));
        hashes
            .filter_map(|hash| self.by_hash.get(&hash))
            .flatten()
            .copied()
            .filter(|index| self.known.get(*index).is_some_and(|known| known.path == path))
            .collect()
    }
}

/// Of a private key detect-secrets takes the words of the first line alone: `BEGIN RSA PRIVATE KEY`.
fn key_title(secret: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(secret, b"-----BEGIN ")? + 5;
    let rest = secret.get(at..)?;
    let title = rest.get(..memchr::memmem::find(rest, b"-----")?)?;
    title.ends_with(b"PRIVATE KEY").then_some(title)
}
