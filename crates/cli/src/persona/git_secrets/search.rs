//! The prohibited patterns in texts: lines as grep prints them, `path:number:line`.

use super::patterns::Patterns;
use super::repository::{Listing, Repository, Scope};
use super::{Ended, read};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Folders in folders.
const DEPTH_MAX: usize = 256;
/// git tells binary files by a NUL among their first bytes.
const BINARY_BYTES: usize = 8000;

#[derive(Default)]
pub(super) struct Found {
    pub(super) lines: Vec<Vec<u8>>,
}

impl Found {
    fn look(&mut self, name: &[u8], text: &[u8], patterns: &Patterns) {
        if text.get(..text.len().min(BINARY_BYTES)).is_some_and(|head| memchr::memchr(0, head).is_some()) {
            return;
        }
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if patterns.match_line(line) {
                let number = (index + 1).to_string();
                self.lines.push([name, b":", number.as_bytes(), b":", line].concat());
            }
        }
    }
}

pub(super) fn text(name: &str, text: &[u8], patterns: &Patterns) -> Found {
    let mut found = Found::default();
    found.look(name.as_bytes(), text, patterns);
    found
}

/// Files, and with [`Listing::Deep`] folders, as they are named.
pub(super) fn paths(words: &[OsString], listing: Listing, patterns: &Patterns) -> Result<Found, Ended> {
    let mut found = Found::default();
    if patterns.are_none() {
        return Ok(found);
    }
    let mut missing = String::new();
    for word in words {
        look_at_path(Path::new(word), listing, DEPTH_MAX, patterns, &mut found, &mut missing);
    }
    match missing.is_empty() || !found.lines.is_empty() {
        true => Ok(found),
        false => Err(Ended(2, missing)),
    }
}

fn look_at_path(
    path: &Path,
    listing: Listing,
    depth: usize,
    patterns: &Patterns,
    found: &mut Found,
    missing: &mut String,
) {
    if path.is_dir() {
        if listing == Listing::Deep && depth > 0 {
            let mut names: Vec<PathBuf> =
                std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            names.sort();
            for name in names.iter().filter(|name| !name.is_symlink()) {
                look_at_path(name, listing, depth - 1, patterns, found, missing);
            }
        }
        return;
    }
    match read(path) {
        Ok(bytes) if path == Path::new("-") => found.look(b"(standard input)", &bytes, patterns),
        Ok(bytes) => found.look(path.as_os_str().as_bytes(), &bytes, patterns),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            missing.push_str(&format!("grep: {}: No such file or directory\n", path.display()));
        }
        Err(error) => missing.push_str(&format!("grep: {}: {error}\n", path.display())),
    }
}

/// What git lists.
pub(super) fn listed(
    repository: &Repository,
    scope: Scope,
    words: &[OsString],
    patterns: &Patterns,
) -> Result<Found, Ended> {
    if patterns.are_none() {
        return Ok(Found::default());
    }
    let mut found = Found::default();
    match scope {
        Scope::Cached => {
            let entries = repository.index(words)?;
            let objects: Vec<String> = entries.iter().map(|(object, _)| object.clone()).collect();
            repository.blobs(&objects, &mut |number, blob| {
                if let Some((_, path)) = entries.get(number) {
                    found.look(path.as_os_str().as_bytes(), blob, patterns);
                }
            })?;
        }
        Scope::NoIndex => {
            let here = [OsString::from(".")];
            let words = if words.is_empty() { &here[..] } else { words };
            found = paths(words, Listing::Deep, patterns)?;
            for line in &mut found.lines {
                if line.starts_with(b"./") {
                    line.drain(..2);
                }
            }
        }
        Scope::Tracked | Scope::Untracked => {
            for path in repository.files(scope, words)? {
                // A file that was deleted and not committed so is no failure, nor is the folder of a submodule.
                if path.is_file()
                    && !path.is_symlink()
                    && let Ok(bytes) = read(&path)
                {
                    found.look(path.as_os_str().as_bytes(), &bytes, patterns);
                }
            }
        }
    }
    Ok(found)
}

/// `commit:path:number:line` for every commit that brings a blob with a line that matches. Merge commits count; each blob is
/// read once.
pub(super) fn history(repository: &Repository, patterns: &Patterns) -> Result<Found, Ended> {
    if patterns.are_none() {
        return Ok(Found::default());
    }
    if repository.commits()?.is_empty() {
        // Before the first commit git-secrets looks at what is tracked.
        return listed(repository, Scope::Tracked, &[], patterns);
    }
    let mut places: HashMap<String, Vec<(String, Vec<u8>)>> = HashMap::new();
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    repository.changed(&mut |commit, object, path| {
        let places = places.entry(object.to_owned()).or_default();
        if places.is_empty() {
            order.push(object.to_owned());
        }
        if seen.insert((commit.to_owned(), path.to_owned())) {
            places.push((commit.to_owned(), path.to_owned()));
        }
    })?;
    let mut found = Found::default();
    repository.blobs(&order, &mut |number, blob| {
        for (commit, path) in order.get(number).and_then(|object| places.get(object)).into_iter().flatten() {
            found.look(&[commit.as_bytes(), b":", path].concat(), blob, patterns);
        }
    })?;
    Ok(found)
}
