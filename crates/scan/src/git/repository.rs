use super::error::Error;
use crate::located::{SkipReason, Statistics};
use gix_hash::{Kind as HashKind, ObjectId};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A repository's folders and settings, as far as a scan wants them.
#[derive(Debug)]
pub struct Repository {
    /// The folder with HEAD and the index: `.git`, or one below `worktrees/` or `modules/`.
    pub git_dir: PathBuf,
    /// The folder with the references and objects: another one than `git_dir` for a linked worktree.
    pub common_dir: PathBuf,
    /// `None` for a bare repository.
    pub work_tree: Option<PathBuf>,
    pub hash: HashKind,
    /// The address of `origin`, if there is one.
    pub remote: Option<String>,
    /// Where objects are: the repository's own folder, and those it borrows from.
    pub object_dirs: Vec<PathBuf>,
    /// Commits of a shallow clone whose parents are not here.
    pub shallow: BTreeSet<ObjectId>,
    /// Objects may be missing because they were promised.
    pub partial: bool,
    /// References are in a format that is not read.
    pub reftable: bool,
    /// No object may be removed.
    pub precious: bool,
}

/// Where objects are, if not where they usually are: what git tells a hook in `GIT_OBJECT_DIRECTORY` and
/// `GIT_ALTERNATE_OBJECT_DIRECTORIES`, for objects that are pushed and not accepted yet.
#[derive(Debug, Clone, Default)]
pub struct ObjectDirectories {
    pub objects: Option<PathBuf>,
    pub alternates: Vec<PathBuf>,
}

/// Alternates of alternates of alternates: git itself stops at 5.
const ALTERNATES_DEPTH_MAX: usize = 5;
/// Settings, lists of alternates, `.git` files: none is larger than this.
const SMALL_FILE_BYTES_MAX: u64 = 4 << 20;

