//! An index as a file: one JSON document with a version. It holds the scan key: keep it as a secret all the same, for it says
//! which values are in use.

use super::{Entry, Form, Index, KnownSecret, ScanKey, ServerIndex};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use strongroom_fingerprint::{Fingerprint, Head, TAG_BYTES, Tag};
use strongroom_secret::SecretBytes;

/// A larger file is none of ours: 64 MiB are a quarter of a million entries.
pub const BYTES_MAX: u64 = 64 << 20;
const VERSION: u32 = 1;
const SECRETS_MAX: usize = 250_000;
const ENTRIES_MAX: usize = 500_000;

/// Why a file is no index.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("it is larger than {BYTES_MAX} bytes")]
    TooLarge,
    #[error("it is not an index of fingerprints: line {line}, column {column}")]
    Syntax { line: usize, column: usize },
    #[error(
        "it is of version {0}, and this program reads version {VERSION}: export it anew, or use a newer program"
    )]
    Version(u32),
    #[error("it has more entries than {ENTRIES_MAX}")]
    TooMany,
    #[error("entry {0} cannot be: {1}")]
    Entry(usize, &'static str),
}

/// What every version begins with.
#[derive(Deserialize)]
struct Envelope {
    strongroom_fingerprints: u32,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    strongroom_fingerprints: u32,
    scan_key: String,
    secrets: Vec<StoredSecret>,
    entries: Vec<StoredEntry>,
}

#[derive(Serialize, Deserialize)]
struct StoredSecret {
    id: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    origin: String,
}

/// Secret, form, length, classes, letters and digits at the start, the byte after them, filter, tag.
#[derive(Serialize, Deserialize)]
struct StoredEntry(u32, String, u32, u8, u32, Option<u8>, String, String);

impl Index {
    /// The file's bytes. They hold the scan key.
    pub fn to_bytes(&self) -> SecretBytes {
        let secrets = self.secrets.iter().map(|secret| StoredSecret {
            id: secret.id.clone(),
            name: secret.name.clone(),
            version: secret.version.clone(),
            origin: secret.origin.clone(),
        });
        let entries = self.entries.iter().map(|entry| {
            let Fingerprint { form, length, classes, head: Head { run, next }, filter, tag } = &entry.print;
            let filter = HEXLOWER.encode(&filter.to_be_bytes());
            let (form, tag) = (form.word().to_owned(), HEXLOWER.encode(tag));
            StoredEntry(entry.secret, form, *length, *classes, *run, *next, filter, tag)
        });
        let stored = Stored {
            strongroom_fingerprints: VERSION,
            scan_key: HEXLOWER.encode(self.key.bytes().expose()),
            secrets: secrets.collect(),
            entries: entries.collect(),
        };
        // Strings and numbers: nothing in it cannot be written.
        SecretBytes::new(serde_json::to_vec(&stored).unwrap_or_default())
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        if bytes.len() as u64 > BYTES_MAX {
            return Err(FileError::TooLarge);
        }
        if version(bytes)? == super::server::VERSION {
            return ServerIndex::from_bytes(bytes)?.to_index();
        }
        check_version(bytes, VERSION)?;
        let stored: Stored = serde_json::from_slice(bytes).map_err(syntax)?;
        if stored.entries.len() > ENTRIES_MAX || stored.secrets.len() > SECRETS_MAX {
            return Err(FileError::TooMany);
        }
        let key = HEXLOWER.decode(stored.scan_key.as_bytes()).ok().filter(|key| key.len() == 32);
        let key = key.ok_or(FileError::Entry(0, "the scan key is not 32 bytes in hex"))?;
        let key = ScanKey::new(SecretBytes::new(key));
        let secrets: Vec<_> = stored.secrets.into_iter().map(StoredSecret::read).collect();
        let entries = stored.entries.into_iter().enumerate().map(|(number, entry)| {
            entry.read(secrets.len()).map_err(|problem| FileError::Entry(number + 1, problem))
        });
        let entries = entries.collect::<Result<_, _>>()?;
        Ok(Self { key, tag_bytes: TAG_BYTES, secrets, entries, server: None })
    }
}

fn syntax(error: serde_json::Error) -> FileError {
    FileError::Syntax { line: error.line(), column: error.column() }
}

fn version(bytes: &[u8]) -> Result<u32, FileError> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(syntax)?;
    Ok(envelope.strongroom_fingerprints)
}

/// Refuses what is too large, or of another version.
pub(super) fn check_version(bytes: &[u8], wanted: u32) -> Result<(), FileError> {
    if bytes.len() as u64 > BYTES_MAX {
        return Err(FileError::TooLarge);
    }
    match version(bytes)? {
        version if version == wanted => Ok(()),
        other => Err(FileError::Version(other)),
    }
}

impl StoredSecret {
    fn read(self) -> KnownSecret {
        KnownSecret { id: self.id, name: self.name, version: self.version, origin: self.origin }
    }
}

impl StoredEntry {
    fn read(self, secrets: usize) -> Result<Entry, &'static str> {
        let Self(secret, form, length, classes, run, next, filter, tag) = self;
        if secret as usize >= secrets {
            return Err("it is of no secret");
        }
        let filter = HEXLOWER.decode(filter.as_bytes()).map_err(|_| "its filter is not hex")?;
        let tag = HEXLOWER.decode(tag.as_bytes()).map_err(|_| "its tag is not hex")?;
        let print = Fingerprint {
            form: Form::by_word(&form).ok_or("its form")?,
            length,
            classes,
            head: Head { run, next },
            filter: u32::from_be_bytes(filter.try_into().map_err(|_| "its filter is not 4 bytes")?),
            tag: Tag::try_from(tag).map_err(|_| "its tag is not 16 bytes")?,
        };
        Ok(Entry { secret, print: print.checked().map_err(|error| error.0)? })
    }
}
