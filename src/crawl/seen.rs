//! Which URLs are known, without asking the store.
//!
//! Keys are held in two generations; the older one is forgotten when both are full, and from then
//! on the store is asked about misses. Spellings that were decided already are recognised by a
//! 128-bit hash with a random seed, in one read.

use std::collections::HashSet;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::url::UrlKey;

/// A set of keys with a bounded size. It forgets the older half when it is full, but never reports
/// a key that was not inserted.
#[derive(Debug)]
pub(super) struct RecentKeys {
    young: HashSet<UrlKey, RandomState>,
    old: HashSet<UrlKey, RandomState>,
    /// Keys of one generation; there are two.
    generation: usize,
    forgot: bool,
}

impl RecentKeys {
    /// A set of at most `capacity` keys, and at least two.
    pub(super) fn new(capacity: usize) -> Self {
        let generation = (capacity / 2).max(1);
        Self { young: HashSet::default(), old: HashSet::default(), generation, forgot: false }
    }

    pub(super) fn contains(&self, key: &UrlKey) -> bool {
        self.young.contains(key) || self.old.contains(key)
    }

    /// True if the key was not there.
    pub(super) fn insert(&mut self, key: UrlKey) -> bool {
        if self.contains(&key) {
            return false;
        }
        if self.young.len() >= self.generation {
            std::mem::swap(&mut self.young, &mut self.old);
            self.forgot |= !self.young.is_empty();
            self.young.clear();
        }
        self.young.insert(key)
    }

    pub(super) fn remove(&mut self, key: &UrlKey) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether keys were ever forgotten: then a miss proves nothing.
    pub(super) const fn forgot(&self) -> bool {
        self.forgot
    }
}

/// Slots of [`Spellings`]: half a MiB.
const SPELLINGS: usize = 1 << 15;

/// A filter for URLs, as spelled, that need no further decision. Most links of a page are on its
/// neighbours too, and this recognises them with one hash and one read.
///
/// It holds 128-bit hashes with a random seed, so collisions are not to be expected in any crawl,
/// and cannot be made on purpose.
#[derive(Debug)]
pub(super) struct Spellings {
    slots: Vec<u128>,
    seed: u64,
}

impl Spellings {
    pub(super) fn new() -> Self {
        Self { slots: vec![0; SPELLINGS], seed: RandomState::default().hash_one(SPELLINGS) }
    }

    /// The hash of a spelling.
    pub(super) fn hash(&self, url: &str) -> u128 {
        xxh3_128_with_seed(url.as_bytes(), self.seed)
    }

    pub(super) fn contains(&self, hash: u128) -> bool {
        self.slots.get(slot(hash)).is_some_and(|known| *known == hash)
    }

    pub(super) fn insert(&mut self, hash: u128) {
        if let Some(place) = self.slots.get_mut(slot(hash)) {
            *place = hash;
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
    }
}

fn slot(hash: u128) -> usize {
    // Only the low bits matter.
    let low = hash as usize;
    low % SPELLINGS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u128) -> UrlKey {
        UrlKey(n.to_be_bytes())
    }

    #[test]
    fn the_set_is_bounded_and_never_says_yes_wrongly() {
        let mut keys = RecentKeys::new(100);
        for n in 0..1000 {
            assert!(keys.insert(key(n)) && !keys.insert(key(n)));
            assert!(keys.len() <= 100);
            assert_eq!(keys.forgot(), n >= 100);
        }
        assert!(keys.contains(&key(999)) && keys.contains(&key(955)));
        assert!(!keys.contains(&key(1)) && !keys.contains(&key(1000)));
    }
}
