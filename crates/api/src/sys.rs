use crate::response::null_is_default;
use serde::{Deserialize, Serialize};

/// `GET sys/seal-status`, and the answer to `PUT sys/unseal`.
/// Source: <https://developer.hashicorp.com/vault/api-docs/system/seal-status>.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SealStatus {
    #[serde(rename = "type")]
    pub seal_type: String,
    pub initialized: bool,
    pub sealed: bool,
    /// Key shares needed to unseal.
    pub t: u64,
    /// Key shares in total.
    pub n: u64,
    /// Key shares given so far.
    pub progress: u64,
    pub nonce: String,
    pub version: String,
    pub build_date: String,
    pub migration: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_id: String,
    pub recovery_seal: bool,
    pub storage_type: String,
}

/// `GET sys/health`. The HTTP status says the same: 200 active, 429 standby, 501 not initialized, 503 sealed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    pub initialized: bool,
    pub sealed: bool,
    pub standby: bool,
    pub version: String,
    pub server_time_utc: i64,
    pub cluster_name: String,
    pub cluster_id: String,
}

/// `GET sys/leader`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Leader {
    pub ha_enabled: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub is_self: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub active_time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub leader_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub leader_cluster_address: String,
}

/// `PUT sys/init`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InitRequest {
    pub secret_shares: u64,
    pub secret_threshold: u64,
    /// For a seal that opens by itself; as the two before where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_shares: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_threshold: Option<u64>,
}

/// The answer to `PUT sys/init`: the only time the shares and the first root token are shown. No `Debug`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InitAnswer {
    /// Hexadecimal.
    #[serde(deserialize_with = "null_is_default")]
    pub keys: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub keys_base64: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub recovery_keys: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub recovery_keys_base64: Vec<String>,
    pub root_token: String,
}

fn is_false(value: &bool) -> bool {
    !value
}
