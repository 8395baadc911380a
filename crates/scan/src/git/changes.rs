//! Scans what changed: in chosen commits, in the index, in the working tree. Only what is new in a file counts: a secret
//! that the file had before is an older commit's.

use super::Push;
use super::commits::Source;
use super::comparison::{Change, Changes, Comparer};
use super::database::Number;
use super::error::Error;
use super::forest;
use super::history::History;
use super::objects;
use super::paths::PathFilter;
use super::ranges::{self, Period};
use super::refs::Reference;
use super::report::Reporter;
use super::revisions::Tips;
use super::sightings::SecretKey;
use super::staging::{self, StagedFile, StagedKind};
use crate::located::{Commit, Located, Origin, Sink, SkipReason, Statistics};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;
use strongroom_detect::{Finding, Fragment};

/// A text that is new or has changed.
pub(crate) struct Version<'a> {
    pub(crate) path: &'a str,
    pub(crate) content: &'a [u8],
    /// What the file held before; several for a merge, or if it may have had another name.
    pub(crate) before: &'a [Arc<Vec<u8>>],
    pub(crate) commit: Option<Arc<Commit>>,
    pub(crate) object: String,
    pub(crate) origin: Origin,
}

impl Reporter<'_, '_> {
    /// Scans the commits that were chosen, oldest first, each against its parents.
    pub(crate) fn report_commits(&mut self, tips: &Tips, period: Period, sink: Sink<'_>) -> ControlFlow<()> {
        let mut source = Source {
            database: self.history.database,
            reader: self.reader,
            shallow: &self.history.repository.shallow,
            watch: self.history.watch,
        };
        let chosen = ranges::commits(tips, period, &mut source, self.statistics);
        let paths = PathFilter::new(&self.history.options.paths);
        let total = chosen.len() as u64;
        for (done, number) in (0..).zip(chosen) {
            self.history.watch.tell("commits", done, total);
            if self.history.watch.is_cancelled() {
                return ControlFlow::Break(());
            }
            self.report_commit(number, &paths, sink)?;
        }
        ControlFlow::Continue(())
    }

    fn report_commit(&mut self, number: Number, paths: &PathFilter, sink: Sink<'_>) -> ControlFlow<()> {
        let Some(commit) = self.commit(number) else { return ControlFlow::Continue(()) };
        let Some((links, message)) = self.links(number) else { return ControlFlow::Continue(()) };
        self.statistics.commits += 1;
        let parents: Vec<ObjectId> = links.parents.iter().filter_map(|parent| self.tree_of(parent)).collect();
        let mut comparer = self.comparer(paths);
        let changes = comparer.compare(&links.tree, &parents);
        self.report_changes(&changes, Origin::History, Some(&commit), sink)?;
        if self.history.options.messages {
            self.report_text(
                &Version {
                    path: "",
                    content: objects::halves(&message).1,
                    before: &[],
                    object: commit.id.clone(),
                    commit: Some(commit),
                    origin: Origin::CommitMessage,
                },
                &mut HashSet::new(),
                sink,
            )?;
        }
        ControlFlow::Continue(())
    }

    fn comparer<'p>(&'p mut self, paths: &'p PathFilter) -> Comparer<'p> {
        Comparer { database: self.history.database, reader: self.reader, statistics: self.statistics, paths }
    }

    fn links(&mut self, number: Number) -> Option<(objects::Links, Arc<Vec<u8>>)> {
        let (_, content) = self.history.database.load(number, self.reader).ok()?;
        Some((objects::links(&content, self.history.database.hash)?, content))
    }

    pub(crate) fn tree_of(&mut self, commit: &ObjectId) -> Option<ObjectId> {
        let number = self.history.database.find(commit)?;
        Some(self.links(number)?.0.tree)
    }

    fn report_changes(
        &mut self,
        changes: &Changes,
        origin: Origin,
        commit: Option<&Arc<Commit>>,
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        for change in &changes.changes {
            if change.before.is_empty() && changes.removed.contains(&change.blob) {
                // It only got another name.
                continue;
            }
            let Some(content) = self.blob(&change.blob, &change.path) else { continue };
            let mut before = self.blobs(&change.before);
            let mut seen = HashSet::new();
            if before.is_empty() && self.has_finding(&content, &change.path) {
                before = self.blobs(&changes.removed);
            }
            let version = Version {
                path: &change.path,
                content: &content,
                before: &before,
                commit: commit.map(Arc::clone),
                object: change.blob.to_string(),
                origin,
            };
            self.report_text(&version, &mut seen, sink)?;
        }
        ControlFlow::Continue(())
    }

    /// Whether it is worth the trouble to read what the file may have been before.
    fn has_finding(&mut self, content: &[u8], path: &str) -> bool {
        !self.history.detector.scan(&Fragment::whole(content, path), &mut self.scratch).is_empty()
    }

