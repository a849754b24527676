//! Many tasks that wait at the same time, as tasks do that fetch pages.

use std::thread;
use std::time::{Duration, Instant};

use super::countdown::Countdown;
use super::measure::DEADLINE;
use super::workers::Workers;
use crate::error::AnyError;

/// To how many threads a pool may grow.
pub(crate) const MOST_THREADS: usize = 1024;

/// How long each task sleeps.
const NAP: Duration = Duration::from_millis(50);

/// Time from before the first submission until all tasks have slept.
pub(crate) fn time<W: Workers>(pool: &W, tasks: u32) -> Result<Duration, AnyError> {
    let countdown = Countdown::start(tasks);
    let begun = Instant::now();
    for number in 0..tasks {
        pool.detach(move || {
            thread::sleep(NAP);
            countdown.count(number);
        });
    }
    countdown.wait(DEADLINE)?;
    Ok(begun.elapsed())
}
