//! redb: a B-tree in one file, copied on write. A transaction is durable unless told otherwise, and
//! there is one writer at a time, for which the others wait.

use std::path::Path;

use redb::{Database, ReadOnlyTable, ReadableDatabase as _, ReadableTable, TableDefinition};

use super::super::page::{Key, Page};
use super::super::pages::{Pages, Readable, Reader};
use super::CACHE_BYTES;
use crate::error::AnyError;

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pages");

/// A database with its default settings.
pub(crate) struct Redb(Database);

impl Pages for Redb {
    fn open(dir: &Path) -> Result<Self, AnyError> {
        let mut builder = Database::builder();
        let database =
            builder.set_cache_size(usize::try_from(CACHE_BYTES)?).create(dir.join("pages.redb"))?;
        // The table is there before anything is measured.
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(Self(database))
    }

    fn put(&self, page: &Page) -> Result<(), AnyError> {
        self.put_all(std::slice::from_ref(page))
    }

    fn put_all(&self, pages: &[Page]) -> Result<(), AnyError> {
        let transaction = self.0.begin_write()?;
        let mut table = transaction.open_table(TABLE)?;
        for page in pages {
            table.insert(page.key.as_slice(), page.bytes.as_slice())?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn close(self) -> Result<(), AnyError> {
        Ok(self.0.close()?)
    }
}

impl Readable for Redb {
    fn reader(&self) -> Result<impl Reader + '_, AnyError> {
        // The table keeps its transaction alive.
        Ok(self.0.begin_read()?.open_table(TABLE)?)
    }
}

impl Reader for ReadOnlyTable<&'static [u8], &'static [u8]> {
    fn look<T>(&mut self, key: &Key, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, AnyError> {
        let value = ReadableTable::get(self, key.as_slice())?;
        Ok(value.map(|value| look(value.value())))
    }
}
