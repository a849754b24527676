//! Copying a store while it is in use.
//!
//! A backup takes a checkpoint, keeps its base, copies the used part of its segments, and writes an
//! index file from its rows. The index gets its name last: without it nothing opens, but for an
//! empty store where no segment was copied yet.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::files::{INDEX_FILE, NEW_INDEX_FILE, belongs_to_store, segment_path};
use crate::store::index::write_new;
use crate::store::vfs::{OpenMode, read_exact_at, write_all_at};

/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;
/// How long to wait for the checkpoint at the start.
const CHECKPOINT_DEADLINE: Duration = Duration::from_mins(5);

/// What [`Store::backup`](crate::store::Store::backup) has copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// Segment files.
    pub segments: u64,
    /// Bytes of the segment files.
    pub bytes: u64,
    /// Sequence number of the newest group in the copy.
    pub sequence: u64,
}

/// Copies the state after a checkpoint taken now into `target`, a directory without a store.
pub(in crate::store) fn backup(core: &Core, target: &Path) -> Result<BackupReport, StoreError> {
    let vfs = &*core.options.vfs;
    vfs.create_dir_all(target).map_err(|source| StoreError::io("create", target, source))?;
    let names = vfs.list(target).map_err(|source| StoreError::io("list", target, source))?;
    if let Some(name) = names.iter().find(|name| belongs_to_store(name)) {
        return Err(StoreError::NotEmpty { path: target.join(name) });
    }
    core.checkpoint(false, CHECKPOINT_DEADLINE)?;
    // Keeps the checkpoint, and the segments that it points into.
    let base = Arc::clone(&core.view()?.base);
    let mut meta = base.read_meta(&core.index_path)?;
    meta.retired.clear();
    let mut report = BackupReport { sequence: meta.watermark.sequence, ..Default::default() };
    for (id, row) in &meta.segments {
        copy_segment(core, target, *id, row.used)?;
        report.segments += 1;
        report.bytes += row.used;
    }
    // The index is written last and renamed at the very end: without it the copy does not open.
    let (new, index) = (target.join(NEW_INDEX_FILE), target.join(INDEX_FILE));
    if names.iter().any(|name| name == NEW_INDEX_FILE) {
        vfs.remove(&new).map_err(|source| StoreError::io("remove", &new, source))?;
    }
    write_new(vfs, &new, &meta, Some(&base), core.options.cache_bytes)?;
    let sync = || vfs.sync_dir(target).map_err(|source| StoreError::io("flush", target, source));
    sync()?;
    vfs.rename(&new, &index).map_err(|source| StoreError::io("name", &index, source))?;
    sync()?;
    Ok(report)
}

fn copy_segment(core: &Core, target: &Path, id: u32, used: u64) -> Result<(), StoreError> {
    let (vfs, path) = (&*core.options.vfs, segment_path(target, id));
    let Some(segment) = core.segments.get(id) else {
        core.check_open()?;
        let path = segment_path(&core.options.dir, id);
        return Err(StoreError::corrupt(&path, 0, "segment is missing"));
    };
    let from = segment.file()?;
    let to = vfs
        .open(&path, OpenMode::CreateNew)
        .map_err(|source| StoreError::io("create", &path, source))?;
    let mut buffer = vec![0; usize::try_from(COPY_BYTES.min(used)).unwrap_or(0)];
    let mut at = 0;
    while at < used {
        let length = usize::try_from(used - at).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let part = buffer.get_mut(..length).unwrap_or_default();
        read_exact_at(&*from, at, part)
            .map_err(|source| StoreError::io("read", &segment.path, source))?;
        write_all_at(&*to, at, &[part]).map_err(|source| StoreError::io("write", &path, source))?;
        from.forget(at, length as u64);
        at += length as u64;
    }
    to.sync_data().map_err(|source| StoreError::io("flush", &path, source))
}
