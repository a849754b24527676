//! Opening and closing a store.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::clock::StoreClock;
use super::codec::Dictionaries;
use super::commit::buffers::Buffers;
use super::commit::keyspace_ids::KeyspaceIds;
use super::commit::queue::Queue;
use super::commit::reserve::Reserve;
use super::core::{Core, Published, Writer};
use super::error::StoreError;
use super::index::Index;
use super::options::StoreBuilder;
use super::read::pointers::PointerCache;
use super::segment::SegmentContext;
use super::upkeep::recovery::{Recovered, recover};
use super::upkeep::signals::Signals;
use super::upkeep::{keeper, lock, schedule};
use super::vfs::LockGuard;
use crate::store::upkeep::maintenance::Maintenance;

/// How long dropping the last handle waits for the threads.
const DROP_DEADLINE: Duration = Duration::from_mins(1);

/// Keeps the store open: dropping the last one closes it.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) core: Arc<Core>,
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
        let context = SegmentContext {
            vfs: Arc::clone(&options.vfs),
            dir: options.dir.clone(),
            mode: options.read_mode,
            signals: Arc::clone(&signals),
        };
        let Recovered { log, ledger, index, view, segments, counters, dedup, reserve } =
            recover(&options, &context, index, reserve)?;
        let names = ledger.meta().keyspaces.iter();
        let keyspaces = names.map(|(id, row)| (row.name.clone(), *id)).collect();
        let published = Published { counts: Arc::clone(&view.counts), view: Some(view) };
        let core = Arc::new(Core {
            queue: Queue::new(dir, options.queue_bytes),
            segments,
            counters,
            signals,
            dedup,
            buffers: Buffers::default(),
            dictionaries: Dictionaries::default(),
            time: StoreClock::new(Arc::clone(&options.clock), ledger.meta().time),
            index_path: index.path().to_path_buf(),
            reserve,
            pointers: PointerCache::new(options.pointer_cache_bytes)?,
            writer: Mutex::new(Some(Writer { log, ledger, consistent: true, logged: 0 })),
            published: RwLock::new(published),
            keyspaces: Mutex::new(KeyspaceIds::new(keyspaces)),
            maintenance: Maintenance::new(options.pool.clone()),
            throttled: AtomicBool::new(false),
            options,
        });
        core.load_dictionaries()?;
        start(&core, index, lock)?;
        if core.view()?.counts.expiring() > 0 {
            schedule::expect_expiry(&core);
        }
        Ok(Arc::new(Self { core }))
    }

    /// Writes everything, ends the threads and releases the directory.
    pub(super) fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.core.queue.close();
        self.core.queue.wait_stopped(deadline)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close(DROP_DEADLINE) {
            tracing::error!(error = &error as &dyn Error, "store closed with an error");
        }
    }
}

/// Ends the keeper once the store is closed, however the writer thread ends. Not earlier: after a
/// failure reads go on until the close.
struct EndGuard<'a>(&'a Core);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.queue.wait_closing();
        self.0.signals.close();
    }
}

/// Starts the threads.
fn start(core: &Arc<Core>, index: Index, lock: Box<dyn LockGuard>) -> Result<(), StoreError> {
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let built = thread::Builder::new().name(name.to_owned()).spawn(work);
        built.map(drop).map_err(|e| StoreError::io("start a thread for", &core.options.dir, e))
    };
    let keeper = Arc::clone(core);
    spawn("store-index", Box::new(move || keeper::run(&keeper, index, lock)))?;
    let writer = Arc::clone(core);
    let started = spawn("store-writer", Box::new(move || write_in_background(&writer)));
    if started.is_err() {
        core.queue.close();
        core.signals.close();
    }
    started
}

/// The writer thread: leads when no caller does, until the queue is closed or fails.
fn write_in_background(core: &Core) {
    let _end = EndGuard(core);
    while core.queue.lead_in_background() {
        core.lead();
    }
}
