//! What is measured, in which order and how much of it.

use std::io;
use std::thread;
use std::time::Duration;

use super::metric::{Metric, Reading};
use super::workers::{self, Workers};
use super::{burst, round_trip, sleepers, urgent};
use crate::error::AnyError;
use crate::{process, report};

/// Threads of each pool that is not to grow. The same on every machine, so that figures of two
/// machines can be held against each other.
pub(crate) const WORKERS: usize = 2;

/// How long idleness is watched.
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// No single measurement takes longer; beyond this, tasks were lost.
pub(super) const DEADLINE: Duration = Duration::from_mins(2);

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Detached empty tasks.
    pub(crate) burst: u32,
    /// Round trips one after the other.
    pub(crate) round_trips: usize,
    /// Round trips with a pause before each.
    pub(crate) paused_round_trips: usize,
    /// Tasks that an urgent one finds before it.
    pub(crate) backlog: usize,
    /// Urgent tasks.
    pub(crate) urgent: usize,
    /// Tasks that sleep at a time.
    pub(crate) sleepers: u32,
    /// How long idleness is watched; `None`: not at all.
    pub(crate) idle: Option<Duration>,
}

impl Load {
    /// What the table is made from, without idleness.
    pub(crate) const FULL: Self = Self {
        burst: 1_000_000,
        round_trips: 20_000,
        paused_round_trips: 500,
        backlog: 4000,
        urgent: 200,
        sleepers: 1000,
        idle: None,
    };
}

/// Measures one engine once. Each kind of measurement has a new pool, and those that leave much
/// behind (memory, a thousand threads) come last.
pub(crate) fn run<W: Workers>(load: &Load) -> Result<Vec<Reading>, AnyError> {
    workers::mark_submitter();
    let mut readings = Vec::new();
    let mut read = |metric, value| readings.push(Reading { metric, value });

    let pool = W::fixed(WORKERS)?;
    let trips = round_trip::back_to_back(&pool, load.round_trips)?;
    read(Metric::RoundtripP50Us, micros(&trips, 50));
    read(Metric::RoundtripP99Us, micros(&trips, 99));
    let trips = round_trip::with_pauses(&pool, load.paused_round_trips)?;
    read(Metric::RoundtripIdleP50Us, micros(&trips, 50));
    pool.close()?;

    let pool = W::fixed(WORKERS)?;
    let waits = urgent::waits(&pool, load.backlog, load.urgent)?;
    read(Metric::UrgentP50Us, micros(&waits, 50));
    read(Metric::UrgentP99Us, micros(&waits, 99));
    pool.close()?;

    let pool = W::fixed(WORKERS)?;
    read(Metric::SpawnPerS, burst::rate(&pool, load.burst)?);
    if let Some(time) = load.idle {
        read(Metric::IdleCpuMs, idle_cpu_ms(time)?);
    }
    pool.close()?;

    if let Some(pool) = W::growing(sleepers::MOST_THREADS)? {
        read(Metric::SleepColdS, sleepers::time(&pool, load.sleepers)?.as_secs_f64());
        read(Metric::SleepWarmS, sleepers::time(&pool, load.sleepers)?.as_secs_f64());
        pool.close()?;
    }
    Ok(readings)
}

/// A percentile in microseconds.
fn micros(durations: &[Duration], percent: usize) -> f64 {
    report::percentile(durations, percent).as_secs_f64() * 1e6
}

/// Milliseconds of processor time that this process spends while its main thread sleeps for `time`.
fn idle_cpu_ms(time: Duration) -> io::Result<f64> {
    let before = process::usage_of_this_process()?.cpu_seconds;
    thread::sleep(time);
    Ok((process::usage_of_this_process()?.cpu_seconds - before) * 1e3)
}
