//! Concurrent writers of the same keys leave no entry in only one of map and policy.

use std::thread;

use gristmill::cache::Cache;

use crate::harness::*;

const KEYS: u32 = 8;

/// Two threads insert and one invalidates, round after round.
fn insert_insert_invalidate(cache: &Cache<u32, u32>) {
    let work = |turn: u32| {
        let cache = cache.clone();
        thread::spawn(move || {
            let mut random = Random(u64::from(turn));
            for _ in 0..20_000 {
                let key = random.below(KEYS);
                match turn {
                    0 | 1 => cache.insert(key, key),
                    _ => cache.invalidate(&key),
                }
            }
        })
    };
    let threads: Vec<_> = (0..3).map(work).collect();
    threads.into_iter().for_each(join);
}

#[test]
fn in_a_cache_that_holds_all() {
    for many in [false, true] {
        watched(move || {
            let cache = sharded(Cache::builder().capacity(100), many).build().unwrap();
            for _ in 0..3 {
                insert_insert_invalidate(&cache);
                assert_eq!(cache.stats().evicted, 0);
                assert_accounts(&cache, KEYS, |_| 1);
            }
            let stats = cache.stats();
            assert_eq!(stats.inserts, stats.replaced + stats.invalidated);
        });
    }
}

#[test]
fn in_a_cache_that_evicts() {
    for many in [false, true] {
        watched(move || {
            let cache = sharded(Cache::builder().capacity(4), many).build().unwrap();
            insert_insert_invalidate(&cache);
            assert!(cache.stats().evicted > 0);
            assert_accounts(&cache, KEYS, |_| 1);
            let stats = cache.stats();
            assert_eq!(stats.inserts, stats.replaced + stats.invalidated + stats.evicted);
        });
    }
}
