//! An embedded, ordered key-value store for page-sized values beside small ones.
//!
//! Mutations are appended to a log of segment files. Those of several threads share one write and
//! one flush. The index, a `redb` database, maps each key to the place of its value, or to the
//! value itself if it is small. Recent changes to it are held in memory, in key order, and written
//! to it by checkpoints. Values are read in place through memory maps. Segments with much dead data
//! are emptied in the background, and their files removed.
//!
//! There are no read-write transactions: of two writers of a key, the last one wins. Only one
//! process can have a store open. With the default settings an open store takes about 90 MiB of
//! disk beside its data, most of it kept in reserve for a full disk. It takes up to 64 MiB of
//! memory for pages of the index, as much for rows not yet in it, 32 MiB for queued batches and 16
//! MiB for the pointer cache. Snapshots, iterators and values hold on to the files that they read
//! from, so long-lived ones delay the return of disk space.
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
//!
//! // A state that later writes do not change.
//! let before = store.snapshot();
//! seen.delete("http://example.org/")?;
//! assert!(before.contains(&seen, "http://example.org/")?);
//!
//! // A copy while the store is in use, which opens as a store.
//! let copy = tempfile::tempdir()?;
//! store.backup(copy.path())?;
//! assert!(Store::open(copy.path())?.keyspace("seen", KeyspaceOptions::default())?.is_empty()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout
//!
//! | place | what |
//! | --- | --- |
//! | this folder | the public types: `Store`, `Batch`, `Keyspace`, `Snapshot`, options, errors, statistics |
//! | `core` `handle` | the state that the threads of an open store share; opening and closing |
//! | `commit/` | from a batch to a durable group that readers see |
//! | `read/` | from a key to its bytes |
//! | `index/` | rows, counters, the newest rows in memory, the index file, views |
//! | `segment/` | the files of the log |
//! | `record/` | the format of those files |
//! | `codec/` | compression and dictionaries |
//! | `upkeep/` | recovery, checkpoints, reclaiming space, expiry, check and backup |
//! | `vfs/` | the seam to the disk |
//!
//! The `mod.rs` of each folder lists its files and the invariants that they keep. The file format
//! is in `src/store/FORMAT.md`, byte by byte.
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | record | an entry of a segment: a value, or the operations of a group; header, payload, padding |
//! | operation | one mutation, as encoded in a group's record |
//! | group | batches that are appended and flushed together; it has a sequence and lies in one segment |
//! | leader | the thread that writes a group: a caller that waits for its own batch, or `store-writer` |
//! | row | what the index holds for a key: a small value, a pointer, or a hash |
//! | delta | the rows of recent groups, in memory, with all their versions |
//! | base | the index file at one checkpoint, and the deltas above it |
//! | view | a base and a sequence: an immutable state of the store |
//! | ledger | the counters that go with the rows: live bytes of each segment, keys of each keyspace, watermark |
//! | keeper | the thread `store-index`: takes checkpoints, removes files of retired segments, closes the store |
//! | epoch | the time between two checkpoints; it holds the segments retired at its end |
//! | retired | a segment without a live record whose file waits for its last reader |
//! | reserve | a file that holds disk space for operations that free space |
//!

mod batch;
mod clock;
mod codec;
mod commit;
mod core;
mod error;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod index;
mod keyspace;
mod limits;
mod options;
mod read;
mod record;
mod segment;
mod snapshot;
mod stats;
mod upkeep;
#[doc(hidden)]
pub mod vfs;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use batch::{Batch, Ticket};
pub use error::{Holder, StoreError};
pub use keyspace::Keyspace;
pub use options::{Compression, KeyspaceOptions, PutOptions, ReadMode, StoreBuilder, Verification};
pub use read::rows::{Keys, Rows};
pub use read::value::Value;
pub use snapshot::Snapshot;
pub use stats::StoreStats;
pub use upkeep::backup::BackupReport;
pub use upkeep::check::{CheckReport, Problem};
pub use upkeep::reclaim::CompactReport;

use handle::Handle;
use limits::MAX_NAME_BYTES;
use upkeep::{backup, check, reclaim};
use vfs::{RealVfs, Vfs as _};

/// An open store. Cheap to clone. Clones share the store, as do the keyspaces, batches and
/// iterators made from them; dropping the last of these closes it.
#[derive(Debug, Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

