//! The scan keys of namespaces, derived from the keyring.

use crate::barrier::Keys;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_fingerprint::ScanKey;
use strongroom_secret::SecretBytes;

/// More are derived anew when they are needed.
const KEPT_MAX: usize = 1024;

/// Keys that were derived, by namespace.
#[derive(Default)]
pub(crate) struct ScanKeys(RwLock<HashMap<u64, Arc<ScanKey>>>);

impl ScanKeys {
    pub(crate) fn of(&self, keys: &Keys, namespace: u64) -> Arc<ScanKey> {
        if let Some(key) = self.0.read().get(&namespace) {
            return key.clone();
        }
        let derived = keys.keyring.derive(&format!("scan key of namespace {namespace:016x}"));
        let key = Arc::new(ScanKey::new(SecretBytes::new(derived.expose().to_vec())));
        let mut kept = self.0.write();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(namespace, key.clone());
        key
    }
}
