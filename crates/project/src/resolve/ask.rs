//! Which provider is asked for what, and when.

use super::{Depth, Opened, Request};
use crate::manifest::{Environment, Manifest, PROCESS, Secret};
use crate::provider::{Batch, Found, Outcome, Provider, ProviderError, Reach, fetch_all};
use std::collections::BTreeMap;

pub(super) struct Asker<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) environment: &'a Environment,
    pub(super) opened: &'a Opened,
    pub(super) request: &'a Request<'a>,
}

/// What the providers have for one secret.
#[derive(Default)]
pub(super) struct Answer {
    /// By provider, in the order of the environment.
    pub(super) found: Vec<(String, Found)>,
    /// The providers that failed before any other had a value.
    pub(super) errors: Vec<(String, ProviderError)>,
}

/// What one provider said of one secret; its rank is its place in the order.
type Said = BTreeMap<String, BTreeMap<usize, Outcome>>;

impl Asker<'_> {
    pub(super) fn places(&self) -> Vec<String> {
        self.opened.in_order(self.environment).map(|(_, provider)| provider.place()).collect()
    }

    pub(super) fn ask(&self, wanted: &[&Secret]) -> BTreeMap<String, Answer> {
        let order: Vec<(&str, &dyn Provider)> = self.opened.in_order(self.environment).collect();
        let mut said = Said::new();
        let (local, remote): (Vec<usize>, Vec<usize>) = (0..order.len())
            .partition(|rank| order.get(*rank).is_some_and(|(_, provider)| provider.reach() == Reach::Local));
        for rank in local {
            self.round(&order, &[rank], wanted, &mut said);
        }
        self.round(&order, &remote, wanted, &mut said);
        said.into_iter().map(|(name, outcomes)| (name, answer(&order, outcomes))).collect()
    }

    /// Asks some providers at once, each for what no provider before it is known to have.
    fn round(&self, order: &[(&str, &dyn Provider)], ranks: &[usize], wanted: &[&Secret], said: &mut Said) {
        let mut batches = Vec::new();
        let mut asked: Vec<(usize, Vec<&str>)> = Vec::new();
        for rank in ranks {
            let Some((provider_name, provider)) = order.get(*rank) else { continue };
            let names: Vec<&Secret> = wanted
                .iter()
                .filter(|secret| self.is_asked(secret, provider_name, *rank, said))
                .copied()
                .collect();
            let addresses = names.iter().filter_map(|secret| {
                let reference = secret.references.get(*provider_name);
                let mut address = self.opened.address(provider_name, &secret.name, reference)?;
                if let Some(pins) = self.request.pins {
                    address.version = pins(&secret.name, provider_name).or(address.version);
                }
                Some(address)
            });
            batches.push(Batch { provider: *provider, addresses: addresses.collect() });
            asked.push((*rank, names.iter().map(|secret| secret.name.as_str()).collect()));
        }
        for ((rank, names), outcomes) in asked.into_iter().zip(fetch_all(&batches)) {
            for (name, outcome) in names.into_iter().zip(outcomes) {
                said.entry(name.to_owned()).or_default().insert(rank, outcome);
            }
        }
    }

    fn is_asked(&self, secret: &Secret, provider: &str, rank: usize, said: &Said) -> bool {
        // What is composed may be overridden by hand, for one run, and by nothing that lies about.
        let process = self.manifest.providers.get(provider).is_some_and(|provider| provider.kind == PROCESS);
        if secret.compose.is_some() && !process {
            return false;
        }
        let known = || {
            let before = said.get(&secret.name).into_iter().flat_map(|outcomes| outcomes.range(..rank));
            before.map(|(_, outcome)| outcome).any(|outcome| matches!(outcome, Ok(Some(_))))
        };
        self.request.depth == Depth::Every || !known()
    }
}

fn answer(order: &[(&str, &dyn Provider)], outcomes: BTreeMap<usize, Outcome>) -> Answer {
    let mut answer = Answer::default();
    for (rank, outcome) in outcomes {
        let Some((provider, _)) = order.get(rank) else { continue };
        match outcome {
            Ok(Some(found)) => answer.found.push(((*provider).to_owned(), found)),
            Ok(None) => {}
            // A value further down may be an old one: nothing is taken past a provider that could not say.
            Err(error) if answer.found.is_empty() => {
                answer.errors.push(((*provider).to_owned(), error));
            }
            Err(_) => {}
        }
    }
    answer
}
