//! The client's counters.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use super::request::{CacheTier, Completion, Usage};
use crate::histogram::{Histogram, Percentiles};

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

/// Durations of calls in milliseconds; each is at most an eighth above the true value, `max_ms`
/// is exact.
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

#[derive(Debug)]
pub(super) struct Recorder {
    stats: Mutex<LlmStats>,
    latencies: Histogram,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self { stats: Mutex::default(), latencies: Histogram::new() }
    }

    /// Changes the counts.
    pub(super) fn count(&self, change: impl FnOnce(&mut LlmStats)) {
        change(&mut self.stats.lock());
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
        match result {
            Ok(answer) if answer.cache != CacheTier::Miss => return,
            Ok(_) => {}
            Err(kind) => {
                self.count(|stats| *stats.failures.entry(kind.to_owned()).or_default() += 1);
            }
        }
        self.latencies.record(elapsed);
    }

    pub(super) fn snapshot(&self) -> LlmStats {
        let mut stats = self.stats.lock().clone();
        stats.cache_hits = stats.memory_hits + stats.disk_hits + stats.joined;
        let Percentiles { p50, p90, p99, max, .. } = self.latencies.percentiles();
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        stats.latency = Latency {
            p50_ms: millis(p50),
            p90_ms: millis(p90),
            p99_ms: millis(p99),
            max_ms: millis(max),
        };
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_those_of_the_calls_that_ended() {
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
