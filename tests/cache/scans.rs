//! Traffic that many policies handle badly. The bounds are well below what is reached.

use gristmill::cache::Cache;

use crate::harness::*;

/// Reads a key, and puts it if it is not there; whether it was.
fn touch(cache: &Cache<u32, u32>, key: u32) -> bool {
    let hit = cache.get(&key).is_some();
    if !hit {
        cache.insert(key, key);
    }
    hit
}

fn hits(cache: &Cache<u32, u32>, keys: impl IntoIterator<Item = u32>) -> usize {
    keys.into_iter().filter(|key| touch(cache, *key)).count()
}

#[test]
fn a_scan_does_not_wash_out_what_is_read() {
    let cache = counted(1000);
    for _ in 0..3 {
        hits(&cache, 0..500);
    }
    assert_eq!(hits(&cache, 10_000..30_000), 0);
    let kept = hits(&cache, 0..500);
    assert!(kept >= 475, "{kept} of 500");
}

#[test]
fn what_is_read_between_scans_stays() {
    let cache = counted(1000);
    hits(&cache, 0..1000);
    let mut kept = 0;
    for round in 0..20 {
        let scan = 10_000 * (round + 1);
        hits(&cache, scan..scan + 2000);
        kept += hits(&cache, 0..500);
    }
    assert!(kept >= 20 * 450, "{kept} of 10,000");
}

#[test]
fn a_loop_a_fifth_larger_than_the_cache_mostly_hits() {
    for capacity in [100, 1000, 10_000] {
        let cache = sharded(Cache::builder().capacity(u64::from(capacity)), false);
        let cache = cache.build().unwrap();
        let size = capacity + capacity / 5;
        hits(&cache, 0..size);
        let rounds = 10;
        let found: usize = (0..rounds).map(|_| hits(&cache, 0..size)).sum();
        let asked = rounds * size as usize;
        assert!(found * 10 > asked * 7, "{found} of {asked}");
    }
}

#[test]
fn a_new_set_of_keys_takes_over_from_an_old_one() {
    let cache = counted(1000);
    for first in [0, 5000] {
        (0..20).for_each(|_| assert!(hits(&cache, first..first + 800) <= 800));
    }
    let found = hits(&cache, 5000..5800);
    assert!(found >= 720, "{found} of 800");
}

#[test]
fn the_small_queue_grows_for_those_who_come_back_soon() {
    let cache = counted(1000);
    hits(&cache, 0..1000);
    // Each key comes twice, further apart than the small queue is long at first.
    let twice = (1000..3000).filter(|key| {
        touch(&cache, *key);
        touch(&cache, key - 10)
    });
    let found = twice.count();
    assert!(found >= 1800, "{found} of 2,000 came back to an entry");
}

#[test]
fn what_is_read_only_at_once_after_it_was_put_is_not_worth_keeping() {
    // Sixteen in the small queue, and reads within a quarter of that are one with the insertion.
    let builder = Cache::builder().capacity(1 << 16).weigher(|_, _| 4);
    let cache = builder.build().unwrap();
    hits(&cache, 0..1 << 14);
    for key in 100_000..110_000 {
        assert!(!touch(&cache, key) && touch(&cache, key));
    }
    let kept = (0..1 << 14).filter(|key| cache.get(key).is_some()).count();
    assert!(kept > 16_000, "{kept} of 16,384 outlived readers of new entries");
}
