//! gristmill's store.

use std::path::Path;
use std::time::Duration;

use gristmill::store::{Compression, Keyspace, KeyspaceOptions, Store, Verification};

use super::super::page::{Key, Page};
use super::super::pages::{Pages, Readable, Reader};
use crate::error::AnyError;

/// Longest wait for the end of background work at close.
const CLOSE_DEADLINE: Duration = Duration::from_mins(1);

/// The level of zstd that is its default.
const LEVEL: i32 = 3;

/// A store with its default settings but for these: values compressed by zstd if `ZSTD`; their
/// checksums verified at every read, not at the first one alone, if `VERIFIED`.
pub(crate) struct Gristmill<const ZSTD: bool, const VERIFIED: bool> {
    store: Store,
    pages: Keyspace,
}

impl<const ZSTD: bool, const VERIFIED: bool> Pages for Gristmill<ZSTD, VERIFIED> {
    fn open(dir: &Path) -> Result<Self, AnyError> {
        let builder = Store::builder(dir);
        let builder = if VERIFIED { builder.verification(Verification::Always) } else { builder };
        let store = builder.open()?;
        let options = if ZSTD {
            KeyspaceOptions::compressed(Compression::Zstd(LEVEL))
        } else {
            KeyspaceOptions::default()
        };
        let pages = store.keyspace("pages", options)?;
        Ok(Self { store, pages })
    }

    fn put(&self, page: &Page) -> Result<(), AnyError> {
        Ok(self.pages.put(page.key, &page.bytes)?)
    }

    fn put_all(&self, pages: &[Page]) -> Result<(), AnyError> {
        let mut batch = self.store.batch();
        for page in pages {
            batch.put(&self.pages, page.key, &page.bytes);
        }
        Ok(batch.commit()?)
    }

    fn close(self) -> Result<(), AnyError> {
        Ok(self.store.close(CLOSE_DEADLINE)?)
    }
}

impl<const ZSTD: bool, const VERIFIED: bool> Readable for Gristmill<ZSTD, VERIFIED> {
    fn reader(&self) -> Result<impl Reader + '_, AnyError> {
        Ok(&self.pages)
    }
}

impl Reader for &Keyspace {
    fn look<T>(&mut self, key: &Key, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, AnyError> {
        Ok(self.get(key)?.map(|value| look(&value)))
    }
}
