//! What the handles and the threads of a store share, and the way of a group.
//!
//! ```text
//! callers ──Queue──▶ leader: append, flush, apply to the newest rows, publish, answer
//!                      │ store-prepare: next segment
//!                      ▼ enough rows
//!                    store-index: checkpoint, retire segments ──▶ pool: reclaim, expire
//! ```
//!
//! 1. **Encode**, on the caller's thread: values above the inline limit become records (compressed,
//!    with checksum, without sequence); shorter ones stand in their operations.
//! 2. **Submit**: the batch gets its number. A full queue makes callers wait.
//! 3. **Lead**: the leader is a caller that waits for its own batch, or the thread `store-writer`.
//! 4. **Append and flush**: records are stamped with sequence and salt and written, together with
//!    the group's record, in one vectored write, followed by one `fdatasync`.
//! 5. **Count**: each operation is applied to the view before the group. That gives the changed
//!    rows and exact counts of live bytes, keys and references.
//! 6. **Publish**: the stripes of the pointer cache are marked; the rows go into the newest delta
//!    under the group's sequence; then the view's sequence and counters are replaced together,
//!    under one lock.
//! 7. **Answer**: waiters up to the last number are woken, each through its own condition variable.
//!
//! All threads sleep while there is nothing to do.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::batch::Encoded;
use super::buffers::Buffers;
use super::dictionaries::{Dictionaries, Dictionary};
use super::error::StoreError;
use super::hot::Hot;
use super::index::{Figures, Index, Ledger, View};
use super::keeper::{self, CheckpointError, Signals};
use super::lock;
use super::log::{AppendError, FlushedGroup, Log};
use super::maintenance::Maintenance;
use super::options::StoreBuilder;
use super::queue::{Queue, Submission, Submitter, Taken};
use super::reclaim;
use super::recovery::{Recovered, recover};
use super::reserve::Reserve;
use super::segment::{Segments, Site};
use super::shares::Shares;
use super::stats::Counters;
use super::timeline::Timeline;

/// Bytes of log after which a checkpoint is due: what an opening has to read again.
const CHECKPOINT_LOG_BYTES: u64 = 128 << 20;
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
    pub(super) signals: Arc<Signals>,
    pub(super) shares: Arc<Shares>,
    pub(super) buffers: Buffers,
    pub(super) dictionaries: Dictionaries,
    pub(super) time: Timeline,
    pub(super) index_path: PathBuf,
    pub(super) reserve: Arc<Reserve>,
    pub(super) hot: Hot,
    /// Who appends and who counts; held by the leader, and by the keeper while it sets rows aside.
    pub(super) writer: Mutex<Option<Writer>>,
    pub(super) published: RwLock<Published>,
    pub(super) keyspaces: Mutex<Names>,
    pub(super) maintenance: Maintenance,
    /// Whether callers are slowed down. Relaxed: it saves a lock.
    slow: AtomicBool,
}

/// The keyspaces by name.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) ids: HashMap<String, u32>,
    /// Those whose creation is under way, or of which it is not known what became of it: the same
    /// name must get the same id, and no other name may.
    asked: HashMap<String, u32>,
    last: u32,
}

impl Names {
    fn new(ids: HashMap<String, u32>) -> Self {
        let last = ids.values().max().copied().unwrap_or(0);
        Self { ids, asked: HashMap::new(), last }
    }

    /// The id to ask for under a name that has none.
    fn ask(&mut self, name: &str) -> u32 {
        *self.asked.entry(name.to_owned()).or_insert_with(|| {
            self.last += 1;
            self.last
        })
    }
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Log,
    pub(super) ledger: Ledger,
    /// Whether the ledger has all of each group or nothing; what it counts goes into no checkpoint
    /// otherwise.
    pub(super) sound: bool,
    /// Bytes logged since rows were last set aside for a checkpoint.
    pub(super) logged: u64,
}

