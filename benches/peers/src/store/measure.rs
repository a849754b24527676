//! What is measured, in which order and how much of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::metric::{Metric, Reading};
use super::page::Page;
use super::pages::{Pages, Readable};
use super::reads::{self, Extent};
use super::{disk, writes};
use crate::error::AnyError;
use crate::report;

/// Threads that put together.
pub(super) const WRITERS: usize = 8;

/// Pages in a batch.
pub(super) const BATCH: usize = 100;

/// Threads that read together. The same on every machine, so that figures of two machines can be
/// held against each other.
pub(super) const READERS: u64 = 2;

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// How long each kind of read goes on.
    pub(crate) reads: Duration,
}

impl Load {
    /// What the table is made from.
    pub(crate) const FULL: Self = Self { reads: Duration::from_secs(1) };

    /// A first impression.
    pub(crate) const QUICK: Self = Self { reads: Duration::from_millis(200) };
}

/// Measures one engine once, in a folder that is empty. Each kind of write has a new store; the one
/// that was filled by batches is closed, and opened again for the reads.
pub(crate) fn run<P: Pages>(
    load: &Load,
    pages: &[Page],
    dir: &Path,
) -> Result<Vec<Reading>, AnyError> {
    let mut readings = Vec::new();
    let mut read = |metric, value| readings.push(Reading { metric, value });

    let store = P::open(&folder(dir, "put1")?)?;
    disk::settle(dir)?;
    let times = writes::one_by_one(&store, pages)?;
    store.close()?;
    read(Metric::Put1PerS, per_second(pages.len(), times.iter().sum()));
    read(Metric::Put1P999Ms, millis(report::per_mille(&times, 999)));

    let store = P::open(&folder(dir, "put8")?)?;
    disk::settle(dir)?;
    let time = writes::by_threads(&store, pages, WRITERS)?;
    store.close()?;
    read(Metric::Put8PerS, per_second(pages.len(), time));

    let batches = folder(dir, "batch100")?;
    let store = P::open(&batches)?;
    disk::settle(dir)?;
    let time = writes::in_batches(&store, pages, BATCH)?;
    store.close()?;
    read(Metric::Batch100PerS, per_second(pages.len(), time));
    disk::settle(dir)?;
    read(Metric::SpaceRatio, ratio(disk::allocated(&batches)?, bytes(pages)));

    let store = P::open(&batches)?;
    for reading in read_back(&store, load, pages)? {
        read(reading.metric, reading.value);
    }
    store.close()?;
    Ok(readings)
}

/// Both kinds of reads, after one pass over everything, which is not timed: it warms the page cache
/// and shows that all is there.
pub(super) fn read_back<R: Readable>(
    store: &R,
    load: &Load,
    pages: &[Page],
) -> Result<[Reading; 2], AnyError> {
    reads::verify(store, pages)?;
    let rate = |extent| reads::rate(store, pages, READERS, load.reads, extent);
    let (all, first) = (rate(Extent::All)?, rate(Extent::First)?);
    Ok([
        Reading { metric: Metric::GetAllPerS, value: all },
        Reading { metric: Metric::GetFirstPerS, value: first },
    ])
}

/// A new folder of that name.
pub(super) fn folder(dir: &Path, name: &str) -> Result<PathBuf, AnyError> {
    let folder = dir.join(name);
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// Bytes of all keys and values.
pub(super) fn bytes(pages: &[Page]) -> u64 {
    pages.iter().map(Page::len).sum()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 pages")]
pub(super) fn per_second(pages: usize, time: Duration) -> f64 {
    pages as f64 / time.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
pub(super) fn ratio(bytes: u64, of: u64) -> f64 {
    bytes as f64 / of as f64
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
