//! Entries of the map.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::millis::Millis;
use super::slab::QueueId;

/// Read counts stop at this number, as in S3-FIFO: two bits tell the often read from the rest.
const MAX_READS: u8 = 3;
/// The bits of [`Entry::state`] that count reads; the next one is set in the main queue.
const READS: u8 = 0b0011;
const IN_MAIN: u8 = 0b0100;

/// Options of one insertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InsertOptions {
    /// How long the entry lives. Default: the cache's own time to live.
    pub ttl: Option<Duration>,
    /// Tags for [`invalidate_tag`](super::Cache::invalidate_tag). Default: none.
    pub tags: Vec<String>,
}

impl InsertOptions {
    /// Sets the time to live, in place of the cache's own.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag: the entry is removed when the tag is invalidated.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

/// Why an entry was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EvictionCause {
    /// Another value was inserted under its key.
    Replaced,
    /// Its key or its tag was invalidated, or the cache was cleared.
    Invalidated,
    /// It expired.
    Expired,
    /// It was evicted to make room.
    Capacity,
    /// It was evicted by [`shrink_to`](super::Cache::shrink_to).
    Shrunk,
}

/// A value, and the marks that reads leave for the policy. Both are in the map itself, so that a
/// hit touches no other memory.
///
/// The atomics are hints for the policy and the idle time. None orders anything, so all accesses
/// are relaxed; a lost update among concurrent reads does no harm.
#[derive(Debug)]
pub(super) struct Entry<V> {
    /// `None` in a negative entry, which records a known absence.
    pub(super) value: Option<V>,
    /// From this time on it is not returned, not even as stale.
    pub(super) expires: Millis,
    /// Time of the last read or the insertion; kept up to date only if the cache has an idle time.
    read_at: AtomicU64,
    /// The policy's time of the last read or the insertion.
    last_access: AtomicU32,
    /// Its node in the policy. It also tells the entry from others under the same key.
    pub(super) slot: u32,
    /// The queue, and the reads since the insertion that the policy has not spent.
    state: AtomicU8,
}

impl<V> Entry<V> {
    pub(super) fn new(value: Option<V>, expires: Millis, now: Millis) -> Self {
        Self {
            value,
            expires,
            read_at: AtomicU64::new(now),
            last_access: AtomicU32::new(0),
            slot: u32::MAX,
            state: AtomicU8::new(0),
        }
    }

    /// When it was inserted; valid only before the first read.
    pub(super) fn put_at(&mut self) -> Millis {
        *self.read_at.get_mut()
    }

    /// Enters a queue at `time` of the policy.
    pub(super) fn enter(&self, queue: QueueId, time: u32) {
        self.last_access.store(time, Ordering::Relaxed);
        if queue == QueueId::Main {
            self.move_to_main();
        }
    }

    /// Takes over the queue and the reads of the entry that it has replaced. The replacement counts
    /// as one more read.
    pub(super) fn inherit(&self, old: &Self, time: u32, correlated: u32) {
        self.state.store(old.state.load(Ordering::Relaxed), Ordering::Relaxed);
        self.last_access.store(old.last_access(), Ordering::Relaxed);
        self.note_read(time, correlated);
    }

    #[inline]
    pub(super) fn is_expired(&self, now: Millis, idle: Option<Millis>) -> bool {
        now >= self.expires || idle.is_some_and(|idle| now >= self.idle_end(idle))
    }

    /// When it expires unless it is read before.
    pub(super) fn deadline(&self, idle: Option<Millis>) -> Millis {
        idle.map_or(self.expires, |idle| self.expires.min(self.idle_end(idle)))
    }

    fn idle_end(&self, idle: Millis) -> Millis {
        self.read_at.load(Ordering::Relaxed).saturating_add(idle)
    }

    #[inline]
    pub(super) fn note_read_at(&self, now: Millis) {
        if self.read_at.load(Ordering::Relaxed) != now {
            self.read_at.store(now, Ordering::Relaxed);
        }
    }

    /// Notes a read at `time` of the policy, which may be a little late.
    ///
    /// In the small queue, reads that are no further apart than `correlated` count as one. A
    /// program tends to read at once what it has just inserted, which says nothing about later
    /// reads (Johnson and Shasha, "2Q", VLDB '94).
    #[inline]
    pub(super) fn note_read(&self, time: u32, correlated: u32) {
        let since = time.wrapping_sub(self.last_access()).cast_signed();
        if since > 0 {
            self.last_access.store(time, Ordering::Relaxed);
        }
        let state = self.state.load(Ordering::Relaxed);
        if state & READS == MAX_READS {
            return;
        }
        let apart = correlated == 0 || i64::from(since) > i64::from(correlated);
        if apart || state & IN_MAIN != 0 {
            self.state.store(state + 1, Ordering::Relaxed);
        }
    }

    /// The policy's time of the last read or the insertion.
    pub(super) fn last_access(&self) -> u32 {
        self.last_access.load(Ordering::Relaxed)
    }

    /// Spends one read; false if there is none.
    pub(super) fn spend_read(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        if state & READS == 0 {
            return false;
        }
        self.state.store(state - 1, Ordering::Relaxed);
        true
    }

    /// Marks it as in the main queue, with no reads.
    pub(super) fn move_to_main(&self) {
        self.state.store(IN_MAIN, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn queue(&self) -> QueueId {
        let in_main = self.state.load(Ordering::Relaxed) & IN_MAIN != 0;
        if in_main { QueueId::Main } else { QueueId::Small }
    }

    #[cfg(test)]
    pub(super) fn was_read(&self) -> bool {
        self.state.load(Ordering::Relaxed) & READS != 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::millis::NEVER;
    use super::*;

    #[test]
    fn reads_at_once_after_the_insertion_are_one_with_it() {
        let entry = Entry::new(Some(1), NEVER, 0);
        entry.enter(QueueId::Small, 100);
        entry.note_read(105, 5);
        assert!(!entry.was_read());
        assert_eq!(entry.last_access(), 105);
        entry.note_read(111, 5);
        assert!(entry.was_read());
        entry.move_to_main();
        assert!(!entry.was_read());
        for _ in 0..10 {
            entry.note_read(111, 5);
        }
        for _ in 0..MAX_READS {
            assert!(entry.spend_read());
        }
        assert!(!entry.spend_read());
    }

    #[test]
    fn time_of_the_policy_wraps() {
        let entry = Entry::new(Some(1), NEVER, 0);
        entry.enter(QueueId::Small, u32::MAX);
        entry.note_read(3, 5);
        assert!(!entry.was_read());
    }

    #[test]
    fn an_entry_expires_at_its_time_and_when_idle() {
        let entry = Entry::new(Some(1), 1000, 100);
        assert!(!entry.is_expired(999, None) && entry.is_expired(1000, None));
        assert!(!entry.is_expired(299, Some(200)) && entry.is_expired(300, Some(200)));
        entry.note_read_at(900);
        assert_eq!((entry.deadline(Some(50)), entry.deadline(Some(200))), (950, 1000));
        assert_eq!(Entry::new(Some(1), NEVER, 0).deadline(None), NEVER);
    }
}
