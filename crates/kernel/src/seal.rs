//! How a server is initialised, opened and closed.
//!
//! The root key encrypts the keyring, the keyring everything else. The root key itself is stored encrypted by a key
//! that is not: split among people (Shamir), or held by something outside that opens the server by itself.

use crate::barrier::Keys;
use crate::error::{Error, ErrorKind};
use crate::kernel::Kernel;
use crate::system;
use crate::transaction::Intent;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use strongroom_crypto::Key;
use strongroom_crypto::aead::AeadKey;
use strongroom_crypto::keyring::Keyring;
use strongroom_crypto::shamir::{self, ShareScheme};
use strongroom_secret::{SecretBytes, SecretString};
use strongroom_storage::{Read, Transaction, Write};
use thiserror::Error as ThisError;

/// Rows that are readable while the server is sealed start with this byte.
const BARE_PREFIX: u8 = 0;
pub(crate) const SEAL_ROW: &str = "seal";
pub(crate) const KEYRING_ROW: &str = "keyring";
const ROOT_KEY_CONTEXT: &[u8] = b"strongroom root key";
const SHARES_MAX: u64 = 255;

/// What keeps the root key.
pub enum Seal {
    Shamir,
    Auto(Arc<dyn AutoSeal>),
}

/// Something outside that encrypts the root key and gives it back: a static key, another server, a cloud's KMS.
pub trait AutoSeal: Send + Sync {
    /// As in `sys/seal-status`: `static`, `transit`.
    fn kind(&self) -> &'static str;

    fn wrap(&self, plain: &SecretBytes) -> Result<Vec<u8>, AutoSealError>;

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, AutoSealError>;
}

/// Why an automatic seal did not do its work: where it was asked, and what it said. Never key material.
#[derive(Debug, ThisError)]
#[error("{0}")]
pub struct AutoSealError(pub String);

/// The seal as it is stored, readable without a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SealRecord {
    pub version: u8,
    /// `shamir`, or the kind of an automatic seal.
    pub kind: String,
    pub shares: u64,
    pub threshold: u64,
    /// The root key, encrypted by the key that the seal keeps.
    #[serde(with = "hex::serde")]
    pub root_key: Vec<u8>,
    /// Shares of the recovery key of an automatic seal.
    #[serde(default)]
    pub recovery: Option<RecoveryRecord>,
    pub cluster_id: String,
}

impl SealRecord {
    /// As it is stored.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self)
            .map_err(|error| Error::internal(format!("the seal cannot be written: {error}")))
    }
}

/// What proves that somebody holds the recovery key: the root key encrypted by it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RecoveryRecord {
    pub shares: u64,
    pub threshold: u64,
    #[serde(with = "hex::serde")]
    pub root_key: Vec<u8>,
}

/// What is under way while the seal waits for shares.
#[derive(Default)]
pub(crate) struct SealProgress {
    pub unseal: Shares,
    pub rekey: Option<system::Rekey>,
    pub recovery_rekey: Option<system::Rekey>,
    pub generate_root: Option<system::GenerateRoot>,
}

/// Shares handed in so far, under a nonce that names the attempt.
#[derive(Default)]
pub(crate) struct Shares {
    pub nonce: String,
    pub given: Vec<SecretBytes>,
}