    fn blob(&mut self, id: &ObjectId, path: &str) -> Option<Arc<Vec<u8>>> {
        match self.history.database.load_id(id, self.reader) {
            Ok((Kind::Blob, content)) => Some(content),
            Ok(_) => None,
            Err(error) => {
                self.statistics.skip(path, forest::reason(&error), format!("object {id}: {error}"));
                None
            }
        }
    }

    fn blobs(&mut self, ids: &[ObjectId]) -> Vec<Arc<Vec<u8>>> {
        ids.iter().filter_map(|id| Some(self.history.database.load_id(id, self.reader).ok()?.1)).collect()
    }

    /// Looks at a text where it differs from what was before, and hands over what is new.
    pub(crate) fn report_text(
        &mut self,
        version: &Version<'_>,
        seen: &mut HashSet<SecretKey>,
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        self.statistics.texts += 1;
        self.statistics.bytes += version.content.len() as u64;
        let changed = match version.before {
            [before] => difference(before, version.content),
            _ => 0..version.content.len(),
        };
        self.statistics.bytes_looked_at += changed.len() as u64;
        let changed = [changed];
        let commit = version.commit.as_ref().map(|commit| commit.id.clone());
        let fragment = Fragment {
            commit: commit.as_deref(),
            changed: (version.before.len() == 1).then_some(changed.as_slice()),
            ..Fragment::whole(version.content, version.path)
        };
        let mut fresh: Vec<Located> = Vec::new();
        let mut at: BTreeMap<SecretKey, usize> = BTreeMap::new();
        for located in self.findings(&fragment, version.origin) {
            let key = SecretKey::of(&located.finding);
            if let Some(first) = at.get(&key).and_then(|at| fresh.get_mut(*at)) {
                first.further += 1;
            } else if !is_old(&located.finding, version.before) && seen.insert(key) {
                at.insert(key, fresh.len());
                fresh.push(located);
            }
        }
        for mut located in fresh {
            located.link = self.link(version.commit.as_deref(), version.path, &located.finding);
            located.commit.clone_from(&version.commit);
            located.object.clone_from(&version.object);
            self.statistics.findings += 1;
            sink(located)?;
        }
        ControlFlow::Continue(())
    }
}

/// A secret that stood there before is not new, even if its line is.
fn is_old(finding: &Finding, before: &[Arc<Vec<u8>>]) -> bool {
    let secret = finding.secret.expose();
    let is_of_path = finding.place.start_line == 0;
    if is_of_path {
        return !before.is_empty();
    }
    let raw = if finding.decoded_from.is_empty() { secret } else { finding.matched.expose() };
    !raw.is_empty() && before.iter().any(|before| memchr::memmem::find(before, raw).is_some())
}

/// What lies between what both texts begin with and what both end with: more than a real comparison would say, never less.
fn difference(before: &[u8], after: &[u8]) -> Range<usize> {
    let start = before.iter().zip(after).take_while(|(one, other)| one == other).count();
    let (before, rest) = (before.get(start..).unwrap_or_default(), after.get(start..).unwrap_or_default());
    let end = before.iter().rev().zip(rest.iter().rev()).take_while(|(one, other)| one == other).count();
    // The bytes on both sides of a seam belong to it.
    start.saturating_sub(1)..(after.len() - end + 1).min(after.len())
}

/// What is compared with what, before a commit is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The index with the commit that is checked out.
    Staged,
    /// The working tree with the index.
    WorkingTree,
}

impl Reporter<'_, '_> {
    /// Scans what is staged, or what is changed and not staged.
    pub(crate) fn report_uncommitted(
        &mut self,
        compared: Compared,
        head: Option<ObjectId>,
        sink: Sink<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let usual = || self.history.repository.git_dir.join("index");
        let path = self.history.options.index_file.clone().unwrap_or_else(usual);
        let staged = match read_index(&path, self.history)? {
            Some((files, written)) => (files, written),
            None => return Ok(ControlFlow::Continue(())),
        };
        Ok(match compared {
            Compared::Staged => self.report_staged(&staged.0, head, sink),
            Compared::WorkingTree => self.report_working_tree(&staged.0, staged.1, sink),
        })
    }

