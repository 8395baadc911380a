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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    #[default]
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

/// All that is known of a token, but not the token. In the store the names are short, and what is as usual is left out: a
/// token is written with every login.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenEntry {
    /// A keyed hash of the token; empty for a batch token.
    #[serde(rename = "d", default, with = "hex::serde", skip_serializing_if = "is_default")]
    pub digest: Vec<u8>,
    /// Empty for a batch token.
    #[serde(rename = "a", default, skip_serializing_if = "is_default")]
    pub accessor: String,
    #[serde(rename = "n", default, skip_serializing_if = "is_default")]
    pub namespace: u64,
    #[serde(rename = "k", default, skip_serializing_if = "is_default")]
    pub kind: TokenType,
    #[serde(rename = "p")]
    pub policies: Vec<String>,
    /// The request that made it, as `auth/userpass/login/bob`.
    #[serde(rename = "at")]
    pub path: String,
    #[serde(rename = "dn", default, skip_serializing_if = "is_default")]
    pub display_name: String,
    #[serde(rename = "md", default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// How often it may still be used; zero is without a limit.
    #[serde(rename = "ul", default, skip_serializing_if = "is_default")]
    pub uses_left: u64,
    #[serde(rename = "un", default, skip_serializing_if = "is_default")]
    pub num_uses: u64,
    #[serde(rename = "c")]
    pub created: Timestamp,
    /// The lifetime it was made with.
    #[serde(rename = "t", default, with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub ttl: Duration,
    #[serde(rename = "te", default, with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub explicit_ttl_max: Duration,
    #[serde(rename = "tm", default, with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub ttl_max: Duration,
    #[serde(rename = "tp", default, with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub period: Duration,
    /// None: it does not expire.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    #[serde(rename = "lr", default, skip_serializing_if = "Option::is_none")]
    pub last_renewal: Option<Timestamp>,
    #[serde(rename = "r", default, skip_serializing_if = "is_default")]
    pub is_renewable: bool,
    #[serde(rename = "pa", default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    #[serde(rename = "e", default, skip_serializing_if = "is_default")]
    pub entity_id: String,
    #[serde(rename = "ro", default, skip_serializing_if = "is_default")]
    pub role: String,
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    pub bound_cidrs: Vec<ipnet::IpNet>,
    /// The auth mount it came from.
    #[serde(rename = "m", default, skip_serializing_if = "is_default")]
    pub mount: u64,
    /// What the auth method wants back on renewal.
    #[serde(rename = "i", default, skip_serializing_if = "Value::is_null")]
    pub internal: Value,
    /// Policies of the caller's identity do not count.
    #[serde(rename = "ni", default, skip_serializing_if = "is_default")]
    pub no_identity_policies: bool,
    /// Made to carry a wrapped response: good for that alone.
    #[serde(rename = "w", default, skip_serializing_if = "is_default")]
    pub is_wrapping: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A duration as a whole number of nanoseconds: up to 584 years, and longer ones as that.
mod nanoseconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> TokenEntry {
        super::super::store::blank(0, "auth/token/create", Timestamp::from_seconds(5))
    }

    #[test]
    fn what_is_as_usual_is_not_stored() {
        insta::assert_snapshot!(
            serde_json::to_string(&entry()).unwrap(),
            @r#"{"p":[],"at":"auth/token/create","c":5000000000}"#
        );
    }

    #[test]
    fn everything_that_is_stored_is_read_again() {
        let full = TokenEntry {
            digest: vec![1, 2],
            accessor: "accessor".into(),
            namespace: 7,
            kind: TokenType::Batch,
            policies: vec!["default".into()],
            display_name: "name".into(),
            metadata: Map::from_iter([("key".to_owned(), json!("value"))]),
            uses_left: 1,
            num_uses: 2,
            ttl: Duration::from_secs(3),
            explicit_ttl_max: Duration::from_secs(4),
            ttl_max: Duration::from_secs(5),
            period: Duration::from_millis(6),
            expires: Some(Timestamp::from_seconds(6)),
            last_renewal: Some(Timestamp::from_seconds(7)),
            is_renewable: true,
            parent: Some(Parent { namespace: 8, row: TokenRow([9; 20]) }),
            entity_id: "entity".into(),
            role: "role".into(),
            bound_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
            mount: 10,
            internal: json!({"a": 1}),
            no_identity_policies: true,
            is_wrapping: true,
            ..entry()
        };
        for entry in [full, entry()] {
            let stored = serde_json::to_string(&entry).unwrap();
            let read: TokenEntry = serde_json::from_str(&stored).unwrap();
            assert_eq!(format!("{read:?}"), format!("{entry:?}"));
        }
    }
}
