use super::database::Number;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use strongroom_detect::Finding;

/// A secret of a rule, by a hash: the value itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SecretKey {
    pub(crate) rule: u32,
    digest: [u8; 16],
}

impl SecretKey {
    pub(crate) fn of(finding: &Finding) -> Self {
        let hash = Sha256::digest(finding.secret.expose());
        let mut digest = [0; 16];
        digest.iter_mut().zip(hash.iter()).for_each(|(to, from)| *to = *from);
        Self { rule: u32::try_from(finding.rule).unwrap_or(u32::MAX), digest }
    }
}

/// Which objects hold which secrets.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    pub(crate) seen: Vec<(Number, SecretKey)>,
    /// Those that were not kept because there were too many.
    pub(crate) dropped: u64,
}

/// 24 bytes each. More versions of more secrets are only counted.
const SEEN_MAX: usize = 2 << 20;

impl Sightings {
    pub(crate) fn add(&mut self, number: Number, key: SecretKey) {
        if self.seen.len() < SEEN_MAX { self.seen.push((number, key)) } else { self.dropped += 1 }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.dropped += other.dropped;
        for (number, key) in other.seen {
            self.add(number, key);
        }
    }

    /// The secrets of each object.
    pub(crate) fn by_object(&self) -> HashMap<Number, Vec<SecretKey>> {
        let mut objects: HashMap<Number, Vec<SecretKey>> = HashMap::new();
        let mut known = HashSet::new();
        for (number, key) in &self.seen {
            if known.insert((*number, *key)) {
                objects.entry(*number).or_default().push(*key);
            }
        }
        objects
    }
}

/// Of each secret at each path: where it came in, and how often it was seen afterwards.
#[derive(Debug, Default)]
pub(crate) struct Introductions {
    by_secret: BTreeMap<(String, SecretKey), usize>,
    pub(crate) all: Vec<Introduction>,
}

#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    pub(crate) path: String,
    pub(crate) key: SecretKey,
    pub(crate) object: Number,
    /// What brought it in: an index into whatever the caller numbers (commits).
    pub(crate) commit: Option<u32>,
    pub(crate) further: u64,
}

impl Introductions {
    /// Called from the oldest to the youngest.
    pub(crate) fn add(&mut self, path: &str, key: SecretKey, object: Number, commit: Option<u32>) {
        match self.by_secret.get(&(path.to_owned(), key)) {
            Some(at) => {
                if let Some(introduction) = self.all.get_mut(*at) {
                    introduction.further += 1;
                }
            }
            None => {
                self.by_secret.insert((path.to_owned(), key), self.all.len());
                self.all.push(Introduction { path: path.to_owned(), key, object, commit, further: 0 });
            }
        }
    }
}
