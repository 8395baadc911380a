//! What is stored for second factors.

use super::super::ended;
use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::tokens::TokenEntry;
use crate::transaction::{Key, Record, Table, Tx};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strongroom_secret::Timestamp;

const MFA: Table = Table(33);
const METHODS: &str = "methods";
const ENFORCEMENTS: &str = "enforcements";
/// Keys, by entity and method.
const SECRETS: &str = "secrets";
/// Logins that wait for their second factor, in the order of their ends.
const HELD: &str = "held";

/// How codes are made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Method {
    pub id: String,
    pub namespace: u64,
    pub name: String,
    pub issuer: String,
    pub period: Duration,
    pub key_bytes: usize,
    pub algorithm: String,
    pub digits: u32,
    pub skew: u64,
    pub attempts_max: u32,
}

impl Record for Method {}

/// Which logins need a second factor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Enforcement {
    pub id: String,
    pub name: String,
    pub method_ids: Vec<String>,
    pub accessors: Vec<String>,
    pub kinds: Vec<String>,
    pub group_ids: Vec<String>,
    pub entity_ids: Vec<String>,
}

impl Record for Enforcement {}

/// Somebody's key, and the last period whose code was used.
#[derive(Serialize, Deserialize)]
pub(super) struct Secret {
    #[serde(with = "hex::serde")]
    pub key: Vec<u8>,
    pub last_step: Option<u64>,
}

impl Record for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

/// One of the rules that a login must satisfy: its name, and the methods of which one will do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Constraint {
    pub name: String,
    /// By namespace and id.
    pub methods: Vec<(u64, String)>,
}

/// A login that waits: everything but the token.
#[derive(Serialize, Deserialize)]
pub(super) struct HeldLogin {
    pub until: Timestamp,
    pub mount: u64,
    pub entry: TokenEntry,
    pub constraints: Vec<Constraint>,
}

impl Record for HeldLogin {}

fn folder(tx: &Tx<'_>, namespace: u64, name: &str) -> Key {
    let table = tx.table(kernel_space(namespace), MFA);
    tx.name_key(&table, name)
}

fn place(tx: &Tx<'_>, namespace: u64, kind: &str, name: &str) -> Key {
    tx.name_key(&folder(tx, namespace, kind), name)
}

fn secrets_of(tx: &Tx<'_>, namespace: u64, entity_id: &str) -> Key {
    tx.name_key(&folder(tx, namespace, SECRETS), &format!("{entity_id}/"))
}

fn secret_key(tx: &Tx<'_>, method: &Method, entity_id: &str) -> Key {
    tx.name_key(&secrets_of(tx, method.namespace, entity_id), &method.id)
}

pub(super) fn method(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<Option<Method>, Error> {
    let key = place(tx, namespace, METHODS, id);
    tx.record(&key)
}

pub(super) fn save_method(tx: &mut Tx<'_>, method: &Method) -> Result<(), Error> {
    let key = place(tx, method.namespace, METHODS, &method.id);
    tx.put_record(&key, method)
}

pub(super) fn delete_method(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<(), Error> {
    let key = place(tx, namespace, METHODS, id);
    tx.delete(&key)
}

pub(super) fn methods(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<Method>, Error> {
    let methods = folder(tx, namespace, METHODS);
    tx.records(&methods)
}

pub(super) fn enforcement(tx: &mut Tx<'_>, namespace: u64, name: &str) -> Result<Option<Enforcement>, Error> {
    let key = place(tx, namespace, ENFORCEMENTS, name);
    tx.record(&key)
}

pub(super) fn save_enforcement(tx: &mut Tx<'_>, namespace: u64, record: &Enforcement) -> Result<(), Error> {
    let key = place(tx, namespace, ENFORCEMENTS, &record.name);
    tx.put_record(&key, record)
}

pub(super) fn delete_enforcement(tx: &mut Tx<'_>, namespace: u64, name: &str) -> Result<(), Error> {
    let key = place(tx, namespace, ENFORCEMENTS, name);
    tx.delete(&key)
}

pub(super) fn enforcements(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<Enforcement>, Error> {
    let enforcements = folder(tx, namespace, ENFORCEMENTS);
    tx.records(&enforcements)
}

pub(super) fn secret(tx: &mut Tx<'_>, method: &Method, entity_id: &str) -> Result<Option<Secret>, Error> {
    let key = secret_key(tx, method, entity_id);
    tx.record(&key)
}

pub(super) fn save_secret(
    tx: &mut Tx<'_>,
    method: &Method,
    entity_id: &str,
    secret: &Secret,
) -> Result<(), Error> {
    let key = secret_key(tx, method, entity_id);
    tx.put_record(&key, secret)
}

pub(super) fn delete_secret(tx: &mut Tx<'_>, method: &Method, entity_id: &str) -> Result<(), Error> {
    let key = secret_key(tx, method, entity_id);
    tx.delete(&key)
}

/// Removes the keys of an entity that is gone.
pub(crate) fn forget_entity(tx: &mut Tx<'_>, namespace: u64, entity_id: &str) -> Result<(), Error> {
    let secrets = secrets_of(tx, namespace, entity_id);
    tx.delete_entries(&secrets, usize::MAX).map(drop)
}

/// Where a waiting login is: its handle begins with its end.
fn held_key(tx: &Tx<'_>, namespace: u64, handle: &[u8]) -> Key {
    tx.id_key(&folder(tx, namespace, HELD), handle)
}

pub(super) fn held(tx: &mut Tx<'_>, namespace: u64, handle: &[u8]) -> Result<Option<HeldLogin>, Error> {
    let key = held_key(tx, namespace, handle);
    tx.record(&key)
}

/// Keeps a login, and removes a few whose time is over.
pub(super) fn hold(
    tx: &mut Tx<'_>,
    namespace: u64,
    handle: &[u8],
    login: &HeldLogin,
    now: Timestamp,
) -> Result<(), Error> {
    let folder = folder(tx, namespace, HELD);
    ended::sweep(tx, &folder, now)?;
    let key = held_key(tx, namespace, handle);
    tx.put_record(&key, login)
}

pub(super) fn release(tx: &mut Tx<'_>, namespace: u64, handle: &[u8]) -> Result<(), Error> {
    let key = held_key(tx, namespace, handle);
    tx.delete(&key)
}
