//! Stores of pages: durable writes, reads in place, and space.
//!
//! - `pages`: what a store must be able to do to be measured; `engines` has one file a store.
//! - `limit`: what the disk and the memory allow without a store, on `prepared` files.
//! - `measure`: what is measured, in which order and how much of it; `writes`, `reads` and `disk`
//!   each take one kind of measurement.
//! - `page` and `source`: the pages and where they come from.
//! - `engine`: the stores by name, each in a process of its own.
//! - `endurance` and `reopen`: overwrites that go on, and opening after a kill; commands of their
//!   own.

mod disk;
pub(crate) mod endurance;
pub(crate) mod engine;
mod engines;
mod limit;
mod measure;
mod metric;
mod page;
mod pages;
mod prepared;
mod reads;
pub(crate) mod reopen;
mod source;
mod writes;

use std::path::PathBuf;

use self::engine::{Engine, Setting};
use self::metric::{Metric, Reading};
use self::source::Source;
use crate::arguments::Arguments;
use crate::error::Error;
use crate::report::{self, Better, Row};

const DEFAULT_REPETITIONS: usize = 5;
const DEFAULT_PAGES: usize = 4000;

/// What `--quick` has instead.
const QUICK_REPETITIONS: usize = 1;
const QUICK_PAGES: usize = 400;

/// Stands where an engine has no value.
const NO_VALUE: &str = "–";

struct Options {
    engines: Vec<Engine>,
    repetitions: usize,
    setting: Setting,
    json: Option<PathBuf>,
}

/// All readings of one engine, run by run.
struct Results {
    engine: Engine,
    runs: Vec<Vec<Reading>>,
}

