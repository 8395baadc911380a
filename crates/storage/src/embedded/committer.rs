//! Group commit: transactions that wait are written together and share one disk sync.

use super::database::{WRITE_INDEX, stored};
use super::{Ordering, Shared};
use crate::conflict::ConflictWindow;
use crate::{CommitError, CommitIndex, Completion, Entries, StorageError, Transaction, Write, entry_fits};
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Transactions in one commit.
const GROUP_TRANSACTIONS_MAX: usize = 1024;
/// Keys and values in one commit, in bytes; a single larger transaction is a group of its own.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// How long a group is gathered when writers come in numbers: about as long as a sync takes, so that each of them pays for
/// less of a commit.
const GATHERING: Duration = Duration::from_micros(250);
/// Transactions in the group before from which on writers come in numbers.
const GATHERED_FROM: usize = 4;
/// A group of this size is large enough: what it shares is shared by many already.
const GATHERED_TO: usize = 8;
/// What may wait; beyond this a submit fails at once.
const WAITING_TRANSACTIONS_MAX: usize = 100_000;
const WAITING_BYTES_MAX: usize = 256 << 20;

/// An update in place costs less than `REPLACE`, which removes the old row first.
const PUT: &str =
    "INSERT INTO entries VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Transactions on their way to the committer.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    stopping: Condvar,
}

#[derive(Default)]
struct Waiting {
    pending: VecDeque<Pending>,
    bytes: usize,
    /// Transactions in the group before.
    last_group: usize,
    stopped: bool,
}

struct Pending {
    transaction: Transaction,
    done: Completion,
}

