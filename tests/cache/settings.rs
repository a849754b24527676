//! Which settings are accepted, and which are refused.

use gristmill::cache::{Cache, CacheBuilder, CacheError};

use crate::harness::*;

fn refusal(builder: CacheBuilder<u32, u32>) -> Option<CacheError> {
    builder.build().err()
}

#[test]
fn what_makes_no_sense_is_refused() {
    let builder = Cache::<u32, u32>::builder;
    for jitter in [-0.1, 1.1, f64::INFINITY] {
        assert_eq!(refusal(builder().jitter(jitter)), Some(CacheError::Jitter { jitter }));
    }
    assert!(matches!(refusal(builder().jitter(f64::NAN)), Some(CacheError::Jitter { .. })));
    for shards in [0, 1025] {
        assert_eq!(refusal(builder().shards(shards)), Some(CacheError::Shards { shards }));
    }
    let stale = builder().stale_while_revalidate(SECOND);
    assert_eq!(refusal(stale), Some(CacheError::StaleWithoutTtl));
    assert_eq!(refusal(builder().stale_while_revalidate(SECOND).ttl(SECOND)), None);
    assert_eq!(
        CacheError::Jitter { jitter: 2.0 }.to_string(),
        "the jitter must be from 0 to 1, and is 2"
    );
}

#[test]
fn any_number_of_shards_will_do() {
    for shards in [1, 2, 3, 1000, 1024] {
        for entries in [0, 1 << 20, u64::MAX] {
            let builder = Cache::builder().shards(shards).expected_entries(entries);
            let cache = builder.capacity(100).build().unwrap();
            (0..1000).for_each(|key| cache.insert(key, key));
            assert_eq!(cache.weight(), 100);
            assert_accounts(&cache, 1000, |_| 1);
        }
    }
}

#[test]
fn without_capacity_everything_is_refused() {
    for many in [false, true] {
        let cache = sharded(Cache::builder().capacity(0), many).build().unwrap();
        cache.insert(1, 1);
        assert_eq!(cache.get_or_load(&2, LONG, || Ok::<_, ()>(2)), Ok(2));
        assert!(!cache.insert_if(3, 3, cache.generation(&3)));
        cache.shrink_to(0.0);
        cache.sweep(10);
        assert_eq!((cache.len(), cache.weight(), cache.stats().refused), (0, 0, 3));
        assert_eq!((cache.stats().loads, cache.get(&2)), (1, None));
    }
}

#[test]
fn an_eighth_of_the_capacity_is_the_heaviest_entry_and_at_least_one() {
    for (capacity, heaviest) in [(1, 1), (7, 1), (15, 1), (16, 2), (800, 100)] {
        let builder = Cache::builder().capacity(capacity).weigher(|_, value| u64::from(*value));
        let cache: Cache<u32, u32> = builder.build().unwrap();
        cache.insert(1, heaviest);
        cache.insert(2, heaviest + 1);
        assert_eq!((cache.get(&1), cache.get(&2)), (Some(heaviest), None));
        assert_eq!((cache.stats().refused, cache.weight()), (1, u64::from(heaviest)));
    }
}

#[test]
fn nothing_weighs_nothing() {
    let cache = Cache::builder().capacity(100).weigher(|_, _: &u32| 0).build().unwrap();
    (0..200).for_each(|key: u32| cache.insert(key, key));
    assert_eq!((cache.len(), cache.weight()), (100, 100));
}

#[test]
fn the_largest_weights_overflow_nothing() {
    let builder = Cache::builder().capacity(u64::MAX / 2).weigher(|_, _: &u32| u64::MAX / 16);
    let cache = builder.build().unwrap();
    (0..100).for_each(|key: u32| cache.insert(key, key));
    assert_eq!((cache.len(), cache.stats().refused), (8, 0));
    let cache = Cache::builder().capacity(100).weigher(|_, _: &u32| u64::MAX).build().unwrap();
    cache.insert(1, 1);
    assert_eq!((cache.len(), cache.stats().refused), (0, 1));
}

#[test]
fn borrowed_keys_find_owned_ones() {
    let cache: Cache<String, u32> = Cache::builder().build().unwrap();
    cache.insert("a".to_owned(), 1);
    assert!(cache.insert_if("b".to_owned(), 2, cache.generation("b")));
    assert_eq!((cache.get("a"), cache.get("b")), (Some(1), Some(2)));
    cache.invalidate("a");
    assert_eq!((cache.get("a"), cache.clone().len()), (None, 1));
    assert!(format!("{cache:?}").contains("capacity"));
}
