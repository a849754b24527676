//! What the handles and the threads of an open store have in common.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::clock::Timeline;
use super::codec::Dictionaries;
use super::commit::buffers::Buffers;
use super::commit::dedup::Shares;
use super::commit::keyspace_ids::KeyspaceIds;
use super::commit::log::Log;
use super::commit::queue::Queue;
use super::commit::reserve::Reserve;
use super::error::StoreError;
use super::index::{Figures, Ledger, Row, View};
use super::options::StoreBuilder;
use super::read::pointers::Hot;
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
    pub(super) keyspaces: Mutex<KeyspaceIds>,
    pub(super) maintenance: Maintenance,
    /// Whether callers are slowed down. Relaxed: it saves a lock.
    pub(super) slow: AtomicBool,
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

impl Core {
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

    /// What the policy of reclaiming space goes by.
    pub(super) fn space(&self) -> Space {
        let totals = self.published.read().figures.totals;
        Space { totals, segment_bytes: self.options.segment_bytes }
    }

    /// The newest state of the index.
    pub(super) fn view(&self) -> Result<View, StoreError> {
        self.published.read().view.clone().ok_or_else(|| self.queue.closed())
    }

    /// An error once the store is closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.published.read().view.is_some() { Ok(()) } else { Err(self.queue.closed()) }
    }

    /// Whether a row is past its time.
    pub(super) fn is_expired(&self, row: &Row<'_>) -> bool {
        row.expires != 0 && row.is_expired(self.time.now())
    }

    /// An error of the index in words of the store.
    pub(super) fn index_error(&self, error: impl Into<redb::Error>) -> StoreError {
        // The file was sealed when the store was closed, maybe just now.
        match self.check_open() {
            Ok(()) => StoreError::index(&self.index_path, error),
            Err(closed) => closed,
        }
    }

    pub(super) fn damaged_row(&self, reason: &'static str) -> StoreError {
        StoreError::IndexRow { path: self.index_path.clone(), reason }
    }

    /// Figures as of now; after a close, those at its end.
    pub(super) fn stats(&self) -> StoreStats {
        let figures = Arc::clone(&self.published.read().figures);
        let totals = figures.totals;
        let (pointer_hits, pointer_misses) = self.hot.counts();
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
            stats.keys.insert(name.clone(), figures.keyspace(id).keys);
        }
        self.counters.fill(&mut stats);
        stats
    }
}
