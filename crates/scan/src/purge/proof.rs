//! The look afterwards: every object, reachable or not, and the files beside them.

use super::error::Error;
use super::find::{Search, on_threads};
use super::replacements::Replacements;
use crate::git::database::{Database, Reader};
use crate::git::forest::Wanted;
use crate::git::objects;
use crate::git::repository::Repository;
use crate::located::{Statistics, Watch};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What a look at everything found.
#[derive(Debug, Default, Clone)]
pub struct Proof {
    /// Objects that were looked at.
    pub objects: u64,
    /// What is still there, at most [`REMAINING_MAX`] of them.
    pub remaining: Vec<Remaining>,
    pub remaining_count: u64,
    /// Objects that could not be read, with a reason.
    pub unreadable: Vec<String>,
}

/// Something that holds what was to be purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    /// `blob`, `tree`, `commit`, `tag`, `file`.
    pub kind: &'static str,
    /// The object's id, or the file's path below the repository's folder.
    pub id: String,
    /// What it holds, by the names of the entries, or which file it was.
    pub what: Vec<String>,
    /// Where in it, if that says something: `author or committer`.
    pub place: &'static str,
}

pub const REMAINING_MAX: usize = 200;
/// Larger files beside the objects are none of git's own.
const FILE_BYTES_MAX: u64 = 64 << 20;

impl Proof {
    fn add(&mut self, remaining: Remaining) {
        self.remaining_count += 1;
        if self.remaining.len() < REMAINING_MAX {
            self.remaining.push(remaining);
        }
    }

    pub fn holds(&self) -> bool {
        self.remaining_count == 0 && self.unreadable.is_empty()
    }
}

/// Looks at everything that a repository has. `gone` are blobs that should not be there, with a path that they had.
pub(super) fn prove(
    repository: &Repository,
    replacements: &Replacements,
    gone: &HashMap<ObjectId, Vec<u8>>,
    threads: usize,
    watch: Watch<'_>,
) -> Result<Proof, Error> {
    let sought = replacements.for_proof();
    let mut statistics = Statistics::default();
    let database = Database::open(repository, &mut statistics);
    let mut proof = Proof { objects: u64::from(database.count()), ..Proof::default() };
    for (id, path) in gone {
        if database.find(id).is_some() {
            proof.add(Remaining {
                kind: "blob",
                id: id.to_string(),
                what: vec![format!("it was {}, and is named elsewhere", String::from_utf8_lossy(path))],
                place: "",
            });
        }
    }
    if !sought.is_empty() {
        let search = Search {
            database: &database,
            replacements: &sought,
            larger_than: None,
            wanted: Wanted { blobs: true, messages: true, trees: true },
            commits: false,
            watch,
            counted: "objects proven",
        };
        let found = search.run(threads);
        if watch.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut reader = Reader::new(super::find::OBJECT_BYTES_MAX);
        for (number, kind) in found.holders {
            let id = database.id(number).map(|id| id.to_string()).unwrap_or_default();
            let remaining =
                match (proof.remaining.len() < REMAINING_MAX).then(|| database.load(number, &mut reader)) {
                    Some(Ok((_, content))) => remaining(id, kind, &content, &sought),
                    _ => Remaining { kind: word(kind), id, what: Vec::new(), place: "" },
                };
            proof.add(remaining);
        }
        statistics.add(found.statistics);
        beside(&repository.common_dir, &sought, threads, &mut proof);
    }
    proof.unreadable =
        statistics.skipped().iter().map(|skipped| format!("{}: {}", skipped.what, skipped.detail)).collect();
    Ok(proof)
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Blob => "blob",
        Kind::Tree => "tree",
        Kind::Commit => "commit",
        Kind::Tag => "tag",
    }
}

fn remaining(id: String, kind: Kind, content: &[u8], sought: &Replacements) -> Remaining {
    let place = match kind {
        Kind::Commit | Kind::Tag if !sought.contains(objects::halves(content).1) => {
            "its header: names and addresses are not rewritten"
        }
        Kind::Commit | Kind::Tag => "its message",
        Kind::Tree => "the name of a file",
        Kind::Blob => "",
    };
    let names = sought.sources_in(content).into_iter().filter_map(|source| sought.sources().get(source));
    Remaining { kind: word(kind), id, what: names.map(|source| source.name.clone()).collect(), place }
}

/// The files of the repository that are no objects: messages being written, lists, settings, objects of git-lfs.
fn beside(common: &Path, sought: &Replacements, threads: usize, proof: &mut Proof) {
    let mut files = Vec::new();
    gather(common, common, 0, &mut files);
    let found = std::sync::Mutex::new(Vec::new());
    let next = std::sync::atomic::AtomicUsize::new(0);
    on_threads(threads, &|| {
        while let Some(path) = files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let content = fs::read(common.join(path)).unwrap_or_default();
            if sought.contains(&content) {
                let names =
                    sought.sources_in(&content).into_iter().filter_map(|source| sought.sources().get(source));
                let what = names.map(|source| source.name.clone()).collect();
                let remaining = Remaining { kind: "file", id: path.clone(), what, place: "" };
                super::rewriting::locked(&found).push(remaining);
            }
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.into_iter().for_each(|remaining| proof.add(remaining));
}

fn gather(common: &Path, folder: &Path, depth: usize, files: &mut Vec<String>) {
    const DEPTH_MAX: usize = 16;
    const FILES_MAX: usize = 1_000_000;
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(name) = path.strip_prefix(common) else { continue };
        let name = name.to_string_lossy().into_owned();
        // Objects were looked at; the backup holds everything, and submodules are repositories of their own.
        if matches!(name.as_str(), "objects" | "modules" | "strongroom") || files.len() >= FILES_MAX {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() && depth < DEPTH_MAX => gather(common, &path, depth + 1, files),
            Ok(metadata) if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX => files.push(name),
            _ => {}
        }
    }
}