/// What readers are shown.
#[derive(Debug)]
pub(super) struct Published {
    /// The newest state of the index; `None` after close.
    pub(super) view: Option<View>,
    /// Its counters, which outlive the close.
    pub(super) figures: Arc<Figures>,
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
        let reserve = Arc::new(Reserve::new(&options.vfs, dir, options.segment_bytes));
        reserve.adopt()?;
        let (cache_bytes, verify) = (options.cache_bytes, options.verify_index);
        let index = Index::open(vfs, dir, cache_bytes, verify, &reserve)?;
        let signals = Arc::<Signals>::default();
        let site = Site {
            vfs: Arc::clone(&options.vfs),
            dir: options.dir.clone(),
            mode: options.read_mode,
            signals: Arc::clone(&signals),
        };
        let Recovered { log, ledger, index, view, segments, counters, shares, reserve } =
            recover(&options, &site, index, reserve)?;
        let names = ledger.meta().keyspaces.iter();
        let keyspaces = names.map(|(id, row)| (row.name.clone(), *id)).collect();
        let published = Published { figures: Arc::clone(&view.figures), view: Some(view) };
        let shared = Arc::new(Shared {
            queue: Queue::new(dir, options.queue_bytes),
            segments,
            counters,
            signals,
            shares,
            buffers: Buffers::default(),
            dictionaries: Dictionaries::default(),
            time: Timeline::new(Arc::clone(&options.clock), ledger.meta().time),
            index_path: index.path().to_path_buf(),
            reserve,
            hot: Hot::new(options.pointer_cache_bytes)?,
            writer: Mutex::new(Some(Writer { log, ledger, sound: true, logged: 0 })),
            published: RwLock::new(published),
            keyspaces: Mutex::new(Names::new(keyspaces)),
            maintenance: Maintenance::new(options.pool.clone()),
            slow: AtomicBool::new(false),
            options,
        });
        shared.load_dictionaries()?;
        shared.start(index, lock)?;
        if shared.view()?.figures.expiring() > 0 {
            shared.maintenance.expect_expiry(&shared);
        }
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

/// Gives the lead up, however leading ends; a panic poisons the store.
struct LeadGuard<'a>(&'a Queue);

impl Drop for LeadGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail_all();
        }
        self.0.release();
    }
}

/// Ends the keeper once the store is closed, however the writer thread ends: after a failure reads
/// go on until then.
struct EndGuard<'a>(&'a Shared);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.queue.wait_closing();
        self.0.signals.close();
    }
}

