//! The SQLite file: its schema, and how connections to it are set up.

use super::{Durability, EmbeddedOptions, FORMAT_VERSION, OpenError};
use crate::{CommitIndex, StoreId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use std::path::Path;
use std::time::Duration;
use strongroom_secret::Entropy;

/// "STRG": tells our databases from any other SQLite file.
const APPLICATION_ID: u32 = 0x5354_5247;
const SCHEMA: &str = "
    CREATE TABLE entries (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value ANY NOT NULL) STRICT, WITHOUT ROWID;
";
pub(super) const READ_INDEX: &str = "SELECT value FROM meta WHERE name = 'index'";
pub(super) const WRITE_INDEX: &str = "UPDATE meta SET value = ?1 WHERE name = 'index'";
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Of a new database, in bytes: as much as rows of a few small values need, which then change one page.
const PAGE_BYTES: u32 = 8192;

/// An opened database and what it says of itself.
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) page_bytes: u32,
    pub(super) store_id: StoreId,
    pub(super) index: CommitIndex,
}

impl Database {
    /// Opens the file, which exists but may be empty: then a store is created in it.
    pub(super) fn open(
        path: &Path,
        entropy: &dyn Entropy,
        options: &EmbeddedOptions,
    ) -> Result<Self, OpenError> {
        let explain = |error| open_error(path, &error);
        let mut connection =
            connect(path, options.writer_cache_bytes, options.durability).map_err(explain)?;
        let application_id: u32 = pragma(&connection, "application_id").map_err(explain)?;
        let version: u32 = pragma(&connection, "user_version").map_err(explain)?;
        let schema_version: u32 = pragma(&connection, "schema_version").map_err(explain)?;
        if application_id == 0 && schema_version == 0 {
            create(&mut connection, entropy).map_err(explain)?;
        } else if application_id != APPLICATION_ID {
            return Err(damaged(path, "it is the database of another program"));
        } else if version > FORMAT_VERSION {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        if let Some(pages) = options.pages_max {
            connection.pragma_update(None, "max_page_count", pages).map_err(explain)?;
        }
        let index = read_index(&connection).map_err(explain)?;
        let id: Option<Vec<u8>> = connection
            .query_row("SELECT value FROM meta WHERE name = 'store_id'", [], |row| row.get(0))
            .optional()
            .map_err(explain)?;
        let id = id.and_then(|id| id.try_into().ok()).ok_or_else(|| damaged(path, "it has no store id"))?;
        let page_bytes = pragma(&connection, "page_size").map_err(explain)?;
        Ok(Self { connection, page_bytes, store_id: StoreId(id), index })
    }

    /// Durably sets the index, to a higher one.
    pub(super) fn lift_index(&mut self, index: CommitIndex) -> Result<(), OpenError> {
        let path = self.connection.path().unwrap_or_default().to_owned();
        self.connection
            .execute(WRITE_INDEX, [stored(index)])
            .map_err(|error| open_error(Path::new(&path), &error))?;
        self.index = index;
        Ok(())
    }
}

/// A connection with our settings. Checkpoints are the keeper's alone.
pub(super) fn connect(path: &Path, cache_bytes: u32, durability: Durability) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let synchronous = match durability {
        Durability::Disk => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -{}; PRAGMA temp_store = MEMORY; \
         PRAGMA secure_delete = FAST; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0;",
        cache_bytes / 1024
    ))?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

fn create(connection: &mut Connection, entropy: &dyn Entropy) -> rusqlite::Result<()> {
    let mut id = [0; 16];
    entropy.fill(&mut id);
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some("the file system does not support a write-ahead log".into()),
        ));
    }
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute("INSERT INTO meta VALUES ('store_id', ?1), ('index', 0)", [id])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT_VERSION)?;
    transaction.commit()
}

pub(super) fn read_index(connection: &Connection) -> rusqlite::Result<CommitIndex> {
    let index: i64 = connection.prepare_cached(READ_INDEX)?.query_row([], |row| row.get(0))?;
    Ok(CommitIndex(index.cast_unsigned()))
}

/// An index as SQLite stores integers.
pub(super) fn stored(index: CommitIndex) -> i64 {
    index.0.cast_signed()
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(path, &error.to_string()),
        _ if matches!(error, rusqlite::Error::QueryReturnedNoRows) => damaged(path, "it has no commit index"),
        _ => OpenError::Failed { path: path.to_owned(), reason: error.to_string() },
    }
}

fn damaged(path: &Path, reason: &str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), reason: reason.to_owned() }
}
