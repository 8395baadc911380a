use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use strongroom_detect::Finding;

/// A finding, and where it stands in the world.
#[derive(Debug)]
pub struct Located {
    pub finding: Finding,
    /// With `/`; what is inside an archive comes after `!`. Empty for a stream, and for a blob that no tree names.
    pub path: String,
    /// The link through which a file was reached (gitleaks' `SymlinkFile`), else empty.
    pub link_path: String,
    pub origin: Origin,
    /// The commit that brought it in, as far as one is known.
    pub commit: Option<Arc<Commit>>,
    /// The blob (or commit, or tag) that holds it, in hex; empty outside of git.
    pub object: String,
    /// A web address of the line, when the repository's remote is a known host; else empty.
    pub link: String,
    /// At how many further places (versions of the file, lines) the same secret was seen and not reported.
    pub further: u64,
}

impl Located {
    /// A finding in a file or a stream outside of git.
    pub fn outside_git(finding: Finding, path: String, origin: Origin) -> Self {
        Self {
            finding,
            path,
            link_path: String::new(),
            origin,
            commit: None,
            object: String::new(),
            link: String::new(),
            further: 0,
        }
    }

    /// The commit in hex, or an empty text.
    pub fn commit_id(&self) -> &str {
        self.commit.as_deref().map_or("", |commit| commit.id.as_str())
    }

    /// gitleaks' fingerprint: `commit:file:rule:line`, without the commit if there is none.
    pub fn fingerprint(&self, rule_id: &str) -> String {
        let line = self.finding.place.start_line;
        match self.commit_id() {
            "" => format!("{}:{rule_id}:{line}", self.path),
            commit => format!("{commit}:{}:{rule_id}:{line}", self.path),
        }
    }
}

/// What kind of thing a finding stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    File,
    Stream,
    /// A file of a commit that can be reached from a branch, a tag or another reference.
    History,
    /// A file of a commit that only a reflog still names (an undone or rewritten commit, an older stash).
    Reflog,
    /// An object that nothing names any more; git drops it some day. It was pushed perhaps.
    Unreachable,
    CommitMessage,
    TagMessage,
    /// The index, against the commit that is checked out.
    Staged,
    /// The working tree, against the index.
    WorkingTree,
}

/// Who made a commit, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// In hex.
    pub id: String,
    pub author: String,
    pub email: String,
    /// The author's time, in seconds since 1970.
    pub seconds: i64,
    /// The author's offset from UTC.
    pub offset_minutes: i32,
    pub message: String,
}

/// Why something was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// The operating system did not let us read it.
    PermissionDenied,
    /// It could not be read for another reason.
    Unreadable,
    /// It is damaged: a pack, an index, an object, an archive.
    Corrupt,
    /// It is named, and not there (a partial clone's promise, a missing object).
    Missing,
    TooLarge,
    /// Archives inside archives, delta on delta, folders in folders: deeper than the bound.
    TooDeep,
    Binary,
    /// A repository inside the repository, which was not entered.
    Submodule,
    /// A link that was not followed, or leads out of what is scanned.
    Link,
    /// A format that is known and not read (an encrypted archive, reftable).
    Unsupported,
    /// The configuration leaves it out.
    Allowed,
}

impl SkipReason {
    /// A word for tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::PermissionDenied => "permission-denied",
            Self::Unreadable => "unreadable",
            Self::Corrupt => "corrupt",
            Self::Missing => "missing",
            Self::TooLarge => "too-large",
            Self::TooDeep => "too-deep",
            Self::Binary => "binary",
            Self::Submodule => "submodule",
            Self::Link => "link",
            Self::Unsupported => "unsupported",
            Self::Allowed => "allowed",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One thing that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// A path, an object's id, the name of a pack.
    pub what: String,
    pub reason: SkipReason,
    /// What is to be said about it, or empty.
    pub detail: String,
}

/// What a scan did. Several can be added up.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// Files, blobs, messages, members of archives that were looked at.
    pub texts: u64,
    /// Their size.
    pub bytes: u64,
    /// The bytes that the detector was really given: less than `bytes` where only the new part of a version is scanned.
    pub bytes_looked_at: u64,
    pub commits: u64,
    pub findings: u64,
    /// Commits of a shallow clone whose parents are not here: nothing older was scanned.
    pub shallow_commits: u64,
    /// What was known from an earlier run and not looked at again.
    pub known_before: u64,
    /// The scan was ended early, by its caller or by the sink.
    pub ended_early: bool,
    skipped: Vec<Skipped>,
    skipped_counts: BTreeMap<SkipReason, u64>,
}

/// So many skipped things are kept by name; the others are counted.
const SKIPPED_NAMED_MAX: usize = 1000;

impl Statistics {
    pub fn skip(&mut self, what: impl Into<String>, reason: SkipReason, detail: impl Into<String>) {
        *self.skipped_counts.entry(reason).or_default() += 1;
        if self.skipped.len() < SKIPPED_NAMED_MAX {
            self.skipped.push(Skipped { what: what.into(), reason, detail: detail.into() });
        }
    }

    /// How many were skipped, by reason.
    pub fn skipped_counts(&self) -> &BTreeMap<SkipReason, u64> {
        &self.skipped_counts
    }

    /// The first of them, by name.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Takes what stands in front of the names away.
    pub(crate) fn without_prefix(mut self, prefix: &str) -> Self {
        for skipped in &mut self.skipped {
            if let Some(rest) = skipped.what.strip_prefix(prefix) {
                skipped.what = rest.to_owned();
            }
        }
        self
    }

    pub fn add(&mut self, other: Self) {
        self.texts += other.texts;
        self.bytes += other.bytes;
        self.bytes_looked_at += other.bytes_looked_at;
        self.commits += other.commits;
        self.findings += other.findings;
        self.shallow_commits += other.shallow_commits;
        self.known_before += other.known_before;
        self.ended_early |= other.ended_early;
        for (reason, count) in other.skipped_counts {
            *self.skipped_counts.entry(reason).or_default() += count;
        }
        let room = SKIPPED_NAMED_MAX.saturating_sub(self.skipped.len());
        self.skipped.extend(other.skipped.into_iter().take(room));
    }
}

/// Takes what is found, one by one, on the thread that called; `Break` ends the scan (a bound on findings).
pub type Sink<'a> = &'a mut dyn FnMut(Located) -> ControlFlow<()>;

/// How far a scan is. What is counted depends on the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// `objects`, `commits`, `files`.
    pub counted: &'static str,
    pub done: u64,
    /// 0 while it is not known.
    pub total: u64,
}

/// How a caller watches a scan and ends it. Both come from any thread.
#[derive(Clone, Copy, Default)]
pub struct Watch<'a> {
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    pub cancelled: Option<&'a AtomicBool>,
}

impl Watch<'_> {
    pub fn tell(&self, counted: &'static str, done: u64, total: u64) {
        if let Some(progress) = self.progress {
            progress(Progress { counted, done, total });
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_add_up() {
        let mut all = Statistics::default();
        for number in 0..1500 {
            let mut one = Statistics { texts: 1, ..Statistics::default() };
            one.skip(format!("file {number}"), SkipReason::Binary, "");
            all.add(one);
        }
        assert_eq!((all.texts, all.skipped().len()), (1500, SKIPPED_NAMED_MAX));
        assert_eq!(all.skipped_counts().get(&SkipReason::Binary), Some(&1500));
    }
}
