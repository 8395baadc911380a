//! Files of a repository, changed so that they are old or new and nothing between, and locks that git knows.

use super::error::Error;
use crate::git::repository::small_file;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Puts a new file into the place of another.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    let failed = |source| Error::write(path, source);
    let mut file = tempfile::Builder::new().prefix(".strongroom-").tempfile_in(folder).map_err(failed)?;
    if let Ok(before) = fs::metadata(path) {
        file.as_file().set_permissions(before.permissions()).map_err(failed)?;
    } else {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
    }
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// A reference's name as a path.
pub(super) fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

/// `FILE.lock` beside files, as git takes them; removed at the end. Which they are is written down first, so that the next
/// run can remove them if this one is killed.
pub(super) struct Locks {
    taken: Vec<PathBuf>,
    list: PathBuf,
}

const LIST: &str = "strongroom/purge/locks";

impl Locks {
    pub(super) fn new(common: &Path) -> Result<Self, Error> {
        let list = common.join(LIST);
        if let Some(folder) = list.parent() {
            fs::create_dir_all(folder).map_err(|source| Error::write(folder, source))?;
        }
        Ok(Self { taken: Vec::new(), list })
    }

    pub(super) fn take(&mut self, path: &Path) -> Result<(), Error> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock = path.with_file_name(name);
        let mut line = lock.as_os_str().as_bytes().to_vec();
        line.push(b'\n');
        let mut list = OpenOptions::new().create(true).append(true).open(&self.list);
        let listed = list
            .as_mut()
            .map_err(|error| io::Error::from(error.kind()))
            .and_then(|list| list.write_all(&line));
        listed.map_err(|source| Error::write(&self.list, source))?;
        match OpenOptions::new().write(true).create_new(true).open(&lock) {
            Ok(_) => {
                self.taken.push(lock);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::refused(
                format!("the repository is in use: {} is there", lock.display()),
                "wait until git is done; if no git is running there, a killed one left the file behind: remove it",
            )),
            // A worktree without an index has nothing to lock.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::write(&lock, source)),
        }
    }

    /// Removes what a run that was killed left behind. Only whoever holds the purge's own lock may call this.
    pub(super) fn remove_left_behind(common: &Path) {
        let list = common.join(LIST);
        for line in
            fs::read(&list).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
        {
            let path = path_of(line);
            let is_empty = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == 0);
            if is_empty && path.starts_with(common) {
                // What cannot be removed is found to be in the way.
                let _ = fs::remove_file(&path);
            }
        }
        let _ = fs::remove_file(&list);
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        for lock in &self.taken {
            let _ = fs::remove_file(lock);
        }
        let _ = fs::remove_file(&self.list);
    }
}

/// Held by a purge for as long as it runs; the operating system lets go of it if the process dies.
pub(super) struct OnePurge {
    _file: File,
}

impl OnePurge {
    pub(super) fn begin(common: &Path) -> Result<Self, Error> {
        let folder = common.join("strongroom/purge");
        fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, source))?;
        let path = folder.join("running");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| Error::write(&path, source))?;
        file.try_lock()
            .map_err(|_| Error::refused("another purge of this repository is running", "wait for it"))?;
        Locks::remove_left_behind(common);
        Ok(Self { _file: file })
    }
}

/// git's own lock against two `git gc` at once, which would remove packs under each other's hands.
pub(super) struct PackingLock {
    path: PathBuf,
}

const PACKING: &str = "gc.pid";

