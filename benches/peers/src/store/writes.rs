//! Durable writes.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::page::Page;
use super::pages::Pages;
use crate::error::AnyError;

/// How long each put took; one thread puts one page after the other.
pub(super) fn one_by_one<P: Pages>(store: &P, pages: &[Page]) -> Result<Vec<Duration>, AnyError> {
    let mut times = Vec::with_capacity(pages.len());
    for page in pages {
        let started = Instant::now();
        store.put(page)?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// How long it took that many threads to put all pages, one each at a time; each takes the next
/// one that is left.
pub(super) fn by_threads<P: Pages>(
    store: &P,
    pages: &[Page],
    threads: usize,
) -> Result<Duration, AnyError> {
    let (next, begin) = (AtomicUsize::new(0), Barrier::new(threads + 1));
    let put = || -> Result<(), AnyError> {
        begin.wait();
        // Relaxed: it hands out numbers and orders nothing.
        while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
            store.put(page)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(put)).collect();
        begin.wait();
        let started = Instant::now();
        for thread in running {
            thread.join().map_err(|_| "a writing thread panicked")??;
        }
        Ok(started.elapsed())
    })
}

/// How long it took one thread to put all pages in batches of `batch`.
pub(super) fn in_batches<P: Pages>(
    store: &P,
    pages: &[Page],
    batch: usize,
) -> Result<Duration, AnyError> {
    let started = Instant::now();
    for batch in pages.chunks(batch) {
        store.put_all(batch)?;
    }
    Ok(started.elapsed())
}
