use super::incremental::Incremental;
use super::repository::ObjectDirectories;
use crate::content::ContentOptions;

/// What of a repository is scanned, and how.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// Revisions and ranges as git writes them (gitrevisions(7)): `main`, `A..B`, `A...B`, `^old`, `v1.0~3`. Empty: everything.
    pub revisions: Vec<String>,
    /// Only commits whose committer's time is in this interval, in seconds since 1970.
    pub since: Option<i64>,
    pub until: Option<i64>,
    /// Only these paths: globs with `*`, `?`, `**`, or the names of folders. Empty: all.
    pub paths: Vec<String>,
    /// The messages of commits and tags as well.
    pub messages: bool,
    pub unreachable: Unreachable,
    /// Larger blobs are read piece by piece if they stand whole in a pack, else left out and counted.
    pub blob_bytes_max: u64,
    /// How archives, UTF-16 and binary files are looked at.
    pub content: ContentOptions,
    pub threads: usize,
    pub object_directories: ObjectDirectories,
    /// The index, if not where it usually is: what git tells a hook in `GIT_INDEX_FILE`.
    pub index_file: Option<std::path::PathBuf>,
    pub submodules: Submodules,
    pub verification: Verification,
    /// What was looked at is kept, and not looked at again. For scans of everything, without ranges and dates.
    pub incremental: Option<Incremental>,
}

/// Objects that no reference leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    Scanned,
    LeftOut,
}

/// How objects are checked while they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// By the checksums of the compression, and by sizes.
    Checksums,
    /// By their ids as well: what was scanned is what git would show. Takes about as long again.
    Ids,
}

/// Repositories inside the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submodules {
    /// Named among what was not scanned.
    Named,
    /// Those that were checked out are scanned, below their path.
    Entered,
}

impl Default for GitOptions {
    fn default() -> Self {
        Self {
            revisions: Vec::new(),
            since: None,
            until: None,
            paths: Vec::new(),
            messages: true,
            unreachable: Unreachable::Scanned,
            blob_bytes_max: 16 << 20,
            content: ContentOptions::default(),
            threads: 2,
            object_directories: ObjectDirectories::default(),
            index_file: None,
            submodules: Submodules::Named,
            verification: Verification::Checksums,
            incremental: None,
        }
    }
}
