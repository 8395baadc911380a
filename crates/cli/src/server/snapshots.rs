//! Snapshots on a schedule: written beside the server, verified, and the oldest removed.

use super::config::SnapshotConfig;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use strongroom_kernel::Kernel;
use strongroom_storage::archive;

const PREFIX: &str = "strongroom-";
const SUFFIX: &str = ".snapshot";

/// The thread that takes snapshots. It ends when what is returned is dropped.
pub fn start(kernel: Arc<Kernel>, config: SnapshotConfig) -> Sender<()> {
    let (stop, stopped) = channel();
    let work = move || {
        while stopped.recv_timeout(config.interval) == Err(RecvTimeoutError::Timeout) {
            match take(&kernel, &config.folder) {
                Ok(Some(path)) => {
                    tracing::info!(path = %path.display(), "a snapshot was taken");
                    remove_old(&config);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, folder = %config.folder.display(), "no snapshot was taken")
                }
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("snapshots".to_owned()).spawn(work) {
        tracing::error!(%error, "the snapshot thread cannot be started");
    }
    stop
}

/// Writes one, and reads it back before it counts. None: there is nothing to keep yet.
fn take(kernel: &Kernel, folder: &Path) -> io::Result<Option<PathBuf>> {
    if !kernel.is_initialized().unwrap_or(false) {
        return Ok(None);
    }
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{PREFIX}{}{SUFFIX}", kernel.now().rfc3339().replace(':', "")));
    let mut file = tempfile::Builder::new().prefix(".snapshot-").tempfile_in(folder)?;
    kernel.write_snapshot(file.as_file_mut()).map_err(|error| io::Error::other(error.to_string()))?;
    file.flush()?;
    file.as_file().sync_all()?;
    archive::verify(&mut File::open(file.path())?).map_err(io::Error::other)?;
    file.persist(&path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(Some(path))
}

/// Their names sort by their age.
fn remove_old(config: &SnapshotConfig) {
    let Ok(entries) = fs::read_dir(&config.folder) else { return };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(PREFIX) && name.ends_with(SUFFIX)
        })
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(config.keep);
    for path in files.into_iter().take(surplus) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "an old snapshot stays");
        }
    }
}
