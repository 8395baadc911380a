//! A secret as it is stored. One row holds the metadata and, beside it, the payload of the current version, so that a
//! read is one look-up. The payloads of older versions follow it where all that are kept will fit: a write of a small
//! secret is then a change of one row. Otherwise they have rows of their own, with the payload alone.
//!
//! The row: a format byte, the length of the header (four bytes, big endian), the header in JSON, the payload of the
//! current version as it was written, and the payloads of the versions before it, oldest first. Format 1 has none of the
//! last.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use strongroom_kernel::{Call, Error, Key, Mount, Table, Tx};
use strongroom_secret::{SecretBytes, Timestamp};

const SECRETS: Table = Table(2);
const VERSIONS: Table = Table(3);

const FORMAT: u8 = 1;
/// With payloads of older versions.
const FORMAT_WITH_OLDER: u8 = 2;
const PREFIX_BYTES: usize = 5;
/// A row with older payloads in it has up to this many bytes, with its key. What is longer by little more than what
/// encryption adds would take the embedded store a second page.
const ROW_BYTES_MAX: usize = 1920;
/// About what a header says beside its versions and settings, in bytes.
const HEADER_BYTES: usize = 80;
/// About what a header says of one version.
const VERSION_BYTES: usize = 32;
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
    /// The lengths of the payloads beside the current one: those of the versions just before it, oldest first.
    #[serde(rename = "o", skip_serializing_if = "Vec::is_empty")]
    older: Vec<u32>,
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

    /// About what they take in a header.
    fn bytes(&self) -> usize {
        const NAMES: usize = 256;
        let custom: usize = self.custom_metadata.iter().map(|(key, value)| key.len() + value.len() + 6).sum();
        if self.is_empty() { 0 } else { NAMES + custom }
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
    older_start: usize,
}

impl Stored {
    /// The current version's payload; empty where it was destroyed or never written.
    pub(super) fn payload(&self) -> &[u8] {
        self.row.expose().get(self.payload_start..self.older_start).unwrap_or_default()
    }

    /// Where in the row the payloads of versions before the current one are, with their numbers, oldest first.
    fn older(&self) -> impl Iterator<Item = (u64, Range<usize>)> {
        let first = self.header.current().saturating_sub(self.header.older.len() as u64);
        let mut start = self.older_start;
        (first..).zip(&self.header.older).map(move |(number, length)| {
            let range = start..start.saturating_add(*length as usize);
            start = range.end;
            (number, range)
        })
    }
}

/// A secret about to be written: its header, and the payloads that go into its row.
pub(super) struct Draft {
    pub header: Header,
    /// The row as it was read.
    before: SecretBytes,
    payload: Payload,
    /// Where in `before` the older payloads are, with their numbers, which lead up to the current one without a gap.
    older: Vec<(u64, Range<usize>)>,
}

/// The current version's payload.
enum Payload {
    New(SecretBytes),
    /// In the row as it was read.
    AsBefore(Range<usize>),
}

impl Draft {
    /// A secret that is not there yet, and has no versions.
    pub(super) fn new(now: Timestamp) -> Self {
        let before = SecretBytes::new(Vec::new());
        Self { header: Header::new(now), before, payload: Payload::AsBefore(0..0), older: Vec::new() }
    }

    /// A secret as it was read, to be changed.
    pub(super) fn of(stored: Stored) -> Self {
        let older = stored.older().collect();
        let Stored { header, row, payload_start, older_start } = stored;
        Self { header, before: row, payload: Payload::AsBefore(payload_start..older_start), older }
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.before.expose().get(range.clone()).unwrap_or_default()
    }

    fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::New(payload) => payload.expose(),
            Payload::AsBefore(range) => self.bytes(range),
        }
    }

    /// Makes `payload` the new current version, of which `kept` are kept in all, and puts the one before it aside.
    /// Called once.
    pub(super) fn push(
        &mut self,
        call: &mut Call<'_>,
        version: Version,
        payload: SecretBytes,
        kept: u64,
    ) -> Result<(), Error> {
        let previous = self.header.current();
        let before = std::mem::replace(&mut self.payload, Payload::New(payload));
        self.header.versions.push(version);
        if let (Payload::AsBefore(range), 1..) = (before, previous) {
            self.older.push((previous, range));
        }
        while self.header.versions.len() as u64 > kept {
            let dropped = self.header.first;
            let is_destroyed = self.header.version(dropped).is_none_or(|version| version.is_destroyed);
            if self.older.first().is_some_and(|(number, _)| *number == dropped) {
                self.older.remove(0);
            } else if !is_destroyed {
                delete_payload(call, dropped)?;
            }
            self.header.versions.remove(0);
            self.header.first += 1;
        }
        if !self.has_room(call, kept) {
            self.move_out(call)?;
        }
        Ok(())
    }

    /// Whether all versions that are kept will fit in the row, if the next ones are as long as the longest in it.
    fn has_room(&self, call: &Call<'_>, kept: u64) -> bool {
        let lengths = self.older.iter().map(|(_, range)| range.len());
        let longest = lengths.fold(self.payload().len(), usize::max);
        let versions = usize::try_from(kept).unwrap_or(usize::MAX);
        let each = longest.saturating_add(VERSION_BYTES);
        let head = key(call).as_bytes().len() + HEADER_BYTES + self.header.settings.bytes();
        versions.saturating_mul(each).saturating_add(head) <= ROW_BYTES_MAX
    }

    /// Gives the older payloads rows of their own.
    fn move_out(&mut self, call: &mut Call<'_>) -> Result<(), Error> {
        for (number, range) in std::mem::take(&mut self.older) {
            if !range.is_empty() {
                let key = version_key(call, number);
                call.tx.put(&key, self.bytes(&range).to_vec())?;
            }
        }
        Ok(())
    }

    /// Removes the payload of a version for ever.
    pub(super) fn destroy(&mut self, call: &mut Call<'_>, number: u64) -> Result<(), Error> {
        if number == self.header.current() {
            self.payload = Payload::AsBefore(0..0);
        } else if let Some((_, range)) = self.older.iter_mut().find(|(inside, _)| *inside == number) {
            *range = 0..0;
        } else {
            delete_payload(call, number)?;
        }
        Ok(())
    }

    pub(super) fn write(mut self, call: &mut Call<'_>) -> Result<(), Error> {
        let lengths: Result<Vec<u32>, _> =
            self.older.iter().map(|(_, range)| u32::try_from(range.len())).collect();
        self.header.older = lengths.map_err(|_| Error::internal("a payload is too long for its row"))?;
        let older: Vec<&[u8]> = self.older.iter().map(|(_, range)| self.bytes(range)).collect();
        let row = encode(&self.header, self.payload(), &older)?;
        let key = key(call);
        call.tx.put(&key, row)
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

/// The place of one older version of it, where it has a row of its own.
fn version_key(call: &Call<'_>, number: u64) -> Key {
    version_key_at(&call.tx, &call.mount, call.capture("path"), number)
}

fn version_key_at(tx: &Tx<'_>, mount: &Mount, path: &str, number: u64) -> Key {
    let versions = tx.path_key(&tx.table(mount.space(), VERSIONS), path);
    // Versions are counted from one by ones, so that the first byte is zero, which no name's length is.
    tx.id_key(&versions, &number.to_be_bytes())
}

fn delete_payload(call: &mut Call<'_>, number: u64) -> Result<(), Error> {
    let key = version_key(call, number);
    call.tx.delete(&key)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Option<Stored>, Error> {
    let key = key(call);
    call.tx.get(&key)?.map(decode).transpose()
}

/// The same, of any secret of a mount.
pub(super) fn read_at(tx: &mut Tx<'_>, mount: &Mount, path: &str) -> Result<Option<Stored>, Error> {
    let key = tx.path_key(&table(tx, mount), path);
    tx.get(&key)?.map(decode).transpose()
}

pub(super) fn decode(row: SecretBytes) -> Result<Stored, Error> {
    let damaged = || Error::internal("a secret's row has another form: a newer program wrote it");
    let bytes = row.expose();
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or_else(damaged)?;
    let [FORMAT | FORMAT_WITH_OLDER, length @ ..] = *prefix else { return Err(damaged()) };
    let length = u32::from_be_bytes(length) as usize;
    let (text, payloads) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let header: Header = serde_json::from_slice(text).map_err(|error| {
        Error::internal(format!("a secret's metadata cannot be read: {:?}", error.classify()))
    })?;
    let older: usize = header.older.iter().map(|length| *length as usize).sum();
    let is_whole = header.older.len() as u64 <= header.current().saturating_sub(1);
    let payload = payloads.len().checked_sub(older).filter(|_| is_whole).ok_or_else(damaged)?;
    let payload_start = PREFIX_BYTES + length;
    Ok(Stored { header, payload_start, older_start: payload_start + payload, row })
}

/// The row of a secret with one version.
pub(super) fn encode_first(header: &Header, payload: &[u8]) -> Result<Vec<u8>, Error> {
    encode(header, payload, &[])
}

/// A row as it is stored.
fn encode(header: &Header, payload: &[u8], older: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let text = serde_json::to_vec(header).map_err(|error| {
        Error::internal(format!("a secret's metadata cannot be written: {:?}", error.classify()))
    })?;
    let length =
        u32::try_from(text.len()).map_err(|_| Error::invalid("the secret's metadata is too large"))?;
    let older_bytes: usize = older.iter().map(|payload| payload.len()).sum();
    let mut row = Vec::with_capacity(PREFIX_BYTES + text.len() + payload.len() + older_bytes);
    row.push(if older.is_empty() { FORMAT } else { FORMAT_WITH_OLDER });
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(&text);
    row.extend_from_slice(payload);
    older.iter().for_each(|payload| row.extend_from_slice(payload));
    Ok(row)
}

/// The payload of any kept version.
pub(super) fn payload_of(call: &mut Call<'_>, stored: &Stored, number: u64) -> Result<SecretBytes, Error> {
    let (mount, path) = (call.mount.clone(), call.capture("path").to_owned());
    payload_at(&mut call.tx, &mount, &path, stored, number)
}

/// The same, of any secret of a mount.
pub(super) fn payload_at(
    tx: &mut Tx<'_>,
    mount: &Mount,
    path: &str,
    stored: &Stored,
    number: u64,
) -> Result<SecretBytes, Error> {
    if number == stored.header.current() {
        return Ok(stored.payload().to_vec().into());
    }
    if let Some((_, range)) = stored.older().find(|(inside, _)| *inside == number) {
        return Ok(stored.row.expose().get(range).unwrap_or_default().to_vec().into());
    }
    let key = version_key_at(tx, mount, path, number);
    tx.get(&key)?.ok_or_else(|| Error::internal(format!("version {number} of a secret has no payload")))
}

/// Removes a secret with all its versions.
pub(super) fn remove(call: &mut Call<'_>, stored: &Stored) -> Result<(), Error> {
    let header = &stored.header;
    let inside = header.current().saturating_sub(header.older.len() as u64);
    let outside: Vec<u64> = header
        .numbered()
        .filter(|(number, version)| *number < inside && !version.is_destroyed)
        .map(|(number, _)| number)
        .collect();
    for number in outside {
        delete_payload(call, number)?;
    }
    let key = key(call);
    call.tx.delete(&key)
}

/// The folder that the route names, for lists.
pub(super) fn folder(call: &Call<'_>) -> Key {
    key(call)
}
