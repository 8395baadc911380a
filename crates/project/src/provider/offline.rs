//! A provider that reaches a host, while no host may be reached: it answers with what its cache has, and changes nothing.

use super::{Address, Lease, Outcome, Provider, ProviderError, Reach, Stored};
use strongroom_secret::SecretBytes;

pub(super) struct Offline {
    inner: Box<dyn Provider>,
    /// Whether `inner` is a cache, which knows that we are offline.
    has_cache: bool,
}

impl Offline {
    pub(super) fn new(inner: Box<dyn Provider>, has_cache: bool) -> Self {
        Self { inner, has_cache }
    }

    fn refusal(&self) -> ProviderError {
        ProviderError::unreachable(format!("{} is not asked: we are offline", self.inner.place()))
    }
}

impl Provider for Offline {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn reach(&self) -> Reach {
        self.inner.reach()
    }

    fn address_of(&self, name: &str) -> Address {
        self.inner.address_of(name)
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        if self.has_cache {
            return self.inner.fetch(addresses);
        }
        let error = self.refusal().looked("the cache, which this provider does not have").hint(
            "`cache = \"8h\"` in the provider's table keeps what it says, encrypted; a run that is not offline then fills it",
        );
        addresses.iter().map(|_| Err(error.clone())).collect()
    }

    fn store(&self, address: &Address, _value: &SecretBytes) -> Result<Stored, ProviderError> {
        Err(self.refusal().looked(address))
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        Err(self.refusal().looked(address))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        Err(self.refusal().looked(path))
    }

    fn renew(&self, _lease: &Lease) -> Result<Lease, ProviderError> {
        Err(self.refusal())
    }

    fn revoke(&self, _lease: &Lease) -> Result<(), ProviderError> {
        Err(self.refusal())
    }
}
