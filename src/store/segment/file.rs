//! Segment files: created at full length, appended to by the log, read by all threads.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::store::error::StoreError;
use crate::store::files::segment_path;
use crate::store::options::ReadMode;
use crate::store::record::{
    FORMAT_VERSION, Pointer, RECORD_HEADER_BYTES, RecordHeader, RecordKind, SEGMENT_HEADER_BYTES,
    SegmentHeader, payload_checksum,
};
use crate::store::segment::map::Map;
use crate::store::upkeep::signals::Signals;
use crate::store::vfs::{OpenMode, Vfs, VfsFile, read_exact_at, write_all_at};
use crate::time::Timestamp;

/// Bytes of zeros written and flushed at a time. Measured beside one and eight writing threads:
/// more delays their flushes, less needs too many flushes.
const ZERO_BYTES: u64 = 512 << 10;
/// Shortest record that is prefetched; shorter ones take a page or two.
const PREFETCH_BYTES: u32 = 8 << 10;

/// One open segment.
#[derive(Debug)]
pub(in crate::store) struct Segment {
    pub(in crate::store) id: u32,
    pub(in crate::store) path: PathBuf,
    pub(in crate::store) salt: u64,
    vfs: Arc<dyn Vfs>,
    /// `None` if the map suffices: a store may have more segments than a process may have open
    /// files.
    file: RwLock<Option<Arc<dyn VfsFile>>>,
    /// Length of the file.
    pub(in crate::store) capacity: u64,
    /// Created since the store was opened, so the bytes after its tail are unused. The tails of
    /// older segments were cut at the opening.
    fresh: bool,
    map: Option<Map>,
    /// Everything below is durable and never changes again. Stored with Release after the flush,
    /// loaded with Acquire before a read: a thread that sees the tail sees the bytes.
    flushed: AtomicU64,
    /// Dropped last, after the map.
    unlink: UnlinkOnDrop,
}

/// Has the file of a retired segment removed once it has no reader.
#[derive(Debug)]
struct UnlinkOnDrop {
    id: u32,
    retired: AtomicBool,
    signals: Arc<Signals>,
}

impl Drop for UnlinkOnDrop {
    fn drop(&mut self) {
        if *self.retired.get_mut() {
            self.signals.unlink_later(self.id);
        }
    }
}

/// What all segments of a store have in common.
#[derive(Debug, Clone)]
pub(in crate::store) struct SegmentContext {
    pub(in crate::store) vfs: Arc<dyn Vfs>,
    pub(in crate::store) dir: PathBuf,
    pub(in crate::store) mode: ReadMode,
    pub(in crate::store) signals: Arc<Signals>,
}

impl Segment {
    /// Creates the file at its full length and makes it durable, name included. It is also filled
    /// with zeros, so that flushes of small groups need not allocate, until `skip_zeroing` is set.
    pub(in crate::store) fn create(
        context: &SegmentContext,
        id: u32,
        capacity: u64,
        skip_zeroing: &AtomicBool,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let path = segment_path(&context.dir, id);
        let error = |action| {
            let path = path.clone();
            move |source: io::Error| StoreError::io(action, &path, source)
        };
        let file = context.vfs.open(&path, OpenMode::CreateNew).map_err(error("create"))?;
        let make = || -> Result<_, StoreError> {
            file.allocate(capacity).map_err(error("reserve"))?;
            write_zeros(&*file, capacity, skip_zeroing).map_err(error("write"))?;
            let salt = RandomState::new().build_hasher().finish();
            let created_ms = now.as_millis();
            let header = SegmentHeader { version: FORMAT_VERSION, id, salt, created_ms };
            write_all_at(&*file, 0, &[&header.encode()]).map_err(error("write"))?;
            file.sync_data().map_err(error("flush"))?;
            context.vfs.sync_dir(&context.dir).map_err(error("flush the directory of"))?;
            let map = map_file(&*file, context.mode).map_err(error("map"))?;
            Ok((salt, map))
        };
        let (salt, map) = make().inspect_err(|_| {
            // What cannot be removed now is removed by the next opening.
            let _left_over = context.vfs.remove(&path);
        })?;
        let flushed = AtomicU64::new(SEGMENT_HEADER_BYTES as u64);
        let (vfs, file) = (Arc::clone(&context.vfs), RwLock::new(Some(file)));
        let unlink = UnlinkOnDrop::new(context, id);
        let fresh = true;
        Ok(Self { id, path, salt, vfs, file, capacity, fresh, map, flushed, unlink })
    }

