//! The state that the handles and threads of an open store share. It calls nothing of what starts
//! or steers them, so all of them can build on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::clock::StoreClock;
use super::codec::Dictionaries;
use super::commit::buffers::Buffers;
use super::commit::dedup::DedupRegistry;
use super::commit::keyspace_ids::KeyspaceIds;
use super::commit::log::Log;
use super::commit::queue::Queue;
use super::commit::reserve::Reserve;
use super::error::StoreError;
use super::index::{IndexCounts, Ledger, Row, View};
use super::options::StoreBuilder;
use super::read::pointers::PointerCache;
use super::segment::Segments;
use super::stats::{Counters, StoreStats};
use super::upkeep::maintenance::Maintenance;
use super::upkeep::policy::Space;
use super::upkeep::signals::{CheckpointError, Signals};

/// The state of an open store.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: StoreBuilder,
    pub(super) queue: Queue,
    pub(super) segments: Arc<Segments>,
    pub(super) counters: Arc<Counters>,
    pub(super) signals: Arc<Signals>,
    pub(super) dedup: Arc<DedupRegistry>,
    pub(super) buffers: Buffers,
    pub(super) dictionaries: Dictionaries,
    pub(super) time: StoreClock,
    pub(super) index_path: PathBuf,
    pub(super) reserve: Arc<Reserve>,
    pub(super) pointers: PointerCache,
    /// Log and ledger. Locked by the leader, and by the keeper while it freezes rows.
    pub(super) writer: Mutex<Option<Writer>>,
    pub(super) published: RwLock<Published>,
    pub(super) keyspaces: Mutex<KeyspaceIds>,
    pub(super) maintenance: Maintenance,
    /// Whether callers are slowed down. Relaxed: it only saves taking the queue's lock.
    pub(super) throttled: AtomicBool,
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Log,
    pub(super) ledger: Ledger,
    /// Whether the ledger has each group whole or not at all. If not, its counters must not get
    /// into a checkpoint.
    pub(super) consistent: bool,
    /// Bytes logged since rows were last frozen for a checkpoint.
    pub(super) logged: u64,
}

/// What readers see.
#[derive(Debug)]
pub(super) struct Published {
    /// The newest state of the index; `None` after close.
    pub(super) view: Option<View>,
    /// Its counters, which outlive the close.
    pub(super) counts: Arc<IndexCounts>,
}

impl Core {
    /// Slows callers down, or stops doing so.
    pub(super) fn throttle(&self, lagging: bool) {
        if self.throttled.swap(lagging, Ordering::Relaxed) != lagging {
            self.queue.throttle(lagging);
        }
    }

    /// Takes a checkpoint of everything before the call, and waits for it.
    pub(super) fn checkpoint(&self, rebuild: bool, deadline: Duration) -> Result<(), StoreError> {
        self.signals.checkpoint(rebuild, deadline).map_err(|error| match error {
            CheckpointError::Failed(error) => self.queue.poisoned(&error),
            CheckpointError::Closed => self.queue.closed(),
            CheckpointError::Timeout => self.queue.timeout("checkpoint", deadline),
        })
    }

    /// The input of the reclaim policy.
    pub(super) fn space(&self) -> Space {
        let totals = self.published.read().counts.totals;
        Space { totals, segment_bytes: self.options.segment_bytes }
    }

    /// The newest state of the index.
    pub(super) fn view(&self) -> Result<View, StoreError> {
        self.published.read().view.clone().ok_or_else(|| self.queue.closed())
    }

    /// Fails once the store is closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.published.read().view.is_some() { Ok(()) } else { Err(self.queue.closed()) }
    }

    /// Whether a row has expired by now.
    pub(super) fn is_expired(&self, row: &Row<'_>) -> bool {
        row.expires != 0 && row.is_expired(self.time.now())
    }

    /// The store's error for an error of the index.
    pub(super) fn index_error(&self, error: impl Into<redb::Error>) -> StoreError {
        // Closing seals the index file, so the error may only say that the store was just closed.
        match self.check_open() {
            Ok(()) => StoreError::index(&self.index_path, error),
            Err(closed) => closed,
        }
    }

    pub(super) fn damaged_row(&self, reason: &'static str) -> StoreError {
        StoreError::IndexRow { path: self.index_path.clone(), reason }
    }

    /// Statistics as of now; after a close, the final ones.
    pub(super) fn stats(&self) -> StoreStats {
        let counts = Arc::clone(&self.published.read().counts);
        let totals = counts.totals;
        let (pointer_hits, pointer_misses) = self.pointers.hits_and_misses();
        let mut stats = StoreStats {
            segments: totals.segments,
            live_bytes: totals.live,
            total_bytes: totals.used,
            sequence: totals.sequence,
            queued_bytes: self.queue.held_bytes() as u64,
            slowed_batches: self.queue.slowed(),
            dictionaries: self.dictionaries.len() as u64,
            pointer_hits,
            pointer_misses,
            ..StoreStats::default()
        };
        for (name, id) in self.keyspaces.lock().iter() {
            stats.keys.insert(name.clone(), counts.keyspace(id).keys);
        }
        self.counters.fill(&mut stats);
        stats
    }
}
