use super::inflate::InflateError;
use std::io;
use std::path::PathBuf;

/// Why a scan of a repository could not begin or go on. What is only left out is in `Statistics::skipped` instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} is not in a git repository: no .git was found there or in a folder above it")]
    NotARepository { path: PathBuf },
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is damaged: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error("the repository uses {what}, which is not known here")]
    Unsupported { what: String },
    #[error("{text:?} names no commit of this repository{hint}")]
    UnknownRevision { text: String, hint: &'static str },
    #[error("git could not be run: {source}; this way of scanning needs the git command")]
    GitNotRun { source: io::Error },
    #[error("git failed: {message}")]
    GitFailed { message: String },
    #[error("line {line} of the hook's input is not what git writes there")]
    HookLine { line: usize },
    #[error("{path} cannot be written: {source}")]
    Unwritable { path: PathBuf, source: io::Error },
}

/// Why one object could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ObjectError {
    #[error("{0}")]
    Corrupt(&'static str),
    #[error("it is not here")]
    Missing,
    #[error("its size is {0}")]
    TooLarge(u64),
    #[error("it stands at the end of more deltas than are followed")]
    TooDeep,
    #[error("it cannot be read: {0}")]
    Unreadable(io::ErrorKind),
}

impl From<InflateError> for ObjectError {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::Damaged => Self::Corrupt("its compressed bytes are damaged"),
            InflateError::OtherSize => Self::Corrupt("its size is not what it says"),
        }
    }
}

impl From<super::delta::DeltaError> for ObjectError {
    fn from(_: super::delta::DeltaError) -> Self {
        Self::Corrupt("its delta does not fit")
    }
}