    /// Opens a segment that the index knows, for reading up to `used`.
    pub(in crate::store) fn open(
        context: &SegmentContext,
        id: u32,
        salt: u64,
        used: u64,
    ) -> Result<Self, StoreError> {
        let path = segment_path(&context.dir, id);
        let error = |action| {
            let path = path.clone();
            move |source: io::Error| StoreError::io(action, &path, source)
        };
        let file = context.vfs.open(&path, OpenMode::Existing).map_err(error("open"))?;
        let capacity = file.len().map_err(error("measure"))?;
        let map = if capacity == 0 {
            None
        } else {
            map_file(&*file, context.mode).map_err(error("map"))?
        };
        let flushed = AtomicU64::new(used.min(capacity));
        let (vfs, file) = (Arc::clone(&context.vfs), RwLock::new(Some(file)));
        let unlink = UnlinkOnDrop::new(context, id);
        let fresh = false;
        let segment = Self { id, path, salt, vfs, file, capacity, fresh, map, flushed, unlink };
        segment.release_file();
        Ok(segment)
    }

    /// The file, opened again if it was released.
    pub(in crate::store) fn file(&self) -> Result<Arc<dyn VfsFile>, StoreError> {
        if let Some(file) = self.file.read().clone() {
            return Ok(file);
        }
        let opened = self.vfs.open(&self.path, OpenMode::Existing);
        opened.map_err(|source| StoreError::io("open", &self.path, source))
    }

    /// Closes the file if reads use the map. Nothing may be appended after this.
    pub(in crate::store) fn release_file(&self) {
        if self.map.is_some() {
            *self.file.write() = None;
        }
    }

    /// Where the durable bytes end.
    pub(in crate::store) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// Lets readers see everything below `tail`, which must be durable.
    pub(in crate::store) fn publish(&self, tail: u64) {
        self.flushed.store(tail, Ordering::Release);
    }

    /// Has the file removed once the segment has no reader.
    pub(super) fn retire(&self) {
        // Relaxed: dropping the last `Arc` synchronizes with the owners before.
        self.unlink.retired.store(true, Ordering::Relaxed);
    }

    /// Bytes of the map; `None` outside it, or without one.
    pub(in crate::store) fn mapped(&self, start: usize, end: usize) -> Option<&[u8]> {
        self.map.as_ref()?.bytes().get(start..end)
    }

