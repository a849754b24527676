//! The index: where each key's value lies, in `redb`.
//!
//! Two tables. `data` maps keyspace id (big-endian) and key to a row: a small value itself, or a
//! pointer into a segment. `meta` holds the watermark, what each segment holds and each keyspace's
//! name and count. All of it changes in one transaction, so a state of the index is always the
//! exact result of the groups up to its watermark.

mod apply;
mod meta;
mod row;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition,
};

use apply::{Apply, sorted_ops};
use meta::{META_FORMAT, META_WATERMARK, Totals, Watermark, encode_watermark, read_meta};

use super::error::StoreError;
use super::log::FlushedGroup;
use super::record::{Action, FORMAT_VERSION};
use super::vfs::{OpenMode, Vfs, VfsFile, read_exact_at, write_all_at};

pub(super) use meta::Meta;
pub(super) use row::{Pointer, Row, row_key};

/// Name of the index file in the store's directory.
pub(super) const INDEX_FILE: &str = "index.redb";
/// Name of the index file while it is being made.
const NEW_INDEX_FILE: &str = "index.redb.new";

type Bytes = &'static [u8];
const DATA: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("data");
const META: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("meta");

/// A state of the index, fixed when it was taken. Holding it keeps the pages that it shows.
pub(super) struct View {
    pub(super) table: ReadOnlyTable<Bytes, Bytes>,
    meta: ReadOnlyTable<Bytes, Bytes>,
    pub(super) figures: Arc<Figures>,
}

/// The counters of a state of the index.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// By keyspace id: number of keys, and sequence of the last group that changed it.
    keyspaces: Vec<(u32, u64, u64)>,
    pub(super) totals: Totals,
}

impl Figures {
    /// Number of keys of a keyspace.
    pub(super) fn keys(&self, keyspace: u32) -> u64 {
        self.keyspaces.iter().find(|(id, ..)| *id == keyspace).map_or(0, |(_, keys, _)| *keys)
    }

    /// Sequence of the last group that changed a keyspace.
    pub(super) fn changed(&self, keyspace: u32) -> u64 {
        let known = self.keyspaces.iter().find(|(id, ..)| *id == keyspace);
        known.map_or(0, |(_, _, changed)| *changed)
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
        let keyspaces = self.meta.keyspaces.iter();
        let keyspaces = keyspaces.map(|(id, row)| (*id, row.keys, row.changed)).collect();
        let figures = Arc::new(Figures { keyspaces, totals: self.totals });
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
            ops.iter().filter(|(_, op)| op.action == Action::Define).for_each(|(group, op)| {
                work.define(group, op);
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
