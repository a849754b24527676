use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use parking_lot::Mutex;

use super::inner::SWEEP_PER_WRITE;
use super::*;
use crate::time::{ManualClock, Timestamp};

const LONG: Duration = Duration::from_mins(1);

fn counted(capacity: u64) -> Cache<u32, u32> {
    Cache::builder().capacity(capacity).build().unwrap()
}

#[test]
fn a_value_is_there_until_it_is_invalidated() {
    let cache = counted(10);
    cache.insert(1, 10);
    assert_eq!(cache.get(&1), Some(10));
    cache.insert(1, 11);
    assert_eq!((cache.get(&1), cache.len(), cache.weight()), (Some(11), 1, 1));
    cache.invalidate(&1);
    assert_eq!((cache.get(&1), cache.len(), cache.weight()), (None, 0, 0));
}

#[test]
fn expiry_counts_from_insertion_and_idleness_from_the_last_read() {
    let clock = ManualClock::new(Timestamp(0));
    let second = Duration::from_secs(1);
    let cache: Cache<&str, u8> =
        Cache::builder().ttl(10 * second).idle(4 * second).clock(clock.clone()).build().unwrap();
    cache.insert("read", 1);
    cache.insert("unread", 2);
    cache.insert_with("short", 3, InsertOptions::default().ttl(second));
    clock.advance(second);
    assert_eq!(cache.get("short"), None);
    clock.advance(2 * second);
    assert_eq!(cache.get("read"), Some(1));
    clock.advance(3 * second);
    assert_eq!((cache.get("read"), cache.get("unread")), (Some(1), None));
    clock.advance(3 * second);
    assert_eq!(cache.get("read"), Some(1));
    clock.advance(second);
    assert_eq!(cache.get("read"), None, "ten seconds after its insertion");
    assert_eq!(cache.len(), 0);
}

#[test]
fn writes_sweep_what_has_expired() {
    let clock = ManualClock::new(Timestamp(0));
    let cache: Cache<u32, u32> = Cache::builder().ttl(LONG).clock(clock.clone()).build().unwrap();
    (0..).take(SWEEP_PER_WRITE).for_each(|key| cache.insert(key, key));
    // The wheel's tick, too, has passed then.
    clock.advance(LONG + Duration::from_millis(256));
    cache.insert(100, 0);
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.stats().expired, SWEEP_PER_WRITE as u64);
}

#[test]
fn what_is_read_outlives_a_scan() {
    let cache = counted(100);
    (0..50).for_each(|key| cache.insert(key, key));
    for _ in 0..3 {
        (0..50).for_each(|key| assert!(cache.get(&key).is_some()));
    }
    (1000..3000).for_each(|key| cache.insert(key, key));
    let kept = (0..50).filter(|key| cache.get(key).is_some()).count();
    assert!(kept >= 45, "{kept} of 50 read entries survived a scan of 2,000 unread ones");
}

#[test]
fn a_value_too_heavy_is_refused_and_its_forerunner_goes() {
    let cache: Cache<u8, u64> = Cache::builder().capacity(80).weigher(|_, v| *v).build().unwrap();
    cache.insert(1, 10);
    cache.insert(1, 11);
    assert_eq!((cache.get(&1), cache.stats().refused), (None, 1));
}

#[test]
fn tags_take_out_their_group_alone() {
    let cache: Cache<u8, u8> = Cache::builder().build().unwrap();
    let tag = |tag: &str| InsertOptions::default().tag(tag);
    cache.insert_with(1, 1, tag("a"));
    cache.insert_with(2, 2, tag("b"));
    cache.insert_with(3, 3, tag("a"));
    cache.insert(3, 4);
    cache.invalidate_tag("a");
    assert_eq!((cache.get(&1), cache.get(&2), cache.get(&3)), (None, Some(2), Some(4)));
}

#[test]
fn shrinking_and_clearing_free_weight() {
    let cache = counted(1000);
    (0..1000).for_each(|key| cache.insert(key, key));
    cache.shrink_to(0.25);
    assert_eq!((cache.weight(), cache.len()), (250, 250));
    cache.shrink_to(0.01);
    let capacity = cache.inner.table.capacity();
    assert!(capacity < 100, "room for {capacity} entries, with 10 in the cache");
    cache.clear();
    assert_eq!((cache.weight(), cache.len()), (0, 0));
}

