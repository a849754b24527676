//! Shrinking beside readers and writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gristmill::cache::Cache;

use crate::harness::*;

const CAPACITY: u64 = 4000;
const KEYS: u32 = 2000;
const HEAVIEST: u32 = 50;
const WRITERS: u64 = 3;

fn weight_of(key: u32) -> u64 {
    u64::from(key % HEAVIEST + 1)
}

fn weighed(many: bool) -> Cache<u32, u32> {
    let builder = Cache::builder().capacity(CAPACITY).weigher(|_, value| weight_of(*value));
    sharded(builder, many).build().unwrap()
}

/// Writers and a shrinking thread for a while; `look` is called again and again beside them.
fn shrink_under_load(cache: &Cache<u32, u32>, look: impl Fn()) {
    let done = Arc::new(AtomicBool::new(false));
    let writer = |seed| {
        let cache = cache.clone();
        thread::spawn(move || {
            let mut random = Random(seed);
            for _ in 0..20_000 {
                let key = random.below(KEYS);
                if cache.get(&key).is_none() {
                    cache.insert(key, key);
                }
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(writer).collect();
    let (shrinking, until) = (cache.clone(), Arc::clone(&done));
    let shrinker = thread::spawn(move || {
        while !until.load(Ordering::Relaxed) {
            shrinking.shrink_to(0.5);
        }
    });
    while !writers.iter().all(thread::JoinHandle::is_finished) {
        look();
    }
    writers.into_iter().for_each(join);
    done.store(true, Ordering::Relaxed);
    join(shrinker);
}

#[test]
fn the_weight_stays_in_bounds_at_any_look() {
    watched(|| {
        let cache = weighed(false);
        shrink_under_load(&cache, || assert!(cache.weight() <= CAPACITY));
        assert!(cache.stats().shrunk > 0);
        cache.shrink_to(0.5);
        assert!(cache.weight() <= CAPACITY / 2);
        assert_accounts(&cache, KEYS, weight_of);
    });
}

#[test]
fn many_shards_exceed_it_by_no_more_than_what_is_being_put() {
    watched(|| {
        let cache = weighed(true);
        let most = CAPACITY + WRITERS * u64::from(HEAVIEST);
        shrink_under_load(&cache, || assert!(cache.weight() <= most));
        cache.shrink_to(0.5);
        assert!(cache.weight() <= CAPACITY / 2);
        assert_accounts(&cache, KEYS, weight_of);
    });
}

#[test]
fn shrinking_takes_out_no_more_than_it_must_and_leaves_the_capacity() {
    for many in [false, true] {
        let cache = sharded(Cache::builder().capacity(1000), many).build().unwrap();
        let fill = || (0..1000).for_each(|key| cache.insert(key, key));
        for (fraction, left) in [(1.5, 1000), (1.0, 1000), (0.25, 250), (0.0, 0), (-1.0, 0)] {
            fill();
            assert_eq!(cache.len(), 1000);
            let shrunk = cache.stats().shrunk;
            cache.shrink_to(fraction);
            assert_eq!((cache.weight(), cache.len() as u64), (left, left));
            assert_eq!(cache.stats().shrunk - shrunk, 1000 - left);
        }
        cache.shrink_to(0.5);
        fill();
        assert_eq!(cache.len(), 1000);
    }
}
