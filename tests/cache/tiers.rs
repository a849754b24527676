//! A slower tier below the memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use gristmill::cache::{LoadError, Tier, TierError, Tiered};
use parking_lot::Mutex;

use crate::harness::*;

/// Stands for a store; fails when told to.
#[derive(Default)]
struct Shelf {
    values: Mutex<HashMap<u32, u32>>,
    fails: AtomicBool,
}

impl Shelf {
    fn attempt<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut HashMap<u32, u32>) -> T,
    ) -> Result<T, TierError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(TierError { operation, source: "the disk is on fire".into() });
        }
        Ok(work(&mut self.values.lock()))
    }

    fn value(&self, key: u32) -> Option<u32> {
        self.values.lock().get(&key).copied()
    }
}

impl Tier<u32, u32> for Shelf {
    fn get(&self, key: &u32) -> Result<Option<u32>, TierError> {
        self.attempt("read", |values| values.get(key).copied())
    }

    fn put(&self, key: &u32, value: &u32) -> Result<(), TierError> {
        self.attempt("write", |values| {
            values.insert(*key, *value);
        })
    }

    fn remove(&self, key: &u32) -> Result<(), TierError> {
        self.attempt("remove", |values| {
            values.remove(key);
        })
    }
}

fn over(shelf: &Arc<Shelf>) -> Tiered<u32, u32> {
    Tiered::new(counted(100), Arc::clone(shelf) as Arc<dyn Tier<u32, u32>>)
}

#[test]
fn what_was_loaded_and_put_is_there_after_a_restart() {
    let shelf = Arc::new(Shelf::default());
    let cache = over(&shelf);
    cache.insert(1, 10);
    assert_eq!(cache.get_or_load(&2, LONG, || Ok::<_, ()>(20)), Ok(20));
    cache.insert(3, 30);
    cache.invalidate(&3);
    drop(cache);
    let cache = over(&shelf);
    assert_eq!((cache.get(&1), cache.get(&3)), (Some(10), None));
    assert_eq!(cache.get_or_load(&2, LONG, || Err("not asked")), Ok(20));
    let stats = cache.tier_stats();
    assert_eq!((stats.hits, stats.misses, stats.failures), (2, 1, 0));
    // From now on the memory answers.
    assert_eq!((cache.get(&1), cache.get(&2)), (Some(10), Some(20)));
    assert_eq!((cache.tier_stats().hits, cache.memory().len()), (2, 2));
}

#[test]
fn what_the_memory_evicts_the_tier_still_has() {
    let shelf = Arc::new(Shelf::default());
    let cache = over(&shelf);
    (0..500).for_each(|key| cache.insert(key, key));
    assert_eq!(cache.memory().len(), 100);
    assert!((0..500).all(|key| cache.get(&key) == Some(key)));
}

#[test]
fn a_failing_tier_costs_hits_and_no_calls() {
    let shelf = Arc::new(Shelf::default());
    let cache = over(&shelf);
    shelf.fails.store(true, Ordering::Relaxed);
    assert_eq!((cache.get(&1), cache.tier_stats().failures), (None, 1));
    cache.insert(1, 10);
    assert_eq!((cache.get(&1), cache.tier_stats().failures), (Some(10), 2));
    cache.invalidate(&1);
    assert_eq!((cache.memory().get(&1), cache.tier_stats().failures), (None, 3));
    // The tier is asked, then told.
    assert_eq!(cache.get_or_load(&1, LONG, || Ok::<_, ()>(11)), Ok(11));
    let stats = cache.tier_stats();
    assert_eq!((stats.failures, stats.hits, stats.misses), (5, 0, 0));
    assert_eq!(cache.get(&1), Some(11));
}

#[test]
fn a_failed_load_reaches_its_caller_and_not_the_tier() {
    let shelf = Arc::new(Shelf::default());
    let cache = over(&shelf);
    let failed = cache.get_or_load(&1, LONG, || Err("no"));
    assert_eq!((failed, shelf.value(1)), (Err(LoadError::Loader("no")), None));
}

