//! Reading a segment record by record, as recovery and verification do.

use std::path::Path;

use crate::store::error::StoreError;
use crate::store::record::{
    ALIGNMENT, Damage, FORMAT_VERSION, GroupPayload, RECORD_HEADER_BYTES, RecordHeader, RecordKind,
    SEGMENT_HEADER_BYTES, SegmentHeader, payload_checksum,
};
use crate::store::vfs::{VfsFile, read_exact_at};

/// Bytes searched at a time for the next record after a damaged one.
const RESYNC_BYTES: usize = 1 << 20;

/// A cursor over the records of a segment.
#[derive(Debug)]
pub(in crate::store) struct Scan<'a> {
    pub(in crate::store) path: &'a Path,
    pub(in crate::store) file: &'a dyn VfsFile,
    pub(in crate::store) salt: u64,
    /// Where the next record begins.
    pub(in crate::store) offset: u64,
    /// Where to stop.
    pub(in crate::store) end: u64,
}

/// What was found at a place in a segment.
#[derive(Debug)]
pub(in crate::store) enum Found {
    /// A whole record with matching checksums.
    Record { offset: u64, header: RecordHeader, payload: Vec<u8> },
    /// Something else. The scan has not moved.
    Damaged(Damage),
    /// The end of the part scanned.
    End,
}

/// A whole group: its value records and the record that closes it.
#[derive(Debug)]
pub(in crate::store) struct ScannedGroup {
    pub(in crate::store) sequence: u64,
    /// The last group that was durable when this one was written.
    pub(in crate::store) flushed: u64,
    pub(in crate::store) start: u64,
    pub(in crate::store) end: u64,
    /// Where the closing record begins.
    pub(in crate::store) closing: u64,
}

impl Scan<'_> {
    /// Reads the record at the current place and moves past it.
    pub(in crate::store) fn record(&mut self) -> Result<Found, StoreError> {
        if self.offset >= self.end {
            return Ok(Found::End);
        }
        let Some(head) = self.read(self.offset, RECORD_HEADER_BYTES as u64)? else {
            return Ok(Found::Damaged("ends too early"));
        };
        let head = head.first_chunk().ok_or("ends too early");
        let header = match head.and_then(|head| RecordHeader::decode(head, self.salt)) {
            Ok(header) => header,
            Err(damage) => return Ok(Found::Damaged(damage)),
        };
        let (offset, next) = (self.offset, self.offset + header.span());
        let start = offset + RECORD_HEADER_BYTES as u64;
        if next > self.end {
            return Ok(Found::Damaged("ends too early"));
        }
        let Some(payload) = self.read(start, u64::from(header.stored))? else {
            return Ok(Found::Damaged("ends too early"));
        };
        if payload_checksum(&payload) != header.checksum {
            return Ok(Found::Damaged("payload fails its checksum"));
        }
        self.offset = next;
        Ok(Found::Record { offset, header, payload })
    }

    /// Reads the next record of this kind and moves past it. Of other records only the headers are
    /// read.
    pub(in crate::store) fn record_of(&mut self, kind: RecordKind) -> Result<Found, StoreError> {
        while self.offset < self.end {
            let Some(head) = self.read(self.offset, RECORD_HEADER_BYTES as u64)? else {
                return Ok(Found::Damaged("ends too early"));
            };
            let head = head.first_chunk().ok_or("ends too early");
            match head.and_then(|head| RecordHeader::decode(head, self.salt)) {
                Ok(header) if header.kind == kind => return self.record(),
                Ok(header) => self.offset += header.span(),
                Err(damage) => return Ok(Found::Damaged(damage)),
            }
        }
        Ok(Found::End)
    }

    /// Reads a whole group and moves past it, or returns the damage found and stays at it.
    pub(in crate::store) fn group(&mut self) -> Result<Result<ScannedGroup, Damage>, StoreError> {
        let start = self.offset;
        let mut sequence = None;
        loop {
            let (offset, header, payload) = match self.record()? {
                Found::Record { offset, header, payload } => (offset, header, payload),
                Found::Damaged(damage) => return Ok(Err(damage)),
                Found::End => return Ok(Err("no closing record")),
            };
            if *sequence.get_or_insert(header.sequence) != header.sequence {
                self.offset = offset;
                return Ok(Err("record of another group"));
            }
            if header.kind == RecordKind::Value {
                continue;
            }
            let flushed = match GroupPayload::decode(&payload) {
                Ok(group) if group.start == start => group.flushed,
                Ok(_) => {
                    self.offset = offset;
                    return Ok(Err("group begins elsewhere"));
                }
                Err(damage) => {
                    self.offset = offset;
                    return Ok(Err(damage));
                }
            };
            let (sequence, end) = (header.sequence, self.offset);
            let closing = offset;
            return Ok(Ok(ScannedGroup { sequence, flushed, start, end, closing }));
        }
    }

    /// Moves to the next whole record after the current place; `false` if there is none.
    pub(in crate::store) fn resync(&mut self) -> Result<bool, StoreError> {
        let mut at = self.offset + ALIGNMENT as u64;
        while at < self.end {
            let length = (self.end - at).min(RESYNC_BYTES as u64);
            let Some(bytes) = self.read(at, length)? else { return Ok(false) };
            for (index, word) in bytes.chunks(ALIGNMENT).enumerate() {
                if !RecordHeader::may_begin_with(word) {
                    continue;
                }
                self.offset = at + (index * ALIGNMENT) as u64;
                let place = self.offset;
                if let Found::Record { .. } = self.record()? {
                    self.offset = place;
                    return Ok(true);
                }
            }
            at += length;
        }
        self.offset = self.end;
        Ok(false)
    }

    /// The bytes at `offset`; `None` if the part scanned, or the file, ends before.
    fn read(&self, offset: u64, length: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.end);
        let Some(length) = usize::try_from(length).ok().filter(|_| fits) else { return Ok(None) };
        let mut bytes = vec![0; length];
        match read_exact_at(self.file, offset, &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(StoreError::io("read", self.path, source)),
        }
    }
}

/// The salt in a segment's header; `None` if the header is damaged.
pub(in crate::store) fn read_segment_header(
    file: &dyn VfsFile,
    path: &Path,
    id: u32,
) -> Result<Option<u64>, StoreError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    match read_exact_at(file, 0, &mut bytes) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(source) => return Err(StoreError::io("read", path, source)),
    }
    match SegmentHeader::decode(&bytes) {
        Ok(header) if header.version > FORMAT_VERSION => Err(StoreError::FormatTooNew {
            path: path.to_path_buf(),
            found: header.version,
            supported: FORMAT_VERSION,
        }),
        Ok(header) if header.id == id => Ok(Some(header.salt)),
        Ok(_) | Err(_) => Ok(None),
    }
}
