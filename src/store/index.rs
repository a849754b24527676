//! The index: where each key's value lies, in `redb`.
//!
//! Two tables. `data` maps keyspace id (big-endian) and key to a row: a small value itself, or a
//! pointer into a segment. `meta` holds the watermark, what each segment holds and each keyspace's
//! name and count. All of it changes in one transaction, so a state of the index is always the
//! exact result of the groups up to its watermark.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition,
};

use super::error::StoreError;
use super::log::FlushedGroup;
use super::record::{
    Action, Codec, Damage, FORMAT_VERSION, Op, Ops, RECORD_HEADER_BYTES, Reader, padded,
};
use super::vfs::{OpenMode, Vfs, VfsFile, read_exact_at, write_all_at};

/// Name of the index file in the store's directory.
pub(super) const INDEX_FILE: &str = "index.redb";
/// Name of the index file while it is being made.
const NEW_INDEX_FILE: &str = "index.redb.new";

type Bytes = &'static [u8];
const DATA: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("data");
const META: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("meta");

const META_FORMAT: &[u8] = b"format";
const META_WATERMARK: &[u8] = b"watermark";
const META_SEGMENT: u8 = b's';
const META_KEYSPACE: u8 = b'k';

/// What a row, a key's share of a branch page and free room in pages take, roughly, beyond the
/// bytes of key and row. Only decides when to checkpoint.
const ROW_OVERHEAD: u64 = 32;

/// Where the record of a value lies, and how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) segment: u32,
    pub(super) offset: u64,
    pub(super) stored: u32,
    pub(super) raw: u32,
    pub(super) codec: Codec,
}

impl Pointer {
    /// Bytes of the segment that the record takes.
    pub(super) fn footprint(&self) -> u64 {
        (RECORD_HEADER_BYTES + padded(self.stored as usize)) as u64
    }
}

/// One row of the data table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row<'a> {
    Inline { codec: Codec, raw: u32, stored: &'a [u8] },
    Record(Pointer),
}

impl<'a> Row<'a> {
    /// Appends the row: a tag (0 inline, 2 record; +1 if compressed), then its fields.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (base, codec, raw) = match self {
            Self::Inline { codec, raw, .. } => (0, *codec, *raw),
            Self::Record(pointer) => (2, pointer.codec, pointer.raw),
        };
        out.push(base + codec.byte());
        if let Self::Record(pointer) = self {
            out.extend_from_slice(&pointer.segment.to_le_bytes());
            out.extend_from_slice(&pointer.offset.to_le_bytes()[..5]);
            out.extend_from_slice(&pointer.stored.to_le_bytes());
        }
        if codec != Codec::Plain {
            out.extend_from_slice(&raw.to_le_bytes());
        }
        if let Self::Inline { stored, .. } = self {
            out.extend_from_slice(stored);
        }
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut reader = Reader(bytes);
        let tag = reader.u8()?;
        let codec = Codec::from_byte(tag & 1)?;
        match tag {
            0 | 1 => {
                let raw = if codec == Codec::Plain { None } else { Some(reader.u32()?) };
                let stored = reader.0;
                let length = u32::try_from(stored.len()).map_err(|_| "row too long")?;
                Ok(Self::Inline { codec, raw: raw.unwrap_or(length), stored })
            }
            2 | 3 => {
                let segment = reader.u32()?;
                let mut offset = [0; 8];
                offset[..5].copy_from_slice(reader.take(5)?);
                let (offset, stored) = (u64::from_le_bytes(offset), reader.u32()?);
                let raw = if codec == Codec::Plain { stored } else { reader.u32()? };
                Ok(Self::Record(Pointer { segment, offset, stored, raw, codec }))
            }
            _ => Err("unknown row"),
        }
    }
}

/// Up to where the log has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Watermark {
    /// Segment of the last group applied; 0 if there is none yet.
    pub(super) segment: u32,
    /// Where that group ends.
    pub(super) offset: u64,
    /// Its sequence number; 0 if there is none yet.
    pub(super) sequence: u64,
}

/// What the index knows of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentRow {
    pub(super) salt: u64,
    /// Where its last applied group ends.
    pub(super) used: u64,
    /// Bytes of its records that a key points at.
    pub(super) live: u64,
}