impl Shares {
    /// Takes one more share; the same share twice counts once.
    pub(crate) fn add(&mut self, share: SecretBytes) {
        if !self.given.contains(&share) {
            self.given.push(share);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.given.len() as u64
    }

    pub(crate) fn clear(&mut self) {
        self.given.clear();
        self.nonce.clear();
    }
}

/// How a root key is to be shared out.
#[derive(Debug, Clone, Copy)]
pub struct Sharing {
    pub shares: u64,
    pub threshold: u64,
}

/// What initialising gives, once.
pub struct Initialized {
    /// Unseal keys; empty for an automatic seal.
    pub keys: Vec<SecretBytes>,
    /// Recovery keys of an automatic seal.
    pub recovery_keys: Vec<SecretBytes>,
    pub root_token: SecretString,
}

impl Sharing {
    /// Refuses what cannot be shared out, in Vault's words.
    pub(crate) fn check(self) -> Result<Self, Error> {
        let Self { shares, threshold } = self;
        let refusal = if shares == 0 {
            "shares must be at least one"
        } else if threshold == 0 {
            "threshold must be at least one"
        } else if threshold > shares {
            "threshold cannot be larger than shares"
        } else if shares > SHARES_MAX {
            "shares must be less than 256"
        } else if shares > 1 && threshold == 1 {
            "threshold must be greater than one for multiple shares"
        } else {
            return Ok(self);
        };
        Err(Error::invalid(refusal))
    }
}

pub(crate) fn bare_key(name: &str) -> Vec<u8> {
    let mut key = vec![BARE_PREFIX];
    key.extend_from_slice(name.as_bytes());
    key
}

/// Splits a key among people.
pub(crate) fn split(kernel: &Kernel, key: &Key, sharing: Sharing) -> Result<Vec<SecretBytes>, Error> {
    if sharing.shares == 1 {
        return Ok(vec![SecretBytes::new(key.expose().to_vec())]);
    }
    let count =
        |number: u64| u8::try_from(number).map_err(|_| Error::invalid("shares must be less than 256"));
    ShareScheme::new(count(sharing.shares)?, count(sharing.threshold)?)
        .and_then(|scheme| scheme.split(kernel.entropy(), key.expose()))
        .map_err(|error| Error::internal(error.to_string()))
}

/// Joins shares to the key that they were split from. What comes out of wrong shares is a wrong key: it opens nothing.
pub(crate) fn join(shares: &[SecretBytes], threshold: u64) -> Result<Key, Error> {
    let wrong = || Error::invalid("invalid key: the shares do not belong together");
    let joined = match shares {
        [only] if threshold == 1 => only.duplicate(),
        shares => shamir::combine(shares).map_err(|_| wrong())?,
    };
    Key::try_from(joined.expose()).map_err(|_| wrong())
}

/// Encrypts the root key by a key that shares make.
pub(crate) fn wrap_root(kernel: &Kernel, sharing_key: &Key, root_key: &Key) -> Vec<u8> {
    AeadKey::new(sharing_key).seal_random(kernel.entropy(), ROOT_KEY_CONTEXT, root_key.expose())
}

/// Opens the root key with a key that shares make.
pub(crate) fn unwrap_root(sharing_key: &Key, wrapped: &[u8]) -> Result<Key, Error> {
    AeadKey::new(sharing_key)
        .open_random(ROOT_KEY_CONTEXT, wrapped)
        .ok()
        .and_then(|plain| Key::try_from(plain.expose()).ok())
        .ok_or_else(|| Error::invalid("invalid key: these shares do not open this server"))
}

impl Kernel {
    /// The stored seal; None before initialisation.
    pub(crate) fn seal_record(&self) -> Result<Option<SealRecord>, Error> {
        let snapshot = self.storage.snapshot()?;
        let Some(bytes) = snapshot.read(&bare_key(SEAL_ROW))? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Error::internal(format!("the stored seal cannot be read: {error}")))
    }

    pub fn is_initialized(&self) -> Result<bool, Error> {
        Ok(self.seal_record()?.is_some())
    }

    /// Makes the keys, the first mounts and the root token.
    pub fn initialize(self: &Arc<Self>, unseal: Sharing, recovery: Sharing) -> Result<Initialized, Error> {
        self.initialize_with(unseal, recovery, None)
    }

    /// As [`Self::initialize`], with a root token that the caller chose.
    pub fn initialize_with(
        self: &Arc<Self>,
        unseal: Sharing,
        recovery: Sharing,
        root_token: Option<SecretString>,
    ) -> Result<Initialized, Error> {
        if self.is_initialized()? {
            return Err(Error::invalid("Vault is already initialized"));
        }
        let now = self.now();
        let root_key = Key::generate(self.entropy());
        let keyring = Keyring::generate(self.entropy(), now);
        let sealed_keyring = keyring.seal_with(&root_key, self.entropy());
        let keys = Arc::new(Keys::new(keyring, root_key.duplicate()));
        let (record, shares) = match &self.seal {
            Seal::Shamir => self.shamir_record(&root_key, unseal.check()?)?,
            Seal::Auto(seal) => self.auto_record(&**seal, &root_key, recovery.check()?)?,
        };
        let mut tx = self.begin(&keys, Intent::Write)?;
        let root_token = system::first_records(self, &mut tx, now, root_token)?;
        let (mut transaction, effects) = tx.finish(self.entropy());
        self.add_bare(&mut transaction, SEAL_ROW, record.to_bytes()?);
        self.add_bare(&mut transaction, KEYRING_ROW, sealed_keyring);
        self.commit_blocking(transaction, effects)?;
        let (keys, recovery_keys) = match self.seal {
            Seal::Shamir => (shares, Vec::new()),
            Seal::Auto(_) => (Vec::new(), shares),
        };
        Ok(Initialized { keys, recovery_keys, root_token })
    }

    fn shamir_record(
        &self,
        root_key: &Key,
        sharing: Sharing,
    ) -> Result<(SealRecord, Vec<SecretBytes>), Error> {
        let sharing_key = Key::generate(self.entropy());
        let record = SealRecord {
            version: 1,
            kind: "shamir".to_owned(),
            shares: sharing.shares,
            threshold: sharing.threshold,
            root_key: wrap_root(self, &sharing_key, root_key),
            recovery: None,
            cluster_id: strongroom_crypto::token::uuid_v4(self.entropy()),
        };
        Ok((record, split(self, &sharing_key, sharing)?))
    }

    fn auto_record(
        &self,
        seal: &dyn AutoSeal,
        root_key: &Key,
        recovery: Sharing,
    ) -> Result<(SealRecord, Vec<SecretBytes>), Error> {
        let plain = SecretBytes::new(root_key.expose().to_vec());
        let wrapped = seal.wrap(&plain).map_err(|error| auto_failed(&error))?;
        let recovery_key = Key::generate(self.entropy());
        let record = SealRecord {
            version: 1,
            kind: seal.kind().to_owned(),
            shares: 1,
            threshold: 1,
            root_key: wrapped,
            recovery: Some(RecoveryRecord {
                shares: recovery.shares,
                threshold: recovery.threshold,
                root_key: wrap_root(self, &recovery_key, root_key),
            }),
            cluster_id: strongroom_crypto::token::uuid_v4(self.entropy()),
        };
        Ok((record, split(self, &recovery_key, recovery)?))
    }

