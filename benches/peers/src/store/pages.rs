//! What a store of pages must be able to do to be measured.

use std::path::Path;

use super::page::{Key, Page};
use crate::error::AnyError;

/// A store as the measurements see it. Whatever is put is on the disk when the call returns.
pub(crate) trait Pages: Readable + Sized {
    /// Opens the store in that directory, which exists; a new one if it is empty.
    fn open(dir: &Path) -> Result<Self, AnyError>;

    /// Puts one page durably, from any number of threads.
    fn put(&self, page: &Page) -> Result<(), AnyError>;

    /// Puts several pages, all or none, durably.
    fn put_all(&self, pages: &[Page]) -> Result<(), AnyError>;

    /// Closes the store as its documentation says, after which its files are complete.
    fn close(self) -> Result<(), AnyError>;
}

/// What can be read by several threads.
pub(crate) trait Readable: Sync {
    /// For the reads of the thread that calls it, and no longer than it makes them.
    fn reader(&self) -> Result<impl Reader + '_, AnyError>;
}

/// Reads of one thread.
pub(crate) trait Reader {
    /// Shows the value under `key` where it lies, as far as the engine lets it be seen without a
    /// copy; `None` if there is none.
    fn look<T>(&mut self, key: &Key, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, AnyError>;
}