/// What the index knows of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyspaceRow {
    pub(super) name: String,
    pub(super) keys: u64,
}

/// The content of the meta table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Meta {
    pub(super) watermark: Watermark,
    pub(super) segments: BTreeMap<u32, SegmentRow>,
    pub(super) keyspaces: BTreeMap<u32, KeyspaceRow>,
}

/// Sums over all segments, and how far the log was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) segments: u64,
    pub(super) live: u64,
    pub(super) used: u64,
    pub(super) sequence: u64,
}

impl Meta {
    fn totals(&self) -> Totals {
        Totals {
            segments: self.segments.len() as u64,
            live: self.segments.values().map(|row| row.live).sum(),
            used: self.segments.values().map(|row| row.used).sum(),
            sequence: self.watermark.sequence,
        }
    }
}

/// The key of a row: the keyspace's id, then the key.
pub(super) fn row_key(out: &mut Vec<u8>, keyspace: u32, key: &[u8]) {
    out.clear();
    out.extend_from_slice(&keyspace.to_be_bytes());
    out.extend_from_slice(key);
}

/// A state of the index, fixed when it was taken. Holding it keeps the pages that it shows.
pub(super) struct View {
    pub(super) table: ReadOnlyTable<Bytes, Bytes>,
    meta: ReadOnlyTable<Bytes, Bytes>,
    pub(super) figures: Arc<Figures>,
}

/// The counters of a state of the index.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// Number of keys by keyspace id.
    keys: Vec<(u32, u64)>,
    pub(super) totals: Totals,
}

impl Figures {
    /// Number of keys of a keyspace.
    pub(super) fn keys(&self, keyspace: u32) -> u64 {
        self.keys.iter().find(|(id, _)| *id == keyspace).map_or(0, |(_, keys)| *keys)
    }
}

impl View {
    /// The meta table in this state.
    pub(super) fn read_meta(&self, path: &Path) -> Result<Meta, StoreError> {
        read_meta(&self.meta, path)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("figures", &self.figures).finish_non_exhaustive()
    }
}

/// The writing side of the index; owned by one thread. After an error it must not be used again:
/// what it knows may be ahead of the file.
pub(super) struct Index {
    path: PathBuf,
    db: Database,
    meta: Meta,
    totals: Totals,
    /// Roughly how many bytes the applied groups changed since the last checkpoint.
    pub(super) dirty_bytes: u64,
}

impl Index {
    /// Opens the index of `dir`. A new one is made under another name and gets its own only when
    /// it is durable, so a half-made one is never opened.
    pub(super) fn open(
        vfs: &dyn Vfs,
        dir: &Path,
        cache_bytes: usize,
        verify: bool,
    ) -> Result<Self, StoreError> {
        let path = dir.join(INDEX_FILE);
        let names = vfs.list(dir).map_err(|source| StoreError::io("list", dir, source))?;
        let has = |name: &str| names.iter().any(|known| known == name);
        if !has(INDEX_FILE) {
            if let Some(name) =
                names.iter().find(|n| super::segment::parse_segment_name(n).is_some())
            {
                return Err(StoreError::corrupt(&dir.join(name), 0, "its index file is missing"));
            }
            create(vfs, dir, has(NEW_INDEX_FILE))?;
        }
        let file = vfs
            .open(&path, OpenMode::Existing)
            .map_err(|source| StoreError::io("open", &path, source))?;
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes).set_check_integrity_on_open(verify);
        let db = builder
            .create_with_backend(Backend { file })
            .map_err(|source| StoreError::index(&path, source))?;
        let table = open_meta(&db).map_err(|e| StoreError::index(&path, e))?;
        let meta = read_meta(&table, &path)?;
        let totals = meta.totals();
        Ok(Self { path, db, meta, totals, dirty_bytes: 0 })
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The state after the last applied group.
    pub(super) fn view(&self) -> Result<View, StoreError> {
        let open = || -> Result<_, redb::Error> {
            let transaction = self.db.begin_read()?;
            Ok((transaction.open_table(DATA)?, transaction.open_table(META)?))
        };
        let (table, meta) = open().map_err(|e| StoreError::index(&self.path, e))?;
        let keys = self.meta.keyspaces.iter().map(|(id, row)| (*id, row.keys)).collect();
        let figures = Arc::new(Figures { keys, totals: self.totals });
        Ok(View { table, meta, figures })
    }

