//! The store's figures, with the columns of the table in `benches/README.md`: durable puts by one
//! and by eight threads, durable batches of 100, reads of everything and of the first byte by two
//! threads, with and without verification; then the batches of a crawl, and scans.
//!
//! criterion measures times alone, so `put1` prints the 99.9th percentile of its puts, and
//! `batch100` the space that its store takes after a clean close, in a line each.
//!
//! Values are page-sized (words from a fixed seed, mean 29 KB); rival engines are compared in a
//! crate of their own, `benches/peers`.

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gristmill::store::{Compression, Keyspace, KeyspaceOptions, ReadMode, Store, Verification};

/// Pages in the set; their lengths average about 29 KB.
const PAGES: usize = 512;
/// Pages stored for the reads.
const STORED: u64 = 4000;
/// Pages in a batch.
const BATCH: usize = 100;
/// Threads that read together.
const READERS: u64 = 2;
/// Longest wait for the end of background work at close.
const CLOSE_DEADLINE: Duration = Duration::from_mins(1);
/// A file of this name is set aside to leave a full disk again, and holds nothing.
const RESERVE: &str = "reserve";

/// Seeded xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Pages between 1 and 57 KB, made of words, so that they compress as text does.
fn pages() -> Vec<Vec<u8>> {
    let mut random = Random(42);
    let words: Vec<String> = (0..2000).map(|_| format!("{:x} ", random.next() >> 44)).collect();
    (0..PAGES)
        .map(|_| {
            let length = usize::try_from(1000 + random.next() % 56_000).unwrap_or(1000);
            let mut page = Vec::with_capacity(length + 8);
            while page.len() < length {
                let word = usize::try_from(random.next() % 2000).unwrap_or(0);
                page.extend_from_slice(words[word].as_bytes());
            }
            page
        })
        .collect()
}

fn open(dir: &tempfile::TempDir) -> (Store, Keyspace) {
    let store = Store::open(dir.path()).expect("a temporary directory opens");
    let pages = store.keyspace("pages", KeyspaceOptions::default()).expect("a keyspace opens");
    (store, pages)
}

/// Times `count` durable puts shared by `threads` threads, and adds the time of each to `times`.
fn put_durable(
    keyspace: &Keyspace,
    pages: &[Vec<u8>],
    threads: u64,
    count: u64,
    times: &Mutex<Vec<Duration>>,
) -> Duration {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (started, left) = (Instant::now(), AtomicU64::new(count));
    let put = || {
        let take = |left: u64| left.checked_sub(1);
        let mut own = Vec::new();
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let page = &pages[usize::try_from(number).unwrap_or(0) % PAGES];
            let begun = Instant::now();
            keyspace.put(number.to_be_bytes(), page).expect("a put succeeds");
            own.push(begun.elapsed());
        }
        times.lock().expect("no put has panicked").append(&mut own);
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(put))));
    started.elapsed()
}

/// 99.9 % of the times are at most this; nothing if there are none.
fn p999(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    let rank = (times.len() * 999).div_ceil(1000);
    times.get(rank.checked_sub(1)?).copied()
}

fn writes(criterion: &mut Criterion) {
    let pages = pages();
    let mut group = criterion.benchmark_group("store/write");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for (name, threads) in [("put1", 1), ("put8", 8)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (_store, keyspace) = open(&dir);
        let times = Mutex::new(Vec::new());
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| put_durable(&keyspace, &pages, threads, count, &times));
        });
        let times = times.into_inner().expect("no put has panicked");
        let count = times.len();
        if let Some(time) = p999(times) {
            println!("store/write/{name}: p999 {:.3} ms of {count} puts", time.as_secs_f64() * 1e3);
        }
    }
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let pages = pages();
    let mut group = criterion.benchmark_group("store/write");
    group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, keyspace) = open(&dir);
    let (mut number, mut bytes) = (0_u64, 0);
    group.bench_function("batch100", |bencher| {
        bencher.iter(|| {
            let mut batch = store.batch();
            for page in pages.iter().take(BATCH) {
                number += 1;
                let key = number.to_be_bytes();
                bytes += (key.len() + page.len()) as u64;
                batch.put(&keyspace, key, page);
            }
            batch.commit().expect("a commit succeeds");
        });
    });
    group.finish();
    store.close(CLOSE_DEADLINE).expect("the store closes");
    if bytes > 0 {
        let allocated = allocated(dir.path()).expect("the files can be looked at");
        println!("store/write/batch100: space ratio {:.3}", ratio(allocated, bytes));
    }
}

/// Bytes allocated on the disk for all files below, the reserve left out.
fn allocated(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            bytes += allocated(&entry.path())?;
        } else if entry.file_name() != RESERVE {
            bytes += on_disk(&metadata);
        }
    }
    Ok(bytes)
}

