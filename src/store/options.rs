//! Settings of a store and of a keyspace.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::pool::Pool;
use crate::store::error::StoreError;
use crate::store::limits::MAX_BATCH_BYTES;
use crate::store::vfs::{RealVfs, Vfs};
use crate::time::{SharedClock, SystemClock};

/// Default of [`StoreBuilder::cache_bytes`].
const DEFAULT_CACHE_BYTES: usize = 64 << 20;
/// Default of [`StoreBuilder::pointer_cache_bytes`].
const DEFAULT_POINTER_CACHE_BYTES: usize = 16 << 20;
/// Default of [`StoreBuilder::segment_bytes`].
const DEFAULT_SEGMENT_BYTES: u64 = 64 << 20;
/// Shortest and longest segment.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(4 << 30);
/// Default of [`StoreBuilder::max_group_bytes`].
const DEFAULT_GROUP_BYTES: usize = 8 << 20;
/// Default of [`StoreBuilder::queue_bytes`].
const DEFAULT_QUEUE_BYTES: usize = 32 << 20;

/// How values are read from segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReadMode {
    /// Through memory maps: uncompressed values are not copied.
    #[default]
    Map,
    /// With a read call (two if the value is verified) and a copy for each value. Safe even if
    /// another program truncates the files. Keeps every segment's file open.
    Pread,
}

/// How the values of a keyspace are compressed. Each value carries its codec, so the setting may
/// change between openings. A value that would not shrink is stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: read in place.
    #[default]
    None,
    /// zstd at this level (1 to 22 are the library's range; 3 is its default).
    Zstd(i32),
}

/// Settings of a keyspace. They apply to writes through the handle that they were given for. They
/// are not stored, so they may change between openings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyspaceOptions {
    /// How values are compressed. Default: not at all.
    pub compression: Compression,
    /// Whether equal values longer than 256 bytes are stored once. Default: no. Costs a hash of
    /// each value that is put, and a second look-up when a value is read for the first time.
    pub dedup: bool,
    /// Whether compressed values share a dictionary. It is trained in the background on the first 4
    /// MiB of values, and used from then on if it makes them at least a tenth smaller. Default: no.
    /// Pays off for many similar values, such as pages of one site.
    pub dictionary: bool,
}

impl KeyspaceOptions {
    /// The defaults with this compression.
    pub const fn compressed(compression: Compression) -> Self {
        Self { compression, dedup: false, dictionary: false }
    }

    /// These settings with a dictionary for compression.
    #[must_use]
    pub const fn with_dictionary(self) -> Self {
        Self { dictionary: true, ..self }
    }

    /// These settings with equal values stored once.
    #[must_use]
    pub const fn deduplicated(self) -> Self {
        Self { dedup: true, ..self }
    }
}

/// How one value is put, where that differs from its keyspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PutOptions {
    /// Time to live, in whole milliseconds and at least one; `None` for ever. It runs by the
    /// store's time, which follows the clock but never goes back and never stands still.
    pub ttl: Option<Duration>,
    /// How the value is compressed; `None` to follow the keyspace.
    pub compression: Option<Compression>,
}

impl PutOptions {
    /// A value that expires after this time.
    pub const fn ttl(ttl: Duration) -> Self {
        Self { ttl: Some(ttl), compression: None }
    }

    /// These settings with this compression.
    #[must_use]
    pub const fn compressed(self, compression: Compression) -> Self {
        Self { compression: Some(compression), ..self }
    }
}

/// When a read checks the record that it takes a value from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verification {
    /// Every time: header and checksum.
    Always,
    /// When the place of the value is not in the pointer cache: at the first read after the store
    /// was opened or the value written, and occasionally after that.
    #[default]
    First,
    /// Never; [`Store::check`](super::Store::check) still does.
    Never,
}