    /// The range from `offset` on; an error if it does not all lie below the flushed tail.
    pub(in crate::store) fn range(
        &self,
        offset: u64,
        length: usize,
    ) -> Result<Range<usize>, StoreError> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.flushed());
        let range =
            end.and_then(|end| Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?));
        range.ok_or_else(|| StoreError::corrupt(&self.path, offset, "points beyond the segment"))
    }

    /// The bytes from `offset` on, copied only where there is no map.
    pub(in crate::store) fn read(
        &self,
        offset: u64,
        length: usize,
    ) -> Result<Cow<'_, [u8]>, StoreError> {
        let Range { start, end } = self.range(offset, length)?;
        if self.map.is_some() {
            return self.mapped(start, end).map(Cow::Borrowed).ok_or_else(|| {
                StoreError::corrupt(&self.path, offset, "points beyond the segment")
            });
        }
        let mut bytes = vec![0; length];
        read_exact_at(&*self.file()?, offset, &mut bytes)
            .map_err(|source| StoreError::io("read", &self.path, source))?;
        Ok(Cow::Owned(bytes))
    }

    /// Prefetches the record that `pointer` names.
    pub(in crate::store) fn prefetch(&self, pointer: &Pointer) {
        if pointer.stored >= PREFETCH_BYTES
            && let Some(map) = &self.map
            && let Ok(range) =
                self.range(pointer.offset, RECORD_HEADER_BYTES + pointer.stored as usize)
        {
            map.will_need(range);
        }
    }

    /// The header of the record at `offset`.
    pub(in crate::store) fn header(&self, offset: u64) -> Result<RecordHeader, StoreError> {
        let bytes = self.read(offset, RECORD_HEADER_BYTES)?;
        let header = bytes
            .first_chunk()
            .ok_or("ends too early")
            .and_then(|bytes| RecordHeader::decode(bytes, self.salt));
        header.map_err(|reason| StoreError::corrupt(&self.path, offset, reason))
    }

    /// The header of the record that `pointer` names; an error if it is not that record.
    pub(in crate::store) fn check_pointer(
        &self,
        pointer: &Pointer,
    ) -> Result<RecordHeader, StoreError> {
        let header = self.header(pointer.offset)?;
        let same = header.kind == RecordKind::Value
            && (header.codec, header.stored, header.raw)
                == (pointer.codec, pointer.stored, pointer.raw);
        if same {
            Ok(header)
        } else {
            Err(StoreError::corrupt(&self.path, pointer.offset, "is not the record pointed at"))
        }
    }

    /// The payload that `pointer` names, as stored and checked.
    pub(in crate::store) fn verified(
        &self,
        pointer: &Pointer,
    ) -> Result<Cow<'_, [u8]>, StoreError> {
        let offset = pointer.offset;
        let header = self.check_pointer(pointer)?;
        let stored = self.read(offset + RECORD_HEADER_BYTES as u64, pointer.stored as usize)?;
        if payload_checksum(&stored) == header.checksum {
            Ok(stored)
        } else {
            Err(StoreError::corrupt(&self.path, offset, "value fails its checksum"))
        }
    }

    /// Cuts the file to its tail. The caller owns the segment, so no map of it is left.
    pub(in crate::store) fn trim(mut self) -> Result<(), StoreError> {
        let tail = self.flushed();
        if !self.fresh || tail >= self.capacity {
            return Ok(());
        }
        let file = self.file()?;
        drop(self.map.take());
        file.set_len(tail).map_err(|source| StoreError::io("cut", &self.path, source))
    }
}

impl UnlinkOnDrop {
    fn new(context: &SegmentContext, id: u32) -> Self {
        Self { id, retired: AtomicBool::new(false), signals: Arc::clone(&context.signals) }
    }
}

/// Fills the file with zeros, a piece at a time, until `skip_zeroing` is set.
fn write_zeros(file: &dyn VfsFile, length: u64, skip_zeroing: &AtomicBool) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(length.min(ZERO_BYTES)).unwrap_or(0)];
    let mut at = 0;
    // Relaxed: one piece more does no harm.
    while at < length && !skip_zeroing.load(Ordering::Relaxed) {
        let piece = usize::try_from(length - at).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        write_all_at(file, at, &[zeros.get(..piece).unwrap_or_default()])?;
        at += piece as u64;
        // Flush each piece: one flush of the whole would delay the log's flushes.
        file.sync_data()?;
    }
    Ok(())
}

fn map_file(file: &dyn VfsFile, mode: ReadMode) -> io::Result<Option<Map>> {
    match (mode, file.mappable()) {
        (ReadMode::Map, Some(file)) => Ok(Some(Map::new(file)?)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::vfs::RealVfs;

    #[test]
    fn nothing_is_read_beyond_what_is_durable() {
        for mode in [ReadMode::Map, ReadMode::Pread] {
            let dir = tempfile::tempdir().unwrap();
            let (vfs, signals) = (Arc::new(RealVfs), Arc::default());
            let context = SegmentContext { vfs, dir: dir.path().into(), mode, signals };
            let skip_zeroing = AtomicBool::new(true);
            let segment = Segment::create(&context, 1, 4096, &skip_zeroing, Timestamp(0)).unwrap();
            let (start, bytes) = (segment.flushed(), [7; 100]);
            write_all_at(&*segment.file().unwrap(), start, &[&bytes]).unwrap();
            let refused = |offset, length| {
                matches!(segment.read(offset, length), Err(StoreError::Corrupt { .. }))
            };
            assert!(refused(start, 1), "{mode:?}: written, but not known to be durable");
            segment.publish(start + 60);
            assert_eq!(*segment.read(start, 60).unwrap(), bytes[..60]);
            assert!(refused(start, 61) && refused(start + 60, 1) && refused(u64::MAX, 2));
        }
    }
}
