//! All operations at once on few keys. No reader gets a value older than one inserted before it
//! asked, and in the end all counts agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use gristmill::cache::{Cache, InsertOptions, LoadError};

use crate::harness::*;

const THREADS: u32 = 4;
const KEYS: u32 = 32;
const OPERATIONS: u32 = 25_000;
const CAPACITY: u64 = 200;

type Versions = Vec<AtomicU64>;

/// A cache of versions, with what its writers know. Each key has one writer.
struct Race {
    cache: Cache<u32, u64>,
    /// The version of each key that is being put or was put last.
    begun: Versions,
    /// The version of each key that was put last.
    done: Versions,
    put: AtomicU64,
    told: Arc<AtomicU64>,
}

fn weight_of(version: u64) -> u64 {
    version % 16 + 1
}

impl Race {
    fn new(many: bool) -> Self {
        let versions = || (0..KEYS).map(|_| AtomicU64::new(0)).collect();
        let told = Arc::new(AtomicU64::new(0));
        let sink = Arc::clone(&told);
        let cache = Cache::builder()
            .capacity(CAPACITY)
            .expected_entries(if many { 1 << 20 } else { 1 })
            .weigher(|_, version| weight_of(*version))
            .listener(move |_, _, _| {
                sink.fetch_add(1, Ordering::Relaxed);
            })
            .build()
            .unwrap();
        Self { cache, begun: versions(), done: versions(), put: AtomicU64::new(0), told }
    }

    fn insert(&self, thread: u32, random: &mut Random) {
        let key = random.below(KEYS / THREADS) * THREADS + thread;
        let version = self.begun[key as usize].fetch_add(1, Ordering::SeqCst) + 1;
        let tag = format!("tag{}", key % 4);
        self.cache.insert_with(key, version, InsertOptions::default().tag(tag));
        self.done[key as usize].store(version, Ordering::SeqCst);
        self.put.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self, key: u32, load: bool) {
        let known = self.done[key as usize].load(Ordering::SeqCst);
        let found = if load {
            let bring = || Ok::<_, ()>(self.begun[key as usize].load(Ordering::SeqCst));
            match self.cache.get_or_load(&key, LONG, bring) {
                Ok(version) => Some(version),
                Err(LoadError::Loader(())) => None,
                Err(error) => panic!("{error}"),
            }
        } else {
            self.cache.get(&key)
        };
        if let Some(version) = found {
            assert!(version >= known, "{version} of {key} is older than {known}");
            assert!(version <= self.begun[key as usize].load(Ordering::SeqCst));
        }
    }

    fn run(&self, thread: u32, seed: u64) {
        let mut random = Random(seed);
        for _ in 0..OPERATIONS {
            let key = random.below(KEYS);
            match random.below(64) {
                0 => self.cache.clear(),
                1 => self.cache.shrink_to(0.5),
                2 => self.cache.invalidate_tag(&format!("tag{}", key % 4)),
                3 => assert!(self.cache.sweep(3) == 0),
                4..8 => self.cache.invalidate(&key),
                8..24 => self.insert(thread, &mut random),
                24..40 => self.read(key, true),
                _ => self.read(key, false),
            }
            assert!(self.cache.weight() <= CAPACITY + u64::from(THREADS) * 16);
        }
    }

    fn check(&self) {
        let found: Vec<u64> = (0..KEYS).filter_map(|key| self.cache.get(&key)).collect();
        let stats = self.cache.stats();
        assert_eq!((found.len(), found.len() as u64), (self.cache.len(), stats.entries));
        let weight: u64 = found.iter().map(|version| weight_of(*version)).sum();
        assert_eq!((weight, weight), (self.cache.weight(), stats.weight));
        assert!(weight <= CAPACITY);
        let left = stats.replaced + stats.invalidated + stats.evicted + stats.shrunk;
        assert_eq!((stats.inserts, stats.expired), (left + stats.entries, 0));
        assert_eq!(self.told.load(Ordering::Relaxed), left);
        assert!(stats.inserts >= self.put.load(Ordering::Relaxed));
        assert_eq!(stats.load_failures, 0);
        self.cache.clear();
        assert_eq!((self.cache.len(), self.cache.weight()), (0, 0));
    }
}

#[test]
fn a_hundred_thousand_operations_of_four_threads() {
    for many in [false, true] {
        watched(move || {
            let race = Arc::new(Race::new(many));
            let run = |thread| {
                let race = Arc::clone(&race);
                thread::spawn(move || race.run(thread, u64::from(thread)))
            };
            let threads: Vec<_> = (0..THREADS).map(run).collect();
            threads.into_iter().for_each(join);
            race.check();
        });
    }
}
