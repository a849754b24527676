//! The listener is called once for each removal, and may use the cache.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use gristmill::cache::{Cache, EvictionCause, InsertOptions};
use parking_lot::Mutex;

use crate::harness::*;

/// A value unique to each insertion.
type Values = Cache<u32, u64>;

/// A cache whose listener uses it, and what the listener was told.
struct Scene {
    cache: Values,
    put: Arc<AtomicU64>,
    told: Arc<Mutex<HashMap<u64, u32>>>,
}

/// From which key on departures have no consequences.
const DERIVED: u32 = 1000;

impl Scene {
    fn new(capacity: u64, many: bool) -> Self {
        let (put, told) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(HashMap::new())));
        let own: Arc<OnceLock<Values>> = Arc::default();
        let (cell, sink, counter) = (Arc::clone(&own), Arc::clone(&told), Arc::clone(&put));
        let cache = Cache::builder()
            .capacity(capacity)
            .expected_entries(if many { 1 << 20 } else { 1 })
            .listener(move |key: &u32, value: &u64, _| {
                *sink.lock().entry(*value).or_insert(0) += 1;
                let cache = cell.get().unwrap();
                cache.get(&(key + 1));
                if *key < DERIVED {
                    cache.insert(key + DERIVED, counter.fetch_add(1, Ordering::Relaxed));
                    cache.invalidate(&(key + DERIVED / 2));
                    cache.generation(key);
                }
            })
            .build()
            .unwrap();
        own.set(cache.clone()).unwrap();
        Self { cache, put, told }
    }

    fn insert(&self, key: u32) {
        self.cache.insert(key, self.put.fetch_add(1, Ordering::Relaxed));
    }

    /// Each inserted value was reported once, or is still there.
    fn check(&self) {
        let mut seen = self.told.lock().clone();
        let mut alive = 0;
        for value in (0..2 * DERIVED).filter_map(|key| self.cache.get(&key)) {
            *seen.entry(value).or_insert(0) += 1;
            alive += 1;
        }
        assert_eq!(alive, self.cache.len());
        assert!(seen.values().all(|times| *times == 1));
        assert_eq!(seen.len() as u64, self.put.load(Ordering::Relaxed));
    }
}

#[test]
fn it_calls_back_from_several_threads_without_a_deadlock() {
    for many in [false, true] {
        watched(move || {
            let scene = Arc::new(Scene::new(64, many));
            let work = |seed| {
                let scene = Arc::clone(&scene);
                thread::spawn(move || {
                    let mut random = Random(seed);
                    for _ in 0..5000 {
                        let key = random.below(DERIVED / 2);
                        match random.below(16) {
                            0 => scene.cache.invalidate(&key),
                            1 => scene.cache.shrink_to(0.5),
                            2 => {
                                assert!(scene.cache.get(&key).is_none_or(|found| found < u64::MAX));
                            }
                            _ => scene.insert(key),
                        }
                    }
                })
            };
            let threads: Vec<_> = (0..4).map(work).collect();
            threads.into_iter().for_each(join);
            scene.check();
        });
    }
}

#[test]
fn it_is_told_the_cause() {
    let told: Arc<Mutex<Vec<(u32, u32, EvictionCause)>>> = Arc::default();
    let sink = Arc::clone(&told);
    let (clock, builder) = timed();
    let cache = builder
        .capacity(9)
        .ttl(10 * SECOND)
        .listener(move |key: &u32, value: &u32, cause| sink.lock().push((*key, *value, cause)))
        .build()
        .unwrap();
    let heard = || std::mem::take(&mut *told.lock());
    cache.insert(1, 10);
    cache.insert(1, 11);
    assert_eq!(heard(), [(1, 10, EvictionCause::Replaced)]);
    cache.invalidate(&1);
    cache.insert_with(2, 20, InsertOptions::default().tag("t"));
    cache.invalidate_tag("t");
    cache.insert(3, 30);
    cache.clear();
    let invalidated = EvictionCause::Invalidated;
    assert_eq!(heard(), [(1, 11, invalidated), (2, 20, invalidated), (3, 30, invalidated)]);
    cache.insert(4, 40);
    clock.advance(10 * SECOND);
    assert_eq!((cache.get(&4), heard()), (None, vec![(4, 40, EvictionCause::Expired)]));
    (0..10).for_each(|key| cache.insert(key, key));
    assert_eq!(heard(), [(8, 8, EvictionCause::Capacity)]);
    cache.shrink_to(0.0);
    let shrunk = heard();
    assert_eq!(shrunk.len(), 9);
    assert!(shrunk.iter().all(|(.., cause)| *cause == EvictionCause::Shrunk));
    // Removing nothing reports nothing.
    cache.insert_absent(5, InsertOptions::default());
    cache.invalidate(&5);
    cache.invalidate(&6);
    assert_eq!(heard(), []);
}

#[test]
fn its_panic_reaches_the_caller_and_the_cache_is_whole() {
    let cache = Cache::builder()
        .capacity(100)
        .listener(|key: &u32, _: &u32, _| assert!(key.is_multiple_of(2), "odd"))
        .build()
        .unwrap();
    let mut panics = 0;
    for key in 0..300 {
        let insert = AssertUnwindSafe(|| cache.insert(key, key));
        panics += u32::from(catch_unwind(insert).is_err());
        assert_eq!(cache.get(&key), Some(key));
    }
    assert_eq!((panics, cache.len()), (100, 100));
    cache.shrink_to(1.0);
    assert_eq!(cache.weight(), 100);
}

/// A value that uses the cache when it is dropped.
#[derive(Clone)]
struct Loud(Arc<OnceLock<Cache<u32, Loud>>>);

impl Drop for Loud {
    fn drop(&mut self) {
        if let Some(cache) = self.0.get() {
            cache.insert(1000, Self(Arc::default()));
            cache.invalidate(&1001);
        }
    }
}

#[test]
fn values_are_dropped_outside_the_locks() {
    watched(|| {
        let own: Arc<OnceLock<Cache<u32, Loud>>> = Arc::default();
        let weigher = |key: &u32, _: &Loud| if *key == 77 { 100 } else { 1 };
        let (clock, _) = timed();
        let builder = Cache::builder().capacity(16).weigher(weigher).clock(clock.clone());
        let builder = builder.ttl(10 * SECOND).stale_while_revalidate(10 * SECOND);
        let cache = builder.build().unwrap();
        own.set(cache.clone()).unwrap_or_else(|_| panic!("it was not set"));
        let value = || Loud(Arc::clone(&own));
        (0..40).for_each(|key| cache.insert(key, value()));
        (20..40).for_each(|key| cache.insert(key, value()));
        // Refused for its weight, and for its generation.
        cache.insert(77, value());
        let generation = cache.generation(&1);
        cache.insert(1, value());
        assert!(!cache.insert_if(1, value(), generation));
        cache.insert_with(2, value(), InsertOptions::default().ttl(SECOND).tag("t"));
        clock.advance(SECOND);
        // Stale, reloaded, and removed.
        assert!(cache.get_or_load(&2, LONG, || Err::<Loud, _>("no")).is_ok());
        clock.advance(20 * SECOND);
        assert!(cache.get(&2).is_none());
        cache.insert_with(3, value(), InsertOptions::default().tag("t"));
        cache.invalidate_tag("t");
        let loaded = cache.get_or_load(&4, LONG, || {
            cache.invalidate(&4);
            Ok::<_, ()>(value())
        });
        drop(loaded);
        cache.shrink_to(0.5);
        cache.clear();
    });
}