#[test]
fn those_who_miss_at_once_ask_the_tier_once() {
    watched(|| {
        let shelf = Arc::new(Shelf::default());
        shelf.values.lock().insert(1, 10);
        let (cache, all) = (over(&shelf), Arc::new(Barrier::new(8)));
        let ask = |_| {
            let (cache, all) = (cache.clone(), Arc::clone(&all));
            thread::spawn(move || {
                all.wait();
                cache.get_or_load(&1, LONG, || Err("not asked"))
            })
        };
        let askers: Vec<_> = (0..8).map(ask).collect();
        assert!(askers.into_iter().all(|asker| join(asker) == Ok(10)));
        assert_eq!(cache.tier_stats().hits, 1);
    });
}

#[test]
fn a_writer_during_a_load_has_the_last_word_in_both() {
    type Change = fn(&Tiered<u32, u32>);
    let changes: [(Change, Option<u32>); 3] = [
        (|cache| cache.insert(1, 2), Some(2)),
        (|cache| cache.invalidate(&1), None),
        (|cache| cache.memory().invalidate(&1), None),
    ];
    for (change, left) in changes {
        let shelf = Arc::new(Shelf::default());
        let cache = over(&shelf);
        let loaded = cache.get_or_load(&1, LONG, || {
            change(&cache);
            Ok::<_, ()>(1)
        });
        assert_eq!(loaded, Ok(1));
        assert_eq!((shelf.value(1), cache.memory().get(&1)), (left, left));
    }
}

#[test]
fn an_insertion_beside_a_load_never_leaves_the_older_value() {
    watched(|| {
        let shelf = Arc::new(Shelf::default());
        let cache = over(&shelf);
        let together = Arc::new(Barrier::new(2));
        let (loading, start) = (cache.clone(), Arc::clone(&together));
        let rounds = 3000;
        let loader = thread::spawn(move || {
            for round in 0..rounds {
                start.wait();
                loading.get_or_load(&1, LONG, || Ok::<_, ()>(2 * round)).unwrap();
                start.wait();
            }
        });
        for round in 0..rounds {
            cache.invalidate(&1);
            together.wait();
            cache.insert(1, 2 * round + 1);
            together.wait();
            let newest = Some(2 * round + 1);
            assert_eq!((shelf.value(1), cache.memory().get(&1)), (newest, newest));
        }
        join(loader);
    });
}

/// A tier in which a read, once it has its value, waits until it is told that somebody has written,
/// or a moment.
struct SlowShelf {
    shelf: Shelf,
    read: mpsc::Sender<()>,
    written: Mutex<mpsc::Receiver<()>>,
}

impl Tier<u32, u32> for SlowShelf {
    fn get(&self, key: &u32) -> Result<Option<u32>, TierError> {
        let value = self.shelf.get(key);
        self.read.send(()).unwrap();
        self.written.lock().recv_timeout(Duration::from_millis(50)).ok();
        value
    }

    fn put(&self, key: &u32, value: &u32) -> Result<(), TierError> {
        self.shelf.put(key, value)
    }

    fn remove(&self, key: &u32) -> Result<(), TierError> {
        self.shelf.remove(key)
    }
}

#[test]
fn a_value_put_while_an_older_one_is_read_from_the_tier_stays() {
    let ((read, is_read), (wrote, written)) = (mpsc::channel(), mpsc::channel());
    let tier = SlowShelf { shelf: Shelf::default(), read, written: Mutex::new(written) };
    tier.shelf.put(&1, &10).unwrap();
    let cache = Tiered::new(counted(100), Arc::new(tier) as Arc<dyn Tier<u32, u32>>);
    thread::scope(|scope| {
        let reader = scope.spawn(|| cache.get(&1));
        is_read.recv_timeout(LONG).unwrap();
        cache.insert(1, 11);
        // The reader may be done by now, having waited in vain.
        wrote.send(()).ok();
        assert_eq!(reader.join().unwrap(), Some(10));
    });
    assert_eq!(cache.memory().get(&1), Some(11));
}
