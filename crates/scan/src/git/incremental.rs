//! What an earlier scan has looked at, kept in a file: a second one costs what is new. The file holds ids of objects,
//! paths and numbers; neither secrets nor hashes of them.

use super::commits::Reach;
use super::error::Error;
use super::history::{Attribution, History};
use super::pack::Pack;
use super::refs::Reference;
use gix_hash::ObjectId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where it is kept, and for which rules it holds.
#[derive(Debug, Clone)]
pub struct Incremental {
    pub file: PathBuf,
    /// Names the rules and the program's version: what another one has looked at counts for nothing.
    pub fingerprint: String,
}

/// The form of the file.
const VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    version: u32,
    fingerprint: String,
    /// By their checksums.
    packs: BTreeSet<String>,
    loose: BTreeSet<String>,
    /// A hash of all that leads to commits.
    references: String,
    /// Objects that hold something.
    pub(crate) holders: Vec<String>,
    pub(crate) places: Vec<Place>,
    pub(crate) commits: u64,
}

/// A place that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) object: String,
    pub(crate) path: String,
    /// Empty: none is known.
    pub(crate) commit: String,
    pub(crate) reach: u8,
    /// Which of the findings in the object.
    pub(crate) finding: usize,
    pub(crate) further: u64,
}

impl Memory {
    /// Reads what is kept. A file that is not there, is damaged, or was made with other rules or options is as good as none.
    pub(crate) fn read(incremental: &Incremental, history: &History<'_>) -> Self {
        let fingerprint = fingerprint(incremental, history);
        let empty = Self { version: VERSION, fingerprint: fingerprint.clone(), ..Self::default() };
        let is_small = fs::metadata(&incremental.file).is_ok_and(|data| data.len() <= FILE_BYTES_MAX);
        if !is_small {
            return empty;
        }
        let read =
            fs::read(&incremental.file).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        read.filter(|memory| memory.version == VERSION && memory.fingerprint == fingerprint).unwrap_or(empty)
    }

    pub(crate) fn has_pack(&self, pack: &Pack) -> bool {
        !self.packs.is_empty()
            && pack.checksum().is_ok_and(|checksum| self.packs.contains(&checksum.to_string()))
    }

    pub(crate) fn has_loose(&self, id: &ObjectId) -> bool {
        !self.loose.is_empty() && self.loose.contains(&id.to_string())
    }

    /// Whether nothing at all has changed.
    pub(crate) fn covers(&self, history: &History<'_>, references: &str) -> bool {
        !self.references.is_empty()
            && self.references == references
            && history.database.packs.iter().all(|pack| self.has_pack(pack))
            && history.database.loose.iter().all(|loose| self.has_loose(&loose.id))
    }

    /// What is kept after this scan; `looked_at` are the packs that were read without damage.
    pub(crate) fn after(
        fingerprint: String,
        references: String,
        history: &History<'_>,
        looked_at: &LookedAt,
        attribution: &Attribution,
        places: Vec<Place>,
    ) -> Self {
        let database = history.database;
        let packs = database.packs.iter().filter(|pack| looked_at.packs.contains(&pack.number));
        let loose = database.loose.iter().filter(|_| looked_at.loose);
        let holder = |number: &u32| database.id(*number).map(|id| id.to_string());
        Self {
            version: VERSION,
            fingerprint,
            packs: packs.filter_map(|pack| Some(pack.checksum().ok()?.to_string())).collect(),
            loose: loose.map(|loose| loose.id.to_string()).collect(),
            references,
            holders: attribution.holders.iter().filter_map(holder).collect(),
            places,
            commits: attribution.commits.nodes.len() as u64,
        }
    }

    /// Replaces the file as a whole; nobody else may read it.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Error> {
        let unwritable = |source| Error::Unwritable { path: file.to_owned(), source };
        let bytes = serde_json::to_vec(self).map_err(|error| unwritable(io::Error::other(error)))?;
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let aside = file.with_file_name(name);
        let write = || {
            let mut new =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            new.write_all(&bytes)?;
            new.sync_all()?;
            fs::rename(&aside, file)
        };
        write().map_err(|source| {
            drop(fs::remove_file(&aside));
            unwritable(source)
        })
    }
}

/// What of a repository was read without damage.
#[derive(Debug, Default)]
pub(crate) struct LookedAt {
    pub(crate) packs: BTreeSet<u32>,
    pub(crate) loose: bool,
}

impl Reach {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Reference => 0,
            Self::Reflog => 1,
            Self::Nothing => 2,
        }
    }

    pub(crate) fn numbered(number: u8) -> Self {
        match number {
            0 => Self::Reference,
            1 => Self::Reflog,
            _ => Self::Nothing,
        }
    }
}

/// Of the rules, and of the options that decide what is found.
pub(crate) fn fingerprint(incremental: &Incremental, history: &History<'_>) -> String {
    let options = history.options;
    let options = format!(
        "{:?} {:?} {} {:?} {} {:?}",
        options.revisions,
        options.paths,
        options.messages,
        options.unreachable,
        options.blob_bytes_max,
        options.content
    );
    hash([incremental.fingerprint.as_bytes(), options.as_bytes()])
}

pub(crate) fn references_hash(references: &[Reference], remembered: &[ObjectId]) -> String {
    let lines = references.iter().map(|reference| format!("{} {}", reference.id, reference.name));
    let remembered = remembered.iter().map(ObjectId::to_string);
    hash(lines.chain(remembered))
}

fn hash(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_ref());
        hasher.update([0]);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
