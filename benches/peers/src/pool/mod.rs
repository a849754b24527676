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
use crate::report::{self, Row};

const DEFAULT_REPETITIONS: usize = 5;

/// Stands where an engine has no value.
const NO_VALUE: &str = "–";

struct Options {
    engines: Vec<Engine>,
    repetitions: usize,
    idle: bool,
    json: Option<PathBuf>,
}

/// All readings of one engine.
struct Results {
    engine: Engine,
    readings: Vec<Reading>,
}

/// `peers pool`: measures, prints the table and writes the JSON.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let machine = report::machine();
    println!("{machine}");
    println!("{} workers; medians of {} interleaved runs", measure::WORKERS, options.repetitions);
    let mut results: Vec<Results> =
        options.engines.iter().map(|&engine| Results { engine, readings: Vec::new() }).collect();
    for repetition in 1..=options.repetitions {
        for results in &mut results {
            let (readings, usage) = results.engine.run_in_child(options.idle)?;
            let (name, seconds) = (results.engine.name(), usage.cpu_seconds);
            eprintln!("run {repetition}: {name} done with {seconds:.1} s of processor time");
            results.readings.extend(readings);
        }
    }
    println!();
    report::print_table(&table(&results, Results::median));
    eprintln!("\nleast and greatest:");
    for line in report::lines(&table(&results, Results::range)) {
        eprintln!("{line}");
    }
    match options.json {
        Some(path) => report::write_json(&path, &machine, &rows(&results)),
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

impl Results {
    /// What the runs read for one metric; empty if the engine has no value.
    fn values(&self, metric: Metric) -> Vec<f64> {
        let of_metric = self.readings.iter().filter(|reading| reading.metric == metric);
        of_metric.map(|reading| reading.value).collect()
    }

    fn median(&self, metric: Metric) -> Option<String> {
        let values = self.values(metric);
        (!values.is_empty()).then(|| metric.cell(report::median(values)))
    }

    fn range(&self, metric: Metric) -> Option<String> {
        let values = self.values(metric);
        let least = values.iter().copied().reduce(f64::min)?;
        let greatest = values.iter().copied().reduce(f64::max)?;
        Some(format!("{}–{}", metric.cell(least), metric.cell(greatest)))
    }
}

/// Engines as rows and metrics as columns; a metric that no engine has is left out.
fn table(
    results: &[Results],
    cell: impl Fn(&Results, Metric) -> Option<String>,
) -> Vec<Vec<String>> {
    let measured = |metric: &Metric| results.iter().any(|each| !each.values(*metric).is_empty());
    let metrics: Vec<Metric> = Metric::ALL.iter().copied().filter(measured).collect();
    let mut head = vec!["engine".to_owned()];
    head.extend(metrics.iter().map(|metric| metric.name().to_owned()));
    let mut table = vec![head];
    for results in results {
        let mut row = vec![results.engine.name().to_owned()];
        let cell = |metric| cell(results, metric).unwrap_or_else(|| NO_VALUE.to_owned());
        row.extend(metrics.iter().copied().map(cell));
        table.push(row);
    }
    table
}

/// The medians; no row where an engine has no value.
fn rows(results: &[Results]) -> Vec<Row> {
    let of_engine = |results: &Results| {
        let (engine, mut rows) = (results.engine.name(), Vec::new());
        for metric in Metric::ALL {
            let values = results.values(*metric);
            if !values.is_empty() {
                let value = report::median(values);
                let (metric, unit) = (metric.name().into(), metric.unit());
                rows.push(Row { engine, metric, value, unit, better: None });
            }
        }
        rows
    };
    results.iter().flat_map(of_engine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(readings: &[(Metric, f64)]) -> Results {
        let reading = |&(metric, value): &(Metric, f64)| Reading { metric, value };
        Results { engine: Engine::Gristmill, readings: readings.iter().map(reading).collect() }
    }

    #[test]
    fn cells_are_medians_and_ranges_and_gaps_are_marked() {
        let results = [
            results(&[
                (Metric::SleepColdS, 0.3),
                (Metric::SleepColdS, 0.1),
                (Metric::SleepColdS, 0.2),
            ]),
            results(&[]),
        ];
        let medians = table(&results, Results::median);
        assert_eq!(medians[0], ["engine", "sleep_cold_s"]);
        assert_eq!(medians[1], ["gristmill", "0.200"]);
        assert_eq!(medians[2], ["gristmill", NO_VALUE]);
        assert_eq!(table(&results, Results::range)[1][1], "0.100–0.300");
        let row = Row {
            engine: "gristmill",
            metric: "sleep_cold_s".into(),
            value: 0.2,
            unit: "s",
            better: None,
        };
        assert_eq!(rows(&results), [row]);
    }
}
