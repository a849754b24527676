//! Thread pools: throughput, latency, urgency under load, many tasks that wait, and what idleness
//! costs.
//!
//! - `workers`: what a pool must be able to do to be measured; `engines` has one file a pool.
//! - `measure`: what is measured, in which order and how much of it; `burst`, `round_trip`,
//!   `urgent` and `sleepers` each take one kind of measurement.
//! - `countdown`: how a measurement learns that its last task has run.
//! - `engine`: the pools by name, each in a process of its own.

mod burst;
mod countdown;
pub(crate) mod engine;
mod engines;
mod measure;
mod metric;
mod round_trip;
mod sleepers;
mod urgent;
mod workers;

use std::path::PathBuf;

use self::engine::Engine;
use self::metric::{Metric, Reading};
use crate::arguments::Arguments;
use crate::error::Error;
use crate::report;
use crate::runs::{self, to_standard_error};

const DEFAULT_REPETITIONS: usize = 5;

struct Options {
    engines: Vec<Engine>,
    repetitions: usize,
    idle: bool,
    json: Option<PathBuf>,
}

type Results = runs::Results<Reading>;

/// `peers pool`: measures, prints the table and writes the JSON.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let machine = report::machine();
    println!("{machine}");
    println!("{} workers; medians of {} interleaved runs", measure::WORKERS, options.repetitions);
    let run = |engine: Engine| engine.run_in_child(options.idle);
    let results = runs::in_turns(&options.engines, options.repetitions, Engine::name, run)?;
    let metrics = metrics(&results);
    println!();
    report::print_table(&runs::table(&results, &metrics, Results::median));
    to_standard_error("least and greatest:", &runs::table(&results, &metrics, Results::range));
    match options.json {
        Some(path) => report::write_json(&path, &machine, &runs::rows(&results, &metrics)),
        None => Ok(()),
    }
}

impl Options {
    fn read(mut arguments: Arguments) -> Result<Self, Error> {
        let engines = arguments.engines(Engine::ALL)?;
        let options = Self {
            engines,
            repetitions: arguments.option("--repeat")?.unwrap_or(DEFAULT_REPETITIONS).max(1),
            idle: arguments.flag("--idle"),
            json: arguments.option("--json")?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// The metrics that some engine has a value of.
fn metrics(results: &[Results]) -> Vec<Metric> {
    let measured = |metric: &Metric| results.iter().any(|each| !each.values(metric).is_empty());
    Metric::ALL.iter().copied().filter(measured).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_values_is_left_out() {
        let run = vec![Reading { metric: Metric::SleepColdS, value: 0.3 }];
        let results = [
            Results { engine: "gristmill", runs: vec![run] },
            Results { engine: "none", runs: vec![Vec::new()] },
        ];
        assert_eq!(metrics(&results), [Metric::SleepColdS]);
    }
}
