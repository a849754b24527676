//! The pointer cache: where the values of recently read keys are, so that reading them again skips
//! the index.
//!
//! An entry says where a key's value was in the view at sequence `read_at`, and when it expires.
//! Each key also belongs to one of many stripes, and each stripe knows the last group that changed
//! any of its keys; a group's stripes are marked before the group shows. So an entry holds as long
//! as its stripe was not marked after `read_at`: a slow reader that inserts what it saw long ago
//! inserts the truth, and its old `read_at` shows that it is outdated. Nothing is locked, and
//! nothing is invalidated.
//!
//! A record that was moved stays where it was until its segment is retired, so entries outlive
//! moves; a segment that is gone sends the reader to the index. Segment ids are never used again.
//!
//! Snapshots and iterators do not read the cache. What a snapshot looks up goes into it, under the
//! snapshot's sequence. Short keys are stored in the entry itself: a boxed key costs one more cache
//! miss for each read.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::cache::Cache;
use crate::store::error::StoreError;
use crate::store::record::Pointer;
use crate::store::stats::{STRIPES, stripe};

/// Approximate memory of an entry beyond a long key: entry, allocation of the key, share of the
/// table.
const ENTRY_BYTES: u64 = 160;
/// Fewest stripes.
const MIN_STRIPES: usize = 1 << 10;
/// Longest row key stored in the entry itself. A key of 128 bits fits.
const SHORT_KEY_BYTES: usize = 22;

/// Where the value of a key is.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct CachedPointer {
    /// Sequence of the view that it was read from.
    pub(in crate::store) read_at: u64,
    /// When the row expires; 0 for never.
    pub(in crate::store) expires: u64,
    pub(in crate::store) pointer: Pointer,
}

/// A row key. Comparing a short one touches no memory outside the entry, which saves a cache miss.
#[derive(Debug, Clone)]
enum Key {
    Short { length: u8, bytes: [u8; SHORT_KEY_BYTES] },
    Long(Box<[u8]>),
}

impl Key {
    fn new(row_key: &[u8]) -> Self {
        let mut bytes = [0; SHORT_KEY_BYTES];
        match (u8::try_from(row_key.len()), bytes.get_mut(..row_key.len())) {
            (Ok(length), Some(start)) => {
                start.copy_from_slice(row_key);
                Self::Short { length, bytes }
            }
            _ => Self::Long(row_key.into()),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Self::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let (own, other): (&[u8], &[u8]) = (self.borrow(), other.borrow());
        own == other
    }
}

impl Eq for Key {}

/// As the borrowed bytes, so that an entry is found by them.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let bytes: &[u8] = self.borrow();
        bytes.hash(state);
    }
}

fn weigh(key: &Key, _: &CachedPointer) -> u64 {
    let bytes: &[u8] = key.borrow();
    bytes.len() as u64 + ENTRY_BYTES
}

/// The cache and its stripes.
#[derive(Debug)]
pub(in crate::store) struct PointerCache {
    /// `None` if it was given no memory.
    cache: Option<Cache<Key, CachedPointer>>,
    /// Sequence of the last group that changed a key of the stripe. Stored with Release before the
    /// group is published, loaded with Acquire: a thread that sees the group sees the mark.
    stripes: Box<[AtomicU64]>,
    hasher: foldhash::fast::RandomState,
    /// Outdated entries found, which the cache counts as hits. Striped by thread. Relaxed: the
    /// counters order nothing.
    outdated: [CachePadded<AtomicU64>; STRIPES],
}

impl PointerCache {
    /// A cache of about this many bytes; 0 for none.
    pub(in crate::store) fn new(bytes: usize) -> Result<Self, StoreError> {
        let entries = bytes as u64 / ENTRY_BYTES;
        let built = (bytes > 0).then(|| {
            Cache::builder().capacity(bytes as u64).weigher(weigh).expected_entries(entries).build()
        });
        let cache = built.transpose().map_err(|_too_small| StoreError::Option {
            name: "pointer_cache_bytes",
            value: bytes as u64,
            allowed: "0 or enough for an entry in each shard",
        })?;
        let stripes = if bytes == 0 { 1 } else { usize::try_from(entries).unwrap_or(usize::MAX) };
        let stripes = stripes.clamp(MIN_STRIPES, 1 << 24).next_power_of_two();
        let stripes = (0..stripes).map(|_| AtomicU64::new(0)).collect();
        let outdated = std::array::from_fn(|_| CachePadded::default());
        Ok(Self { cache, stripes, hasher: foldhash::fast::RandomState::default(), outdated })
    }

