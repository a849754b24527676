//! The rules of each origin's `robots.txt`, bounded in bytes.
//!
//! A host's state in the frontier records how long the rules of its origins are valid. The rules
//! themselves are in a cache, because a crawl of many hosts cannot keep them all. Evicted rules are
//! requested again before the next page of their origin: an origin is never crawled without its
//! rules.
//!
//! Even a cache that is far too small must not lead to endless requests for rules: those of other
//! hosts may evict them before the first page is checked. So new rules are also held beside the
//! cache until one URL has been checked against them. While these take as many bytes as the cache
//! may, no further rules are requested. So an origin's rules are requested at most once for each
//! URL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::Robots;
use crate::cache::{Cache, CacheStats, Upkeep};
use crate::time::SharedClock;
use crate::url::Origin;

/// Parsed `robots.txt` rules by origin. Clones share it, and so may frontiers of one product token.
#[derive(Clone, Debug)]
pub struct RulesCache {
    rules: Cache<Origin, Arc<Robots>>,
    bytes: u64,
}

impl RulesCache {
    /// A cache for `bytes` of rules; those of one origin may take an eighth of it. Rules are
    /// dropped after `ttl`, which should be longer than they are valid
    /// ([`FrontierOptions::robots_ttl`](super::FrontierOptions::robots_ttl)): if no new ones can be
    /// fetched, the old ones stay in use.
    pub fn new(bytes: u64, ttl: Duration, clock: SharedClock) -> Self {
        let rules = Cache::builder()
            .capacity(bytes)
            .weigher(|origin: &Origin, robots: &Arc<Robots>| {
                robots.weight() + origin.host().as_str().len() as u64
            })
            .ttl(ttl)
            .clock(clock)
            .build()
            .expect("invariant: the options go together");
        Self { rules, bytes }
    }
}

/// A read, in the figures, is a page checked against the rules of its origin.
impl Upkeep for RulesCache {
    fn stats(&self) -> CacheStats {
        self.rules.stats()
    }

    fn sweep(&self, most: usize) -> usize {
        self.rules.sweep(most)
    }

    fn shrink_to(&self, fraction: f64) {
        self.rules.shrink_to(fraction);
    }
}

/// The rules as one frontier sees them.
#[derive(Debug)]
pub(super) struct RuleBook {
    cache: RulesCache,
    /// Rules that no URL has been checked against yet.
    fresh: HashMap<Origin, Arc<Robots>, RandomState>,
    fresh_bytes: u64,
}

impl RuleBook {
    pub(super) fn new(cache: RulesCache) -> Self {
        Self { cache, fresh: HashMap::default(), fresh_bytes: 0 }
    }

    /// Keeps the rules of an origin.
    pub(super) fn know(&mut self, origin: &Origin, robots: Robots) {
        self.forget(origin);
        let robots = Arc::new(robots);
        self.fresh_bytes += robots.weight();
        self.fresh.insert(origin.clone(), Arc::clone(&robots));
        self.cache.rules.insert(origin.clone(), robots);
    }

    /// Whether further rules may be requested.
    pub(super) fn has_room(&self) -> bool {
        self.fresh_bytes < self.cache.bytes
    }

    /// The rules to check a URL against, if they are still in memory.
    pub(super) fn judge(&mut self, origin: &Origin) -> Option<Arc<Robots>> {
        let fresh = self.forget(origin);
        self.cache.rules.get(origin).or(fresh)
    }

    /// The last known rules of an origin, valid or not.
    pub(super) fn last(&self, origin: &Origin) -> Option<Arc<Robots>> {
        self.fresh.get(origin).cloned().or_else(|| self.cache.rules.get(origin))
    }

    /// Drops the rules that are held beside the cache.
    pub(super) fn forget(&mut self, origin: &Origin) -> Option<Arc<Robots>> {
        let fresh = self.fresh.remove(origin)?;
        self.fresh_bytes = self.fresh_bytes.saturating_sub(fresh.weight());
        Some(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;
    use crate::url::parse;

    fn origin(n: usize) -> Origin {
        Origin::of(&parse(&format!("http://host{n}.example/")).unwrap())
    }

    fn rules(n: usize) -> Robots {
        let lines = "disallow: /private/\n".repeat(n);
        Robots::parse(format!("user-agent: *\n{lines}").as_bytes(), "gristmill")
    }

    #[test]
    fn rules_are_bounded_in_bytes_and_each_judges_at_least_one_url() {
        let (ttl, weight) = (Duration::from_hours(48), rules(10).weight());
        let cache = RulesCache::new(40 * weight, ttl, SystemClock::shared());
        let mut book = RuleBook::new(cache.clone());
        let asked = (0..).take_while(|n| {
            let room = book.has_room();
            if room {
                book.know(&origin(*n), rules(10));
            }
            room
        });
        assert_eq!(asked.count(), 40);
        assert!(cache.stats().weight <= 40 * weight);
        (0..40).for_each(|n| assert!(book.judge(&origin(n)).is_some()));
        assert!(book.has_room() && book.fresh_bytes == 0);
        // The names of the hosts count too, so the cache has lost some.
        assert!((0..40).any(|n| book.judge(&origin(n)).is_none()));
        // What is too heavy for the cache judges one URL all the same.
        book.know(&origin(1000), rules(10_000));
        assert_eq!((cache.stats().refused, book.has_room()), (1, false));
        assert!(book.judge(&origin(1000)).is_some() && book.judge(&origin(1000)).is_none());
    }
}
