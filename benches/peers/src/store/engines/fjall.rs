//! fjall: a log-structured merge tree. It syncs nothing by itself: every write is followed by
//! `persist`, or is a batch that says so.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use super::super::page::{Key, Page};
use super::super::pages::{Pages, Readable, Reader};
use super::CACHE_BYTES;
use crate::error::AnyError;

/// A database with its default settings, with values in files of their own if `SEPARATED`.
///
/// By default it compresses by LZ4: values in the journal from 4 KiB on, the blocks of the tree
/// from its third level on, and separated values.
pub(crate) struct Fjall<const SEPARATED: bool> {
    database: Database,
    pages: Keyspace,
}

impl<const SEPARATED: bool> Pages for Fjall<SEPARATED> {
    fn open(dir: &Path) -> Result<Self, AnyError> {
        let database = Database::builder(dir).cache_size(CACHE_BYTES.into()).open()?;
        let separation = SEPARATED.then(KvSeparationOptions::default);
        let options = || KeyspaceCreateOptions::default().with_kv_separation(separation);
        let pages = database.keyspace("pages", options)?;
        Ok(Self { database, pages })
    }

    fn put(&self, page: &Page) -> Result<(), AnyError> {
        self.pages.insert(page.key, page.bytes.as_slice())?;
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn put_all(&self, pages: &[Page]) -> Result<(), AnyError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for page in pages {
            batch.insert(&self.pages, page.key, page.bytes.as_slice());
        }
        Ok(batch.commit()?)
    }

    fn close(self) -> Result<(), AnyError> {
        // Dropping the last handle waits for the threads in the background.
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

impl<const SEPARATED: bool> Readable for Fjall<SEPARATED> {
    fn reader(&self) -> Result<impl Reader + '_, AnyError> {
        Ok(&self.pages)
    }
}

impl Reader for &Keyspace {
    fn look<T>(&mut self, key: &Key, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, AnyError> {
        Ok(self.get(key)?.map(|value| look(&value)))
    }
}
