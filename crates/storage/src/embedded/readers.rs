//! Snapshots: pooled connections, each with one read transaction, and what was committed since in memory.

use super::database::{connect, read_index};
use super::recent::{Era, Timeline};
use super::{Durability, Ordering};
use crate::{CommitIndex, Snapshot, StorageError, Visit};
use parking_lot::Mutex;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Connections that stay open for the next snapshot.
const IDLE_MAX: usize = 32;
/// Snapshots at the same time.
const OPEN_MAX: usize = 1024;

const READ_ONE: &str = "SELECT value FROM entries WHERE key = ?1";
const SCAN_UP_TO: &str = "SELECT key, value FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key";
const SCAN_TO_END: &str = "SELECT key, value FROM entries WHERE key >= ?1 ORDER BY key";

/// The pool.
pub(super) struct Readers {
    path: PathBuf,
    cache_bytes: u32,
    idle: Mutex<Idle>,
    open: AtomicUsize,
}

#[derive(Default)]
struct Idle {
    readers: Vec<Reader>,
    /// A checkpoint waits for all views to end: none is kept open for the next snapshot.
    draining: bool,
    /// Counts how often views were released: those that were in use then end when they are put back.
    releases: u64,
}

struct Reader {
    connection: Connection,
    /// The commit that the open read transaction sees; None if none is open.
    ///
    /// A reader is put back with its transaction open: the next snapshot goes on with it, in the same era.
    view: Option<CommitIndex>,
    /// See [`Idle::releases`].
    releases: u64,
}

impl Readers {
    pub(super) fn new(path: PathBuf, cache_bytes: u32) -> Self {
        Self { path, cache_bytes, idle: Mutex::default(), open: AtomicUsize::new(0) }
    }

