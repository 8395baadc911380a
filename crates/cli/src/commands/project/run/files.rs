//! Secrets as files: without a name, in memory, inherited by the program; or of mode 0600 in a folder that goes with it.

use crate::failure::Failure;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use strongroom_secret::SecretBytes;
use tempfile::TempDir;

/// The files of one program. Dropping this ends them.
pub enum SecretFiles {
    Memory(Vec<OwnedFd>),
    Folder(TempDir),
}

impl SecretFiles {
    pub fn in_memory() -> Self {
        Self::Memory(Vec::new())
    }

    /// In `parent`, which should be in memory: `$XDG_RUNTIME_DIR`.
    pub fn in_folder(parent: PathBuf) -> Result<Self, Failure> {
        let failed = |error| Failure::other(format!("cannot make a folder in {}: {error}", parent.display()));
        let folder = tempfile::Builder::new().prefix("strongroom-").tempdir_in(&parent).map_err(failed)?;
        Ok(Self::Folder(folder))
    }

    /// Adds a file and says where the program finds it.
    pub fn add(&mut self, name: &str, value: &SecretBytes) -> Result<OsString, Failure> {
        let failed =
            |error: std::io::Error| Failure::other(format!("cannot make a file for {name}: {error}"));
        match self {
            Self::Memory(open) => {
                let file = in_memory(name, value).map_err(failed)?;
                // Through our process, so that programs that ours starts find it too. After execve this is the program.
                let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                open.push(file);
                Ok(path.into())
            }
            Self::Folder(folder) => {
                let path = folder.path().join(name);
                let mut file = tempfile::Builder::new().tempfile_in(folder.path()).map_err(failed)?;
                file.write_all(value.expose()).map_err(failed)?;
                file.persist(&path).map_err(|error| failed(error.error))?;
                Ok(path.into_os_string())
            }
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
