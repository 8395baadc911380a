//! Work beside the commits: moving the write-ahead log into the database, and keeping the rollback guard.

use super::folder::Guard;
use super::{Durability, Ordering, Shared};
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode};
use std::time::Duration;

/// A checkpoint begins when the log has this many bytes, beside the commits.
const LOG_BYTES: u32 = 16 << 20;
/// Beyond this, commits wait for the rest of a checkpoint, so that the log starts again from its beginning.
const LOG_BYTES_FORCED: u32 = 24 << 20;
/// A log file beyond this is cut.
const LOG_BYTES_KEPT: u64 = 64 << 20;
/// How long commits wait for readers of old snapshots to finish.
const FORCED_WAIT: Duration = Duration::from_millis(50);
/// The guard is at most this far behind.
const GUARD_INTERVAL: Duration = Duration::from_millis(500);

/// What the keeper's thread has to do.
pub(super) struct Keeper {
    /// See [`LOG_BYTES`]; in pages, as SQLite counts.
    log_pages: u32,
    log_pages_forced: u32,
    duty: Mutex<Duty>,
    changed: Condvar,
}

#[derive(Default)]
struct Duty {
    log_pages: u32,
    /// Pages at which the next checkpoint begins, if the last one did not get through.
    postponed_to: u32,
    guard_stale: bool,
    stopped: bool,
}

impl Duty {
    fn checkpoint_due(&self, keeper: &Keeper) -> bool {
        self.log_pages >= keeper.log_pages.max(self.postponed_to)
    }

    fn urgent(&self, keeper: &Keeper) -> bool {
        self.stopped || self.checkpoint_due(keeper)
    }
}

impl Keeper {
    pub(super) fn new(page_bytes: u32) -> Self {
        Self {
            log_pages: LOG_BYTES / page_bytes.max(1),
            log_pages_forced: LOG_BYTES_FORCED / page_bytes.max(1),
            duty: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Takes note of a commit, and of the length of the log after it.
    pub(super) fn committed(&self, log_pages: u32) {
        let mut duty = self.duty.lock();
        duty.log_pages = log_pages;
        let wake = !duty.guard_stale || duty.checkpoint_due(self);
        duty.guard_stale = true;
        drop(duty);
        if wake {
            self.changed.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        self.duty.lock().stopped = true;
        self.changed.notify_one();
    }
}

/// The keeper's thread.
pub(super) fn run(shared: &Shared, connection: &Connection) {
    loop {
        let mut duty = shared.keeper.duty.lock();
        while !duty.urgent(&shared.keeper) && !duty.guard_stale {
            shared.keeper.changed.wait(&mut duty);
        }
        let timed_out = !duty.urgent(&shared.keeper)
            && shared.keeper.changed.wait_for(&mut duty, GUARD_INTERVAL).timed_out();
        if duty.stopped {
            break;
        }
        let checkpoint_pages = duty.checkpoint_due(&shared.keeper).then_some(duty.log_pages);
        let guard_due = timed_out || checkpoint_pages.is_some();
        duty.guard_stale &= !guard_due;
        drop(duty);
        if let Some(pages) = checkpoint_pages {
            let postponed_to = checkpoint(shared, connection, pages);
            let mut duty = shared.keeper.duty.lock();
            (duty.log_pages, duty.postponed_to) = (0, postponed_to);
        }
        if guard_due {
            write_guard(shared);
        }
    }
    finish(shared, connection);
}

/// What a checkpoint did.
struct Progress {
    /// A reader or writer was in the way.
    busy: bool,
    log_pages: u32,
}

/// Moves the log into the database. Returns the length of the log, in pages, at which to try again.
fn checkpoint(shared: &Shared, connection: &Connection, pages: u32) -> u32 {
    let later = |pages: u32| pages.saturating_add(pages / 2);
    shared.readers.release_idle();
    let passive = || move_pages(shared, connection, "PASSIVE", Duration::ZERO);
    let Some(progress) = passive() else { return later(pages) };
    shared.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
    if progress.log_pages < shared.keeper.log_pages_forced {
        return progress.log_pages + shared.keeper.log_pages / 4;
    }
    // What was appended meanwhile is moved beside the commits too, so that they wait for little.
    shared.readers.release_idle();
    passive();
    let mode = if shared.folder.log_bytes() > LOG_BYTES_KEPT { "TRUNCATE" } else { "RESTART" };
    let _no_commits = shared.writer.lock();
    match shared.readers.drained(|| move_pages(shared, connection, mode, FORCED_WAIT)) {
        Some(progress) if !progress.busy => 0,
        _ => later(progress.log_pages),
    }
}

/// None if it failed. The log keeps everything; after a failure of the disk the store is closed.
fn move_pages(shared: &Shared, connection: &Connection, mode: &str, wait: Duration) -> Option<Progress> {
    let moved = connection.busy_timeout(wait).and_then(|()| {
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            let pages = row.get::<_, i64>(1)?;
            Ok(Progress { busy: row.get::<_, i64>(0)? != 0, log_pages: u32::try_from(pages).unwrap_or(0) })
        })
    });
    if let Err(error) = &moved
        && error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
    {
        shared.close();
    }
    moved.ok()
}

/// Failures are not reported: a guard that is behind protects a little less and harms nothing.
fn write_guard(shared: &Shared) {
    if shared.durability == Durability::Disk {
        drop(shared.folder.write_guard(&Guard { store_id: shared.store_id, index: shared.index() }));
    }
}

/// Leaves an empty log and a guard that is up to date, unless the store failed: then nothing more is written.
fn finish(shared: &Shared, connection: &Connection) {
    if shared.is_closed() {
        return;
    }
    shared.readers.release_idle();
    let emptied =
        move_pages(shared, connection, "TRUNCATE", FORCED_WAIT).is_some_and(|progress| !progress.busy);
    if emptied || shared.durability == Durability::Disk {
        drop(shared.folder.write_guard(&Guard { store_id: shared.store_id, index: shared.index() }));
    }
}
