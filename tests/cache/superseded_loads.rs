//! A load does not replace a value, or undo an invalidation, from after its start.

use gristmill::cache::{Cache, InsertOptions, Loaded};

use crate::harness::*;

/// Runs a load of key 1 that returns 1 after `change`, and checks what is there then. A caller that
/// has waited since before the change gets the load's value; one that asks after it gets what the
/// cache has, or loads 3.
fn meanwhile(change: impl FnOnce(&Cache<u32, u32>) + Send + 'static, expected: Option<u32>) {
    watched(move || {
        let cache = counted(100);
        let load = HeldLoad::begin(&cache, 1, LONG);
        let before = ask(&cache, 1, LONG, 2);
        change(&cache);
        let after = cache.get_or_load(&1, LONG, || Ok::<_, ()>(3)).unwrap();
        // A caller that missed before the change may start to wait only after it, and then loads.
        assert!(expected.map_or(after == 3 || after == 2, |value| after == value), "{after}");
        assert_eq!(load.bring(1), Ok(1));
        let waited = join(before).unwrap();
        assert!(waited == 1 || waited == after, "{waited}");
        assert_eq!(cache.get(&1), Some(after));
    });
}

#[test]
fn by_an_insertion() {
    meanwhile(|cache| cache.insert(1, 7), Some(7));
}

#[test]
fn by_an_invalidation() {
    meanwhile(|cache| cache.invalidate(&1), None);
}

#[test]
fn by_clearing() {
    meanwhile(Cache::clear, None);
}

#[test]
fn by_the_invalidation_of_any_tag() {
    meanwhile(|cache| cache.invalidate_tag("any"), None);
}

#[test]
fn by_a_known_absence() {
    meanwhile(|cache| cache.insert_absent(1, InsertOptions::default()), None);
}

#[test]
fn by_a_conditional_insertion() {
    let change = |cache: &Cache<u32, u32>| assert!(cache.insert_if(1, 7, cache.generation(&1)));
    meanwhile(change, Some(7));
}

#[test]
fn what_a_superseded_load_brings_is_stored_nowhere() {
    watched(|| {
        let changes: [fn(&Cache<u32, u32>); 2] = [Cache::clear, |cache| cache.invalidate(&1)];
        for change in changes {
            let cache = counted(100);
            let load = HeldLoad::begin(&cache, 1, LONG);
            let other = HeldLoad::begin(&cache, 2, LONG);
            change(&cache);
            assert_eq!((load.bring(1), cache.get(&1)), (Ok(1), None));
            assert_eq!(other.bring(2), Ok(2));
            assert_eq!(cache.stats().inserts, cache.len() as u64);
        }
    });
}

#[test]
fn a_refused_value_supersedes_too_and_a_failed_condition_does_not() {
    watched(|| {
        let cache: Cache<u32, u32> =
            Cache::builder().capacity(80).weigher(|_, v| u64::from(*v)).build().unwrap();
        let load = HeldLoad::begin(&cache, 1, LONG);
        cache.insert(1, 11);
        assert_eq!((load.bring(1), cache.get(&1)), (Ok(1), None));
        let generation = cache.generation(&1);
        cache.invalidate(&1);
        let load = HeldLoad::begin(&cache, 1, LONG);
        assert!(!cache.insert_if(1, 2, generation));
        assert_eq!((load.bring(3), cache.get(&1)), (Ok(3), Some(3)));
    });
}

#[test]
fn a_load_that_is_refused_for_its_weight_is_handed_to_all_who_wait() {
    watched(|| {
        let cache: Cache<u32, u32> =
            Cache::builder().capacity(80).weigher(|_, v| u64::from(*v)).build().unwrap();
        let load = HeldLoad::begin(&cache, 1, LONG);
        let waiter = ask(&cache, 1, LONG, 1);
        assert_eq!(load.bring(50), Ok(50));
        assert!([Ok(50), Ok(1)].contains(&join(waiter)));
        let loaded = cache.get_or_load_with(&2, LONG, || Ok::<_, ()>(Loaded::value(60)));
        assert_eq!((loaded, cache.get(&2)), (Ok(Some(60)), None));
    });
}
