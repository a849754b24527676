//! Calls that are cancelled.

use std::thread;

use gristmill::cache::{Cache, LoadError, LoadOptions};
use gristmill::cancel::CancelToken;

use crate::harness::*;

/// A call of `get_or_load` with a token, on a thread of its own, which has missed.
fn ask_with(
    cache: &Cache<u32, u32>,
    token: &CancelToken,
    value: u32,
) -> thread::JoinHandle<LoadResult> {
    let misses = cache.stats().misses;
    let (asking, token) = (cache.clone(), token.clone());
    let ask =
        move || asking.get_or_load(&1, LoadOptions::within(LONG).cancel(&token), || Ok(value));
    let thread = thread::spawn(ask);
    eventually("the caller missed", || cache.stats().misses > misses);
    thread
}

#[test]
fn a_cancelled_call_does_not_load() {
    let (cache, token) = (counted(10), CancelToken::new());
    let ask = || {
        let options = LoadOptions::within(LONG).cancel(&token);
        cache.get_or_load(&1, options, || Ok::<_, ()>(1))
    };
    token.cancel();
    assert_eq!((ask(), cache.stats().loads), (Err(LoadError::Cancelled), 0));
    cache.insert(1, 2);
    assert_eq!(ask(), Ok(2), "what is there is given");
}

#[test]
fn a_waiter_is_woken_and_others_go_on() {
    watched(|| {
        let (cache, run) = (counted(10), CancelToken::new());
        let load = HeldLoad::begin(&cache, 1, LONG);
        let task = run.child();
        let cancelled: Vec<_> = (0..4).map(|_| ask_with(&cache, &task, 7)).collect();
        let patient = ask_with(&cache, &CancelToken::new(), 8);
        run.cancel();
        for waiter in cancelled {
            assert_eq!(join(waiter), Err(LoadError::Cancelled));
        }
        assert_eq!((load.bring(1), join(patient)), (Ok(1), Ok(1)));
        assert_eq!((cache.get(&1), cache.stats().loads), (Some(1), 1));
    });
}

#[test]
fn a_load_under_way_is_not_interrupted() {
    let (cache, token) = (counted(10), CancelToken::new());
    let options = LoadOptions::within(LONG).cancel(&token);
    let loaded = cache.get_or_load(&1, options, || {
        token.cancel();
        Ok::<_, ()>(1)
    });
    assert_eq!((loaded, cache.get(&1)), (Ok(1), Some(1)));
}

#[test]
fn a_cancelled_waiter_does_not_take_over() {
    watched(|| {
        let (cache, token) = (counted(10), CancelToken::new());
        let load = HeldLoad::begin(&cache, 1, LONG);
        let waiter = ask_with(&cache, &token, 7);
        token.cancel();
        load.end(End::Error("no")).unwrap().unwrap_err();
        assert_eq!((join(waiter), cache.stats().loads), (Err(LoadError::Cancelled), 0));
    });
}
