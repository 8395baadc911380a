use crate::git;
use gix_hash::ObjectId;
use std::io;
use std::path::{Path, PathBuf};

/// Why a purge did not take place, or not to its end. Nothing was changed then, unless the text says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Git(#[from] git::Error),
    /// `--force` helps if `forceable`.
    #[error("{what}")]
    Refused { what: String, hint: String, forceable: bool },
    #[error("object {id} cannot be read: {what}")]
    Object { id: String, what: String },
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("git {command} failed: {message}")]
    GitCommand { command: String, message: String },
    #[error("{path} cannot be removed: {source}")]
    Remove { path: PathBuf, source: io::Error },
    #[error("it was ended before anything was changed")]
    Cancelled,
    /// References have moved; what comes after that was not done, or not all of it.
    #[error("all references are new, but {step} failed, and the old objects are still there: {source}")]
    Unfinished { step: &'static str, source: Box<Error> },
}

impl Error {
    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn remove(path: &Path, source: io::Error) -> Self {
        Self::Remove { path: path.to_owned(), source }
    }

    /// What fails once references have moved.
    pub(super) fn after_moving(step: &'static str) -> impl Fn(Self) -> Self {
        move |source| Self::Unfinished { step, source: Box::new(source) }
    }

    pub(super) fn object(id: &ObjectId, what: impl ToString) -> Self {
        Self::Object { id: id.to_string(), what: what.to_string() }
    }

    pub(super) fn refused(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), hint: hint.into(), forceable: false }
    }

    pub(super) fn unless_forced(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), hint: hint.into(), forceable: true }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } if !hint.is_empty() => Some(hint),
            Self::Write { source, .. } if is_full(source) => {
                Some("make room on the disk and start again: the repository is as it was")
            }
            Self::Unfinished { .. } => Some(
                "mend that and run the same purge again: it goes on from there; strongroom purge --undo goes back to \
                 what was before",
            ),
            Self::Object { .. } => {
                Some("git fsck --full says what else is damaged; restore the object from another clone first")
            }
            _ => None,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
