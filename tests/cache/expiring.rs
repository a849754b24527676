//! No expired value is returned, and expired entries go before live ones.

use std::time::Duration;

use gristmill::cache::{Cache, InsertOptions};

use crate::harness::*;

const TICK: Duration = Duration::from_millis(256);
const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn an_entry_may_live_for_a_time_of_its_own() {
    let (clock, builder) = timed();
    let cache = builder.ttl(10 * SECOND).build().unwrap();
    cache.insert(1, 1);
    cache.insert_with(2, 2, InsertOptions::default().ttl(SECOND));
    cache.insert_with(3, 3, InsertOptions::default().ttl(100 * SECOND));
    cache.insert_with(4, 4, InsertOptions::default().ttl(Duration::ZERO));
    cache.insert_with(5, 5, InsertOptions::default().ttl(Duration::MAX));
    let found = || (1..6).filter(|key| cache.get(key).is_some()).collect::<Vec<_>>();
    assert_eq!(found(), [1, 2, 3, 5]);
    clock.advance(SECOND);
    assert_eq!(found(), [1, 3, 5]);
    clock.advance(9 * SECOND);
    assert_eq!(found(), [3, 5]);
    clock.advance(90 * SECOND);
    assert_eq!(found(), [5]);
}

#[test]
fn only_some_entries_need_to_expire() {
    let (clock, builder) = timed();
    let cache = builder.build().unwrap();
    cache.insert(1, 1);
    clock.advance(1000 * SECOND);
    cache.insert_with(2, 2, InsertOptions::default().ttl(SECOND));
    clock.advance(SECOND.saturating_sub(MILLISECOND));
    assert_eq!((cache.get(&1), cache.get(&2)), (Some(1), Some(2)));
    clock.advance(MILLISECOND);
    assert_eq!((cache.get(&1), cache.get(&2)), (Some(1), None));
}

#[test]
fn idle_entries_go_and_reads_keep_them() {
    let (clock, builder) = timed();
    let cache = builder.idle(4 * SECOND).build().unwrap();
    (0..3).for_each(|key| cache.insert(key, key));
    clock.advance(3 * SECOND);
    // `get_or_load` reads too.
    assert_eq!(cache.get(&0), Some(0));
    assert_eq!(cache.get_or_load(&1, LONG, || Ok::<_, ()>(9)), Ok(1));
    clock.advance(3 * SECOND);
    assert_eq!((cache.get(&0), cache.get(&1), cache.get(&2)), (Some(0), Some(1), None));
    cache.insert(1, 2);
    clock.advance(4 * SECOND);
    assert_eq!((cache.get(&0), cache.get(&1)), (None, None));
}

#[test]
fn what_is_read_again_and_again_is_not_swept_as_idle() {
    let (clock, builder) = timed();
    let cache = builder.idle(10 * SECOND).build().unwrap();
    (0..20).for_each(|key| cache.insert(key, key));
    for _ in 0..20 {
        clock.advance(5 * SECOND);
        cache.get(&7);
        cache.sweep(100);
    }
    assert_eq!((cache.len(), cache.get(&7), cache.stats().expired), (1, Some(7), 19));
}

#[test]
fn jitter_spreads_what_was_put_together() {
    let (clock, builder) = timed();
    let cache = builder.capacity(2000).ttl(100 * SECOND).jitter(0.2).build().unwrap();
    (0..2000).for_each(|key| cache.insert(key, key));
    clock.advance((80 * SECOND).saturating_sub(MILLISECOND));
    let alive = || (0..2000).filter(|key| cache.get(key).is_some()).count();
    assert_eq!(alive(), 2000, "none goes before the earliest time");
    let mut before = 2000;
    for _ in 0..10 {
        clock.advance(2 * SECOND);
        let now = alive();
        assert!((100..300).contains(&(before - now)), "{} at once", before - now);
        before = now;
    }
    clock.advance(MILLISECOND);
    assert_eq!(alive(), 0, "none outlives the time to live");
}

