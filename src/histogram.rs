//! A histogram of durations that threads share, and its percentiles.
//!
//! The buckets are those of `HdrHistogram`: each power of two of nanoseconds is divided into equal
//! parts. So the error is relative to the value, and the whole range of 64 bits takes four
//! kilobytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Each power of two is divided into 2^this parts, so a percentile is at most an eighth too high.
const SUB_BITS: u32 = 3;
const SUBS: usize = 1 << SUB_BITS;
/// The first `SUBS` values have a bucket each, then each power of two has `SUBS`.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUBS;

/// Percentiles of durations. Each is at most an eighth above the true value; `max` is exact. All
/// are zero if nothing was measured. Serialized in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// Number of measurements.
    pub count: u64,
    /// Half of the measurements are at most this.
    #[serde(serialize_with = "as_seconds")]
    pub p50: Duration,
    /// 90 % of the measurements are at most this.
    #[serde(serialize_with = "as_seconds")]
    pub p90: Duration,
    /// 99 % of the measurements are at most this.
    #[serde(serialize_with = "as_seconds")]
    pub p99: Duration,
    /// The longest measurement.
    #[serde(serialize_with = "as_seconds")]
    pub max: Duration,
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Counts of durations. Statistics only, so all accesses are relaxed.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), max: AtomicU64::new(0) }
    }

    /// Counts a duration. More than 2^64 nanoseconds, 584 years, count as that.
    pub(crate) fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        if nanos > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max = self.max.load(Ordering::Relaxed);
        let at = |percent: u64| {
            let rank = (count.saturating_mul(percent)).div_ceil(100).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|bucket| {
                seen += bucket;
                seen >= rank
            });
            Duration::from_nanos(found.map_or(0, |bucket| top_of(bucket).min(max)))
        };
        Percentiles { count, p50: at(50), p90: at(90), p99: at(99), max: Duration::from_nanos(max) }
    }
}

/// The bucket of a value: its highest bits.
fn bucket_of(nanos: u64) -> usize {
    let shift = (64 - nanos.leading_zeros()).saturating_sub(SUB_BITS + 1);
    // The greatest value has shift 60 and mantissa 15: the last bucket.
    let mantissa = usize::try_from(nanos >> shift).expect("invariant: below 2^(SUB_BITS + 1)");
    shift as usize * SUBS + mantissa
}

/// The greatest value of a bucket.
fn top_of(bucket: usize) -> u64 {
    if bucket < 2 * SUBS {
        return bucket as u64;
    }
    let shift = bucket / SUBS - 1;
    let mantissa = (bucket % SUBS + SUBS) as u64;
    ((mantissa + 1) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use proptest::prelude::*;

    use super::*;

    /// Values of every magnitude: uniform ones would nearly all lie in the highest bucket.
    fn nanos() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0_u32..64).prop_map(|(bits, shift)| bits >> shift)
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_values_and_is_narrow(nanos in nanos()) {
            let bucket = bucket_of(nanos);
            prop_assert!(bucket < BUCKETS);
            prop_assert!(top_of(bucket) >= nanos);
            prop_assert!(bucket == 0 || top_of(bucket - 1) < nanos);
            prop_assert!(top_of(bucket) - nanos <= nanos / 8);
        }

        #[test]
        fn percentiles_are_at_most_an_eighth_above_the_exact_ones(
            mut values in proptest::collection::vec(nanos(), 1..300),
        ) {
            let histogram = Histogram::new();
            for nanos in &values {
                histogram.record(Duration::from_nanos(*nanos));
            }
            values.sort_unstable();
            let found = histogram.percentiles();
            prop_assert_eq!(found.count, values.len() as u64);
            prop_assert_eq!(found.max, Duration::from_nanos(values[values.len() - 1]));
            for (percent, percentile) in [(50, found.p50), (90, found.p90), (99, found.p99)] {
                // The smallest value that so many percent of all do not exceed.
                let exact = values[(values.len() * percent).div_ceil(100) - 1];
                let above = percentile.as_nanos().checked_sub(u128::from(exact));
                prop_assert!(above.is_some_and(|by| by <= u128::from(exact / 8)), "{percentile:?} for {exact} ns");
            }
        }
    }

    #[test]
    fn without_measurements_all_is_zero_and_the_longest_duration_has_a_bucket() {
        let histogram = Histogram::new();
        assert_eq!(histogram.percentiles(), Percentiles::default());
        histogram.record(Duration::MAX);
        let found = histogram.percentiles();
        let longest = Duration::from_nanos(u64::MAX);
        assert_eq!((found.count, found.p50, found.max), (1, longest, longest));
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        assert_eq!(bucket_of(0), 0);
        for bucket in 0..BUCKETS - 1 {
            let top = top_of(bucket);
            assert_eq!((bucket_of(top), bucket_of(top + 1)), (bucket, bucket + 1), "{top} ns");
        }
        assert_eq!(top_of(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn percentiles_are_those_ranks() {
        let histogram = Histogram::new();
        // The buckets of 1 to 15 ns hold one value each, so the percentiles are exact.
        for (nanos, times) in [(1, 49), (2, 1), (3, 39), (4, 1), (5, 8), (6, 1), (7, 1)] {
            (0..times).for_each(|_| histogram.record(Duration::from_nanos(nanos)));
        }
        let found = histogram.percentiles();
        let nanos = [found.p50, found.p90, found.p99, found.max].map(|found| found.as_nanos());
        assert_eq!((found.count, nanos), (100, [2, 4, 6, 7]));
    }

    #[test]
    fn measurements_of_all_threads_count() {
        let (histogram, start) = (Histogram::new(), Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    // The same buckets in all threads.
                    for nanos in 0..100_000 {
                        histogram.record(Duration::from_nanos(nanos % 8));
                    }
                });
            }
        });
        let found = histogram.percentiles();
        assert_eq!((found.count, found.p50.as_nanos(), found.max.as_nanos()), (400_000, 3, 7));
    }
}