/// Writing.
impl Shared {
    fn start(
        self: &Arc<Self>,
        index: Index,
        lock: Box<dyn super::vfs::LockGuard>,
    ) -> Result<(), StoreError> {
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let built = thread::Builder::new().name(name.to_owned()).spawn(work);
            built.map(drop).map_err(|e| StoreError::io("start a thread for", &self.options.dir, e))
        };
        let shared = Arc::clone(self);
        spawn("store-index", Box::new(move || keeper::run(&shared, index, lock)))?;
        let shared = Arc::clone(self);
        let started = spawn("store-writer", Box::new(move || shared.write_in_background()));
        if started.is_err() {
            self.queue.close();
            self.signals.close();
        }
        started
    }

    /// The writer thread: leads where nobody else does, until the queue is closed or fails.
    fn write_in_background(&self) {
        let _end = EndGuard(self);
        while self.queue.lead_in_background() {
            self.lead();
        }
    }

    /// Waits for a batch of the caller, and writes it if nobody else does.
    pub(super) fn commit(&self, number: u64) -> Result<(), StoreError> {
        self.queue.wait_leading(number, COMMIT_DEADLINE, "commit", || self.lead())
    }

    /// Waits for everything queued so far.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.queue.flush(COMMIT_DEADLINE)
    }

    /// Waits for everything queued up to a batch.
    pub(super) fn wait_applied(&self, number: u64, action: &'static str) -> Result<(), StoreError> {
        self.queue.wait(number, COMMIT_DEADLINE, action)
    }

    /// Writes what is pending as one group, and gives the lead up.
    fn lead(&self) {
        let _guard = LeadGuard(&self.queue);
        let Some(taken) = self.queue.take(self.options.max_group_bytes) else { return };
        let Taken { submissions, last, bytes } = taken;
        let mut writer = self.writer.lock();
        // Gone only after the queue was closed and found empty.
        let Some(writer) = writer.as_mut() else { return };
        let tickets: Vec<_> = submissions.iter().map(Submission::ticket).collect();
        let batches = submissions.into_iter().map(|submission| submission.encoded).collect();
        let result = match writer.log.append(batches) {
            Ok(group) => self.publish(writer, group),
            Err(AppendError::Failed(error)) => Err(error),
            Err(AppendError::Refused(batches, error)) => {
                self.write_what_frees(writer, batches, &tickets, error)
            }
        };
        match result {
            Ok(()) => self.queue.complete(last, bytes),
            Err(error) => {
                tracing::error!(%error, "store stops writing");
                self.queue.fail(Arc::new(error));
            }
        }
    }

    /// The disk is full: writes the batches that free space, and refuses the others.
    fn write_what_frees(
        &self,
        writer: &mut Writer,
        batches: Vec<Encoded>,
        tickets: &[(u64, bool)],
        error: StoreError,
    ) -> Result<(), StoreError> {
        let error = Arc::new(error);
        let (mut freeing, mut their_tickets) = (Vec::new(), Vec::new());
        for (batch, ticket) in batches.into_iter().zip(tickets) {
            if batch.frees_space {
                freeing.push(batch);
                their_tickets.push(*ticket);
            } else {
                self.queue.refuse(*ticket, &error);
            }
        }
        self.signals.want_checkpoint();
        if freeing.is_empty() {
            return Ok(());
        }
        match writer.log.append(freeing) {
            Ok(group) => self.publish(writer, group),
            Err(AppendError::Failed(error)) => Err(error),
            Err(AppendError::Refused(_, error)) => {
                let error = Arc::new(error);
                for ticket in their_tickets {
                    self.queue.refuse(ticket, &error);
                }
                Ok(())
            }
        }
    }

    /// Makes a flushed group visible.
    fn publish(&self, writer: &mut Writer, mut group: FlushedGroup) -> Result<(), StoreError> {
        self.queue.flushed(group.took);
        let view = self.view()?;
        // Stays so after an error, and after a panic.
        writer.sound = false;
        let mut changes = writer.ledger.apply(&view, &group)?;
        let purge = writer.ledger.purge_orphans(&view, &group, &mut changes)?;
        for key in changes.keys() {
            self.hot.changed(key, group.sequence);
        }
        let active = &view.base.active;
        active.insert(group.sequence, changes.into_iter());
        let figures = writer.ledger.figures();
        let mut published = self.published.write();
        if let Some(view) = &mut published.view {
            view.sequence = group.sequence;
            view.figures = Arc::clone(&figures);
        }
        published.figures = figures;
        drop(published);
        writer.sound = true;
        drop(purge);
        for batch in &mut group.batches {
            self.buffers.give(std::mem::take(&mut batch.records));
        }
        writer.logged += group.length;
        if !self.slow.load(Ordering::Relaxed)
            && self.maintenance.may_gain()
            && reclaim::lags(self, writer.logged)
        {
            self.signals.want_checkpoint();
            self.slow_down(true);
        }
        self.signals.note_dirty(active.bytes(), writer.logged >= CHECKPOINT_LOG_BYTES, &self.queue);
        Ok(())
    }

    /// Slows callers down, or lets them go on.
    pub(super) fn slow_down(&self, lagging: bool) {
        if self.slow.swap(lagging, Ordering::Relaxed) != lagging {
            self.queue.throttle(lagging);
        }
    }

    /// Has the index file brought up to date with everything before the call, and waits for it.
    pub(super) fn checkpoint(&self, rebuild: bool, deadline: Duration) -> Result<(), StoreError> {
        self.signals.checkpoint(rebuild, deadline).map_err(|error| match error {
            CheckpointError::Failed(error) => self.queue.poisoned(&error),
            CheckpointError::Closed => self.queue.closed(),
            CheckpointError::Timeout => self.queue.timeout("checkpoint", deadline),
        })
    }

    /// Makes a dictionary durable, then has it used.
    pub(super) fn store_dictionary(
        &self,
        keyspace: u32,
        dictionary: Arc<Dictionary>,
    ) -> Result<(), StoreError> {
        let known = self.dictionaries.get(dictionary.id);
        if known.is_some_and(|known| known.bytes != dictionary.bytes) {
            // Another with the same id, by a chance of one in two thousand million.
            return Ok(());
        }
        let encoded = Encoded::dictionary(keyspace, &dictionary);
        let number = self.queue.submit(encoded, Submitter::Internal)?;
        self.wait_applied(number, "store a dictionary")?;
        self.dictionaries.add(keyspace, dictionary);
        Ok(())
    }

    /// The id of the keyspace with this name, which is created if needed.
    pub(super) fn keyspace_id(&self, name: &str) -> Result<u32, StoreError> {
        let id = {
            let names = &mut *self.keyspaces.lock();
            if let Some(id) = names.ids.get(name) {
                return Ok(*id);
            }
            names.ask(name)
        };
        let number = self.queue.submit(Encoded::define(id, name), Submitter::Sync)?;
        self.commit(number)?;
        let names = &mut *self.keyspaces.lock();
        names.asked.remove(name);
        names.ids.insert(name.to_owned(), id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_name_keeps_the_id_that_was_asked_for_and_no_other_gets_it() {
        let mut names = Names::new(HashMap::from([("old".to_owned(), 7)]));
        // What became of the first attempt is not known.
        assert_eq!(names.ask("slow"), 8);
        assert_eq!(names.ask("other"), 9);
        assert_eq!(names.ask("slow"), 8);
    }

    #[test]
    fn callers_are_not_slowed_down_when_an_attempt_to_reclaim_space_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let shared = &*store.handle.shared;
        shared.slow_down(true);
        reclaim::run(shared);
        assert!(!shared.slow.load(Ordering::Relaxed));
    }
}
