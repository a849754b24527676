//! Segment files: created whole, appended to by the log, read by everybody.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::codec;
use super::error::StoreError;
use super::index::Pointer;
use super::map::Map;
use super::options::ReadMode;
use super::record::{
    Codec, FORMAT_VERSION, RECORD_HEADER_BYTES, RecordHeader, RecordKind, SEGMENT_HEADER_BYTES,
    SegmentHeader, payload_checksum,
};
use super::value::Value;
use super::vfs::{OpenMode, Vfs, VfsFile, read_exact_at, write_all_at};
use crate::time::Timestamp;

/// Ending of a segment's file name.
const SUFFIX: &str = ".segment";

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
    map: Option<Arc<Map>>,
    /// Everything below is durable and never changes again. Stored with Release after the flush,
    /// loaded with Acquire before a read: who sees the tail sees the bytes.
    flushed: AtomicU64,
}

impl Segment {
    /// Creates the file at its full length and makes it durable, name included.
    pub(super) fn create(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        id: u32,
        capacity: u64,
        mode: ReadMode,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let path = segment_path(dir, id);
        let error = |action| {
            let path = path.clone();
            move |source: io::Error| StoreError::io(action, &path, source)
        };
        let file = vfs.open(&path, OpenMode::CreateNew).map_err(error("create"))?;
        file.allocate(capacity).map_err(error("reserve"))?;
        let salt = RandomState::new().build_hasher().finish();
        let header =
            SegmentHeader { version: FORMAT_VERSION, id, salt, created_ms: now.as_millis() };
        write_all_at(&*file, 0, &[&header.encode()]).map_err(error("write"))?;
        file.sync_data().map_err(error("flush"))?;
        vfs.sync_dir(dir).map_err(error("flush the directory of"))?;
        let map = map_file(&*file, mode).map_err(error("map"))?;
        let flushed = AtomicU64::new(SEGMENT_HEADER_BYTES as u64);
        let (vfs, file) = (Arc::clone(vfs), RwLock::new(Some(file)));
        Ok(Self { id, path, salt, vfs, file, capacity, map, flushed })
    }

    /// Opens a segment that the index knows, for reading up to `used`.
    pub(super) fn open(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        id: u32,
        salt: u64,
        used: u64,
        mode: ReadMode,
    ) -> Result<Self, StoreError> {
        let path = segment_path(dir, id);
        let error = |action| {
            let path = path.clone();
            move |source: io::Error| StoreError::io(action, &path, source)
        };
        let file = vfs.open(&path, OpenMode::Existing).map_err(error("open"))?;
        let capacity = file.len().map_err(error("measure"))?;
        let map =
            if capacity == 0 { None } else { map_file(&*file, mode).map_err(error("map"))? };
        let flushed = AtomicU64::new(used.min(capacity));
        let (vfs, file) = (Arc::clone(vfs), RwLock::new(Some(file)));
        let segment = Self { id, path, salt, vfs, file, capacity, map, flushed };
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

    /// The bytes from `offset` on; an error if they do not all lie below the flushed tail.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Value, StoreError> {
        let outside = || StoreError::corrupt(&self.path, offset, "points beyond the segment");
        let end = offset.checked_add(length as u64).ok_or_else(outside)?;
        if end > self.flushed() {
            return Err(outside());
        }
        if let Some(map) = &self.map {
            let (start, end) = (usize::try_from(offset).ok(), usize::try_from(end).ok());
            let (Some(start), Some(end)) = (start, end) else { return Err(outside()) };
            return Value::mapped(map, start, end).ok_or_else(outside);
        }
        let mut bytes = vec![0; length];
        read_exact_at(&*self.file()?, offset, &mut bytes)
            .map_err(|source| StoreError::io("read", &self.path, source))?;
        Ok(Value::heap(bytes))
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

    /// The value that `pointer` names, decoded.
    pub(super) fn value(&self, pointer: &Pointer, verify: bool) -> Result<Value, StoreError> {
        let offset = pointer.offset;
        let stored = self.read(offset + RECORD_HEADER_BYTES as u64, pointer.stored as usize)?;
        if verify {
            let header = self.check_pointer(pointer)?;
            if payload_checksum(&stored) != header.checksum {
                return Err(StoreError::corrupt(&self.path, offset, "value fails its checksum"));
            }
        }
        match pointer.codec {
            Codec::Plain => Ok(stored),
            Codec::Zstd => codec::decompress(&stored, pointer.raw).map(Value::heap),
        }
    }

    /// Cuts the file to its tail if nothing maps it any more; otherwise the next opening does.
    pub(super) fn trim(self) -> Result<(), StoreError> {
        let tail = self.flushed();
        if tail >= self.capacity {
            return Ok(());
        }
        let file = self.file()?;
        let unmapped = self.map.is_none_or(|map| Arc::try_unwrap(map).is_ok());
        if !unmapped {
            return Ok(());
        }
        file.set_len(tail).map_err(|source| StoreError::io("cut", &self.path, source))
    }
}

fn map_file(file: &dyn VfsFile, mode: ReadMode) -> io::Result<Option<Arc<Map>>> {
    match (mode, file.mappable()) {
        (ReadMode::Map, Some(file)) => Ok(Some(Arc::new(Map::new(file)?))),
        _ => Ok(None),
    }
}

/// The segments by id: those that are readable, and what the index knows of those that are not.
#[derive(Debug, Default)]
pub(super) struct Segments {
    by_id: RwLock<HashMap<u32, Arc<Segment>>>,
}

impl Segments {
    pub(super) fn insert(&self, segment: Arc<Segment>) {
        self.by_id.write().insert(segment.id, segment);
    }

    pub(super) fn get(&self, id: u32) -> Option<Arc<Segment>> {
        self.by_id.read().get(&id).cloned()
    }

    /// Takes all of them out, so that their maps go with their last reader.
    pub(super) fn drain(&self) -> Vec<Arc<Segment>> {
        self.by_id.write().drain().map(|(_, segment)| segment).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_their_ids_and_other_files_none() {
        let path = segment_path(Path::new("dir"), 0x1f);
        assert_eq!(path, Path::new("dir/0000001f.segment"));
        assert_eq!(parse_segment_name("0000001f.segment"), Some(0x1f));
        for other in ["lock", "1f.segment", "0000001g.segment", "index.redb", "+000001f.segment"] {
            assert_eq!(parse_segment_name(other), None, "{other}");
        }
    }
}
