//! Shared by the scenarios: loads that are held until told how to end, and callers that wait for
//! them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gristmill::cache::{Cache, CacheBuilder, LoadError};
use gristmill::time::{ManualClock, Timestamp};

pub(crate) use crate::waiting::{LONG, eventually, watched};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// A deadline that is meant to pass.
pub(crate) const SHORT: Duration = Duration::from_millis(5);

/// The thread's result, or its panic.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// A cache of `capacity` entries.
pub(crate) fn counted(capacity: u64) -> Cache<u32, u32> {
    Cache::builder().capacity(capacity).build().unwrap()
}

/// A clock that stands still, and settings with it.
pub(crate) fn timed() -> (Arc<ManualClock>, CacheBuilder<u32, u32>) {
    let clock = ManualClock::new(Timestamp(0));
    let builder = Cache::builder().clock(clock.clone());
    (clock, builder)
}

/// Settings for a cache with many shards, or with one.
pub(crate) fn sharded(builder: CacheBuilder<u32, u32>, many: bool) -> CacheBuilder<u32, u32> {
    builder.expected_entries(if many { 1 << 20 } else { 1 })
}

pub(crate) type LoadResult = Result<u32, LoadError<&'static str>>;

/// How a held load is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Value(u32),
    Error(&'static str),
    Panic,
}

/// A load that is under way on a thread of its own.
pub(crate) struct HeldLoad {
    end: Sender<End>,
    thread: JoinHandle<thread::Result<LoadResult>>,
}

impl HeldLoad {
    /// Starts a load of `key`, and returns once its loader runs.
    pub(crate) fn begin(cache: &Cache<u32, u32>, key: u32, timeout: Duration) -> Self {
        let (end, ends) = mpsc::channel();
        let (started, has_started) = mpsc::channel();
        let cache = cache.clone();
        let load = move || {
            started.send(()).unwrap();
            match ends.recv_timeout(LONG).unwrap() {
                End::Value(value) => Ok(value),
                End::Error(error) => Err(error),
                End::Panic => panic!("the loader's own"),
            }
        };
        let ask = move || cache.get_or_load(&key, timeout, load);
        let thread = thread::spawn(|| catch_unwind(AssertUnwindSafe(ask)));
        has_started.recv_timeout(LONG).expect("the load did not start");
        Self { end, thread }
    }

    /// Ends the load and returns what its caller got.
    pub(crate) fn end(self, end: End) -> thread::Result<LoadResult> {
        self.end.send(end).unwrap();
        join(self.thread)
    }

    /// Ends the load with a value and returns what its caller got.
    pub(crate) fn bring(self, value: u32) -> LoadResult {
        self.end(End::Value(value)).expect("nothing panicked")
    }
}

/// A call of `get_or_load` on a thread of its own, which has missed when this returns. Its loader
/// would bring `value`.
pub(crate) fn ask(
    cache: &Cache<u32, u32>,
    key: u32,
    timeout: Duration,
    value: u32,
) -> JoinHandle<LoadResult> {
    let misses = cache.stats().misses;
    let asking = cache.clone();
    let thread = thread::spawn(move || asking.get_or_load(&key, timeout, || Ok(value)));
    eventually("the caller missed", || cache.stats().misses > misses);
    thread
}

/// Numbers that look random and are the same each time (splitmix64; Steele, Lea and Flood, OOPSLA
/// '14).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap()
    }
}

/// What must agree when no call is under way: the number of keys below `keys` that are found, the
/// entries, and the weight; and nothing is left after `clear`.
pub(crate) fn assert_accounts(cache: &Cache<u32, u32>, keys: u32, weight: impl Fn(u32) -> u64) {
    let found: Vec<u32> = (0..keys).filter_map(|key| cache.get(&key)).collect();
    let stats = cache.stats();
    assert_eq!((found.len(), found.len() as u64), (cache.len(), stats.entries));
    let total: u64 = found.into_iter().map(weight).sum();
    assert_eq!((total, total), (cache.weight(), stats.weight));
    assert!(total <= stats.capacity);
    cache.clear();
    let stats = cache.stats();
    assert_eq!((cache.len(), cache.weight(), stats.entries, stats.weight), (0, 0, 0, 0));
    assert!(cache.is_empty() && (0..keys).all(|key| cache.get(&key).is_none()));
}
