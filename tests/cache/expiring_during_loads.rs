//! Entries that expire while a load is under way.

use crate::harness::*;

#[test]
fn the_time_to_live_counts_from_when_the_value_was_put() {
    let (clock, builder) = timed();
    let cache = builder.ttl(10 * SECOND).build().unwrap();
    let load = || {
        clock.advance(8 * SECOND);
        Ok::<_, ()>(1)
    };
    assert_eq!(cache.get_or_load(&1, LONG, load), Ok(1));
    clock.advance(9 * SECOND);
    assert_eq!(cache.get(&1), Some(1));
    clock.advance(SECOND);
    assert_eq!(cache.get(&1), None);
}

#[test]
fn a_stale_value_that_expires_while_it_is_loaded_anew_is_waited_for() {
    watched(|| {
        let (clock, builder) = timed();
        let builder = builder.ttl(10 * SECOND).stale_while_revalidate(5 * SECOND);
        let cache = builder.build().unwrap();
        cache.insert(1, 1);
        clock.advance(12 * SECOND);
        let load = HeldLoad::begin(&cache, 1, LONG);
        assert_eq!(cache.get_or_load(&1, LONG, || Ok::<_, ()>(9)), Ok(1));
        clock.advance(3 * SECOND);
        let waiter = ask(&cache, 1, LONG, 9);
        assert_eq!((load.bring(2), join(waiter)), (Ok(2), Ok(2)));
        clock.advance(9 * SECOND);
        assert_eq!(cache.get(&1), Some(2));
        clock.advance(SECOND);
        assert_eq!(cache.get(&1), None);
    });
}

#[test]
fn an_entry_that_expires_and_is_swept_during_its_load_makes_room_for_it() {
    watched(|| {
        let (clock, builder) = timed();
        let cache = builder.ttl(10 * SECOND).build().unwrap();
        cache.insert(1, 1);
        clock.advance(10 * SECOND);
        let load = HeldLoad::begin(&cache, 1, LONG);
        clock.advance(SECOND);
        cache.sweep(10);
        assert_eq!((load.bring(2), cache.get(&1), cache.len()), (Ok(2), Some(2), 1));
        assert_eq!(cache.stats().expired, 1);
    });
}

#[test]
fn a_load_loses_against_a_later_value_even_if_that_has_expired() {
    watched(|| {
        let (clock, builder) = timed();
        let cache = builder.ttl(10 * SECOND).build().unwrap();
        let load = HeldLoad::begin(&cache, 1, LONG);
        cache.insert(1, 2);
        clock.advance(10 * SECOND);
        assert_eq!((load.bring(1), cache.get(&1)), (Ok(1), None));
    });
}
