//! The rows of a mount's index. A key is the time of the version (milliseconds, six bytes, big endian) and a keyed hash of
//! path and version; a row is a byte of format, the version (eight bytes), in the second format since when the value is gone (as the
//! time in a key), the path, and for each text its name and its fingerprints, packed. Lengths and counts are two bytes, big endian.

use super::leaves;
use crate::error::Error;
use crate::mounts::Mount;
use crate::transaction::{Key, Table, Tx};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_fingerprint::{Fingerprint, Form, PACKED_BYTES, ScanKey, TAG_BYTES, Tag, fingerprints};
use strongroom_secret::Timestamp;

/// In the mount's own space, beside the engine's own tables.
pub(super) const ROWS: Table = Table(254);
const FORMAT: u8 = 1;
/// Of a value that is gone.
const FORMAT_GONE: u8 = 2;
/// What stands before the path, or before the time in the second format.
const HEAD_BYTES: usize = 9;
/// A request may be committed this long after its time.
pub(super) const LATE: Duration = Duration::from_secs(120);
/// Fingerprints of one version.
const FINGERPRINTS_MAX: usize = 1024;
/// What follows the table in a key.
pub(super) const ID_BYTES: usize = TIME_BYTES + 8;
const TIME_BYTES: usize = 6;

/// A row to be stored.
pub(super) struct MadeRow {
    pub bytes: Vec<u8>,
    place: [u8; 8],
}

/// A row that was read.
pub(super) struct Row<'r> {
    pub version: u64,
    /// When it was first seen that the value is gone.
    pub gone_since: Option<Timestamp>,
    pub path: &'r str,
    leaves: &'r [u8],
}

/// The fingerprints of one text.
pub(super) struct Leaf<'r> {
    pub name: &'r str,
    packed: &'r [u8],
}

/// The row of a version; None where nothing in it can have fingerprints.
pub(super) fn made(key: &ScanKey, path: &str, version: u64, payload: &[u8]) -> Option<MadeRow> {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&version.to_be_bytes());
    push_text(&mut bytes, path)?;
    let before = bytes.len();
    let (mut left, mut first) = (FINGERPRINTS_MAX, None);
    let mut seen = HashSet::new();
    leaves::visit(payload, &mut |name, text| {
        let Ok(mut prints) = fingerprints(key, text.as_bytes()) else { return };
        prints.truncate(left);
        let Some(whole) = prints.first().map(|print| print.tag) else { return };
        // A text may stand in a document more than once, under different names, but not twice under one.
        if !seen.insert((name.to_owned(), whole)) || push_text(&mut bytes, name).is_none() {
            return;
        }
        first.get_or_insert(whole);
        left -= prints.len();
        bytes.extend_from_slice(&u16::try_from(prints.len()).unwrap_or(u16::MAX).to_be_bytes());
        prints.iter().for_each(|print| print.pack(TAG_BYTES, &mut bytes));
    });
    let first = first.filter(|_| bytes.len() > before)?;
    let named = [path.as_bytes(), b"\0", &version.to_be_bytes(), &first].concat();
    let place = key.id(b"row", &named).first_chunk().copied().unwrap_or_default();
    Some(MadeRow { bytes, place })
}

fn push_text(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    bytes.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Some(())
}

pub(super) fn table(tx: &Tx<'_>, mount: &Mount) -> Key {
    tx.table(mount.space(), ROWS)
}

/// The first bytes of the ids of rows of a time. Times before 1970 sort as the first.
pub(super) fn time_id(time: Timestamp) -> [u8; TIME_BYTES] {
    let milliseconds = u64::try_from(time.nanoseconds() / 1_000_000).unwrap_or(0);
    milliseconds.to_be_bytes().last_chunk().copied().unwrap_or_default()
}

/// The time of an id, to the millisecond.
pub(super) fn time_of(id: &[u8]) -> Timestamp {
    let milliseconds = id.iter().take(TIME_BYTES).fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
    Timestamp::from_nanoseconds(milliseconds.saturating_mul(1_000_000))
}

pub(super) fn key(tx: &Tx<'_>, mount: &Mount, created: Timestamp, row: &MadeRow) -> Key {
    let id = [&time_id(created)[..], &row.place].concat();
    tx.id_key(&table(tx, mount), &id)
}

/// Up to here rows are as they stay: later ones may come in with a time before theirs.
pub(super) fn settled_before(now: Timestamp) -> [u8; ID_BYTES] {
    let mut id = [0; ID_BYTES];
    id.iter_mut().zip(time_id(now.minus(LATE))).for_each(|(to, from)| *to = from);
    id
}

