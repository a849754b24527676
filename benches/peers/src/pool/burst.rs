//! Throughput: empty tasks that nobody waits for.

use std::time::Instant;

use super::countdown::Countdown;
use super::measure::DEADLINE;
use super::workers::Workers;
use crate::error::AnyError;

/// So many times fewer tasks run beforehand, so that all threads are there.
const WARM_UP_PART: u32 = 10;

/// Tasks a second, from before the first submission until the last task has run.
pub(crate) fn rate<W: Workers>(pool: &W, tasks: u32) -> Result<f64, AnyError> {
    run(pool, tasks / WARM_UP_PART)?;
    let begun = Instant::now();
    run(pool, tasks)?;
    Ok(f64::from(tasks) / begun.elapsed().as_secs_f64())
}

fn run<W: Workers>(pool: &W, tasks: u32) -> Result<(), AnyError> {
    let countdown = Countdown::start(tasks);
    for number in 0..tasks {
        pool.detach(move || countdown.count(number));
    }
    countdown.wait(DEADLINE)
}
