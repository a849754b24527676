//! The cache under a skewed load: reads of what is there, and reads that insert what is not.
//!
//! Keys are drawn from a Zipf distribution (exponent 0.99) before the clock starts, from a fixed
//! seed, so that each run asks for the same keys. With two threads, each goes through a half of
//! them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gristmill::cache::Cache;

const KEYS: u64 = 1_000_000;
const DRAWS: usize = 1_000_000;
const EXPONENT: f64 = 0.99;
const SEED: u64 = 0x5EED;
const TTL: Duration = Duration::from_hours(1);

/// A sequence of 64-bit numbers: `SplitMix64` (Steele, Lea and Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Zipf-distributed keys, by looking each draw up in the summed weights.
#[expect(clippy::cast_precision_loss, reason = "ranks are far below 2^53")]
fn zipf_keys() -> Vec<u64> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            sum += (rank as f64).powf(-EXPONENT);
            sum
        })
        .collect();
    let mut numbers = Numbers(SEED);
    (0..DRAWS)
        .map(|_| {
            let drawn = numbers.fraction() * sum;
            // Spread, so that popular keys are not neighbours.
            (sums.partition_point(|below| *below < drawn) as u64).wrapping_mul(0x9E37_79B9)
        })
        .collect()
}

fn cache(capacity: u64) -> Cache<u64, u64> {
    Cache::builder()
        .capacity(capacity)
        .shards(64)
        .ttl(TTL)
        .build()
        .expect("invariant: the options are sound")
}

/// The time in which `threads` threads together go through all keys.
fn timed(threads: usize, keys: &[u64], step: impl Fn(u64) + Sync) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in keys.chunks(keys.len().div_ceil(threads)) {
            let step = &step;
            scope.spawn(move || part.iter().for_each(|key| step(*key)));
        }
    });
    start.elapsed()
}

fn rows(criterion: &mut Criterion) {
    let keys = zipf_keys();
    let mut group = criterion.benchmark_group("cache");
    group.sample_size(10).throughput(Throughput::Elements(DRAWS as u64));
    let full = cache(2 * KEYS);
    for key in &keys {
        full.insert(*key, *key);
    }
    for threads in [1, 2] {
        group.bench_function(BenchmarkId::new("get", threads), |bencher| {
            bencher.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        timed(threads, &keys, |key| {
                            black_box(full.get(&key));
                        })
                    })
                    .sum()
            });
        });
    }
    group.bench_function(BenchmarkId::new("get_or_insert", 2), |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    let small = cache(KEYS / 10);
                    timed(2, &keys, |key| {
                        if black_box(small.get(&key)).is_none() {
                            small.insert(key, key);
                        }
                    })
                })
                .sum()
        });
    });
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
