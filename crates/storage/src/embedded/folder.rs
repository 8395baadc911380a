//! The files of a data folder: the lock, the database's place, and the guard against rolled-back databases.

use super::OpenError;
use crate::{CommitIndex, StoreId};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A data folder that this process alone uses, for as long as this value lives.
pub(super) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// The newest commit that was written down beside the database. Never ahead of what is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) store_id: StoreId,
    pub(super) index: CommitIndex,
}

const GUARD_BYTES_MAX: u64 = 256;

impl DataFolder {
    /// Creates the folder, for its owner alone, if there is none, and locks it.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Folder { path, source }
        };
        create_private_folder(path).map_err(failed(path))?;
        let lock_path = path.join("lock");
        let mut lock = private_file().read(true).write(true).open(&lock_path).map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { folder: path.to_owned(), pid: read_pid(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(&lock_path)(source)),
        }
        // For the message to a second process alone: a full disk must not keep the first from opening.
        drop(lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())));
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database_path(&self) -> PathBuf {
        self.path.join("strongroom.db")
    }

    pub(super) fn guard_path(&self) -> PathBuf {
        self.path.join("guard")
    }

    pub(super) fn has_database(&self) -> bool {
        self.database_bytes() > 0
    }

    pub(super) fn database_bytes(&self) -> u64 {
        std::fs::metadata(self.database_path()).map_or(0, |metadata| metadata.len())
    }

    pub(super) fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.path.join("strongroom.db-wal")).map_or(0, |metadata| metadata.len())
    }

    /// SQLite gives its other files the mode of this one.
    pub(super) fn create_database_file(&self) -> Result<(), OpenError> {
        let path = self.database_path();
        match private_file().read(true).write(true).open(&path) {
            Ok(_) => Ok(()),
            Err(source) => Err(OpenError::Folder { path, source }),
        }
    }

    pub(super) fn read_guard(&self) -> Result<Option<Guard>, OpenError> {
        let path = self.guard_path();
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(GUARD_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(OpenError::Folder { path, source }),
        }
        match Guard::parse(&text) {
            Some(guard) => Ok(Some(guard)),
            None => Err(OpenError::Failed {
                path,
                reason: "it is not the guard of a data folder; if you trust the database, delete this file"
                    .into(),
            }),
        }
    }

    /// Replaces the guard: after a power cut there is the old one or the new one.
    pub(super) fn write_guard(&self, guard: &Guard) -> io::Result<()> {
        let new_path = self.path.join("guard.new");
        let mut file = private_file().write(true).truncate(true).open(&new_path)?;
        file.write_all(guard.text().as_bytes())?;
        file.sync_data()?;
        std::fs::rename(new_path, self.guard_path())?;
        File::open(&self.path)?.sync_all()
    }
}

impl Guard {
    fn text(&self) -> String {
        format!("strongroom-guard 1 {} {}\n", self.store_id, self.index.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        if words.next()? != "strongroom-guard" || words.next()? != "1" {
            return None;
        }
        let id = words.next().filter(|word| word.len() == 32)?;
        let store_id = StoreId(u128::from_str_radix(id, 16).ok()?.to_be_bytes());
        let index = CommitIndex(words.next()?.parse().ok()?);
        words.next().is_none().then_some(Self { store_id, index })
    }
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn create_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_read_as_written_and_nothing_else() {
        let guard = Guard { store_id: StoreId([0xA5; 16]), index: CommitIndex(42) };
        assert_eq!(Guard::parse(&guard.text()), Some(guard));
        let text = guard.text();
        for wrong in [
            "",
            "x",
            text.trim_end(),
            &text.replace(" 42", ""),
            &text.replace(" 42", " 42 1"),
            &text.replace('1', "2"),
        ] {
            assert_eq!(Guard::parse(wrong), None, "{wrong:?}");
        }
    }
}
