//! How long gristmill's store takes until it answers again after it was killed.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use gristmill::store::{Keyspace, KeyspaceOptions, Store};
use serde::{Deserialize, Serialize};

use super::{disk, measure};
use crate::arguments::Arguments;
use crate::error::{AnyError, Error};
use crate::numbers;
use crate::process;
use crate::report::{self, Better, Row};

const DEFAULT_KEYS: u64 = 1_000_000;
const DEFAULT_REPETITIONS: usize = 3;

/// Keys in a batch; each batch is on the disk before the next one begins.
const BATCH: u64 = 1000;

const VALUE: [u8; 100] = [b'v'; 100];

const ENGINE: &str = "gristmill";

/// Longest wait for the end of background work at close, which is not timed.
const CLOSE_DEADLINE: Duration = Duration::from_mins(1);

struct Options {
    keys: u64,
    repetitions: usize,
    dir: PathBuf,
    json: Option<PathBuf>,
}

/// How long it took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Opened {
    /// Until the store was open.
    open_ms: f64,
    /// From there until the first value was there.
    first_get_ms: f64,
}

/// `peers store-reopen`: fills a store, kills its process, opens it again.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let machine = report::machine();
    println!("{machine}");
    println!(
        "{} keys with values of {} bytes, killed after the last commit; medians of {} runs",
        options.keys,
        VALUE.len(),
        options.repetitions
    );
    let mut runs = Vec::new();
    for repetition in 1..=options.repetitions {
        let opened = options.run_in_children()?;
        eprintln!(
            "run {repetition}: open {:.1} ms, first get {:.3} ms",
            opened.open_ms, opened.first_get_ms
        );
        runs.push(opened);
    }
    let rows = rows(&runs);
    for row in &rows {
        println!("{}: {:.3} {} (lower is better)", row.metric, row.value, row.unit);
    }
    match options.json {
        Some(path) => report::write_json(&path, &machine, &rows),
        None => Ok(()),
    }
}

/// `__store-fill --keys N --dir DIR`: fills a store, says so, and waits to be killed.
pub(crate) fn fill_here(mut arguments: Arguments) -> Result<(), Error> {
    let (keys, dir) = told(&mut arguments)?;
    arguments.finish()?;
    // Held open: nothing is closed before the kill.
    let _store = fill(&dir, keys).map_err(failed)?;
    process::answer(&keys);
    loop {
        thread::park();
    }
}

/// `__store-open --keys N --dir DIR`: opens it and reads one key; then looks whether all is there.
pub(crate) fn open_here(mut arguments: Arguments) -> Result<(), Error> {
    let (keys, dir) = told(&mut arguments)?;
    arguments.finish()?;
    process::answer(&open(&dir, keys).map_err(failed)?);
    Ok(())
}

impl Options {
    fn read(mut arguments: Arguments) -> Result<Self, Error> {
        let options = Self {
            keys: arguments.option("--keys")?.unwrap_or(DEFAULT_KEYS).max(1),
            repetitions: arguments.option("--repeat")?.unwrap_or(DEFAULT_REPETITIONS).max(1),
            dir: disk::place(arguments.option("--dir")?)?,
            json: arguments.option("--json")?,
        };
        arguments.finish()?;
        Ok(options)
    }

    fn run_in_children(&self) -> Result<Opened, Error> {
        let data = tempfile::tempdir_in(&self.dir).map_err(Error::io("make a data directory"))?;
        let child = |name| {
            let mut command = process::this_binary(&[name])?;
            command.arg("--keys").arg(self.keys.to_string()).arg("--dir").arg(data.path());
            Ok::<_, Error>(command)
        };
        let _: u64 = process::run_until_killed("the store to be killed", child("__store-fill")?)?;
        let (opened, _) = process::run("the store opened again", child("__store-open")?)?;
        Ok(opened)
    }
}

fn told(arguments: &mut Arguments) -> Result<(u64, PathBuf), Error> {
    let missing = || Error::Usage("the number of keys and the folder are needed".to_owned());
    let keys = arguments.option("--keys")?.ok_or_else(missing)?;
    Ok((keys, arguments.option("--dir")?.ok_or_else(missing)?))
}

fn failed(source: AnyError) -> Error {
    Error::Engine { engine: ENGINE, source }
}

fn key(number: u64) -> [u8; 8] {
    numbers::spread(number).to_be_bytes()
}

fn keyspace(store: &Store) -> Result<Keyspace, AnyError> {
    Ok(store.keyspace("small", KeyspaceOptions::default())?)
}

fn fill(dir: &Path, keys: u64) -> Result<Store, AnyError> {
    let store = Store::open(dir)?;
    let keyspace = keyspace(&store)?;
    let mut next = 0;
    while next < keys {
        let end = keys.min(next + BATCH);
        let mut batch = store.batch();
        for number in next..end {
            batch.put(&keyspace, key(number), VALUE);
        }
        batch.commit()?;
        next = end;
    }
    Ok(store)
}

fn open(dir: &Path, keys: u64) -> Result<Opened, AnyError> {
    let started = Instant::now();
    let store = Store::open(dir)?;
    let open_ms = measure::millis(started.elapsed());
    let started = Instant::now();
    let keyspace = keyspace(&store)?;
    let value = keyspace.get(key(keys / 2))?;
    let first_get_ms = measure::millis(started.elapsed());
    if value.as_deref() != Some(&VALUE[..]) {
        return Err("the key in the middle has lost its value".into());
    }
    let there = keyspace.len()?;
    if there != keys {
        return Err(format!("{there} keys are there of {keys} that were acknowledged").into());
    }
    store.close(CLOSE_DEADLINE)?;
    Ok(Opened { open_ms, first_get_ms })
}

fn rows(runs: &[Opened]) -> [Row; 2] {
    let row = |metric: &'static str, value: fn(&Opened) -> f64| Row {
        engine: ENGINE,
        metric: metric.into(),
        value: report::median(runs.iter().map(value).collect()),
        unit: "ms",
        better: Some(Better::Lower),
    };
    [
        row("reopen_ms", |opened| opened.open_ms),
        row("reopen_first_get_ms", |opened| opened.first_get_ms),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_there_again_and_a_loss_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 2500).unwrap().close(CLOSE_DEADLINE).unwrap();
        let opened = open(dir.path(), 2500).unwrap();
        assert!(opened.open_ms > 0.0 && opened.first_get_ms > 0.0);
        assert!(open(dir.path(), 2501).is_err());
        assert_eq!(rows(&[opened])[0].metric, "reopen_ms");
    }
}