#[test]
fn one_thread_loads_for_all() {
    let (cache, loads, start) = (counted(10), AtomicUsize::new(0), Barrier::new(64));
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                start.wait();
                let value = cache.get_or_load(&1, LONG, || {
                    loads.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, ()>(5)
                });
                assert_eq!(value, Ok(5));
            });
        }
    });
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

/// Runs `first` as the leader of a load, and `second` once it is under way.
fn while_loading<T: Send>(
    cache: &Cache<u32, u32>,
    ends: impl FnOnce() -> Result<u32, ()> + Send,
    second: impl FnOnce() -> T + Send,
) -> T {
    let ((started, is_started), (go, may_go)) = (mpsc::channel(), mpsc::channel());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let load = || {
                started.send(()).unwrap();
                may_go.recv_timeout(LONG).unwrap();
                ends()
            };
            let caught = std::panic::AssertUnwindSafe(|| cache.get_or_load(&1, LONG, load));
            drop(std::panic::catch_unwind(caught));
        });
        is_started.recv_timeout(LONG).unwrap();
        let waiter = scope.spawn(second);
        go.send(()).unwrap();
        waiter.join().unwrap()
    })
}

#[test]
fn after_a_failed_or_panicking_load_a_waiter_takes_over() {
    let cache = counted(10);
    let second = || cache.get_or_load(&1, LONG, || Ok::<_, ()>(7));
    assert_eq!(while_loading(&cache, || Err(()), second), Ok(7));
    cache.clear();
    assert_eq!(while_loading(&cache, || panic!("the loader's own"), second), Ok(7));
}

#[test]
fn waiting_for_a_load_ends_at_its_timeout() {
    let cache = counted(10);
    let (started, is_started) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let cache = &cache;
        scope.spawn(move || {
            cache.get_or_load(&1, LONG, || {
                started.send(()).unwrap();
                may_go.recv_timeout(LONG).unwrap();
                Ok::<_, ()>(1)
            })
        });
        is_started.recv_timeout(LONG).unwrap();
        let timeout = Duration::from_millis(1);
        let waited = cache.get_or_load(&1, timeout, || Ok::<_, ()>(2));
        assert_eq!(waited, Err(LoadError::Timeout { timeout }));
        go.send(()).unwrap();
    });
    assert_eq!(cache.get(&1), Some(1));
}

#[test]
fn a_loader_that_asks_for_its_own_key_gets_an_error() {
    let cache = counted(10);
    let outer = cache.get_or_load(&1, LONG, || {
        let inner = cache.get_or_load(&1, LONG, || Ok::<_, ()>(1));
        assert_eq!(inner, Err(LoadError::Reentrant));
        Ok::<_, ()>(2)
    });
    assert_eq!(outer, Ok(2));
}

#[test]
fn a_load_loses_against_later_writers() {
    let cache = counted(10);
    let load = |meanwhile: &dyn Fn()| {
        let loaded = cache.get_or_load(&1, LONG, || {
            meanwhile();
            Ok::<_, ()>(1)
        });
        assert_eq!(loaded, Ok(1));
        cache.get(&1)
    };
    assert_eq!(load(&|| cache.invalidate(&1)), None);
    assert_eq!(load(&|| cache.insert(1, 2)), Some(2));
    cache.clear();
    assert_eq!(load(&|| cache.clear()), None);
}

#[test]
fn the_listener_hears_of_each_entry_once_and_may_call_back() {
    let heard = Arc::new(Mutex::new(HashMap::new()));
    let cell: Arc<std::sync::OnceLock<Cache<u32, u32>>> = Arc::default();
    let (sink, own) = (Arc::clone(&heard), Arc::clone(&cell));
    let cache = Cache::builder()
        .capacity(8)
        .listener(move |key: &u32, _: &u32, cause| {
            assert_eq!(
                own.get().unwrap().get(key).filter(|_| cause == EvictionCause::Capacity),
                None
            );
            *sink.lock().entry(*key).or_insert(0) += 1;
        })
        .build()
        .unwrap();
    cell.set(cache.clone()).unwrap();
    (0..100).for_each(|key| cache.insert(key, key));
    let gone = heard.lock();
    assert_eq!(gone.len(), 92);
    assert!(gone.values().all(|&times| times == 1));
}