/// `peers store`: measures, prints the tables and writes the JSON.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let machine = report::machine();
    println!("{machine}");
    let pages = options.setting.source.describe(options.setting.count)?;
    println!("{pages}; medians of {} interleaved runs", options.repetitions);
    let mut results: Vec<Results> =
        options.engines.iter().map(|&engine| Results { engine, runs: Vec::new() }).collect();
    for repetition in 1..=options.repetitions {
        for results in &mut results {
            let (readings, usage) = results.engine.run_in_child(&options.setting)?;
            let (name, seconds) = (results.engine.name(), usage.cpu_seconds);
            eprintln!("run {repetition}: {name} done with {seconds:.1} s of processor time");
            results.runs.push(readings);
        }
    }
    println!();
    report::print_table(&table(&results, Results::median));
    if let Some(limit) = limit(&results) {
        println!("\nshare of the limit of the same run:");
        report::print_table(&shares(&results, limit));
    }
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
        let quick = arguments.flag("--quick");
        let (repetitions, count) = if quick {
            (QUICK_REPETITIONS, QUICK_PAGES)
        } else {
            (DEFAULT_REPETITIONS, DEFAULT_PAGES)
        };
        let setting = Setting {
            source: Source::choose(arguments.option("--pages")?),
            count: arguments.option("--pages-count")?.unwrap_or(count).max(1),
            dir: disk::place(arguments.option("--dir")?)?,
            quick,
        };
        let options = Self {
            engines: arguments.engines(Engine::ALL)?,
            repetitions: arguments.option("--repeat")?.unwrap_or(repetitions).max(1),
            setting,
            json: arguments.option("--json")?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

impl Results {
    /// What the runs read for one metric; empty if the engine has no value.
    fn values(&self, metric: Metric) -> Vec<f64> {
        self.runs.iter().filter_map(|readings| value(readings, metric)).collect()
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

    /// The median over the runs of what this one has for each one of the limit in the same run.
    fn share(&self, limit: &Self, metric: Metric) -> Option<f64> {
        let share = |(own, limit): (&Vec<Reading>, &Vec<Reading>)| {
            Some(value(own, metric)? / value(limit, metric)?)
        };
        let shares: Vec<f64> = self.runs.iter().zip(&limit.runs).filter_map(share).collect();
        (!shares.is_empty()).then(|| report::median(shares))
    }
}

fn value(readings: &[Reading], metric: Metric) -> Option<f64> {
    readings.iter().find(|reading| reading.metric == metric).map(|reading| reading.value)
}

fn limit(results: &[Results]) -> Option<&Results> {
    results.iter().find(|results| results.engine == Engine::Limit)
}

/// Engines as rows and metrics as columns; below the names, which direction is the better one.
fn table(
    results: &[Results],
    cell: impl Fn(&Results, Metric) -> Option<String>,
) -> Vec<Vec<String>> {
    let line = |first: &str, cell: &dyn Fn(Metric) -> String| {
        let mut line = vec![first.to_owned()];
        line.extend(Metric::ALL.iter().map(|&metric| cell(metric)));
        line
    };
    let mut table = vec![
        line("engine", &|metric| metric.name().to_owned()),
        line("better:", &|metric| metric.better().word().to_owned()),
    ];
    table.extend(results.iter().map(|results| {
        let or_none = |metric| cell(results, metric).unwrap_or_else(|| NO_VALUE.to_owned());
        line(results.engine.name(), &or_none)
    }));
    table
}

/// Engines as rows, and as columns what the disk limits.
fn shares(results: &[Results], limit: &Results) -> Vec<Vec<String>> {
    let mut head = vec!["engine".to_owned()];
    head.extend(Metric::WRITES.iter().map(|metric| metric.name().to_owned()));
    let mut table = vec![head];
    for results in results {
        let mut row = vec![results.engine.name().to_owned()];
        row.extend(Metric::WRITES.iter().map(|&metric| {
            let share = results.share(limit, metric);
            share.map_or_else(|| NO_VALUE.to_owned(), |share| format!("{share:.2}"))
        }));
        table.push(row);
    }
    table
}

/// The medians, and those of the shares of the limit; no row where an engine has no value.
fn rows(results: &[Results]) -> Vec<Row> {
    let mut rows = Vec::new();
    for results in results {
        let engine = results.engine.name();
        for &metric in Metric::ALL {
            let values = results.values(metric);
            if !values.is_empty() {
                let (value, unit) = (report::median(values), metric.unit());
                let (metric, better) = (metric.name().into(), Some(metric.better()));
                rows.push(Row { engine, metric, value, unit, better });
            }
        }
    }
    let Some(limit) = limit(results) else { return rows };
    for results in results {
        let engine = results.engine.name();
        for &metric in Metric::WRITES {
            if let Some(value) = results.share(limit, metric) {
                let (metric, unit) = (metric.share_name().into(), "share");
                rows.push(Row { engine, metric, value, unit, better: Some(Better::Higher) });
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(engine: Engine, values: &[f64]) -> Results {
        let run = |&value| vec![Reading { metric: Metric::Put1PerS, value }];
        Results { engine, runs: values.iter().map(run).collect() }
    }

    #[test]
    fn cells_are_medians_and_ranges_and_gaps_are_marked() {
        let results = [results(Engine::Gristmill, &[30.0, 10.0, 20.0])];
        let medians = table(&results, Results::median);
        assert_eq!(medians[0][..2], ["engine", "put1_per_s"]);
        assert_eq!(medians[1][..2], ["better:", "higher"]);
        assert_eq!(medians[2][..3], ["gristmill", "20", NO_VALUE]);
        assert_eq!(table(&results, Results::range)[2][1], "10–30");
        assert!(limit(&results).is_none());
        assert_eq!(rows(&results).len(), 1);
    }

    #[test]
    fn shares_are_taken_run_by_run() {
        let results = [
            results(Engine::Gristmill, &[5.0, 10.0, 80.0]),
            results(Engine::Limit, &[10.0, 10.0, 100.0]),
        ];
        let table = shares(&results, limit(&results).unwrap());
        assert_eq!(table[0][..2], ["engine", "put1_per_s"]);
        assert_eq!(table[1], ["gristmill", "0.80", NO_VALUE, NO_VALUE]);
        assert_eq!(table[2][1], "1.00");
        let share = Row {
            engine: "gristmill",
            metric: "put1_per_s/limit".into(),
            value: 0.8,
            unit: "share",
            better: Some(Better::Higher),
        };
        assert!(rows(&results).contains(&share));
    }

    #[test]
    fn a_quick_run_is_small_unless_it_is_told_otherwise() {
        let read = |line: &[&str]| Options::read(Arguments::of(line)).unwrap();
        let quick = read(&["--quick", "--pages-count", "40", "--engines", "limit"]);
        assert_eq!((quick.repetitions, quick.setting.count), (QUICK_REPETITIONS, 40));
        assert_eq!(quick.engines, [Engine::Limit]);
        let full = read(&[]);
        assert_eq!((full.repetitions, full.setting.count), (DEFAULT_REPETITIONS, DEFAULT_PAGES));
        assert!(Options::read(Arguments::of(&["--slow"])).is_err());
    }
}
