//! The index file: opening it, writing checkpoints to it, and rewriting it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, Durability, ReadableTable};

use super::backend::{Backend, Health};
use super::delta::Delta;
use super::meta::{Meta, read_meta};
use super::tables::{DATA, META, tables};
use super::view::Base;
use crate::store::commit::reserve::Reserve;
use crate::store::error::StoreError;
use crate::store::files::{INDEX_FILE, NEW_INDEX_FILE, parse_segment_name};
use crate::store::vfs::{OpenMode, Vfs};

/// Rows copied in one transaction when the index file is rewritten.
const COPY_ROWS: usize = 50_000;

/// The index file; written by one thread.
pub(in crate::store) struct Index {
    path: PathBuf,
    cache_bytes: usize,
    reserve: Arc<Reserve>,
    /// Dropped before the seal: its last owner, usually this one, still writes to the file.
    db: Arc<Database>,
    seal: Seal,
    /// What the file's meta table holds.
    meta: Meta,
}

/// Seals the index file when it is dropped.
struct Seal(Arc<Health>);

impl Drop for Seal {
    fn drop(&mut self) {
        self.0.seal();
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index of `dir`. A new index is created under another name and renamed once it is
    /// durable, so an incomplete one is never opened.
    pub(in crate::store) fn open(
        vfs: &dyn Vfs,
        dir: &Path,
        cache_bytes: usize,
        verify: bool,
        reserve: &Arc<Reserve>,
    ) -> Result<Self, StoreError> {
        let path = dir.join(INDEX_FILE);
        let names = vfs.list(dir).map_err(|source| StoreError::io("list", dir, source))?;
        let has = |name: &str| names.iter().any(|known| known == name);
        if has(NEW_INDEX_FILE) {
            let new = dir.join(NEW_INDEX_FILE);
            vfs.remove(&new).map_err(|source| StoreError::io("remove", &new, source))?;
        }
        if !has(INDEX_FILE) {
            if let Some(name) = names.iter().find(|n| parse_segment_name(n).is_some()) {
                return Err(StoreError::corrupt(&dir.join(name), 0, "its index file is missing"));
            }
            let new = dir.join(NEW_INDEX_FILE);
            write_new(vfs, &new, &Meta::default(), None, cache_bytes)?;
            put_in_place(vfs, dir)?;
        }
        let (db, health) = open_database(vfs, &path, cache_bytes, verify, reserve)?;
        let (_, table) = tables(&db).map_err(|e| StoreError::index(&path, e))?;
        let meta = read_meta(&table, &path)?;
        Ok(Self { path, cache_bytes, reserve: Arc::clone(reserve), db, seal: Seal(health), meta })
    }

    /// Ends all access to the file.
    pub(in crate::store) fn seal(&self) {
        self.seal.0.seal();
    }

    pub(in crate::store) const fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// The database, to make views of.
    pub(in crate::store) const fn db(&self) -> &Arc<Database> {
        &self.db
    }

    /// The state of the file, with nothing above it.
    pub(in crate::store) fn base(&self) -> Result<Base, StoreError> {
        Base::new(&self.db).map_err(|e| StoreError::index(&self.path, e))
    }

    /// A checkpoint: writes the rows of a delta and the meta table that goes with them, in one
    /// durable transaction. After an error the file is never written again. It holds the state
    /// before or, if the last step failed, this one. Existing views stay usable.
    pub(in crate::store) fn commit(
        &mut self,
        delta: &Delta,
        meta: &Meta,
    ) -> Result<(), StoreError> {
        let run = || -> Result<(), redb::Error> {
            let mut transaction = self.db.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            // Records the allocator state, so that opening after a crash need not walk the whole
            // file.
            transaction.set_quick_repair(true);
            {
                let mut data = transaction.open_table(DATA)?;
                delta.for_each(|key, row| -> Result<(), redb::Error> {
                    match row {
                        Some(row) => drop(data.insert(key, row)?),
                        None => drop(data.remove(key)?),
                    }
                    Ok(())
                })?;
            }
            meta.write(&self.meta, &mut transaction.open_table(META)?)?;
            transaction.commit()?;
            Ok(self.seal.0.check()?)
        };
        run().map_err(|e| StoreError::index(&self.path, e))?;
        self.meta.clone_from(meta);
        Ok(())
    }

    /// Rewrites the file without its free pages and switches to the new one, or stays with the old
    /// one if there is no room for another. After an error nothing may be written any more, since
    /// either of the two may have the name.
    pub(in crate::store) fn rebuild(
        &mut self,
        vfs: &dyn Vfs,
        dir: &Path,
    ) -> Result<(), StoreError> {
        let new = dir.join(NEW_INDEX_FILE);
        match self.write_another(vfs, &new) {
            Err(error @ StoreError::NoSpace { .. }) => {
                tracing::warn!(error = &error as &dyn Error, "index file not rewritten");
                return Ok(());
            }
            result => result?,
        }
        put_in_place(vfs, dir)?;
        let (path, cache_bytes) = (&self.path, self.cache_bytes);
        let (db, health) = open_database(vfs, path, cache_bytes, false, &self.reserve)?;
        self.db = db;
        // The old file has no name any more, but views can still read it.
        self.seal.0 = health;
        Ok(())
    }

    fn write_another(&self, vfs: &dyn Vfs, new: &Path) -> Result<(), StoreError> {
        // An attempt that failed may have left it.
        match vfs.remove(new) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", new, source));
            }
            _ => {}
        }
        write_new(vfs, new, &self.meta, Some(&self.base()?), self.cache_bytes).inspect_err(|_| {
            // What cannot be removed now is removed by the next attempt or opening.
            let _left_over = vfs.remove(new);
        })
    }
}

