//! Tokens.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a role says of the tokens it makes: the `token_*` parameters that all auth methods share.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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

/// What kind of token to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// As the mount says, which is `Service` unless tuned.
    #[default]
    Default,
    Service,
    Batch,
    DefaultService,
    DefaultBatch,
}