    /// A snapshot of the newest commit.
    pub(super) fn snapshot(&self, timeline: &Timeline) -> Result<EmbeddedSnapshot<'_>, StorageError> {
        let mut reader = self.take()?;
        let mut moment = timeline.now(reader.view);
        if !moment.is_served_by(reader.view) {
            if let Err(error) = reader.renew() {
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(read_error(&error));
            }
            moment = timeline.now(reader.view);
        }
        // If not even the new view reaches the era, it is a snapshot by itself.
        let (index, era) = match moment.is_served_by(reader.view) {
            true => (moment.index, moment.era),
            false => (reader.view.unwrap_or(moment.index), None),
        };
        Ok(EmbeddedSnapshot { readers: self, reader: Some(reader), index, era })
    }

    /// Ends the read transactions that are kept open between snapshots, those of open snapshots as soon as these end: they
    /// hold up the checkpoint.
    pub(super) fn release_idle(&self) {
        let mut idle = self.idle.lock();
        idle.releases += 1;
        idle.readers.retain_mut(|reader| reader.end().is_ok());
    }

    /// While `work` runs, a read transaction ends with its snapshot.
    pub(super) fn drained<T>(&self, work: impl FnOnce() -> T) -> T {
        self.idle.lock().draining = true;
        self.release_idle();
        let result = work();
        self.idle.lock().draining = false;
        result
    }

    pub(super) fn check(&self) -> Result<Vec<String>, StorageError> {
        let connection =
            connect(&self.path, self.cache_bytes, Durability::Disk).map_err(|error| read_error(&error))?;
        let mut findings = Vec::new();
        let checked = connection.pragma_query(None, "quick_check", |row| {
            findings.push(row.get::<_, String>(0)?);
            Ok(())
        });
        match checked {
            Ok(()) => findings.retain(|finding| finding != "ok"),
            Err(error) if is_damage(&error) => findings.push(error.to_string()),
            Err(error) => return Err(read_error(&error)),
        }
        Ok(findings)
    }

    #[cfg(test)]
    pub(super) fn views_kept_open(&self) -> usize {
        self.idle.lock().readers.iter().filter(|reader| reader.view.is_some()).count()
    }

    fn take(&self) -> Result<Reader, StorageError> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let mut idle = self.idle.lock();
        let releases = idle.releases;
        if let Some(reader) = idle.readers.pop() {
            return Ok(Reader { releases, ..reader });
        }
        drop(idle);
        let connection = if open < OPEN_MAX {
            connect(&self.path, self.cache_bytes, Durability::Disk).map_err(|error| read_error(&error))
        } else {
            Err(StorageError::Failed(format!("more than {OPEN_MAX} snapshots are open")))
        };
        match connection {
            Ok(connection) => Ok(Reader { connection, view: None, releases }),
            Err(error) => {
                self.open.fetch_sub(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn put_back(&self, mut reader: Reader) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        let mut idle = self.idle.lock();
        let stays = !idle.draining && idle.releases == reader.releases;
        let usable = stays || reader.end().is_ok();
        if usable && idle.readers.len() < IDLE_MAX {
            idle.readers.push(reader);
        }
    }
}

impl Reader {
    /// Begins a read transaction on the newest commit; reading the index fixes it.
    fn renew(&mut self) -> rusqlite::Result<()> {
        self.end()?;
        self.run("BEGIN")?;
        self.view = Some(read_index(&self.connection)?);
        Ok(())
    }

    fn end(&mut self) -> rusqlite::Result<()> {
        if self.view.take().is_some() { self.run("COMMIT") } else { Ok(()) }
    }

    fn run(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    fn read(&self, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
        let mut statement = self.connection.prepare_cached(READ_ONE)?;
        statement.query_row([key], |row| Ok(blob(row, 0)?.to_vec())).optional()
    }

    fn scan(&self, start: &[u8], end: Option<&[u8]>, visit: &mut Visit<'_>) -> rusqlite::Result<()> {
        let sql = if end.is_some() { SCAN_UP_TO } else { SCAN_TO_END };
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = match end {
            Some(end) => statement.query([start, end])?,
            None => statement.query([start])?,
        };
        while let Some(row) = rows.next()? {
            if visit(blob(row, 0)?, blob(row, 1)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn blob<'row>(row: &'row Row<'_>, column: usize) -> rusqlite::Result<&'row [u8]> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(rusqlite::Error::InvalidColumnType(column, "entries".into(), other.data_type())),
    }
}

/// A view of the database, and the changes between it and `index`.
pub(super) struct EmbeddedSnapshot<'a> {
    readers: &'a Readers,
    /// None only while it is dropped.
    reader: Option<Reader>,
    index: CommitIndex,
    /// None: the view is of `index` itself.
    era: Option<Arc<Era>>,
}

impl EmbeddedSnapshot<'_> {
    fn reader(&self) -> Result<&Reader, StorageError> {
        self.reader.as_ref().ok_or(StorageError::Closed)
    }

    fn read_database(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.reader()?.read(key).map_err(|error| read_error(&error))
    }

    fn scan_database(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError> {
        self.reader()?.scan(start, end, visit).map_err(|error| read_error(&error))
    }
}

impl Snapshot for EmbeddedSnapshot<'_> {
    fn index(&self) -> CommitIndex {
        self.index
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(era) = &self.era else { return self.read_database(key) };
        let hash = era.hash(key);
        if let Some(value) = era.change(hash, key, self.index) {
            return Ok(value);
        }
        if let Some(value) = era.rows().find(hash, key) {
            return Ok(value);
        }
        let value = self.read_database(key)?;
        // The key did not change between the era's base and this snapshot: what the view has is what the base had.
        era.rows().keep(hash, key, value.as_deref());
        Ok(value)
    }

    fn scan(&self, start: &[u8], end: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), StorageError> {
        let Some(era) = &self.era else { return self.scan_database(start, end, visit) };
        let mut changes = era.changes(start, end, self.index);
        let mut flow = ControlFlow::Continue(());
        self.scan_database(start, end, &mut |key, value| {
            while let Some((changed, new)) = changes.next_below(Some(key)) {
                flow = new.map_or(ControlFlow::Continue(()), |new| visit(&changed, &new));
                if flow.is_break() {
                    return flow;
                }
            }
            flow = match changes.next_of(key) {
                Some(Some(new)) => visit(key, &new),
                Some(None) => ControlFlow::Continue(()),
                None => visit(key, value),
            };
            flow
        })?;
        while flow.is_continue()
            && let Some((changed, new)) = changes.next_below(None)
        {
            flow = new.map_or(ControlFlow::Continue(()), |new| visit(&changed, &new));
        }
        Ok(())
    }
}

impl Drop for EmbeddedSnapshot<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.readers.put_back(reader);
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn read_error(error: &rusqlite::Error) -> StorageError {
    if is_damage(error) {
        return StorageError::Failed(format!("the database is damaged ({error}): restore a snapshot"));
    }
    StorageError::Failed(error.to_string())
}
