//! From one seal to another: people give the keys of the seal before, and the root key goes to the new one.
//!
//! The root key and all that it encrypts stay as they are; only who keeps it changes, in one commit. Unseal keys of
//! Shamir's become the recovery keys of an automatic seal, and the other way round.

use crate::error::Error;
use crate::kernel::Kernel;
use crate::seal::{
    AutoSeal, RecoveryRecord, SEAL_ROW, Seal, SealRecord, auto_failed, join, not_initialized, unwrap_root,
};
use std::sync::Arc;
use strongroom_crypto::Key;
use strongroom_secret::SecretBytes;
use strongroom_storage::Transaction;

/// The seal that a store still has, though the configuration names another.
pub(crate) enum Migration {
    FromShamir,
    FromAuto(Arc<dyn AutoSeal>),
}

impl Seal {
    /// As it is stored.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Shamir => "shamir",
            Self::Auto(seal) => seal.kind(),
        }
    }
}

impl Kernel {
    /// What is to be done before the store can be opened by the configured seal. An error if the configuration does
    /// not name the seal that the store has.
    pub(crate) fn pending_migration(&self, record: &SealRecord) -> Result<Option<Migration>, Error> {
        let before = self.seal_before.as_ref().filter(|before| before.kind() == record.kind);
        match (&self.seal, before) {
            (Seal::Auto(_), _) if record.kind == "shamir" => Ok(Some(Migration::FromShamir)),
            // From one key of a kind to another: the new one does not open what the old one wrapped.
            (Seal::Auto(seal), Some(before)) if seal.kind() == record.kind => {
                let is_new = seal.unwrap(&record.root_key).is_ok();
                Ok((!is_new).then(|| Migration::FromAuto(before.clone())))
            }
            (seal, _) if seal.kind() == record.kind => Ok(None),
            (_, Some(before)) => Ok(Some(Migration::FromAuto(before.clone()))),
            (seal, None) => Err(Error::invalid(format!(
                "cannot seal migrate from {:?} to {:?}, no disabled seal in configuration: name the seal that the \
                 store has, with disabled = true",
                record.kind,
                seal.kind()
            ))),
        }
    }

    /// Whether keys are waited for that migrate the seal; it asks no seal, so one kind for another alone counts.
    pub(crate) fn awaits_migration(&self, record: &SealRecord) -> bool {
        self.is_sealed() && record.kind != self.seal.kind()
    }

    /// Takes one key of the seal before. With enough of them the seal is changed and the server opens.
    pub fn migrate_with_share(self: &Arc<Self>, share: SecretBytes) -> Result<bool, Error> {
        let record = self.seal_record()?.ok_or_else(not_initialized)?;
        if !self.is_sealed() {
            return Ok(true);
        }
        let migration = self.pending_migration(&record)?.ok_or_else(|| {
            Error::invalid(
                "can't perform a seal migration, no migration seal found: the store has the configured seal",
            )
        })?;
        let (threshold, wrapped) = match (&migration, &record.recovery) {
            (Migration::FromShamir, _) => (record.threshold, &record.root_key),
            (Migration::FromAuto(_), Some(recovery)) => (recovery.threshold, &recovery.root_key),
            (Migration::FromAuto(_), None) => {
                return Err(Error::internal("the store has an automatic seal and no recovery key"));
            }
        };
        let Some(shares) = self.gather(share, threshold) else { return Ok(false) };
        let root_key = unwrap_root(&join(&shares, threshold)?, wrapped)?;
        if let Migration::FromAuto(before) = &migration {
            check_seal_before(&**before, &record, &root_key)?;
        }
        let migrated = self.migrated(record, &root_key)?;
        self.commit_seal(&migrated)?;
        tracing::info!(from = migration.kind(), to = migrated.kind, "the seal was migrated");
        self.open_by_root_key(root_key)?;
        Ok(true)
    }

    /// The record under the configured seal.
    fn migrated(&self, before: SealRecord, root_key: &Key) -> Result<SealRecord, Error> {
        let people = before.recovery.unwrap_or(RecoveryRecord {
            shares: before.shares,
            threshold: before.threshold,
            root_key: before.root_key,
        });
        let kind = self.seal.kind().to_owned();
        Ok(match &self.seal {
            Seal::Shamir => SealRecord {
                version: before.version,
                kind,
                shares: people.shares,
                threshold: people.threshold,
                root_key: people.root_key,
                recovery: None,
                cluster_id: before.cluster_id,
            },
            Seal::Auto(seal) => SealRecord {
                version: before.version,
                kind,
                shares: 1,
                threshold: 1,
                root_key: self.wrapped_by(&**seal, root_key)?,
                recovery: Some(people),
                cluster_id: before.cluster_id,
            },
        })
    }

    /// Wraps the root key and looks whether it opens again: after the commit it would be too late.
    fn wrapped_by(&self, seal: &dyn AutoSeal, root_key: &Key) -> Result<Vec<u8>, Error> {
        let plain = SecretBytes::new(root_key.expose().to_vec());
        let wrapped = seal.wrap(&plain).map_err(|error| auto_failed(&error))?;
        let again = seal.unwrap(&wrapped).map_err(|error| auto_failed(&error))?;
        match again == plain {
            true => Ok(wrapped),
            false => Err(Error::internal("the new seal does not give back what it was given")),
        }
    }

    fn commit_seal(self: &Arc<Self>, record: &SealRecord) -> Result<(), Error> {
        let base = self.storage.snapshot()?.index();
        let mut transaction = Transaction { base, reads: Vec::new(), writes: Vec::new() };
        self.add_bare(&mut transaction, SEAL_ROW, record.to_bytes()?);
        self.commit_blocking(transaction, Vec::new())?;
        Ok(())
    }
}

impl Migration {
    fn kind(&self) -> &'static str {
        match self {
            Self::FromShamir => "shamir",
            Self::FromAuto(before) => before.kind(),
        }
    }
}

/// The seal before must keep the same root key. If it no longer answers, the recovery keys have to do: that a provider
/// is gone is a reason to migrate.
fn check_seal_before(before: &dyn AutoSeal, record: &SealRecord, root_key: &Key) -> Result<(), Error> {
    match before.unwrap(&record.root_key) {
        Ok(kept) if kept.expose() == root_key.expose() => Ok(()),
        Ok(_) => Err(Error::internal("the recovery keys and the seal before keep different root keys")),
        Err(error) => {
            tracing::warn!(%error, "the seal before does not answer: migrating by the recovery keys alone");
            Ok(())
        }
    }
}
