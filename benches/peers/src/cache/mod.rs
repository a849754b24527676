//! Caches: throughput with skewed keys, and hit ratios on recorded and made-up requests.
//!
//! - `entries`: what a cache must be able to do to be measured; `engines` has one file a cache.
//! - `measure`: what is measured, in which order and how much of it; `rate` and `hits` each take
//!   one kind of measurement.
//! - `trace` reads recorded requests and `synthetic` makes some up; `zipf` draws keys.
//! - `engine`: the caches by name, each in a process of its own.

pub(crate) mod engine;
mod engines;
mod entries;
mod hits;
mod measure;
mod metric;
mod rate;
mod synthetic;
mod trace;
mod zipf;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use self::engine::Engine;
use self::metric::{Metric, Reading};
use self::synthetic::Synthetic;
use self::trace::{Trace, TraceFile};
use crate::arguments::Arguments;
use crate::error::Error;
use crate::report::{self, Row};

const DEFAULT_REPETITIONS: usize = 5;

/// `../shared/traces` from the project's root.
const DEFAULT_TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/traces");

/// Metrics side by side; more are in a further table.
const COLUMNS: usize = 8;

/// A cache with more entries than this above its capacity is marked.
const HANDFUL: usize = 8;

/// Stands where an engine has no value.
const NO_VALUE: &str = "–";

struct Options {
    engines: Vec<Engine>,
    repetitions: usize,
    traces: Vec<Trace>,
    json: Option<PathBuf>,
}

/// All readings of one engine.
struct Results {
    engine: Engine,
    readings: Vec<Reading>,
}

/// `peers cache`: measures, prints the table and writes the JSON.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let machine = report::machine();
    println!("{machine}");
    println!("medians of {} interleaved runs", options.repetitions);
    for trace in &options.traces {
        // A trace that cannot be read is noticed before anything is measured.
        eprintln!("{}: {} requests", trace.name(), trace.keys()?.len());
    }
    let mut results: Vec<Results> =
        options.engines.iter().map(|&engine| Results { engine, readings: Vec::new() }).collect();
    for repetition in 1..=options.repetitions {
        for results in &mut results {
            let (readings, usage) = results.engine.run_in_child(&options.traces)?;
            let (name, seconds) = (results.engine.name(), usage.cpu_seconds);
            eprintln!("run {repetition}: {name} done with {seconds:.1} s of processor time");
            results.readings.extend(readings);
        }
    }
    for metrics in metrics(&results).chunks(COLUMNS) {
        println!();
        report::print_table(&table(&results, metrics, Results::median));
        to_standard_error("least and greatest:", &table(&results, metrics, Results::range));
        to_standard_error(
            "most entries at the end of a run:",
            &table(&results, metrics, Results::fill),
        );
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
            traces: distinct(traces(&mut arguments)?)?,
            json: arguments.option("--json")?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// The traces of the table, further ones, and those that are made up.
fn traces(arguments: &mut Arguments) -> Result<Vec<Trace>, Error> {
    let folder = arguments.option("--traces")?.unwrap_or_else(|| PathBuf::from(DEFAULT_TRACES));
    let mut files = standard(&folder);
    while let Some(file) = arguments.option::<TraceFile>("--trace")? {
        if file.is_understood() {
            files.push(file);
        } else {
            eprintln!("peers: {} is skipped: its format is not known", file.path().display());
        }
    }
    let mut traces: Vec<_> = files.into_iter().map(Trace::Recorded).collect();
    if arguments.flag("--synthetic") {
        traces.extend(Synthetic::ALL.iter().copied().map(Trace::Synthetic));
    }
    Ok(traces)
}

/// The traces of the table that are in the folder; nobody asked for them by name, so they may be
/// missing.
fn standard(folder: &Path) -> Vec<TraceFile> {
    if !folder.is_dir() {
        eprintln!("peers: no folder {}, so its traces are left out", folder.display());
        return Vec::new();
    }
    let mut files = TraceFile::standard(folder);
    files.retain(|file| {
        let there = file.path().is_file();
        if !there {
            eprintln!("peers: no {}, so a column is left out", file.path().display());
        }
        there
    });
    files
}

/// Values under one name would be taken for values of one trace.
fn distinct(traces: Vec<Trace>) -> Result<Vec<Trace>, Error> {
    let mut names = HashSet::new();
    match traces.iter().find(|trace| !names.insert((trace.name(), trace.capacity()))) {
        Some(trace) => {
            let (name, capacity) = (trace.name(), trace.capacity());
            Err(Error::Usage(format!("there are two traces {name} with capacity {capacity}")))
        }
        None => Ok(traces),
    }
}

impl Results {
    /// What the runs read for one metric; empty if the engine has no value.
    fn values(&self, metric: &Metric) -> Vec<f64> {
        let of_metric = self.readings.iter().filter(|reading| reading.metric == *metric);
        of_metric.map(|reading| reading.value).collect()
    }

    fn median(&self, metric: &Metric) -> Option<String> {
        let values = self.values(metric);
        (!values.is_empty()).then(|| metric.cell(report::median(values)))
    }

    fn range(&self, metric: &Metric) -> Option<String> {
        let values = self.values(metric);
        let least = values.iter().copied().reduce(f64::min)?;
        let greatest = values.iter().copied().reduce(f64::max)?;
        Some(format!("{}–{}", metric.cell(least), metric.cell(greatest)))
    }

    /// The most entries that were there when a run was over, marked if that is too many.
    fn fill(&self, metric: &Metric) -> Option<String> {
        let of_metric = self.readings.iter().filter(|reading| reading.metric == *metric);
        let fullest = of_metric.max_by_key(|reading| reading.entries)?;
        let (entries, capacity) = (fullest.entries, fullest.capacity);
        let mark = if entries > capacity + HANDFUL { "!" } else { "" };
        Some(format!("{entries}/{capacity}{mark}"))
    }
}

fn to_standard_error(title: &str, table: &[Vec<String>]) {
    eprintln!("\n{title}");
    for line in report::lines(table) {
        eprintln!("{line}");
    }
}

/// What was measured, in the order in which it was.
fn metrics(results: &[Results]) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for reading in results.iter().flat_map(|results| &results.readings) {
        if !metrics.contains(&reading.metric) {
            metrics.push(reading.metric.clone());
        }
    }
    metrics
}