    fn report_staged(
        &mut self,
        files: &[StagedFile],
        head: Option<ObjectId>,
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        let paths = PathFilter::new(&self.history.options.paths);
        let tree = head.and_then(|head| self.tree_of(&head));
        let before = tree.map(|tree| self.comparer(&paths).files(&tree)).unwrap_or_default();
        let mut changes = Changes::default();
        let mut kept = HashSet::new();
        for file in files.iter().filter(|file| matches!(file.kind, StagedKind::File | StagedKind::Link)) {
            kept.insert(file.path.as_str());
            let before = before.get(&file.path).copied();
            if before == Some(file.blob) || !paths.admits(&file.path) {
                continue;
            }
            let before = before.into_iter().collect();
            changes.changes.push(Change { path: file.path.clone(), blob: file.blob, before });
        }
        // A sparse index leaves out files that are not removed.
        if files.iter().all(|file| file.kind != StagedKind::Folder) {
            let removed = before.iter().filter(|(path, _)| !kept.contains(path.as_str()));
            changes.removed = removed.map(|(_, id)| *id).take(256).collect();
        }
        self.report_changes(&changes, Origin::Staged, None, sink)
    }

    fn report_working_tree(
        &mut self,
        files: &[StagedFile],
        written: (i64, u32),
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        let Some(folder) = self.history.repository.work_tree.clone() else {
            return ControlFlow::Continue(());
        };
        let paths = PathFilter::new(&self.history.options.paths);
        for file in files.iter().filter(|file| file.kind == StagedKind::File && paths.admits(&file.path)) {
            if self.history.watch.is_cancelled() {
                return ControlFlow::Break(());
            }
            let plain = !file.path.split('/').any(|part| matches!(part, ".." | ""));
            let Some(content) = Some(folder.join(&file.path)).filter(|_| plain).and_then(|path| {
                changed_content(&path, file, written, self.history.options.blob_bytes_max, self.statistics)
            }) else {
                continue;
            };
            let before = self.blobs(&[file.blob]);
            if before.first().is_some_and(|before| **before == content) {
                continue;
            }
            let version = Version {
                path: &file.path,
                content: &content,
                before: &before,
                commit: None,
                object: String::new(),
                origin: Origin::WorkingTree,
            };
            self.report_text(&version, &mut HashSet::new(), sink)?;
        }
        ControlFlow::Continue(())
    }
}

/// The staged files, and when the index was written. `None` if there is no index.
fn read_index(path: &Path, history: &History<'_>) -> Result<Option<(Vec<StagedFile>, (i64, u32))>, Error> {
    use std::os::unix::fs::MetadataExt;
    const BYTES_MAX: u64 = 1 << 30;
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if metadata.len() > BYTES_MAX {
        return Err(Error::Damaged {
            path: path.to_owned(),
            what: "it is larger than an index is".to_owned(),
        });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let files = staging::parse(&bytes, history.repository.hash)
        .map_err(|error| Error::Damaged { path: path.to_owned(), what: error.to_string() })?;
    let written = (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or(0));
    Ok(Some((files, written)))
}

/// A file's content, if it may differ from what is staged. A file that was changed in the very moment in which the index
/// was written is read too (git calls it racy).
fn changed_content(
    path: &Path,
    file: &StagedFile,
    written: (i64, u32),
    bytes_max: u64,
    statistics: &mut Statistics,
) -> Option<Vec<u8>> {
    use std::os::unix::fs::MetadataExt;
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            statistics.skip(file.path.as_str(), super::loose::reason_of(error.kind()), error.to_string());
            return None;
        }
    };
    if !metadata.is_file() {
        return None;
    }
    let modified = (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or(0));
    let staged = (i64::from(file.modified.0), file.modified.1);
    if u64::from(file.size) == metadata.len() && modified == staged && modified < written {
        return None;
    }
    if metadata.len() > bytes_max {
        statistics.skip(file.path.as_str(), SkipReason::TooLarge, "");
        return None;
    }
    match fs::read(path) {
        Ok(content) => Some(content),
        Err(error) => {
            statistics.skip(file.path.as_str(), super::loose::reason_of(error.kind()), error.to_string());
            None
        }
    }
}

/// What a push brings, as the hooks are told it, line by line.
pub(crate) fn pushed(lines: &str, push: Push, references: &[Reference]) -> Result<Tips, Error> {
    let mut tips = Tips::default();
    for (number, line) in (1..).zip(lines.lines()) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (old, new) = match (push, words.as_slice()) {
            (_, []) => continue,
            (Push::Incoming, [old, new, _]) | (Push::Outgoing, [_, new, _, old]) => (*old, *new),
            _ => return Err(Error::HookLine { line: number }),
        };
        let id =
            |text: &str| ObjectId::from_hex(text.as_bytes()).map_err(|_| Error::HookLine { line: number });
        let (old, new) = (id(old)?, id(new)?);
        // A reference that is deleted brings nothing.
        if !new.is_null() {
            tips.included.push(new);
        }
        if !old.is_null() {
            tips.excluded.push(old);
        }
    }
    tips.excluded.extend(references.iter().map(|reference| reference.id));
    tips.excluded.sort_unstable();
    tips.excluded.dedup();
    Ok(tips)
}
