//! What the handles and the threads of a store share, and the threads.
//!
//! ```text
//! callers ──Queue──▶ store-writer: append + flush ──channel──▶ store-index: apply, answer
//!                         │ store-prepare: next segment            │ checkpoint
//! ```
//!
//! Group n is applied while group n+1 is flushed. All threads sleep while there is nothing to do.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, RwLock};

use super::batch::Encoded;
use super::codec;
use super::error::StoreError;
use super::index::{Figures, Index, Pointer, Row, View};
use super::lock;
use super::log::{FlushedGroup, Log};
use super::options::StoreBuilder;
use super::queue::{Queue, Taken};
use super::record::Codec;
use super::recovery::recover;
use super::segment::{Segments, segment_path};
use super::stats::{Counters, StoreStats};
use super::value::Value;
use super::vfs::LockGuard;

/// Groups that may be flushed and not applied. More would only delay their answers.
const PIPELINE_GROUPS: usize = 4;
/// Roughly the bytes changed in the index after which it is made durable.
const CHECKPOINT_DIRTY_BYTES: u64 = 4 << 20;
/// Bytes of log after which the index is made durable: what an opening has to read again.
const CHECKPOINT_LOG_BYTES: u64 = 256 << 20;
/// How long a synchronous commit waits for the disk.
const COMMIT_DEADLINE: Duration = Duration::from_mins(5);
/// How long dropping the last handle waits for the threads.
const DROP_DEADLINE: Duration = Duration::from_mins(1);

/// The state of an open store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: StoreBuilder,
    pub(super) queue: Queue,
    pub(super) segments: Arc<Segments>,
    pub(super) counters: Arc<Counters>,
    pub(super) index_path: PathBuf,
    published: RwLock<Published>,
    /// Ids by name. Held while a keyspace is created, so that no name gets two ids.
    keyspaces: Mutex<HashMap<String, u32>>,
}

/// What the indexer shows to readers.
#[derive(Debug)]
struct Published {
    /// The newest state of the index; `None` after close.
    view: Option<Arc<View>>,
    /// Its counters, which outlive the close.
    figures: Arc<Figures>,
}

impl Published {
    fn new(view: View) -> Self {
        Self { figures: Arc::clone(&view.figures), view: Some(Arc::new(view)) }
    }
}

/// Keeps the store open: dropping the last one closes it.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Handle {
    /// Opens the directory, recovers it and starts the threads.
    pub(super) fn open(options: StoreBuilder) -> Result<Arc<Self>, StoreError> {
        let (vfs, dir) = (&*options.vfs, options.dir.as_path());
        vfs.create_dir_all(dir).map_err(|source| StoreError::io("create", dir, source))?;
        let lock = lock::acquire(vfs, dir, options.clock.wall())?;
        let mut index = Index::open(vfs, dir, options.cache_bytes, options.verify_index)?;
        let (segments, counters) = (Arc::<Segments>::default(), Arc::<Counters>::default());
        let log = recover(&options, &mut index, &segments, &counters)?;
        let names = index.meta().keyspaces.iter();
        let keyspaces = names.map(|(id, row)| (row.name.clone(), *id)).collect();
        let shared = Arc::new(Shared {
            queue: Queue::new(dir, options.queue_bytes),
            segments,
            counters,
            index_path: index.path().to_path_buf(),
            published: RwLock::new(Published::new(index.view()?)),
            keyspaces: Mutex::new(keyspaces),
            options,
        });
        start_threads(&shared, log, index, lock)?;
        Ok(Arc::new(Self { shared }))
    }

    /// Has everything written, ends the threads and gives the directory free.
    pub(super) fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.shared.queue.close();
        self.shared.queue.wait_stopped(deadline)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close(DROP_DEADLINE) {
            tracing::error!(%error, "store closed with an error");
        }
    }
}

impl Shared {
    /// The newest state of the index.
    pub(super) fn view(&self) -> Result<Arc<View>, StoreError> {
        self.published.read().view.clone().ok_or_else(|| self.queue.closed())
    }

    /// Waits for a synchronous commit.
    pub(super) fn wait_applied(&self, number: u64, action: &'static str) -> Result<(), StoreError> {
        self.queue.wait(number, COMMIT_DEADLINE, action)
    }