impl Store {
    /// Opens the store in `dir` with the default settings, creating it if needed. See
    /// [`StoreBuilder::open`] for the requirements on the directory and for the errors.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(dir).open()
    }

    /// Whether `dir` contains the files of a store, complete or not. The files are not opened. A
    /// missing directory contains none.
    pub fn exists(dir: impl AsRef<Path>) -> Result<bool, StoreError> {
        let dir = dir.as_ref();
        match RealVfs.list(dir) {
            Ok(names) => Ok(names.iter().any(|name| files::belongs_to_store(name))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StoreError::io("list", dir, source)),
        }
    }

    /// Settings for opening the store in `dir`.
    pub fn builder(dir: impl AsRef<Path>) -> StoreBuilder {
        StoreBuilder::new(dir.as_ref())
    }

    /// The directory of the store.
    pub fn dir(&self) -> &Path {
        &self.handle.core.options.dir
    }

    /// The keyspace with this name (1 to 255 bytes), created if needed. The options apply to writes
    /// through the handle returned.
    pub fn keyspace(&self, name: &str, options: KeyspaceOptions) -> Result<Keyspace, StoreError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let name = name.to_owned();
            return Err(StoreError::KeyspaceName { name, limit: MAX_NAME_BYTES });
        }
        let id = self.handle.core.keyspace_id(name)?;
        Ok(Keyspace::new(Arc::clone(&self.handle), id, name.to_owned(), options))
    }

    /// The names of the keyspaces, in alphabetical order.
    pub fn keyspaces(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.handle.core.keyspaces.lock().iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.handle))
    }

    /// Waits until everything committed so far, buffered batches included, is durable and visible.
    /// Fails if a buffered batch was [refused](StoreError::Refused) and no flush has reported that
    /// yet, whether or not its ticket was asked.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.handle.core.flush()
    }

    /// A snapshot of the store as it is now, for consistent reads across keyspaces.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.handle), self.handle.core.view().ok())
    }

    /// Statistics of the store; after a close, the final ones.
    pub fn stats(&self) -> StoreStats {
        self.handle.core.stats()
    }

    /// Verifies the store as of now: reads every record and follows every pointer. Writes may go on
    /// meanwhile. Runs on the threads of `rayon`'s pool.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        check::check(&self.handle.core)
    }

    /// Makes the store as small as possible: removes expired keys, copies the live records out of
    /// every segment with more than 1 % of dead data, and rewrites the index file. Reads and writes
    /// may go on meanwhile. What snapshots and values still hold stays until they are dropped.
    /// Space is reclaimed in the background all the time; this reclaims the rest.
    pub fn compact(&self) -> Result<CompactReport, StoreError> {
        reclaim::compact(&self.handle.core)
    }

    /// Copies the store as it is now into `dir`, which is created if needed and must not contain a
    /// store. Reads and writes may go on meanwhile. The copy is durable on return and opens as a
    /// store. An interrupted copy does not open, or opens empty if it had no segment yet; remove it
    /// before copying to the same place again.
    pub fn backup(&self, dir: impl AsRef<Path>) -> Result<BackupReport, StoreError> {
        backup::backup(&self.handle.core, dir.as_ref())
    }

    /// Writes what is queued, makes the index durable and releases the directory. Past `deadline`
    /// it returns [`StoreError::Timeout`] and goes on in the background. Other handles, snapshots
    /// and iterators return [`StoreError::Closed`] from then on; values stay readable. An earlier
    /// failed write is reported here. Dropping the last handle does the same and waits for at most
    /// a minute.
    pub fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.handle.close(deadline)
    }
}

impl StoreBuilder {
    /// Opens the store, creating its directory if needed. After a crash it first recovers: it reads
    /// up to about 128 MiB of log, writes it again and flushes it.
    ///
    /// While the store is open, no other program may change its files. The directory must not be on
    /// a network file system with unreliable locks or memory maps. A process that has the store
    /// open must not use it in a forked child.
    ///
    /// Fails with [`StoreError::InUse`] if the store is open already, [`StoreError::Corrupt`] if
    /// acknowledged data is damaged, [`StoreError::FormatTooNew`], [`StoreError::Option`] for a
    /// setting out of range, [`StoreError::NoSpace`] if the index file has no room for what
    /// recovery writes into it, and [`StoreError::Io`].
    pub fn open(self) -> Result<Store, StoreError> {
        self.validate()?;
        Ok(Store { handle: Handle::open(self)? })
    }
}