/// Engines as rows and metrics as columns.
fn table(
    results: &[Results],
    metrics: &[Metric],
    cell: impl Fn(&Results, &Metric) -> Option<String>,
) -> Vec<Vec<String>> {
    let mut head = vec!["engine".to_owned()];
    head.extend(metrics.iter().map(Metric::name));
    let mut table = vec![head];
    for results in results {
        let mut row = vec![results.engine.name().to_owned()];
        let cell = |metric| cell(results, metric).unwrap_or_else(|| NO_VALUE.to_owned());
        row.extend(metrics.iter().map(cell));
        table.push(row);
    }
    table
}

/// The medians; no row where an engine has no value.
fn rows(results: &[Results]) -> Vec<Row> {
    let metrics = metrics(results);
    let of_engine = |results: &Results| {
        let (engine, mut rows) = (results.engine.name(), Vec::new());
        for metric in &metrics {
            let values = results.values(metric);
            if !values.is_empty() {
                let (value, unit) = (report::median(values), metric.unit());
                rows.push(Row { engine, metric: metric.name().into(), value, unit, better: None });
            }
        }
        rows
    };
    results.iter().flat_map(of_engine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(value: f64) -> Reading {
        let metric = Metric::Hit { trace: "gli".to_owned(), capacity: 600 };
        Reading { metric, value, entries: 600, capacity: 600 }
    }

    fn trace(word: &str) -> Trace {
        Trace::Recorded(word.parse().unwrap())
    }

    #[test]
    fn cells_are_medians_and_ranges_and_gaps_are_marked() {
        let (engine, nothing) = (Engine::Gristmill, Vec::new());
        let readings = vec![hit(30.0), hit(10.0), hit(20.0)];
        let results = [Results { engine, readings }, Results { engine, readings: nothing }];
        let metrics = metrics(&results);
        let medians = table(&results, &metrics, Results::median);
        assert_eq!(medians[0], ["engine", "hit_gli_600"]);
        assert_eq!(medians[1], ["gristmill", "20.00"]);
        assert_eq!(medians[2], ["gristmill", NO_VALUE]);
        assert_eq!(table(&results, &metrics, Results::range)[1][1], "10.00–30.00");
        let row = Row {
            engine: "gristmill",
            metric: "hit_gli_600".into(),
            value: 20.0,
            unit: "%",
            better: None,
        };
        assert_eq!(rows(&results), [row]);
    }

    #[test]
    fn a_cache_that_is_too_full_is_marked() {
        let cell = |entries| {
            let readings = vec![hit(1.0), Reading { entries, ..hit(1.0) }, hit(1.0)];
            let results = [Results { engine: Engine::Gristmill, readings }];
            table(&results, &metrics(&results), Results::fill)[1][1].clone()
        };
        assert_eq!(cell(500), "600/600");
        assert_eq!(cell(608), "608/600");
        assert_eq!(cell(609), "609/600!");
    }

    #[test]
    fn columns_come_in_the_order_in_which_they_were_measured() {
        let rate = Reading { metric: Metric::Get2tPerS, ..hit(1.0) };
        let readings = vec![rate, hit(1.0), hit(2.0)];
        let names: Vec<_> = metrics(&[Results { engine: Engine::Gristmill, readings }])
            .iter()
            .map(Metric::name)
            .collect();
        assert_eq!(names, ["get_2t_per_s", "hit_gli_600"]);
    }

    #[test]
    fn traces_of_the_table_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(standard(&dir.path().join("missing")), []);
        let path = dir.path().join("gli.txt");
        std::fs::write(&path, "1\n").unwrap();
        let there: TraceFile = format!("{}:600", path.display()).parse().unwrap();
        assert_eq!(standard(dir.path()), [there]);
    }

    #[test]
    fn a_name_stands_for_one_trace() {
        let pair = |left, right| distinct(vec![trace(left), trace(right)]);
        assert!(pair("a/gli.txt:600", "a/gli.txt:601").is_ok());
        assert!(pair("a/gli.txt:600", "a/web07.be32:600").is_ok());
        assert!(matches!(pair("a/gli.txt:600", "b/gli.txt:600"), Err(Error::Usage(_))));
    }
}