    /// The id of the keyspace with this name, which is created if needed.
    pub(super) fn keyspace_id(&self, name: &str) -> Result<u32, StoreError> {
        let mut keyspaces = self.keyspaces.lock();
        if let Some(id) = keyspaces.get(name) {
            return Ok(*id);
        }
        let id = keyspaces.values().max().map_or(1, |last| last + 1);
        let number = self.queue.submit(Encoded::define(id, name), true)?;
        self.wait_applied(number, "create a keyspace")?;
        keyspaces.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The row of a key in a state of the index, and through it the value.
    pub(super) fn get(&self, view: &View, row_key: &[u8]) -> Result<Option<Value>, StoreError> {
        let row = view.table.get(row_key).map_err(|e| self.index_error(e))?;
        row.map(|row| self.resolve(row.value())).transpose()
    }

    /// Whether a key has a row in a state of the index.
    pub(super) fn contains(&self, view: &View, row_key: &[u8]) -> Result<bool, StoreError> {
        let row = view.table.get(row_key).map_err(|e| self.index_error(e))?;
        Ok(row.is_some())
    }

    /// The value that a row names.
    pub(super) fn resolve(&self, row: &[u8]) -> Result<Value, StoreError> {
        let damaged = |reason| StoreError::IndexRow { path: self.index_path.clone(), reason };
        match Row::decode(row).map_err(damaged)? {
            Row::Inline { codec: Codec::Plain, stored, .. } => Ok(Value::small(stored)),
            Row::Inline { codec: Codec::Zstd, raw, stored } => {
                codec::decompress(stored, raw).map(Value::heap)
            }
            Row::Record(pointer) => self.fetch(&pointer),
        }
    }

    /// An error of the index in words of the store.
    pub(super) fn index_error(&self, error: impl Into<redb::Error>) -> StoreError {
        match error.into() {
            redb::Error::DatabaseClosed => self.queue.closed(),
            error => StoreError::index(&self.index_path, error),
        }
    }

    /// Figures as of now; after a close, those at its end.
    pub(super) fn stats(&self) -> StoreStats {
        let figures = Arc::clone(&self.published.read().figures);
        let totals = figures.totals;
        let mut stats = StoreStats {
            segments: totals.segments,
            live_bytes: totals.live,
            total_bytes: totals.used,
            sequence: totals.sequence,
            queued_bytes: self.queue.held_bytes() as u64,
            ..StoreStats::default()
        };
        for (name, id) in &*self.keyspaces.lock() {
            stats.keys.insert(name.clone(), figures.keys(*id));
        }
        self.counters.fill(&mut stats);
        stats
    }

    fn fetch(&self, pointer: &Pointer) -> Result<Value, StoreError> {
        let Some(segment) = self.segments.get(pointer.segment) else {
            if self.published.read().view.is_none() {
                return Err(self.queue.closed());
            }
            let path = segment_path(&self.options.dir, pointer.segment);
            return Err(StoreError::corrupt(&path, pointer.offset, "segment is missing"));
        };
        segment.value(pointer, self.options.verify_reads)
    }
}

fn start_threads(
    shared: &Arc<Shared>,
    log: Log,
    index: Index,
    lock: Box<dyn LockGuard>,
) -> Result<(), StoreError> {
    let (sender, receiver) = bounded(PIPELINE_GROUPS);
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let built = thread::Builder::new().name(name.to_owned()).spawn(work);
        built.map(drop).map_err(|e| StoreError::io("start a thread for", &shared.options.dir, e))
    };
    let indexer = Arc::clone(shared);
    spawn("store-index", Box::new(move || run_indexer(&indexer, index, receiver, lock)))?;
    let writer = Arc::clone(shared);
    let started = spawn("store-writer", Box::new(move || run_writer(&writer, log, &sender)));
    if started.is_err() {
        // The sender is gone, so the other thread ends too.
        shared.queue.close();
    }
    started
}

/// A flushed group on its way to the index, and the batches it answers.
#[derive(Debug)]
struct Handover {
    group: FlushedGroup,
    first: u64,
    last: u64,
    bytes: usize,
}

