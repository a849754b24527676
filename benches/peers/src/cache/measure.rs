//! What is measured, in which order and how much of it.

use super::entries::Entries;
use super::metric::{Metric, Reading};
use super::trace::Trace;
use super::zipf::Zipf;
use super::{hits, rate};
use crate::error::AnyError;
use crate::numbers::{self, Numbers};

/// Threads where there is more than one. The same on every machine, so that figures of two
/// machines can be held against each other.
pub(crate) const THREADS: usize = 2;

const SEED: u64 = 0x5EED;

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Different keys.
    pub(crate) keys: u32,
    /// Keys that each thread asks for.
    pub(crate) draws: usize,
}

impl Load {
    /// What the table is made from.
    pub(crate) const FULL: Self = Self { keys: 1_000_000, draws: 3_000_000 };

    /// Capacity of the cache that all keys fit in, however unevenly it divides itself up.
    const fn roomy(&self) -> usize {
        2 * self.keys as usize
    }

    /// Capacity of the cache that a tenth of the keys fit in.
    const fn narrow(&self) -> usize {
        self.keys as usize / 10
    }
}

/// Measures one engine once. Each kind of measurement, and each trace, has a new cache.
pub(crate) fn run<E: Entries>(load: &Load, traces: &[Trace]) -> Result<Vec<Reading>, AnyError> {
    let mut readings = rates::<E>(load)?;
    for trace in traces {
        let capacity = trace.capacity();
        let (keys, cache) = (trace.keys()?, E::with_capacity(capacity)?);
        let value = hits::percent(&cache, &keys);
        let metric = Metric::Hit { trace: trace.name(), capacity };
        readings.push(Reading { metric, value, entries: cache.count(), capacity });
    }
    Ok(readings)
}

fn rates<E: Entries>(load: &Load) -> Result<Vec<Reading>, AnyError> {
    let (zipf, mut numbers) = (Zipf::over(load.keys), Numbers::from_seed(SEED));
    let mut sequence = || -> Vec<u64> {
        (0..load.draws).map(|_| numbers::spread(zipf.draw(&mut numbers))).collect()
    };
    let warm_up = [sequence()];
    let draws: Vec<Vec<u64>> = (0..THREADS).map(|_| sequence()).collect();

    let mut readings = Vec::new();
    let mut read = |metric, value, cache: &E, capacity| {
        readings.push(Reading { metric, value, entries: cache.count(), capacity });
    };
    let capacity = load.roomy();
    let cache = filled::<E>(load.keys, capacity)?;
    rate::reads(&cache, &warm_up)?;
    read(Metric::Get1tPerS, rate::reads(&cache, draws.get(..1).unwrap_or(&[]))?, &cache, capacity);
    read(Metric::Get2tPerS, rate::reads(&cache, &draws)?, &cache, capacity);
    drop(cache);

    let capacity = load.narrow();
    let cache = E::with_capacity(capacity)?;
    rate::mixed(&cache, &warm_up)?;
    read(Metric::Mixed2tPerS, rate::mixed(&cache, &draws)?, &cache, capacity);
    Ok(readings)
}

/// A cache with all keys. They are put in no order, so that popular ones are not neighbours in
/// memory either.
fn filled<E: Entries>(keys: u32, capacity: usize) -> Result<E, AnyError> {
    let mut keys: Vec<u64> = (0..u64::from(keys)).map(numbers::spread).collect();
    Numbers::from_seed(SEED).shuffle(&mut keys);
    let cache = E::with_capacity(capacity)?;
    for key in keys {
        cache.insert(key, key);
    }
    Ok(cache)
}
