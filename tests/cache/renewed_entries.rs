//! An entry keeps its place in the policy when it is replaced, or reloaded after it expired.

use gristmill::cache::{Cache, InsertOptions};

use crate::harness::*;

fn insert(cache: &Cache<u32, u32>, keys: std::ops::Range<u32>) {
    keys.for_each(|key| cache.insert(key, key));
}

#[test]
fn a_replaced_entry_keeps_its_queue() {
    let cache = counted(100);
    insert(&cache, 0..100);
    cache.insert(5, 6);
    insert(&cache, 1000..2000);
    assert_eq!(cache.get(&5), Some(6));
}

#[test]
fn a_replacement_is_a_read() {
    let cache = counted(100);
    insert(&cache, 0..101);
    assert_eq!(cache.get(&99), None, "the next insertion evicts a new unread entry");
    cache.insert(100, 7);
    insert(&cache, 101..200);
    assert_eq!((cache.get(&100), cache.get(&0)), (Some(7), None));
}

#[test]
fn a_replaced_entry_keeps_its_reads() {
    let cache = counted(100);
    insert(&cache, 0..100);
    cache.get(&0);
    cache.insert(0, 1);
    // Entries that were read move to the main queue, and evict its oldest, for one round.
    for key in 100..190 {
        cache.get(&(key - 1));
        cache.insert(key, key);
    }
    assert_eq!((cache.get(&0), cache.get(&1)), (Some(1), None));
}

#[test]
fn an_entry_that_expired_and_is_loaded_again_is_not_new() {
    for sweep in [false, true] {
        let (clock, builder) = timed();
        let cache = builder.capacity(100).build().unwrap();
        insert(&cache, 0..99);
        cache.insert_with(50, 50, InsertOptions::default().ttl(SECOND));
        clock.advance(2 * SECOND);
        if sweep {
            assert_eq!(cache.sweep(10), 1);
        }
        assert_eq!(cache.get(&50), None);
        // Fills the cache before the key comes back.
        insert(&cache, 200..202);
        cache.insert(50, 51);
        insert(&cache, 1000..1100);
        assert_eq!(cache.get(&50), Some(51));
    }
}

#[test]
fn what_was_cleared_is_new_again() {
    let cache = counted(100);
    insert(&cache, 0..200);
    assert!(cache.stats().ghosts > 0);
    cache.clear();
    assert_eq!(cache.stats().ghosts, 0);
    insert(&cache, 0..100);
    insert(&cache, 1000..1100);
    assert_eq!((cache.len(), cache.get(&99)), (100, None));
}
