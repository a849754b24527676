//! Overwrites that go on: what a store takes on the disk and in memory, and how long its commits
//! stall, beside plain writes of the same batches.
//!
//! - `run`: one run in a process of its own, the store's commits between two halves of `bare`'s.
//! - `overwrites`: which keys get which pages; `samples` and `memory` watch.

mod bare;
mod memory;
mod overwrites;
mod run;
mod samples;

use std::path::PathBuf;
use std::time::Duration;

use self::memory::Memory;
use self::run::{Endurance, MILESTONES, Outcome, Summary, Work};
use super::disk;
use super::engine::Engine;
use super::source::Source;
use crate::arguments::Arguments;
use crate::error::Error;
use crate::process;
use crate::report::{self, Better, Row};

const DEFAULT_LIVE_MEBIBYTES: u64 = 1024;
const DEFAULT_TOTAL_MEBIBYTES: u64 = 10 * 1024;

/// Different pages among the values. They are held in memory, 15 MB, and part of what is reported
/// as memory before the store was opened.
const PAGES: usize = 512;

/// The time a run may take without its writes …
const LONGEST_BESIDE: Duration = Duration::from_mins(10);
/// … and how slow they may be, in mebibytes a second.
const SLOWEST: u64 = 8;

/// What the bare writes are called in rows.
const BARE: &str = "limit";

struct Options {
    engines: Vec<Engine>,
    setting: Setting,
    json: Option<PathBuf>,
}

/// What a child is told.
struct Setting {
    source: Source,
    dir: PathBuf,
    live_mebibytes: u64,
    total_mebibytes: u64,
}

/// `peers store-endurance`: runs each engine once, prints what it found and writes the JSON.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let machine = report::machine();
    let setting = &options.setting;
    println!("{machine}");
    println!("values: {}", setting.source.describe(PAGES)?);
    println!(
        "{} MiB live, {} MiB of random overwrites in batches of {}",
        setting.live_mebibytes,
        setting.total_mebibytes,
        overwrites::BATCH
    );
    let mut rows = Vec::new();
    for engine in &options.engines {
        eprintln!("{}:", engine.name());
        let outcome = setting.run_in_child(*engine)?;
        println!();
        report::print_table(&table(engine.name(), &outcome));
        rows.extend(self::rows(engine.name(), &outcome));
    }
    match options.json {
        Some(path) => report::write_json(&path, &machine, &rows),
        None => Ok(()),
    }
}

/// `__store-endurance NAME --live-mb N --total-mb N --dir DIR` and where the pages come from.
pub(crate) fn run_here(mut arguments: Arguments) -> Result<(), Error> {
    let engine: Engine = arguments.positional()?.parse()?;
    let setting = Setting {
        source: Source::read(&mut arguments)?,
        ..Setting::read(Source::Made, &mut arguments)?
    };
    arguments.finish()?;
    let pages = setting.source.load(PAGES)?;
    let data = tempfile::tempdir_in(&setting.dir).map_err(Error::io("make a data directory"))?;
    let endurance = Endurance { work: setting.work(), pages: &pages, dir: data.path() };
    let outcome =
        engine.run(endurance).map_err(|source| Error::Engine { engine: engine.name(), source })?;
    data.close().map_err(Error::io("remove the data directory"))?;
    process::answer(&outcome);
    Ok(())
}

impl Options {
    fn read(mut arguments: Arguments) -> Result<Self, Error> {
        let source = Source::choose(arguments.option("--pages")?);
        let options = Self {
            engines: arguments.engines(&[Engine::Gristmill])?,
            setting: Setting::read(source, &mut arguments)?,
            json: arguments.option("--json")?,
        };
        arguments.finish()?;
        if options.engines.contains(&Engine::Limit) {
            return Err(Error::Usage("the limit is measured with each engine".to_owned()));
        }
        Ok(options)
    }
}

impl Setting {
    fn read(source: Source, arguments: &mut Arguments) -> Result<Self, Error> {
        let mut mebibytes = |name, default: u64| {
            arguments.option(name).map(|given| given.unwrap_or(default).max(1))
        };
        Ok(Self {
            live_mebibytes: mebibytes("--live-mb", DEFAULT_LIVE_MEBIBYTES)?,
            total_mebibytes: mebibytes("--total-mb", DEFAULT_TOTAL_MEBIBYTES)?,
            dir: disk::place(arguments.option("--dir")?)?,
            source,
        })
    }

    fn work(&self) -> Work {
        Work { live_bytes: self.live_mebibytes << 20, total_bytes: self.total_mebibytes << 20 }
    }

