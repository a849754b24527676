//! The keeper, the thread `store-index`: it takes checkpoints, removes the files of retired
//! segments and ends the store.
//!
//! # Checkpoints
//!
//! 1. **Set aside**, under the writer's lock: segments without a live record leave the books, the
//!    books are copied, and a fresh delta is put above the one so far.
//! 2. **Commit**: the rows of the delta set aside, and the meta rows that changed, go into the
//!    index file in one durable transaction. It also records the allocator's state, so that an
//!    opening after a crash need not walk the file. Groups go on meanwhile.
//! 3. **Show**: the newest view gets the new state of the file as its base, below the newest delta.
//!    Older views keep theirs.
//!
//! A checkpoint is due when the newest delta takes 8 MiB of memory, or 128 MiB of log were written
//! since the last one. At 32 MiB of rows callers wait until one is through. After each checkpoint
//! the keeper looks whether space is to be reclaimed.
//!
//! # Retirement
//!
//! The checkpoint that takes a segment out of the books notes it as retired. From then on only
//! older views can point into it. A view has its base, a base its epoch, and an epoch the next
//! epoch and the segments retired at its end. So a view, and with it a snapshot, an iterator or a
//! backup, owns everything that it may read; values own their segments by leases. The last owner
//! reports the segment; the keeper removes the file and flushes the directory, and the next
//! checkpoint forgets the id. A crash in between leaves a file that the index does not know, which
//! the next opening removes.
//!
//! # The end
//!
//! When the last handle goes, or on `close`, the queued batches are written, the last checkpoint is
//! taken, writing and reading end, the index file is closed, the tails of the segments are cut, and
//! the lock is released. Snapshots, iterators and tasks may outlive that and get
//! [`StoreError::Closed`]. Values outlive it too: their maps stay, and no byte that they show
//! changes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::error::StoreError;
use super::index::Index;
use super::queue::Queue;
use super::segment::segment_path;
use super::shared::{Published, Shared};
use super::vfs::LockGuard;

/// Memory of rows not yet in the index file after which a checkpoint is taken.
const CHECKPOINT_BYTES: u64 = 8 << 20;
/// Memory of such rows at which callers wait for the checkpoint under way.
const PAUSE_BYTES: u64 = 32 << 20;

#[derive(Debug, Default)]
struct State {
    /// Checkpoints asked for, those that have set their rows aside, and those that are done.
    wanted: u64,
    begun: u64,
    done: u64,
    /// A rebuild of the index file is asked for with the next checkpoint.
    rebuild: bool,
    /// Ids of retired segments that nobody reads any more.
    dead: Vec<u32>,
    failed: Option<Arc<StoreError>>,
    closing: bool,
    /// No checkpoint is taken on demand any more.
    leaving: bool,
}

/// How the keeper is told what to do.
#[derive(Debug, Default)]
pub(super) struct Signals {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
}

/// What the keeper does next.
enum Work {
    Unlink(Vec<u32>),
    Checkpoint { number: u64, rebuild: bool },
    End,
}

impl Signals {
    /// Has the file of a retired segment removed.
    pub(super) fn bury(&self, id: u32) {
        self.state.lock().dead.push(id);
        self.work.notify_one();
    }

    /// Asks for a checkpoint with everything applied so far.
    pub(super) fn want_checkpoint(&self) {
        let mut state = self.state.lock();
        if state.wanted == state.begun {
            state.wanted += 1;
            self.work.notify_one();
        }
    }

    /// Notes that the rows for all checkpoints up to this one are set aside: what comes now is for
    /// the next.
    fn begun(&self, number: u64) {
        self.state.lock().begun = number;
    }

    /// Asks for a checkpoint that has everything before it, and waits for it.
    pub(super) fn checkpoint(
        &self,
        rebuild: bool,
        deadline: Duration,
    ) -> Result<(), CheckpointError> {
        let mut state = self.state.lock();
        if state.wanted == state.begun {
            state.wanted += 1;
        }
        state.rebuild |= rebuild;
        let number = state.wanted;
        self.work.notify_one();
        let until = std::time::Instant::now() + deadline;
        while state.done < number {
            if let Some(error) = &state.failed {
                return Err(CheckpointError::Failed(Arc::clone(error)));
            }
            if state.leaving {
                return Err(CheckpointError::Closed);
            }
            if self.done.wait_until(&mut state, until).timed_out() && state.done < number {
                return Err(CheckpointError::Timeout);
            }
        }
        Ok(())
    }

    /// Asks for a checkpoint if enough rows wait for one, and holds callers back if far too many.
    pub(super) fn note_dirty(&self, bytes: u64, log_is_long: bool, queue: &Queue) {
        if bytes >= CHECKPOINT_BYTES || log_is_long {
            self.want_checkpoint();
        }
        if bytes >= PAUSE_BYTES {
            queue.pause(true);
        }
    }

