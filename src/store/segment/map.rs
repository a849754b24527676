//! The memory map of a segment: the only place in the crate with `unsafe`.
#![expect(unsafe_code, reason = "mapping a file is unsafe; the contract is stated at the block")]

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Advice, Mmap};

/// A segment file mapped for reading, from byte 0 to its length at that time.
#[derive(Debug)]
pub(in crate::store) struct Map {
    map: Mmap,
}

impl Map {
    /// Maps the whole file. It must not be empty.
    pub(in crate::store) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: a map is sound as long as nothing changes or truncates the mapped bytes while a
        // slice of them lives. The store returns slices only below the flushed tail of a segment
        // (`Segment::read`). Those bytes are never changed: segments are append-only, and what
        // recovery writes over them, for a `Value` that outlived the store before, are the same
        // bytes. No segment is cut below its tail, and none that this store maps is cut at all
        // (`Segment::trim` works on unmapped files). Other processes that use this library are kept
        // out by the lock file; that no other program changes the files of an open store is the
        // contract of `Store::open`, whose users may choose `ReadMode::Pread` instead.
        let map = unsafe { Mmap::map(file)? };
        #[cfg(unix)]
        if let Err(error) = map.advise(Advice::Random) {
            tracing::debug!(%error, "advice on a map failed");
        }
        Ok(Self { map })
    }

    /// Prefetches a range from the disk in one read.
    pub(in crate::store) fn will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Err(error) =
            self.map.advise_range(Advice::WillNeed, range.start, range.end - range.start)
        {
            tracing::debug!(%error, "advice on a map failed");
        }
        #[cfg(not(unix))]
        let _no_such_advice = range;
    }

    /// The mapped bytes.
    pub(in crate::store) fn bytes(&self) -> &[u8] {
        &self.map
    }
}
