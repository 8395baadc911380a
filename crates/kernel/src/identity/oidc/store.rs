//! What is stored for identity tokens: the issuer, named keys and roles.

use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::transaction::{Key, Record, Table, Tx};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strongroom_crypto::jose::{JoseError, JoseKey};
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::keypair::PublicKey;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::{Entropy, Timestamp};

const OIDC: Table = Table(29);
const CONFIG: &str = "config";
const KEYS: &str = "keys";
const ROLES: &str = "roles";

/// The issuer of a namespace's tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Config {
    pub issuer: String,
}

impl Record for Config {}

/// A named key: the one that signs now, and those before it that still verify.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct NamedKey {
    pub name: String,
    pub algorithm: String,
    pub rotation_period: Duration,
    pub verification_ttl: Duration,
    pub allowed_client_ids: Vec<String>,
    pub kid: String,
    #[serde(with = "hex::serde")]
    private: Vec<u8>,
    /// SubjectPublicKeyInfo.
    #[serde(with = "hex::serde")]
    public: Vec<u8>,
    pub next_rotation: Timestamp,
    #[serde(default)]
    pub retired: Vec<Retired>,
}

impl Record for NamedKey {}

impl Drop for NamedKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.private);
    }
}

/// A public key whose tokens may still be about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Retired {
    pub kid: String,
    pub algorithm: String,
    #[serde(with = "hex::serde")]
    pub public: Vec<u8>,
    pub expires: Timestamp,
}

/// What tokens say, and by which key they are signed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TokenRole {
    pub name: String,
    pub key: String,
    pub template: String,
    pub ttl: Duration,
    pub client_id: String,
}

impl Record for TokenRole {}

fn broken(error: JoseError) -> Error {
    Error::internal(format!("a key of identity tokens: {error}"))
}

fn algorithm(name: &str) -> Result<JwsAlgorithm, Error> {
    JwsAlgorithm::parse(name).ok_or_else(|| Error::invalid("unknown signing algorithm"))
}

impl NamedKey {
    /// A new key with its first signing key.
    pub(super) fn new(
        entropy: &dyn Entropy,
        name: &str,
        algorithm_name: &str,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let day = Duration::from_secs(24 * 3600);
        let mut key = Self {
            name: name.to_owned(),
            algorithm: algorithm_name.to_owned(),
            rotation_period: day,
            verification_ttl: day,
            allowed_client_ids: Vec::new(),
            kid: String::new(),
            private: Vec::new(),
            public: Vec::new(),
            next_rotation: now,
            retired: Vec::new(),
        };
        key.renew(entropy, now)?;
        Ok(key)
    }

    fn renew(&mut self, entropy: &dyn Entropy, now: Timestamp) -> Result<(), Error> {
        let pair = JoseKey::generate(algorithm(&self.algorithm)?, entropy).map_err(broken)?;
        self.kid = uuid_v4(entropy);
        self.private = pair.to_bytes().map_err(broken)?.expose().to_vec();
        self.public = pair.public().map_err(broken)?.spki().to_vec();
        self.next_rotation = now.plus(self.rotation_period);
        Ok(())
    }

    /// Signs with another key from now on; the present one verifies for `verification_ttl` more.
    pub(super) fn rotate(
        &mut self,
        entropy: &dyn Entropy,
        now: Timestamp,
        verification_ttl: Duration,
        algorithm_name: &str,
    ) -> Result<(), Error> {
        self.retired.retain(|retired| retired.expires > now);
        self.retired.push(Retired {
            kid: self.kid.clone(),
            algorithm: self.algorithm.clone(),
            public: self.public.clone(),
            expires: now.plus(verification_ttl),
        });
        algorithm_name.clone_into(&mut self.algorithm);
        self.renew(entropy, now)
    }

    pub(super) fn pair(&self) -> Result<JoseKey, Error> {
        JoseKey::from_bytes(algorithm(&self.algorithm)?, &self.private).map_err(broken)
    }

    /// The public keys that verify now.
    pub(super) fn public_keys(&self, now: Timestamp) -> Vec<Published> {
        let present = (self.kid.clone(), self.algorithm.as_str(), self.public.as_slice());
        let retired = self
            .retired
            .iter()
            .filter(|retired| retired.expires > now)
            .map(|retired| (retired.kid.clone(), retired.algorithm.as_str(), retired.public.as_slice()));
        std::iter::once(present)
            .chain(retired)
            .filter_map(|(kid, name, spki)| {
                let (algorithm, key) = (JwsAlgorithm::parse(name)?, PublicKey::from_spki(spki).ok()?);
                Some(Published { kid, algorithm, key })
            })
            .collect()
    }
}

/// A public key under its id.
pub(super) struct Published {
    pub kid: String,
    pub algorithm: JwsAlgorithm,
    pub key: PublicKey,
}

pub(super) fn folder(tx: &Tx<'_>, namespace: u64, name: &str) -> Key {
    let table = tx.table(kernel_space(namespace), OIDC);
    tx.name_key(&table, name)
}

pub(super) fn place(tx: &Tx<'_>, namespace: u64, kind: &str, name: &str) -> Key {
    tx.name_key(&folder(tx, namespace, kind), name)
}

pub(super) fn config(tx: &mut Tx<'_>, namespace: u64) -> Result<Config, Error> {
    let key = folder(tx, namespace, CONFIG);
    Ok(tx.record(&key)?.unwrap_or_default())
}

pub(super) fn save_config(tx: &mut Tx<'_>, namespace: u64, config: &Config) -> Result<(), Error> {
    let key = folder(tx, namespace, CONFIG);
    tx.put_record(&key, config)
}

pub(super) fn key(tx: &mut Tx<'_>, namespace: u64, name: &str) -> Result<Option<NamedKey>, Error> {
    let key = place(tx, namespace, KEYS, name);
    tx.record(&key)
}

pub(super) fn save_key(tx: &mut Tx<'_>, namespace: u64, record: &NamedKey) -> Result<(), Error> {
    let key = place(tx, namespace, KEYS, &record.name);
    tx.put_record(&key, record)
}

pub(super) fn delete_key(tx: &mut Tx<'_>, namespace: u64, name: &str) -> Result<(), Error> {
    let key = place(tx, namespace, KEYS, name);
    tx.delete(&key)
}

pub(super) fn all_keys(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<NamedKey>, Error> {
    let keys = folder(tx, namespace, KEYS);
    tx.records(&keys)
}

pub(super) fn role(tx: &mut Tx<'_>, namespace: u64, name: &str) -> Result<Option<TokenRole>, Error> {
    let key = place(tx, namespace, ROLES, name);
    tx.record(&key)
}

pub(super) fn save_role(tx: &mut Tx<'_>, namespace: u64, record: &TokenRole) -> Result<(), Error> {
    let key = place(tx, namespace, ROLES, &record.name);
    tx.put_record(&key, record)
}

pub(super) fn delete_role(tx: &mut Tx<'_>, namespace: u64, name: &str) -> Result<(), Error> {
    let key = place(tx, namespace, ROLES, name);
    tx.delete(&key)
}

pub(super) fn all_roles(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<TokenRole>, Error> {
    let roles = folder(tx, namespace, ROLES);
    tx.records(&roles)
}