/// Writes an index file with the rows of `base` to `path` and makes it durable, using `cache_bytes`
/// of memory.
pub(in crate::store) fn write_new(
    vfs: &dyn Vfs,
    path: &Path,
    meta: &Meta,
    base: Option<&Base>,
    cache_bytes: usize,
) -> Result<(), StoreError> {
    let file = vfs
        .open(path, OpenMode::CreateNew)
        .map_err(|source| StoreError::io("create", path, source))?;
    let run = || -> Result<(), redb::Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        let db = builder.create_with_backend(Backend::strict(file))?;
        let mut rows = base.map(|base| base.table.iter()).transpose()?;
        loop {
            let mut transaction = db.begin_write()?;
            transaction.set_durability(Durability::None)?;
            let mut copied = 0;
            {
                let mut data = transaction.open_table(DATA)?;
                for row in rows.iter_mut().flatten().take(COPY_ROWS) {
                    let (key, row) = row?;
                    data.insert(key.value(), row.value())?;
                    copied += 1;
                }
            }
            transaction.commit()?;
            if copied < COPY_ROWS {
                break;
            }
        }
        let transaction = db.begin_write()?;
        meta.write(&Meta::default(), &mut transaction.open_table(META)?)?;
        transaction.commit()?;
        Ok(db.close()?)
    };
    run().map_err(|e| StoreError::index(path, e))
}

/// Renames a new index file to its final name.
fn put_in_place(vfs: &dyn Vfs, dir: &Path) -> Result<(), StoreError> {
    let (new, path) = (dir.join(NEW_INDEX_FILE), dir.join(INDEX_FILE));
    vfs.rename(&new, &path).map_err(|source| StoreError::io("name", &path, source))?;
    vfs.sync_dir(dir).map_err(|source| StoreError::io("flush", dir, source))
}

fn open_database(
    vfs: &dyn Vfs,
    path: &Path,
    cache_bytes: usize,
    verify: bool,
    reserve: &Arc<Reserve>,
) -> Result<(Arc<Database>, Arc<Health>), StoreError> {
    let file = vfs
        .open(path, OpenMode::Existing)
        .map_err(|source| StoreError::io("open", path, source))?;
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes).set_check_integrity_on_open(verify);
    let health = Health::new(reserve);
    let db = builder.create_with_backend(Backend::lasting(file, &health));
    let db = db.map_err(|source| StoreError::index(path, source))?;
    health.check().map_err(|source| StoreError::io("access", path, source))?;
    Ok((Arc::new(db), health))
}
