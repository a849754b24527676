//! Settings of a store and of a keyspace.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Store;
use super::error::StoreError;
use super::vfs::{RealVfs, Vfs};
use crate::time::{SharedClock, SystemClock};

/// Bytes kept of the index in memory unless [`StoreBuilder::cache_bytes`] says otherwise.
const DEFAULT_CACHE_BYTES: usize = 64 << 20;
/// Length of a segment unless [`StoreBuilder::segment_bytes`] says otherwise.
const DEFAULT_SEGMENT_BYTES: u64 = 64 << 20;
/// Shortest and longest segment.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(4 << 30);
/// Bytes flushed together unless [`StoreBuilder::max_group_bytes`] says otherwise.
const DEFAULT_GROUP_BYTES: usize = 8 << 20;
/// Bytes that may wait for the disk unless [`StoreBuilder::queue_bytes`] says otherwise.
const DEFAULT_QUEUE_BYTES: usize = 32 << 20;

/// How values are read from segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReadMode {
    /// Through memory maps: uncompressed values are not copied.
    #[default]
    Map,
    /// With one read call and one copy a value. Safe even if another program cuts the files.
    Pread,
}

/// How the values of a keyspace are compressed. Each value carries its codec: changing the setting
/// between two openings is fine, and a value that would not shrink is stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: read in place.
    #[default]
    None,
    /// zstd at this level (1 to 22 are the library's range; 3 is its default).
    Zstd(i32),
}

/// Settings of a keyspace. They hold for this opening of the store and are not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyspaceOptions {
    /// How values are compressed. Default: not at all.
    pub compression: Compression,
}

impl KeyspaceOptions {
    /// The defaults with this compression.
    pub const fn compressed(compression: Compression) -> Self {
        Self { compression }
    }
}

/// The direction in which a range is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the smallest key up, in byte order.
    #[default]
    Forward,
    /// From the largest key down.
    Backward,
}

/// Settings of a [`Store`]; made by [`Store::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct StoreBuilder {
    pub(super) dir: PathBuf,
    pub(super) cache_bytes: usize,
    pub(super) segment_bytes: u64,
    pub(super) max_group_bytes: usize,
    pub(super) queue_bytes: usize,
    pub(super) verify_reads: bool,
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
            verify_reads: true,
            verify_index: false,
            read_mode: ReadMode::Map,
            clock: SystemClock::shared(),
            vfs: Arc::new(RealVfs),
        }
    }

    /// Bytes of memory for pages of the index. Default: 64 MiB. Values are not cached here: the
    /// page cache of the system holds them.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Length of a new segment file, 64 KiB to 4 GiB. Default: 64 MiB. It is reserved on disk
    /// ahead of use and cut to what was used at close. A larger batch gets a segment of its own.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Most bytes of batches flushed together, at least 1. Default: 8 MiB. One larger batch is a
    /// group of its own.
    pub fn max_group_bytes(mut self, bytes: usize) -> Self {
        self.max_group_bytes = bytes;
        self
    }

    /// Bytes of batches that may wait for the disk before `commit_buffered` blocks, at least 1.
    /// Default: 32 MiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Whether each read of a value checks the record's header and checksum. Default: yes.
    pub fn verify_reads(mut self, verify: bool) -> Self {
        self.verify_reads = verify;
        self
    }

    /// Whether opening verifies every page of the index, which reads the whole index file.
    /// Default: no. Without it, damage done to the index file from outside may show late.
    pub fn verify_index(mut self, verify: bool) -> Self {
        self.verify_index = verify;
        self
    }

    /// How values are read. Default: [`ReadMode::Map`].
    pub fn read_mode(mut self, mode: ReadMode) -> Self {
        self.read_mode = mode;
        self
    }

    /// The source of time for records and statistics. Default: the system's clock.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// The file system. Default: [`RealVfs`].
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Self {
        self.vfs = vfs;
        self
    }

    /// Opens the store, creating its directory if needed, and recovers what a crash left behind.
    ///
    /// The files in the directory must not be changed by other programs while it is open.
    pub fn open(self) -> Result<Store, StoreError> {
        self.validate()?;
        Store::open_with(self)
    }

    fn validate(&self) -> Result<(), StoreError> {
        if !SEGMENT_BYTES.contains(&self.segment_bytes) {
            let (name, value) = ("segment_bytes", self.segment_bytes);
            return Err(StoreError::Option { name, value, allowed: "64 KiB to 4 GiB" });
        }
        for (name, value) in
            [("max_group_bytes", self.max_group_bytes), ("queue_bytes", self.queue_bytes)]
        {
            if value == 0 {
                return Err(StoreError::Option { name, value: 0, allowed: "at least 1" });
            }
        }
        Ok(())
    }
}
