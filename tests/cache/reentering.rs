//! Loaders that ask the cache: an error or a timeout where they wait for themselves, never a
//! deadlock.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use gristmill::cache::LoadError;

use crate::harness::*;

#[test]
fn a_loader_that_asks_for_its_own_key_gets_an_error() {
    watched(|| {
        let cache = counted(10);
        let outer: LoadResult = cache.get_or_load(&1, LONG, || {
            let inner: LoadResult = cache.get_or_load(&1, LONG, || Ok(1));
            assert_eq!(inner, Err(LoadError::Reentrant));
            // The load keeps its place, so a second call fails the same way.
            let again: LoadResult = cache.get_or_load(&1, Duration::ZERO, || Ok(1));
            assert_eq!(again, Err(LoadError::Reentrant));
            assert_eq!(cache.get(&1), None);
            Ok(2)
        });
        assert_eq!((outer, cache.get(&1)), (Ok(2), Some(2)));
    });
}

#[test]
fn an_overdue_loader_that_asks_for_its_own_key_gets_an_error() {
    let cache = counted(10);
    let outer: LoadResult = cache.get_or_load(&1, Duration::ZERO, || {
        let inner: LoadResult = cache.get_or_load(&1, LONG, || Ok(1));
        assert_eq!(inner, Err(LoadError::Reentrant));
        Ok(2)
    });
    assert_eq!(outer, Ok(2));
}

#[test]
fn loaders_may_load_other_keys() {
    let cache = counted(10);
    let value = cache.get_or_load(&1, LONG, || {
        let two = cache.get_or_load(&2, LONG, || cache.get_or_load(&3, LONG, || Ok::<_, ()>(3)));
        two.map(|two| two + 1)
    });
    assert_eq!(value, Ok(4));
    assert_eq!((cache.get(&1), cache.get(&2), cache.get(&3)), (Some(4), Some(3), Some(3)));
}

#[test]
fn keys_loaded_crosswise_end_at_the_timeout() {
    watched(|| {
        let (cache, both) = (counted(10), Arc::new(Barrier::new(2)));
        let cross = |own: u32, other: u32| {
            let (cache, both) = (cache.clone(), Arc::clone(&both));
            thread::spawn(move || {
                let mut inner = None;
                let outer: LoadResult = cache.get_or_load(&own, LONG, || {
                    both.wait();
                    inner = Some(cache.get_or_load(&other, SHORT, || Ok::<_, ()>(9)));
                    Ok(own)
                });
                (outer, inner.unwrap())
            })
        };
        let (first, second) = (cross(1, 2), cross(2, 1));
        let ((first, second_seen), (second, first_seen)) = (join(first), join(second));
        assert_eq!((first, second), (Ok(1), Ok(2)));
        // The first to time out ends its load, and the other may still get its value.
        let timeout = Err(LoadError::Timeout { timeout: SHORT });
        assert!(second_seen == timeout || first_seen == timeout);
        assert!(second_seen == timeout || second_seen == Ok(2));
        assert!(first_seen == timeout || first_seen == Ok(1));
    });
}
