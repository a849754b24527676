//! Counters of a run, and what they add up to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::BudgetKind;

/// Counters of a run. No other memory access depends on them, so relaxed ordering is enough.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) pages: Counter,
    pub(super) bytes: Counter,
    pub(super) links: Counter,
    pub(super) infos: Counter,
    pub(super) quarantined: Counter,
    pub(super) failed: Counter,
    pub(super) skipped: Counter,
    pub(super) deduplicated: Counter,
    pub(super) unchanged: Counter,
    pub(super) requests: Counter,
    pub(super) retries: Counter,
    pub(super) distilled: Counter,
    pub(super) distil_failed: Counter,
    pub(super) llm_calls: Counter,
    pub(super) llm_cache_hits: Counter,
    pub(super) tokens_in: Counter,
    pub(super) tokens_out: Counter,
}

/// A number that grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Pages with stored content, over all restarts of the run.
    pub pages: u64,
    /// URLs known and not done.
    pub queued: u64,
    /// Exchanges in flight.
    pub in_flight: u64,
    /// URLs given up.
    pub failed: u64,
    /// URLs that a rule excluded: scope, robots, depth, traps, type.
    pub skipped: u64,
    /// Infos accepted by this process.
    pub infos: u64,
    /// Body bytes received by this process, after content decoding.
    pub bytes: u64,
    /// Pages waiting to be distilled, counted once for each focus.
    pub pending_distil: u64,
    /// Since the run was started by this process; in seconds where it is written.
    #[serde(with = "seconds")]
    pub elapsed: Duration,
    /// The run has ended; `wait` returns at once.
    pub done: bool,
}

/// Durations as seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// The result of a run. Except for `pages`, the counts cover this process's part of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Pages with stored content, duplicates included, over all restarts of the run.
    pub pages: u64,
    /// Body bytes received, after content decoding.
    pub bytes: u64,
    /// Links found.
    pub links: u64,
    /// Infos accepted.
    pub infos: u64,
    /// Claims of the model that could not be grounded.
    pub quarantined: u64,
    /// URLs given up.
    pub failed: u64,
    /// URLs that a rule excluded: scope, robots, depth, traps, type.
    pub skipped: u64,
    /// Pages whose text was stored already under another URL.
    pub deduplicated: u64,
    /// Pages that had not changed since the last run (304).
    pub unchanged: u64,
    /// From the start of the run in this process to its end.
    pub seconds: f64,
    /// Requests made.
    pub requests: u64,
    /// Requests that were retries.
    pub retries: u64,
    /// Pages whose distilling was given up, counted once for each focus.
    pub distil_failed: u64,
    /// Requests to the model.
    pub llm: LlmTotals,
    /// Why the run ended before its work was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopReason>,
}

/// A run's requests to its model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LlmTotals {
    /// Requests that went to the server.
    pub calls: u64,
    /// Requests answered from the cache.
    pub cache_hits: u64,
    /// Tokens sent.
    pub tokens_in: u64,
    /// Tokens received.
    pub tokens_out: u64,
    /// Money spent by the configured prices; `None` as long as none are configured.
    pub cost: Option<f64>,
}

/// Why a run ended before its work was done. Running the job again resumes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// It was cancelled, or its engine was closed.
    Cancelled,
    /// A budget was used up.
    Budget(BudgetKind),
    /// The distiller kept failing while the queue of pages waiting for it was full.
    Distiller,
}