impl Queue {
    /// Gives the completion back with the reason if it is not taken.
    pub(super) fn push(
        &self,
        transaction: Transaction,
        done: Completion,
    ) -> Result<(), (Completion, CommitError)> {
        let mut waiting = self.waiting.lock();
        if waiting.stopped {
            return Err((done, CommitError::Closed));
        }
        let bytes = transaction.write_bytes();
        if waiting.pending.len() >= WAITING_TRANSACTIONS_MAX || waiting.bytes + bytes > WAITING_BYTES_MAX {
            return Err((done, CommitError::Failed("too many transactions are waiting for the disk".into())));
        }
        waiting.bytes += bytes;
        waiting.pending.push_back(Pending { transaction, done });
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// What waits is still committed; nothing new is taken.
    pub(super) fn stop(&self) {
        self.waiting.lock().stopped = true;
        self.arrived.notify_all();
        self.stopping.notify_all();
    }

    /// Waits for transactions and takes all there are, within the bounds of a group. Groups form by themselves: while
    /// one is synced the next one queues up. If this one is smaller than the one before, there are writers who are not
    /// here yet: they are waited for a little. A single writer never waits for company. None after the end.
    fn next_group(&self) -> Option<Vec<Pending>> {
        let mut waiting = self.waiting.lock();
        while waiting.pending.is_empty() {
            if waiting.stopped {
                return None;
            }
            self.arrived.wait(&mut waiting);
        }
        let here = waiting.pending.len();
        let is_early = here < GATHERED_TO && here < waiting.last_group;
        if waiting.last_group >= GATHERED_FROM && is_early && !waiting.stopped {
            // Not woken by those who arrive.
            self.stopping.wait_for(&mut waiting, GATHERING);
        }
        let mut group = Vec::with_capacity(waiting.pending.len().min(GROUP_TRANSACTIONS_MAX));
        let mut group_bytes = 0;
        while let Some(next) = waiting.pending.front() {
            let bytes = next.transaction.write_bytes();
            if group.len() == GROUP_TRANSACTIONS_MAX
                || (!group.is_empty() && group_bytes + bytes > GROUP_BYTES_MAX)
            {
                break;
            }
            group_bytes += bytes;
            group.extend(waiting.pending.pop_front());
        }
        waiting.bytes -= group_bytes;
        waiting.last_group = group.len();
        Some(group)
    }
}

/// The committer's thread.
pub(super) fn run(shared: &Shared) {
    while let Some(group) = shared.queue.next_group() {
        let (transactions, completions): (Vec<_>, Vec<_>) =
            group.into_iter().map(|pending| (pending.transaction, pending.done)).unzip();
        let outcomes = shared.writer.lock().commit(shared, transactions);
        for (done, outcome) in completions.into_iter().zip(outcomes) {
            // A caller's panic must not end the commits of all others.
            drop(catch_unwind(AssertUnwindSafe(|| done(outcome))));
        }
    }
}

/// The one connection that writes.
pub(super) struct Writer {
    connection: Connection,
    window: ConflictWindow,
    index: CommitIndex,
    log_pages: Arc<AtomicU32>,
}

type Outcome = Result<CommitIndex, CommitError>;

/// Where a group failed.
enum Failure {
    BeforeCommit(rusqlite::Error),
    AtCommit(rusqlite::Error),
}

impl Writer {
    pub(super) fn new(
        mut connection: Connection,
        window: ConflictWindow,
        index: CommitIndex,
    ) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&log_pages);
        let note_pages = move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            seen.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(note_pages))?;
        Ok(Self { connection, window, index, log_pages })
    }

    /// Commits those transactions of the group that have no conflict, in their order. One outcome for each.
    fn commit(&mut self, shared: &Shared, group: Vec<Transaction>) -> Vec<Outcome> {
        if shared.is_closed() {
            return group.iter().map(|_| Err(CommitError::Closed)).collect();
        }
        let mut newest = self.index;
        let verdicts: Vec<Option<CommitIndex>> = group.iter().map(|it| self.judge(it, &mut newest)).collect();
        let accepted: Vec<(CommitIndex, Vec<Write>)> = verdicts
            .iter()
            .zip(group)
            .filter_map(|(verdict, transaction)| Some(((*verdict)?, transaction.writes)))
            .collect();
        let conflicts = verdicts.len() - accepted.len();
        shared.counters.conflicts.fetch_add(conflicts as u64, Ordering::Relaxed);
        let written = if accepted.is_empty() { Ok(()) } else { self.write(shared, &accepted, newest) };
        match written {
            Ok(()) => {
                self.committed(shared, newest, accepted.len() as u64);
                verdicts.into_iter().map(|verdict| verdict.ok_or(CommitError::Conflict)).collect()
            }
            Err(failure) => {
                let (explain, stays_open) = judge_failure(&failure);
                self.undo(shared, stays_open);
                verdicts.into_iter().map(|it| Err(it.map_or(CommitError::Conflict, |_| explain()))).collect()
            }
        }
    }

    /// The index the transaction gets; None if it conflicts with an earlier commit or with one before it in the group.
    fn judge(&mut self, transaction: &Transaction, newest: &mut CommitIndex) -> Option<CommitIndex> {
        if self.window.conflicts(transaction) {
            return None;
        }
        newest.0 += 1;
        self.window.record(*newest, transaction);
        Some(*newest)
    }

    fn write(
        &self,
        shared: &Shared,
        group: &[(CommitIndex, Vec<Write>)],
        index: CommitIndex,
    ) -> Result<(), Failure> {
        shared.timeline.announce(self.index, group);
        self.write_entries(group, index).map_err(Failure::BeforeCommit)?;
        self.run("COMMIT").map_err(Failure::AtCommit)
    }

    fn write_entries(&self, group: &[(CommitIndex, Vec<Write>)], index: CommitIndex) -> rusqlite::Result<()> {
        self.run("BEGIN IMMEDIATE")?;
        let mut put = self.connection.prepare_cached(PUT)?;
        let mut remove = self.connection.prepare_cached("DELETE FROM entries WHERE key = ?1")?;
        // Neighbours one after the other; of one key in the order in which they came.
        let mut writes: Vec<&Write> = group.iter().flat_map(|(_, writes)| writes).collect();
        writes.sort_by(|one, other| one.key.cmp(&other.key));
        for write in writes {
            match &write.value {
                Some(value) => put.execute([&write.key, value])?,
                None => remove.execute([&write.key])?,
            };
        }
        self.connection.prepare_cached(WRITE_INDEX)?.execute([stored(index)])?;
        Ok(())
    }

    fn run(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    fn committed(&mut self, shared: &Shared, newest: CommitIndex, transactions: u64) {
        if transactions == 0 {
            return;
        }
        self.index = newest;
        shared.timeline.publish(newest);
        shared.counters.commits.fetch_add(1, Ordering::Relaxed);
        shared.counters.transactions.fetch_add(transactions, Ordering::Relaxed);
        shared.keeper.committed(self.log_pages.load(Ordering::Relaxed));
    }

    /// Puts everything back as before a failed group.
    fn undo(&mut self, shared: &Shared, stays_open: bool) {
        let rolled_back = self.connection.is_autocommit() || self.run("ROLLBACK").is_ok();
        if !(stays_open && rolled_back) {
            // Whether views of the database show it, nobody knows: no more of them are taken.
            return shared.close();
        }
        shared.timeline.begin(self.index);
        self.window.reset(self.index);
    }

    /// See [`crate::Storage::replace`].
    pub(super) fn replace(
        &mut self,
        shared: &Shared,
        above: CommitIndex,
        entries: &mut Entries<'_>,
    ) -> Result<CommitIndex, StorageError> {
        if shared.is_closed() {
            return Err(StorageError::Closed);
        }
        let index = CommitIndex(self.index.max(above).0 + 1);
        shared.timeline.suspend();
        let loaded = self.load(index, entries);
        let written = loaded
            .and_then(|()| self.run("COMMIT").map_err(|error| ReplaceError::Sql(Failure::AtCommit(error))));
        let error = match written {
            Ok(()) => {
                self.window.reset(index);
                shared.timeline.begin(index);
                self.committed(shared, index, 1);
                return Ok(index);
            }
            Err(error) => error,
        };
        match error {
            ReplaceError::Entry(error) => {
                self.undo(shared, true);
                Err(error)
            }
            ReplaceError::Sql(failure) => {
                let (explain, stays_open) = judge_failure(&failure);
                self.undo(shared, stays_open);
                Err(match explain() {
                    CommitError::Full => StorageError::Full,
                    other => StorageError::Failed(other.to_string()),
                })
            }
        }
    }

    fn load(&self, index: CommitIndex, entries: &mut Entries<'_>) -> Result<(), ReplaceError> {
        self.run("BEGIN IMMEDIATE")?;
        self.run("DELETE FROM entries")?;
        let mut insert = self.connection.prepare_cached("INSERT INTO entries VALUES (?1, ?2)")?;
        for entry in entries {
            let (key, value) = entry.map_err(ReplaceError::Entry)?;
            if !entry_fits(&key, &value) {
                let text = "a key or value exceeds the limit of the store".into();
                return Err(ReplaceError::Entry(StorageError::Failed(text)));
            }
            insert.execute([&key, &value])?;
        }
        self.connection.prepare_cached(WRITE_INDEX)?.execute([stored(index)])?;
        Ok(())
    }
}

enum ReplaceError {
    Entry(StorageError),
    Sql(Failure),
}

impl From<rusqlite::Error> for ReplaceError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(Failure::BeforeCommit(error))
    }
}

/// What to tell every transaction of the group, and whether the store can go on.
fn judge_failure(failure: &Failure) -> (Box<dyn Fn() -> CommitError>, bool) {
    let (Failure::BeforeCommit(error) | Failure::AtCommit(error)) = failure;
    let text = error.to_string();
    match (error.sqlite_error_code(), failure) {
        (Some(ErrorCode::DiskFull), _) => (Box::new(|| CommitError::Full), true),
        (Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked), _) => {
            let text = format!("another program holds the database: {text}");
            (Box::new(move || CommitError::Failed(text.clone())), true)
        }
        (_, Failure::BeforeCommit(_)) => (Box::new(move || CommitError::Failed(text.clone())), false),
        (_, Failure::AtCommit(_)) => (Box::new(move || CommitError::Unknown(text.clone())), false),
    }
}
