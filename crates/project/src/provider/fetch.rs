use super::{Address, Outcome, Provider, ProviderError, Reach};
use std::thread;

/// What one provider is asked for.
pub struct Batch<'p> {
    pub provider: &'p dyn Provider,
    pub addresses: Vec<Address>,
}

/// Asks several providers at once, and answers in the same order. Local ones are asked in place; a thread is started only
/// where there is a wait to share.
pub fn fetch_all(batches: &[Batch<'_>]) -> Vec<Vec<Outcome>> {
    let remote = |batch: &Batch<'_>| batch.provider.reach() != Reach::Local;
    if batches.iter().filter(|batch| remote(batch)).count() < 2 {
        return batches.iter().map(fetch_one).collect();
    }
    thread::scope(|scope| {
        let asked: Vec<_> = batches
            .iter()
            .map(|batch| match remote(batch) {
                true => Asked::Elsewhere(
                    thread::Builder::new().spawn_scoped(scope, || fetch_one(batch)).ok(),
                    batch,
                ),
                false => Asked::Here(fetch_one(batch)),
            })
            .collect();
        asked.into_iter().map(Asked::outcomes).collect()
    })
}

fn fetch_one(batch: &Batch<'_>) -> Vec<Outcome> {
    if batch.addresses.is_empty() { Vec::new() } else { batch.provider.fetch(&batch.addresses) }
}

enum Asked<'s, 'b> {
    Here(Vec<Outcome>),
    /// Without a thread (the system has none left), the batch is asked when its turn comes.
    Elsewhere(Option<thread::ScopedJoinHandle<'s, Vec<Outcome>>>, &'b Batch<'b>),
}

impl Asked<'_, '_> {
    fn outcomes(self) -> Vec<Outcome> {
        match self {
            Self::Here(outcomes) => outcomes,
            Self::Elsewhere(None, batch) => fetch_one(batch),
            Self::Elsewhere(Some(thread), batch) => thread.join().unwrap_or_else(|_| {
                let error =
                    ProviderError::malformed(format!("{} gave up: this is a bug", batch.provider.place()));
                batch.addresses.iter().map(|_| Err(error.clone())).collect()
            }),
        }
    }
}
