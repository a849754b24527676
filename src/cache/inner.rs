//! Reads, insertions and removals, with map, policy and counters kept in step.
//!
//! Invariants, which hold whenever no call is under way (the model tests check them after every
//! step):
//!
//! 1. Map and policy hold the same entries; both change under the lock of the policy's shard. Locks
//!    are taken in the order: policy, map; never two of one kind.
//! 2. The weight is the sum over all entries and is updated before a shard's lock is released. An
//!    insertion returns only once it has seen the weight at or below the capacity.
//! 3. The newest entry is never the victim of its own insertion.
//! 4. A load is stored only while its flight is in its shard. Every write under the key removes the
//!    flight, under the same lock, so a call made after an invalidation has returned never joins a
//!    load that started before it.
//! 5. An entry that can expire has its node in the wheel, at its deadline or earlier.
//!
//! Values are dropped and the listener runs after the locks are released.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::entry::{Entry, EvictionCause, InsertOptions};
use super::evictor::Evictor;
use super::guard::{Removed, ShardGuard};
use super::millis::{Millis, NEVER, millis};
use super::shard::{Shard, ShardCell};
use super::stats::{CacheStats, Counters, Outcome};
use super::table::Table;
use super::{Listener, Lookup, Weigher};
use crate::time::SharedClock;

/// Most expired entries that one write removes.
pub(super) const SWEEP_PER_WRITE: usize = 8;
/// Most nodes that one write moves in the wheel or finds not expired, and again as many for each
/// entry that it evicts.
pub(super) const MOVES_PER_WRITE: usize = 32;
/// Entries removed under one lock at a time where many are to go, so that others get the lock
/// between.
pub(super) const BATCH: usize = 1024;
/// An entry may weigh at most one part in this many of the capacity.
const MAX_PART: u64 = 8;

/// The settings of a cache. [`CacheBuilder`](super::CacheBuilder) documents them.
pub(super) struct Settings<K, V> {
    pub(super) capacity: u64,
    pub(super) ttl: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) stale: Duration,
    pub(super) negative_ttl: Option<Duration>,
    pub(super) negative_weight: u64,
    pub(super) jitter: f64,
    pub(super) clock: SharedClock,
    pub(super) weigher: Option<Box<Weigher<K, V>>>,
    pub(super) listener: Option<Box<Listener<K, V>>>,
}

impl<K, V> fmt::Debug for Settings<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("capacity", &self.capacity)
            .field("ttl", &self.ttl)
            .field("idle", &self.idle)
            .field("stale", &self.stale)
            .field("negative_ttl", &self.negative_ttl)
            .field("jitter", &self.jitter)
            .finish_non_exhaustive()
    }
}

pub(super) struct Inner<K, V> {
    pub(super) table: Table<K, V>,
    pub(super) shards: Box<[CachePadded<ShardCell<K, V>>]>,
    /// Their number, as a power of two.
    pub(super) shard_bits: u32,
    /// Total of all entries. Updated under the lock of the shard that gains or loses weight.
    pub(super) weight: CachePadded<AtomicU64>,
    /// Whether any entry can expire. Otherwise reads need not ask for the time.
    timed: AtomicBool,
    pub(super) idle: Option<Millis>,
    stale: Millis,
    /// The shard where the next sweep starts.
    pub(super) next_sweep: AtomicUsize,
    pub(super) counters: Counters,
    pub(super) settings: Settings<K, V>,
}

/// An insertion: a value, or `None` for a known absence.
pub(super) struct Put<V> {
    pub(super) value: Option<V>,
    pub(super) options: InsertOptions,
}

impl<K, V> Inner<K, V> {
    /// Runs `work` under the lock of a shard, then tells the listener of what was removed and drops
    /// it, with the lock released.
    pub(super) fn with_shard<R>(
        &self,
        index: usize,
        work: impl FnOnce(&mut ShardGuard<'_, K, V>, &mut Removed<K, V>) -> R,
    ) -> R {
        let mut removed = Removed::default();
        let result = work(&mut ShardGuard::lock(&self.shards[index], &self.weight), &mut removed);
        if let Some(listener) = &self.settings.listener {
            for (key, entry, cause) in removed.entries() {
                if let Some(value) = &entry.value {
                    listener(key, value, *cause);
                }
            }
        }
        result
    }
}

impl<K: Hash + Eq, V: Clone> Inner<K, V> {
    /// `shards` is the number of map shards, a power of two and at least 2^`shard_bits`, the number
    /// of policy shards.
    pub(super) fn new(settings: Settings<K, V>, shards: usize, shard_bits: u32) -> Self {
        let share = settings.capacity >> shard_bits;
        let cells = (0..1 << shard_bits).map(|_| CachePadded::new(ShardCell::new(share)));
        let timed = settings.ttl.is_some() || settings.idle.is_some();
        Self {
            table: Table::new(shards),
            shards: cells.collect(),
            shard_bits,
            weight: CachePadded::default(),
            timed: AtomicBool::new(timed),
            idle: settings.idle.map(millis),
            stale: millis(settings.stale),
            next_sweep: AtomicUsize::new(0),
            counters: Counters::default(),
            settings,
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.settings.clock.coarse_millis()
    }

    /// The time, if an entry can expire at all.
    #[inline]
    pub(super) fn now_if_timed(&self) -> Millis {
        if self.timed.load(Ordering::Relaxed) { self.now() } else { 0 }
    }

    /// The policy shard of a hash. Each covers whole map shards.
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_POLICY_SHARDS")]
    #[inline]
    pub(super) fn shard_of(&self, hash: u64) -> usize {
        // `DashMap` selects its shard by the bits below the top seven, which its tables use as
        // tags.
        (hash << 7).checked_shr(u64::BITS - self.shard_bits).unwrap_or(0) as usize
    }

    /// What is known about `key`. Counts as a read for the policy and the idle time.
    #[inline]
    pub(super) fn lookup<Q>(&self, hash: u64, key: &Q) -> Lookup<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let now = self.now_if_timed();
        let published = &self.shards[self.shard_of(hash)].published;
        let found = self.table.read(hash, key, |entry| {
            let found = self.look_at(entry, now)?;
            published.note_read(entry);
            if self.idle.is_some() {
                entry.note_read_at(now);
            }
            Some(found)
        });
        match found {
            Some(Some(found)) => found,
            Some(None) => {
                self.remove_expired(hash, key, now);
                Lookup::Missing
            }
            None => Lookup::Missing,
        }
    }

