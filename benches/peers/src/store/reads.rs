//! Reads of random keys.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::page::{self, Page};
use super::pages::{Readable, Reader};
use crate::error::AnyError;
use crate::numbers::Numbers;

/// Reads between two looks at the clock.
const BETWEEN_LOOKS: u64 = 64;

const SEED: u64 = 0x5EED;

/// How much of a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All bytes, which are added up.
    All,
    /// The first byte alone.
    First,
}

/// Reads all pages once and compares what is there with what was put.
pub(super) fn verify<R: Readable>(store: &R, pages: &[Page]) -> Result<(), AnyError> {
    let mut reader = store.reader()?;
    for page in pages {
        read(&mut reader, page, Extent::All)?;
    }
    Ok(())
}

/// Reads a second by that many threads together, each of which reads random pages for `time`.
pub(super) fn rate<R: Readable>(
    store: &R,
    pages: &[Page],
    threads: u64,
    time: Duration,
    extent: Extent,
) -> Result<f64, AnyError> {
    let begin = Barrier::new(usize::try_from(threads)?);
    let run = |seed| -> Result<f64, AnyError> {
        // A thread that fails here must not leave the others waiting.
        let reader = store.reader();
        begin.wait();
        by_one(&mut reader?, pages, Numbers::from_seed(seed), time, extent)
    };
    thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || run(SEED + thread))).collect();
        let rates = running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a reading thread panicked")?);
        rates.sum()
    })
}

/// Reads a second by this thread.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 reads")]
fn by_one(
    reader: &mut impl Reader,
    pages: &[Page],
    mut numbers: Numbers,
    time: Duration,
    extent: Extent,
) -> Result<f64, AnyError> {
    let (started, mut reads) = (Instant::now(), 0_u64);
    loop {
        for _ in 0..BETWEEN_LOOKS {
            let number = usize::try_from(numbers.below(pages.len() as u64))?;
            read(reader, pages.get(number).ok_or("there are no pages")?, extent)?;
        }
        reads += BETWEEN_LOOKS;
        let elapsed = started.elapsed();
        if elapsed >= time {
            return Ok(reads as f64 / elapsed.as_secs_f64());
        }
    }
}

/// Reads one page and compares it with what was put.
fn read(reader: &mut impl Reader, page: &Page, extent: Extent) -> Result<(), AnyError> {
    let same = match extent {
        Extent::All => reader.look(&page.key, |bytes| page::sum(bytes) == page.sum)?,
        Extent::First => reader.look(&page.key, |bytes| {
            // Nothing may conclude that the byte need not be loaded.
            black_box(bytes.first().copied()) == page.bytes.first().copied()
                && bytes.len() == page.bytes.len()
        })?,
    };
    match same {
        Some(true) => Ok(()),
        Some(false) => Err("a page has changed".into()),
        None => Err("a page is missing".into()),
    }
}