/// Reads one row.
pub(super) fn read(
    tx: &mut Tx<'_>,
    mount: &Mount,
    id: &[u8],
    take: &mut dyn FnMut(&Row<'_>),
) -> Result<(), Error> {
    let key = tx.id_key(&table(tx, mount), id);
    if let Some(bytes) = tx.get(&key)? {
        take(&Row::read(bytes.expose()).ok_or_else(of_another_form)?);
    }
    Ok(())
}

pub(super) fn remove(tx: &mut Tx<'_>, mount: &Mount, id: &[u8]) -> Result<(), Error> {
    let key = tx.id_key(&table(tx, mount), id);
    tx.delete(&key)
}

/// Notes that a row's value is gone, or there again.
pub(super) fn note_gone(
    tx: &mut Tx<'_>,
    mount: &Mount,
    id: &[u8],
    gone_since: Option<Timestamp>,
) -> Result<(), Error> {
    let key = tx.id_key(&table(tx, mount), id);
    let Some(bytes) = tx.get(&key)? else { return Ok(()) };
    let row = noted(bytes.expose(), gone_since).ok_or_else(of_another_form)?;
    tx.put(&key, row)
}

fn noted(bytes: &[u8], gone_since: Option<Timestamp>) -> Option<Vec<u8>> {
    let skipped = if Row::read(bytes)?.gone_since.is_some() { TIME_BYTES } else { 0 };
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let mut row = head.to_vec();
    *row.first_mut()? = if gone_since.is_some() { FORMAT_GONE } else { FORMAT };
    row.extend(gone_since.iter().flat_map(|since| time_id(*since)));
    row.extend_from_slice(rest.get(skipped..)?);
    Some(row)
}

fn of_another_form() -> Error {
    Error::internal("a row of fingerprints has another form: a newer program wrote it")
}

/// Visits a mount's rows after an id, in order, until `visit` breaks.
pub(super) fn visit(
    tx: &mut Tx<'_>,
    mount: &Mount,
    after: &[u8],
    visit: &mut dyn FnMut(&[u8], &Row<'_>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let table = table(tx, mount);
    tx.entries_after(&table, after, &mut |id, bytes| {
        let row = Row::read(bytes).ok_or_else(of_another_form)?;
        Ok(visit(id, &row))
    })
}

impl<'r> Row<'r> {
    fn read(bytes: &'r [u8]) -> Option<Self> {
        let ([format], rest) = bytes.split_first_chunk()?;
        let (version, mut rest) = rest.split_first_chunk::<8>()?;
        let gone_since = match *format {
            FORMAT => None,
            FORMAT_GONE => {
                let (time, after) = rest.split_first_chunk::<TIME_BYTES>()?;
                rest = after;
                Some(time_of(time))
            }
            _ => return None,
        };
        let path = take_text(&mut rest)?;
        Some(Self { version: u64::from_be_bytes(*version), gone_since, path, leaves: rest })
    }

    pub(super) fn leaves(&self) -> impl Iterator<Item = Leaf<'r>> + use<'r> {
        let mut rest = self.leaves;
        std::iter::from_fn(move || {
            let name = take_text(&mut rest)?;
            let (count, after) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*count)) * PACKED_BYTES;
            let (packed, after) = after.split_at_checked(length)?;
            rest = after;
            Some(Leaf { name, packed })
        })
    }
}

impl<'r> Leaf<'r> {
    /// The tag of the whole text: it comes first.
    pub(super) fn whole(&self) -> Option<Tag> {
        self.tags().next()
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = Tag> + use<'r> {
        let (packed, _) = self.packed.as_chunks::<PACKED_BYTES>();
        packed.iter().filter_map(|packed| packed.last_chunk::<TAG_BYTES>().copied())
    }

    pub(super) fn count(&self) -> usize {
        self.packed.len() / PACKED_BYTES
    }

    /// Which form a tag is of.
    pub(super) fn form(&self, tag: &Tag) -> Option<Form> {
        let (packed, _) = self.packed.as_chunks::<PACKED_BYTES>();
        let found = packed.iter().find(|packed| packed.ends_with(tag))?;
        Fingerprint::unpack(found).ok().map(|print| print.form)
    }

    /// Appends the fingerprints, with so many bytes of each tag.
    pub(super) fn pack(&self, tag_bytes: usize, out: &mut Vec<u8>) {
        let (packed, _) = self.packed.as_chunks::<PACKED_BYTES>();
        for packed in packed {
            out.extend_from_slice(packed.get(..Fingerprint::packed_bytes(tag_bytes)).unwrap_or(packed));
        }
    }
}

fn take_text<'r>(rest: &mut &'r [u8]) -> Option<&'r str> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (text, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_secret::SecretBytes;

    #[test]
    fn rows_come_back_and_damage_is_no_panic() {
        let key = ScanKey::new(SecretBytes::new(vec![7; 32]));
        let payload = br#"{"host":"db","password":"fake9Qm2LrXz7Tn4VbPk8Wd3","more":{"url":"redis://u:Zq8vL2xR5tN9wK1mP7bV@h"}}"#;
        let row = made(&key, "app/db", 3, payload).unwrap();
        let read = Row::read(&row.bytes).unwrap();
        assert_eq!((read.path, read.version), ("app/db", 3));
        let leaves: Vec<_> = read.leaves().map(|leaf| (leaf.name.to_owned(), leaf.count())).collect();
        assert_eq!(leaves, [("password".to_owned(), 1), ("more.url".to_owned(), 2)]);
        let leaf = read.leaves().next().unwrap();
        assert_eq!(leaf.whole(), Some(key.tag(b"fake9Qm2LrXz7Tn4VbPk8Wd3")));
        assert_eq!(leaf.form(&leaf.whole().unwrap()), Some(Form::Whole));
        // Gone, and back.
        let since = Timestamp::from_nanoseconds(1_790_000_000_123_000_000);
        let gone = noted(&row.bytes, Some(since)).unwrap();
        let read = Row::read(&gone).unwrap();
        assert_eq!((read.path, read.version, read.gone_since), ("app/db", 3, Some(since)));
        assert_eq!(read.leaves().count(), 2);
        assert_eq!(noted(&noted(&gone, Some(since)).unwrap(), None).unwrap(), row.bytes);
        for end in 0..row.bytes.len() {
            assert!(noted(&gone[..end], None).is_none_or(|row| row.len() < gone.len()));
            if let Some(read) = Row::read(&row.bytes[..end]) {
                assert!(read.leaves().count() <= 2);
            }
        }
        assert!(made(&key, "app/db", 3, br#"{"password":"hunter2"}"#).is_none());
        let at = Timestamp::from_nanoseconds(1_790_000_000_123_456_789);
        assert_eq!(time_of(&time_id(at)).nanoseconds(), 1_790_000_000_123_000_000);
    }
}