impl PackingLock {
    pub(super) fn take(common: &Path) -> Result<Self, Error> {
        let path = common.join(PACKING);
        if path.exists() && Self::check(common).is_ok() {
            // git takes the place of one that is gone, too.
            fs::remove_file(&path).map_err(|source| Error::remove(&path, source))?;
        }
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let written =
            made.and_then(|mut file| file.write_all(format!("{} {}", std::process::id(), host()).as_bytes()));
        match written {
            Ok(()) => Ok(Self { path }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(packing(common)),
            Err(source) => {
                let _ = fs::remove_file(&path);
                Err(Error::write(&path, source))
            }
        }
    }

    /// Whether git is packing, as far as can be seen.
    pub(super) fn check(common: &Path) -> Result<(), Error> {
        match Self::holder(common) {
            Some(holder) if !holder.is_gone() => Err(packing(common)),
            _ => Ok(()),
        }
    }

    fn holder(common: &Path) -> Option<Holder> {
        let text = match small_file(&common.join(PACKING)) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => String::new(),
        };
        let (process, host) = text.trim().split_once(' ').unwrap_or_default();
        // As git sees it: a file that says nothing holds nobody up.
        let process = process.parse().ok()?;
        Some(Holder { process, host: host.to_owned() })
    }
}

fn packing(common: &Path) -> Error {
    let path = common.join(PACKING);
    Error::refused(
        format!("the repository is in use: {} is there", path.display()),
        format!("wait until git gc is done; if none is running: rm {}", path.display()),
    )
}

impl Drop for PackingLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Who holds the lock, by what it says.
struct Holder {
    process: u32,
    host: String,
}

impl Holder {
    /// Where processes cannot be seen, nobody is taken for gone.
    fn is_gone(&self) -> bool {
        let here = host();
        if here.is_empty() || self.host != here {
            return false;
        }
        match fs::read(format!("/proc/{}/stat", self.process)) {
            // Behind its name in parentheses: Z for one that is dead and was not waited for.
            Ok(text) => {
                let name_end = text.iter().rposition(|byte| *byte == b')').unwrap_or(0);
                matches!(text.get(name_end + 2), Some(b'Z' | b'X'))
            }
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// This machine's name as git writes it; nothing where the kernel does not say it in a file.
fn host() -> String {
    let text =
        small_file(Path::new(if cfg!(target_os = "linux") { "/proc/sys/kernel/hostname" } else { "" }));
    text.map(|text| String::from_utf8_lossy(text.trim_ascii()).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_gits_and_are_let_go_of() {
        let folder = tempfile::tempdir().unwrap();
        let head = folder.path().join("HEAD");
        {
            let mut locks = Locks::new(folder.path()).unwrap();
            locks.take(&head).unwrap();
            assert!(folder.path().join("HEAD.lock").exists());
            let mut other = Locks::new(folder.path()).unwrap();
            let error = other.take(&head).unwrap_err();
            assert!(error.to_string().contains("in use"), "{error}");
        }
        assert!(!folder.path().join("HEAD.lock").exists());
    }

    #[test]
    fn a_lock_of_packing_whose_holder_is_gone_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("gc.pid");
        let held = PackingLock::take(folder.path()).unwrap();
        assert!(PackingLock::check(folder.path()).is_err());
        assert!(PackingLock::take(folder.path()).is_err());
        drop(held);
        assert!(!lock.exists());
        fs::write(&lock, "1 another-machine.example").unwrap();
        assert!(PackingLock::take(folder.path()).is_err());
        let mut gone = vec![String::new(), "nonsense".to_owned()];
        if !host().is_empty() {
            gone.push(format!("4000000000 {}", host()));
        }
        for text in gone {
            fs::write(&lock, &text).unwrap();
            PackingLock::check(folder.path()).unwrap();
            drop(PackingLock::take(folder.path()).unwrap());
            assert!(!lock.exists());
        }
    }

    #[test]
    fn what_a_killed_run_left_behind_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("HEAD.lock");
        std::mem::forget({
            let mut locks = Locks::new(folder.path()).unwrap();
            locks.take(&folder.path().join("HEAD")).unwrap();
            locks
        });
        assert!(lock.exists());
        let one = OnePurge::begin(folder.path()).unwrap();
        assert!(!lock.exists());
        assert!(OnePurge::begin(folder.path()).is_err());
        drop(one);
        OnePurge::begin(folder.path()).unwrap();
    }
}
