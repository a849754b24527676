//! Crawling: pages a second, processor time a page and peak memory of each engine on one site.
//!
//! The site is the documentation that comes with the Rust toolchain, served from memory on
//! loopback by a process of its own, which also counts: what an engine that stores nothing has
//! fetched is what the server has sent. What an engine says it has stored is read back from its
//! reopened store by yet another process. Every engine starts at the same two pages, with 16
//! connections and no delay, and follows links.

pub(crate) mod bare;
#[path = "../../../../src/bin/gristmill/demo/server/connections.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod connections;
pub(crate) mod engine;
pub(crate) mod gristmill;
#[path = "../../../../src/bin/gristmill/demo/server/request.rs"]
#[expect(dead_code, reason = "a server of pages reads no bodies")]
mod request;
pub(crate) mod server;
pub(crate) mod site;
#[cfg(feature = "spider")]
pub(crate) mod spider;

use std::path::PathBuf;

use self::engine::{Engine, Setting};
use self::server::{Counts, Server};
use crate::arguments::Arguments;
use crate::error::Error;
use crate::process::Usage;
use crate::report::{self, Row};

const DEFAULT_REPETITIONS: usize = 3;
const DEFAULT_CONNECTIONS: usize = 16;

/// One run of one engine.
#[derive(Clone, Copy, Debug)]
struct Measured {
    pages: u64,
    seconds: f64,
    usage: Usage,
    counts: Counts,
}

struct Options {
    documents: PathBuf,
    engines: Vec<Engine>,
    repetitions: usize,
    connections: usize,
    json: Option<PathBuf>,
}

/// `peers crawl`: measures, prints the table and writes the JSON.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let mut server = Server::start(&options.documents)?;
    let machine = report::machine();
    println!("{machine}");
    println!(
        "{} pages, {:.0} MB on offer; {} connections; medians of {} interleaved runs",
        server.pages(),
        float(server.bytes()) / 1e6,
        options.connections,
        options.repetitions
    );
    let mut runs: Vec<Vec<Measured>> = vec![Vec::new(); options.engines.len()];
    for repetition in 1..=options.repetitions {
        for (engine, runs) in options.engines.iter().zip(&mut runs) {
            let measured = measure(*engine, &mut server, options.connections)?;
            eprintln!(
                "run {repetition}: {} {} pages in {:.2} s",
                engine.name(),
                measured.pages,
                measured.seconds
            );
            runs.push(measured);
        }
    }
    server.stop()?;
    let results: Vec<_> = options.engines.iter().copied().zip(runs).collect();
    println!();
    report::print_table(&table(&results));
    match options.json {
        Some(path) => report::write_json(&path, &machine, &rows(&results)),
        None => Ok(()),
    }
}

impl Options {
    fn read(mut arguments: Arguments) -> Result<Self, Error> {
        let documents = match arguments.option("--docs")? {
            Some(path) => path,
            None => site::toolchain_documents()?,
        };
        let engines = arguments.engines(Engine::ALL)?;
        let options = Self {
            documents,
            engines,
            repetitions: arguments.option("--repeat")?.unwrap_or(DEFAULT_REPETITIONS).max(1),
            connections: arguments.option("--connections")?.unwrap_or(DEFAULT_CONNECTIONS).max(1),
            json: arguments.option("--json")?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// Runs an engine once against the server, in a process of its own, and checks what it claims.
fn measure(engine: Engine, server: &mut Server, connections: usize) -> Result<Measured, Error> {
    server.reset()?;
    // On the disk that holds this binary: the temporary directory may be memory.
    let place = std::env::current_exe().map_err(Error::io("find the path of this binary"))?;
    let place = place.parent().unwrap_or(&place);
    let data = tempfile::tempdir_in(place).map_err(Error::io("make a data directory"))?;
    let setting = Setting { seeds: server.seeds(), data: data.path().to_path_buf(), connections };
    let (outcome, usage) = engine.run_in_child(&setting)?;
    let counts = server.counts()?;
    let pages = match outcome.stored {
        None => counts.pages,
        Some(claimed) => {
            let read_back = gristmill::read_back_in_child(data.path())?;
            confirm(engine, claimed, "the reopened store holds", read_back)?;
            confirm(engine, read_back, "the server has sent", counts.pages)?;
            read_back
        }
    };
    if pages == 0 {
        return Err(Error::Child {
            name: engine.name().to_owned(),
            problem: "fetched nothing".to_owned(),
        });
    }
    Ok(Measured { pages, seconds: outcome.seconds, usage, counts })
}

fn confirm(
    engine: Engine,
    claimed: u64,
    witness: &'static str,
    confirmed: u64,
) -> Result<(), Error> {
    if claimed <= confirmed {
        return Ok(());
    }
    Err(Error::FalseClaim { engine: engine.name(), claimed, witness, confirmed })
}

/// The medians of one engine's runs.
fn summary(engine: Engine, runs: &[Measured]) -> [Row; 4] {
    let middle = |value: fn(&Measured) -> f64| report::median(runs.iter().map(value).collect());
    let row = |metric: &'static str, value, unit| {
        let metric = metric.into();
        Row { engine: engine.name(), metric, value, unit, better: None }
    };
    [
        row("pages", middle(|run| float(run.pages)), "pages"),
        row("pages_per_s", middle(|run| float(run.pages) / run.seconds), "pages/s"),
        row(
            "cpu_ms_per_page",
            middle(|run| run.usage.cpu_seconds * 1e3 / float(run.pages)),
            "ms/page",
        ),
        row("peak_mb", middle(|run| run.usage.peak_bytes / 1e6), "MB"),
    ]
}

fn rows(results: &[(Engine, Vec<Measured>)]) -> Vec<Row> {
    results.iter().flat_map(|(engine, runs)| summary(*engine, runs)).collect()
}

fn table(results: &[(Engine, Vec<Measured>)]) -> Vec<Vec<String>> {
    let head = [
        "engine",
        "pages",
        "pages/s",
        "CPU ms/page",
        "peak MB",
        "sent pages",
        "sent MB",
        "requests",
        "connections",
        "server ms/page",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for (engine, runs) in results {
        let middle = |value: fn(&Measured) -> f64| report::median(runs.iter().map(value).collect());
        let [pages, rate, cpu, peak] = summary(*engine, runs);
        table.push(vec![
            engine.name().to_owned(),
            format!("{:.0}", pages.value),
            format!("{:.0}", rate.value),
            format!("{:.3}", cpu.value),
            format!("{:.1}", peak.value),
            format!("{:.0}", middle(|run| float(run.counts.pages))),
            format!("{:.0}", middle(|run| float(run.counts.bytes) / 1e6)),
            format!("{:.0}", middle(|run| float(run.counts.requests))),
            format!("{:.0}", middle(|run| float(run.counts.connections))),
            format!("{:.3}", middle(|run| run.counts.cpu_seconds * 1e3 / float(run.counts.pages))),
        ]);
    }
    table
}

/// Counts of pages and bytes as numbers to divide.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_must_be_confirmed() {
        assert!(confirm(Engine::Gristmill, 4133, "the server has sent", 4133).is_ok());
        assert!(confirm(Engine::Gristmill, 4134, "the server has sent", 4133).is_err());
    }
}