    /// Where the value of a key is now, if that is known.
    pub(in crate::store) fn get(&self, row_key: &[u8]) -> Option<CachedPointer> {
        let cached = self.cache.as_ref()?.get(row_key)?;
        if self.stripe(row_key).load(Ordering::Acquire) <= cached.read_at {
            return Some(cached);
        }
        if let Some(counter) = self.outdated.get(stripe()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    /// Notes where the value of a key is in the view at `cached.read_at`.
    pub(in crate::store) fn insert(&self, row_key: &[u8], cached: CachedPointer) {
        if let Some(cache) = &self.cache
            && self.stripe(row_key).load(Ordering::Relaxed) <= cached.read_at
        {
            cache.insert(Key::new(row_key), cached);
        }
    }

    /// Marks a key as changed by group `sequence`, which is not yet published.
    pub(in crate::store) fn changed(&self, row_key: &[u8], sequence: u64) {
        self.stripe(row_key).store(sequence, Ordering::Release);
    }

    /// Hits and misses so far. An outdated entry is a miss.
    pub(in crate::store) fn hits_and_misses(&self) -> (u64, u64) {
        let Some(cache) = &self.cache else { return (0, 0) };
        let outdated: u64 = self.outdated.iter().map(|part| part.load(Ordering::Relaxed)).sum();
        let stats = cache.stats();
        // A look-up under way may be counted by one and not yet by the other.
        (stats.hits.saturating_sub(outdated), stats.misses + outdated)
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    fn stripe(&self, row_key: &[u8]) -> &AtomicU64 {
        let hash = self.hasher.hash_one(row_key) as usize;
        let index = hash & (self.stripes.len() - 1);
        self.stripes.get(index).expect("invariant: the number of stripes is a power of two")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::Codec;

    fn cached(read_at: u64) -> CachedPointer {
        let codec = Codec::Plain;
        let pointer = Pointer { segment: 1, offset: 64, stored: 9, raw: 9, codec };
        CachedPointer { read_at, expires: 0, pointer }
    }

    #[test]
    fn an_entry_holds_until_its_key_changes_and_a_late_one_never_does() {
        let cache = PointerCache::new(1 << 20).unwrap();
        cache.insert(b"k", cached(5));
        assert_eq!(cache.get(b"k").map(|cached| cached.read_at), Some(5));
        cache.changed(b"k", 6);
        assert!(cache.get(b"k").is_none());
        // A reader that looked before the change and comes late.
        cache.insert(b"k", cached(5));
        assert!(cache.get(b"k").is_none());
        cache.insert(b"k", cached(6));
        assert!(cache.get(b"k").is_some());
    }

    #[test]
    fn what_is_found_and_does_not_hold_any_more_counts_as_a_miss() {
        let cache = PointerCache::new(1 << 20).unwrap();
        assert!(cache.get(b"k").is_none());
        cache.insert(b"k", cached(5));
        assert!(cache.get(b"k").is_some());
        assert_eq!(cache.hits_and_misses(), (1, 1));
        cache.changed(b"k", 6);
        for _ in 0..3 {
            assert!(cache.get(b"k").is_none());
        }
        assert_eq!(cache.hits_and_misses(), (1, 4));
    }

    #[test]
    fn keys_of_every_length_are_found_and_not_mixed_up() {
        let cache = PointerCache::new(1 << 20).unwrap();
        let key = |length: u8| vec![7; usize::from(length)];
        // Zeros behind a short key must not count as its bytes.
        let with_zero = |length: u8| [key(length), vec![0]].concat();
        for length in 0..64 {
            cache.insert(&key(length), cached(u64::from(length)));
            assert!(cache.get(&with_zero(length)).is_none());
            cache.insert(&with_zero(length), cached(100 + u64::from(length)));
        }
        let found = |key: Vec<u8>| cache.get(&key).map(|cached| cached.read_at);
        for length in 0..64 {
            assert_eq!(found(key(length)), Some(u64::from(length)));
            assert_eq!(found(with_zero(length)), Some(100 + u64::from(length)));
        }
    }

    #[test]
    fn without_memory_nothing_is_kept() {
        let cache = PointerCache::new(0).unwrap();
        cache.insert(b"k", cached(5));
        assert!(cache.get(b"k").is_none());
    }
}
