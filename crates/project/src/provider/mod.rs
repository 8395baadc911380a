//! Where secrets come from. A provider answers for many addresses at once, in as few round trips as its service allows.
//!
//! The manifest names providers; [`Kind`] turns a provider's table into a [`Provider`]; [`fetch_all`] asks several at
//! once. Nothing is connected to, and no TLS is set up, before a remote provider is asked for something.

mod aws_parameter_store;
mod aws_secrets_manager;
mod azure_key_vault;
mod cache;
mod command;
mod error;
mod fetch;
mod file;
mod google_secret_manager;
mod heroku;
mod offline;
mod process;
mod remote;
mod settings;
mod vault;
mod whole;

pub use error::{ErrorKind, ProviderError};
pub use fetch::{Batch, fetch_all};
pub use settings::{KINDS, Kind, Need, Rule, Setting, Settings, SettingsError, Shape};

pub(crate) use whole::SecretTree;

use std::fmt;
use std::time::Duration;
use strongroom_secret::{SecretBytes, Timestamp};
use thiserror::Error;

/// Something that holds secrets.
pub trait Provider: Send + Sync {
    /// Where it is, for people: "Vault at https://vault.test", ".env, .env.local".
    fn place(&self) -> String;

    /// Whether asking it runs a program or reaches a host.
    fn reach(&self) -> Reach {
        Reach::Local
    }

    /// Where a secret lies here whose declaration does not say.
    fn address_of(&self, name: &str) -> Address;

    /// Reads all of these, and answers in the same order.
    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome>;

    /// Writes a value; the other keys of the same path stay. `version` of the address, if there is one, must still be
    /// the newest (where the service can check that).
    fn store(&self, address: &Address, _value: &SecretBytes) -> Result<Stored, ProviderError> {
        Err(cannot(self, "be written", address))
    }

    /// Takes a value away; the other keys of the same path stay. Nothing there is no error.
    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        Err(cannot(self, "be removed from", address))
    }

    /// What lies at or below a path: keys of a map, or paths. Names alone.
    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        Err(cannot(self, "be listed", &Address::of_path(path)))
    }

    /// Lengthens a lease and answers with what it has become.
    fn renew(&self, lease: &Lease) -> Result<Lease, ProviderError> {
        Err(cannot(self, "renew leases", &Address::of_path(lease.id.as_str())))
    }

    /// Ends a lease.
    fn revoke(&self, lease: &Lease) -> Result<(), ProviderError> {
        Err(cannot(self, "revoke leases", &Address::of_path(lease.id.as_str())))
    }

    /// What it has logged in with by itself, if it has. All that it lends ends with it.
    fn login(&self) -> Option<Lease> {
        None
    }

    /// Lengthens its own login and answers with what it has become.
    fn renew_login(&self) -> Result<Lease, ProviderError> {
        Err(ProviderError::unsupported(format!("{} has no login of its own", self.place())))
    }

    /// Ends its own login; it is not asked for anything afterwards. A provider that is dropped does so by itself, unless
    /// something that it has lent would end too.
    fn log_out(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Ends all that it has lent: it was only looked at.
    fn take_back(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

fn cannot<P: Provider + ?Sized>(provider: &P, what: &str, address: &Address) -> ProviderError {
    ProviderError::unsupported(format!("{} cannot {what}", provider.place())).looked(address)
}

/// What a fetch of one address comes to. `None`: the provider was asked, and there is nothing.
pub type Outcome = Result<Option<Found>, ProviderError>;

/// Where one value lies in a provider. As text: `path`, `path#key`, `path?version=3#key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// In the provider's own words: a variable, a file, `secret/shop/prod`, an ARN.
    pub path: String,
    /// One entry of a map; dots lead into nested maps where the path as it is written is no entry. None is the value as a
    /// whole (a map as JSON).
    pub key: Option<String>,
    /// An older version: a number, an id, or a label, in the provider's own words.
    pub version: Option<String>,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("the path is missing: write path, path#key or path?version=3#key")]
    NoPath,
    #[error("the key after # is empty")]
    NoKey,
    #[error("after ? only version=… may stand")]
    Question,
}

impl Address {
    pub fn of_path(path: impl Into<String>) -> Self {
        Self { path: path.into(), key: None, version: None }
    }

    pub fn of_key(path: impl Into<String>, key: impl Into<String>) -> Self {
        Self { path: path.into(), key: Some(key.into()), version: None }
    }

    /// For people: a provider whose one path is its place is said once.
    pub fn shown_in(&self, place: &str) -> String {
        match &self.key {
            Some(key) if self.path == place && self.version.is_none() => format!("{key} in {place}"),
            _ => format!("{self} in {place}"),
        }
    }

    /// Reads what a `ref` in the manifest says.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (place, key) = match text.split_once('#') {
            Some((_, "")) => return Err(AddressError::NoKey),
            Some((place, key)) => (place, Some(key.to_owned())),
            None => (text, None),
        };
        let (path, version) = match place.split_once('?') {
            Some((path, query)) => match query.strip_prefix("version=").filter(|version| !version.is_empty())
            {
                Some(version) => (path, Some(version.to_owned())),
                None => return Err(AddressError::Question),
            },
            None => (place, None),
        };
        if path.is_empty() {
            return Err(AddressError::NoPath);
        }
        Ok(Self { path: path.to_owned(), key, version })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(version) = &self.version {
            write!(f, "?version={version}")?;
        }
        match &self.key {
            Some(key) => write!(f, "#{key}"),
            None => Ok(()),
        }
    }
}

/// A value, and what is known of it.
#[derive(Debug)]
pub struct Found {
    pub value: SecretBytes,
    /// The provider's name of this version, as `lock` keeps it.
    pub version: Option<String>,
    /// Where exactly: a file and line, a URL without credentials.
    pub origin: String,
    pub created: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    /// The value lives as long as this does.
    pub lease: Option<Lease>,
    pub freshness: Freshness,
}

impl Found {
    pub fn new(value: SecretBytes, origin: impl Into<String>) -> Self {
        Self {
            value,
            version: None,
            origin: origin.into(),
            created: None,
            expires: None,
            lease: None,
            freshness: Freshness::Fresh,
        }
    }

    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            value: self.value.duplicate(),
            version: self.version.clone(),
            origin: self.origin.clone(),
            created: self.created,
            expires: self.expires,
            lease: self.lease.clone(),
            freshness: self.freshness,
        }
    }
}

/// How new a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// From the cache, within its time.
    Cached {
        age: Duration,
    },
    /// From the cache, beyond its time, because the provider did not answer: say so.
    Stale {
        age: Duration,
    },
}

/// What a provider lends for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub id: String,
    /// From the moment that it was given or renewed.
    pub duration: Duration,
    pub renewable: bool,
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The provider's name of the new version.
    pub version: Option<String>,
    /// Where it was written, for people.
    pub origin: String,
}

/// What asking a provider does to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Files and variables.
    Local,
    /// Runs this program.
    Command(Vec<String>),
    /// Speaks to this address or service.
    Host(String),
}

#[cfg(test)]
mod tests;