    /// Adds a row that is readable while sealed, and makes the commit depend on what it replaces.
    pub(crate) fn add_bare(&self, transaction: &mut Transaction, name: &str, value: Vec<u8>) {
        let key = bare_key(name);
        transaction.reads.push(Read::Key(key.clone()));
        transaction.writes.push(Write { key, value: Some(value) });
    }

    /// Takes one share. Says whether the server is open now.
    pub fn unseal_with_share(&self, share: SecretBytes) -> Result<bool, Error> {
        let record = self.seal_record()?.ok_or_else(not_initialized)?;
        if !self.is_sealed() {
            return Ok(true);
        }
        if self.pending_migration(&record)?.is_some() {
            return Err(Error::invalid("migrate option not provided and seal migration is pending"));
        }
        if record.kind != "shamir" {
            return Err(Error::invalid(format!(
                "this server opens itself by its {} seal: no shares are needed",
                record.kind
            )));
        }
        let Some(shares) = self.gather(share, record.threshold) else { return Ok(false) };
        let sharing_key = join(&shares, record.threshold)?;
        let root_key = unwrap_root(&sharing_key, &record.root_key)?;
        self.open_by_root_key(root_key)?;
        Ok(true)
    }

    /// Takes one more share; all of them, once there are enough.
    pub(crate) fn gather(&self, share: SecretBytes, threshold: u64) -> Option<Vec<SecretBytes>> {
        let mut progress = self.progress.lock();
        if progress.unseal.nonce.is_empty() {
            progress.unseal.nonce = strongroom_crypto::token::uuid_v4(self.entropy());
        }
        progress.unseal.add(share);
        (progress.unseal.count() >= threshold).then(|| std::mem::take(&mut progress.unseal).given)
    }

    /// Opens a server whose seal needs nobody. Does nothing for one that waits for shares.
    pub fn unseal_automatically(&self) -> Result<bool, Error> {
        let (Seal::Auto(seal), Some(record)) = (&self.seal, self.seal_record()?) else {
            return Ok(!self.is_sealed());
        };
        if !self.is_sealed() {
            return Ok(true);
        }
        if self.pending_migration(&record)?.is_some() {
            return Err(Error::invalid(format!(
                "the store was sealed by {:?} and the configuration names {:?}: give the keys to `operator unseal \
                 -migrate`",
                record.kind,
                seal.kind()
            )));
        }
        let plain = seal.unwrap(&record.root_key).map_err(|error| auto_failed(&error))?;
        let root_key = Key::try_from(plain.expose())
            .map_err(|_| Error::internal("the seal gave a root key of another length"))?;
        self.open_by_root_key(root_key)?;
        Ok(true)
    }

    pub(crate) fn open_by_root_key(&self, root_key: Key) -> Result<(), Error> {
        let sealed = self
            .storage
            .snapshot()?
            .read(&bare_key(KEYRING_ROW))?
            .ok_or_else(|| Error::internal("the store has a seal and no keyring: restore a snapshot"))?;
        let keyring = Keyring::open_with(&root_key, &sealed)
            .map_err(|error| Error::internal(format!("the keyring cannot be opened: {error}")))?;
        self.open_with(Arc::new(Keys::new(keyring, root_key)))
    }

    /// Starts a new term of the keyring.
    pub fn rotate_keyring(self: &Arc<Self>) -> Result<(), Error> {
        let open = self.opened()?;
        let mut tx = self.begin(&open.keys, Intent::Write)?;
        system::start_term(self, &mut tx)?;
        let (transaction, effects) = tx.finish(self.entropy());
        self.commit_blocking(transaction, effects)?;
        Ok(())
    }

    /// Reads the keyring again: it has a new term.
    pub(crate) fn reload_keyring(&self) {
        let Ok(open) = self.opened() else { return };
        let loaded = self.storage.snapshot().map_err(Error::from).and_then(|snapshot| {
            let sealed = snapshot.read(&bare_key(KEYRING_ROW))?.unwrap_or_default();
            Keyring::open_with(&open.keys.root, &sealed).map_err(|error| Error::internal(error.to_string()))
        });
        match loaded {
            Ok(keyring) => self.replace_keys(Arc::new(Keys::new(keyring, open.keys.root.duplicate()))),
            Err(error) => tracing::error!(?error, "the keyring cannot be read again: the old term goes on"),
        }
    }

    /// Forgets the keys: nothing is served until they are given again.
    pub fn seal(&self) {
        self.progress.lock().unseal.clear();
        self.close();
    }
}

pub(crate) fn auto_failed(error: &AutoSealError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the automatic seal does not open: {error}"))
}

pub(crate) fn not_initialized() -> Error {
    Error::invalid("server is not yet initialized")
}
