//! A plan: what of a secret changes, when, what generates the new value, where it is applied and how it is proven.

use super::schedule::Schedule;
use crate::error::Error;
use crate::transaction::Record;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_secret::{SecretBytes, Timestamp, format_duration};

pub(super) const GRACE_DEFAULT: Duration = Duration::from_secs(3600);
pub(super) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
pub(super) const ATTEMPTS_DEFAULT: u32 = 5;
pub(super) const PAUSE_AFTER_DEFAULT: u32 = 3;
pub(super) const VALIDATE_FAILURES_DEFAULT: u32 = 600;

/// A secret in the store, as a plan is about it. It stays the same when the mount is moved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub namespace: u64,
    pub mount: u64,
    /// Below the mount.
    pub path: String,
}

impl Record for Place {}

/// A plan as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// A UUID: a plan that was removed and made again is another one.
    pub id: String,
    /// None: the whole secret.
    pub field: Option<String>,
    #[serde(default)]
    pub schedule: Schedule,
    /// Whether a leak that is reported starts a rotation.
    pub on_leak: bool,
    pub grace: Duration,
    /// In place of `grace` after a leak.
    pub leak_grace: Duration,
    pub generate: Generator,
    pub apply: Target,
    pub verify: Target,
    pub notify: Vec<Notice>,
    /// Of one step outside.
    pub timeout: Duration,
    /// Of one step, before the rotation is rolled back.
    pub attempts: u32,
    /// Failed rotations one after another before nothing happens until somebody acts.
    pub pause_after: u32,
    /// Values that do not fit, for one path and client; zero for without limit.
    pub validate_failures_per_minute: u32,
    /// Signs webhooks.
    pub webhook_key: Option<WebhookKey>,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// Who wrote it last.
    pub author: String,
}

impl Record for Plan {}

/// What makes the new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Generator {
    Password {
        #[serde(skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
    },
    Token {
        bytes: u32,
        alphabet: String,
        prefix: String,
    },
    Uuid,
    Key {
        kind: String,
        public_field: String,
    },
    Command {
        name: String,
    },
}

/// Where a new value is applied, or proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Target {
    None,
    Database(AccountTarget),
    Webhook(WebhookTarget),
    Command { name: String },
}

/// An account behind a connection of a mount, or two that take turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountTarget {
    pub mount: String,
    pub connection: String,
    /// The account; None: the one that `username_field` of the secret names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    pub username_field: String,
    /// Two accounts: each rotation changes the one that is not in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WebhookTarget {
    pub url: String,
    /// A PEM file of authorities on the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// Who is told of a new version. Nobody is told a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Notice {
    Webhook(WebhookTarget),
    /// Below the directory that the server's configuration names.
    File {
        path: String,
    },
    Database {
        mount: String,
        connection: String,
        channel: String,
    },
}

/// The key of a plan's signatures. Told once, when it is made.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct WebhookKey(#[serde(with = "key_text")] pub SecretBytes);

impl WebhookKey {
    /// As it is told once.
    pub(crate) fn text(&self) -> String {
        format!("whsec_{}", strongroom_crypto::token::encode_base64(self.0.expose()))
    }
}

impl std::fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

mod key_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use strongroom_crypto::token::{decode_base64, encode_base64};
    use strongroom_secret::SecretBytes;

    pub(super) fn serialize<S: Serializer>(key: &SecretBytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_base64(key.expose()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode_base64(&text).ok_or_else(|| D::Error::custom("a webhook's key is no base64"))
    }
}

impl Plan {
    pub(super) fn uses_webhooks(&self) -> bool {
        matches!(self.apply, Target::Webhook(_))
            || matches!(self.verify, Target::Webhook(_))
            || self.notify.iter().any(|notice| matches!(notice, Notice::Webhook(_)))
    }

    /// The two accounts that take turns, if there are two.
    pub(super) fn turns(&self) -> Option<&AccountTarget> {
        match &self.apply {
            Target::Database(target) if target.accounts.len() == 2 => Some(target),
            _ => None,
        }
    }

    /// The plan for people and programs; no key.
    pub(super) fn shown(&self, path: &str) -> Map<String, Value> {
        let Schedule { every, cron, at, reads } = &self.schedule;
        let shown = json!({
            "id": self.id,
            "path": path,
            "field": self.field,
            "every": every.map(format_duration),
            "cron": cron,
            "at": at.map(|at| at.rfc3339()),
            "after_reads": reads,
            "on_leak": self.on_leak,
            "grace": format_duration(self.grace),
            "leak_grace": format_duration(self.leak_grace),
            "generate": self.generate,
            "apply": self.apply,
            "verify": self.verify,
            "notify": self.notify,
            "timeout": format_duration(self.timeout),
            "attempts": self.attempts,
            "pause_after": self.pause_after,
            "validate_failures_per_minute": self.validate_failures_per_minute,
            "created": self.created.rfc3339(),
            "updated": self.updated.rfc3339(),
            "author": self.author,
        });
        match shown {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// Refuses names that could not be members of a secret.
pub(super) fn check_field(name: &str, value: &str) -> Result<(), Error> {
    match value.is_empty() || value.len() > 256 || value.chars().any(char::is_control) {
        true => Err(Error::invalid(format!("{name} must be a name of 1 to 256 characters"))),
        false => Ok(()),
    }
}
