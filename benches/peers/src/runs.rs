//! Engines measured in turns, and the tables made of what their runs read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::process::Usage;
use crate::report::{self, Better, Row};

/// Stands where an engine has no value.
pub(crate) const NO_VALUE: &str = "–";

/// What a part measures: a column of its table.
pub(crate) trait Column: PartialEq {
    /// The name in tables and files.
    fn name(&self) -> Cow<'static, str>;

    /// The unit of its values.
    fn unit(&self) -> &'static str;

    /// A value as the table shows it.
    fn cell(&self, value: f64) -> String;

    /// Which values are the better ones, where the part says so.
    fn better(&self) -> Option<Better> {
        None
    }
}

/// What a run of an engine has measured.
pub(crate) trait Measured {
    /// The part's columns.
    type Metric: Column;

    /// What was measured.
    fn metric(&self) -> &Self::Metric;

    /// In the unit of the metric.
    fn value(&self) -> f64;
}

/// One value that a run of an engine has measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading<M> {
    /// What was measured.
    pub(crate) metric: M,
    /// In the unit of the metric.
    pub(crate) value: f64,
}

impl<M: Column> Measured for Reading<M> {
    type Metric = M;

    fn metric(&self) -> &M {
        &self.metric
    }

    fn value(&self) -> f64 {
        self.value
    }
}

/// All readings of one engine, run by run.
pub(crate) struct Results<R> {
    pub(crate) engine: &'static str,
    pub(crate) runs: Vec<Vec<R>>,
}

/// Measures every engine as often as that, one after the other in each repetition, so that what
/// disturbs the machine for a while does not disturb one engine alone.
pub(crate) fn in_turns<E: Copy, R>(
    engines: &[E],
    repetitions: usize,
    name: impl Fn(E) -> &'static str,
    run: impl Fn(E) -> Result<(Vec<R>, Usage), Error>,
) -> Result<Vec<Results<R>>, Error> {
    let mut results: Vec<Results<R>> =
        engines.iter().map(|&engine| Results { engine: name(engine), runs: Vec::new() }).collect();
    for repetition in 1..=repetitions {
        for (&engine, results) in engines.iter().zip(&mut results) {
            let (readings, usage) = run(engine)?;
            let (name, seconds) = (results.engine, usage.cpu_seconds);
            eprintln!("run {repetition}: {name} done with {seconds:.1} s of processor time");
            results.runs.push(readings);
        }
    }
    Ok(results)
}

/// What a run read for one metric; `None` if the engine has no value.
pub(crate) fn value<R: Measured>(run: &[R], metric: &R::Metric) -> Option<f64> {
    run.iter().find(|reading| reading.metric() == metric).map(Measured::value)
}

impl<R: Measured> Results<R> {
    /// What the runs read for one metric; empty if the engine has no value.
    pub(crate) fn values(&self, metric: &R::Metric) -> Vec<f64> {
        self.runs.iter().filter_map(|run| value(run, metric)).collect()
    }

    /// The median over the runs, as the table shows it.
    pub(crate) fn median(&self, metric: &R::Metric) -> Option<String> {
        let values = self.values(metric);
        (!values.is_empty()).then(|| metric.cell(report::median(values)))
    }

    /// The least and the greatest, as the table shows them.
    pub(crate) fn range(&self, metric: &R::Metric) -> Option<String> {
        let values = self.values(metric);
        let least = values.iter().copied().reduce(f64::min)?;
        let greatest = values.iter().copied().reduce(f64::max)?;
        Some(format!("{}–{}", metric.cell(least), metric.cell(greatest)))
    }
}

/// Engines as rows and metrics as columns.
pub(crate) fn table<R: Measured>(
    results: &[Results<R>],
    metrics: &[R::Metric],
    cell: impl Fn(&Results<R>, &R::Metric) -> Option<String>,
) -> Vec<Vec<String>> {
    let mut head = vec!["engine".to_owned()];
    head.extend(metrics.iter().map(|metric| metric.name().into_owned()));
    let mut table = vec![head];
    for results in results {
        let mut row = vec![results.engine.to_owned()];
        let cell = |metric| cell(results, metric).unwrap_or_else(|| NO_VALUE.to_owned());
        row.extend(metrics.iter().map(cell));
        table.push(row);
    }
    table
}

/// The medians; no row where an engine has no value.
pub(crate) fn rows<R: Measured>(results: &[Results<R>], metrics: &[R::Metric]) -> Vec<Row> {
    let of_engine = |results: &Results<R>| {
        let mut rows = Vec::new();
        for metric in metrics {
            let values = results.values(metric);
            if !values.is_empty() {
                let (engine, value) = (results.engine, report::median(values));
                let (metric, unit, better) = (metric.name(), metric.unit(), metric.better());
                rows.push(Row { engine, metric, value, unit, better });
            }
        }
        rows
    };
    results.iter().flat_map(of_engine).collect()
}

/// Prints a table beside the results.
pub(crate) fn to_standard_error(title: &str, table: &[Vec<String>]) {
    eprintln!("\n{title}");
    for line in report::lines(table) {
        eprintln!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A column with tenths of seconds.
    #[derive(Debug, PartialEq)]
    struct Seconds(&'static str);

    impl Column for Seconds {
        fn name(&self) -> Cow<'static, str> {
            self.0.into()
        }

        fn unit(&self) -> &'static str {
            "s"
        }

        fn cell(&self, value: f64) -> String {
            format!("{value:.1}")
        }

        fn better(&self) -> Option<Better> {
            Some(Better::Lower)
        }
    }

    fn reading(name: &'static str, value: f64) -> Reading<Seconds> {
        Reading { metric: Seconds(name), value }
    }

    #[test]
    fn engines_take_turns() {
        let order = RefCell::new(Vec::new());
        let run = |engine: usize| {
            order.borrow_mut().push(engine);
            Ok((vec![reading("cold", 0.0)], Usage { cpu_seconds: 0.0, peak_bytes: 0.0 }))
        };
        let name = |engine: usize| ["first", "second"][engine];
        let results = in_turns(&[0, 1], 3, name, run).unwrap();
        assert_eq!(order.into_inner(), [0, 1, 0, 1, 0, 1]);
        assert_eq!((results[0].engine, results[1].engine), ("first", "second"));
        assert!(results.iter().all(|results| results.runs.len() == 3));
    }

    #[test]
    fn cells_are_medians_and_ranges_and_gaps_are_marked() {
        let runs = [0.3, 0.1, 0.2].map(|value| vec![reading("cold", value)]).into();
        let results =
            [Results { engine: "one", runs }, Results { engine: "none", runs: Vec::new() }];
        let metrics = [Seconds("cold"), Seconds("warm")];
        let medians = table(&results, &metrics, Results::median);
        assert_eq!(medians[0], ["engine", "cold", "warm"]);
        assert_eq!(medians[1], ["one", "0.2", NO_VALUE]);
        assert_eq!(medians[2], ["none", NO_VALUE, NO_VALUE]);
        assert_eq!(table(&results, &metrics, Results::range)[1][1], "0.1–0.3");
        let (metric, better) = ("cold".into(), Some(Better::Lower));
        let row = Row { engine: "one", metric, value: 0.2, unit: "s", better };
        assert_eq!(rows(&results, &metrics), [row]);
    }
}