impl Repository {
    /// Finds the repository that `path` is in, as git does: there, or in a folder above.
    pub fn discover(
        path: &Path,
        directories: &ObjectDirectories,
        statistics: &mut Statistics,
    ) -> Result<Self, Error> {
        let start =
            fs::canonicalize(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        for folder in start.ancestors() {
            let dot_git = folder.join(".git");
            if let Some(git_dir) = git_dir_at(&dot_git)? {
                return Self::open(git_dir, Some(folder.to_owned()), directories, statistics);
            }
            if is_git_dir(folder) {
                return Self::open(folder.to_owned(), None, directories, statistics);
            }
        }
        Err(Error::NotARepository { path: path.to_owned() })
    }

    /// Opens the repository whose HEAD is in `git_dir`.
    pub fn open(
        git_dir: PathBuf,
        work_tree: Option<PathBuf>,
        directories: &ObjectDirectories,
        statistics: &mut Statistics,
    ) -> Result<Self, Error> {
        let common_dir = match small_file(&git_dir.join("commondir")) {
            Ok(text) => {
                let named = git_dir.join(String::from_utf8_lossy(&text).trim());
                // `../..` mostly: paths below it are compared, and its name says whether it is a `.git`.
                fs::canonicalize(&named).unwrap_or(named)
            }
            Err(_) => git_dir.clone(),
        };
        let settings = match small_file(&common_dir.join("config")) {
            Ok(text) => Settings::parse(&String::from_utf8_lossy(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Settings::default(),
            Err(source) => return Err(Error::Unreadable { path: common_dir.join("config"), source }),
        };
        let hash = match settings.object_format.as_str() {
            "" | "sha1" => HashKind::Sha1,
            "sha256" => HashKind::Sha256,
            other => return Err(Error::Unsupported { what: format!("the object format {other:?}") }),
        };
        let mut object_dirs = Vec::new();
        let own = directories.objects.clone().unwrap_or_else(|| common_dir.join("objects"));
        gather_object_dirs(&own, 0, &mut object_dirs, statistics);
        for alternate in &directories.alternates {
            gather_object_dirs(alternate, 0, &mut object_dirs, statistics);
        }
        let shallow = small_file(&common_dir.join("shallow")).unwrap_or_default();
        let shallow =
            shallow.split(|byte| *byte == b'\n').filter_map(|hex| ObjectId::from_hex(hex).ok()).collect();
        let work_tree = work_tree.filter(|_| !settings.bare);
        Ok(Self {
            git_dir,
            common_dir,
            work_tree,
            hash,
            remote: settings.remote,
            object_dirs,
            shallow,
            partial: settings.partial,
            reftable: settings.reference_format == "reftable",
            precious: settings.precious,
        })
    }

    /// The git folders of submodules that were checked out here.
    pub fn submodules(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        gather_modules(&self.common_dir.join("modules"), 0, &mut found);
        found.sort();
        found
    }
}

fn gather_modules(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    const DEPTH_MAX: usize = 8;
    const MODULES_MAX: usize = 10_000;
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if found.len() >= MODULES_MAX
            || depth > DEPTH_MAX
            || !entry.file_type().is_ok_and(|kind| kind.is_dir())
        {
            continue;
        }
        if is_git_dir(&path) {
            gather_modules(&path.join("modules"), depth + 1, found);
            found.push(path);
        } else {
            gather_modules(&path, depth + 1, found);
        }
    }
}

/// What `.git` leads to: itself, or the folder that the file names (worktrees, submodules).
fn git_dir_at(dot_git: &Path) -> Result<Option<PathBuf>, Error> {
    let Ok(metadata) = fs::metadata(dot_git) else { return Ok(None) };
    if metadata.is_dir() {
        return Ok(is_git_dir(dot_git).then(|| dot_git.to_owned()));
    }
    let damaged = |what: &str| Error::Damaged { path: dot_git.to_owned(), what: what.to_owned() };
    let text =
        small_file(dot_git).map_err(|source| Error::Unreadable { path: dot_git.to_owned(), source })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let target =
        text.trim().strip_prefix("gitdir:").ok_or_else(|| damaged("it does not say `gitdir: PATH`"))?;
    let folder = dot_git.parent().unwrap_or(dot_git).join(target.trim());
    if !folder.join("HEAD").exists() {
        return Err(damaged(
            "the folder it names is not a git folder (was the main worktree moved? `git worktree repair`)",
        ));
    }
    Ok(Some(folder))
}

fn is_git_dir(folder: &Path) -> bool {
    let has_head = fs::symlink_metadata(folder.join("HEAD")).is_ok();
    has_head
        && (folder.join("objects").is_dir() && folder.join("refs").is_dir()
            || folder.join("commondir").is_file())
}

/// With gix-odb, alternates that are missing or lead in a circle are an error for all of them: here they are named, and the
/// scan goes on with the others.
fn gather_object_dirs(folder: &Path, depth: usize, found: &mut Vec<PathBuf>, statistics: &mut Statistics) {
    let known = fs::canonicalize(folder);
    let Ok(folder) = known else {
        statistics.skip(
            folder.display().to_string(),
            SkipReason::Missing,
            "a folder of objects that does not exist",
        );
        return;
    };
    if found.contains(&folder) {
        return;
    }
    found.push(folder.clone());
    let Ok(list) = small_file(&folder.join("info/alternates")) else { return };
    if depth >= ALTERNATES_DEPTH_MAX {
        statistics.skip(folder.display().to_string(), SkipReason::TooDeep, "its alternates are not followed");
        return;
    }
    for line in
        String::from_utf8_lossy(&list).lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        gather_object_dirs(&folder.join(line), depth + 1, found, statistics);
    }
}

pub(crate) fn small_file(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > SMALL_FILE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    fs::read(path)
}

/// The few settings that decide how a repository is read (git-config(1)).
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    bare: bool,
    object_format: String,
    reference_format: String,
    partial: bool,
    precious: bool,
    remote: Option<String>,
}

impl Settings {
    fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(head) = line.strip_prefix('[') {
                section = head.split(']').next().unwrap_or_default().to_owned();
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, "true"));
            let value = value.trim().trim_matches('"');
            settings.take(&section, &key.trim().to_ascii_lowercase(), value);
        }
        settings
    }

    fn take(&mut self, section: &str, key: &str, value: &str) {
        let lower = section.to_ascii_lowercase();
        match (lower.as_str(), key) {
            ("core", "bare") => self.bare = value == "true",
            ("extensions", "objectformat") => self.object_format = value.to_ascii_lowercase(),
            ("extensions", "refstorage") => self.reference_format = value.to_ascii_lowercase(),
            ("extensions", "partialclone") => self.partial = true,
            ("extensions", "preciousobjects") => {
                self.precious = matches!(value.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1");
            }
            (_, "promisor") if lower.starts_with("remote ") => self.partial |= value == "true",
            (_, "url") if section == "remote \"origin\"" => self.remote = Some(value.to_owned()),
            (_, "url") if lower.starts_with("remote ") && self.remote.is_none() => {
                self.remote = Some(value.to_owned());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_matter() {
        let text = "[core]\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n\tpreciousObjects\n[remote \"up\"]\n url = u\n\
                    [remote \"origin\"]\n\turl = \"git@example.com:a/b.git\"\n\tpromisor = true\n";
        let expected = Settings {
            bare: true,
            object_format: "sha256".to_owned(),
            reference_format: String::new(),
            partial: true,
            precious: true,
            remote: Some("git@example.com:a/b.git".to_owned()),
        };
        assert_eq!(Settings::parse(text), expected);
    }
}
