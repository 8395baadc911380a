//! A secret as it is stored. One row holds the metadata and, beside it, the payload of the current version, so that a
//! read is one look-up; older versions have rows of their own, with the payload alone.
//!
//! The row: a format byte, the length of the header (four bytes, big endian), the header in JSON, the payload as it was
//! written.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use strongroom_kernel::{Call, Error, Key, Mount, Table, Tx};
use strongroom_secret::{SecretBytes, Timestamp};

const SECRETS: Table = Table(2);
const VERSIONS: Table = Table(3);

const FORMAT: u8 = 1;
const PREFIX_BYTES: usize = 5;
/// Versions kept where neither the secret nor the mount says how many.
const VERSIONS_DEFAULT: u64 = 10;

/// All that is known of a secret but its payloads. Names are short: this is read with every read of the secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(rename = "c")]
    pub created: Timestamp,
    #[serde(rename = "u")]
    pub updated: Timestamp,
    /// The number of the first of `versions`; they follow one another without a gap, and the last is the current one.
    #[serde(rename = "f")]
    pub first: u64,
    #[serde(rename = "v")]
    pub versions: Vec<Version>,
    #[serde(rename = "s", skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
}

/// What is known of one version.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Version {
    #[serde(rename = "c")]
    pub created: Timestamp,
    /// From then on it is deleted. May lie ahead.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Timestamp>,
    /// It was deleted by a request: it stays so even if the clock is set back.
    #[serde(rename = "r", skip_serializing_if = "std::ops::Not::not")]
    pub is_deletion_asked: bool,
    #[serde(rename = "x", skip_serializing_if = "std::ops::Not::not")]
    pub is_destroyed: bool,
}

/// What `metadata/` sets for one secret. Zero and empty mean unset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    /// Counts the changes of these settings, for check-and-set on them.
    pub revision: u64,
    pub max_versions: u64,
    pub cas_required: bool,
    pub metadata_cas_required: bool,
    pub delete_version_after: Duration,
    pub custom_metadata: BTreeMap<String, String>,
    pub expires_at: Option<Timestamp>,
    /// How long before the end reads begin to warn.
    pub expire_notice: Duration,
}

impl Settings {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Header {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { created: now, updated: now, first: 1, ..Self::default() }
    }

    /// The newest version's number; zero for a secret that has none yet.
    pub(super) fn current(&self) -> u64 {
        (self.first + self.versions.len() as u64).saturating_sub(1)
    }

    pub(super) fn version(&self, number: u64) -> Option<&Version> {
        self.versions.get(self.position(number)?)
    }

    pub(super) fn version_mut(&mut self, number: u64) -> Option<&mut Version> {
        let position = self.position(number)?;
        self.versions.get_mut(position)
    }

    fn position(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Every kept version with its number, oldest first.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, &Version)> {
        (self.first..).zip(&self.versions)
    }

    /// How many versions are kept of this secret, on a mount that says `mount_max`.
    pub(super) fn versions_kept(&self, mount_max: u64) -> u64 {
        match (self.settings.max_versions, mount_max) {
            (0, 0) => VERSIONS_DEFAULT,
            (0, mount) => mount,
            (own, _) => own,
        }
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.settings.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether a version's payload is withheld: deleted, destroyed, or the secret's time is over.
    pub(super) fn is_withheld(&self, version: &Version, now: Timestamp) -> bool {
        version.is_destroyed || version.is_deleted(now) || self.is_expired(now)
    }
}

impl Version {
    pub(super) fn is_deleted(&self, now: Timestamp) -> bool {
        self.is_deletion_asked || self.deletion.is_some_and(|at| at <= now)
    }

    pub(super) fn delete(&mut self, now: Timestamp) {
        self.deletion = Some(now);
        self.is_deletion_asked = true;
    }

    pub(super) fn undelete(&mut self) {
        self.deletion = None;
        self.is_deletion_asked = false;
    }
}

/// A row that was read.
pub(super) struct Stored {
    pub header: Header,
    row: SecretBytes,
    payload_start: usize,
}

impl Stored {
    /// The current version's payload; empty where it was destroyed or never written.
    pub(super) fn payload(&self) -> &[u8] {
        self.row.expose().get(self.payload_start..).unwrap_or_default()
    }
}

/// Where the secrets of a mount are.
pub(super) fn table(tx: &Tx<'_>, mount: &Mount) -> Key {
    tx.table(mount.space(), SECRETS)
}

/// The place of the secret that the route names.
pub(super) fn key(call: &Call<'_>) -> Key {
    call.tx.path_key(&call.table(SECRETS), call.capture("path"))
}

/// The place of one older version of it.
pub(super) fn version_key(call: &Call<'_>, number: u64) -> Key {
    let versions = call.tx.path_key(&call.table(VERSIONS), call.capture("path"));
    // Versions are counted from one by ones, so that the first byte is zero, which no name's length is.
    call.tx.id_key(&versions, &number.to_be_bytes())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Option<Stored>, Error> {
    let key = key(call);
    call.tx.get(&key)?.map(decode).transpose()
}

fn decode(row: SecretBytes) -> Result<Stored, Error> {
    let damaged = || Error::internal("a secret's row has another form: a newer program wrote it");
    let bytes = row.expose();
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or_else(damaged)?;
    let [FORMAT, length @ ..] = *prefix else { return Err(damaged()) };
    let length = u32::from_be_bytes(length) as usize;
    let header = serde_json::from_slice(rest.get(..length).ok_or_else(damaged)?).map_err(|error| {
        Error::internal(format!("a secret's metadata cannot be read: {:?}", error.classify()))
    })?;
    Ok(Stored { header, payload_start: PREFIX_BYTES + length, row })
}

pub(super) fn write(call: &mut Call<'_>, header: &Header, payload: &[u8]) -> Result<(), Error> {
    let row = encode(header, payload)?;
    let key = key(call);
    call.tx.put(&key, row)
}

/// A row as it is stored.
pub(super) fn encode(header: &Header, payload: &[u8]) -> Result<Vec<u8>, Error> {
    let text = serde_json::to_vec(header).map_err(|error| {
        Error::internal(format!("a secret's metadata cannot be written: {:?}", error.classify()))
    })?;
    let length =
        u32::try_from(text.len()).map_err(|_| Error::invalid("the secret's metadata is too large"))?;
    let mut row = Vec::with_capacity(PREFIX_BYTES + text.len() + payload.len());
    row.push(FORMAT);
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(&text);
    row.extend_from_slice(payload);
    Ok(row)
}

/// The payload of any kept version.
pub(super) fn payload_of(call: &mut Call<'_>, stored: &Stored, number: u64) -> Result<SecretBytes, Error> {
    if number == stored.header.current() {
        return Ok(stored.payload().to_vec().into());
    }
    let key = version_key(call, number);
    call.tx.get(&key)?.ok_or_else(|| Error::internal(format!("version {number} of a secret has no payload")))
}

/// The folder that the route names, for lists.
pub(super) fn folder(call: &Call<'_>) -> Key {
    key(call)
}