    /// Ends the keeper.
    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.work.notify_one();
    }

    fn next(&self) -> Work {
        let mut state = self.state.lock();
        loop {
            if !state.dead.is_empty() {
                return Work::Unlink(std::mem::take(&mut state.dead));
            }
            if state.wanted > state.done && state.failed.is_none() {
                let (number, rebuild) = (state.wanted, std::mem::take(&mut state.rebuild));
                return Work::Checkpoint { number, rebuild };
            }
            if state.closing {
                state.leaving = true;
                self.done.notify_all();
                return Work::End;
            }
            self.work.wait(&mut state);
        }
    }

    fn finished(&self, number: u64, result: Result<(), Arc<StoreError>>) {
        let mut state = self.state.lock();
        match result {
            Ok(()) => state.done = number,
            Err(error) => state.failed = Some(error),
        }
        self.done.notify_all();
    }

    fn end(&self) {
        self.state.lock().leaving = true;
        self.done.notify_all();
    }
}

/// Why a checkpoint that was asked for did not come.
#[derive(Debug)]
pub(super) enum CheckpointError {
    Failed(Arc<StoreError>),
    Closed,
    Timeout,
}

/// Says that the store has ended, however its thread ends.
struct StopGuard<'a>(&'a Shared);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.signals.end();
        self.0.queue.stop();
    }
}

/// The thread of the keeper. However its work ends, reads go on until the store is closed, and the
/// end is told when nothing is written any more, the index file is closed and the lock is free.
pub(super) fn run(shared: &Arc<Shared>, mut index: Index, lock: Box<dyn LockGuard>) {
    // Goes last.
    let _stop = StopGuard(shared);
    let lock = lock;
    let worked = panic::catch_unwind(AssertUnwindSafe(|| work(shared, &mut index)));
    if worked.is_err() {
        shared.queue.fail_all();
        shared.signals.end();
        shared.maintenance.stop();
        shared.queue.wait_closing();
        // Nobody knows what it was about to write.
        index.seal();
    }
    shut(shared);
    drop(index);
    put_in_order(shared);
    drop(lock);
}

/// What the keeper does until the store is closed, and then the last checkpoint.
fn work(shared: &Arc<Shared>, index: &mut Index) {
    let maintenance = &shared.maintenance;
    maintenance.look(shared);
    loop {
        match shared.signals.next() {
            Work::End => break,
            Work::Unlink(ids) => unlink(shared, &ids),
            Work::Checkpoint { number, rebuild } => {
                let occasion = Occasion { number, rebuild, last: false };
                let result = checkpoint(shared, index, &occasion);
                let result = result.map_err(|error| {
                    tracing::error!(%error, "store stops writing: no checkpoint");
                    let error = Arc::new(error);
                    shared.queue.fail(Arc::clone(&error));
                    error
                });
                shared.signals.finished(number, result);
                maintenance.look(shared);
            }
        }
    }
    maintenance.stop();
    last_checkpoint(shared, index);
}

/// Ends writing, where somebody still leads, and reading.
fn shut(shared: &Shared) {
    if let Some(writer) = shared.writer.lock().take() {
        writer.log.close();
    }
    shared.published.write().view = None;
}

/// Why a checkpoint is taken.
struct Occasion {
    number: u64,
    /// The index file is to be written anew.
    rebuild: bool,
    /// The store ends.
    last: bool,
}

/// Writes the rows of the groups so far into the index file, and retires segments.
fn checkpoint(shared: &Shared, index: &mut Index, occasion: &Occasion) -> Result<(), StoreError> {
    shared.reserve.keep()?;
    let aside = set_aside(shared, index, occasion)?;
    let Some((delta, meta, retired)) = aside else { return Ok(()) };
    let clock = &shared.options.clock;
    let before = clock.monotonic();
    let (vfs, dir) = (&*shared.options.vfs, shared.options.dir.as_path());
    index.commit(&delta, &meta)?;
    if occasion.rebuild {
        index.rebuild(vfs, dir)?;
    }
    shared.counters.checkpointed(clock.monotonic().saturating_sub(before));
    show(shared, index, &retired)?;
    shared.queue.pause(false);
    Ok(())
}

type SetAside = (Arc<super::index::Delta>, super::index::Meta, Vec<u32>);

