//! `insert_if` inserts a value only if nothing was written since.

use gristmill::cache::{Cache, InsertOptions};

use crate::harness::*;

/// Whether a value is inserted after `meanwhile`.
fn is_put_after(meanwhile: impl FnOnce(&Cache<u32, u32>)) -> bool {
    let cache = counted(100);
    cache.insert(1, 1);
    let generation = cache.generation(&1);
    meanwhile(&cache);
    let put = cache.insert_if(1, 7, generation);
    assert_eq!(put, cache.get(&1) == Some(7));
    put
}

#[test]
fn it_loses_against_whoever_writes() {
    assert!(!is_put_after(|cache| cache.insert(1, 2)));
    assert!(!is_put_after(|cache| cache.insert_absent(1, InsertOptions::default())));
    assert!(!is_put_after(|cache| cache.invalidate(&1)));
    assert!(!is_put_after(Cache::clear));
    assert!(!is_put_after(|cache| assert!(cache.insert_if(1, 2, cache.generation(&1)))));
    assert!(!is_put_after(|cache| {
        cache.invalidate(&1);
        cache.get_or_load(&1, LONG, || Ok::<_, ()>(3)).unwrap();
    }));
}

#[test]
fn it_loses_against_the_invalidation_of_the_entrys_tag() {
    let cache = counted(100);
    cache.insert_with(1, 1, InsertOptions::default().tag("t"));
    let generation = cache.generation(&1);
    cache.invalidate_tag("other");
    assert!(cache.insert_if(1, 2, generation));
    cache.insert_with(1, 1, InsertOptions::default().tag("t"));
    let generation = cache.generation(&1);
    cache.invalidate_tag("t");
    assert!(!cache.insert_if(1, 2, generation));
}

#[test]
fn it_does_not_lose_against_what_leaves_by_itself() {
    assert!(is_put_after(|_| ()));
    assert!(is_put_after(|cache| assert_eq!(cache.get(&1), Some(1))));
    assert!(is_put_after(|cache| cache.shrink_to(0.0)));
    assert!(is_put_after(|cache| {
        let refused: LoadResult = cache.get_or_load(&1, LONG, || Err("not asked"));
        assert_eq!(refused, Ok(1));
    }));
    let (clock, builder) = timed();
    let cache = builder.ttl(SECOND).build().unwrap();
    cache.insert(1, 1);
    let generation = cache.generation(&1);
    clock.advance(2 * SECOND);
    cache.sweep(10);
    assert!(cache.is_empty() && cache.insert_if(1, 2, generation));
    assert_eq!(cache.get(&1), Some(2));
}

#[test]
fn a_key_that_was_never_there_has_a_generation() {
    let cache = counted(100);
    let generation = cache.generation(&1);
    assert_eq!(generation, cache.generation(&1));
    assert!(cache.insert_if(1, 1, generation));
    assert_ne!(generation, cache.generation(&1));
    assert!(!cache.insert_if(1, 2, generation));
    assert_eq!(cache.get(&1), Some(1));
}

#[test]
fn what_is_too_heavy_is_not_put() {
    let builder = Cache::builder().capacity(80).weigher(|_, value| u64::from(*value));
    let cache: Cache<u32, u32> = builder.build().unwrap();
    assert!(!cache.insert_if(1, 11, cache.generation(&1)));
    assert!(cache.insert_if(1, 10, cache.generation(&1)));
    assert_eq!((cache.get(&1), cache.stats().refused), (Some(10), 1));
}
