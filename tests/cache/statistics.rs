//! Each counter counts what it says.

use gristmill::cache::{Cache, CacheStats, InsertOptions, Loaded};

use crate::harness::*;

#[test]
fn a_new_cache_has_done_nothing() {
    let stats = counted(10).stats();
    let mut nothing = CacheStats::default();
    nothing.capacity = 10;
    assert_eq!(stats, nothing);
}

#[test]
fn reads_are_told_apart() {
    let (clock, builder) = timed();
    let builder = builder.ttl(10 * SECOND).stale_while_revalidate(10 * SECOND);
    let cache = builder.build().unwrap();
    assert_eq!(cache.get(&1), None);
    cache.insert(1, 1);
    cache.get(&1);
    cache.lookup(&1);
    cache.get_or_load(&1, LONG, || Ok::<_, ()>(9)).unwrap();
    cache.insert_absent(2, InsertOptions::default());
    cache.lookup(&2);
    cache.get_or_load_with(&2, LONG, || Ok::<_, ()>(Loaded::value(9))).unwrap();
    // A known absence is a miss here.
    cache.get_or_load(&2, LONG, || Ok::<_, ()>(2)).unwrap();
    let failed: LoadResult = cache.get_or_load(&3, LONG, || Err("no"));
    failed.unwrap_err();
    clock.advance(10 * SECOND);
    let stale: LoadResult = cache.get_or_load(&1, LONG, || Err("no"));
    assert_eq!(stale, Ok(1));
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.negative_hits, stats.stale_hits, stats.misses), (5, 2, 1, 3));
    assert_eq!((stats.loads, stats.load_failures), (1, 2));
    assert!((stats.hit_ratio - 6.0 / 9.0).abs() < 1e-9);
}

#[test]
fn departures_are_told_apart() {
    for many in [false, true] {
        let (clock, builder) = timed();
        let cache = sharded(builder.capacity(100), many).build().unwrap();
        (0..103).for_each(|key| cache.insert(key, key));
        let alive: Vec<u32> = (0..103).filter(|key| cache.get(key).is_some()).collect();
        assert_eq!((alive.len(), cache.stats().evicted), (100, 3));
        alive[..7].iter().for_each(|key| cache.insert(*key, 0));
        alive[..5].iter().for_each(|key| cache.invalidate(key));
        let short = || InsertOptions::default().ttl(SECOND);
        (200..204).for_each(|key| cache.insert_with(key, key, short()));
        clock.advance(2 * SECOND);
        (200..204).for_each(|key| assert_eq!(cache.get(&key), None));
        cache.shrink_to(0.5);
        let stats = cache.stats();
        assert_eq!((stats.inserts, stats.refused), (114, 0));
        assert_eq!((stats.replaced, stats.invalidated, stats.expired), (7, 5, 4));
        assert_eq!((stats.evicted, stats.shrunk, stats.entries, stats.weight), (3, 45, 50, 50));
        assert!(stats.ghosts > 0);
    }
}

#[test]
fn refused_values_are_no_insertions() {
    let builder = Cache::builder().capacity(80).weigher(|_, value| u64::from(*value));
    let cache: Cache<u32, u32> = builder.build().unwrap();
    cache.insert(1, 5);
    cache.insert(1, 50);
    cache.insert(2, 50);
    let stats = cache.stats();
    assert_eq!((stats.inserts, stats.refused, stats.replaced, stats.entries), (1, 2, 1, 0));
}

#[test]
fn they_survive_being_written_and_read() {
    let cache = counted(10);
    (0..20).for_each(|key| cache.insert(key, key));
    cache.get(&5);
    let stats = cache.stats();
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<CacheStats>(&text).unwrap(), stats);
    let some: CacheStats = serde_json::from_str(r#"{"hits":3}"#).unwrap();
    assert_eq!(some.hits, 3);
}
