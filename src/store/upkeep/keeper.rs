//! The keeper, the thread `store-index`: it takes checkpoints, removes the files of retired
//! segments and closes the store.
//!
//! # Checkpoints
//!
//! 1. **Freeze**, under the writer's lock: segments without a live record are retired, the ledger
//!    is copied, and a fresh delta is put above the current one.
//! 2. **Commit**: the rows of the frozen delta, and the meta rows that changed, go into the index
//!    file in one durable transaction. It also records the allocator's state, so that an opening
//!    after a crash need not walk the file. Groups go on meanwhile.
//! 3. **Show**: the newest view gets the new state of the file as its base, below the newest delta.
//!    Older views keep theirs.
//!
//! A checkpoint is due when the newest delta takes 8 MiB of memory, or 128 MiB of log were written
//! since the last one. At 32 MiB of rows callers wait for a checkpoint to finish. After each one
//! the keeper starts reclaiming space if that is due.
//!
//! # Retirement
//!
//! The checkpoint after which a segment has no live record notes it as retired. From then on only
//! older views can point into it. A view has its base, a base its epoch, and an epoch the next
//! epoch and the segments retired at its end. So a view, and with it a snapshot, an iterator or a
//! backup, owns everything that it may read; values own their segments by leases. The last owner
//! reports the segment; the keeper removes the file and flushes the directory, and the next
//! checkpoint forgets the id. A crash in between leaves a file that the index does not know, which
//! the next opening removes.
//!
//! # The end
//!
//! When the last handle is dropped, or on `close`, the queued batches are written, the last
//! checkpoint is taken, writing and reading end, the index file is closed, the tails of the
//! segments are cut, and the lock is released. Snapshots, iterators and tasks may outlive that and
//! get [`StoreError::Closed`]. Values outlive it too: their maps stay, and no byte that they show
//! changes.

use std::error::Error;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use crate::store::core::{Core, Published};
use crate::store::error::StoreError;
use crate::store::files::segment_path;
use crate::store::index::{Delta, Index, Meta};
use crate::store::upkeep::schedule;
use crate::store::upkeep::signals::Task;
use crate::store::vfs::LockGuard;

/// Reports the end of the store, however its thread ends.
struct StopGuard<'a>(&'a Core);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.signals.end();
        self.0.queue.stop();
    }
}

/// The keeper's thread. However its work ends, reads go on until the store is closed, and the end
/// is reported when nothing is written any more, the index file is closed and the lock is released.
pub(in crate::store) fn run(core: &Arc<Core>, mut index: Index, lock: Box<dyn LockGuard>) {
    // Dropped last.
    let _stop = StopGuard(core);
    let lock = lock;
    let worked = panic::catch_unwind(AssertUnwindSafe(|| work(core, &mut index)));
    if worked.is_err() {
        core.queue.fail_all();
        core.signals.end();
        core.maintenance.stop();
        core.queue.wait_closing();
        // A half-done checkpoint must not be finished when the database is dropped.
        index.seal();
    }
    shut(core);
    drop(index);
    put_in_order(core);
    drop(lock);
}

/// Works until the store is closed, then takes the last checkpoint.
fn work(core: &Arc<Core>, index: &mut Index) {
    let maintenance = &core.maintenance;
    schedule::reclaim_if_due(core);
    loop {
        match core.signals.next() {
            Task::End => break,
            Task::Unlink(ids) => unlink(core, &ids),
            Task::Checkpoint { number, rebuild } => {
                let request = CheckpointRequest { number, rebuild, last: false };
                let result = checkpoint(core, index, &request);
                let result = result.map_err(|error| {
                    tracing::error!(
                        error = &error as &dyn Error,
                        "checkpoint failed: store stops writing"
                    );
                    let error = Arc::new(error);
                    core.queue.fail(Arc::clone(&error));
                    error
                });
                core.signals.finished(number, result);
                schedule::reclaim_if_due(core);
            }
        }
    }
    maintenance.stop();
    last_checkpoint(core, index);
}

/// Ends writing, after a group in progress, and reading.
fn shut(core: &Core) {
    if let Some(writer) = core.writer.lock().take() {
        writer.log.close();
    }
    core.published.write().view = None;
}

/// Why a checkpoint is taken.
struct CheckpointRequest {
    number: u64,
    /// Rewrite the index file, too.
    rebuild: bool,
    /// The store is being closed.
    last: bool,
}

/// Writes the rows of the groups so far into the index file, and retires segments.
fn checkpoint(
    core: &Core,
    index: &mut Index,
    request: &CheckpointRequest,
) -> Result<(), StoreError> {
    core.reserve.keep()?;
    let frozen_rows = freeze_rows(core, index, request)?;
    let Some((delta, meta, retired)) = frozen_rows else { return Ok(()) };
    let clock = &core.options.clock;
    let before = clock.monotonic();
    let (vfs, dir) = (&*core.options.vfs, core.options.dir.as_path());
    index.commit(&delta, &meta)?;
    if request.rebuild {
        index.rebuild(vfs, dir)?;
    }
    core.counters.checkpointed(clock.monotonic().saturating_sub(before));
    show(core, index, &retired)?;
    core.queue.pause(false);
    Ok(())
}

