//! The store's figures: durable puts by one and eight threads, batches, buffered pages, reads with
//! and without verification, scans, and opening after a crash.
//!
//! Values are page-sized (seeded noise and repeated text, mean 29 KB) as in the table of the
//! design document; rival engines are compared in a crate of their own.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gristmill::store::{Compression, Direction, Keyspace, KeyspaceOptions, ReadMode, Store};

/// Pages in the set; their lengths average about 29 KB.
const PAGES: usize = 512;
/// Pages stored for the reads.
const STORED: u64 = 4000;

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

/// Times `count` durable puts shared by `threads` threads.
fn put_durable(keyspace: &Keyspace, pages: &[Vec<u8>], threads: u64, count: u64) -> Duration {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (started, left) = (Instant::now(), AtomicU64::new(count));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let take = |left: u64| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    let page = &pages[usize::try_from(number).unwrap_or(0) % PAGES];
                    keyspace.put(number.to_be_bytes(), page).expect("a put succeeds");
                }
            });
        }
    });
    started.elapsed()
}

fn writes(criterion: &mut Criterion) {
    let pages = pages();
    let mut group = criterion.benchmark_group("store/write");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for threads in [1, 8] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (_store, keyspace) = open(&dir);
        group.bench_function(BenchmarkId::new("put_durable", threads), |bencher| {
            bencher.iter_custom(|count| put_durable(&keyspace, &pages, threads, count));
        });
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, keyspace) = open(&dir);
    let mut number = 0_u64;
    group.throughput(Throughput::Elements(100));
    group.bench_function("batch_of_100", |bencher| {
        bencher.iter(|| {
            let mut batch = store.batch();
            for page in pages.iter().take(100) {
                number += 1;
                batch.put(&keyspace, number.to_be_bytes(), page);
            }
            batch.commit().expect("a commit succeeds");
        });
    });
    group.finish();
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
        ("map", false, ReadMode::Map),
        ("map_verified", true, ReadMode::Map),
        ("pread", false, ReadMode::Pread),
    ] {
        let builder = Store::builder(dir.path()).verify_reads(verify).read_mode(mode);
        let store = builder.open().expect("the store opens");
        let keyspace =
            store.keyspace("pages", KeyspaceOptions::default()).expect("a keyspace opens");
        let mut random = Random(7);
        let mut get = move || {
            let key = (random.next() % STORED).to_be_bytes();
            keyspace.get(key).expect("a read succeeds").expect("the key is there")
        };
        group.bench_function(BenchmarkId::new("get_first_byte", name), |bencher| {
            bencher.iter(|| get().first().copied());
        });
        group.bench_function(BenchmarkId::new("get_all_bytes", name), |bencher| {
            bencher.iter(|| black_box(get().iter().map(|byte| u64::from(*byte)).sum::<u64>()));
        });
    }
    let (_store, keyspace) = open(&dir);
    group.throughput(Throughput::Elements(STORED));
    group.bench_function("scan_keys", |bencher| {
        bencher.iter(|| keyspace.range_keys::<&[u8]>(.., Direction::Forward).count());
    });
    group.finish();
}

criterion_group!(benches, writes, crawl, reads);
criterion_main!(benches);
