//! `SQLite`, its own copy compiled in: a B-tree with a write-ahead log, flushed at each commit.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::page::{Key, Page};
use super::super::pages::{Pages, Readable, Reader};
use super::CACHE_BYTES;
use crate::error::AnyError;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS pages (key BLOB PRIMARY KEY, value BLOB NOT NULL)";
const PUT: &str = "REPLACE INTO pages (key, value) VALUES (?1, ?2)";
const GET: &str = "SELECT value FROM pages WHERE key = ?1";

/// A database with one connection that writes, and one for each thread that reads.
///
/// There can be only one writer at a time. Connections that compete for it poll with pauses, so
/// threads wait for a lock around the one connection instead, which is faster.
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
}

impl Sqlite {
    fn connect(path: &Path) -> Result<Connection, AnyError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "mmap_size", CACHE_BYTES)?;
        Ok(connection)
    }
}

impl Pages for Sqlite {
    fn open(dir: &Path) -> Result<Self, AnyError> {
        let path = dir.join("pages.sqlite");
        let writer = Self::connect(&path)?;
        writer.execute(TABLE, [])?;
        Ok(Self { path, writer: Mutex::new(writer) })
    }

    fn put(&self, page: &Page) -> Result<(), AnyError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.prepare_cached(PUT)?.execute(params![page.key, page.bytes])?;
        Ok(())
    }

    fn put_all(&self, pages: &[Page]) -> Result<(), AnyError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction()?;
        let mut put = transaction.prepare_cached(PUT)?;
        for page in pages {
            put.execute(params![page.key, page.bytes])?;
        }
        drop(put);
        Ok(transaction.commit()?)
    }

    fn close(self) -> Result<(), AnyError> {
        // The last connection brings the log into the database and removes it.
        let writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        writer.close().map_err(|(_, error)| error.into())
    }
}

impl Readable for Sqlite {
    fn reader(&self) -> Result<impl Reader + '_, AnyError> {
        let reader = Self::connect(&self.path)?;
        // One transaction for all reads spares each the locks of its own.
        reader.execute_batch("BEGIN")?;
        Ok(reader)
    }
}

impl Reader for Connection {
    fn look<T>(&mut self, key: &Key, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, AnyError> {
        let mut get = self.prepare_cached(GET)?;
        let value = get.query_row([key], |row| Ok(look(row.get_ref(0)?.as_blob()?)));
        Ok(value.optional()?)
    }
}
