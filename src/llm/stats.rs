//! The client's counters.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use super::request::{CacheTier, Completion, Usage};

/// Counters since the client was built.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LlmStats {
    /// Calls, cached ones included. A deferred call counts once.
    pub calls: u64,
    /// Requests sent to the server.
    pub requests: u64,
    /// Calls answered from the memory tier.
    pub memory_hits: u64,
    /// Calls answered from the durable tier.
    pub disk_hits: u64,
    /// Calls answered by an equal call that was under way.
    pub joined: u64,
    /// Calls answered without a request of their own: the sum of the three above.
    pub cache_hits: u64,
    /// Failed reads and writes of the durable tier. The calls continued without it.
    pub cache_failures: u64,
    /// How often [`Client::complete_or_later`](super::Client::complete_or_later) deferred a call.
    pub put_off: u64,
    /// Retries by cause: a status, or `transport`.
    pub retries: BTreeMap<String, u64>,
    /// Requests made again in another dialect, as the server did not take the first.
    pub adaptations: u64,
    /// Failed calls by kind; see [`LlmError::kind`](super::LlmError::kind).
    pub failures: BTreeMap<String, u64>,
    /// Answers that were repaired before they could be parsed.
    pub repairs: u64,
    /// Answers that were sent back because they violated the schema.
    pub reasks: u64,
    /// Tokens of prompts.
    pub tokens_in: u64,
    /// Tokens of answers.
    pub tokens_out: u64,
    /// Durations of the calls that reached the server, waits for retries included.
    pub latency: Latency,
}

/// Durations of calls in milliseconds; each is exact to an eighth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the calls took at most this.
    pub p50_ms: f64,
    /// Nine of ten took at most this.
    pub p90_ms: f64,
    /// 99 of 100 took at most this.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Buckets of the histogram: 8 for each doubling of a microsecond count of 64 bits.
const BUCKETS: usize = 8 * 64;

#[derive(Debug)]
pub(super) struct Recorder {
    state: Mutex<Recorded>,
}

#[derive(Debug)]
struct Recorded {
    stats: LlmStats,
    buckets: Box<[u64; BUCKETS]>,
    longest: Duration,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let buckets = Box::new([0; BUCKETS]);
        let recorded = Recorded { stats: LlmStats::default(), buckets, longest: Duration::ZERO };
        Self { state: Mutex::new(recorded) }
    }

    /// Changes the counts.
    pub(super) fn count(&self, change: impl FnOnce(&mut LlmStats)) {
        change(&mut self.state.lock().stats);
    }

    /// Records an answer of the server.
    pub(super) fn answered(&self, usage: Usage) {
        self.count(|stats| {
            stats.tokens_in += usage.input;
            stats.tokens_out += usage.output;
        });
    }

    /// Records how a call ended.
    pub(super) fn finished(&self, result: Result<&Completion, &str>, elapsed: Duration) {
        let mut guard = self.state.lock();
        let recorded = &mut *guard;
        match result {
            Ok(answer) if answer.cache != CacheTier::Miss => return,
            Ok(_) => {}
            Err(kind) => {
                *recorded.stats.failures.entry(kind.to_owned()).or_default() += 1;
            }
        }
        recorded.longest = recorded.longest.max(elapsed);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = recorded.buckets.get_mut(bucket_of(micros)) {
            *bucket += 1;
        }
    }

    pub(super) fn snapshot(&self) -> LlmStats {
        let guard = self.state.lock();
        let mut stats = guard.stats.clone();
        stats.cache_hits = stats.memory_hits + stats.disk_hits + stats.joined;
        let longest = guard.longest.as_secs_f64() * 1000.0;
        let at = |share| percentile_ms(&guard.buckets[..], share).min(longest);
        stats.latency =
            Latency { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: longest };
        stats
    }
}

/// Eighths of the doubling that `micros` lies in.
fn bucket_of(micros: u64) -> usize {
    let value = micros.max(1);
    let doubling = u64::from(value.ilog2());
    let eighth = if doubling >= 3 { (value >> (doubling - 3)) & 7 } else { 0 };
    usize::try_from(doubling * 8 + eighth).unwrap_or(BUCKETS - 1)
}

/// The upper end of the bucket that holds the given share of the calls, in milliseconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and bucket numbers are far below 2^52"
)]
fn percentile_ms(buckets: &[u64], share: f64) -> f64 {
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let rank = ((total as f64 * share).ceil() as u64).max(1);
    let mut seen = 0;
    let at = buckets.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    let bucket = at.unwrap_or(buckets.len());
    let lower = 2_f64.powi(i32::try_from(bucket / 8).unwrap_or(i32::MAX));
    lower * (1.0 + ((bucket % 8) as f64 + 1.0) / 8.0) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_an_eighth() {
        let recorder = Recorder::new();
        for millis in 1..=100 {
            recorder.finished(Err("x"), Duration::from_millis(millis));
        }
        let latency = recorder.snapshot().latency;
        for (found, wanted) in [(latency.p50_ms, 50.0), (latency.p90_ms, 90.0)] {
            assert!(found >= wanted && found <= wanted * 1.13, "{found} for {wanted}");
        }
        assert!((latency.max_ms - 100.0).abs() < 1e-9 && latency.p99_ms <= 100.0);
        recorder.finished(Err("x"), Duration::ZERO);
        recorder.finished(Err("x"), Duration::MAX);
        assert!(recorder.snapshot().latency.p50_ms > 0.0);
    }
}
