//! What the kernel knows of a secrets engine or an auth method: a name and tables of plain functions.

use crate::call::Call;
use crate::error::Error;
use crate::fingerprints::FingerprintFunctions;
use crate::leases::LeaseRecord;
use crate::mounts::Mount;
use crate::outbox::{Chores, Intent, Outward};
use crate::probing::Look;
use crate::request::LoginGrant;
use crate::rotation::{AccountFunctions, SecretFunctions};
use crate::route::Route;
use crate::tokens::TokenEntry;
use crate::transaction::Tx;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::Timestamp;

/// Whether it hands out secrets or lets people in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Secret,
    Auth,
}

/// A secrets engine or an auth method.
pub struct Backend {
    /// The type that a mount names: `kv`, `approle`.
    pub kind: &'static str,
    pub class: Class,
    /// The mount option `version` that this is the implementation of; None where there is but one.
    pub version: Option<&'static str>,
    pub summary: &'static str,
    /// The route tables, in the order in which they are searched.
    pub routes: &'static [&'static [Route]],
    /// What to keep in memory for one mount.
    pub memory: fn() -> Arc<dyn Any + Send + Sync>,
    /// Called within the transaction that makes the mount: initial records, and options to be checked.
    pub enable: fn(&mut Call<'_>, &mut Map<String, Value>) -> Result<(), Error>,
    /// Extends what was handed out; says for how long. None: its leases cannot be renewed.
    pub renew: Option<fn(&mut Call<'_>, &LeaseRecord) -> Result<Renewal, Error>>,
    /// Takes back what was handed out, before the lease is removed.
    pub revoke: Option<fn(&mut Call<'_>, &LeaseRecord) -> Result<(), Error>>,
    /// Takes back what was handed out where that is outside the store. Then its leases have an index of their own, and
    /// `revoke` is not asked. Must allow for being asked twice.
    pub revoke_outward: Option<fn(&mut Call<'_>, &LeaseRecord) -> Result<Outward, Error>>,
    /// Brings the new end of a renewed lease to where its subject is.
    pub extend_outward: Option<fn(&mut Call<'_>, &LeaseRecord, Timestamp) -> Result<Outward, Error>>,
    /// Undoes what an intent speaks of, which may have been done or not, or finishes it. Its transaction is not
    /// committed; that of its conclusion removes the intent. Must allow for being asked twice.
    pub recover: Option<fn(&mut Call<'_>, &Intent) -> Result<Outward, Error>>,
    /// Looks once more at somebody whose token is to be renewed: their role may have changed or gone.
    pub renew_login: Option<fn(&mut Call<'_>, &TokenEntry) -> Result<LoginGrant, Error>>,
    /// The name of the user that a login speaks of, before it is proven: lockout counts by it.
    pub login_name: Option<fn(&Call<'_>) -> Option<String>>,
    /// Brings what the version before kept into its own form: a bounded piece of it, and whether there is more.
    pub upgrade: Option<fn(&mut Tx<'_>, &Mount, Timestamp) -> Result<Tidied, Error>>,
    /// Small regular work (expired secret-ids): a bounded piece of it, and whether there is more.
    pub tidy: Option<fn(&mut Call<'_>) -> Result<Tidied, Error>>,
    /// What it does outside by itself.
    pub chores: Option<&'static Chores>,
    /// What is to be looked at outside, now: a bounded piece of it.
    pub looks: Option<fn(&mut Call<'_>) -> Result<Vec<Look>, Error>>,
    /// Accounts elsewhere whose passwords a rotation can change.
    pub account: Option<&'static AccountFunctions>,
    /// Versions of secrets that a rotation can write.
    pub secrets: Option<&'static SecretFunctions>,
    /// Values of people, which a scan is to find wherever they get to.
    pub fingerprints: Option<&'static FingerprintFunctions>,
}

/// How long a renewed lease may live from now.
pub struct Renewal {
    pub ttl: Duration,
    pub ttl_max: Option<Duration>,
}

/// Whether a piece of tidying was the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tidied {
    All,
    More,
}

/// No state in memory.
pub fn no_memory() -> Arc<dyn Any + Send + Sync> {
    Arc::new(())
}

/// Nothing to do when enabled.
pub fn enable_as_it_is(_: &mut Call<'_>, _: &mut Map<String, Value>) -> Result<(), Error> {
    Ok(())
}

impl Backend {
    /// Whether its leases stand for something that has to be taken back.
    pub fn takes_back(&self) -> bool {
        self.revoke.is_some() || self.revoke_outward.is_some()
    }

    /// A backend with routes alone; name what else it does by struct update.
    pub const fn new(
        kind: &'static str,
        class: Class,
        summary: &'static str,
        routes: &'static [&'static [Route]],
    ) -> Self {
        Self {
            kind,
            class,
            version: None,
            summary,
            routes,
            memory: no_memory,
            enable: enable_as_it_is,
            renew: None,
            revoke: None,
            revoke_outward: None,
            extend_outward: None,
            recover: None,
            chores: None,
            renew_login: None,
            login_name: None,
            upgrade: None,
            tidy: None,
            looks: None,
            account: None,
            secrets: None,
            fingerprints: None,
        }
    }
}

/// The backends that this server has.
#[derive(Default)]
pub struct Registry {
    backends: Vec<&'static Backend>,
}

impl Registry {
    pub fn new(backends: Vec<&'static Backend>) -> Self {
        Self { backends }
    }

    /// The backend of a type, in the version that the mount's options ask for (the lowest without one).
    pub fn find(&self, class: Class, kind: &str, options: &Map<String, Value>) -> Option<&'static Backend> {
        let version = match options.get("version") {
            Some(Value::String(version)) if !version.is_empty() => Some(version.clone()),
            Some(Value::Number(version)) => Some(version.to_string()),
            _ => None,
        };
        self.backends.iter().copied().find(|backend| {
            backend.class == class
                && backend.kind == kind
                && match (&version, backend.version) {
                    (Some(wanted), Some(version)) => wanted == version,
                    (None, _) | (_, None) => true,
                }
        })
    }

    pub fn kinds(&self, class: Class) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.backends.iter().filter(|b| b.class == class).map(|b| b.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}
