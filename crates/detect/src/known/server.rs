//! An index as a server gives it: fingerprints of everything in a namespace, without a name. What a hit is, the server says.

use super::file::FileError;
use super::{Entry, Index, KnownSecret, ScanKey};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use strongroom_fingerprint::{Fingerprint, Form, TAG_BYTES};
use strongroom_secret::SecretBytes;

pub(super) const VERSION: u32 = 2;
const ENTRIES_MAX: usize = 1_500_000;

/// What was fetched from a server, to be kept until the next time.
pub struct ServerIndex {
    pub address: String,
    pub namespace: String,
    pub scan_key: SecretBytes,
    /// How much of each tag there is.
    pub tag_bytes: usize,
    /// Where the next fetch goes on.
    pub cursor: String,
    /// When all of it was fetched, in seconds since 1970.
    pub begun: i64,
    packed: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    strongroom_fingerprints: u32,
    address: String,
    namespace: String,
    scan_key: String,
    tag_bytes: usize,
    cursor: String,
    begun: i64,
    fingerprints: String,
}

impl ServerIndex {
    /// Nothing of a server yet.
    pub fn new(
        address: String,
        namespace: String,
        scan_key: SecretBytes,
        tag_bytes: usize,
        begun: i64,
    ) -> Self {
        let tag_bytes = tag_bytes.clamp(1, TAG_BYTES);
        Self { address, namespace, scan_key, tag_bytes, cursor: String::new(), begun, packed: Vec::new() }
    }

    /// Takes fingerprints in as they were sent.
    pub fn add(&mut self, packed: &[u8]) -> Result<(), FileError> {
        let bytes = Fingerprint::packed_bytes(self.tag_bytes);
        let before = self.packed.len() / bytes;
        if !packed.len().is_multiple_of(bytes) {
            return Err(FileError::Entry(before, "it is cut off"));
        }
        if before + packed.len() / bytes > ENTRIES_MAX {
            return Err(FileError::TooMany);
        }
        self.packed.extend_from_slice(packed);
        Ok(())
    }

    /// The same, in base64.
    pub fn add_text(&mut self, packed: &str) -> Result<(), FileError> {
        let packed = BASE64.decode(packed.as_bytes());
        self.add(&packed.map_err(|_| FileError::Entry(0, "the fingerprints are not base64"))?)
    }

    /// The file's bytes. They hold the scan key.
    pub fn to_bytes(&self) -> SecretBytes {
        let stored = Stored {
            strongroom_fingerprints: VERSION,
            address: self.address.clone(),
            namespace: self.namespace.clone(),
            scan_key: HEXLOWER.encode(self.scan_key.expose()),
            tag_bytes: self.tag_bytes,
            cursor: self.cursor.clone(),
            begun: self.begun,
            fingerprints: BASE64.encode(&self.packed),
        };
        // Strings and numbers: nothing in it cannot be written.
        SecretBytes::new(serde_json::to_vec(&stored).unwrap_or_default())
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        super::file::check_version(bytes, VERSION)?;
        let stored: Stored = serde_json::from_slice(bytes)
            .map_err(|error| FileError::Syntax { line: error.line(), column: error.column() })?;
        let key = HEXLOWER.decode(stored.scan_key.as_bytes()).ok().filter(|key| key.len() == 32);
        let key = key.ok_or(FileError::Entry(0, "the scan key is not 32 bytes in hex"))?;
        if !(1..=TAG_BYTES).contains(&stored.tag_bytes) {
            return Err(FileError::Entry(0, "tag_bytes"));
        }
        let mut index = Self::new(
            stored.address,
            stored.namespace,
            SecretBytes::new(key),
            stored.tag_bytes,
            stored.begun,
        );
        index.cursor = stored.cursor;
        index.add_text(&stored.fingerprints)?;
        Ok(index)
    }

    /// What was sent more than once is kept once. The forms of one value follow its whole.
    fn values(&self) -> Result<Vec<Vec<Fingerprint>>, FileError> {
        let bytes = Fingerprint::packed_bytes(self.tag_bytes);
        let mut values: Vec<Vec<Fingerprint>> = Vec::new();
        let (mut seen, mut is_seen) = (HashSet::new(), false);
        for (number, packed) in self.packed.chunks(bytes).enumerate() {
            let print = Fingerprint::unpack(packed).map_err(|error| FileError::Entry(number + 1, error.0))?;
            match values.last_mut() {
                _ if print.form == Form::Whole => {
                    is_seen = !seen.insert(packed);
                    if !is_seen {
                        values.push(vec![print]);
                    }
                }
                Some(value) if !is_seen => value.push(print),
                Some(_) => {}
                None => return Err(FileError::Entry(number + 1, "it is a form of no value")),
            }
        }
        Ok(values)
    }

