//! An embedded, ordered key-value store for page-sized values beside small ones.
//!
//! Every mutation is appended to a log of segment files, together with those of other threads, and
//! made durable with one flush. What the newest groups changed is kept in memory, in order; a
//! checkpoint now and then writes it into `redb`, the index, which maps each key to the place of its
//! value, or to the value itself if it is small. Values are read in place through memory maps.
//! Segments with much that is dead are emptied in the background and their files removed.
//!
//! There are no transactions that read and write under one lock: of two writers of a key the last
//! one wins. What one process has open no other can open. With the default settings an open store
//! takes some 90 MiB of disk beside its data, most of it kept back for a full disk, and up to 64 MiB
//! of memory each for pages of the index and for rows not yet in it, 32 MiB for batches that wait
//! and 16 MiB for the places of values. Snapshots, iterators and values keep the files that they
//! read from, so long ones keep space from being given back.
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
//! # Where what is
//!
//! | place | what |
//! | --- | --- |
//! | here | the faces: `Store`, `Batch`, `Keyspace`, `Snapshot`, options, errors, statistics |
//! | `core` `handle` | what the threads of an open store share; opening and closing it |
//! | `commit/` | from a batch to a durable group that readers see |
//! | `read/` | from a key to its bytes |
//! | `index/` | rows, counters, the newest rows in memory, the index file, views |
//! | `segment/` | the files of the log |
//! | `record/` | their bytes |
//! | `codec/` | compression and dictionaries |
//! | `upkeep/` | recovery, checkpoints, reclaiming space, expiry, check and backup |
//! | `vfs/` | the seam to the disk |
//!
//! The `mod.rs` of a folder lists its files, and the invariants that they keep.
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | record | a value, or what a group does, in a segment: header, payload, padding |
//! | operation | one mutation, as the record of a group names it |
//! | group | batches that are appended and flushed together; it has a sequence and lies in one segment |
//! | leader | the thread that writes a group: a caller that waits for its own batch, or `store-writer` |
//! | row | what the index has under a keyspace and a key: a small value, a pointer, or a hash |
//! | delta | rows of the newest groups, in memory, each in as many versions as it was written |
//! | base | the index file at one checkpoint, and the deltas above it |
//! | view | a base and a sequence: a state of the store that does not change |
//! | ledger | the counters that go with the rows: live bytes of each segment, keys of each keyspace, watermark |
//! | keeper | the thread `store-index`: checkpoints, files of retired segments, the end of the store |
//! | epoch | the time between two checkpoints; it holds the segments retired at its end |
//! | retired | a segment without a live record whose file waits for its last reader |
//! | reserve | a file that keeps room on the disk back |
//!
//! The files are described byte by byte in `src/store/FORMAT.md`.

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

/// An open store. Cheap to clone; all clones, and the keyspaces, batches and iterators made from
/// them, share it. The last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

impl Store {
    /// Opens the store in `dir` with the default settings, creating it if needed. See
    /// [`StoreBuilder::open`] for what is asked of the directory, and for the errors.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(dir).open()
    }

    /// Whether `dir` has the files of a store, whole or not. It does not open them, and a directory
    /// that is missing has none.
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

    /// The directory it was opened in.
    pub fn dir(&self) -> &Path {
        &self.handle.core.options.dir
    }

    /// The keyspace with this name (1 to 255 bytes), which is created if needed. The options hold
    /// for what is written through the handle returned.
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

    /// Returns when everything committed so far, buffered batches included, is durable and
    /// visible. Fails if a buffered batch was [refused](StoreError::Refused) since the last flush
    /// that said so, whether its ticket was asked or not.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.handle.core.flush()
    }

    /// The store as it is now, to read consistently from several keyspaces.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.handle), self.handle.core.view().ok())
    }

    /// Figures of the store; after a close, those at its end.
    pub fn stats(&self) -> StoreStats {
        self.handle.core.stats()
    }

    /// Reads every record and follows every pointer, as of now; the store may be written
    /// meanwhile. Uses the threads of `rayon`'s pool.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        check::check(&self.handle.core)
    }

    /// Makes the store as small as it can be: removes what has expired, copies what is live out of
    /// every segment with more than a hundredth dead, and writes the index file anew. The store may be read
    /// and written meanwhile; what snapshots and values still hold stays until they are dropped.
    /// Space is reclaimed in the background all the time: this is for the last part of it.
    pub fn compact(&self) -> Result<CompactReport, StoreError> {
        reclaim::compact(&self.handle.core)
    }

    /// Copies the store as it is now into `dir`, which is made if needed and must not hold a store.
    /// The store may be read and written meanwhile. The copy is durable on return, and opens as a
    /// store. One that was interrupted does not open, or opens empty if it had no segment yet; it
    /// must be removed before another goes to the same place.
    pub fn backup(&self, dir: impl AsRef<Path>) -> Result<BackupReport, StoreError> {
        backup::backup(&self.handle.core, dir.as_ref())
    }

    /// Writes what is queued, makes the index durable and gives the directory free, at most within
    /// `deadline`; after that it goes on in the background. Other handles, snapshots and iterators
    /// answer [`StoreError::Closed`] from then on; values stay readable. An earlier failed write is
    /// reported here. Dropping the last handle does the same, and waits a minute at most.
    pub fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.handle.close(deadline)
    }
}

impl StoreBuilder {
    /// Opens the store, creating its directory if needed, and recovers what a crash left behind:
    /// up to some 128 MiB of log are read, written once more and flushed.
    ///
    /// The files in the directory must not be changed by other programs while it is open, the
    /// directory must not lie on a network file system whose locks or maps do not hold, and a
    /// process that has it open must not go on in a forked child.
    ///
    /// Fails with [`StoreError::InUse`] where somebody has it open, [`StoreError::Corrupt`] where
    /// what was acknowledged is damaged, [`StoreError::FormatTooNew`], [`StoreError::Option`] for a
    /// setting out of its range, [`StoreError::NoSpace`] where the index file finds no room for what
    /// recovery writes into it, and [`StoreError::Io`].
    pub fn open(self) -> Result<Store, StoreError> {
        self.validate()?;
        Ok(Store { handle: Handle::open(self)? })
    }
}
