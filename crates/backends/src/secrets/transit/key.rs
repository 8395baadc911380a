//! A key as it is stored, and as it is kept ready in memory.
//!
//! The row: a format byte, 16 random bytes that are new with every change of the key, the key in JSON. Whoever has parsed
//! the key of the same 16 bytes before need not do it again, and can never hold an older one by mistake: what is used
//! is always what the request's snapshot has.

use super::key_type::KeyType;
use super::ready::Ready;
use crate::secret_serde;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use strongroom_kernel::{Call, Error, Key, Table};
use strongroom_secret::{SecretBytes, Timestamp};

/// By name.
pub(super) const KEYS: Table = Table(1);

const FORMAT: u8 = 1;
const REVISION_BYTES: usize = 16;
/// Keys kept ready in memory unless the mount is configured otherwise.
pub(super) const READY_MAX_DEFAULT: usize = 4096;

type Revision = [u8; REVISION_BYTES];

/// A key with all its versions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TransitKey {
    pub name: String,
    #[serde(rename = "type")]
    pub key_type: KeyType,
    pub versions: BTreeMap<u64, Version>,
    pub latest: u64,
    /// Versions below are refused when something is decrypted or verified.
    pub min_decryption: u64,
    /// Versions below are refused when something is encrypted or signed; zero for the latest alone.
    pub min_encryption: u64,
    /// Versions below are gone.
    pub min_available: u64,
    #[serde(flatten)]
    pub settings: Settings,
    #[serde(default)]
    pub is_soft_deleted: bool,
    #[serde(default)]
    pub is_imported: bool,
    #[serde(default)]
    pub rotates_imported: bool,
    #[serde(default)]
    pub next_rotation: Option<Timestamp>,
    #[serde(default)]
    pub backup: Option<(Timestamp, u64)>,
    #[serde(default)]
    pub restored: Option<(Timestamp, u64)>,
}

/// What a key's owner decides.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    /// Every use names a context, and a key of its own is derived for it.
    pub derived: bool,
    /// The same plaintext and context give the same ciphertext.
    pub convergent: bool,
    pub exportable: bool,
    pub plaintext_backup: bool,
    pub deletion_allowed: bool,
    /// Zero for never.
    pub auto_rotate_period: Duration,
    /// For `hmac`, in bytes.
    pub key_size: Option<usize>,
}

/// The key of one version.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Version {
    pub created: Timestamp,
    /// The bytes of a symmetric key; PKCS #8 of a private key; empty where only the public key is known.
    #[serde(with = "secret_serde")]
    pub material: SecretBytes,
    #[serde(with = "secret_serde")]
    pub hmac: SecretBytes,
    /// SubjectPublicKeyInfo.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "public_base64")]
    pub public: Vec<u8>,
    /// Certificates in DER, the key's own first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<PublicBytes>,
}

/// Bytes that are no secret, kept as base64.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PublicBytes(#[serde(with = "public_base64")] pub Vec<u8>);

impl TransitKey {
    /// A key without a version yet.
    pub(super) fn new(name: &str, key_type: KeyType, settings: Settings) -> Self {
        Self {
            name: name.to_owned(),
            key_type,
            versions: BTreeMap::new(),
            latest: 0,
            min_decryption: 1,
            min_encryption: 0,
            min_available: 0,
            settings,
            is_soft_deleted: false,
            is_imported: false,
            rotates_imported: false,
            next_rotation: None,
            backup: None,
            restored: None,
        }
    }

    /// Adds a version and makes it the latest.
    pub(super) fn push(&mut self, version: Version) {
        let now = version.created;
        self.latest += 1;
        self.versions.insert(self.latest, version);
        let period = self.settings.auto_rotate_period;
        self.next_rotation = Some(now.plus(period)).filter(|_| !period.is_zero());
    }

    /// The versions that can be used at all.
    pub(super) fn usable(&self) -> impl Iterator<Item = (u64, &Version)> {
        self.versions
            .iter()
            .map(|(number, version)| (*number, version))
            .filter(|(number, _)| *number >= self.min_decryption)
    }

