//! Segment files: created whole, appended to by the log, read by everybody.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, Weak};

use crossbeam::sync::ShardedLock;
use crossbeam::utils::CachePadded;
use parking_lot::RwLock;

use super::codec;
use super::dictionaries::Dictionaries;
use super::error::StoreError;
use super::index::Pointer;
use super::keeper::Signals;
use super::map::Map;
use super::options::ReadMode;
use super::record::{
    Codec, FORMAT_VERSION, RECORD_HEADER_BYTES, RecordHeader, RecordKind, SEGMENT_HEADER_BYTES,
    SegmentHeader, payload_checksum,
};
use super::stats::{STRIPES, stripe};
use super::value::Value;
use super::vfs::{OpenMode, Vfs, VfsFile, read_exact_at, write_all_at};
use crate::time::Timestamp;

/// Ending of a segment's file name.
const SUFFIX: &str = ".segment";
/// Bytes of zeros written and flushed at a time. Measured beside single puts and eight at a time:
/// more holds their flushes up for longer, less takes too many flushes of its own.
const ZERO_BYTES: u64 = 512 << 10;
/// Shortest record whose pages are asked for ahead; others are a page or two.
const PREFETCH_BYTES: u32 = 8 << 10;

/// Where the file of segment `id` lies.
pub(super) fn segment_path(dir: &Path, id: u32) -> PathBuf {
    dir.join(format!("{id:08x}{SUFFIX}"))
}

/// The id in a segment's file name; `None` for other files.
pub(super) fn parse_segment_name(name: &str) -> Option<u32> {
    let id = u32::from_str_radix(name.strip_suffix(SUFFIX)?, 16).ok()?;
    // Only the one spelling that `segment_path` uses.
    (name == format!("{id:08x}{SUFFIX}")).then_some(id)
}

/// One open segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u32,
    pub(super) path: PathBuf,
    pub(super) salt: u64,
    vfs: Arc<dyn Vfs>,
    /// `None` where the map is enough: a store may have more segments than a process may have open
    /// files.
    file: RwLock<Option<Arc<dyn VfsFile>>>,
    /// Length of the file.
    pub(super) capacity: u64,
    /// Made since the store was opened: behind its tail there is nothing. The tails of the others
    /// were cut by the opening, if they were to be.
    fresh: bool,
    map: Option<Map>,
    /// Everything below is durable and never changes again. Stored with Release after the flush,
    /// loaded with Acquire before a read: who sees the tail sees the bytes.
    flushed: AtomicU64,
    /// Goes last, after the map.
    grave: Grave,
}

/// Reports a retired segment once nobody reads it any more.
#[derive(Debug)]
struct Grave {
    id: u32,
    retired: AtomicBool,
    signals: Arc<Signals>,
}

impl Drop for Grave {
    fn drop(&mut self) {
        if *self.retired.get_mut() {
            self.signals.bury(self.id);
        }
    }
}

/// What all segments of a store are made with.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) dir: PathBuf,
    pub(super) mode: ReadMode,
    pub(super) signals: Arc<Signals>,
}

impl Segment {
    /// Creates the file at its full length and makes it durable, name included. It is also written
    /// once, so that flushes of small groups need not allocate, until `hurry` says that it is
    /// needed now.
    pub(super) fn create(
        site: &Site,
        id: u32,
        capacity: u64,
        hurry: &AtomicBool,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let path = segment_path(&site.dir, id);
        let error = |action| {
            let path = path.clone();
            move |source: io::Error| StoreError::io(action, &path, source)
        };
        let file = site.vfs.open(&path, OpenMode::CreateNew).map_err(error("create"))?;
        let make = || -> Result<_, StoreError> {
            file.allocate(capacity).map_err(error("reserve"))?;
            write_zeros(&*file, capacity, hurry).map_err(error("write"))?;
            let salt = RandomState::new().build_hasher().finish();
            let created_ms = now.as_millis();
            let header = SegmentHeader { version: FORMAT_VERSION, id, salt, created_ms };
            write_all_at(&*file, 0, &[&header.encode()]).map_err(error("write"))?;
            file.sync_data().map_err(error("flush"))?;
            site.vfs.sync_dir(&site.dir).map_err(error("flush the directory of"))?;
            let map = map_file(&*file, site.mode).map_err(error("map"))?;
            Ok((salt, map))
        };
        let (salt, map) = make().inspect_err(|_| {
            // What cannot be removed now is removed by the next opening.
            let _left_over = site.vfs.remove(&path);
        })?;
        let flushed = AtomicU64::new(SEGMENT_HEADER_BYTES as u64);
        let (vfs, file) = (Arc::clone(&site.vfs), RwLock::new(Some(file)));
        let grave = Grave::new(site, id);
        let fresh = true;
        Ok(Self { id, path, salt, vfs, file, capacity, fresh, map, flushed, grave })
    }

