//! Concurrent misses of a key cost one load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::harness::*;

const ASKERS: u32 = 1000;
const SMALL_STACK: usize = 128 << 10;

#[test]
fn a_thousand_threads_that_miss_at_once_cost_one_load() {
    watched(|| {
        let (cache, loads) = (counted(10), Arc::new(AtomicUsize::new(0)));
        let ask = |_| {
            let (cache, loads) = (cache.clone(), Arc::clone(&loads));
            let ask = move || {
                cache.get_or_load(&1, LONG, || {
                    loads.fetch_add(1, Ordering::Relaxed);
                    let all = || cache.stats().misses == u64::from(ASKERS);
                    eventually("all have missed", all);
                    Ok::<_, ()>(5)
                })
            };
            thread::Builder::new().stack_size(SMALL_STACK).spawn(ask).unwrap()
        };
        let askers: Vec<_> = (0..ASKERS).map(ask).collect();
        assert!(askers.into_iter().all(|asker| join(asker) == Ok(5)));
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        assert_eq!((cache.stats().loads, cache.get(&1)), (1, Some(5)));
    });
}

#[test]
fn loads_of_different_keys_do_not_wait_for_each_other() {
    watched(|| {
        let cache = counted(100);
        let held: Vec<_> = (0..50).map(|key| HeldLoad::begin(&cache, key, LONG)).collect();
        for (key, load) in (0..50).zip(held).rev() {
            assert_eq!(load.bring(key + 1), Ok(key + 1));
            assert_eq!(cache.get(&key), Some(key + 1));
        }
    });
}
