//! What goes wrong with a SOPS file, and how it is told to a person.

use super::config::ConfigError;
use super::recipients::RecipientError;
use crate::files::FileError;
use std::path::PathBuf;
use strongroom_formats::sops::{
    DataKeyError, EditError, EncryptError, MasterKey, MetadataError, OpenError, Refusal, SourceError,
};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum SopsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The data key could not be unwrapped; the keys of the file are in the error.
    #[error(transparent)]
    DataKey(#[from] DataKeyError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    #[error("no keys: there is no .sops.yaml with creation rules, and none are given")]
    NoKeys { looked_from: PathBuf },
    #[error("{0}")]
    Other(String),
}

impl SopsError {
    pub fn is_not_encrypted(&self) -> bool {
        matches!(self, Self::Source(SourceError::Metadata(MetadataError::Missing)))
    }

    pub fn is_already_encrypted(&self) -> bool {
        matches!(self, Self::Source(SourceError::Reserved(_)))
    }

    /// What was tried and why it did not work, a line each.
    pub fn details(&self) -> Vec<String> {
        let Self::DataKey(DataKeyError::Refused { refusals, .. }) = self else { return Vec::new() };
        let several = refusals.len() > 1;
        let mut lines = Vec::new();
        for (number, group) in refusals.iter().enumerate() {
            for Refusal { key, reason } in group {
                let group = if several { format!("group {}: ", number + 1) } else { String::new() };
                lines.push(format!(
                    "{group}{} {}: {}",
                    key.recipient.kind().name(),
                    key.recipient,
                    one_line(reason)
                ));
            }
        }
        lines
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DataKey(DataKeyError::Refused { refusals, .. }) => Some(key_hint(refusals)),
            Self::Open(OpenError::MacMismatch { .. } | OpenError::MacUnreadable(_)) => Some(
                "values were changed without the data key, or a merge put two versions together: restore the file; \
                 --ignore-mac reads it all the same"
                    .to_owned(),
            ),
            Self::Open(OpenError::Value(_)) => Some(
                "restore the value, or the file, from its last good version; strongroom sops set or edit is how values are changed"
                    .to_owned(),
            ),
            Self::Source(SourceError::Metadata(MetadataError::NoField(_))) => {
                Some("a part of the metadata is gone: was the file cut short? restore it".to_owned())
            }
            Self::Open(OpenError::Seal) => Some(
                "compare the file with its last good version: who were its recipients? --ignore-mac reads it all the same; \
                 rotate its secrets if a stranger was among them"
                    .to_owned(),
            ),
            Self::Source(SourceError::Reserved(_)) => {
                Some("to change an encrypted file: strongroom sops edit FILE; if it is none, rename that key".to_owned())
            }
            Self::Source(SourceError::Metadata(MetadataError::Missing)) => {
                Some("to encrypt it: strongroom sops encrypt -i FILE".to_owned())
            }
            Self::Config(ConfigError::NoRule { path, file }) => {
                Some(format!("no path_regex in {} matches {}", path.display(), file.display()))
            }
            Self::NoKeys { looked_from } => Some(format!(
                "name them with --age, --pgp, … or in a .sops.yaml in {} or above it",
                looked_from.display()
            )),
            _ => None,
        }
    }
}

/// Which keys would do.
fn key_hint(refusals: &[Vec<Refusal>]) -> String {
    let keys: Vec<&MasterKey> = refusals.iter().flatten().map(|refusal| &refusal.key).collect();
    let mut names: Vec<String> = keys.iter().map(|key| key.recipient.to_string()).collect();
    names.dedup();
    let who = match names.as_slice() {
        [one] => format!("the file opens with the key of {one}"),
        several => format!("the file opens with the key of any of: {}", several.join(", ")),
    };
    let age = keys.iter().any(|key| matches!(key.recipient, strongroom_formats::sops::Recipient::Age(_)));
    if age {
        format!(
            "{who}; put the age identity into ~/.config/sops/age/keys.txt or name its file in SOPS_AGE_KEY_FILE"
        )
    } else {
        who
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
