//! What is known already, and need not be reported again: our own baselines, and the files in which other scanners keep
//! theirs.
//!
//! A [`Baseline`] is our own file: keyed hashes of secrets, no plaintext. An [`Ignores`] is made of as many files as a
//! project has, ours and others', and says of each finding whether it is known, and of each entry whether it was of any
//! use.

mod detect_secrets;
mod foreign;
mod ignores;
mod kingfisher;
mod native;

pub use ignores::{IgnoreKind, Ignores, Unused};
pub use native::{Audited, Baseline, Change, Entry, Label, Scope};
use std::io::Write;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a file of known findings cannot be used.
#[derive(Debug, Error)]
pub enum BaselineError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// `line` is 0 where it is not known.
    #[error("{file}:{line}: {message}; {advice}")]
    Malformed { file: String, line: usize, message: String, advice: &'static str },
    #[error("{file}: {bytes} bytes are more than a baseline may have ({FILE_BYTES_MAX})")]
    TooLarge { file: String, bytes: u64 },
}

/// Files beyond this are not read.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// Reads a whole file of known findings, whatever kind it is of.
pub fn read(path: &Path) -> Result<String, BaselineError> {
    let failed = |source| BaselineError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(BaselineError::TooLarge { file: path.display().to_string(), bytes });
    }
    let text = std::fs::read(path).map_err(failed)?;
    String::from_utf8(text).map_err(|error| {
        let line = 1 + memchr::memchr_iter(b'\n', error.as_bytes()).count();
        BaselineError::Malformed {
            file: path.display().to_string(),
            line,
            message: "it is not UTF-8".to_owned(),
            advice: "save it as UTF-8, or take it from version control again",
        }
    })
}

/// Writes a file of known findings in place of what was there: a reader sees the old one or the new one. It is meant to
/// be committed, so it keeps the mode that it had; a new one can be read by everybody.
pub fn replace(path: &Path, text: &str) -> Result<(), BaselineError> {
    let failed = |source| BaselineError::Write { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".baseline-").tempfile_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    set_mode(file.as_file(), path).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn malformed_json(error: &serde_json::Error, name: &str, what: &str) -> BaselineError {
    // The message of a parser may repeat a value: only where it was is said.
    let problem = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "it does not have the fields of one",
        _ => "it is not JSON",
    };
    BaselineError::Malformed {
        file: name.to_owned(),
        line: error.line(),
        message: format!("this should be {what}, but {problem} (column {})", error.column()),
        advice: "make it anew with the tool that wrote it",
    }
}

#[cfg(unix)]
fn set_mode(file: &std::fs::File, path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode() & 0o777);
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &std::fs::File, _: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