    /// What is known about `key`. Does not count as a read.
    pub(super) fn peek<Q>(&self, hash: u64, key: &Q) -> Lookup<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let now = self.now_if_timed();
        let found = self.table.read(hash, key, |entry| self.look_at(entry, now));
        found.flatten().unwrap_or(Lookup::Missing)
    }

    /// `None` if it has expired.
    #[inline]
    fn look_at(&self, entry: &Entry<V>, now: Millis) -> Option<Lookup<V>> {
        if entry.is_expired(now, self.idle) {
            return None;
        }
        Some(match &entry.value {
            None => Lookup::Absent,
            // Here `expires` is the end of the window for stale values.
            Some(value) if self.stale > 0 && now.saturating_add(self.stale) >= entry.expires => {
                Lookup::Stale(value.clone())
            }
            Some(value) => Lookup::Fresh(value.clone()),
        })
    }

    #[inline]
    pub(super) fn count(&self, found: &Lookup<V>) {
        self.counters.count(match found {
            Lookup::Fresh(_) => Outcome::Hit,
            Lookup::Absent => Outcome::NegativeHit,
            Lookup::Stale(_) | Lookup::Missing => Outcome::Miss,
        });
    }

    /// Inserts a value or a known absence if `condition` holds under the lock. False if it does
    /// not, or if the entry is too heavy.
    pub(super) fn put(
        &self,
        hash: u64,
        key: K,
        put: Put<V>,
        condition: impl FnOnce(&mut Shard<K, V>, &K) -> bool,
    ) -> bool {
        let Put { value, options } = put;
        let weight = self.weigh(&key, value.as_ref());
        let most = (self.settings.capacity / MAX_PART).max(1).min(self.settings.capacity);
        let fits = weight <= most;
        let has_own_time = options.ttl.is_some() || value.is_none();
        let now = if has_own_time { self.now() } else { self.now_if_timed() };
        let expires = self.expiry(hash, value.is_some(), options.ttl, now);
        // What stays in here is dropped after the lock is released.
        let mut offer = Some((key, Entry::new(value, expires, now), options.tags));
        let done = self.with_shard(self.shard_of(hash), |shard, removed| {
            let Some((key, ..)) = offer.as_ref().filter(|(key, ..)| condition(shard, key)) else {
                return false;
            };
            shard.count_write(hash);
            removed.supersede(shard, key);
            if !fits {
                shard.refused += 1;
                if let Some((key, old)) = self.table.remove(hash, key) {
                    shard.forget(old.slot, EvictionCause::Replaced);
                    removed.push(key, old, EvictionCause::Replaced);
                }
            } else if let Some((key, entry, tags)) = offer.take() {
                self.insert_entry(shard, hash, key, (entry, weight), tags, removed);
            }
            fits
        });
        while self.weight() > self.settings.capacity && self.entries() > 0 {
            self.shrink(self.settings.capacity, EvictionCause::Capacity);
        }
        done
    }

