//! The keys that changed lately, to tell whether a transaction read something that has changed since.

use crate::{CommitIndex, Read, Transaction};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Remembers the newest changes, within bounds. What is older counts as a conflict: the caller runs its transaction
/// again on a newer snapshot.
pub(crate) struct ConflictWindow {
    /// Changes up to here are forgotten.
    floor: CommitIndex,
    newest_by_key: HashMap<Arc<[u8]>, CommitIndex>,
    /// In order of commit.
    changes: VecDeque<(CommitIndex, Arc<[u8]>)>,
    key_bytes: usize,
}

const CHANGES_MAX: usize = 100_000;
const KEY_BYTES_MAX: usize = 16 << 20;

impl ConflictWindow {
    pub(crate) fn new(floor: CommitIndex) -> Self {
        Self { floor, newest_by_key: HashMap::new(), changes: VecDeque::new(), key_bytes: 0 }
    }

    /// Forgets everything: a base below `floor` conflicts.
    pub(crate) fn reset(&mut self, floor: CommitIndex) {
        *self = Self::new(floor);
    }

    /// Whether something that the transaction read may have changed after its base. A transaction that read nothing
    /// has no conflict.
    pub(crate) fn conflicts(&self, transaction: &Transaction) -> bool {
        if transaction.reads.is_empty() {
            return false;
        }
        transaction.base < self.floor
            || transaction.reads.iter().any(|read| self.changed(read, transaction.base))
    }

    /// Records a commit. Indexes never go down.
    pub(crate) fn record(&mut self, index: CommitIndex, transaction: &Transaction) {
        for write in &transaction.writes {
            let key: Arc<[u8]> = Arc::from(write.key.as_slice());
            self.key_bytes += key.len();
            self.newest_by_key.insert(Arc::clone(&key), index);
            self.changes.push_back((index, key));
        }
        self.forget_oldest();
    }

    fn changed(&self, read: &Read, base: CommitIndex) -> bool {
        match read {
            Read::Key(key) => self.newest_by_key.get(key.as_slice()).is_some_and(|newest| *newest > base),
            Read::Range { start, end } => {
                let inside =
                    |key: &[u8]| start.as_slice() <= key && end.as_deref().is_none_or(|end| key < end);
                self.changes.iter().rev().take_while(|(index, _)| *index > base).any(|(_, key)| inside(key))
            }
        }
    }

    fn forget_oldest(&mut self) {
        while self.changes.len() > CHANGES_MAX || self.key_bytes > KEY_BYTES_MAX {
            let Some((index, key)) = self.changes.pop_front() else { break };
            self.floor = index;
            self.key_bytes -= key.len();
            if self.newest_by_key.get(&key) == Some(&index) {
                self.newest_by_key.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Write;

    fn transaction(base: u64, reads: Vec<Read>, written: &[&[u8]]) -> Transaction {
        let writes = written.iter().map(|key| Write { key: key.to_vec(), value: None }).collect();
        Transaction { base: CommitIndex(base), reads, writes }
    }

    #[test]
    fn keys_and_ranges_conflict_after_the_base_alone() {
        let mut window = ConflictWindow::new(CommitIndex(10));
        window.record(CommitIndex(11), &transaction(0, vec![], &[b"b"]));
        window.record(CommitIndex(12), &transaction(0, vec![], &[b"d"]));
        let key = |text: &str| Read::Key(text.into());
        let range = |start: &str, end: &str| Read::Range { start: start.into(), end: Some(end.into()) };
        for (base, read, expected) in [
            (10, key("b"), true),
            (11, key("b"), false),
            (11, key("d"), true),
            (10, key("c"), false),
            (9, key("c"), true),
            (10, range("a", "b"), false),
            (10, range("b", "c"), true),
            (11, range("a", "d"), false),
            (11, Read::Range { start: b"c".to_vec(), end: None }, true),
        ] {
            assert_eq!(
                window.conflicts(&transaction(base, vec![read.clone()], &[])),
                expected,
                "{base} {read:?}"
            );
        }
        assert!(!window.conflicts(&transaction(0, vec![], &[b"b"])), "a blind write has no conflict");
    }

    #[test]
    fn forgotten_changes_conflict() {
        let mut window = ConflictWindow::new(CommitIndex(0));
        for index in 1..=CHANGES_MAX as u64 + 5 {
            window.record(CommitIndex(index), &transaction(0, vec![], &[&index.to_be_bytes()]));
        }
        assert_eq!(window.changes.len(), CHANGES_MAX);
        assert_eq!(window.newest_by_key.len(), CHANGES_MAX);
        assert!(window.conflicts(&transaction(4, vec![Read::Key(b"other".to_vec())], &[])));
        assert!(!window.conflicts(&transaction(5, vec![Read::Key(b"other".to_vec())], &[])));
    }
}