    /// Applies flushed groups, oldest first, in one transaction that is visible at once and
    /// durable with the next checkpoint.
    pub(super) fn apply(&mut self, groups: &[FlushedGroup]) -> Result<(), StoreError> {
        let path = &self.path;
        let error = |e: redb::Error| StoreError::index(path, e);
        let ops = sorted_ops(groups, path)?;
        let mut transaction = self.db.begin_write().map_err(|e| error(e.into()))?;
        transaction.set_durability(Durability::None).map_err(|e| error(e.into()))?;
        let mut work = Apply::new(path, &mut self.meta, &mut self.totals);
        work.open_segments(groups);
        {
            let mut data = transaction.open_table(DATA).map_err(|e| error(e.into()))?;
            // First, so that the keys put by the same groups are counted.
            ops.iter().filter(|(_, op)| op.action == Action::Define).for_each(|(_, op)| {
                work.define(op);
            });
            let mut ops = ops.iter().filter(|(_, op)| op.action != Action::Define).peekable();
            while let Some((group, op)) = ops.next() {
                // Of several operations on one key in these groups only the last takes effect.
                let overtaken = ops
                    .peek()
                    .is_some_and(|(_, next)| (next.keyspace, next.key) == (op.keyspace, op.key));
                if !overtaken {
                    work.apply(&mut data, group, op)?;
                }
            }
        }
        work.write_meta(&transaction).map_err(error)?;
        self.dirty_bytes += work.changed;
        transaction.commit().map_err(|e| error(e.into()))
    }

    /// Makes everything applied durable.
    pub(super) fn checkpoint(&mut self) -> Result<(), StoreError> {
        let run = || -> Result<(), redb::Error> {
            let mut transaction = self.db.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            // Records the allocator state, so that an opening after a crash need not walk it all.
            transaction.set_quick_repair(true);
            Ok(transaction.commit()?)
        };
        run().map_err(|e| StoreError::index(&self.path, e))?;
        self.dirty_bytes = 0;
        Ok(())
    }
}

/// All operations of the groups by key, those on one key in the order of the log.
fn sorted_ops<'a>(
    groups: &'a [FlushedGroup],
    path: &Path,
) -> Result<Vec<(&'a FlushedGroup, Op<'a>)>, StoreError> {
    let mut ops = Vec::new();
    for group in groups {
        for (base, bytes) in &group.batches {
            for op in Ops::new(bytes, *base) {
                let op =
                    op.map_err(|reason| StoreError::IndexRow { path: path.to_path_buf(), reason })?;
                ops.push((group, op));
            }
        }
    }
    ops.sort_by(|(_, a), (_, b)| (a.keyspace, a.key).cmp(&(b.keyspace, b.key)));
    Ok(ops)
}

/// One transaction's work on the data table, with the counters that go with it.
struct Apply<'a> {
    path: &'a Path,
    meta: &'a mut Meta,
    totals: &'a mut Totals,
    touched_segments: BTreeSet<u32>,
    touched_keyspaces: BTreeSet<u32>,
    key: Vec<u8>,
    row: Vec<u8>,
    /// Roughly the bytes changed.
    changed: u64,
}

impl<'a> Apply<'a> {
    fn new(path: &'a Path, meta: &'a mut Meta, totals: &'a mut Totals) -> Self {
        let (touched_segments, touched_keyspaces) = (BTreeSet::new(), BTreeSet::new());
        let (key, row) = (Vec::new(), Vec::new());
        Self { path, meta, totals, touched_segments, touched_keyspaces, key, row, changed: 0 }
    }

