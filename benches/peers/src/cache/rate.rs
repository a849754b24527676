//! Throughput: keys that were drawn beforehand, by one thread or more.

use std::thread;
use std::time::Instant;

use super::entries::Entries;
use crate::error::AnyError;

/// Reads a second, one thread for each sequence of keys; fails if one of them is not there.
pub(crate) fn reads<E: Entries>(cache: &E, draws: &[Vec<u64>]) -> Result<f64, AnyError> {
    let timed = timed(draws, |key| cache.get(key) == Some(key))?;
    if timed.hits < timed.requests {
        let (lost, requests) = (timed.requests - timed.hits, timed.requests);
        return Err(format!("{lost} of {requests} reads did not find what was put").into());
    }
    Ok(timed.per_second())
}

/// Requests a second, `get`, else `insert`, one thread for each sequence of keys.
pub(crate) fn mixed<E: Entries>(cache: &E, draws: &[Vec<u64>]) -> Result<f64, AnyError> {
    Ok(timed(draws, |key| cache.get_or_insert(key))?.per_second())
}

struct Timed {
    requests: usize,
    hits: usize,
    seconds: f64,
}

impl Timed {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// Takes the time in which the threads, started at once, have all gone through their keys.
fn timed(draws: &[Vec<u64>], step: impl Fn(u64) -> bool + Sync) -> Result<Timed, AnyError> {
    let begun = Instant::now();
    let hits = thread::scope(|scope| {
        let step = &step;
        // Collected first, so that all are started before one is waited for.
        let threads: Vec<_> = draws
            .iter()
            .map(|keys| scope.spawn(move || keys.iter().filter(|key| step(**key)).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().ok()).sum::<Option<usize>>()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let hits = hits.ok_or("a thread that used the cache panicked")?;
    Ok(Timed { requests: draws.iter().map(Vec::len).sum(), hits, seconds })
}

#[cfg(test)]
mod tests {
    use super::super::engines::gristmill::Gristmill;
    use super::*;

    #[test]
    fn a_read_that_finds_nothing_is_an_error() {
        let cache = Gristmill::with_capacity(10).unwrap();
        cache.insert(1, 1);
        assert!(reads(&cache, &[vec![1, 1]]).unwrap() > 0.0);
        assert!(reads(&cache, &[vec![1, 1], vec![1, 2]]).is_err());
    }

    #[test]
    fn a_panic_of_a_thread_is_an_error() {
        assert!(timed(&[vec![1]], |_| panic!("in a test")).is_err());
    }
}