type Frozen = (Arc<Delta>, Meta, Vec<u32>);

/// Directs new rows into a fresh delta. Returns the previous one with the meta table that belongs
/// to it and the segments retired; `None` if the index file has everything already.
fn freeze_rows(
    core: &Core,
    index: &Index,
    request: &CheckpointRequest,
) -> Result<Option<Frozen>, StoreError> {
    let mut writer = core.writer.lock();
    core.signals.begun(request.number);
    let Some(writer) = writer.as_mut() else { return Ok(None) };
    if !writer.consistent {
        // The ledger has a group in part.
        return Err(core.queue.failure());
    }
    let retired = writer.ledger.retire();
    let (now, written) = (writer.ledger.meta(), index.meta());
    let time = core.time.now();
    // A key that was seen to expire must stay expired even if the clock is set back.
    let expiring = writer.ledger.counts().expiring() > 0;
    let always = request.rebuild || (request.last && expiring && time > written.time);
    if !always && now.watermark == written.watermark && now.retired == written.retired {
        return Ok(None);
    }
    writer.ledger.set_time(time);
    let meta = writer.ledger.meta().clone();
    let mut published = core.published.write();
    let Published { view: Some(view), counts } = &mut *published else { return Ok(None) };
    let delta = Arc::clone(&view.base.active);
    let frozen = view.base.freeze(index.db()).map_err(|error| core.index_error(error))?;
    view.base = Arc::new(frozen);
    view.counts = writer.ledger.counts();
    *counts = Arc::clone(&view.counts);
    writer.logged = 0;
    Ok(Some((delta, meta, retired)))
}

/// Shows the new checkpoint to readers. Older views keep the segments that it retired.
fn show(core: &Core, index: &Index, retired: &[u32]) -> Result<(), StoreError> {
    let mut published = core.published.write();
    let Some(view) = &mut published.view else { return Ok(()) };
    let next = view.base.rebase(index.db()).map_err(|error| core.index_error(error))?;
    let old = std::mem::replace(&mut view.base, Arc::new(next));
    drop(published);
    let segments = retired.iter().filter_map(|id| core.segments.retire(*id));
    old.epoch.retired.lock().extend(segments);
    Ok(())
}

/// Removes the files of segments without a reader.
fn unlink(core: &Core, ids: &[u32]) {
    let (vfs, dir) = (&*core.options.vfs, core.options.dir.as_path());
    let mut gone = Vec::new();
    for id in ids {
        let path = segment_path(dir, *id);
        match vfs.remove(&path) {
            Ok(()) => gone.push(*id),
            // The index has it as retired, so the next opening removes it.
            Err(error) => tracing::warn!(path = %path.display(), %error, "segment not removed"),
        }
        core.segments.forget(*id);
    }
    if let Err(error) = vfs.sync_dir(dir) {
        tracing::warn!(dir = %dir.display(), %error, "directory not flushed");
        return;
    }
    core.counters.reclaimed(gone.len());
    if let Err(error) = core.reserve.keep() {
        tracing::warn!(error = &error as &dyn Error, "reserve not allocated");
    }
    if let Some(writer) = &mut *core.writer.lock() {
        writer.ledger.forget(&gone);
    }
}

/// Brings the index file up to date.
fn last_checkpoint(core: &Core, index: &mut Index) {
    let Some(number) = core.signals.newest_wanted() else { return };
    let request = CheckpointRequest { number, rebuild: false, last: true };
    if let Err(error) = checkpoint(core, index, &request) {
        core.queue.fail(Arc::new(error));
    }
}

/// Cuts the tails of the segments, and removes those without a reader.
fn put_in_order(core: &Core) {
    for segment in core.segments.drain() {
        if let Ok(segment) = Arc::try_unwrap(segment)
            && let Err(error) = segment.trim()
        {
            tracing::warn!(error = &error as &dyn Error, "segment not cut; the next opening will");
        }
    }
    let dead = core.signals.take_unlinkable();
    if !dead.is_empty() {
        unlink(core, &dead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{KeyspaceOptions, Store};

    #[test]
    fn a_retired_segment_is_written_down_until_its_file_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let core = &*store.handle.core;
        let keyspace = store.keyspace("k", KeyspaceOptions::default()).unwrap();
        keyspace.put("key", vec![1; 1000]).unwrap();
        let (snapshot, path) = (store.snapshot(), segment_path(dir.path(), 1));
        let retired = || {
            // The checkpoint in it records what the keeper did before.
            store.check().unwrap();
            let meta = core.view().unwrap().base.read_meta(&core.index_path).unwrap();
            assert!(!meta.segments.contains_key(&1));
            meta.retired.contains(&1)
        };
        keyspace.put("key", vec![2; 1000]).unwrap();
        store.compact().unwrap();
        assert!(retired() && path.exists(), "the snapshot reads it");
        assert_eq!(snapshot.get(&keyspace, "key").unwrap().unwrap(), vec![1; 1000]);
        drop(snapshot);
        assert!(!retired() && !path.exists());
    }
}