    /// Counts what the groups take of their segments, and moves the watermark.
    fn open_segments(&mut self, groups: &[FlushedGroup]) {
        for group in groups {
            let row = self.meta.segments.entry(group.segment).or_insert_with(|| {
                self.totals.segments += 1;
                SegmentRow { salt: group.salt, used: 0, live: 0 }
            });
            self.totals.used += group.end.saturating_sub(row.used);
            row.used = group.end;
            self.touched_segments.insert(group.segment);
            let (segment, offset, sequence) = (group.segment, group.end, group.sequence);
            self.meta.watermark = Watermark { segment, offset, sequence };
            self.totals.sequence = sequence;
        }
    }

    fn apply(
        &mut self,
        data: &mut redb::Table<'_, Bytes, Bytes>,
        group: &FlushedGroup,
        op: &Op<'_>,
    ) -> Result<(), StoreError> {
        let row = match op.action {
            Action::Define => return Ok(()),
            Action::Delete => None,
            Action::Inline { codec, raw, stored } => Some(Row::Inline { codec, raw, stored }),
            Action::Record { codec, raw, stored, offset } => {
                let (segment, offset) = (group.segment, offset.0);
                Some(Row::Record(Pointer { segment, offset, stored, raw, codec }))
            }
        };
        row_key(&mut self.key, op.keyspace, op.key);
        self.row.clear();
        let path = self.path;
        let error = |e: redb::StorageError| StoreError::index(path, e);
        let old = match &row {
            Some(row) => {
                row.encode(&mut self.row);
                data.insert(self.key.as_slice(), self.row.as_slice()).map_err(error)?
            }
            None => data.remove(self.key.as_slice()).map_err(error)?,
        };
        let had = old.is_some();
        if let Some(old) = old {
            let damaged = |reason| StoreError::IndexRow { path: path.to_path_buf(), reason };
            if let Row::Record(pointer) = Row::decode(old.value()).map_err(damaged)? {
                self.count_live(&pointer, false);
            }
        }
        if let Some(Row::Record(pointer)) = &row {
            self.count_live(pointer, true);
        }
        self.count_keys(op.keyspace, had, row.is_some());
        self.changed += self.key.len() as u64 + self.row.len() as u64 + ROW_OVERHEAD;
        Ok(())
    }

    fn define(&mut self, op: &Op<'_>) {
        let name = String::from_utf8_lossy(op.key).into_owned();
        self.meta.keyspaces.entry(op.keyspace).or_insert(KeyspaceRow { name, keys: 0 });
        self.touched_keyspaces.insert(op.keyspace);
        self.changed += ROW_OVERHEAD;
    }

    fn count_live(&mut self, pointer: &Pointer, gained: bool) {
        let Some(row) = self.meta.segments.get_mut(&pointer.segment) else { return };
        let bytes = pointer.footprint();
        for live in [&mut row.live, &mut self.totals.live] {
            *live = if gained { *live + bytes } else { live.saturating_sub(bytes) };
        }
        self.touched_segments.insert(pointer.segment);
    }

    fn count_keys(&mut self, keyspace: u32, had: bool, has: bool) {
        let Some(row) = self.meta.keyspaces.get_mut(&keyspace) else { return };
        match (had, has) {
            (false, true) => row.keys += 1,
            (true, false) => row.keys = row.keys.saturating_sub(1),
            _ => return,
        }
        self.touched_keyspaces.insert(keyspace);
    }

    /// Writes the rows of the meta table that changed.
    fn write_meta(&mut self, transaction: &redb::WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(META)?;
        table.insert(META_WATERMARK, encode_watermark(&self.meta.watermark).as_slice())?;
        for id in &self.touched_segments {
            if let Some(row) = self.meta.segments.get(id) {
                let value = encode_segment_row(row);
                table.insert(meta_key(META_SEGMENT, *id).as_slice(), value.as_slice())?;
            }
        }
        for id in &self.touched_keyspaces {
            if let Some(row) = self.meta.keyspaces.get(id) {
                let mut value = row.keys.to_le_bytes().to_vec();
                value.extend_from_slice(row.name.as_bytes());
                table.insert(meta_key(META_KEYSPACE, *id).as_slice(), value.as_slice())?;
            }
        }
        Ok(())
    }
}

