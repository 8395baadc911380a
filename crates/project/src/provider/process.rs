//! The environment that this program was started with.

use super::settings::{Kind, Rule, Shape};
use super::{Address, Found, Outcome, Provider, ProviderError};
use crate::surroundings::Surroundings;
use std::sync::Arc;

pub(super) const KIND: Kind = Kind::new(
    "process",
    "the environment that strongroom is started with",
    &[Rule::optional("prefix", Shape::Text, "what stands before every name, as APP_")],
    |settings, surroundings| {
        let prefix = settings.text("prefix").unwrap_or_default().to_owned();
        Ok(Box::new(Process { prefix, surroundings: Arc::clone(surroundings) }))
    },
);

struct Process {
    prefix: String,
    surroundings: Arc<Surroundings>,
}

impl Provider for Process {
    fn place(&self) -> String {
        "the process environment".to_owned()
    }

    fn address_of(&self, name: &str) -> Address {
        Address::of_path(format!("{}{name}", self.prefix))
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let variables = &self.surroundings.variables;
        let found = |address: &Address| {
            let value = variables.bytes(&address.path)?;
            Some(Found::new(value.duplicate(), format!("environment variable {}", address.path)))
        };
        addresses.iter().map(|address| Ok(found(address))).collect()
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        let names = self.surroundings.variables.names();
        Ok(names.filter(|name| name.starts_with(path)).map(str::to_owned).collect())
    }
}
