//! A failure or panic of a load reaches only its caller; one of the waiters loads in its place.

use gristmill::cache::LoadError;

use crate::harness::*;

#[test]
fn a_panic_reaches_its_caller_and_one_waiter_takes_over() {
    watched(|| {
        let cache = counted(10);
        let load = HeldLoad::begin(&cache, 1, LONG);
        let waiters: Vec<_> = (0..20).map(|value| ask(&cache, 1, LONG, 100 + value)).collect();
        let payload = load.end(End::Panic).expect_err("the loader panicked");
        assert_eq!(payload.downcast_ref(), Some(&"the loader's own"));
        let got: Vec<_> = waiters.into_iter().map(|waiter| join(waiter).unwrap()).collect();
        assert!((100..120).contains(&got[0]) && got.iter().all(|value| *value == got[0]));
        let stats = cache.stats();
        assert_eq!((stats.load_failures, stats.loads), (1, 1));
        assert_eq!(cache.get(&1), Some(got[0]));
    });
}

#[test]
fn an_error_reaches_its_caller_and_one_waiter_takes_over() {
    watched(|| {
        let cache = counted(10);
        let load = HeldLoad::begin(&cache, 1, LONG);
        let waiter = ask(&cache, 1, LONG, 2);
        let error = load.end(End::Error("no")).unwrap();
        assert_eq!(error, Err(LoadError::Loader("no")));
        assert_eq!(join(waiter), Ok(2));
        assert_eq!((cache.stats().load_failures, cache.stats().loads), (1, 1));
    });
}

#[test]
fn after_failures_the_next_caller_loads() {
    let cache = counted(10);
    for failures in 1..4 {
        let failed: LoadResult = cache.get_or_load(&1, LONG, || Err("no"));
        assert_eq!(failed, Err(LoadError::Loader("no")));
        assert_eq!((cache.stats().load_failures, cache.len()), (failures, 0));
    }
    assert_eq!(cache.get_or_load(&1, LONG, || Ok::<_, ()>(1)), Ok(1));
}
