//! No caller waits longer than its timeout, and an overdue load does not hold its key.

use std::time::Duration;

use gristmill::cache::LoadError;

use crate::harness::*;

#[test]
fn a_waiter_gives_up_at_its_own_deadline() {
    watched(|| {
        let cache = counted(10);
        let load = HeldLoad::begin(&cache, 1, LONG);
        let patient = ask(&cache, 1, LONG, 3);
        for timeout in [Duration::ZERO, SHORT] {
            let waited: LoadResult = cache.get_or_load(&1, timeout, || Ok(2));
            assert_eq!(waited, Err(LoadError::Timeout { timeout }));
        }
        assert_eq!(load.bring(1), Ok(1));
        assert_eq!((join(patient), cache.get(&1), cache.stats().loads), (Ok(1), Some(1), 1));
    });
}

#[test]
fn a_waiter_loads_in_place_of_an_overdue_load() {
    watched(|| {
        let cache = counted(10);
        let overdue = HeldLoad::begin(&cache, 1, SHORT);
        // Waits for the first load's time to pass, no longer.
        assert_eq!(cache.get_or_load(&1, LONG, || Ok::<_, ()>(2)), Ok(2));
        assert_eq!(overdue.bring(1), Ok(1), "its own caller gets its value");
        assert_eq!((cache.get(&1), cache.stats().loads), (Some(2), 2));
    });
}

#[test]
fn what_an_overdue_load_brings_is_not_stored_beside_a_load_in_its_place() {
    watched(|| {
        let cache = counted(10);
        let overdue = HeldLoad::begin(&cache, 1, Duration::ZERO);
        let second = HeldLoad::begin(&cache, 1, LONG);
        assert_eq!((overdue.bring(1), cache.get(&1)), (Ok(1), None));
        // The second one still holds the key.
        let waiter = ask(&cache, 1, LONG, 3);
        assert_eq!((second.bring(2), join(waiter), cache.get(&1)), (Ok(2), Ok(2), Some(2)));
    });
}

#[test]
fn a_failing_overdue_load_leaves_the_load_in_its_place_alone() {
    watched(|| {
        let cache = counted(10);
        let overdue = HeldLoad::begin(&cache, 1, Duration::ZERO);
        let second = HeldLoad::begin(&cache, 1, LONG);
        assert_eq!(overdue.end(End::Error("late")).unwrap(), Err(LoadError::Loader("late")));
        let waiter = ask(&cache, 1, LONG, 3);
        assert_eq!((second.bring(2), join(waiter), cache.get(&1)), (Ok(2), Ok(2), Some(2)));
    });
}

#[test]
fn a_timeout_beyond_all_clocks_is_no_error() {
    let cache = counted(10);
    assert_eq!(cache.get_or_load(&1, Duration::MAX, || Ok::<_, ()>(1)), Ok(1));
}
