//! An embedded, ordered key-value store for page-sized values beside small ones.
//!
//! The log is the database: every mutation is appended to a segment file, together with those of
//! other threads, and made durable with one flush. `redb` is an index of that log: it maps each
//! key to the place of its value, and is brought up to date after the flush and made durable now
//! and then (a checkpoint). Values are read in place through memory maps.
//!
//! ```
//! use gristmill::store::{Compression, KeyspaceOptions, Store};
//!
//! let dir = tempfile::tempdir()?;
//! let store = Store::open(dir.path())?;
//! let pages = store.keyspace("pages", KeyspaceOptions::compressed(Compression::Zstd(3)))?;
//! let seen = store.keyspace("seen", KeyspaceOptions::default())?;
//!
//! // Several mutations, all or none.
//! let mut batch = store.batch();
//! batch.put(&pages, "http://example.org/", "<html>…</html>".repeat(100));
//! batch.put(&seen, "http://example.org/", b"1");
//! batch.commit()?;
//!
//! assert_eq!(pages.get("http://example.org/")?.unwrap().len(), 1600);
//! assert_eq!(seen.len()?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! 1. A record describes itself (magic, kind, sequence, lengths, checksums), begins at a multiple
//!    of 8 and never changes after it was appended. (`record`)
//! 2. A segment is created, reserved, flushed, and its name made durable, before a pointer may name
//!    it. (`segment`)
//! 3. Append, one flush, apply, answer: nobody is answered before the flush, and the index never
//!    knows more than the flushed log. (`log`, `shared`)
//! 4. No reader slices past the flushed tail of a segment. (`segment`)
//! 5. Rows, counters and watermark of the index change in one transaction. (`index`)
//! 6. Recovery reads the log from the watermark on, tells damage from a torn tail, and appends what
//!    it finds anew before serving. Old tails are never appended to. (`recovery`)
//! 7. A failed write or flush poisons the store: every waiter gets a typed error, nothing is
//!    retried, reads go on, and opening again recovers. (`queue`, `shared`)
//! 8. A mapped file is never cut; each segment is mapped once, at full length. (`map`)
//! 9. One opener at a time; the second is told who the first is. (`lock`)
//!
//! The files are described byte by byte in `DESIGN.md`.

mod batch;
mod check;
mod codec;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod keyspace;
mod lock;
mod log;
mod map;
mod options;
mod queue;
mod record;
mod recovery;
mod rows;
mod scan;
mod segment;
mod shared;
mod snapshot;
mod stats;
mod value;
pub mod vfs;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use batch::{Batch, Ticket};
pub use check::{CheckReport, Problem};
pub use error::StoreError;
pub use keyspace::Keyspace;
pub use lock::Holder;
pub use options::{Compression, Direction, KeyspaceOptions, ReadMode, StoreBuilder};
pub use rows::{Keys, Rows};
pub use snapshot::Snapshot;
pub use stats::StoreStats;
pub use value::Value;

use shared::Handle;

/// Longest name of a keyspace, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// An open store. Cheap to clone; all clones, and the keyspaces, batches and iterators made from
/// them, share it. The last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

impl Store {
    /// Opens the store in `dir` with the default settings, creating it if needed.
    ///
    /// The files in the directory must not be changed by other programs while it is open.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(dir).open()
    }

    /// Settings for opening the store in `dir`.
    pub fn builder(dir: impl AsRef<Path>) -> StoreBuilder {
        StoreBuilder::new(dir.as_ref())
    }

    fn open_with(options: StoreBuilder) -> Result<Self, StoreError> {
        Ok(Self { handle: Handle::open(options)? })
    }

    /// The directory it was opened in.
    pub fn dir(&self) -> &Path {
        &self.handle.shared.options.dir
    }

    /// The keyspace with this name (1 to 255 bytes), which is created if needed. The options hold
    /// for what is written through the handle returned.
    pub fn keyspace(&self, name: &str, options: KeyspaceOptions) -> Result<Keyspace, StoreError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let name = name.to_owned();
            return Err(StoreError::KeyspaceName { name, limit: MAX_NAME_BYTES });
        }
        let id = self.handle.shared.keyspace_id(name)?;
        Ok(Keyspace::new(Arc::clone(&self.handle), id, name.to_owned(), options))
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.handle))
    }

    /// Returns when everything committed so far, buffered batches included, is durable and
    /// visible.
    pub fn flush(&self) -> Result<(), StoreError> {
        let shared = &self.handle.shared;
        shared.wait_applied(shared.queue.newest(), "flush")
    }

    /// The store as it is now, to read consistently from several keyspaces.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.handle), self.handle.shared.view().ok())
    }

    /// Figures of the store; after a close, those at its end.
    pub fn stats(&self) -> StoreStats {
        self.handle.shared.stats()
    }

    /// Reads every record and follows every pointer, as of now; the store may be written
    /// meanwhile. Uses the threads of `rayon`'s pool.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        let shared = &self.handle.shared;
        check::check(shared, &shared.view()?)
    }

    /// Writes what is queued, makes the index durable and gives the directory free, at most within
    /// `deadline`; after that it goes on in the background. Other handles answer
    /// [`StoreError::Closed`] from then on. An earlier failed write is reported here.
    pub fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.handle.close(deadline)
    }
}
