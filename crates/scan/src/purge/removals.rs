//! Files and folders that go, whatever is in them.

use super::replacements::{Glob, Lines, compile, of_glob};
use gix_hash::ObjectId;
use regex::bytes::Regex;
use std::collections::HashSet;

/// Which files and folders are taken out of every commit.
#[derive(Debug, Default, Clone)]
pub struct Removals {
    /// Names of files, without their folders.
    files: Vec<Regex>,
    /// Names of folders, without those above.
    folders: Vec<Regex>,
    /// Files and folders by their whole path.
    paths: Vec<Vec<u8>>,
    globs: Vec<Regex>,
    /// Files of more bytes.
    pub larger_than: Option<u64>,
    /// Files by the ids of their blobs.
    pub blobs: HashSet<ObjectId>,
    pub trace: Trace,
}

/// What stays where a file was that is named by size or id.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    #[default]
    Nothing,
    /// `NAME.REMOVED.git-id`, which holds the blob's id: so does the BFG.
    File,
}

impl Removals {
    /// Adds a glob for names of files: `*.pem`, `id_{rsa,dsa}`.
    pub fn add_files(&mut self, glob: &str) -> Result<(), String> {
        self.files.push(anchored(glob)?);
        Ok(())
    }

    /// Adds a glob for names of folders.
    pub fn add_folders(&mut self, glob: &str) -> Result<(), String> {
        self.folders.push(anchored(glob.trim_end_matches('/'))?);
        Ok(())
    }

    /// Adds the path of a file or folder, from the top of the repository.
    pub fn add_path(&mut self, path: &str) -> Result<(), String> {
        let path = path.trim_start_matches("./").trim_end_matches('/');
        if path.is_empty()
            || path.starts_with('/')
            || path.split('/').any(|part| part.is_empty() || part == "..")
        {
            return Err("it is no path below the top of the repository".to_owned());
        }
        self.paths.push(path.as_bytes().to_vec());
        Ok(())
    }

    /// Adds a glob for whole paths; a star is anything, `/` too.
    pub fn add_path_glob(&mut self, glob: &str) -> Result<(), String> {
        self.globs.push(anchored(glob.trim_start_matches("./"))?);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        !self.by_name() && !self.by_path() && self.larger_than.is_none() && self.blobs.is_empty()
    }

    pub(super) fn by_name(&self) -> bool {
        !self.files.is_empty() || !self.folders.is_empty()
    }

    pub(super) fn by_path(&self) -> bool {
        !self.paths.is_empty() || !self.globs.is_empty()
    }

    pub(super) fn takes_file(&self, name: &[u8]) -> bool {
        self.files.iter().any(|regex| regex.is_match(name))
    }

    pub(super) fn takes_folder(&self, name: &[u8]) -> bool {
        self.folders.iter().any(|regex| regex.is_match(name))
    }

    pub(super) fn takes_path(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|other| other == path) || self.globs.iter().any(|regex| regex.is_match(path))
    }

    /// Whether something below a folder can be meant by its path.
    pub(super) fn reaches_below(&self, folder: &[u8]) -> bool {
        let is_above = |path: &Vec<u8>| {
            folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        !self.globs.is_empty() || self.paths.iter().any(is_above)
    }
}

pub(super) fn anchored(glob: &str) -> Result<Regex, String> {
    let pattern = of_glob(glob.as_bytes(), Glob::OfPath);
    compile(&[b"\\A(?:", pattern.as_slice(), b")\\z"].concat(), Lines::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        let mut removals = Removals::default();
        removals.add_files("id_{rsa,dsa}").unwrap();
        removals.add_files("*.p?m").unwrap();
        removals.add_folders(".secrets/").unwrap();
        removals.add_path("./a/b/").unwrap();
        removals.add_path_glob("deploy/*.env").unwrap();
        assert!(
            removals.takes_file(b"id_rsa")
                && removals.takes_file(b"x.pem")
                && !removals.takes_file(b"id_rsa.pub")
        );
        assert!(removals.takes_folder(b".secrets") && !removals.takes_folder(b"secrets"));
        assert!(
            removals.takes_path(b"a/b")
                && !removals.takes_path(b"a/bc")
                && removals.takes_path(b"deploy/x/y.env")
        );
        assert!(removals.add_path("../x").is_err() && removals.add_path("/").is_err());
        let mut paths = Removals::default();
        paths.add_path("a/b/c").unwrap();
        assert!(paths.reaches_below(b"") && paths.reaches_below(b"a") && paths.reaches_below(b"a/b"));
        assert!(
            !paths.reaches_below(b"a/bb") && !paths.reaches_below(b"b") && !paths.reaches_below(b"a/b/c")
        );
    }
}
