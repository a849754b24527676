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
use crate::report;
use crate::runs::{self, to_standard_error};

const DEFAULT_REPETITIONS: usize = 5;

/// `../shared/traces` from the project's root.
const DEFAULT_TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/traces");

/// Metrics side by side; more are in a further table.
const COLUMNS: usize = 8;

/// A cache with more entries than this above its capacity is marked.
const HANDFUL: usize = 8;

struct Options {
    engines: Vec<Engine>,
    repetitions: usize,
    traces: Vec<Trace>,
    json: Option<PathBuf>,
}

type Results = runs::Results<Reading>;

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
    let run = |engine: Engine| engine.run_in_child(&options.traces);
    let results = runs::in_turns(&options.engines, options.repetitions, Engine::name, run)?;
    let measured = metrics(&results);
    for metrics in measured.chunks(COLUMNS) {
        println!();
        report::print_table(&runs::table(&results, metrics, Results::median));
        to_standard_error("least and greatest:", &runs::table(&results, metrics, Results::range));
        to_standard_error(
            "most entries at the end of a run:",
            &runs::table(&results, metrics, fill),
        );
    }
    match options.json {
        Some(path) => report::write_json(&path, &machine, &runs::rows(&results, &measured)),
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

/// The most entries that were there when a run was over, marked if that is too many.
fn fill(results: &Results, metric: &Metric) -> Option<String> {
    let of_metric = results.runs.iter().flatten().filter(|reading| reading.metric == *metric);
    let fullest = of_metric.max_by_key(|reading| reading.entries)?;
    let (entries, capacity) = (fullest.entries, fullest.capacity);
    let mark = if entries > capacity + HANDFUL { "!" } else { "" };
    Some(format!("{entries}/{capacity}{mark}"))
}

/// What was measured, in the order in which it was.
fn metrics(results: &[Results]) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for reading in results.iter().flat_map(|results| &results.runs).flatten() {
        if !metrics.contains(&reading.metric) {
            metrics.push(reading.metric.clone());
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::Column;

    fn hit(value: f64) -> Reading {
        let metric = Metric::Hit { trace: "gli".to_owned(), capacity: 600 };
        Reading { metric, value, entries: 600, capacity: 600 }
    }

    fn trace(word: &str) -> Trace {
        Trace::Recorded(word.parse().unwrap())
    }

    fn results(run: Vec<Reading>) -> [Results; 1] {
        [Results { engine: "gristmill", runs: vec![run] }]
    }

    #[test]
    fn a_cache_that_is_too_full_is_marked() {
        let cell = |entries| {
            let runs = [600, entries, 600].map(|entries| vec![Reading { entries, ..hit(1.0) }]);
            fill(&Results { engine: "gristmill", runs: runs.into() }, &hit(1.0).metric)
        };
        assert_eq!(cell(500).unwrap(), "600/600");
        assert_eq!(cell(608).unwrap(), "608/600");
        assert_eq!(cell(609).unwrap(), "609/600!");
    }

    #[test]
    fn columns_come_in_the_order_in_which_they_were_measured() {
        let rate = Reading { metric: Metric::Get2tPerS, ..hit(1.0) };
        let results = results(vec![rate, hit(1.0)]);
        let names: Vec<_> = metrics(&results).iter().map(Column::name).collect();
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