    /// Opens a segment that the index knows, for reading up to `used`.
    pub(super) fn open(site: &Site, id: u32, salt: u64, used: u64) -> Result<Self, StoreError> {
        let path = segment_path(&site.dir, id);
        let error = |action| {
            let path = path.clone();
            move |source: io::Error| StoreError::io(action, &path, source)
        };
        let file = site.vfs.open(&path, OpenMode::Existing).map_err(error("open"))?;
        let capacity = file.len().map_err(error("measure"))?;
        let map =
            if capacity == 0 { None } else { map_file(&*file, site.mode).map_err(error("map"))? };
        let flushed = AtomicU64::new(used.min(capacity));
        let (vfs, file) = (Arc::clone(&site.vfs), RwLock::new(Some(file)));
        let grave = Grave::new(site, id);
        let fresh = false;
        let segment = Self { id, path, salt, vfs, file, capacity, fresh, map, flushed, grave };
        segment.release_file();
        Ok(segment)
    }

    /// The file, opened again if it was released.
    pub(super) fn file(&self) -> Result<Arc<dyn VfsFile>, StoreError> {
        if let Some(file) = self.file.read().clone() {
            return Ok(file);
        }
        let opened = self.vfs.open(&self.path, OpenMode::Existing);
        opened.map_err(|source| StoreError::io("open", &self.path, source))
    }

    /// Closes the file if reading goes through the map. Nothing is appended any more.
    pub(super) fn release_file(&self) {
        if self.map.is_some() {
            *self.file.write() = None;
        }
    }

    /// Where the durable bytes end.
    pub(super) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// Lets readers see everything below `tail`, which must be durable.
    pub(super) fn publish(&self, tail: u64) {
        self.flushed.store(tail, Ordering::Release);
    }

    /// Has the file removed once nobody reads it any more.
    fn retire(&self) {
        // Relaxed: the last owner of the segment sees it by the way it became the last.
        self.grave.retired.store(true, Ordering::Relaxed);
    }

    /// Bytes of the map; `None` outside it, or without one.
    pub(super) fn mapped(&self, start: usize, end: usize) -> Option<&[u8]> {
        self.map.as_ref()?.bytes().get(start..end)
    }

    /// The range from `offset` on; an error if it does not all lie below the flushed tail.
    fn range(&self, offset: u64, length: usize) -> Result<Range<usize>, StoreError> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.flushed());
        let range =
            end.and_then(|end| Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?));
        range.ok_or_else(|| StoreError::corrupt(&self.path, offset, "points beyond the segment"))
    }

    /// The bytes from `offset` on, copied only where there is no map.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Cow<'_, [u8]>, StoreError> {
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

    /// Tells the system that the record at `offset` is about to be read whole.
    pub(super) fn prefetch(&self, pointer: &Pointer) {
        if pointer.stored >= PREFETCH_BYTES
            && let Some(map) = &self.map
            && let Ok(range) =
                self.range(pointer.offset, RECORD_HEADER_BYTES + pointer.stored as usize)
        {
            map.will_need(range);
        }
    }

    /// The header of the record at `offset`.
    pub(super) fn header(&self, offset: u64) -> Result<RecordHeader, StoreError> {
        let bytes = self.read(offset, RECORD_HEADER_BYTES)?;
        let header = bytes
            .first_chunk()
            .ok_or("ends too early")
            .and_then(|bytes| RecordHeader::decode(bytes, self.salt));
        header.map_err(|reason| StoreError::corrupt(&self.path, offset, reason))
    }

    /// The header of the record that `pointer` names; an error if it is not that record.
    pub(super) fn check_pointer(&self, pointer: &Pointer) -> Result<RecordHeader, StoreError> {
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
    pub(super) fn verified(&self, pointer: &Pointer) -> Result<Cow<'_, [u8]>, StoreError> {
        let offset = pointer.offset;
        let header = self.check_pointer(pointer)?;
        let stored = self.read(offset + RECORD_HEADER_BYTES as u64, pointer.stored as usize)?;
        if payload_checksum(&stored) == header.checksum {
            Ok(stored)
        } else {
            Err(StoreError::corrupt(&self.path, offset, "value fails its checksum"))
        }
    }

    /// Cuts the file to its tail. Nobody else has the segment, so nothing maps it after this.
    pub(super) fn trim(mut self) -> Result<(), StoreError> {
        let tail = self.flushed();
        if !self.fresh || tail >= self.capacity {
            return Ok(());
        }
        let file = self.file()?;
        drop(self.map.take());
        file.set_len(tail).map_err(|source| StoreError::io("cut", &self.path, source))
    }
}

impl Grave {
    fn new(site: &Site, id: u32) -> Self {
        Self { id, retired: AtomicBool::new(false), signals: Arc::clone(&site.signals) }
    }
}

/// Writes zeros over the whole file, a piece at a time, unless in a hurry.
fn write_zeros(file: &dyn VfsFile, length: u64, hurry: &AtomicBool) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(length.min(ZERO_BYTES)).unwrap_or(0)];
    let mut at = 0;
    // Relaxed: a piece more or less does not matter.
    while at < length && !hurry.load(Ordering::Relaxed) {
        let piece = usize::try_from(length - at).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        write_all_at(file, at, &[zeros.get(..piece).unwrap_or_default()])?;
        at += piece as u64;
        // Piece by piece: one flush of all of it would hold up the log's flushes meanwhile.
        file.sync_data()?;
    }
    Ok(())
}