/// Poisons the store if its thread panics.
struct PanicGuard<'a>(&'a Queue);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail_all();
        }
    }
}

/// The writer: one group after the other, until the queue is closed or the disk fails.
fn run_writer(shared: &Shared, mut log: Log, sender: &Sender<Handover>) {
    let _guard = PanicGuard(&shared.queue);
    while let Some(taken) = shared.queue.take(shared.options.max_group_bytes) {
        let Taken { submissions, first, last, bytes } = taken;
        let batches = submissions.into_iter().map(|submission| submission.encoded).collect();
        match log.append(batches) {
            Ok(group) => {
                // An error means that the other thread has failed, and said so.
                if sender.send(Handover { group, first, last, bytes }).is_err() {
                    break;
                }
            }
            Err(error) => {
                tracing::error!(%error, "store stops writing");
                shared.queue.fail(first, error);
                break;
            }
        }
    }
    log.close();
}

/// Says that the store has ended, however its thread ends.
struct StopGuard<'a>(&'a Queue);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The indexer: applies flushed groups and answers their callers, then ends the store.
fn run_indexer(
    shared: &Shared,
    index: Index,
    receiver: Receiver<Handover>,
    lock: Box<dyn LockGuard>,
) {
    // Dropped in reverse: files and lock go before the end is told.
    let _stop = StopGuard(&shared.queue);
    let (lock, mut index) = (lock, index);
    {
        let _guard = PanicGuard(&shared.queue);
        let mut logged = 0;
        while let Ok(first) = receiver.recv() {
            let mut handovers = vec![first];
            while handovers.len() < PIPELINE_GROUPS
                && let Ok(next) = receiver.try_recv()
            {
                handovers.push(next);
            }
            logged += handovers.iter().map(|handover| handover.group.length).sum::<u64>();
            if let Err((first, error)) = apply(shared, &mut index, handovers, &mut logged) {
                tracing::error!(%error, "store stops writing");
                shared.queue.fail(first, error);
                break;
            }
        }
    }
    // After a failure reads go on until the store is closed.
    drop(receiver);
    shared.queue.wait_closing();
    finish(shared, index, lock);
}

/// Applies groups, answers their callers and takes a checkpoint if one is due. An error names the
/// first batch that it concerns.
fn apply(
    shared: &Shared,
    index: &mut Index,
    handovers: Vec<Handover>,
    logged: &mut u64,
) -> Result<(), (u64, StoreError)> {
    let first = handovers.first().map_or(0, |handover| handover.first);
    let last = handovers.last().map_or(0, |handover| handover.last);
    let bytes = handovers.iter().map(|handover| handover.bytes).sum();
    let groups: Vec<_> = handovers.into_iter().map(|handover| handover.group).collect();
    let applied = index.apply(&groups).and_then(|()| index.view());
    let view = applied.map_err(|error| (first, error))?;
    *shared.published.write() = Published::new(view);
    shared.queue.complete(last, bytes);
    if index.dirty_bytes >= CHECKPOINT_DIRTY_BYTES || *logged >= CHECKPOINT_LOG_BYTES {
        checkpoint(shared, index).map_err(|error| (last + 1, error))?;
        *logged = 0;
    }
    Ok(())
}

fn checkpoint(shared: &Shared, index: &mut Index) -> Result<(), StoreError> {
    let clock = &shared.options.clock;
    let before = clock.monotonic();
    index.checkpoint()?;
    shared.counters.checkpointed(clock.monotonic().saturating_sub(before));
    Ok(())
}

/// Ends the store: last checkpoint, tails cut, files closed, lock released.
fn finish(shared: &Shared, mut index: Index, lock: Box<dyn LockGuard>) {
    let newest = shared.queue.newest();
    if index.dirty_bytes > 0
        && let Err(error) = checkpoint(shared, &mut index)
    {
        shared.queue.fail(newest + 1, error);
    }
    shared.published.write().view = None;
    drop(index);
    for segment in shared.segments.drain() {
        if let Ok(segment) = Arc::try_unwrap(segment)
            && let Err(error) = segment.trim()
        {
            tracing::warn!(%error, "segment not cut; the next opening does");
        }
    }
    drop(lock);
}