/// Has new rows go elsewhere, and gives those so far, with what goes with them. `None` if the
/// index file has everything already.
fn set_aside(
    shared: &Shared,
    index: &Index,
    occasion: &Occasion,
) -> Result<Option<SetAside>, StoreError> {
    let mut writer = shared.writer.lock();
    shared.signals.begun(occasion.number);
    let Some(writer) = writer.as_mut() else { return Ok(None) };
    if !writer.sound {
        // A group was counted in part.
        return Err(shared.queue.failure());
    }
    let retired = writer.ledger.retire();
    let (now, written) = (writer.ledger.meta(), index.meta());
    let time = shared.time.now();
    // What has been seen to expire must stay so, even if the clock is set back.
    let expiring = writer.ledger.figures().expiring() > 0;
    let always = occasion.rebuild || (occasion.last && expiring && time > written.time);
    if !always && now.watermark == written.watermark && now.retired == written.retired {
        return Ok(None);
    }
    writer.ledger.set_time(time);
    let meta = writer.ledger.meta().clone();
    let mut published = shared.published.write();
    let Published { view: Some(view), figures } = &mut *published else { return Ok(None) };
    let delta = Arc::clone(&view.base.active);
    let frozen = view.base.freeze(index.db()).map_err(|error| shared.index_error(error))?;
    view.base = Arc::new(frozen);
    view.figures = writer.ledger.figures();
    *figures = Arc::clone(&view.figures);
    writer.logged = 0;
    Ok(Some((delta, meta, retired)))
}

/// Shows the new checkpoint to readers. Older views keep the segments that it retired.
fn show(shared: &Shared, index: &Index, retired: &[u32]) -> Result<(), StoreError> {
    let mut published = shared.published.write();
    let Some(view) = &mut published.view else { return Ok(()) };
    let next = view.base.rebase(index.db()).map_err(|error| shared.index_error(error))?;
    let old = std::mem::replace(&mut view.base, Arc::new(next));
    drop(published);
    let segments = retired.iter().filter_map(|id| shared.segments.retire(*id));
    old.epoch.retired.lock().extend(segments);
    Ok(())
}

/// Removes the files of segments that nobody reads any more.
fn unlink(shared: &Shared, ids: &[u32]) {
    let (vfs, dir) = (&*shared.options.vfs, shared.options.dir.as_path());
    let mut gone = Vec::new();
    for id in ids {
        let path = segment_path(dir, *id);
        match vfs.remove(&path) {
            Ok(()) => gone.push(*id),
            // The next opening removes it: it is written down as retired.
            Err(error) => tracing::warn!(path = %path.display(), %error, "segment not removed"),
        }
        shared.segments.forget(*id);
    }
    if let Err(error) = vfs.sync_dir(dir) {
        tracing::warn!(dir = %dir.display(), %error, "directory not flushed");
        return;
    }
    shared.counters.reclaimed(gone.len());
    if let Err(error) = shared.reserve.keep() {
        tracing::warn!(%error, "no room kept back on the disk");
    }
    if let Some(writer) = &mut *shared.writer.lock() {
        writer.ledger.forget(&gone);
    }
}

/// Has the index file know everything.
fn last_checkpoint(shared: &Shared, index: &mut Index) {
    let (number, failed) = {
        let state = shared.signals.state.lock();
        (state.wanted, state.failed.is_some())
    };
    let occasion = Occasion { number, rebuild: false, last: true };
    if !failed && let Err(error) = checkpoint(shared, index, &occasion) {
        shared.queue.fail(Arc::new(error));
    }
}

/// Cuts the tails of the segments, and removes those that nobody reads any more.
fn put_in_order(shared: &Shared) {
    for segment in shared.segments.drain() {
        if let Ok(segment) = Arc::try_unwrap(segment)
            && let Err(error) = segment.trim()
        {
            tracing::warn!(%error, "segment not cut; the next opening does");
        }
    }
    let dead = std::mem::take(&mut shared.signals.state.lock().dead);
    if !dead.is_empty() {
        unlink(shared, &dead);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::{KeyspaceOptions, Store};

    #[test]
    fn a_checkpoint_is_asked_for_when_rows_or_log_have_grown() {
        let queue = Queue::new(Path::new("dir"), 1 << 20);
        for (bytes, log_is_long, wanted) in
            [(CHECKPOINT_BYTES - 1, false, 0), (CHECKPOINT_BYTES, false, 1), (0, true, 1)]
        {
            let signals = Signals::default();
            // The second time it is asked for already.
            for _ in 0..2 {
                signals.note_dirty(bytes, log_is_long, &queue);
                assert_eq!(signals.state.lock().wanted, wanted, "{bytes} {log_is_long}");
            }
            // What comes after the rows were set aside is for the next.
            signals.begun(wanted);
            signals.note_dirty(bytes, log_is_long, &queue);
            assert_eq!(signals.state.lock().wanted, wanted * 2, "{bytes} {log_is_long}");
        }
    }

    #[test]
    fn a_retired_segment_is_written_down_until_its_file_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let shared = &*store.handle.shared;
        let keyspace = store.keyspace("k", KeyspaceOptions::default()).unwrap();
        keyspace.put("key", vec![1; 1000]).unwrap();
        let (snapshot, path) = (store.snapshot(), segment_path(dir.path(), 1));
        let retired = || {
            // The checkpoint in it writes down what the keeper did before.
            store.check().unwrap();
            let meta = shared.view().unwrap().base.read_meta(&shared.index_path).unwrap();
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
