//! Latency: one task, from its submission on an outside thread until that thread has its result.

use std::thread;
use std::time::{Duration, Instant};

use super::workers::{self, Workers};
use crate::error::AnyError;

/// So many times fewer round trips are made beforehand, so that all threads are there.
const WARM_UP_PART: usize = 10;

/// Long enough for workers to go to sleep.
const PAUSE: Duration = Duration::from_millis(1);

/// Round trips one after the other.
pub(crate) fn back_to_back<W: Workers>(pool: &W, count: usize) -> Result<Vec<Duration>, AnyError> {
    for _ in 0..count / WARM_UP_PART {
        once(pool)?;
    }
    (0..count).map(|_| once(pool)).collect()
}

/// Round trips with [`PAUSE`] before each.
pub(crate) fn with_pauses<W: Workers>(pool: &W, count: usize) -> Result<Vec<Duration>, AnyError> {
    let paused = |_| {
        thread::sleep(PAUSE);
        once(pool)
    };
    (0..count).map(paused).collect()
}

fn once<W: Workers>(pool: &W) -> Result<Duration, AnyError> {
    let submitted = Instant::now();
    let here = pool.round_trip(workers::is_submitter)?;
    let took = submitted.elapsed();
    if here { Err(workers::STRAY.into()) } else { Ok(took) }
}
