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
use crate::runs::{self, Column as _, NO_VALUE, to_standard_error, value};

const DEFAULT_REPETITIONS: usize = 5;
const DEFAULT_PAGES: usize = 4000;

/// What `--quick` has instead.
const QUICK_REPETITIONS: usize = 1;
const QUICK_PAGES: usize = 400;

struct Options {
    engines: Vec<Engine>,
    repetitions: usize,
    setting: Setting,
    json: Option<PathBuf>,
}

type Results = runs::Results<Reading>;

/// `peers store`: measures, prints the tables and writes the JSON.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let machine = report::machine();
    println!("{machine}");
    let pages = options.setting.source.describe(options.setting.count)?;
    println!("{pages}; medians of {} interleaved runs", options.repetitions);
    let run = |engine: Engine| engine.run_in_child(&options.setting);
    let results = runs::in_turns(&options.engines, options.repetitions, Engine::name, run)?;
    println!();
    report::print_table(&table(&results, Results::median));
    if let Some(limit) = limit(&results) {
        println!("\nshare of the limit of the same run:");
        report::print_table(&shares(&results, limit));
    }
    to_standard_error("least and greatest:", &table(&results, Results::range));
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

fn limit(results: &[Results]) -> Option<&Results> {
    results.iter().find(|results| results.engine == Engine::Limit.name())
}

/// The median over the runs of what one has for each one of the limit in the same run.
fn share(results: &Results, limit: &Results, metric: Metric) -> Option<f64> {
    let share = |(own, limit): (&Vec<Reading>, &Vec<Reading>)| {
        Some(value(own, &metric)? / value(limit, &metric)?)
    };
    let shares: Vec<f64> = results.runs.iter().zip(&limit.runs).filter_map(share).collect();
    (!shares.is_empty()).then(|| report::median(shares))
}

/// Engines as rows and metrics as columns; below the names, which direction is the better one.
fn table(
    results: &[Results],
    cell: impl Fn(&Results, &Metric) -> Option<String>,
) -> Vec<Vec<String>> {
    let mut table = runs::table(results, Metric::ALL, cell);
    let word = |metric: &Metric| metric.better().map_or(NO_VALUE, Better::word).to_owned();
    let mut better = vec!["better:".to_owned()];
    better.extend(Metric::ALL.iter().map(word));
    table.insert(1, better);
    table
}

/// Engines as rows, and as columns what the disk limits.
fn shares(results: &[Results], limit: &Results) -> Vec<Vec<String>> {
    let mut head = vec!["engine".to_owned()];
    head.extend(Metric::WRITES.iter().map(|metric| metric.name().into_owned()));
    let mut table = vec![head];
    for results in results {
        let mut row = vec![results.engine.to_owned()];
        row.extend(Metric::WRITES.iter().map(|&metric| {
            let share = share(results, limit, metric);
            share.map_or_else(|| NO_VALUE.to_owned(), |share| format!("{share:.2}"))
        }));
        table.push(row);
    }
    table
}

/// The medians, and those of the shares of the limit; no row where an engine has no value.
fn rows(results: &[Results]) -> Vec<Row> {
    let mut rows = runs::rows(results, Metric::ALL);
    let Some(limit) = limit(results) else { return rows };
    for results in results {
        let engine = results.engine;
        for &metric in Metric::WRITES {
            if let Some(value) = share(results, limit, metric) {
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
        Results { engine: engine.name(), runs: values.iter().map(run).collect() }
    }

    #[test]
    fn the_table_says_which_direction_is_better() {
        let results = [results(Engine::Gristmill, &[30.0, 10.0, 20.0])];
        let medians = table(&results, Results::median);
        assert_eq!(medians[0][..2], ["engine", "put1_per_s"]);
        assert_eq!(medians[1][..2], ["better:", "higher"]);
        assert_eq!(medians[2][..3], ["gristmill", "20", NO_VALUE]);
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