/// Settings of a [`Store`](super::Store), created by [`Store::builder`](super::Store::builder).
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct StoreBuilder {
    pub(super) dir: PathBuf,
    pub(super) cache_bytes: usize,
    pub(super) segment_bytes: u64,
    pub(super) max_group_bytes: usize,
    pub(super) queue_bytes: usize,
    pub(super) verification: Verification,
    pub(super) pointer_cache_bytes: usize,
    pub(super) pool: Option<Pool>,
    pub(super) verify_index: bool,
    pub(super) read_mode: ReadMode,
    pub(super) clock: SharedClock,
    pub(super) vfs: Arc<dyn Vfs>,
}

impl StoreBuilder {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
            cache_bytes: DEFAULT_CACHE_BYTES,
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            max_group_bytes: DEFAULT_GROUP_BYTES,
            queue_bytes: DEFAULT_QUEUE_BYTES,
            verification: Verification::First,
            pointer_cache_bytes: DEFAULT_POINTER_CACHE_BYTES,
            pool: None,
            verify_index: false,
            read_mode: ReadMode::Map,
            clock: SystemClock::shared(),
            vfs: Arc::new(RealVfs),
        }
    }

    /// Bytes of memory for pages of the index. Default: 64 MiB. Values are left to the page cache
    /// of the system.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Length of a new segment file, 64 KiB to 4 GiB. Default: 64 MiB. Segments are allocated ahead
    /// of use and cut to their used length at close. A larger batch gets a segment of its own, and
    /// the first segment after an opening has at most 8 MiB. A quarter more than this length is
    /// kept in a reserve file, so that deletions still work on a full disk: 80 MiB by default.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Maximum bytes of batches flushed together, 1 to 1 GiB. Default: 8 MiB. A larger batch is
    /// flushed alone.
    pub fn max_group_bytes(mut self, bytes: usize) -> Self {
        self.max_group_bytes = bytes;
        self
    }

    /// Bytes of batches that may wait for the disk before a commit of either kind blocks, at least
    /// 1. Default: 32 MiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// When reads check what they read. Default: [`Verification::First`].
    pub fn verification(mut self, verification: Verification) -> Self {
        self.verification = verification;
        self
    }

    /// Bytes of memory for the pointer cache, which saves recently read keys the look-up in the
    /// index. 0 for none, otherwise at least some kilobytes. Default: 16 MiB, about 80,000 keys.
    pub fn pointer_cache_bytes(mut self, bytes: usize) -> Self {
        self.pointer_cache_bytes = bytes;
        self
    }

    /// The pool that reclaims space, removes expired keys and trains dictionaries, at low priority.
    /// If it is shut down before the store, that work stops. Default: a pool of one thread, started
    /// when needed.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Whether opening verifies every page of the index, which reads the whole index file. Default:
    /// no. Without it, damage to the index file may be noticed late, and a value of up to 256
    /// bytes, which is stored in the index, may be read wrong.
    pub fn verify_index(mut self, verify: bool) -> Self {
        self.verify_index = verify;
        self
    }

    /// How values are read. Default: [`ReadMode::Map`].
    pub fn read_mode(mut self, mode: ReadMode) -> Self {
        self.read_mode = mode;
        self
    }

    /// The clock for times to live, records and statistics. Default: the system's clock.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// The file system; for tests. Default: [`RealVfs`].
    #[doc(hidden)]
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Self {
        self.vfs = vfs;
        self
    }

    /// Checks every setting against its range.
    pub(super) fn validate(&self) -> Result<(), StoreError> {
        if !SEGMENT_BYTES.contains(&self.segment_bytes) {
            let (name, value) = ("segment_bytes", self.segment_bytes);
            return Err(StoreError::Option { name, value, allowed: "64 KiB to 4 GiB" });
        }
        if !(1..=MAX_BATCH_BYTES).contains(&self.max_group_bytes) {
            let (name, value) = ("max_group_bytes", self.max_group_bytes as u64);
            return Err(StoreError::Option { name, value, allowed: "1 to 1 GiB" });
        }
        if self.queue_bytes == 0 {
            let name = "queue_bytes";
            return Err(StoreError::Option { name, value: 0, allowed: "at least 1" });
        }
        Ok(())
    }
}
