//! Secrets as files: without a name, in memory, inherited by the program; or of mode 0600 in a folder that goes with it.

use crate::failure::Failure;
use clap::Args;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use strongroom_secret::SecretBytes;
use tempfile::TempDir;

#[derive(Args)]
pub struct KeepFolderArgs {
    pub folder: PathBuf,
}

/// The files of one program. Dropping this ends them.
pub enum SecretFiles {
    /// By name; each is what its number in our process stands for.
    Memory(BTreeMap<String, OwnedFd>),
    Folder {
        folder: TempDir,
        /// Ends by itself when we do, however we do.
        keeper: Child,
    },
}

impl SecretFiles {
    pub fn in_memory() -> Self {
        Self::Memory(BTreeMap::new())
    }

    /// In `parent`, which should be in memory: `$XDG_RUNTIME_DIR`.
    pub fn in_folder(parent: PathBuf) -> Result<Self, Failure> {
        let failed = |error| Failure::other(format!("cannot make a folder in {}: {error}", parent.display()));
        let folder = private_folder(&parent).map_err(failed)?;
        let keeper = start_keeper(folder.path()).map_err(|error| {
            Failure::other(format!("cannot make sure that {} goes away: {error}", folder.path().display()))
        })?;
        Ok(Self::Folder { folder, keeper })
    }

    /// Adds a file and says where the program finds it.
    pub fn add(&mut self, name: &str, value: &SecretBytes) -> Result<OsString, Failure> {
        let failed = |error| Failure::other(format!("cannot make a file for {name}: {error}"));
        match self {
            Self::Memory(open) => {
                let file = in_memory(name, value).map_err(failed)?;
                // Through our process, so that programs that ours starts find it too. After execve this is the program.
                let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                open.insert(name.to_owned(), file);
                Ok(path.into())
            }
            Self::Folder { folder, .. } => {
                let path = folder.path().join(name);
                write_whole(folder.path(), &path, value).map_err(failed)?;
                Ok(path.into_os_string())
            }
        }
    }

    /// Another value at the path that the program knows. What it has open already stays as it was.
    pub fn replace(&mut self, name: &str, value: &SecretBytes) -> Result<(), Failure> {
        let failed = |error| Failure::other(format!("cannot change the file for {name}: {error}"));
        match self {
            Self::Memory(open) => match open.get_mut(name) {
                Some(file) => {
                    let newer = in_memory(name, value).map_err(failed)?;
                    rustix::io::dup2(&newer, file).map_err(|error| failed(error.into()))
                }
                None => Ok(()),
            },
            Self::Folder { folder, .. } => {
                write_whole(folder.path(), &folder.path().join(name), value).map_err(failed)
            }
        }
    }
}

/// A new folder that is its owner's alone, whatever the umask says.
pub fn private_folder(parent: &Path) -> std::io::Result<TempDir> {
    let mode = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("strongroom-").permissions(mode).tempdir_in(parent)
}

impl Drop for SecretFiles {
    fn drop(&mut self) {
        if let Self::Folder { keeper, .. } = self {
            // Its standard input ends with this; the folder is gone when it has ended.
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// Not closed on execve, and sealed: nobody changes it any more.
fn in_memory(name: &str, value: &SecretBytes) -> std::io::Result<OwnedFd> {
    let descriptor = memfd_create(name, MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(descriptor);
    file.write_all(value.expose())?;
    let descriptor = OwnedFd::from(file);
    fcntl_add_seals(&descriptor, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(descriptor)
}

/// A whole file of mode 0600 in place of the one before.
fn write_whole(folder: &Path, path: &Path, value: &SecretBytes) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new().tempfile_in(folder)?;
    file.write_all(value.expose())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// The word by which our binary becomes the keeper of a folder.
const KEEPER: &str = "keep-folder";

/// A process that removes the folder when ours is gone, be it by SIGKILL. Signals from the terminal do not reach it.
fn start_keeper(folder: &Path) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("strongroom").arg(KEEPER).arg(folder).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// What the keeper does: it waits for the end of its standard input, and removes the folder.
pub fn keep(folder: &Path) -> ExitCode {
    let mut rest = [0; 64];
    while std::io::stdin().read(&mut rest).is_ok_and(|length| length > 0) {}
    let is_ours = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("strongroom-"));
    if is_ours {
        let _ = std::fs::remove_dir_all(folder);
    }
    ExitCode::SUCCESS
}
