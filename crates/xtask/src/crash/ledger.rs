use serde_json::{Value, json};
use std::collections::BTreeMap;
use strongroom_secret::Entropy;
use strongroom_testkit::SeededEntropy;

/// How many versions of a key the server keeps unless told otherwise.
const VERSIONS_KEPT: usize = 10;

/// A write: which of the writer's keys, and which of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub key: u64,
    pub sequence: u64,
}

/// What one writer wrote and what the server acknowledged. No other writer touches its keys.
pub(crate) struct Ledger {
    writer: u64,
    seed: u64,
    keys: u64,
    random: SeededEntropy,
    sequence: u64,
    /// The newest versions of each key with the sequence of their values, oldest first.
    versions: BTreeMap<u64, Vec<(u64, u64)>>,
    pub under_way: Option<Attempt>,
    pub acknowledged: u64,
}

impl Ledger {
    /// A writer that spreads its writes over this many keys.
    pub(crate) fn new(seed: u64, writer: u64, keys: u64) -> Self {
        let random = SeededEntropy::new(seed ^ writer.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self {
            writer,
            seed,
            keys,
            random,
            sequence: 0,
            versions: BTreeMap::new(),
            under_way: None,
            acknowledged: 0,
        }
    }

    /// Chooses the next write. It is under way until it is acknowledged.
    pub(crate) fn begin(&mut self) -> Attempt {
        self.sequence += 1;
        let attempt = Attempt { key: self.random.below(self.keys), sequence: self.sequence };
        self.under_way = Some(attempt);
        attempt
    }

    pub(crate) fn acknowledge(&mut self, attempt: Attempt, version: u64) {
        self.under_way = None;
        self.acknowledged += 1;
        let versions = self.versions.entry(attempt.key).or_default();
        versions.push((version, attempt.sequence));
        if versions.len() > VERSIONS_KEPT {
            versions.remove(0);
        }
    }

    pub(crate) fn path(&self, key: u64) -> String {
        format!("writer{}/key{key}", self.writer)
    }

    /// The value of a write, made from its numbers alone: two fields that must agree and a text of any length.
    pub(crate) fn value(&self, attempt: Attempt) -> Value {
        let random = SeededEntropy::new(self.seed ^ (self.writer << 48) ^ attempt.sequence);
        let length = match random.below(20) {
            0 => 1 + random.below(60_000),
            _ => 1 + random.below(600),
        };
        let mut bytes = vec![0; length as usize];
        random.fill(&mut bytes);
        let text: String = bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        json!({"first": attempt.sequence.to_string(), "last": attempt.sequence.to_string(), "text": text})
    }

    /// Every version that must be readable: key, version, sequence.
    pub(crate) fn promised(&self) -> Vec<(u64, u64, u64)> {
        let of_key = |(key, versions): (&u64, &Vec<(u64, u64)>)| {
            versions.iter().map(|(version, sequence)| (*key, *version, *sequence)).collect::<Vec<_>>()
        };
        self.versions.iter().flat_map(of_key).collect()
    }

    /// The newest version of a key and the sequence of its value.
    pub(crate) fn newest(&self, key: u64) -> Option<(u64, u64)> {
        self.versions.get(&key).and_then(|versions| versions.last().copied())
    }

    pub(crate) fn newest_of_all(&self) -> Vec<(u64, (u64, u64))> {
        self.versions.iter().filter_map(|(key, versions)| Some((*key, *versions.last()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_versions_that_a_server_keeps_are_promised() {
        let mut ledger = Ledger::new(1, 0, 20);
        for version in 1..=12 {
            ledger.acknowledge(Attempt { key: 3, sequence: version + 100 }, version);
        }
        assert_eq!(ledger.promised().len(), VERSIONS_KEPT);
        assert_eq!(ledger.newest(3), Some((12, 112)));
        assert_eq!(ledger.promised().first(), Some(&(3, 3, 103)));
    }

    #[test]
    fn a_value_follows_from_its_numbers() {
        let attempt = Attempt { key: 0, sequence: 9 };
        assert_eq!(Ledger::new(1, 2, 20).value(attempt), Ledger::new(1, 2, 20).value(attempt));
        assert_ne!(Ledger::new(1, 2, 20).value(attempt), Ledger::new(1, 3, 20).value(attempt));
    }
}
