//! A small cache is one queue, in which the order is exact.
//!
//! If nothing is read, the first entries fill the main queue, all but the least share of the small
//! one (one part in 1,024 of the capacity, at least 1). Later entries enter the small queue, and
//! each evicts its oldest.

use std::sync::Arc;

use gristmill::cache::{Cache, CacheBuilder};
use parking_lot::Mutex;

use crate::harness::*;

/// A cache, and the keys it has evicted in their order.
fn heard(builder: CacheBuilder<u32, u32>) -> (Cache<u32, u32>, Arc<Mutex<Vec<u32>>>) {
    let evicted: Arc<Mutex<Vec<u32>>> = Arc::default();
    let sink = Arc::clone(&evicted);
    let cache = builder.listener(move |key, _, _| sink.lock().push(*key)).build().unwrap();
    (cache, evicted)
}

fn insert(cache: &Cache<u32, u32>, keys: std::ops::Range<u32>) {
    keys.for_each(|key| cache.insert(key, key));
}

#[test]
fn exactly_as_many_fit_as_it_was_made_for() {
    for capacity in [1, 2, 3, 10, 100] {
        let (cache, evicted) = heard(Cache::builder().capacity(u64::from(capacity)));
        insert(&cache, 0..capacity);
        assert_eq!((cache.len(), evicted.lock().len()), (capacity as usize, 0));
        assert!((0..capacity).all(|key| cache.get(&key) == Some(key)));
        insert(&cache, capacity..3 * capacity);
        assert_eq!((cache.len(), evicted.lock().len()), (capacity as usize, 2 * capacity as usize));
    }
}

#[test]
fn of_a_hundred_each_unread_newcomer_goes_for_the_next() {
    let (cache, evicted) = heard(Cache::builder().capacity(100));
    insert(&cache, 0..200);
    assert_eq!(*evicted.lock(), (99..199).collect::<Vec<_>>());
    assert!((0..99).chain([199]).all(|key| cache.get(&key).is_some()));
}

#[test]
fn the_small_queue_is_first_in_first_out() {
    // Ten of 10,240 stand in the small queue.
    let (cache, evicted) = heard(sharded(Cache::builder().capacity(10_240), false));
    insert(&cache, 0..20_480);
    assert_eq!(*evicted.lock(), (10_230..20_470).collect::<Vec<_>>());
}

#[test]
fn the_main_queue_is_first_in_first_out_among_the_unread() {
    let (cache, evicted) = heard(Cache::builder().capacity(100));
    insert(&cache, 0..100);
    // Each is read before the next comes, and moves over; the main queue's oldest goes.
    for key in 100..150 {
        cache.get(&(key - 1));
        cache.insert(key, key);
    }
    assert_eq!(*evicted.lock(), (0..50).collect::<Vec<_>>());
}

#[test]
fn what_was_read_in_the_main_queue_gets_another_round() {
    let (cache, evicted) = heard(Cache::builder().capacity(100));
    insert(&cache, 0..100);
    for key in [0, 2, 4] {
        cache.get(&key);
    }
    for key in 100..200 {
        cache.get(&(key - 1));
        cache.insert(key, key);
    }
    // Each read is worth one round, behind those that have moved over by then.
    let unread = [1, 3].into_iter().chain(5..99);
    assert_eq!(*evicted.lock(), unread.chain([99, 0, 100, 2]).collect::<Vec<_>>());
}
