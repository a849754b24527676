//! LMDB through heed: a B-tree in a memory map, copied on write. A transaction is durable unless
//! told otherwise, and there is one writer at a time, for which the others wait.

use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, RoTxn, WithTls};

use super::super::page::{Key, Page};
use super::super::pages::{Pages, Readable, Reader};
use crate::error::AnyError;

/// Address space for the file, which does not grow by it; a multiple of the system's page.
const MAP_BYTES: usize = 16 << 30;

/// An environment with its default settings and one database, the unnamed one.
pub(crate) struct Lmdb {
    env: Env,
    pages: Database<'static, Bytes, Bytes>,
}

struct Transaction<'s> {
    transaction: RoTxn<'s, WithTls>,
    pages: Database<'static, Bytes, Bytes>,
}

impl Pages for Lmdb {
    fn open(dir: &Path) -> Result<Self, AnyError> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        // SAFETY: the folder is this measurement's own, so nobody else changes the mapped file or
        // opens it a second time, and it is not on a network.
        let env = unsafe { options.open(dir)? };
        let pages = env
            .create_databases_and_commit(env.write_txn()?, |opener, transaction| {
                let pages = opener.create_database(transaction, None)?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(pages))
            })?
            .unwrap_commit();
        Ok(Self { env, pages })
    }

    fn put(&self, page: &Page) -> Result<(), AnyError> {
        self.put_all(std::slice::from_ref(page))
    }

    fn put_all(&self, pages: &[Page]) -> Result<(), AnyError> {
        let mut transaction = self.env.write_txn()?;
        for page in pages {
            self.pages.put(&mut transaction, &page.key, &page.bytes)?;
        }
        Ok(transaction.commit()?)
    }

    fn close(self) -> Result<(), AnyError> {
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

impl Readable for Lmdb {
    fn reader(&self) -> Result<impl Reader + '_, AnyError> {
        Ok(Transaction { transaction: self.env.read_txn()?, pages: self.pages })
    }
}

impl Reader for Transaction<'_> {
    fn look<T>(&mut self, key: &Key, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, AnyError> {
        Ok(self.pages.get(&self.transaction, key)?.map(look))
    }
}