    /// Adds an entry to map and policy, in the queue of the entry that it replaces, if any.
    fn insert_entry(
        &self,
        shard: &mut ShardGuard<'_, K, V>,
        hash: u64,
        key: K,
        (mut entry, weight): (Entry<V>, u64),
        tags: Vec<String>,
        removed: &mut Removed<K, V>,
    ) {
        let (now, mut moves) = (entry.put_at(), MOVES_PER_WRITE);
        let mut expired = || self.take_expired(shard, now, &mut moves, removed);
        (0..SWEEP_PER_WRITE).take_while(|_| expired()).for_each(drop);
        let full = shard.total_weight().saturating_add(weight) > self.settings.capacity;
        let queue = shard.policy.admit(
            hash,
            weight,
            full,
            &Evictor::new(&self.table, removed, EvictionCause::Capacity),
        );
        entry.enter(queue, shard.policy.now());
        let Some(slot) = shard.policy.add(hash, weight, queue, !tags.is_empty()) else {
            shard.refused += 1;
            return removed.push(key, entry, EvictionCause::Capacity);
        };
        entry.slot = slot;
        let deadline = entry.deadline(self.idle);
        if deadline != NEVER {
            if !self.timed.load(Ordering::Relaxed) {
                self.timed.store(true, Ordering::Relaxed);
            }
            shard.policy.expire_at(slot, deadline, now);
        }
        if !tags.is_empty() {
            shard.tags.add(slot, tags);
        }
        shard.inserts += 1;
        if let Some((key, old)) = self.table.put(hash, key, entry) {
            let queue = shard.forget(old.slot, EvictionCause::Replaced);
            shard.policy.move_to(slot, queue);
            let (time, correlated) = (shard.policy.now(), shard.policy.correlated());
            self.table.read_slot(hash, slot, |entry| entry.inherit(&old, time, correlated));
            removed.push(key, old, EvictionCause::Replaced);
        }
        self.make_room(shard, slot, now, removed);
    }

    fn weigh(&self, key: &K, value: Option<&V>) -> u64 {
        match (value, &self.settings.weigher) {
            (None, _) => self.settings.negative_weight,
            (Some(_), None) => 1,
            (Some(value), Some(weigher)) => weigher(key, value).max(1),
        }
    }

    /// When an entry inserted now expires, the window for stale values included.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a random part of a time between 0 and that time"
    )]
    fn expiry(&self, hash: u64, positive: bool, own: Option<Duration>, now: Millis) -> Millis {
        let settings = &self.settings;
        let of_kind = if positive { None } else { settings.negative_ttl };
        let Some(ttl) = own.or(of_kind).or(settings.ttl).map(millis) else { return NEVER };
        let mut less = 0;
        if settings.jitter > 0.0 {
            // The hasher's seed is random in each process. Mixed with the time, the hash gives
            // another number at each insertion, with no generator to share among threads.
            let mixed = (hash ^ now).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
            let part = mixed as f64 / (1_u64 << 53) as f64 * settings.jitter;
            less = ((ttl as f64 * part) as u64).min(ttl);
        }
        let window = if positive { self.stale } else { 0 };
        now.saturating_add(ttl - less).saturating_add(window)
    }

    /// Removes the entry under `key`; false if there is none.
    pub(super) fn remove<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.with_shard(self.shard_of(hash), |shard, removed| {
            shard.count_write(hash);
            removed.supersede(shard, key);
            let Some((key, entry)) = self.table.remove(hash, key) else { return false };
            shard.forget(entry.slot, EvictionCause::Invalidated);
            removed.push(key, entry, EvictionCause::Invalidated);
            true
        })
    }

    fn remove_expired<Q>(&self, hash: u64, key: &Q, now: Millis)
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.with_shard(self.shard_of(hash), |shard, removed| {
            let slot = self
                .table
                .read(hash, key, |entry| entry.is_expired(now, self.idle).then_some(entry.slot));
            if let Some(Some(slot)) = slot {
                self.remove_node(shard, slot, EvictionCause::Expired, removed);
            }
        });
    }

    /// Removes the entries with this tag. No load under way will be stored, since its tags are not
    /// known yet.
    pub(super) fn remove_tag(&self, tag: &str) {
        for index in 0..self.shards.len() {
            self.with_shard(index, |shard, removed| {
                removed.flights.extend(shard.flights.drain());
                for slot in shard.tags.slots(tag) {
                    let hash = shard.policy.slab.get(slot).hash;
                    shard.count_write(hash);
                    self.remove_node(shard, slot, EvictionCause::Invalidated, removed);
                }
            });
        }
    }

    pub(super) fn clear(&self) {
        for index in 0..self.shards.len() {
            self.with_shard(index, |shard, removed| {
                removed.flights.extend(shard.flights.drain());
                shard.count_write_to_all();
                shard.policy.forget_ghosts();
            });
            while self.with_shard(index, |shard, removed| {
                for _ in 0..BATCH {
                    let Some(slot) = shard.policy.oldest() else { return false };
                    self.remove_node(shard, slot, EvictionCause::Invalidated, removed);
                }
                true
            }) {}
        }
    }

    pub(super) fn weight(&self) -> u64 {
        self.weight.load(Ordering::Relaxed)
    }

    pub(super) fn entries(&self) -> usize {
        self.shards.iter().map(|shard| shard.published.entries.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn stats(&self) -> CacheStats {
        let mut stats = self.counters.snapshot();
        stats.capacity = self.settings.capacity;
        for shard in &self.shards {
            let shard = shard.state.lock();
            stats.entries += shard.policy.entries() as u64;
            stats.weight += shard.policy.weight();
            stats.ghosts += shard.policy.ghosts() as u64;
            stats.inserts += shard.inserts;
            stats.refused += shard.refused;
            shard.removals.add_to(&mut stats);
        }
        stats
    }
}