    /// Leaves out what was sent more than once.
    pub fn compact(&mut self) -> Result<(), FileError> {
        let mut packed = Vec::with_capacity(self.packed.len());
        self.values()?.iter().flatten().for_each(|print| print.pack(self.tag_bytes, &mut packed));
        self.packed = packed;
        Ok(())
    }

    pub fn to_index(&self) -> Result<Index, FileError> {
        let mut index = Index {
            key: ScanKey::new(self.scan_key.duplicate()),
            tag_bytes: self.tag_bytes,
            secrets: Vec::new(),
            entries: Vec::new(),
            server: Some(self.address.clone()),
        };
        for value in self.values()? {
            let secret = u32::try_from(index.secrets.len()).unwrap_or(u32::MAX);
            let tag = value.first().map(|whole| whole.tag).unwrap_or_default();
            index.secrets.push(KnownSecret {
                id: HEXLOWER.encode(tag.get(..self.tag_bytes.min(8)).unwrap_or_default()),
                name: "a value of the store".to_owned(),
                version: None,
                origin: self.address.clone(),
            });
            index.entries.extend(value.into_iter().map(|print| Entry { secret, print }));
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::Matcher;
    use strongroom_fingerprint::fingerprints;

    const VALUE: &str = "fake9Qm2LrXz7Tn4VbPk8Wd3";
    const ADDRESS: &str = "https://u:Kd8sPqLm2RtVx7Nw4Jc1@h/";

    fn fetched(tag_bytes: usize) -> ServerIndex {
        let key = SecretBytes::new(vec![7; 32]);
        let mut index = ServerIndex::new("https://s:8200".into(), String::new(), key, tag_bytes, 5);
        let key = ScanKey::new(SecretBytes::new(vec![7; 32]));
        for value in [VALUE, ADDRESS, VALUE] {
            let mut packed = Vec::new();
            fingerprints(&key, value.as_bytes())
                .unwrap()
                .iter()
                .for_each(|it| it.pack(tag_bytes, &mut packed));
            index.add(&packed).unwrap();
        }
        index
    }

    #[test]
    fn what_a_server_sent_is_found_and_told_by_whole_tags() {
        for tag_bytes in [16, 2] {
            let mut index = fetched(tag_bytes);
            index.compact().unwrap();
            index.cursor = "c".into();
            let index = ServerIndex::from_bytes(index.to_bytes().expose()).unwrap();
            assert_eq!((index.cursor.as_str(), index.begun), ("c", 5));
            let matcher = Matcher::new(index.to_index().unwrap());
            assert_eq!((matcher.secrets().len(), matcher.server()), (2, Some("https://s:8200")));
            let key = ScanKey::new(SecretBytes::new(vec![7; 32]));
            let hits = matcher.search(format!("a {VALUE} b password=Kd8sPqLm2RtVx7Nw4Jc1").as_bytes());
            let told: Vec<_> = hits.iter().map(|hit| (hit.form, hit.tag)).collect();
            let expected = [
                (Form::Whole, key.tag(VALUE.as_bytes())),
                (Form::Password, key.tag(b"Kd8sPqLm2RtVx7Nw4Jc1")),
            ];
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn hostile_files_are_refused_or_read() {
        let good = fetched(16).to_bytes();
        for end in 0..good.expose().len() {
            assert!(ServerIndex::from_bytes(&good.expose()[..end]).is_err());
        }
        for at in 0..good.expose().len() {
            for byte in [0, b'"', b'A', b'9', 0xff] {
                let mut altered = good.expose().to_vec();
                altered[at] = byte;
                if let Ok(index) = ServerIndex::from_bytes(&altered).and_then(|index| index.to_index()) {
                    Matcher::new(index).search(VALUE.as_bytes());
                }
            }
        }
        let mut index = fetched(16);
        assert!(matches!(index.add(&[1; 31]), Err(FileError::Entry(4, _))));
        assert!(index.add(&[9; 32]).is_ok());
        assert!(index.to_index().is_err());
    }
}