#[cfg(unix)]
fn on_disk(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
fn on_disk(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
fn ratio(bytes: u64, of: u64) -> f64 {
    bytes as f64 / of as f64
}

/// What a crawl does: one buffered batch a page with its raw bytes, its text and eight small rows.
fn crawl(criterion: &mut Criterion) {
    let pages = pages();
    let mut group = criterion.benchmark_group("store/crawl");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for (name, compression) in [("plain", Compression::None), ("zstd1", Compression::Zstd(1))] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (store, small) = open(&dir);
        let options = KeyspaceOptions::compressed(compression);
        let raw = store.keyspace("raw", options).expect("a keyspace opens");
        let next = AtomicU64::new(0);
        group.bench_function(BenchmarkId::new("page_batches_16_threads", name), |bencher| {
            bencher.iter_custom(|count| {
                let (started, left) = (Instant::now(), AtomicU64::new(count));
                std::thread::scope(|scope| {
                    for _ in 0..16 {
                        scope.spawn(|| {
                            let take = |left: u64| left.checked_sub(1);
                            while left
                                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                                .is_ok()
                            {
                                page_batch(&store, &raw, &small, &pages, &next);
                            }
                        });
                    }
                });
                store.flush().expect("a flush succeeds");
                started.elapsed()
            });
        });
    }
    group.finish();
}

fn page_batch(
    store: &Store,
    raw: &Keyspace,
    small: &Keyspace,
    pages: &[Vec<u8>],
    next: &AtomicU64,
) {
    let number = next.fetch_add(1, Ordering::Relaxed);
    let page = &pages[usize::try_from(number).unwrap_or(0) % PAGES];
    // Spread keys: hashes of URLs are not in order.
    let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let mut batch = store.batch();
    batch.put(raw, key, page);
    batch.put(small, [key.as_slice(), b"text"].concat(), &page[..page.len() / 4]);
    for row in 0..8_u8 {
        batch.put(small, [key.as_slice(), &[row]].concat(), [row; 100]);
    }
    batch.commit_buffered().expect("a batch is queued");
}

/// Times `count` reads of random keys shared by the reading threads; `look` sees each value.
fn get_shared(keyspace: &Keyspace, count: u64, look: fn(&[u8]) -> u64) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..READERS {
            let share = count / READERS + u64::from(thread < count % READERS);
            scope.spawn(move || {
                let mut random = Random(7 + thread);
                for _ in 0..share {
                    let key = (random.next() % STORED).to_be_bytes();
                    let value = keyspace.get(key).expect("a read succeeds");
                    black_box(look(&value.expect("the key is there")));
                }
            });
        }
    });
    started.elapsed()
}

/// The sum of all bytes, taken eight at a time as numbers.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.chain(rest.iter().map(|byte| u64::from(*byte))).fold(0, u64::wrapping_add)
}

fn first(bytes: &[u8]) -> u64 {
    bytes.first().copied().map_or(0, u64::from)
}

fn reads(criterion: &mut Criterion) {
    let pages = pages();
    let dir = tempfile::tempdir().expect("a temporary directory");
    {
        let (store, keyspace) = open(&dir);
        for number in 0..STORED {
            let mut batch = store.batch();
            let page = &pages[usize::try_from(number).unwrap_or(0) % PAGES];
            batch.put(&keyspace, number.to_be_bytes(), page);
            batch.commit_buffered().expect("a batch is queued");
        }
    }
    let mut group = criterion.benchmark_group("store/read");
    group.throughput(Throughput::Elements(1));
    for (name, verify, mode) in [
        ("default", Verification::First, ReadMode::Map),
        ("verified", Verification::Always, ReadMode::Map),
        ("unverified", Verification::Never, ReadMode::Map),
        ("unverified_pread", Verification::Never, ReadMode::Pread),
    ] {
        let builder = Store::builder(dir.path()).verification(verify).read_mode(mode);
        let store = builder.open().expect("the store opens");
        let keyspace =
            store.keyspace("pages", KeyspaceOptions::default()).expect("a keyspace opens");
        for (extent, look) in [("get_all", sum as fn(&[u8]) -> u64), ("get_first", first)] {
            group.bench_function(BenchmarkId::new(extent, name), |bencher| {
                bencher.iter_custom(|count| get_shared(&keyspace, count, look));
            });
        }
    }
    let (_store, keyspace) = open(&dir);
    group.throughput(Throughput::Elements(STORED));
    group.bench_function("scan_keys", |bencher| {
        bencher.iter(|| keyspace.iter().keys().count());
    });
    group.finish();
}

criterion_group!(benches, writes, batches, crawl, reads);
criterion_main!(benches);
