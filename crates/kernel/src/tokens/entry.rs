use crate::transaction::Record;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use strongroom_secret::Timestamp;

/// What a role says of the tokens it makes: the `token_*` parameters that all auth methods share. Zero means unset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenSettings {
    pub ttl: Duration,
    pub ttl_max: Duration,
    pub explicit_ttl_max: Duration,
    pub period: Duration,
    pub num_uses: u64,
    pub policies: Vec<String>,
    pub no_default_policy: bool,
    pub bound_cidrs: Vec<ipnet::IpNet>,
    pub kind: TokenKind,
}

/// What kind of token a role or a mount asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// As the mount says, which is a service token unless tuned.
    #[default]
    Default,
    Service,
    Batch,
    DefaultService,
    DefaultBatch,
}

impl TokenKind {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "default" => Some(Self::Default),
            "service" => Some(Self::Service),
            "batch" => Some(Self::Batch),
            "default-service" => Some(Self::DefaultService),
            "default-batch" => Some(Self::DefaultBatch),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Service => "service",
            Self::Batch => "batch",
            Self::DefaultService => "default-service",
            Self::DefaultBatch => "default-batch",
        }
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    Service,
    /// Not stored: it carries its own entry, encrypted.
    Batch,
}

impl TokenType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }
}

/// The storage key of a token's entry, within its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenRow(#[serde(with = "hex::serde")] pub [u8; 20]);

/// The token under which another was made; when it is revoked, so is the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub namespace: u64,
    pub row: TokenRow,
}

/// All that is known of a token, but not the token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenEntry {
    /// A keyed hash of the token; empty for a batch token.
    #[serde(with = "hex::serde")]
    pub digest: Vec<u8>,
    /// Empty for a batch token.
    pub accessor: String,
    pub namespace: u64,
    #[serde(rename = "type")]
    pub kind: TokenType,
    pub policies: Vec<String>,
    /// The request that made it, as `auth/userpass/login/bob`.
    pub path: String,
    pub display_name: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// How often it may still be used; zero is without a limit.
    #[serde(default)]
    pub uses_left: u64,
    #[serde(default)]
    pub num_uses: u64,
    pub created: Timestamp,
    /// The lifetime it was made with.
    pub ttl: Duration,
    #[serde(default)]
    pub explicit_ttl_max: Duration,
    #[serde(default)]
    pub ttl_max: Duration,
    #[serde(default)]
    pub period: Duration,
    /// None: it does not expire.
    pub expires: Option<Timestamp>,
    #[serde(default)]
    pub last_renewal: Option<Timestamp>,
    pub is_renewable: bool,
    pub parent: Option<Parent>,
    #[serde(default)]
    pub entity_id: String,
    #[serde(default)]
    pub role: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_cidrs: Vec<ipnet::IpNet>,
    /// The auth mount it came from.
    #[serde(default)]
    pub mount: u64,
    /// What the auth method wants back on renewal.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub internal: Value,
    /// Policies of the caller's identity do not count.
    #[serde(default)]
    pub no_identity_policies: bool,
    /// Made to carry a wrapped response: good for that alone.
    #[serde(default)]
    pub is_wrapping: bool,
}

impl Record for TokenEntry {}

impl TokenEntry {
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    pub fn is_orphan(&self) -> bool {
        self.parent.is_none()
    }

    /// Whether its time has come. A token without an expiry lives until it is revoked.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// What is left of its life, in whole seconds as Vault counts them; zero for a token that does not expire.
    pub fn ttl_left(&self, now: Timestamp) -> Duration {
        let left = self.expires.map_or(Duration::ZERO, |expires| expires.since(now));
        Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }

    /// When it must end, however often it is renewed; None without such a time.
    pub fn hard_end(&self) -> Option<Timestamp> {
        (self.explicit_ttl_max > Duration::ZERO).then(|| self.created.plus(self.explicit_ttl_max))
    }
}
