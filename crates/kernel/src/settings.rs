//! Settings of the server that are changed by API: which web pages may use it, and which headers audit records.

use crate::audit::HeaderFacts;
use crate::effect::Effect;
use crate::error::Error;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::request::Request;
use crate::transaction::{Key, Record, Table, Tx};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const SETTINGS: Table = Table(30);

/// What `sys/config` sets: one row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerSettings {
    pub cors: CorsSettings,
    /// Headers that audit records, by lower-case name; whether their values are hashed.
    pub audited_headers: BTreeMap<String, bool>,
    /// Headers of the web page's answers, by name as it was written.
    pub page_headers: BTreeMap<String, Vec<String>>,
}

/// Which web pages may use the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CorsSettings {
    pub is_enabled: bool,
    /// Origins, or `*` alone for all.
    pub allowed_origins: Vec<String>,
    /// Headers that pages may send beside the usual ones.
    pub allowed_headers: Vec<String>,
}

impl Record for ServerSettings {}

type Watcher = Box<dyn Fn(&ServerSettings) + Send + Sync>;

/// The settings in force.
#[derive(Default)]
pub(crate) struct LiveSettings {
    current: RwLock<Arc<ServerSettings>>,
    watcher: Mutex<Option<Watcher>>,
}

impl LiveSettings {
    pub(crate) fn load(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let settings = Arc::new(read(tx)?);
        *self.current.write() = settings.clone();
        if let Some(watcher) = self.watcher.lock().as_ref() {
            watcher(&settings);
        }
        Ok(())
    }

    /// Calls `watcher` now and after each change.
    pub(crate) fn watch(&self, watcher: Watcher) {
        let mut place = self.watcher.lock();
        watcher(&self.current.read());
        *place = Some(watcher);
    }

    /// The headers of a request that audit records.
    pub(crate) fn audited_headers<'r>(&self, request: &'r Request) -> Vec<HeaderFacts<'r>> {
        let settings = self.current.read().clone();
        if settings.audited_headers.is_empty() {
            return Vec::new();
        }
        let audited = request.headers.iter().filter_map(|(name, value)| {
            let hmac = settings.audited_headers.get(name)?;
            Some(HeaderFacts { name, value, hmac: *hmac })
        });
        audited.collect()
    }
}

fn key(tx: &Tx<'_>) -> Key {
    tx.table(kernel_space(ROOT_NAMESPACE), SETTINGS)
}

pub(crate) fn read(tx: &mut Tx<'_>) -> Result<ServerSettings, Error> {
    let key = key(tx);
    Ok(tx.record(&key)?.unwrap_or_default())
}

pub(crate) fn write(tx: &mut Tx<'_>, settings: &ServerSettings) -> Result<(), Error> {
    let key = key(tx);
    tx.put_record(&key, settings)?;
    tx.after_commit(Effect::Settings);
    Ok(())
}