    pub(super) fn check_not_deleted(&self) -> Result<(), Error> {
        if self.is_soft_deleted {
            return Err(Error::invalid("refusing to use soft-deleted key"));
        }
        Ok(())
    }
}

/// What a mount keeps in memory: keys, parsed, by name.
#[derive(Default)]
pub(crate) struct Memory(RwLock<HashMap<String, (Revision, Arc<Ready>)>>);

impl Memory {
    fn find(&self, name: &str, revision: &Revision) -> Option<Arc<Ready>> {
        let keys = self.0.read();
        let (known, ready) = keys.get(name)?;
        (known == revision).then(|| ready.clone())
    }

    fn keep(&self, name: &str, revision: Revision, ready: Arc<Ready>, keys_max: usize) {
        let mut keys = self.0.write();
        if keys.len() >= keys_max && !keys.contains_key(name) {
            // Which one falls out matters little as long as somebody does.
            let any = keys.keys().next().cloned();
            any.map(|any| keys.remove(&any));
        }
        keys.insert(name.to_owned(), (revision, ready));
    }

    pub(super) fn forget(&self, name: &str) {
        self.0.write().remove(name);
    }
}

pub(super) fn row_key(call: &Call<'_>, name: &str) -> Key {
    call.tx.name_key(&call.table(KEYS), name)
}

/// A key, ready for use.
pub(super) fn find(call: &mut Call<'_>, name: &str) -> Result<Option<Arc<Ready>>, Error> {
    let row_key = row_key(call, name);
    let Some(row) = call.tx.get(&row_key)? else { return Ok(None) };
    let (revision, text) = split(&row)?;
    let memory = call.mount.memory.clone();
    let memory = memory.downcast_ref::<Memory>();
    if let Some(ready) = memory.and_then(|memory| memory.find(name, &revision)) {
        return Ok(Some(ready));
    }
    let ready = Arc::new(Ready::new(parse(text)?));
    if let Some(memory) = memory {
        let keys_max = super::settings::ready_keys_max(call)?;
        memory.keep(name, revision, ready.clone(), keys_max);
    }
    Ok(Some(ready))
}

/// A key, to be changed.
pub(super) fn read(call: &mut Call<'_>, name: &str) -> Result<Option<TransitKey>, Error> {
    let row_key = row_key(call, name);
    match call.tx.get(&row_key)? {
        Some(row) => split(&row).and_then(|(_, text)| parse(text)).map(Some),
        None => Ok(None),
    }
}

/// Writes a key under its name.
pub(super) fn write(call: &mut Call<'_>, key: &TransitKey) -> Result<(), Error> {
    let mut row = vec![FORMAT];
    let mut revision = [0; REVISION_BYTES];
    call.entropy().fill(&mut revision);
    row.extend_from_slice(&revision);
    let text = serde_json::to_vec(key)
        .map_err(|error| Error::internal(format!("a key cannot be written: {:?}", error.classify())))?;
    let text = SecretBytes::new(text);
    row.extend_from_slice(text.expose());
    let row_key = row_key(call, &key.name);
    call.tx.put(&row_key, row)
}

fn split(row: &SecretBytes) -> Result<(Revision, &[u8]), Error> {
    let damaged = || Error::internal("a transit key's row has another form: a newer program wrote it");
    let Some((&FORMAT, rest)) = row.expose().split_first() else { return Err(damaged()) };
    let (revision, text) = rest.split_first_chunk::<REVISION_BYTES>().ok_or_else(damaged)?;
    Ok((*revision, text))
}

/// A key as [`TransitKey`] is serialised.
pub(super) fn parse(text: &[u8]) -> Result<TransitKey, Error> {
    serde_json::from_slice(text)
        .map_err(|error| Error::internal(format!("a transit key cannot be read: {:?}", error.classify())))
}

mod public_base64 {
    use serde::{Deserialize, Deserializer, Serializer};
    use strongroom_crypto::token::{decode_base64, encode_base64};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_base64(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = decode_base64(&text).ok_or_else(|| serde::de::Error::custom("not base64"))?;
        Ok(bytes.expose().to_vec())
    }
}