    fn run_in_child(&self, engine: Engine) -> Result<Outcome, Error> {
        let mut command = process::this_binary(&["__store-endurance", engine.name()])?;
        command.args(self.source.arguments());
        command.arg("--live-mb").arg(self.live_mebibytes.to_string());
        command.arg("--total-mb").arg(self.total_mebibytes.to_string());
        command.arg("--dir").arg(&self.dir);
        let written = self.live_mebibytes + 2 * self.total_mebibytes;
        let longest = LONGEST_BESIDE + Duration::from_secs(written / SLOWEST);
        process::run_within(longest, engine.name(), command).map(|(outcome, _)| outcome)
    }
}

/// Metrics as rows, the store and the bare writes as columns.
fn table(engine: &str, outcome: &Outcome) -> Vec<Vec<String>> {
    let line = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let own = |name: &str, value: String| line([name, "lower", &value, ""]);
    let both = |name: &str, better: Better, value: fn(&Summary) -> f64| {
        let [store, bare] = [outcome.store, outcome.bare].map(|of| format!("{:.2}", value(&of)));
        line([name, better.word(), &store, &bare])
    };
    let commits = [outcome.store.commits, outcome.bare.commits].map(|count| count.to_string());
    let mut table = vec![
        line(["", "better", engine, BARE]),
        line(["commits", "", &commits[0], &commits[1]]),
        both("mb_per_s", Better::Higher, |of| of.mb_per_s),
        both("commit_p999_ms", Better::Lower, |of| of.p999_ms),
        both("longest_stall_ms", Better::Lower, |of| of.longest_ms),
        own("peak_space_ratio", format!("{:.3}", outcome.peak_ratio)),
        own("closed_space_ratio", format!("{:.3}", outcome.closed_ratio)),
    ];
    for (name, memory) in memories(outcome) {
        table.push(own(
            &format!("rss_anon_{name}_mb"),
            format!("{:.1}", mebibytes(memory.anonymous)),
        ));
        table.push(own(&format!("rss_{name}_mb"), format!("{:.1}", mebibytes(memory.resident))));
    }
    table
}

fn rows(engine: &'static str, outcome: &Outcome) -> Vec<Row> {
    let row = |engine, metric: String, value, unit, better| Row {
        engine,
        metric: metric.into(),
        value,
        unit,
        better: Some(better),
    };
    let mut rows = Vec::new();
    for (engine, of) in [(engine, outcome.store), (BARE, outcome.bare)] {
        let metric = |name: &str| format!("endurance_{name}");
        rows.push(row(engine, metric("mb_per_s"), of.mb_per_s, "MB/s", Better::Higher));
        rows.push(row(engine, metric("commit_p999_ms"), of.p999_ms, "ms", Better::Lower));
        rows.push(row(engine, metric("longest_stall_ms"), of.longest_ms, "ms", Better::Lower));
    }
    for (name, value) in [("peak", outcome.peak_ratio), ("closed", outcome.closed_ratio)] {
        let metric = format!("endurance_{name}_space_ratio");
        rows.push(row(engine, metric, value, "bytes/byte", Better::Lower));
    }
    for (name, memory) in memories(outcome) {
        for (kind, bytes) in [("rss_anon", memory.anonymous), ("rss", memory.resident)] {
            let metric = format!("endurance_{kind}_{name}_mb");
            rows.push(row(engine, metric, mebibytes(bytes), "MiB", Better::Lower));
        }
    }
    rows
}

/// Memory with the names of the moments.
fn memories(outcome: &Outcome) -> Vec<(String, Memory)> {
    let mut named = vec![("before".to_owned(), outcome.before)];
    let at = MILESTONES.iter().zip(outcome.memory);
    named.extend(at.map(|(milestone, memory)| (format!("at_{milestone}"), memory)));
    named
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn every_store_endures() {
        let pages = Source::Made.load(40).unwrap();
        let work = Work { live_bytes: 1 << 20, total_bytes: 3 << 20 };
        for &engine in Engine::ALL.iter().filter(|engine| **engine != Engine::Limit) {
            let dir = tempfile::tempdir().unwrap();
            let outcome = engine.run(Endurance { work, pages: &pages, dir: dir.path() }).unwrap();
            assert!(outcome.peak_ratio > 0.1 && outcome.closed_ratio > 0.1, "{outcome:?}");
            assert!(outcome.store.longest_ms >= outcome.store.p999_ms, "{outcome:?}");
            assert!(outcome.store.commits > 3 && outcome.bare.commits > 3, "{outcome:?}");
            assert!(outcome.memory.iter().all(|memory| memory.anonymous > 0), "{outcome:?}");
            let rows = rows(engine.name(), &outcome);
            assert_eq!(rows.len(), 16);
            assert!(rows.iter().any(|row| row.metric == "endurance_rss_anon_at_50_mb"));
            assert_eq!(table(engine.name(), &outcome).len(), 15);
        }
        let dir = tempfile::tempdir().unwrap();
        let limit = Endurance { work, pages: &pages, dir: dir.path() };
        assert!(Engine::Limit.run(limit).is_err());
    }
}