/// Makes an empty index under another name and then gives it its own.
fn create(vfs: &dyn Vfs, dir: &Path, left_over: bool) -> Result<(), StoreError> {
    let (new, path) = (dir.join(NEW_INDEX_FILE), dir.join(INDEX_FILE));
    if left_over {
        vfs.remove(&new).map_err(|source| StoreError::io("remove", &new, source))?;
    }
    let file = vfs
        .open(&new, OpenMode::CreateNew)
        .map_err(|source| StoreError::io("create", &new, source))?;
    let run = || -> Result<(), redb::Error> {
        let db = Database::builder().create_with_backend(Backend { file })?;
        let transaction = db.begin_write()?;
        transaction.open_table(DATA)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert(META_FORMAT, FORMAT_VERSION.to_le_bytes().as_slice())?;
        meta.insert(META_WATERMARK, encode_watermark(&Watermark::default()).as_slice())?;
        drop(meta);
        transaction.commit()?;
        Ok(db.close()?)
    };
    run().map_err(|e| StoreError::index(&new, e))?;
    vfs.rename(&new, &path).map_err(|source| StoreError::io("name", &path, source))?;
    vfs.sync_dir(dir).map_err(|source| StoreError::io("flush", dir, source))
}

fn open_meta(db: &Database) -> Result<ReadOnlyTable<Bytes, Bytes>, redb::Error> {
    Ok(db.begin_read()?.open_table(META)?)
}

fn read_meta(table: &ReadOnlyTable<Bytes, Bytes>, path: &Path) -> Result<Meta, StoreError> {
    let mut rows = HashMap::new();
    let mut read = || -> Result<(), redb::Error> {
        for row in table.iter()? {
            let (key, value) = row?;
            rows.insert(key.value().to_vec(), value.value().to_vec());
        }
        Ok(())
    };
    read().map_err(|e| StoreError::index(path, e))?;
    let damaged = |reason| StoreError::IndexRow { path: path.to_path_buf(), reason };
    let format = rows.get(META_FORMAT).ok_or("no format version");
    let found = format.and_then(|bytes| Reader(bytes).u32()).map_err(damaged)?;
    if found > FORMAT_VERSION {
        let path = path.to_path_buf();
        return Err(StoreError::FormatTooNew { path, found, supported: FORMAT_VERSION });
    }
    decode_meta(&rows).map_err(damaged)
}

fn decode_meta(rows: &HashMap<Vec<u8>, Vec<u8>>) -> Result<Meta, Damage> {
    let mut meta = Meta::default();
    for (key, value) in rows {
        let mut reader = Reader(value);
        if key == META_WATERMARK {
            let (segment, offset, sequence) = (reader.u32()?, reader.u64()?, reader.u64()?);
            meta.watermark = Watermark { segment, offset, sequence };
        } else if let [kind, a, b, c, d] = key[..] {
            let id = u32::from_be_bytes([a, b, c, d]);
            if kind == META_SEGMENT {
                let (salt, used, live) = (reader.u64()?, reader.u64()?, reader.u64()?);
                meta.segments.insert(id, SegmentRow { salt, used, live });
            } else if kind == META_KEYSPACE {
                let keys = reader.u64()?;
                let name = String::from_utf8(reader.0.to_vec()).map_err(|_| "name not UTF-8")?;
                meta.keyspaces.insert(id, KeyspaceRow { name, keys });
            }
        }
    }
    Ok(meta)
}

fn meta_key(kind: u8, id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [kind, a, b, c, d]
}

fn encode_watermark(mark: &Watermark) -> Vec<u8> {
    let mut out = mark.segment.to_le_bytes().to_vec();
    out.extend_from_slice(&mark.offset.to_le_bytes());
    out.extend_from_slice(&mark.sequence.to_le_bytes());
    out
}

fn encode_segment_row(row: &SegmentRow) -> Vec<u8> {
    [row.salt, row.used, row.live].iter().flat_map(|field| field.to_le_bytes()).collect()
}

/// The index file as `redb` sees it. The store's own lock file keeps others out, so `redb` need
/// not lock.
#[derive(Debug)]
struct Backend {
    file: Arc<dyn VfsFile>,
}

impl StorageBackend for Backend {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        read_exact_at(&*self.file, offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        write_all_at(&*self.file, offset, &[data])
    }
}
