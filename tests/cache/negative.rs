//! Known absences.

use gristmill::cache::{Cache, InsertOptions, Loaded, Lookup};

use crate::harness::*;

fn absent(cache: &Cache<u32, u32>, key: u32) {
    cache.insert_absent(key, InsertOptions::default());
}

#[test]
fn it_is_an_entry_and_no_value() {
    let cache = counted(100);
    cache.insert(1, 1);
    absent(&cache, 1);
    assert_eq!((cache.lookup(&1), cache.get(&1), cache.len()), (Lookup::Absent, None, 1));
    cache.insert(1, 2);
    assert_eq!((cache.lookup(&1), cache.len()), (Lookup::Fresh(2), 1));
    absent(&cache, 1);
    cache.invalidate(&1);
    assert_eq!((cache.lookup(&1), cache.weight()), (Lookup::Missing, 0));
}

#[test]
fn it_lives_for_its_own_time() {
    let (clock, builder) = timed();
    let cache = builder.ttl(10 * SECOND).negative_ttl(2 * SECOND).build().unwrap();
    cache.insert(1, 1);
    absent(&cache, 2);
    cache.insert_absent(3, InsertOptions::default().ttl(4 * SECOND));
    clock.advance(2 * SECOND);
    assert_eq!((cache.lookup(&2), cache.lookup(&3)), (Lookup::Missing, Lookup::Absent));
    clock.advance(2 * SECOND);
    assert_eq!((cache.lookup(&3), cache.lookup(&1)), (Lookup::Missing, Lookup::Fresh(1)));
}

#[test]
fn without_a_time_of_its_own_it_lives_as_long_as_values() {
    let (clock, builder) = timed();
    let cache = builder.ttl(10 * SECOND).build().unwrap();
    absent(&cache, 1);
    clock.advance(9 * SECOND);
    assert_eq!(cache.lookup(&1), Lookup::Absent);
    clock.advance(SECOND);
    assert_eq!(cache.lookup(&1), Lookup::Missing);
}

#[test]
fn it_is_never_stale() {
    let (clock, builder) = timed();
    let builder = builder.ttl(10 * SECOND).stale_while_revalidate(10 * SECOND);
    let cache = builder.build().unwrap();
    absent(&cache, 1);
    clock.advance(9 * SECOND);
    assert_eq!(cache.lookup(&1), Lookup::Absent);
    clock.advance(SECOND);
    assert_eq!(cache.lookup(&1), Lookup::Missing);
}

#[test]
fn it_weighs_what_was_set() {
    let weigher = |_: &u32, _: &u32| 8;
    let cache = Cache::builder().capacity(100).weigher(weigher).negative_weight(3);
    let cache = cache.build().unwrap();
    absent(&cache, 1);
    cache.insert(2, 2);
    assert_eq!(cache.weight(), 11);
    absent(&cache, 2);
    assert_eq!(cache.weight(), 6);
}

#[test]
fn loaders_that_may_find_none_are_asked_once() {
    let (clock, builder) = timed();
    let cache = builder.negative_ttl(2 * SECOND).build().unwrap();
    let ask = |answer: Loaded<u32>| cache.get_or_load_with(&1, LONG, || Ok::<_, ()>(answer));
    assert_eq!(ask(Loaded::absent()), Ok(None));
    assert_eq!((ask(Loaded::value(1)), cache.stats().negative_hits), (Ok(None), 1));
    clock.advance(2 * SECOND);
    assert_eq!(ask(Some(2).into()), Ok(Some(2)));
    clock.advance(100 * SECOND);
    assert_eq!(ask(Loaded::absent()), Ok(Some(2)));
    assert_eq!(cache.stats().loads, 2);
}

#[test]
fn a_loader_tells_how_to_keep_what_it_brings() {
    let (clock, builder) = timed();
    let cache = builder.negative_ttl(2 * SECOND).build().unwrap();
    let options = || InsertOptions::default().ttl(5 * SECOND).tag("host");
    for answer in [Loaded::value(1), Loaded::absent()] {
        let ask =
            || cache.get_or_load_with(&1, LONG, || Ok::<_, ()>(answer.clone().with(options())));
        ask().unwrap();
        cache.invalidate_tag("host");
        assert_eq!(cache.lookup(&1), Lookup::Missing);
        ask().unwrap();
        clock.advance(4 * SECOND);
        assert_ne!(cache.lookup(&1), Lookup::Missing);
        clock.advance(SECOND);
        assert_eq!(cache.lookup(&1), Lookup::Missing);
    }
}

#[test]
fn plain_loaders_are_asked_again() {
    let cache = counted(100);
    absent(&cache, 1);
    assert_eq!(cache.get_or_load(&1, LONG, || Ok::<_, ()>(1)), Ok(1));
    assert_eq!(cache.lookup(&1), Lookup::Fresh(1));
}

#[test]
fn a_waiter_that_needs_a_value_does_not_accept_an_absence() {
    watched(|| {
        let cache = counted(100);
        let mut waiter = None;
        let none = cache.get_or_load_with(&1, LONG, || {
            waiter = Some(ask(&cache, 1, LONG, 2));
            Ok::<_, ()>(Loaded::absent())
        });
        assert_eq!((none, join(waiter.unwrap())), (Ok(None), Ok(2)));
        assert_eq!(cache.get(&1), Some(2));
    });
}