/// A reader's hold on a segment: it stays mapped, and its file in place, until the last is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) segment: Arc<Segment>,
}

impl Lease {
    /// The value that `pointer` names, decoded.
    pub(super) fn value(
        self: Arc<Self>,
        pointer: &Pointer,
        verify: bool,
        dictionaries: &Dictionaries,
    ) -> Result<Value, StoreError> {
        let segment = &self.segment;
        let start = pointer.offset + RECORD_HEADER_BYTES as u64;
        let stored = if verify {
            segment.verified(pointer)?
        } else {
            segment.read(start, pointer.stored as usize)?
        };
        match (pointer.codec, stored) {
            (Codec::Zstd, stored) => {
                codec::decompress(&stored, pointer.raw, dictionaries).map(Value::heap)
            }
            (Codec::Plain, Cow::Owned(bytes)) => Ok(Value::heap(bytes)),
            (Codec::Plain, Cow::Borrowed(_)) => {
                let range = segment.range(start, pointer.stored as usize)?;
                Ok(Value::mapped(self, range.start, range.end))
            }
        }
    }
}

fn map_file(file: &dyn VfsFile, mode: ReadMode) -> io::Result<Option<Map>> {
    match (mode, file.mappable()) {
        (ReadMode::Map, Some(file)) => Ok(Some(Map::new(file)?)),
        _ => Ok(None),
    }
}

/// A segment in the table.
#[derive(Debug)]
enum Entry {
    /// The leases are handed to readers by thread, so that their counts are not fought over.
    Open { segment: Arc<Segment>, leases: Box<[CachePadded<Arc<Lease>>]> },
    /// Only views that are older than its retirement read it.
    Retired(Weak<Segment>),
}

/// The segments by id: those that are readable. The lock is one for each core, nearly: readers do
/// not meet.
#[derive(Debug, Default)]
pub(super) struct Segments {
    by_id: ShardedLock<HashMap<u32, Entry>>,
}

impl Segments {
    pub(super) fn insert(&self, segment: Arc<Segment>) {
        let lease = || CachePadded::new(Arc::new(Lease { segment: Arc::clone(&segment) }));
        let leases = (0..STRIPES).map(|_| lease()).collect();
        let id = segment.id;
        let entry = Entry::Open { segment, leases };
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(id, entry);
    }

    pub(super) fn get(&self, id: u32) -> Option<Arc<Segment>> {
        match self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id)? {
            Entry::Open { segment, .. } => Some(Arc::clone(segment)),
            Entry::Retired(segment) => segment.upgrade(),
        }
    }

    /// A hold on a segment for reading.
    pub(super) fn lease(&self, id: u32) -> Option<Arc<Lease>> {
        match self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id)? {
            Entry::Open { leases, .. } => leases.get(stripe()).map(|lease| Arc::clone(lease)),
            Entry::Retired(segment) => Some(Arc::new(Lease { segment: segment.upgrade()? })),
        }
    }

    /// Takes a segment out. Its file goes when the segment returned and all leases are dropped;
    /// until then older views find it here.
    pub(super) fn retire(&self, id: u32) -> Option<Arc<Segment>> {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        let Some(Entry::Open { segment, .. }) = by_id.get(&id) else { return None };
        let segment = Arc::clone(segment);
        segment.retire();
        by_id.insert(id, Entry::Retired(Arc::downgrade(&segment)));
        Some(segment)
    }

    /// Forgets a segment whose file is gone.
    pub(super) fn forget(&self, id: u32) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Takes all of them out, so that their maps go with their last reader.
    pub(super) fn drain(&self) -> Vec<Arc<Segment>> {
        let entries =
            std::mem::take(&mut *self.by_id.write().unwrap_or_else(PoisonError::into_inner));
        let open = entries.into_values().filter_map(|entry| match entry {
            Entry::Open { segment, .. } => Some(segment),
            Entry::Retired(_) => None,
        });
        open.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::vfs::RealVfs;

    #[test]
    fn names_give_their_ids_and_other_files_none() {
        let path = segment_path(Path::new("dir"), 0x1f);
        assert_eq!(path, Path::new("dir/0000001f.segment"));
        assert_eq!(parse_segment_name("0000001f.segment"), Some(0x1f));
        for other in ["lock", "1f.segment", "0000001g.segment", "index.redb", "+000001f.segment"] {
            assert_eq!(parse_segment_name(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_is_read_beyond_what_is_durable() {
        for mode in [ReadMode::Map, ReadMode::Pread] {
            let dir = tempfile::tempdir().unwrap();
            let (vfs, signals) = (Arc::new(RealVfs), Arc::default());
            let site = Site { vfs, dir: dir.path().into(), mode, signals };
            let hurry = AtomicBool::new(true);
            let segment = Segment::create(&site, 1, 4096, &hurry, Timestamp(0)).unwrap();
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
