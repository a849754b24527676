//! The window in which a value past its time to live still serves while it is reloaded.

use std::sync::Arc;
use std::time::Duration;

use gristmill::cache::{Cache, InsertOptions, LoadError, LoadOptions, Lookup};
use gristmill::cancel::CancelToken;
use gristmill::time::ManualClock;

use crate::harness::*;

/// A cache whose key 1 became stale just now, for five seconds.
fn with_a_stale_value() -> (Arc<ManualClock>, Cache<u32, u32>) {
    let (clock, builder) = timed();
    let builder = builder.ttl(10 * SECOND).stale_while_revalidate(5 * SECOND);
    let cache = builder.build().unwrap();
    cache.insert(1, 1);
    clock.advance(10 * SECOND);
    (clock, cache)
}

#[test]
fn one_loads_and_the_others_get_it_at_once() {
    watched(|| {
        let (_, cache) = with_a_stale_value();
        let load = HeldLoad::begin(&cache, 1, LONG);
        for _ in 0..3 {
            assert_eq!(cache.get_or_load(&1, LONG, || Ok::<_, ()>(9)), Ok(1));
        }
        assert_eq!((cache.stats().stale_hits, cache.lookup(&1)), (3, Lookup::Stale(1)));
        assert_eq!((load.bring(2), cache.get(&1)), (Ok(2), Some(2)));
        assert_eq!(cache.stats().loads, 1);
    });
}

#[test]
fn a_plain_get_misses() {
    let (_, cache) = with_a_stale_value();
    assert_eq!((cache.get(&1), cache.lookup(&1)), (None, Lookup::Stale(1)));
    assert_eq!((cache.stats().hits, cache.stats().misses), (0, 2));
}

#[test]
fn a_failed_load_gives_it() {
    watched(|| {
        let (_, cache) = with_a_stale_value();
        let load = HeldLoad::begin(&cache, 1, LONG);
        assert_eq!(load.end(End::Error("no")).unwrap(), Ok(1));
        let load = HeldLoad::begin(&cache, 1, LONG);
        assert!(load.end(End::Panic).is_err(), "a panic is not hidden");
        let stats = cache.stats();
        assert_eq!((stats.stale_hits, stats.load_failures, stats.loads), (1, 2, 0));
        assert_eq!(cache.lookup(&1), Lookup::Stale(1));
    });
}

#[test]
fn a_cancelled_call_and_a_loader_that_asks_for_its_own_key_get_it() {
    let (_, cache) = with_a_stale_value();
    let token = CancelToken::new();
    token.cancel();
    let options = || LoadOptions::within(LONG).cancel(&token);
    assert_eq!(cache.get_or_load(&1, options(), || Ok::<_, ()>(2)), Ok(1));
    let outer = cache.get_or_load(&1, LONG, || {
        let inner: LoadResult = cache.get_or_load(&1, LONG, || Ok(7));
        Ok::<_, ()>(inner.unwrap() + 1)
    });
    assert_eq!((outer, cache.get(&1)), (Ok(2), Some(2)));
}

#[test]
fn after_the_window_there_is_nothing() {
    let (clock, cache) = with_a_stale_value();
    clock.advance(Duration::from_millis(4999));
    assert_eq!(cache.lookup(&1), Lookup::Stale(1));
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.lookup(&1), Lookup::Missing);
    let failed: LoadResult = cache.get_or_load(&1, LONG, || Err("no"));
    assert_eq!(failed, Err(LoadError::Loader("no")));
}

#[test]
fn it_follows_an_entrys_own_time_to_live() {
    let (clock, cache) = with_a_stale_value();
    cache.insert_with(2, 2, InsertOptions::default().ttl(SECOND));
    assert_eq!(cache.get(&2), Some(2));
    clock.advance(SECOND);
    assert_eq!(cache.lookup(&2), Lookup::Stale(2));
    clock.advance(5 * SECOND);
    assert_eq!(cache.lookup(&2), Lookup::Missing);
}

#[test]
fn every_read_is_counted_once() {
    let (clock, cache) = with_a_stale_value();
    let reads = || {
        let stats = cache.stats();
        (stats.hits, stats.stale_hits, stats.misses)
    };
    assert_eq!(reads(), (0, 0, 0));
    let failed: LoadResult = cache.get_or_load(&1, LONG, || Err("no"));
    assert_eq!((failed, reads()), (Ok(1), (0, 1, 0)));
    // A successful reload within the window counts as a miss.
    assert_eq!(cache.get_or_load(&1, LONG, || Ok::<_, ()>(2)), Ok(2));
    assert_eq!(reads(), (0, 1, 1));
    clock.advance(10 * SECOND);
    let token = CancelToken::new();
    token.cancel();
    let options = LoadOptions::within(LONG).cancel(&token);
    assert_eq!(cache.get_or_load(&1, options, || Ok::<_, ()>(3)), Ok(2));
    assert_eq!(reads(), (0, 2, 1));
}