#[test]
fn jitter_differs_from_one_insertion_to_the_next() {
    let (clock, builder) = timed();
    let cache = builder.capacity(2000).ttl(100 * SECOND).jitter(1.0).build().unwrap();
    let mut rounds = [[false; 100]; 2];
    for round in &mut rounds {
        (0..100).for_each(|key| cache.insert(key, key));
        clock.advance(50 * SECOND);
        for (key, alive) in (0..).zip(round) {
            *alive = cache.get(&key).is_some();
        }
        clock.advance(50 * SECOND);
        assert!((0..100).all(|key| cache.get(&key).is_none()));
    }
    assert_ne!(rounds[0], rounds[1]);
}

#[test]
fn a_sweep_takes_out_what_has_expired_as_many_as_asked_for() {
    for many in [false, true] {
        let (clock, builder) = timed();
        let cache = sharded(builder.capacity(10_000), many).build().unwrap();
        let short = || InsertOptions::default().ttl(SECOND);
        (0..20).for_each(|key| cache.insert_with(key, key, short()));
        (20..40).for_each(|key| cache.insert(key, key));
        assert_eq!(cache.sweep(100), 0);
        clock.advance(SECOND + TICK);
        assert_eq!((cache.sweep(0), cache.sweep(5), cache.len()), (0, 5, 35));
        assert_eq!((cache.sweep(100), cache.len(), cache.weight()), (15, 20, 20));
        assert_eq!((cache.sweep(100), cache.stats().expired), (0, 20));
        assert!((20..40).all(|key| cache.get(&key).is_some()));
    }
}

#[test]
fn sweeps_come_to_an_end_however_much_has_expired() {
    let (clock, builder) = timed();
    let cache = builder.capacity(20_000).ttl(3600 * SECOND).build().unwrap();
    (0..20_000).for_each(|key| cache.insert(key, key));
    clock.advance(3600 * SECOND + TICK);
    // A sweep also moves entries in the wheel, so it may remove none.
    let mut sweeps = 0;
    while !cache.is_empty() {
        cache.sweep(1000);
        sweeps += 1;
        assert!(sweeps < 20_000, "it makes no progress");
    }
    assert_eq!((cache.weight(), cache.stats().expired), (0, 20_000));
}

#[test]
fn the_expired_go_before_the_live() {
    let (clock, builder) = timed();
    let cache = builder.capacity(100).build().unwrap();
    let short = || InsertOptions::default().ttl(SECOND);
    for key in 0..100 {
        let options = if key % 5 == 0 { short() } else { InsertOptions::default() };
        cache.insert_with(key, key, options);
    }
    clock.advance(SECOND + TICK);
    (100..120).for_each(|key| cache.insert(key, key));
    assert_eq!((cache.len(), cache.stats().evicted, cache.stats().expired), (100, 0, 20));
    assert!((0..100).filter(|key| key % 5 != 0).all(|key| cache.get(&key).is_some()));
}

#[test]
fn a_heavy_entry_takes_the_room_of_many_expired_ones() {
    let (clock, builder) = timed();
    let cache = builder.capacity(800).weigher(|_, value| u64::from(*value)).build().unwrap();
    let short = || InsertOptions::default().ttl(SECOND);
    (0..100).for_each(|key| cache.insert_with(key, 1, short()));
    (100..170).for_each(|key| cache.insert(key, 10));
    clock.advance(SECOND + TICK);
    cache.insert(1000, 100);
    assert_eq!((cache.stats().evicted, cache.stats().expired), (0, 100));
    assert_eq!(cache.weight(), 800);
}

#[test]
fn entries_that_live_for_decades_do_expire() {
    let (clock, builder) = timed();
    let cache: Cache<u32, u32> = builder.build().unwrap();
    let year = 365 * 86_400 * SECOND;
    for key in 0..10 {
        cache.insert_with(key, key, InsertOptions::default().ttl((1 + key) * 3 * year));
    }
    for gone in 1..=10 {
        clock.advance(3 * year + TICK);
        for _ in 0..10 {
            cache.sweep(10);
        }
        assert_eq!(cache.len(), 10 - gone);
    }
}
