//! What the map holds.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Reads beyond this number are not counted; S3-FIFO needs two bits.
const MAX_READS: u8 = 3;

/// Options of one insertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InsertOptions {
    /// How long the entry lives, in place of the cache's own.
    pub ttl: Option<Duration>,
    /// Groups entries for [`invalidate_tag`](super::Cache::invalidate_tag).
    pub tag: Option<String>,
}

/// Why an entry left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EvictionCause {
    /// Another value was put under its key.
    Replaced,
    /// It was taken out by its key, its tag, or with everything.
    Invalidated,
    /// It expired.
    Expired,
    /// Room was needed.
    Capacity,
    /// The cache was told to shrink.
    Shrunk,
}

/// The queue an entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Small,
    Main,
}

#[derive(Debug)]
pub(super) struct Entry<V> {
    pub(super) value: V,
    pub(super) weight: u64,
    /// Tells this entry from others under the same key.
    pub(super) generation: u64,
    pub(super) expires: Option<Duration>,
    /// Microseconds of the monotonic clock.
    last_read: AtomicU64,
    reads: AtomicU8,
    /// 0 small, 1 main; changed only under the policy lock.
    queue: AtomicU8,
}

impl<V> Entry<V> {
    pub(super) fn new(
        value: V,
        weight: u64,
        generation: u64,
        expires: Option<Duration>,
        now: Duration,
        queue: Queue,
    ) -> Self {
        Self {
            value,
            weight,
            generation,
            expires,
            last_read: AtomicU64::new(micros(now)),
            reads: AtomicU8::new(0),
            queue: AtomicU8::new(queue as u8),
        }
    }

    pub(super) fn is_expired(&self, now: Duration, idle: Option<Duration>) -> bool {
        self.expires.is_some_and(|at| now >= at)
            || idle.is_some_and(|idle| {
                let last = self.last_read.load(Ordering::Relaxed);
                micros(now).saturating_sub(last) >= micros(idle)
            })
    }

    /// Notes a read. A lost update among concurrent reads does no harm: the counter is a hint.
    pub(super) fn touch(&self, now: Duration) {
        self.last_read.store(micros(now), Ordering::Relaxed);
        let reads = self.reads.load(Ordering::Relaxed);
        if reads < MAX_READS {
            self.reads.store(reads + 1, Ordering::Relaxed);
        }
    }

    /// Takes one read away; false if there was none.
    pub(super) fn spend_read(&self) -> bool {
        let reads = self.reads.load(Ordering::Relaxed);
        self.reads.store(reads.saturating_sub(1), Ordering::Relaxed);
        reads > 0
    }

    pub(super) fn queue(&self) -> Queue {
        if self.queue.load(Ordering::Relaxed) == Queue::Small as u8 {
            Queue::Small
        } else {
            Queue::Main
        }
    }

    pub(super) fn move_to_main(&self) {
        self.queue.store(Queue::Main as u8, Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
